#include "node/budget.h"

/* Memory that will be there: under the limit, and free in the host. */
struct room {
    uint64_t used_bytes, available_bytes;
};

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t subtract(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

uint64_t budget_model_bytes(uint64_t file_bytes)
{
    uint64_t margin = file_bytes / BUDGET_MARGIN_DIVISOR;

    return add(file_bytes, margin > BUDGET_MARGIN_MIN_BYTES ? margin : BUDGET_MARGIN_MIN_BYTES);
}

uint64_t budget_used_bytes(const struct budget_entry *entries, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum = add(sum, entries[i].memory_bytes);
    return sum;
}

static bool fits(const struct budget_ask *ask, struct room room)
{
    return add(room.used_bytes, ask->wanted_bytes) <= ask->limit_bytes &&
           ask->wanted_bytes <= room.available_bytes;
}

static struct room room_without(struct room room, const struct budget_entry *entry)
{
    return (struct room){subtract(room.used_bytes, entry->memory_bytes),
            add(room.available_bytes, entry->memory_bytes)};
}

static struct room room_with(struct room room, const struct budget_entry *entry)
{
    return (struct room){add(room.used_bytes, entry->memory_bytes),
            subtract(room.available_bytes, entry->memory_bytes)};
}

static struct budget_entry *oldest_evictable(struct budget_entry *entries, size_t count)
{
    struct budget_entry *oldest = NULL;

    for (size_t i = 0; i < count; i++)
        if (entries[i].evictable && !entries[i].evict && !entries[i].leaving &&
                (oldest == NULL || entries[i].used_at_ms < oldest->used_at_ms))
            oldest = &entries[i];
    return oldest;
}

static struct budget_entry *newest_spared(
        const struct budget_ask *ask, struct room room, struct budget_entry *entries, size_t count)
{
    struct budget_entry *newest = NULL;

    for (size_t i = 0; i < count; i++)
        if (entries[i].evict && fits(ask, room_with(room, &entries[i])) &&
                (newest == NULL || entries[i].used_at_ms > newest->used_at_ms))
            newest = &entries[i];
    return newest;
}

/* Marks the least recently used until the rest leaves room, then spares what turns out not to be
 * needed. */
static bool mark_evictions(
        const struct budget_ask *ask, struct room room, struct budget_entry *entries, size_t count)
{
    struct budget_entry *entry;

    while (!fits(ask, room)) {
        entry = oldest_evictable(entries, count);
        if (entry == NULL)
            return false;
        entry->evict = true;
        room = room_without(room, entry);
    }
    while ((entry = newest_spared(ask, room, entries, count)) != NULL) {
        entry->evict = false;
        room = room_with(room, entry);
    }
    return true;
}

/* The room once all that may ever go by itself is gone. */
static bool fits_later(const struct budget_ask *ask, struct room room,
        const struct budget_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].leaving || entries[i].busy || entries[i].evictable)
            room = room_without(room, &entries[i]);
    return fits(ask, room);
}

static bool fits_after_leaving(const struct budget_ask *ask, struct room room,
        const struct budget_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].leaving)
            room = room_without(room, &entries[i]);
    return fits(ask, room);
}

enum budget_verdict budget_plan(
        const struct budget_ask *ask, struct budget_entry *entries, size_t count)
{
    struct room room = {budget_used_bytes(entries, count), ask->available_bytes};

    for (size_t i = 0; i < count; i++)
        entries[i].evict = false;
    if (fits(ask, room))
        return BUDGET_LOAD;
    if (fits_after_leaving(ask, room, entries, count))
        return BUDGET_WAIT;
    if (mark_evictions(ask, room, entries, count))
        return BUDGET_EVICT;
    for (size_t i = 0; i < count; i++)
        entries[i].evict = false;
    return fits_later(ask, room, entries, count) ? BUDGET_WAIT : BUDGET_REFUSE;
}
