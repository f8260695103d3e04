#include "coordinator/scheduling/prefix_index.h"

#include "tests/lib/naive_prefixes.h"
#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LARGE = 64 << 20,
    HOLDERS = 2000,
    CHAIN_MAX = 200,
    SEED = 11,
};

/* --- an index with one group */

struct bench {
    struct prefix_index *index;
    struct prefix_group *group;
    size_t max_bytes;
};

static void open_bench(struct bench *bench, size_t max_bytes)
{
    *bench = (struct bench){.index = prefix_index_create(max_bytes), .max_bytes = max_bytes};
    assert_non_null(bench->index);
    assert_int_equal(prefix_group_create(bench->index, SEED, &bench->group), 0);
}

static void close_bench(struct bench *bench)
{
    assert_true(prefix_index_bytes(bench->index) <= bench->max_bytes);
    prefix_index_destroy(bench->index);
}

static uint32_t add_holder(struct bench *bench, uint32_t capacity)
{
    uint32_t holder;
    assert_int_equal(prefix_holder_add(bench->group, capacity, &holder), 0);
    return holder;
}

static void note(struct bench *bench, uint32_t holder, const uint64_t *chain, size_t count)
{
    prefix_note(bench->group, holder, chain, count);
    assert_true(prefix_index_bytes(bench->index) <= bench->max_bytes);
}

static uint32_t found(
        const struct bench *bench, uint32_t holder, const uint64_t *chain, size_t count)
{
    static uint32_t blocks[PREFIX_HOLDERS_MAX];
    memset(blocks, 0xee, sizeof(blocks));
    prefix_find(bench->group, chain, count, blocks);
    assert_true(holder < prefix_group_holders(bench->group));
    if (prefix_group_holders(bench->group) < PREFIX_HOLDERS_MAX)
        assert_int_equal(blocks[prefix_group_holders(bench->group)], 0xeeeeeeee);
    return blocks[holder];
}

static uint64_t hash_of(uint64_t before, uint64_t what)
{
    uint64_t x = (before ^ (what + 1)) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 32;
}

/* Blocks `from` to `end` of the conversation `which`; they follow those that are there. */
static void make_chain(uint64_t *chain, size_t from, size_t end, uint64_t which)
{
    for (size_t i = from; i < end; i++)
        chain[i] = hash_of(i ? chain[i - 1] : 0, which);
}

/* --- */

static void what_was_noted_is_found_from_the_beginning(void **state)
{
    struct bench bench;
    uint64_t chain[CHAIN_MAX], other[CHAIN_MAX];
    (void)state;
    open_bench(&bench, LARGE);
    uint32_t a = add_holder(&bench, 1000), b = add_holder(&bench, 1000);
    make_chain(chain, 0, CHAIN_MAX, 1);
    note(&bench, a, chain, 100);
    note(&bench, b, chain, 7);
    assert_int_equal(found(&bench, a, chain, CHAIN_MAX), 100);
    assert_int_equal(found(&bench, b, chain, CHAIN_MAX), 7);
    assert_int_equal(found(&bench, a, chain, 50), 50);
    assert_int_equal(found(&bench, a, chain, 0), 0);
    assert_int_equal(prefix_index_held(bench.index), 107);

    memcpy(other, chain, sizeof(chain));
    make_chain(other, 30, CHAIN_MAX, 2);
    assert_int_equal(found(&bench, a, other, CHAIN_MAX), 30);
    note(&bench, b, other, CHAIN_MAX);
    assert_int_equal(found(&bench, b, other, CHAIN_MAX), CHAIN_MAX);
    assert_int_equal(found(&bench, b, chain, CHAIN_MAX), 30);
    assert_int_equal(prefix_index_held(bench.index), 300);
    close_bench(&bench);
}

static void a_group_without_holders_finds_nothing(void **state)
{
    struct bench bench;
    uint64_t chain[3] = {1, 2, 3};
    (void)state;
    open_bench(&bench, LARGE);
    assert_int_equal(prefix_group_holders(bench.group), 0);
    prefix_find(bench.group, chain, 3, NULL);
    prefix_note(bench.group, PREFIX_NO_HOLDER, chain, 3);
    prefix_correct(bench.group, PREFIX_NO_HOLDER, chain, 3, 0);
    prefix_holder_drop(bench.group, PREFIX_NO_HOLDER);
    assert_int_equal(prefix_index_held(bench.index), 0);
    note(&bench, add_holder(&bench, 0), chain, 3);
    assert_int_equal(prefix_index_held(bench.index), 0);
    prefix_group_destroy(NULL);
    close_bench(&bench);
    prefix_index_destroy(NULL);
}

