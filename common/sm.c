#include "common/sm.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void sm_init(struct sm *sm, const struct sm_def *def, unsigned state)
{
    assert(def->state_count <= SM_STATES_MAX && state < def->state_count);
    *sm = (struct sm){.def = def, .state = state};
}

bool sm_may(const struct sm *sm, unsigned state)
{
    return state < sm->def->state_count && (sm->def->next[sm->state] & SM_BIT(state));
}

static const char *state_name(const struct sm_def *def, unsigned state)
{
    return state < def->state_count ? def->state_names[state] : "(no such state)";
}

void sm_set(struct sm *sm, unsigned state)
{
    if (!sm_may(sm, state)) {
        (void)fprintf(stderr, "bug: %s may not go from %s to %s\n", sm->def->name, sm_name(sm),
                state_name(sm->def, state));
        abort();
    }
    sm->state = state;
}

const char *sm_name(const struct sm *sm)
{
    return state_name(sm->def, sm->state);
}
