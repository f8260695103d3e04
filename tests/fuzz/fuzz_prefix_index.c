/* What is done to an index, byte by byte, against the naive one: with memory for all they agree to
 * the block; with little, the bound holds, and nobody is said to hold what it was never sent. */
#include "coordinator/scheduling/prefix_index.h"
#include "tests/lib/naive_prefixes.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    NUMBERS = 70,
    LEN_MAX = 40,
    SHARED = 20, /* blocks that many begin with */
    FEW = 96,    /* ends: as many blocks as fit in the naive one, and more than in a small index */
    ROOMY = 1 << 20,
};

struct run {
    const uint8_t *data;
    size_t left;
    struct prefix_index *index;
    struct prefix_group *group;
    struct naive_prefixes naive; /* short of memory: with room for all that was ever noted */
    bool is_short;
    bool alive[NUMBERS];
    uint64_t chain[LEN_MAX];
    size_t len;
};

static uint8_t take(struct run *run)
{
    return run->left ? run->left--, *run->data++ : 0;
}

static void take_chain(struct run *run)
{
    uint64_t which = take(run) % (run->is_short ? FEW : 256), hash = 1;
    run->len = take(run) % (LEN_MAX + 1);
    for (size_t i = 0; i < run->len; i++) {
        hash = (hash ^ (i < SHARED ? which % 4 : which)) * UINT64_C(0x9e3779b97f4a7c15) + 1;
        run->chain[i] = hash ^= hash >> 29;
    }
}

static void compare(struct run *run)
{
    uint32_t blocks[NUMBERS] = {0};
    prefix_find(run->group, run->chain, run->len, blocks);
    for (uint32_t i = 0; i < prefix_group_holders(run->group); i++) {
        uint32_t naive = naive_prefixes_find(&run->naive, i, run->chain, run->len);
        assert(run->is_short ? blocks[i] <= naive : blocks[i] == naive);
    }
    assert(prefix_index_bytes(run->index) <= (run->is_short ? PREFIX_BYTES_MIN : ROOMY));
}

static void compare_sums(const struct run *run)
{
    size_t held = prefix_index_held(run->index), naive_held = naive_prefixes_held(&run->naive);
    assert(run->is_short ? held <= naive_held : held == naive_held);
}

static void come_or_go(struct run *run, uint32_t number)
{
    uint32_t capacity = take(run), added;
    capacity = run->is_short ? 8 * capacity : capacity / 2;
    if (run->alive[number]) {
        prefix_holder_drop(run->group, number);
        naive_prefixes_drop(&run->naive, number);
        run->alive[number] = false;
    } else if (prefix_group_holders(run->group) < NUMBERS &&
               prefix_holder_add(run->group, capacity, &added) == 0) {
        assert(!run->alive[added]);
        run->alive[added] = true;
        naive_prefixes_add(&run->naive, added, run->is_short ? NAIVE_CAPACITY_MAX : capacity);
    }
}

static void note(struct run *run, uint32_t number)
{
    prefix_note(run->group, number, run->chain, run->len);
    naive_prefixes_note(&run->naive, number, run->chain, run->len);
}

static void step(struct run *run)
{
    uint8_t what = take(run);
    uint32_t number = take(run) % NUMBERS;
    if (what % 8 == 0) {
        come_or_go(run, number);
    } else if (what % 8 == 1) {
        prefix_index_work(run->index, take(run));
        compare_sums(run);
    } else if (run->alive[number]) {
        take_chain(run);
        size_t kept = what % 8 == 2 ? take(run) : run->len;
        if (what % 8 != 2)
            note(run, number);
        prefix_correct(run->group, number, run->chain, run->len, kept);
        naive_prefixes_correct(&run->naive, number, run->chain, run->len, kept);
    }
    compare(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run *run = calloc(1, sizeof(*run));
    assert(run);
    run->data = data;
    run->left = size;
    run->is_short = take(run) & 1;
    run->index = prefix_index_create(run->is_short ? PREFIX_BYTES_MIN : ROOMY);
    int r = prefix_group_create(run->index, take(run), &run->group);
    assert(r == 0);
    while (run->left)
        step(run);
    compare_sums(run);
    naive_prefixes_fini(&run->naive);
    prefix_index_destroy(run->index);
    free(run);
    return 0;
}
