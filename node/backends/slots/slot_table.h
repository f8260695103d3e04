/* Which slot of an engine holds which conversation, as far as that is certain. llama-server does
 * not say in an answer which slot it came from, but GET /slots numbers each slot's last task and
 * counts its tokens: after a turn its slot is the one that holds as many tokens as the turn had.
 * A slot is warm for a conversation as long as its last task is still that turn's. Pure.
 *
 *   [{"id":0,"is_processing":false,"id_task":10,"n_prompt_tokens":487,…},
 *    {"id":1,"is_processing":false}]
 *
 * Engines that do not say these numbers (before August 2025) leave the table empty. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SLOTS_MAX = 256, /* of an engine; those beyond are not looked at */
    SLOT_NONE = -1,
};
#define SLOT_NO_TASK UINT64_MAX /* of a slot that has had none since its engine started */

struct slot {
    uint64_t task; /* its last, or the one that it works on */
    uint64_t tokens;
    bool is_there, is_busy;
};

struct slot_look { /* what an engine said of its slots, by their numbers */
    struct slot at[SLOTS_MAX];
    size_t count;
};

struct slot_table {
    struct slot_turn {
        uint64_t session; /* 0: none is known */
        uint64_t task;
    } at[SLOTS_MAX];
};

/* Foreign text. -EINVAL, -EMSGSIZE, -ENOMEM as json_parse(); -EPROTO: not such an answer. */
MUST_CHECK int slot_look_read(
        const char *text, size_t len, struct slot_look *ret_look, struct err *err);

/* The slot that is warm for `session`, free, and no other's since; SLOT_NONE: none is. */
int slot_table_find(const struct slot_table *table, const struct slot_look *look, uint64_t session);
/* As slot_table_find(), for a turn that is sent there: until that has ended nothing is known of it,
 * so that another of the same conversation, sent at once, does not wait behind it. */
int slot_table_take(struct slot_table *table, const struct slot_look *look, uint64_t session);
/* A turn of `session` has ended with so many tokens, the prompt's and the answer's. Nothing is
 * learnt where two slots could be its own. True where its slot is known now. */
bool slot_table_learn(
        struct slot_table *table, const struct slot_look *look, uint64_t session, uint64_t tokens);
/* The engine has been given back what the slot held of `session` before it ended. */
void slot_table_restored(struct slot_table *table, size_t slot, uint64_t session);
/* Whose the slot is; 0: nobody's that is known. */
uint64_t slot_table_session(
        const struct slot_table *table, const struct slot_look *look, size_t slot);
