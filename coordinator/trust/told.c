#include "coordinator/trust/told.h"

#include <stdio.h>
#include <string.h>

static struct told_line *find(struct told *told, unsigned kind, const char *key)
{
    for (size_t i = 0; i < TOLD_MAX; i++)
        if (told->lines[i].kind == kind && strcmp(told->lines[i].key, key) == 0)
            return &told->lines[i];
    return NULL;
}

static struct told_line *add(struct told *told, unsigned kind, const char *key)
{
    struct told_line *line = &told->lines[told->next];
    told->next = (told->next + 1) % TOLD_MAX;
    (void)snprintf(line->key, sizeof(line->key), "%s", key);
    line->kind = kind;
    return line;
}

bool told_tell(struct told *told, unsigned kind, const char *key_z85, uint64_t now_ms)
{
    struct told_line *line = find(told, kind, key_z85);
    if (line && now_ms - line->at_ms < TOLD_REPEAT_MS)
        return false;
    if (!rate_take(&told->rate, TOLD_LINES_PER_MINUTE, now_ms))
        return false;
    if (!line)
        line = add(told, kind, key_z85);
    line->at_ms = now_ms;
    return true;
}
