#include "coordinator/scheduling/prefix_table.h"

#include <string.h>

_Static_assert(sizeof(struct prefix_entry) == 16, "four entries in a cache line");

void prefix_table_init(struct prefix_table *table, void *memory, size_t bytes, void *rows_memory,
        size_t rows_bytes)
{
    size_t room = bytes / sizeof(struct prefix_entry);
    *table = (struct prefix_table){
            .at = memory, .room = (uint32_t)(room < UINT32_MAX ? room : UINT32_MAX)};
    table->count_max = table->room - (table->room + 3) / 4;
    prefix_rows_init(&table->rows, rows_memory, rows_bytes);
}

/* --- entries */

static uint32_t next_of(const struct prefix_table *table, uint32_t i)
{
    return i + 1 < table->room ? i + 1 : 0;
}

/* Where the key is, or the empty place where it would be. */
static struct prefix_entry *place_of(const struct prefix_table *table, uint64_t key)
{
    uint32_t i = prefix_table_home(table, key);
    while (table->at[i].tag && table->at[i].key != key)
        i = next_of(table, i);
    return &table->at[i];
}

static struct prefix_entry *find(const struct prefix_table *table, uint64_t key)
{
    struct prefix_entry *entry = place_of(table, key);
    return entry->tag ? entry : NULL;
}

const struct prefix_entry *prefix_table_find(const struct prefix_table *table, uint64_t key)
{
    return find(table, key);
}

/* True where going on from `home` passes `hole` before it comes to `at`. */
static bool passes(uint32_t home, uint32_t hole, uint32_t at)
{
    return hole < at ? home <= hole || home > at : home <= hole && home > at;
}

/* What was found by going on over this place moves up, so that no trace stays. */
static void remove_entry(struct prefix_table *table, struct prefix_entry *entry)
{
    uint32_t hole = (uint32_t)(entry - table->at);
    for (uint32_t at = next_of(table, hole); table->at[at].tag; at = next_of(table, at)) {
        if (!passes(prefix_table_home(table, table->at[at].key), hole, at))
            continue;
        table->at[hole] = table->at[at];
        hole = at;
    }
    table->at[hole] = (struct prefix_entry){0};
    table->count--;
}

/* --- a few holders */

static uint16_t few_of(uint32_t number, enum prefix_held held)
{
    return (uint16_t)(number + held * PREFIX_NUMBERS_MAX);
}

static uint16_t *find_few(struct prefix_entry *entry, uint32_t number)
{
    for (uint16_t i = 0; i < entry->tag; i++)
        if (prefix_few_number(entry->few[i]) == number)
            return &entry->few[i];
    return NULL;
}

/* Takes out the number, and with the last one the entry. */
static void clear_few(struct prefix_table *table, struct prefix_entry *entry, uint32_t number)
{
    uint16_t *few = find_few(entry, number);
    if (!few)
        return;
    *few = entry->few[--entry->tag];
    if (entry->tag)
        return;
    entry->tag = 1; /* removing goes by it */
    remove_entry(table, entry);
}

/* --- rows */

/* A bit in each half of a row: held; used, where it is held, else a ghost. */
struct bits {
    uint64_t *held, *used, mask;
};

static bool is_row(const struct prefix_entry *entry)
{
    return entry->tag & PREFIX_TAG_ROW;
}

/* The row is wide enough for the number. */
static struct bits bits_of(
        const struct prefix_table *table, const struct prefix_entry *entry, uint32_t number)
{
    uint64_t *row = prefix_rows_at(&table->rows, prefix_entry_row(entry));
    return (struct bits){.held = &row[number / 64],
            .used = &row[prefix_entry_words(entry) + number / 64],
            .mask = UINT64_C(1) << number % 64};
}

static enum prefix_held get_bits(struct bits bits)
{
    if (*bits.held & bits.mask)
        return *bits.used & bits.mask ? PREFIX_HELD_HOT : PREFIX_HELD_COLD;
    return *bits.used & bits.mask ? PREFIX_HELD_GHOST : PREFIX_HELD_NOT;
}

static void set_bits(struct bits bits, enum prefix_held held)
{
    bool is_held = held == PREFIX_HELD_COLD || held == PREFIX_HELD_HOT;
    bool is_used = held == PREFIX_HELD_GHOST || held == PREFIX_HELD_HOT;
    *bits.held = is_held ? *bits.held | bits.mask : *bits.held & ~bits.mask;
    *bits.used = is_used ? *bits.used | bits.mask : *bits.used & ~bits.mask;
}

static void point_to(struct prefix_entry *entry, uint32_t row, unsigned width, uint16_t count)
{
    entry->row_low = (uint16_t)row;
    entry->row_high = (uint16_t)(row >> 16);
    entry->count = count;
    entry->tag = (uint16_t)(PREFIX_TAG_ROW | width);
}

