/* A checked state machine: which state may follow which is a table, and a step outside the table is
 * our own bug, so it aborts with both names. The owner embeds `struct sm` and changes it in one
 * x_set_state() function with the diagram above it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { SM_STATES_MAX = 32 };

struct sm_def {
    const char *name;               /* of the machine, for messages */
    const char *const *state_names; /* `state_count` entries */
    unsigned state_count;           /* at most SM_STATES_MAX */
    const uint32_t *next;           /* next[s]: bit mask of the states that may follow s */
};

struct sm {
    const struct sm_def *def;
    unsigned state;
};

#define SM_BIT(state) (1u << (state))

void sm_init(struct sm *sm, const struct sm_def *def, unsigned state);
bool sm_may(const struct sm *sm, unsigned state);
/* Aborts where the table does not allow the step. */
void sm_set(struct sm *sm, unsigned state);
const char *sm_name(const struct sm *sm);
