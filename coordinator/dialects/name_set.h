/* Names to look others up in, as many as a client likes: added one by one, then sorted, then asked.
 * They are borrowed. Pure. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct name_set { /* zeroed at first */
    const char **names;
    size_t count, room;
};

void name_set_fini(struct name_set *set);
/* -ENOMEM. */
MUST_CHECK int name_set_add(struct name_set *set, const char *name);
/* Once all are added. */
void name_set_sort(struct name_set *set);
/* After it was sorted. */
bool name_set_has(const struct name_set *set, const char *name);
