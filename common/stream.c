#include "common/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    TABLE_CAP_MIN = 16, /* most links carry few streams: the slots double up to STREAM_TABLE_MAX */
    WORD_BITS = 64,
    TABLE_WORDS = STREAM_TABLE_MAX / WORD_BITS,
};

void stream_writer_init(struct stream_writer *writer, uint32_t window)
{
    writer->credit = window;
}

bool stream_writer_spend(struct stream_writer *writer, uint32_t n)
{
    if (n > writer->credit)
        return false;
    writer->credit -= n;
    return true;
}

int stream_writer_grant(struct stream_writer *writer, uint32_t n)
{
    if (n > UINT32_MAX - writer->credit)
        return -EPROTO;
    writer->credit += n;
    return 0;
}

void stream_reader_init(struct stream_reader *reader, uint32_t window)
{
    *reader = (struct stream_reader){.window = window, .outstanding = window};
}

int stream_reader_receive(struct stream_reader *reader, uint32_t n)
{
    if (n > reader->outstanding)
        return -EPROTO;
    reader->outstanding -= n;
    return 0;
}

uint32_t stream_reader_take(struct stream_reader *reader, uint32_t n)
{
    assert(n <= reader->window - reader->outstanding - reader->taken);
    reader->taken += n;
    if (reader->taken < reader->window - reader->window / 2)
        return 0;
    uint32_t credit = reader->taken;
    reader->taken = 0;
    reader->outstanding += credit;
    return credit;
}

struct slot {
    void *stream;        /* NULL: free */
    uint16_t generation; /* of the stream that is here, or of the next one */
};

struct stream_table {
    struct slot *slots;
    size_t cap, count;
    uint64_t used[TABLE_WORDS]; /* one bit for each index */
    uint32_t epoch;
};

struct stream_table *stream_table_create(uint32_t epoch)
{
    struct stream_table *table = calloc(1, sizeof(*table));
    if (table)
        table->epoch = epoch;
    return table;
}

void stream_table_destroy(struct stream_table *table)
{
    if (!table)
        return;
    free(table->slots);
    free(table);
}

static uint64_t make_id(const struct stream_table *table, size_t index)
{
    return (uint64_t)table->epoch << 32 | (uint64_t)table->slots[index].generation << 16 | index;
}

static uint32_t id_epoch(uint64_t id)
{
    return (uint32_t)(id >> 32);
}

static uint16_t id_generation(uint64_t id)
{
    return (uint16_t)(id >> 16);
}

static size_t id_index(uint64_t id)
{
    return id & UINT16_MAX;
}

/* Makes room for `index`, which is below STREAM_TABLE_MAX. */
static int grow_to(struct stream_table *table, size_t index)
{
    size_t cap = table->cap ? table->cap : TABLE_CAP_MIN;
    while (cap <= index)
        cap *= 2;
    if (cap == table->cap)
        return 0;
    struct slot *slots = realloc(table->slots, cap * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = table->cap; i < cap; i++)
        slots[i] = (struct slot){.stream = NULL};
    table->slots = slots;
    table->cap = cap;
    return 0;
}

/* Lowest free index; the table is not full. */
static size_t free_index(const struct stream_table *table)
{
    size_t word = 0;
    while (table->used[word] == UINT64_MAX)
        word++;
    return word * WORD_BITS + (size_t)__builtin_ctzll(~table->used[word]);
}

static void occupy(struct stream_table *table, size_t index, void *stream)
{
    table->slots[index].stream = stream;
    table->used[index / WORD_BITS] |= UINT64_C(1) << index % WORD_BITS;
    table->count++;
}

static void vacate(struct stream_table *table, size_t index)
{
    table->slots[index].stream = NULL;
    table->slots[index].generation++;
    table->used[index / WORD_BITS] &= ~(UINT64_C(1) << index % WORD_BITS);
    table->count--;
}

int stream_table_add(struct stream_table *table, void *stream, uint64_t *ret_id)
{
    assert(stream);
    if (table->count == STREAM_TABLE_MAX)
        return -ENFILE;
    size_t index = free_index(table);
    int r = grow_to(table, index);
    if (r < 0)
        return r;
    occupy(table, index, stream);
    *ret_id = make_id(table, index);
    return 0;
}

int stream_table_put(struct stream_table *table, uint64_t id, void *stream)
{
    assert(stream);
    size_t index = id_index(id);
    if (id_epoch(id) != table->epoch || index >= STREAM_TABLE_MAX)
        return -EPROTO;
    int r = grow_to(table, index);
    if (r < 0)
        return r;
    if (table->slots[index].stream)
        return -EEXIST;
    table->slots[index].generation = id_generation(id);
    occupy(table, index, stream);
    return 0;
}

void *stream_table_get(const struct stream_table *table, uint64_t id)
{
    size_t index = id_index(id);
    if (id_epoch(id) != table->epoch || index >= table->cap)
        return NULL;
    const struct slot *slot = &table->slots[index];
    return slot->generation == id_generation(id) ? slot->stream : NULL;
}

void stream_table_remove(struct stream_table *table, uint64_t id)
{
    if (stream_table_get(table, id))
        vacate(table, id_index(id));
}

size_t stream_table_count(const struct stream_table *table)
{
    return table->count;
}

void stream_table_each(
        struct stream_table *table, void (*fn)(void *ctx, uint64_t id, void *stream), void *ctx)
{
    for (size_t i = 0; i < table->cap; i++) {
        if (table->slots[i].stream)
            fn(ctx, make_id(table, i), table->slots[i].stream);
    }
}
