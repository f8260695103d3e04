/* The short phrase that a node and a coordinator both show, so that a person can see that nobody
 * stands between them: five groups of five letters, consonants and vowels in turn, that can be read
 * aloud ("dakor-lusab-fitom-ranuk-bizop"). 16 bits a group, 80 in all. Whoever wants to stand
 * between the two needs two link keys whose phrases agree: about 2^40 of them, also ahead of time,
 * since both keys are known to the network. So a phrase is made slow and hungry for memory
 * (Argon2id, RFC 9106). */
#pragma once

#include "common/trust/keys.h"

#include <stdbool.h>

enum { PHRASE_GROUPS = 5, PHRASE_LEN = PHRASE_GROUPS * 6 - 1 };

/* From the two proven link keys: Argon2id over the raw keys, the coordinator's first, with the
 * first bytes of BLAKE2b("modemesh phrase" NUL) as salt, one pass over 8 MiB; of that the first 80
 * bits. Some milliseconds: keep it rather than make it again. Both keys are valid (our bug
 * otherwise); aborts where 8 MiB are not to be had. */
void phrase_make(
        const char *coordinator_key, const char *node_key, char ret_phrase[PHRASE_LEN + 1]);
/* Compares as people type: upper case, and blanks, dots or underscores for the hyphens, count as
 * the same. All groups must be there. */
bool phrase_equal(const char *phrase, const char *typed);
/* True for text that has a phrase's form. */
bool phrase_valid(const char *text);
