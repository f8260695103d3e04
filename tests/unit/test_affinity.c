#include "coordinator/scheduling/affinity.h"

#include "tests/lib/short_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void ids_tell_tenants_and_texts_apart(void **state)
{
    static const char *const words[] = {"", "a", "b", "ab", "ba", "aab"};
    enum { WORDS = sizeof(words) / sizeof(*words) };
    struct affinities *table = affinities_create(1, 5), *other = affinities_create(1, 6);
    uint64_t ids[WORDS * WORDS];
    (void)state;
    for (size_t i = 0; i < WORDS * WORDS; i++) {
        ids[i] = affinity_id(table, words[i / WORDS], words[i % WORDS]);
        assert_true(ids[i] != 0);
        assert_true(ids[i] == affinity_id(table, words[i / WORDS], words[i % WORDS]));
        assert_true(ids[i] != affinity_id(other, words[i / WORDS], words[i % WORDS]));
        for (size_t j = 0; j < i; j++)
            assert_true(ids[i] != ids[j]);
    }
    affinities_destroy(table);
    affinities_destroy(other);
    assert_true(affinity_model("") != 0);
    assert_true(affinity_model("m") == affinity_model("m"));
    assert_true(affinity_model("m") != affinity_model("n"));
}

static void what_is_noted_of_a_conversation_stays(void **state)
{
    (void)state;
    struct affinities *table = affinities_create(10, 5);
    assert_null(affinities_find(table, 7, 1));
    struct affinity *first = affinities_touch(table, 7, 1);
    assert_true(first->id == 7 && first->seen_s == 1);
    assert_true(first->epoch == 0 && first->model == 0 && first->mode == UINT16_MAX);
    assert_true(!first->mode_is_marked && first->level == 0);
    first->epoch = 3;
    first->mode = 2;
    assert_ptr_equal(affinities_find(table, 7, 50), first);
    assert_true(first->seen_s == 1); /* it was only looked at */
    assert_null(affinities_find(table, 8, 50));
    first = affinities_touch(table, 7, 60);
    assert_true(first->epoch == 3 && first->mode == 2 && first->seen_s == 60);
    assert_int_equal(affinities_count(table), 1);
    affinities_destroy(table);
    affinities_destroy(NULL);
}

static void the_one_not_seen_for_the_longest_goes(void **state)
{
    (void)state;
    struct affinities *table = affinities_create(3, 5);
    for (uint64_t id = 1; id <= 3; id++)
        affinities_touch(table, id, (double)id);
    affinities_find(table, 2, 4); /* nor does looking make it new */
    affinities_touch(table, 1, 4);
    affinities_touch(table, 4, 5);
    assert_null(affinities_find(table, 2, 5));
    affinities_touch(table, 5, 6);
    assert_null(affinities_find(table, 3, 6));
    for (uint64_t id = 1; id <= 5; id++)
        assert_true((affinities_find(table, id, 6) != NULL) == (id != 2 && id != 3));
    assert_int_equal(affinities_count(table), 3);
    affinities_destroy(table);
}

static void the_idle_are_forgotten(void **state)
{
    (void)state;
    struct affinities *table = affinities_create(10, 5);
    affinities_touch(table, 1, 100)->epoch = 9;
    affinities_touch(table, 2, 200);
    assert_non_null(affinities_find(table, 1, 100 + AFFINITY_IDLE_S));
    assert_null(affinities_find(table, 1, 101 + AFFINITY_IDLE_S));
    assert_int_equal(affinities_touch(table, 1, 101 + AFFINITY_IDLE_S)->epoch, 0);
    assert_int_equal(affinities_count(table), 2);
    affinities_touch(table, 3, 300 + AFFINITY_IDLE_S);
    assert_int_equal(affinities_count(table), 2); /* the second made room */
    affinities_destroy(table);
}

static void sizes_have_limits(void **state)
{
    (void)state;
    struct affinities *table = affinities_create(0, 5);
    affinities_touch(table, 1, 1);
    affinities_touch(table, 2, 2);
    assert_int_equal(affinities_count(table), 1);
    affinities_destroy(table);

    table = affinities_create(SIZE_MAX, 5);
    for (uint64_t id = 1; id <= AFFINITIES_MAX + 10; id++)
        assert_non_null(affinities_touch(table, id << 20, 1));
    assert_int_equal(affinities_count(table), AFFINITIES_MAX);
    assert_null(affinities_find(table, UINT64_C(10) << 20, 1));
    assert_non_null(affinities_find(table, UINT64_C(11) << 20, 1));
    affinities_destroy(table);
}