static void any_number_of_holders_is_told_apart(void **state)
{
    static const uint32_t counts[] = {1, 3, 4, 5, 64, 65, 129, 1024, 1025, HOLDERS};
    uint64_t chain[CHAIN_MAX];
    (void)state;
    make_chain(chain, 0, CHAIN_MAX, 1);
    for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
        static uint32_t blocks[PREFIX_HOLDERS_MAX];
        struct bench bench;
        open_bench(&bench, LARGE);
        for (uint32_t i = 0; i < counts[c]; i++)
            assert_int_equal(add_holder(&bench, CHAIN_MAX), i);
        for (uint32_t i = 0; i < counts[c]; i++)
            note(&bench, i, chain, i * 7 % CHAIN_MAX);
        prefix_find(bench.group, chain, CHAIN_MAX, blocks);
        for (uint32_t i = 0; i < counts[c]; i++)
            assert_int_equal(blocks[i], i * 7 % CHAIN_MAX);
        close_bench(&bench);
    }
}

static void groups_do_not_see_each_other_even_with_one_seed(void **state)
{
    struct bench bench;
    struct prefix_group *other;
    uint64_t chain[CHAIN_MAX];
    uint32_t holder, blocks[1];
    (void)state;
    open_bench(&bench, LARGE);
    make_chain(chain, 0, CHAIN_MAX, 1);
    assert_int_equal(prefix_group_create(bench.index, SEED, &other), 0);
    assert_int_equal(prefix_holder_add(other, 1000, &holder), 0);
    assert_int_equal(holder, add_holder(&bench, 1000));
    note(&bench, holder, chain, 20);
    prefix_find(other, chain, CHAIN_MAX, blocks);
    assert_int_equal(blocks[0], 0);
    prefix_note(other, holder, chain, 10);
    prefix_group_destroy(other);
    assert_int_equal(prefix_index_held(bench.index), 20);
    while (prefix_index_work(bench.index, 3))
        ;
    assert_int_equal(found(&bench, holder, chain, CHAIN_MAX), 20);
    close_bench(&bench);
}

/* --- forgetting */

static void a_prompt_past_the_capacity_leaves_its_beginning(void **state)
{
    struct bench bench;
    uint64_t chain[CHAIN_MAX];
    (void)state;
    open_bench(&bench, LARGE);
    uint32_t holder = add_holder(&bench, 70);
    make_chain(chain, 0, CHAIN_MAX, 1);
    note(&bench, holder, chain, CHAIN_MAX);
    assert_int_equal(found(&bench, holder, chain, CHAIN_MAX), 70);
    assert_int_equal(prefix_index_held(bench.index), 70);
    make_chain(chain, 0, CHAIN_MAX, 2);
    note(&bench, holder, chain, CHAIN_MAX);
    assert_int_equal(found(&bench, holder, chain, CHAIN_MAX), 70);
    assert_int_equal(prefix_index_held(bench.index), 70);
    close_bench(&bench);
}

static void what_is_not_used_is_forgotten_from_its_end(void **state)
{
    struct bench bench;
    uint64_t idle[CHAIN_MAX], busy[CHAIN_MAX];
    (void)state;
    open_bench(&bench, LARGE);
    uint32_t holder = add_holder(&bench, 100);
    make_chain(idle, 0, 60, 1);
    make_chain(busy, 0, 100, 2);
    note(&bench, holder, idle, 60);
    for (size_t len = 10; len <= 100; len += 10) {
        note(&bench, holder, busy, len);
        assert_int_equal(found(&bench, holder, busy, 100), len);
        assert_int_equal(found(&bench, holder, idle, 60), len <= 40 ? 60 : 100 - len);
    }
    close_bench(&bench);
}

