/* Sends a conversation to the slot of an engine that holds it (`id_slot`), where that is certain
 * (slot_table.h). Else the engine chooses: a slot that is asked for by number skips the engine's
 * prompt cache, and waits while it serves another, so that a guess would be worse than none.
 *
 * Before a long turn the engine is asked what its slots hold, and after it which slot it was in;
 * the next turn's question tells that too, where it comes first. An engine in the middle of a batch
 * answers late; the turn then goes without. Loop thread only; no callback from inside these
 * functions. */
#pragma once

#include "common/http_client.h"
#include "node/backends/slots/slot_table.h"
#include "proto/codec.h"

#include <stdint.h>

enum {
    ENGINE_SLOTS_TOKENS_MIN = 256, /* of a prompt that is worth asking for */
    ENGINE_SLOTS_LOOK_MS = 100,    /* it waits so long at most */
    ENGINE_SLOTS_NOTES_MAX = 64,   /* turns whose slots are still to be found */
};

struct engine_slots;
/* `url` and `unix_socket` (NULL: TCP) are borrowed for life. NULL where malloc refuses. */
struct engine_slots *engine_slots_create(
        struct http_client *http, const char *url, const char *unix_socket);
/* Nobody asks any more. Takes NULL. */
void engine_slots_destroy(struct engine_slots *slots);
/* The engine has ended: nothing is known of the next one. */
void engine_slots_forget(struct engine_slots *slots);

/* True where a prompt of about so many tokens, a turn of `session`, is worth asking for. */
bool engine_slots_wants(const struct engine_slots *slots, uint64_t session, uint32_t prompt_tokens);

struct slot_ask;
/* `slot`: to be asked for, of this turn alone, or SLOT_NONE: the engine chooses. */
typedef void (*slot_ask_fn)(void *ctx, int slot);
/* `fn` comes once, after ENGINE_SLOTS_LOOK_MS at the latest. -ENOMEM, or the connection's own. */
MUST_CHECK int slot_ask_start(struct engine_slots *slots, uint64_t session, slot_ask_fn fn,
        void *ctx, struct slot_ask **ret_ask, struct err *err);
/* No `fn` comes after it. Takes NULL. */
void slot_ask_cancel(struct slot_ask *ask);

/* A request has ended whole. Where it was a turn of `session` (not 0), its slot is looked for.
 * Takes NULL for `slots`. */
void engine_slots_note(struct engine_slots *slots, uint64_t session, const struct msg_usage *usage);
/* A turn that was sent to `slot` is given up before its end: its slot is still its own. */
void engine_slots_give_up(struct engine_slots *slots, int slot, uint64_t session);
/* A request is sent for which the engine chooses the slot; it has one, or is over; it is given up
 * before its end. Each takes NULL for `slots`; the first then returns 0. */
uint64_t engine_slots_stray(struct engine_slots *slots);
void engine_slots_placed(struct engine_slots *slots);
void engine_slots_give_up_stray(struct engine_slots *slots, uint64_t number);
/* Tokens a second of prompts, a decayed mean; 0: not measured. */
float engine_slots_rate(const struct engine_slots *slots);

/* For who saves and restores what slots hold. */
struct slot_table *engine_slots_table(struct engine_slots *slots);
