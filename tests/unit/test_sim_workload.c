#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/sim/workload/workload.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static void assert_near(double value, double wanted, double off)
{
    if (!(fabs(value - wanted) <= off))
        fail_msg("%.9g is not %.9g", value, wanted);
}

enum { SESSIONS = 400, TURNS = 3 };

/* Sessions that begin a second apart, each with three requests ten seconds apart. */
static struct workload make(void)
{
    struct workload workload;
    workload_init(&workload);
    for (uint32_t i = 0; i < SESSIONS * TURNS; i++) {
        uint64_t chain[] = {i / TURNS, 1000000 + i};
        struct work work = {.arrival_s = i / TURNS + 10.0 * (i % TURNS),
                .prompt_tokens = 600,
                .output_tokens = 5,
                .session = i / TURNS,
                .block_count = 2};
        assert_int_equal(workload_add(&workload, work, chain), 0);
    }
    workload.sessions = SESSIONS;
    workload.users = 1;
    assert_int_equal(workload_sort(&workload), 0);
    return workload;
}

static void requests_come_in_the_order_of_arrival(void **state)
{
    struct workload workload = make();
    (void)state;
    for (size_t i = 1; i < workload.count; i++)
        assert_true(workload.at[i - 1].arrival_s <= workload.at[i].arrival_s);
    assert_near(workload.at[workload.count - 1].arrival_s, SESSIONS - 1 + 20.0, 1e-9);
    workload_fini(&workload);
}

/* How many requests each session has; the times of each are those of the trace. */
static void count(const struct workload *thinned, uint32_t *ret_turns)
{
    for (size_t i = 0; i < thinned->count; i++) {
        const struct work *work = &thinned->at[i];
        double wanted = work->session + 10.0 * ret_turns[work->session]++;
        assert_near(work->arrival_s, wanted, 1e-9);
    }
}

static void thinning_takes_whole_sessions_and_leaves_their_times(void **state)
{
    struct workload workload = make(), thinned;
    uint32_t turns[SESSIONS] = {0}, kept = 0;
    (void)state;
    assert_int_equal(workload_thin(&workload, 0.25, 3, 7, &thinned), 0);
    count(&thinned, turns);
    for (uint32_t i = 0; i < SESSIONS; i++) {
        assert_true(turns[i] == 0 || turns[i] == TURNS);
        kept += turns[i] > 0;
    }
    assert_in_range(kept, SESSIONS / 6, SESSIONS / 3);
    assert_int_equal(thinned.users, 7);
    for (size_t i = 0; i < thinned.count; i++)
        assert_true(thinned.at[i].user < 7);
    workload_fini(&thinned);
    workload_fini(&workload);
}

static void a_smaller_load_is_a_part_of_a_larger_one(void **state)
{
    struct workload workload = make(), small, large;
    uint32_t in_large[SESSIONS] = {0};
    (void)state;
    assert_int_equal(workload_thin(&workload, 0.2, 9, 1, &small), 0);
    assert_int_equal(workload_thin(&workload, 0.5, 9, 1, &large), 0);
    count(&large, in_large);
    for (size_t i = 0; i < small.count; i++)
        assert_int_equal(in_large[small.at[i].session], TURNS);
    assert_true(small.count > 0 && small.count < large.count);
    workload_fini(&small);
    workload_fini(&large);
    workload_fini(&workload);
}

static void a_load_above_one_has_copies_with_blocks_of_their_own(void **state)
{
    struct workload workload = make(), doubled;
    size_t same = 0;
    (void)state;
    assert_int_equal(workload_thin(&workload, 2, 1, 1, &doubled), 0);
    assert_int_equal(doubled.count, 2 * workload.count);
    assert_int_equal(doubled.sessions, 2 * SESSIONS);
    for (size_t i = 0; i < doubled.count; i++)
        same += workload_chain(&doubled, &doubled.at[i])[0] < SESSIONS;
    assert_int_equal(same, workload.count);
    workload_fini(&doubled);
    workload_fini(&workload);
}