/* Two that are always used, with ever new ones beside them. */
static void what_is_used_keeps_its_beginning(void **state)
{
    struct bench bench;
    uint64_t first[CHAIN_MAX], second[CHAIN_MAX], passing[CHAIN_MAX];
    (void)state;
    open_bench(&bench, LARGE);
    uint32_t holder = add_holder(&bench, 150);
    make_chain(first, 0, 40, 1);
    make_chain(second, 0, 40, 2);
    note(&bench, holder, first, 40);
    note(&bench, holder, second, 40);
    for (uint64_t i = 0; i < 200; i++) {
        make_chain(passing, 0, 30, 100 + i);
        assert_int_equal(found(&bench, holder, first, 40), 40);
        assert_int_equal(found(&bench, holder, second, 40), 40);
        note(&bench, holder, first, 40);
        note(&bench, holder, passing, 30);
        note(&bench, holder, second, 40);
        assert_int_equal(found(&bench, holder, passing, 30), 30);
    }
    close_bench(&bench);
}

static void a_smaller_cache_keeps_what_was_used_last(void **state)
{
    struct bench bench;
    uint64_t old[CHAIN_MAX], used[CHAIN_MAX];
    (void)state;
    open_bench(&bench, LARGE);
    uint32_t holder = add_holder(&bench, 300);
    make_chain(old, 0, 150, 1);
    make_chain(used, 0, 90, 2);
    note(&bench, holder, old, 150);
    note(&bench, holder, used, 90);
    note(&bench, holder, used, 90);
    assert_int_equal(prefix_holder_held(bench.group, holder), 240);
    prefix_holder_resize(bench.group, holder, 240);
    assert_int_equal(found(&bench, holder, old, 150), 150);
    prefix_holder_resize(bench.group, holder, 100);
    assert_int_equal(found(&bench, holder, used, 90), 90);
    assert_int_equal(prefix_holder_held(bench.group, holder), 100);
    assert_int_equal(prefix_index_held(bench.index), 100);
    prefix_holder_resize(bench.group, holder, 0);
    assert_int_equal(found(&bench, holder, used, 90), 0);
    note(&bench, holder, used, 90);
    assert_int_equal(prefix_index_held(bench.index), 0);
    close_bench(&bench);
}

static void a_larger_cache_takes_more(void **state)
{
    struct bench bench;
    uint64_t chain[CHAIN_MAX];
    (void)state;
    open_bench(&bench, LARGE);
    uint32_t holder = add_holder(&bench, 10);
    make_chain(chain, 0, CHAIN_MAX, 1);
    note(&bench, holder, chain, CHAIN_MAX);
    prefix_holder_resize(bench.group, holder, 120);
    assert_int_equal(found(&bench, holder, chain, CHAIN_MAX), 10);
    note(&bench, holder, chain, CHAIN_MAX);
    assert_int_equal(found(&bench, holder, chain, CHAIN_MAX), 120);
    prefix_holder_resize(bench.group, PREFIX_NO_HOLDER, 7);
    assert_int_equal(prefix_holder_held(bench.group, PREFIX_NO_HOLDER), 0);
    close_bench(&bench);
}

/* Each turn is the last one and some more: at all times the prompt just noted is whole, although
 * its parts lie all over the ring. */
static void a_growing_conversation_has_no_hole(void **state)
{
    struct bench bench;
    uint64_t chains[4][CHAIN_MAX];
    size_t len[4] = {0};
    (void)state;
    open_bench(&bench, LARGE);
    uint32_t holder = add_holder(&bench, 160);
    for (uint64_t turn = 0; turn < 400; turn++) {
        size_t which = hash_of(turn, 3) % 4, more = 1 + hash_of(turn, 4) % 12;
        if (len[which] + more > 150)
            len[which] = 0;
        make_chain(chains[which], len[which], len[which] + more, 1000 * which + turn);
        len[which] += more;
        note(&bench, holder, chains[which], len[which]);
        assert_int_equal(found(&bench, holder, chains[which], len[which]), len[which]);
        assert_true(prefix_index_held(bench.index) <= 160);
    }
    close_bench(&bench);
}

