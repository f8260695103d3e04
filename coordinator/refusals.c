#include "coordinator/refusals.h"

#include <string.h>

enum { MINUTE_MS = 60 * 1000 };

static struct refusal *find(struct refusals *refusals, const char *key_z85)
{
    for (size_t i = 0; i < REFUSALS_KEYS_MAX; i++)
        if (strcmp(refusals->list[i].key, key_z85) == 0)
            return &refusals->list[i];
    return NULL;
}

static bool may_log(struct refusals *refusals, uint64_t now_ms)
{
    if (now_ms - refusals->minute_began_ms >= MINUTE_MS) {
        refusals->minute_began_ms = now_ms;
        refusals->lines = 0;
    }
    if (refusals->lines == REFUSALS_LINES_PER_MINUTE)
        return false;
    refusals->lines++;
    return true;
}

bool refusals_tell(struct refusals *refusals, const char *key_z85, uint64_t now_ms)
{
    struct refusal *refusal = find(refusals, key_z85);
    if (refusal && now_ms - refusal->told_ms < REFUSALS_REPEAT_MS)
        return false;
    if (!may_log(refusals, now_ms))
        return false;
    if (!refusal) {
        refusal = &refusals->list[refusals->next];
        refusals->next = (refusals->next + 1) % REFUSALS_KEYS_MAX;
        strcpy(refusal->key, key_z85);
    }
    refusal->told_ms = now_ms;
    return true;
}
