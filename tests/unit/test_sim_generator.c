#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/sim/workload/chance.h"
#include "bench/sim/workload/generator.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

static void assert_near(double value, double wanted, double off)
{
    if (!(fabs(value - wanted) <= off))
        fail_msg("%.9g is not %.9g", value, wanted);
}

static struct workload make(const struct generator_params *params, uint64_t seed)
{
    struct workload workload;
    assert_int_equal(generator_make(params, seed, &workload), 0);
    return workload;
}

static void the_same_seed_gives_the_same_requests(void **state)
{
    struct workload a = make(&generator_defaults, 5), b = make(&generator_defaults, 5);
    struct workload c = make(&generator_defaults, 6);
    (void)state;
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.at, b.at, a.count * sizeof(*a.at));
    assert_memory_equal(a.blocks, b.blocks, a.block_count * sizeof(*a.blocks));
    assert_true(a.count != c.count || memcmp(a.at, c.at, a.count * sizeof(*a.at)) != 0);
    workload_fini(&a);
    workload_fini(&b);
    workload_fini(&c);
}

/* The last request of each session so far. */
static void a_turn_takes_the_last_one_along(void **state)
{
    struct workload workload = make(&generator_defaults, 1);
    const struct work *last[4096] = {NULL};
    size_t turns = 0;
    (void)state;
    assert_true(workload.sessions < 4096);
    for (size_t i = 0; i < workload.count; i++) {
        const struct work *work = &workload.at[i], *before = last[work->session];
        last[work->session] = work;
        if (!before)
            continue;
        turns++;
        assert_true(work->arrival_s > before->arrival_s);
        assert_true(work->prompt_tokens > before->prompt_tokens + before->output_tokens);
        for (uint32_t j = 0; j < before->prompt_tokens / WORKLOAD_BLOCK_TOKENS; j++)
            assert_true(workload_chain(&workload, work)[j] == workload_chain(&workload, before)[j]);
    }
    assert_true(turns > 100);
    workload_fini(&workload);
}

static void lengths_and_arrivals_are_as_asked(void **state)
{
    struct generator_params params = generator_defaults;
    (void)state;
    params.duration_s = 100000;
    params.turns = 1;
    params.output_tokens = 100;
    params.output_sigma = 1;
    struct workload workload = make(&params, 2);
    size_t shorter = 0;
    for (size_t i = 0; i < workload.count; i++)
        shorter += workload.at[i].output_tokens < 100;
    assert_in_range(workload.count, 4500, 5500); /* 0.05 a second */
    assert_in_range(shorter, workload.count * 47 / 100, workload.count * 53 / 100);
    workload_fini(&workload);
}

static void system_prompts_are_shared_by_rank(void **state)
{
    struct generator_params params = generator_defaults;
    size_t first = 0, second = 0;
    uint64_t blocks[4096];
    (void)state;
    params.duration_s = 20000;
    params.turns = 1;
    params.systems = 2;
    params.system_zipf = 2;
    struct workload workload = make(&params, 2);
    assert_true(workload.count < 4096);
    for (size_t i = 0; i < workload.count; i++) {
        blocks[i] = workload_chain(&workload, &workload.at[i])[0];
        if (blocks[i] == blocks[0])
            first++;
        else
            second++;
    }
    if (first < second)
        first = second;
    assert_in_range(first, workload.count * 75 / 100, workload.count * 85 / 100); /* 4 of 5 */
    workload_fini(&workload);
}

static void no_prompt_is_longer_than_allowed(void **state)
{
    struct generator_params params = generator_defaults;
    (void)state;
    params.tokens_max = 8000;
    struct workload workload = make(&params, 3);
    assert_true(workload.count > 0);
    for (size_t i = 0; i < workload.count; i++)
        assert_true(workload.at[i].prompt_tokens <= 8000);
    workload_fini(&workload);
}

/* Most begin with a prompt that is too long; those that do not are numbered without a gap. */
static void a_session_without_a_request_has_no_number(void **state)
{
    struct generator_params params = generator_defaults;
    bool numbered[4096] = {false};
    (void)state;
    params.duration_s = 20000;
    params.tokens_max = 4000;
    struct workload workload = make(&params, 3);
    assert_in_range(workload.sessions, 1, 500); /* of about 1,000 */
    for (size_t i = 0; i < workload.count; i++)
        numbered[workload.at[i].session] = true;
    for (uint32_t i = 0; i < sizeof(numbered); i++)
        assert_int_equal(numbered[i], i < workload.sessions);
    workload_fini(&workload);
}

static void sessions_without_end_are_refused(void **state)
{
    struct generator_params params = generator_defaults;
    struct workload workload;
    (void)state;
    params.sessions_s = 1e4;
    params.duration_s = 1e7;
    params.tokens_max = 1;
    assert_int_equal(generator_make(&params, 3, &workload), -ERANGE);
    params.tokens_max = 2500; /* few are so short */
    assert_int_equal(generator_make(&params, 3, &workload), -E2BIG);
    params.tokens_max = generator_defaults.tokens_max;
    assert_int_equal(generator_make(&params, 3, &workload), -E2BIG);
    params.duration_s = 1;
    params.tokens_max = 1;
    assert_int_equal(generator_make(&params, 3, &workload), -ERANGE);
    params.sessions_s = 1e-6;
    assert_int_equal(generator_make(&params, 3, &workload), 0);
    assert_int_equal(workload.count, 0);
    workload_fini(&workload);
}

enum { DRAWS = 200000 };

static void gamma_has_its_mean_and_variation(void **state)
{
    static const double cvs[] = {0.5, 1, 2};
    (void)state;
    for (size_t i = 0; i < sizeof(cvs) / sizeof(cvs[0]); i++) {
        struct chance chance;
        double sum = 0, squares = 0;
        chance_init(&chance, 1, i);
        for (int j = 0; j < DRAWS; j++) {
            double drawn = chance_gamma(&chance, 3, cvs[i]);
            sum += drawn;
            squares += drawn * drawn;
        }
        double mean = sum / DRAWS, cv = sqrt(squares / DRAWS - mean * mean) / mean;
        assert_near(mean, 3, 0.06);
        assert_near(cv, cvs[i], 0.04);
    }
}

static void streams_of_one_seed_differ(void **state)
{
    struct chance a, b;
    (void)state;
    chance_init(&a, 1, 1);
    chance_init(&b, 1, 2);
    assert_true(chance_u64(&a) != chance_u64(&b));
    for (int i = 0; i < 1000; i++)
        assert_true(chance_below(&a, 7) < 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_same_seed_gives_the_same_requests),
            cmocka_unit_test(a_turn_takes_the_last_one_along),
            cmocka_unit_test(lengths_and_arrivals_are_as_asked),
            cmocka_unit_test(system_prompts_are_shared_by_rank),
            cmocka_unit_test(no_prompt_is_longer_than_allowed),
            cmocka_unit_test(a_session_without_a_request_has_no_number),
            cmocka_unit_test(sessions_without_end_are_refused),
            cmocka_unit_test(gamma_has_its_mean_and_variation),
            cmocka_unit_test(streams_of_one_seed_differ),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_generator", tests, NULL, NULL);
}
