/* What the listings say of an offer, in the words that clients of several APIs read. Pure. */
#pragma once

#include "common/json/json_writer.h"
#include "coordinator/api/offers.h"

#include <stdint.h>

enum {
    OFFER_DIGEST_MAX = 65,     /* 64 hex digits */
    OFFER_TIME_MAX = 32,       /* "2026-11-21T13:30:00Z" */
    OFFER_PARAMETERS_MAX = 16, /* "7.6B" */
    OFFER_ARCHITECTURE_MAX = 32,
};

/* "mode", "model", "alias" */
const char *offer_kind_name(enum offer_kind kind);
/* Of the name and the size of the file: tells models apart and stays the same, but says nothing of
 * the file's bytes. */
const char *offer_digest(const struct offer *offer, char ret_digest[OFFER_DIGEST_MAX]);
/* Unix time of the model's file; 0 where it is not known. */
int64_t offer_modified_s(const struct offer *offer);
/* RFC 3339, UTC. A time that has no such text is 1970. */
const char *offer_time(int64_t unix_s, char ret_time[OFFER_TIME_MAX]);
/* "939K", "7.6B"; "" where it is not known. */
const char *offer_parameters(const struct offer *offer, char ret_text[OFFER_PARAMETERS_MAX]);
/* "llama"; "unknown" where it is not known. Borrowed from the offer. */
const char *offer_architecture(const struct offer *offer);
/* "Q8_0"; "" where it is not known. Borrowed from the offer. */
const char *offer_quantisation(const struct offer *offer);
/* Tokens that a client may plan for an answer: a share of the context, so that one which takes them
 * off leaves room for the prompt. */
uint32_t offer_answer_tokens(const struct offer *offer);
/* True where the model has it, as far as is known. One that nothing is known of chats with tools.
 */
bool offer_can(const struct offer *offer, enum capability capability);
/* The member "capabilities" in Ollama's words: "completion", "tools", "insert", … */
void offer_write_capabilities(struct json_writer *writer, const struct offer *offer);