static void each_allocation_fails_once(void **state)
{
    size_t failures = 0;
    (void)state;
    for (bool failed = true; failed; failures += failed) {
        short_memory_begin(failures);
        struct affinities *table = affinities_create(200, 5);
        uint64_t made = 0;
        while (table && made < 200 && affinities_touch(table, made + 1, 1))
            made++;
        failed = short_memory_end();
        assert_true(failed == (made < 200));
        for (uint64_t id = 1; id <= made; id++)
            assert_non_null(affinities_find(table, id, 1));
        if (table) {
            assert_int_equal(affinities_count(table), made);
            assert_non_null(affinities_touch(table, made + 1, 1)); /* it goes on */
        }
        affinities_destroy(table);
    }
    assert_int_equal(failures, 7);
}

/* --- any order, against a list in the order of use */

enum {
    STEPS = 20000,
    MAX = 40,
    IDS = 90,
};

struct naive {
    struct affinity list[MAX + 1]; /* the newest first */
    size_t count;
};

static void naive_remove(struct naive *naive, size_t at)
{
    naive->count--;
    memmove(&naive->list[at], &naive->list[at + 1], (naive->count - at) * sizeof(naive->list[0]));
}

static size_t naive_find(struct naive *naive, uint64_t id, double now_s)
{
    while (naive->count && now_s - naive->list[naive->count - 1].seen_s > AFFINITY_IDLE_S)
        naive->count--;
    size_t at = 0;
    while (at < naive->count && naive->list[at].id != id)
        at++;
    return at;
}

static void naive_touch(struct naive *naive, uint64_t id, uint32_t epoch, double now_s)
{
    size_t at = naive_find(naive, id, now_s);
    if (at < naive->count)
        naive_remove(naive, at);
    else if (naive->count == MAX)
        naive->count--;
    memmove(&naive->list[1], &naive->list[0], naive->count * sizeof(naive->list[0]));
    naive->list[0] = (struct affinity){.id = id, .epoch = epoch, .seen_s = now_s};
    naive->count++;
}

static uint32_t roll(uint64_t *dice, uint32_t sides)
{
    *dice = *dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*dice >> 33) % sides;
}

static void run(uint64_t seed)
{
    struct affinities *table = affinities_create(MAX, 5);
    struct naive naive = {.count = 0};
    uint64_t dice = seed;
    double now_s = 0;
    for (uint32_t step = 1; step <= STEPS; step++) {
        now_s += roll(&dice, 100) ? roll(&dice, 200) : roll(&dice, 2 * AFFINITY_IDLE_S);
        uint64_t id = 1 + (uint64_t)roll(&dice, IDS) * 64;
        if (roll(&dice, 2)) {
            affinities_touch(table, id, now_s)->epoch = step;
            naive_touch(&naive, id, step, now_s);
            assert_int_equal(affinities_count(table), naive.count);
        }
        id = 1 + (uint64_t)roll(&dice, IDS) * 64;
        const struct affinity *found = affinities_find(table, id, now_s);
        size_t at = naive_find(&naive, id, now_s);
        if ((found != NULL) != (at < naive.count) ||
                (found && found->epoch != naive.list[at].epoch))
            fail_msg("MODEMESH_SEED=%" PRIu64 ": step %u is not as the naive one", seed, step);
    }
    affinities_destroy(table);
}

static void any_order_is_as_the_naive_one(void **state)
{
    const char *seed = getenv("MODEMESH_SEED");
    (void)state;
    if (seed)
        run(strtoull(seed, NULL, 10));
    for (uint64_t i = 1; !seed && i <= 8; i++)
        run(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(ids_tell_tenants_and_texts_apart),
            cmocka_unit_test(what_is_noted_of_a_conversation_stays),
            cmocka_unit_test(the_one_not_seen_for_the_longest_goes),
            cmocka_unit_test(the_idle_are_forgotten),
            cmocka_unit_test(sizes_have_limits),
            cmocka_unit_test(each_allocation_fails_once),
            cmocka_unit_test(any_order_is_as_the_naive_one),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("affinity", tests, NULL, NULL);
}
