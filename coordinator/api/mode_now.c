#include "coordinator/api/mode_now.h"

#include "coordinator/api/explaining.h"

#include <errno.h>
#include <stdlib.h>

int mode_now_find(const struct call *call, const struct mode *mode, struct mode_now *ret_now)
{
    struct explaining *it = calloc(1, sizeof(*it));
    struct err err;
    if (!it)
        return -ENOMEM;
    it->call = call;
    it->query.tokens = MODE_NOW_TOKENS;
    it->plan_only = true;
    int r = explaining_prepare_mode(it, mode, &err);
    if (!r)
        r = explaining_decide(it);
    if (!r)
        *ret_now = (struct mode_now){
                .mode = it->mode, .plan = it->explanation.plan, .waits = explaining_waits(it)};
    free(it);
    return r;
}
