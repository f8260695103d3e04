/* The hashes of a prompt's beginning: one for each whole block of PREFIX_BLOCK_BYTES of what an
 * engine's template will make its prompt of, in the order in which templates do: tools first, then
 * the messages; for infill the chunks of other files, what is before the cursor, what is behind it.
 * Each hash is of its block and the hash before (XXH3), so that two prompts with equal hashes begin
 * alike. The last, unfinished block has no hash.
 *
 * The text is taken as it stands in the neutral body, which a dialect has normalised: the same
 * turns are the same bytes. Only blanks between tokens do not count. The order of an object's
 * members does, as it does for the templates that print them: a client sends its turns again as it
 * sent them. Pure. */
#pragma once

#include "common/buf.h"
#include "proto/codec.h"

#include <stddef.h>
#include <stdint.h>

enum {
    PREFIX_BLOCK_BYTES = 1024,
    PREFIX_CHAIN_MAX = 16384,  /* blocks: a prompt of 16 MiB; beyond them it has no more hashes */
    PREFIX_IMAGE_BYTES = 4096, /* what a picture or a recording counts as, whatever its size */
};

struct prefix_chain {
    uint64_t *hashes; /* `count`; malloc; NULL where there are none */
    size_t count;
    size_t bytes;     /* of the whole prompt, about, in the body's own spelling: what tokens are
                         estimated from. Pictures count as PREFIX_IMAGE_BYTES, also in the blocks */
    uint64_t opening; /* what the turns of a conversation share: hash of a chat up to the end of the
                         first message that its user wrote; of a block before the line in which
                         something is filled in; 0: there is none */
};

/* `body` as proto/codec.h has it for the kind. `tenant`: prompts of different tenants are never
 * taken for the same. `seed`: who writes prompts must not know it, as a block could be made then
 * whose hash is that of another tenant's. A body that is not of that shape gives an empty chain;
 * kinds that leave nothing in an engine's cache have bytes and no hashes. -ENOMEM. */
MUST_CHECK int prefix_chain_make(enum request_kind kind, const char *body, size_t len,
        const char *tenant, uint64_t seed, struct prefix_chain *ret_chain);
void prefix_chain_fini(struct prefix_chain *chain);