static void a_correction_takes_what_is_behind(void **state)
{
    struct bench bench;
    uint64_t chain[CHAIN_MAX];
    (void)state;
    open_bench(&bench, LARGE);
    uint32_t holder = add_holder(&bench, 1000), other = add_holder(&bench, 1000);
    make_chain(chain, 0, CHAIN_MAX, 1);
    note(&bench, holder, chain, 100);
    note(&bench, other, chain, 100);
    prefix_correct(bench.group, holder, chain, CHAIN_MAX, 30);
    assert_int_equal(found(&bench, holder, chain, CHAIN_MAX), 30);
    assert_int_equal(found(&bench, other, chain, CHAIN_MAX), 100);
    assert_int_equal(prefix_index_held(bench.index), 130);
    prefix_correct(bench.group, holder, chain, CHAIN_MAX, 30);
    prefix_correct(bench.group, holder, chain, 30, 40);
    assert_int_equal(prefix_index_held(bench.index), 130);
    note(&bench, holder, chain, 50);
    assert_int_equal(found(&bench, holder, chain, CHAIN_MAX), 50);
    prefix_correct(bench.group, holder, chain, CHAIN_MAX, 0);
    assert_int_equal(found(&bench, holder, chain, CHAIN_MAX), 0);
    assert_int_equal(prefix_index_held(bench.index), 100);
    close_bench(&bench);
}

/* --- holders come and go */

static void a_dropped_holder_is_never_found_again(void **state)
{
    struct bench bench;
    uint64_t chain[CHAIN_MAX];
    (void)state;
    open_bench(&bench, LARGE);
    uint32_t gone = add_holder(&bench, 1000), stays = add_holder(&bench, 1000);
    make_chain(chain, 0, CHAIN_MAX, 1);
    note(&bench, gone, chain, CHAIN_MAX);
    note(&bench, stays, chain, 10);
    prefix_holder_drop(bench.group, gone);
    assert_int_equal(prefix_index_held(bench.index), 10);
    assert_int_equal(found(&bench, gone, chain, CHAIN_MAX), 0);
    assert_int_equal(add_holder(&bench, 1000), 2); /* its number is not free yet */

    for (int i = 0; i < CHAIN_MAX / 10; i++) {
        assert_int_equal(prefix_index_work(bench.index, 10), i < CHAIN_MAX / 10 - 1);
        assert_int_equal(found(&bench, stays, chain, CHAIN_MAX), 10);
    }
    assert_int_equal(add_holder(&bench, 1000), gone);
    assert_int_equal(found(&bench, gone, chain, CHAIN_MAX), 0);
    assert_int_equal(found(&bench, stays, chain, CHAIN_MAX), 10);
    close_bench(&bench);
}

static void one_that_held_nothing_is_free_at_once(void **state)
{
    struct bench bench;
    (void)state;
    open_bench(&bench, LARGE);
    assert_int_equal(add_holder(&bench, 10), 0);
    assert_int_equal(add_holder(&bench, 10), 1);
    prefix_holder_drop(bench.group, 1);
    assert_int_equal(prefix_group_holders(bench.group), 1);
    prefix_holder_drop(bench.group, 0);
    assert_int_equal(prefix_group_holders(bench.group), 0);
    assert_int_equal(add_holder(&bench, 10), 0);
    assert_false(prefix_index_work(bench.index, 1));
    close_bench(&bench);
}

static void there_is_a_limit_of_holders(void **state)
{
    struct bench bench;
    uint32_t holder;
    uint64_t chain[2] = {7, 8};
    (void)state;
    open_bench(&bench, LARGE);
    for (uint32_t i = 0; i < PREFIX_HOLDERS_MAX; i++)
        note(&bench, add_holder(&bench, 10), chain, 1 + i % 2);
    assert_int_equal(prefix_holder_add(bench.group, 10, &holder), -ENOSPC);
    assert_int_equal(found(&bench, 4094, chain, 2), 1);
    assert_int_equal(found(&bench, 4095, chain, 2), 2);
    prefix_holder_drop(bench.group, 77);
    assert_int_equal(prefix_holder_add(bench.group, 10, &holder), -ENOSPC);
    assert_false(prefix_index_work(bench.index, 100));
    assert_int_equal(prefix_holder_add(bench.group, 10, &holder), 0);
    assert_int_equal(holder, 77);
    close_bench(&bench);
}

