/* Which slot of an engine holds which conversation, as far as that is certain. llama-server does
 * not say in an answer which slot it came from, but GET /slots numbers each slot's last task and
 * counts its tokens: after a turn its slot is the one that holds as many tokens as the turn had.
 * A slot is warm for a conversation as long as its last task is still that turn's. Pure.
 *
 *   [{"id":0,"is_processing":false,"id_task":10,"n_prompt_tokens":487,…},
 *    {"id":1,"is_processing":false}]
 *
 * A turn that is given up before its end leaves in its slot what was computed of it, and nobody is
 * told how much that is or as which task. But where the slot was asked for, nothing else can be in
 * it, unless the engine has chosen slots for other requests (strays) since. It may still work on
 * that turn for a moment, until it finds that nobody waits; the next one waits for that, which is
 * less than to compute anew what is just being computed. Where it was a stray itself and the last
 * one, it is in the only slot that has another task since, but for those that were asked for.
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

enum slot_turn_state {
    SLOT_TURN_ENDED, /* as `task` */
    SLOT_TURN_SENT,  /* there, by our choice: nothing is known before it has ended */
    SLOT_TURN_GIVEN_UP,
};

struct slot_table {
    struct slot_turn {
        uint64_t session; /* 0: none is known */
        uint64_t task;
        enum slot_turn_state state;
        uint64_t strays; /* of the table, when it was sent … */
        bool alone;      /* … and none of them could still have come into its slot */
    } at[SLOTS_MAX];
    struct slot_stray { /* the last stray turn */
        uint64_t session;
        uint64_t number;
        bool alone, given_up;
        uint64_t tasks[SLOTS_MAX]; /* before it was sent */
    } last;
    uint64_t strays;   /* requests for which the engine has chosen the slot … */
    uint64_t unplaced; /* … and those of them that may still come into any */
};

/* Foreign text. -EINVAL, -EMSGSIZE, -ENOMEM as json_parse(); -EPROTO: not such an answer. */
MUST_CHECK int slot_look_read(
        const char *text, size_t len, struct slot_look *ret_look, struct err *err);

/* The slot that is warm for `session`, and no other's since: free, or busy with what was given up;
 * SLOT_NONE: none is. */
int slot_table_find(const struct slot_table *table, const struct slot_look *look, uint64_t session);
/* As slot_table_find(), for a turn that is sent there, or as a stray where it finds none: until
 * that has ended nothing is known of it, so that another of the same conversation, sent at once,
 * does not wait behind it. */
int slot_table_take(struct slot_table *table, const struct slot_look *look, uint64_t session);
/* A turn of `session` has ended with so many tokens, the prompt's and the answer's. Nothing is
 * learnt where two slots could be its own. True where its slot is known now. */
bool slot_table_learn(
        struct slot_table *table, const struct slot_look *look, uint64_t session, uint64_t tokens);
/* The turn of `session` that was sent to that slot is given up. */
void slot_table_give_up(struct slot_table *table, size_t slot, uint64_t session);
/* A request is sent for which the engine chooses the slot: right after slot_table_take() where it
 * is a turn. Returns its number, which is not 0. */
uint64_t slot_table_stray(struct slot_table *table);
/* It has a slot, or is over. */
void slot_table_placed(struct slot_table *table);
/* The stray of that number is given up. */
void slot_table_give_up_stray(struct slot_table *table, uint64_t number);
/* The engine has been given back what the slot held of `session` before it ended. */
void slot_table_restored(struct slot_table *table, size_t slot, uint64_t session);
/* Whose the slot is; 0: nobody's that is known. */
uint64_t slot_table_session(
        const struct slot_table *table, const struct slot_look *look, size_t slot);
