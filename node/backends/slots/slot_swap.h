/* Saves what the slots of an engine hold before it ends, and gives it back to the next engine of
 * the same key (slot_files.h), one slot after the other, by POST /slots/N?action=save and restore.
 *
 * A slot is saved where that pays: to read it back takes less than half as long as to compute it
 * again, by the engine's own prefill rate and what a disk gives (SLOT_SWAP_DISK_BYTES_S). The one
 * used last comes first, as long as there is room on the disk. Not for models with a sliding window
 * or a recurrent state: b11669 does not save their checkpoints, and computes the whole prompt again
 * (llama.cpp, issue 28194).
 *
 * An engine looks for the beginning of a prompt in its prompt cache, and in the slot that it takes:
 * what was put into another slot it would not find. At each request it copies what waits in slots
 * into that cache; so there is one for a single token, in a slot that has nothing to lose. (Where
 * all slots are given back something, it comes before the last.)
 *
 * A file is removed once it was offered to the engine, whatever that made of it, also where it died
 * of that; and one that it was still writing where it is not whole. The whole takes SLOT_SWAP_MS at
 * most, and no more is begun than a disk takes in that time. Loop thread only; no callback from
 * inside these functions. */
#pragma once

#include "common/http_client.h"
#include "common/loop.h"
#include "node/backends/slots/engine_slots.h"
#include "node/backends/slots/slot_files.h"

enum {
    SLOT_SWAP_MS = 5000,
    SLOT_SWAP_TOKENS_MIN = 256,
};
#define SLOT_SWAP_DISK_BYTES_S UINT64_C(300000000)

struct slot_swap_config { /* borrowed until it is over */
    struct loop *loop;
    struct http_client *http;
    const char *url, *unix_socket;
    struct slot_files *files;
    const char *folder; /* of the key; the engine's --slot-save-path */
    struct engine_slots *slots;
    uint64_t token_bytes; /* of the cache; 0: not known, nothing is saved */
    uint32_t slot_count;  /* of the engine */
};

struct slot_swap;
/* It is over: `count` slots, with so many tokens and bytes in sum. The swap is freed on return. */
typedef void (*slot_swap_fn)(void *ctx, size_t count, uint64_t tokens, uint64_t bytes);

/* -ENOMEM, or why the engine cannot be asked. */
MUST_CHECK int slot_swap_save(const struct slot_swap_config *config, slot_swap_fn fn, void *ctx,
        struct slot_swap **ret_swap, struct err *err);
/* -ENOENT: there is nothing to restore. */
MUST_CHECK int slot_swap_restore(const struct slot_swap_config *config, slot_swap_fn fn, void *ctx,
        struct slot_swap **ret_swap, struct err *err);
/* The engine has ended, or has to. No `fn` comes after it. Takes NULL. */
void slot_swap_cancel(struct slot_swap *swap);

/* True where to read so many tokens' cache back takes less than half as long as to compute it.
 * `prefill_tok_s` 0: not measured, false. Pure. */
bool slot_swap_pays(uint64_t tokens, uint64_t token_bytes, float prefill_tok_s);