static void a_load_of_nothing_is_nothing(void **state)
{
    struct workload workload = make(), none;
    (void)state;
    assert_int_equal(workload_thin(&workload, 0, 1, 1, &none), 0);
    assert_int_equal(none.count, 0);
    workload_fini(&none);
    workload_fini(&workload);
}

/* Sessions that thinning has left without a request still have their numbers. */
static void more_sessions_than_numbers_are_refused(void **state)
{
    struct workload workload = make(), copies;
    (void)state;
    workload.sessions = UINT32_MAX / 2;
    assert_int_equal(workload_thin(&workload, 2, 1, 1, &copies), 0);
    assert_int_equal(copies.sessions, UINT32_MAX - 1);
    for (size_t i = 0; i < copies.count; i++)
        assert_true(copies.at[i].session % (UINT32_MAX / 2) < SESSIONS);
    assert_int_equal(workload_flood(&copies, 0, 2, 1), -E2BIG);
    workload_fini(&copies);
    assert_int_equal(workload_thin(&workload, 2.1, 1, 1, &copies), -E2BIG);
    assert_int_equal(workload_flood(&workload, 0, 2, 1), 0);
    assert_int_equal(workload.sessions, UINT32_MAX - 1);
    workload_fini(&workload);
}

static size_t requests_of(const struct workload *workload, uint32_t user)
{
    size_t requests = 0;
    for (size_t i = 0; i < workload->count; i++)
        requests += workload->at[i].user == user;
    return requests;
}

static void a_flood_multiplies_one_user_only(void **state)
{
    struct workload workload = make(), flooded;
    (void)state;
    assert_int_equal(workload_thin(&workload, 1, 1, 4, &flooded), 0);
    size_t flooding = requests_of(&flooded, 0), other = requests_of(&flooded, 1);
    assert_int_equal(workload_flood(&flooded, 0, 5, 1), 0);
    assert_int_equal(requests_of(&flooded, 0), 5 * flooding);
    assert_int_equal(requests_of(&flooded, 1), other);
    for (size_t i = 1; i < flooded.count; i++)
        assert_true(flooded.at[i - 1].arrival_s <= flooded.at[i].arrival_s);
    workload_fini(&flooded);
    workload_fini(&workload);
}

static int compare_blocks(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

/* Nor does a copy of the flood begin when one of the load does. */
static void a_flood_shares_no_block_with_the_copies_of_a_load(void **state)
{
    static uint64_t blocks[8 * SESSIONS * TURNS];
    struct workload workload = make(), flooded;
    size_t count = 0;
    (void)state;
    assert_int_equal(workload_thin(&workload, 2, 1, 1, &flooded), 0);
    assert_int_equal(workload_flood(&flooded, 0, 3, 1), 0);
    assert_int_equal(flooded.count, 6 * workload.count);
    for (size_t i = 0; i < flooded.count; i++)
        blocks[count++] = workload_chain(&flooded, &flooded.at[i])[1];
    qsort(blocks, count, sizeof(*blocks), compare_blocks);
    for (size_t i = 1; i < count; i++)
        assert_true(blocks[i - 1] != blocks[i]);
    workload_fini(&flooded);
    workload_fini(&workload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(requests_come_in_the_order_of_arrival),
            cmocka_unit_test(thinning_takes_whole_sessions_and_leaves_their_times),
            cmocka_unit_test(a_smaller_load_is_a_part_of_a_larger_one),
            cmocka_unit_test(a_load_above_one_has_copies_with_blocks_of_their_own),
            cmocka_unit_test(a_load_of_nothing_is_nothing),
            cmocka_unit_test(more_sessions_than_numbers_are_refused),
            cmocka_unit_test(a_flood_multiplies_one_user_only),
            cmocka_unit_test(a_flood_shares_no_block_with_the_copies_of_a_load),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_workload", tests, NULL, NULL);
}