static bool widen(struct prefix_table *table, struct prefix_entry *entry, uint32_t number)
{
    uint32_t old = prefix_entry_row(entry), words = prefix_entry_words(entry);
    unsigned width = prefix_rows_width(number);
    uint32_t row = prefix_rows_take(&table->rows, width);
    if (row == PREFIX_ROWS_NONE)
        return false;
    const uint64_t *from = prefix_rows_at(&table->rows, old);
    uint64_t *to = prefix_rows_at(&table->rows, row);
    memcpy(to, from, words * sizeof(*to));
    memcpy(to + prefix_rows_words(width), from + words, words * sizeof(*to));
    prefix_rows_give(&table->rows, old);
    point_to(entry, row, width, entry->count);
    return true;
}

/* The few become a row that has a place for `number` too. */
static bool spread(struct prefix_table *table, struct prefix_entry *entry, uint32_t number)
{
    struct prefix_entry few = *entry;
    uint32_t most = number;
    for (uint16_t i = 0; i < few.tag; i++)
        if (prefix_few_number(few.few[i]) > most)
            most = prefix_few_number(few.few[i]);
    unsigned width = prefix_rows_width(most);
    uint32_t row = prefix_rows_take(&table->rows, width);
    if (row == PREFIX_ROWS_NONE)
        return false;
    point_to(entry, row, width, few.tag);
    for (uint16_t i = 0; i < few.tag; i++)
        set_bits(bits_of(table, entry, prefix_few_number(few.few[i])), prefix_few_held(few.few[i]));
    return true;
}

/* The other way round: no more are left in the row than fit in the entry. */
static void gather(struct prefix_table *table, struct prefix_entry *entry)
{
    uint32_t row = prefix_entry_row(entry), words = prefix_entry_words(entry);
    const uint64_t *at = prefix_rows_at(&table->rows, row);
    struct prefix_entry few = {.key = entry->key};
    for (uint32_t w = 0; w < words; w++) {
        for (uint64_t left = at[w] | at[words + w]; left; left &= left - 1) {
            uint32_t number = w * 64 + (uint32_t)__builtin_ctzll(left);
            few.few[few.tag++] = few_of(number, get_bits(bits_of(table, entry, number)));
        }
    }
    prefix_rows_give(&table->rows, row);
    *entry = few;
}

static bool row_reaches(const struct prefix_entry *entry, uint32_t number)
{
    return number / 64 < prefix_entry_words(entry);
}

static bool set_in_row(struct prefix_table *table, struct prefix_entry *entry, uint32_t number,
        enum prefix_held held)
{
    if (!row_reaches(entry, number) && !widen(table, entry, number))
        return false;
    struct bits bits = bits_of(table, entry, number);
    if (get_bits(bits) == PREFIX_HELD_NOT)
        entry->count++;
    set_bits(bits, held);
    return true;
}

static void clear_in_row(struct prefix_table *table, struct prefix_entry *entry, uint32_t number)
{
    if (!row_reaches(entry, number))
        return;
    struct bits bits = bits_of(table, entry, number);
    if (get_bits(bits) == PREFIX_HELD_NOT)
        return;
    set_bits(bits, PREFIX_HELD_NOT);
    if (--entry->count == PREFIX_FEW)
        gather(table, entry);
}

/* --- one holder of one block */

enum prefix_held prefix_table_get(const struct prefix_table *table, uint64_t key, uint32_t number)
{
    struct prefix_entry *entry = find(table, key);
    if (!entry)
        return PREFIX_HELD_NOT;
    if (is_row(entry))
        return row_reaches(entry, number) ? get_bits(bits_of(table, entry, number))
                                          : PREFIX_HELD_NOT;
    const uint16_t *few = find_few(entry, number);
    return few ? prefix_few_held(*few) : PREFIX_HELD_NOT;
}

static void clear(struct prefix_table *table, uint64_t key, uint32_t number)
{
    struct prefix_entry *entry = find(table, key);
    if (entry && is_row(entry))
        clear_in_row(table, entry, number);
    else if (entry)
        clear_few(table, entry, number);
}

static bool set_few(struct prefix_table *table, struct prefix_entry *entry, uint32_t number,
        enum prefix_held held)
{
    uint16_t *few = find_few(entry, number);
    if (few)
        *few = few_of(number, held);
    else if (entry->tag < PREFIX_FEW)
        entry->few[entry->tag++] = few_of(number, held);
    else
        return spread(table, entry, number) && set_in_row(table, entry, number, held);
    return true;
}

bool prefix_table_set(
        struct prefix_table *table, uint64_t key, uint32_t number, enum prefix_held held)
{
    if (held == PREFIX_HELD_NOT) {
        clear(table, key, number);
        return true;
    }
    struct prefix_entry *entry = place_of(table, key);
    if (is_row(entry))
        return set_in_row(table, entry, number, held);
    if (!entry->tag) {
        if (table->count == table->count_max)
            return false;
        table->count++;
        entry->key = key;
    }
    return set_few(table, entry, number, held);
}