static void a_group_goes_with_all_its_holders(void **state)
{
    struct bench bench;
    uint64_t chain[CHAIN_MAX];
    (void)state;
    open_bench(&bench, LARGE);
    size_t before = prefix_index_bytes(bench.index);
    struct prefix_group *first = bench.group;
    for (uint64_t i = 0; i < 100; i++) {
        make_chain(chain, 0, CHAIN_MAX, i);
        note(&bench, add_holder(&bench, 1000), chain, CHAIN_MAX);
    }
    assert_int_equal(prefix_group_create(bench.index, SEED, &bench.group), 0);
    note(&bench, add_holder(&bench, 1000), chain, CHAIN_MAX);
    prefix_group_destroy(first);
    assert_int_equal(prefix_index_held(bench.index), CHAIN_MAX);
    while (prefix_index_work(bench.index, 100))
        ;
    assert_int_equal(found(&bench, 0, chain, CHAIN_MAX), CHAIN_MAX);
    prefix_group_destroy(bench.group);
    assert_false(prefix_index_work(bench.index, 1000));
    assert_int_equal(prefix_group_create(bench.index, SEED, &bench.group), 0);
    assert_true(prefix_index_bytes(bench.index) - before < 100 * CHAIN_MAX * 16);
    close_bench(&bench);
}

/* --- the bound */

/* How many blocks of new prompts the index can hold. */
static size_t fill(struct bench *bench, uint32_t holders, uint64_t seed)
{
    uint64_t chain[CHAIN_MAX];
    for (uint64_t i = 0; i < 4000; i++) {
        make_chain(chain, 0, 50, seed + i);
        note(bench, (uint32_t)(hash_of(i, seed) % holders), chain, 50);
    }
    return prefix_index_held(bench->index);
}

static void the_bound_holds_and_what_is_dropped_comes_back(void **state)
{
    static const size_t bounds[] = {PREFIX_BYTES_MIN, PREFIX_BYTES_MIN + 4095, 200000, 1 << 20};
    (void)state;
    for (size_t b = 0; b < sizeof(bounds) / sizeof(*bounds); b++) {
        struct bench bench;
        size_t first = 0;
        open_bench(&bench, bounds[b]);
        for (int round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < 10; i++)
                assert_int_equal(add_holder(&bench, 100000), i);
            size_t held = fill(&bench, 10, (uint64_t)round << 32);
            first = first ? first : held;
            assert_true(held >= bounds[b] / 64);
            assert_in_range(held, first / 4 * 3, first / 3 * 4);
            for (uint32_t i = 0; i < 10; i++)
                prefix_holder_drop(bench.group, i);
            assert_int_equal(prefix_index_held(bench.index), 0);
            while (prefix_index_work(bench.index, 100))
                ;
        }
        close_bench(&bench);
    }
}

/* The first ones have taken all there is. */
static void a_late_holder_gets_its_part(void **state)
{
    struct bench bench;
    uint64_t chain[CHAIN_MAX];
    (void)state;
    open_bench(&bench, 1 << 18);
    for (uint32_t i = 0; i < 4; i++)
        add_holder(&bench, 100000);
    fill(&bench, 4, 0);
    uint32_t late = add_holder(&bench, 100000);
    for (uint64_t i = 0; i < 100; i++) {
        make_chain(chain, 0, CHAIN_MAX, 5000 + i);
        note(&bench, late, chain, CHAIN_MAX);
        assert_int_equal(found(&bench, late, chain, CHAIN_MAX), CHAIN_MAX);
    }
    close_bench(&bench);
}

static void what_does_not_fit_is_noted_from_the_beginning(void **state)
{
    enum { LONG = 4000 };
    struct bench bench;
    static uint64_t chain[LONG];
    (void)state;
    open_bench(&bench, PREFIX_BYTES_MIN);
    uint32_t holder = add_holder(&bench, LONG);
    make_chain(chain, 0, LONG, 1);
    note(&bench, holder, chain, LONG);
    uint32_t blocks = found(&bench, holder, chain, LONG);
    assert_in_range(blocks, 1000, 2300);
    assert_int_equal(prefix_index_held(bench.index), blocks);
    make_chain(chain, 0, LONG, 2);
    note(&bench, holder, chain, LONG);
    assert_true(found(&bench, holder, chain, LONG) > 500);
    close_bench(&bench);
}

