#include "coordinator/dialects/name_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 16 };

void name_set_fini(struct name_set *set)
{
    free(set->names);
    *set = (struct name_set){0};
}

static int grow(struct name_set *set)
{
    size_t room = set->room ? 2 * set->room : ROOM_MIN;
    const char **names = reallocarray(set->names, room, sizeof(*names));
    if (!names)
        return -ENOMEM;
    set->names = names;
    set->room = room;
    return 0;
}

int name_set_add(struct name_set *set, const char *name)
{
    int r = set->count == set->room ? grow(set) : 0;
    if (!r)
        set->names[set->count++] = name;
    return r;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void name_set_sort(struct name_set *set)
{
    if (set->count)
        qsort(set->names, set->count, sizeof(*set->names), compare);
}

bool name_set_has(const struct name_set *set, const char *name)
{
    return set->count && bsearch(&name, set->names, set->count, sizeof(*set->names), compare);
}
