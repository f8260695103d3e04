/* The hashes of a prompt's beginning: one for each whole block of PREFIX_BLOCK_BYTES of what an
 * engine's template will make its prompt of, in the order in which templates do: tools first, then
 * the messages; for infill what is before the cursor last. Each hash is of its block and the hash
 * before, so that two prompts with equal hashes begin alike. The text is taken as it stands in the
 * neutral body, which a dialect has normalised: the same turns are the same bytes. The last,
 * unfinished block has no hash. Pure. */
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
    size_t bytes; /* of the whole prompt, about: what tokens are estimated from. Pictures count as
                     PREFIX_IMAGE_BYTES, also in the blocks */
};

/* `body` as proto/codec.h has it for the kind. `tenant`: prompts of different tenants are never
 * taken for the same. A body that is not of that shape gives an empty chain. -ENOMEM. */
MUST_CHECK int prefix_chain_make(enum request_kind kind, const char *body, size_t len,
        const char *tenant, struct prefix_chain *ret_chain);
void prefix_chain_fini(struct prefix_chain *chain);