/* What the dead have left is in nobody's way. */
static void the_dead_make_room_first(void **state)
{
    struct bench bench;
    static uint64_t chain[2000];
    (void)state;
    open_bench(&bench, PREFIX_BYTES_MIN);
    uint32_t dead = add_holder(&bench, 2000), lives = add_holder(&bench, 2000);
    make_chain(chain, 0, 2000, 1);
    note(&bench, dead, chain, 2000);
    uint32_t most = found(&bench, dead, chain, 2000);
    prefix_holder_drop(bench.group, dead);
    make_chain(chain, 0, 2000, 2);
    note(&bench, lives, chain, 2000);
    assert_int_equal(found(&bench, lives, chain, 2000), most);
    close_bench(&bench);
}

static void holders_have_a_share_of_the_bound_too(void **state)
{
    struct bench bench;
    uint32_t count = 0, holder;
    uint64_t chain[3] = {1, 2, 3};
    int r;
    (void)state;
    open_bench(&bench, PREFIX_BYTES_MIN);
    while ((r = prefix_holder_add(bench.group, 10, &holder)) == 0) {
        note(&bench, holder, chain, 3);
        count++;
    }
    assert_int_equal(r, -ENOSPC);
    assert_in_range(count, 20, PREFIX_HOLDERS_MAX - 1);
    assert_true(prefix_index_bytes(bench.index) <= PREFIX_BYTES_MIN);
    assert_int_equal(found(&bench, count - 1, chain, 3), 3);
    struct prefix_group *group;
    while ((r = prefix_group_create(bench.index, 1, &group)) == 0)
        ;
    assert_int_equal(r, -ENOSPC);
    close_bench(&bench);
}

/* --- memory that is refused */

static int set_up(struct bench *bench, uint32_t *ret_holder)
{
    bench->index = prefix_index_create(PREFIX_BYTES_MIN);
    if (!bench->index)
        return -ENOMEM;
    int r = prefix_group_create(bench->index, 1, &bench->group);
    return r ? r : prefix_holder_add(bench->group, 10, ret_holder);
}

static void each_allocation_fails_once(void **state)
{
    size_t failures = 0;
    (void)state;
    for (bool failed = true; failed; failures += failed) {
        struct bench bench = {.max_bytes = PREFIX_BYTES_MIN};
        uint64_t chain[3] = {1, 2, 3};
        uint32_t holder = PREFIX_NO_HOLDER;
        short_memory_begin(failures);
        int r = set_up(&bench, &holder);
        failed = short_memory_end();
        assert_int_equal(r, failed ? -ENOMEM : 0);
        if (!failed) {
            short_memory_begin(0); /* nothing else needs any */
            note(&bench, holder, chain, 3);
            assert_int_equal(found(&bench, holder, chain, 3), 3);
            assert_false(short_memory_end());
        }
        if (bench.index)
            close_bench(&bench);
    }
    assert_int_equal(failures, 8);
}

/* --- any order of all of it, against the naive one */

enum {
    STEPS = 3000,
    NUMBERS = 70, /* some are in a second word */
    WORLD_CAPACITY = 90,
};

struct world {
    struct bench bench;
    struct naive_prefixes naive;
    uint64_t seed, dice, chain[CHAIN_MAX];
    uint32_t capacities[NUMBERS];
    bool alive[NUMBERS];
    size_t len;
};

static uint32_t roll(struct world *world, uint32_t sides)
{
    world->dice = world->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(world->dice >> 33) % sides;
}

/* Most begin like others: each block has few successors, and one of them follows most often. */
static void roll_chain(struct world *world)
{
    world->len = roll(world, 60);
    for (size_t i = 0; i < world->len; i++)
        world->chain[i] = hash_of(i ? world->chain[i - 1] : 0, roll(world, 4) ? 0 : roll(world, 3));
}

static void compare(struct world *world)
{
    uint32_t blocks[NUMBERS] = {0};
    assert_true(prefix_group_holders(world->bench.group) <= NUMBERS);
    prefix_find(world->bench.group, world->chain, world->len, blocks);
    for (uint32_t i = 0; i < prefix_group_holders(world->bench.group); i++) {
        uint32_t expected = naive_prefixes_find(&world->naive, i, world->chain, world->len);
        if (blocks[i] != expected)
            fail_msg("MODEMESH_SEED=%" PRIu64 ": holder %u has %u of %zu blocks, not %u",
                    world->seed, i, blocks[i], world->len, expected);
    }
    assert_int_equal(prefix_index_held(world->bench.index), naive_prefixes_held(&world->naive));
}

