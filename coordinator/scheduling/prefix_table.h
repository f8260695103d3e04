/* Which numbered holders have which block: an open-addressing table of 16-byte entries, found by a
 * block's key. An entry names up to three holders; where more have the block, it points to a row of
 * bits (prefix_rows.h). With each holder stand the bits that its CLOCK goes by. All memory is the
 * caller's, and as large from the beginning as it will ever be: an entry is never moved because the
 * table grows, so no operation takes long. One thread. */
#pragma once

#include "common/buf.h"
#include "coordinator/scheduling/prefix_rows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PREFIX_NUMBERS_MAX = 4096, /* holders of one block: 64 words of bits */
    PREFIX_FEW = 3,
};

enum prefix_held {
    PREFIX_HELD_NOT,
    PREFIX_HELD_COLD,  /* not used since the hand came by */
    PREFIX_HELD_HOT,   /* … used */
    PREFIX_HELD_GHOST, /* not held any more, but it still has its place in the holder's ring */
};

struct prefix_entry {
    uint64_t key; /* well mixed: its bits say where the entry is */
    union {
        uint16_t few[PREFIX_FEW]; /* number, and prefix_held above its 12 bits */
        struct {
            uint16_t row_low, row_high, count;
        };
    };
    uint16_t tag; /* how many of `few` there are; or PREFIX_TAG_ROW and the row's width. 0: empty */
};

enum { PREFIX_TAG_ROW = 0x8000 };

struct prefix_table {
    struct prefix_entry *at; /* the caller's memory */
    uint32_t room, count;
    uint32_t count_max; /* three quarters: beyond, looking for what is not there takes long */
    struct prefix_rows rows;
};

/* Both memories are zeroed and stay where they are; they need not be touched before. */
void prefix_table_init(struct prefix_table *table, void *memory, size_t bytes, void *rows_memory,
        size_t rows_bytes);

static inline uint32_t prefix_table_home(const struct prefix_table *table, uint64_t key)
{
    return (uint32_t)((key >> 32) * table->room >> 32);
}

static inline void prefix_table_prefetch(const struct prefix_table *table, uint64_t key)
{
    __builtin_prefetch(&table->at[prefix_table_home(table, key)]);
}

/* NULL where nobody has it. Borrowed until the next change. */
const struct prefix_entry *prefix_table_find(const struct prefix_table *table, uint64_t key);

enum prefix_held prefix_table_get(const struct prefix_table *table, uint64_t key, uint32_t number);
/* False where there is no room for the block, or no row for its holders; nothing is changed then.
 * Where the number is there already, and for PREFIX_HELD_NOT, always true. */
bool prefix_table_set(
        struct prefix_table *table, uint64_t key, uint32_t number, enum prefix_held held);

/* --- an entry */

static inline uint32_t prefix_few_number(uint16_t few)
{
    return few & (PREFIX_NUMBERS_MAX - 1);
}

static inline enum prefix_held prefix_few_held(uint16_t few)
{
    return (enum prefix_held)(few / PREFIX_NUMBERS_MAX);
}

static inline uint32_t prefix_entry_row(const struct prefix_entry *entry)
{
    return (uint32_t)entry->row_high << 16 | entry->row_low;
}

static inline uint32_t prefix_entry_words(const struct prefix_entry *entry)
{
    return prefix_rows_words(entry->tag & (PREFIX_TAG_ROW - 1));
}