static void step_holder(struct world *world, uint32_t number)
{
    if (world->alive[number] && roll(world, 3) == 0) {
        prefix_holder_drop(world->bench.group, number);
        naive_prefixes_drop(&world->naive, number);
        world->alive[number] = false;
        return;
    }
    uint32_t capacity = roll(world, WORLD_CAPACITY), added;
    if (prefix_group_holders(world->bench.group) == NUMBERS)
        return;
    added = add_holder(&world->bench, capacity);
    naive_prefixes_add(&world->naive, added, capacity);
    world->alive[added] = true;
}

static void step(struct world *world)
{
    uint32_t number = roll(world, NUMBERS), what = roll(world, 100);
    roll_chain(world);
    size_t kept = world->len ? roll(world, (uint32_t)world->len + 1) : 0;
    if (what < 8) {
        step_holder(world, number);
    } else if (what < 16) {
        prefix_index_work(world->bench.index, roll(world, 60));
    } else if (world->alive[number] && what < 26) {
        prefix_correct(world->bench.group, number, world->chain, world->len, kept);
        naive_prefixes_correct(&world->naive, number, world->chain, world->len, kept);
    } else if (world->alive[number] && what < 34) {
        uint32_t capacity = roll(world, WORLD_CAPACITY);
        prefix_holder_resize(world->bench.group, number, capacity);
        naive_prefixes_resize(&world->naive, number, capacity);
    } else if (world->alive[number]) {
        note(&world->bench, number, world->chain, world->len);
        naive_prefixes_note(&world->naive, number, world->chain, world->len);
    }
    compare(world);
    roll_chain(world);
    compare(world);
}

static void run_world(uint64_t seed)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->seed = world->dice = seed;
    open_bench(&world->bench, LARGE);
    for (int i = 0; i < STEPS; i++)
        step(world);
    naive_prefixes_fini(&world->naive);
    close_bench(&world->bench);
    free(world);
}

static void any_order_is_as_the_naive_one(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 5, 8, 13, 21, 34};
    const char *seed = getenv("MODEMESH_SEED");
    (void)state;
    if (seed)
        run_world(strtoull(seed, NULL, 10));
    for (size_t i = 0; !seed && i < sizeof(seeds) / sizeof(*seeds); i++)
        run_world(seeds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_was_noted_is_found_from_the_beginning),
            cmocka_unit_test(a_group_without_holders_finds_nothing),
            cmocka_unit_test(any_number_of_holders_is_told_apart),
            cmocka_unit_test(groups_do_not_see_each_other_even_with_one_seed),
            cmocka_unit_test(a_prompt_past_the_capacity_leaves_its_beginning),
            cmocka_unit_test(what_is_not_used_is_forgotten_from_its_end),
            cmocka_unit_test(what_is_used_keeps_its_beginning),
            cmocka_unit_test(a_smaller_cache_keeps_what_was_used_last),
            cmocka_unit_test(a_larger_cache_takes_more),
            cmocka_unit_test(a_growing_conversation_has_no_hole),
            cmocka_unit_test(a_correction_takes_what_is_behind),
            cmocka_unit_test(a_dropped_holder_is_never_found_again),
            cmocka_unit_test(one_that_held_nothing_is_free_at_once),
            cmocka_unit_test(there_is_a_limit_of_holders),
            cmocka_unit_test(a_group_goes_with_all_its_holders),
            cmocka_unit_test(the_bound_holds_and_what_is_dropped_comes_back),
            cmocka_unit_test(a_late_holder_gets_its_part),
            cmocka_unit_test(what_does_not_fit_is_noted_from_the_beginning),
            cmocka_unit_test(the_dead_make_room_first),
            cmocka_unit_test(holders_have_a_share_of_the_bound_too),
            cmocka_unit_test(each_allocation_fails_once),
            cmocka_unit_test(any_order_is_as_the_naive_one),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("prefix_index", tests, NULL, NULL);
}
