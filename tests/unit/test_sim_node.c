#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/sim/nodes/node.h"
#include "bench/sim/workload/workload.h"

#include <math.h>

static void assert_near(double value, double wanted, double off)
{
    if (!(fabs(value - wanted) <= off))
        fail_msg("%.9g is not %.9g", value, wanted);
}

/* 1,000 prompt tok/s at any depth, a step of 10 ms and 5 ms for each sequence, 2 slots. */
static const struct node_params plain = {
        .rates = {1000, INFINITY, 0.010F, 0.005F},
        .slots = 2,
        .chunk_tokens = 1000,
        .cache_tokens = 100 * WORKLOAD_BLOCK_TOKENS,
};

enum { TASKS_MAX = 8 };

struct bench {
    struct node *node;
    double now_s;
    struct node_task tasks[TASKS_MAX];
    double first_s[TASKS_MAX], end_s[TASKS_MAX];
    struct node_task *next; /* given when something ends */
    size_t lost;
};

static void on_first(void *ctx, struct node_task *task, double now_s)
{
    struct bench *bench = ctx;
    bench->first_s[task - bench->tasks] = now_s;
}

static void on_ended(void *ctx, struct node_task *task, double now_s)
{
    struct bench *bench = ctx;
    bench->end_s[task - bench->tasks] = now_s;
    if (bench->next)
        node_give(bench->node, bench->next, now_s);
    bench->next = NULL;
}

static void on_lost(void *ctx, struct node_task *task)
{
    struct bench *bench = ctx;
    (void)task;
    bench->lost++;
}

static const struct node_events events = {on_first, on_ended};

static void bench_init(struct bench *bench, const struct node_params *params)
{
    *bench = (struct bench){.now_s = 0};
    bench->node = node_create(params, &events, bench);
    assert_non_null(bench->node);
}

static struct node_task *task(struct bench *bench, size_t number, uint32_t prompt, uint32_t output)
{
    bench->tasks[number] = (struct node_task){.prompt_tokens = prompt, .output_tokens = output};
    return &bench->tasks[number];
}

static void run_until(struct bench *bench, double until_s)
{
    while (isfinite(node_next_s(bench->node)) && node_next_s(bench->node) <= until_s) {
        bench->now_s = node_next_s(bench->node);
        node_advance(bench->node, bench->now_s);
    }
}

static void one_request_takes_its_prefill_and_its_steps(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, &plain);
    node_give(bench.node, task(&bench, 0, 2500, 11), 0);
    run_until(&bench, INFINITY);
    assert_near(bench.first_s[0], 2.5, 1e-6);
    assert_near(bench.end_s[0], 2.5 + 10 * 0.015, 1e-6);
    assert_near(bench.tasks[0].prefill_s, 2.5, 1e-6);
    assert_near(bench.tasks[0].decode_s, 0.15, 1e-6);
    assert_near(bench.tasks[0].mean_sequences, 1, 1e-6);
    assert_int_equal(bench.tasks[0].cached_tokens, 0);
    assert_near(node_busy_s(bench.node), 2.65, 1e-6);
    assert_int_equal(node_task_count(bench.node), 0);
    node_destroy(bench.node);
}

static void an_answer_of_one_token_ends_with_its_prefill(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, &plain);
    node_give(bench.node, task(&bench, 0, 100, 1), 0);
    run_until(&bench, INFINITY);
    assert_near(bench.end_s[0], 0.1, 1e-6);
    assert_near(bench.first_s[0], bench.end_s[0], 0);
    node_destroy(bench.node);
}

static void depth_slows_a_prefill_whatever_the_chunks(void **state)
{
    struct node_params deep = plain;
    struct bench bench;
    (void)state;
    deep.rates.half_depth = 1000;
    bench_init(&bench, &deep);
    node_give(bench.node, task(&bench, 0, 2000, 1), 0);
    run_until(&bench, INFINITY);
    assert_near(bench.first_s[0], 2 * (1 + 2000.0 / 2 / 1000), 1e-6);
    node_destroy(bench.node);
}

/* A decodes alone until B comes at 1.005 s, in the middle of its first step (of 15 ms, from 1 s);
 * then each chunk of B's takes A's step along. */
static void a_second_prompt_is_computed_between_steps(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, &plain);
    node_give(bench.node, task(&bench, 0, 1000, 5), 0);
    run_until(&bench, 1.0);
    assert_near(bench.first_s[0], 1, 1e-6);
    node_give(bench.node, task(&bench, 1, 2000, 2), 1.005);
    run_until(&bench, INFINITY);
    double b_first_s = 1.015 + 2 * (1.0 + 0.015);
    assert_near(bench.first_s[1], b_first_s, 1e-6);
    /* A has had tokens at 1, 1.015, and with each of the chunks: one is left, with B's last. */
    assert_near(bench.end_s[0], b_first_s + 0.020, 1e-6);
    assert_near(bench.end_s[1], b_first_s + 0.020, 1e-6);
    node_destroy(bench.node);
}

static void prompts_of_one_moment_share_a_chunk_in_their_order(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, &plain);
    node_give(bench.node, task(&bench, 0, 100, 1), 0);
    node_give(bench.node, task(&bench, 1, 1500, 1), 0);
    node_give(bench.node, task(&bench, 2, 200, 1), 0); /* no slot yet */
    run_until(&bench, INFINITY);
    /* The first came to an idle node: its iteration was under way when the others came. */
    assert_near(bench.first_s[0], 0.1, 1e-6);
    /* The next has 800 of the second and 200 of the third, or as much as the chunk has left. */
    assert_near(bench.first_s[1], 0.1 + 1.0 + 0.7, 1e-6);
    assert_near(bench.first_s[2], 0.1 + 1.0 + 0.7, 1e-6);
    node_destroy(bench.node);
}

static void one_beyond_the_slots_waits_for_an_end(void **state)
{
    struct node_params single = plain;
    struct bench bench;
    (void)state;
    single.slots = 1;
    bench_init(&bench, &single);
    node_give(bench.node, task(&bench, 0, 1000, 3), 0);
    node_give(bench.node, task(&bench, 1, 500, 1), 0);
    run_until(&bench, INFINITY);
    assert_near(bench.end_s[0], 1.030, 1e-6);
    assert_near(bench.first_s[1], 1.530, 1e-6);
    assert_near(bench.tasks[1].prefill_s, 0.5, 1e-6); /* not what it waited */
    node_destroy(bench.node);
}

static void what_comes_when_another_ends_is_in_the_next_iteration(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, &plain);
    bench.next = task(&bench, 1, 100, 1);
    node_give(bench.node, task(&bench, 0, 100, 1), 0);
    run_until(&bench, INFINITY);
    assert_near(bench.first_s[1], 0.2, 1e-6);
    node_destroy(bench.node);
}

static void what_the_cache_holds_is_not_computed(void **state)
{
    static const uint64_t chain[] = {1, 2, 3, 4}, other[] = {1, 2, 7};
    struct bench bench;
    (void)state;
    bench_init(&bench, &plain);
    struct node_task *first = task(&bench, 0, 4 * 512, 1);
    first->chain = chain;
    first->block_count = 4;
    node_give(bench.node, first, 0);
    run_until(&bench, INFINITY);
    struct node_task *branch = task(&bench, 1, 3 * 512, 1);
    branch->chain = other;
    branch->block_count = 3;
    node_give(bench.node, branch, 10);
    run_until(&bench, INFINITY);
    assert_int_equal(branch->cached_tokens, 2 * 512);
    assert_near(bench.first_s[1], 10.512, 1e-6);
    struct node_task *same = task(&bench, 2, 4 * 512, 1);
    same->chain = chain;
    same->block_count = 4;
    node_give(bench.node, same, 20);
    run_until(&bench, INFINITY);
    assert_int_equal(same->cached_tokens, 4 * 512 - 1); /* the last token always is computed */
    assert_near(bench.first_s[2], 20.001, 1e-6);
    node_destroy(bench.node);
}

static void a_death_loses_all_and_empties_the_cache(void **state)
{
    static const uint64_t chain[] = {1, 2};
    struct bench bench;
    (void)state;
    bench_init(&bench, &plain);
    for (size_t i = 0; i < 4; i++) {
        struct node_task *its = task(&bench, i, 1024, 100);
        its->chain = chain;
        its->block_count = 2;
        node_give(bench.node, its, 0);
    }
    run_until(&bench, 2.5);
    node_kill(bench.node, 2.5, on_lost, &bench);
    assert_int_equal(bench.lost, 4);
    assert_true(isinf(node_next_s(bench.node)));
    struct node_task *after = task(&bench, 0, 1024, 1);
    after->chain = chain;
    after->block_count = 2;
    node_give(bench.node, after, 5);
    run_until(&bench, INFINITY);
    assert_int_equal(after->cached_tokens, 0);
    node_destroy(bench.node);
}

/* Two that decode in steps of 20 ms from 1 s on, and a death at `at_s`. */
static void kill_two(struct bench *bench, double at_s)
{
    struct node_params wide = plain;
    wide.chunk_tokens = 2000;
    wide.slots = 3;
    bench_init(bench, &wide);
    bench->next = task(bench, 1, 500, 50);
    node_give(bench->node, task(bench, 2, 500, 1), 0);
    node_give(bench->node, task(bench, 0, 500, 100), 0);
    run_until(bench, at_s);
    node_kill(bench->node, at_s, on_lost, bench);
    assert_int_equal(bench->lost, 2);
    node_destroy(bench->node);
}

/* Decoding is one event of many iterations: those before the death are whole, what was begun is
 * lost. */
static void what_was_written_before_a_death_is_counted(void **state)
{
    struct bench bench;
    (void)state;
    kill_two(&bench, 1.5 + 0.020 * 10 + 0.007);
    assert_int_equal(bench.tasks[0].to_decode, 99 - 10);
    assert_int_equal(bench.tasks[1].to_decode, 49 - 10);
    kill_two(&bench, 1.5 + 0.020 * 10);
    assert_int_equal(bench.tasks[0].to_decode, 99 - 10);
    kill_two(&bench, 1.5 + 0.019);
    assert_int_equal(bench.tasks[0].to_decode, 99);
    kill_two(&bench, 1.2); /* amid the prompts */
    assert_int_equal(bench.tasks[0].to_prefill, 500);
    assert_int_equal(bench.tasks[0].to_decode, 100);
}

/* What ends at that moment and was not told is not whole: it is to be sent again. */
static void a_death_at_the_end_leaves_a_token_to_write(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, &plain);
    node_give(bench.node, task(&bench, 0, 1000, 11), 0);
    run_until(&bench, 1);
    node_kill(bench.node, node_next_s(bench.node), on_lost, &bench);
    assert_int_equal(bench.tasks[0].to_decode, 1);
    node_destroy(bench.node);
}

static void a_death_leaves_the_time_that_was_computed(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, &plain);
    node_give(bench.node, task(&bench, 0, 1000, 100), 0);
    run_until(&bench, 1);
    node_kill(bench.node, 1.157, on_lost, &bench);
    assert_near(node_busy_s(bench.node), 1.157, 1e-9);
    node_kill(bench.node, 2, on_lost, &bench); /* it had nothing */
    assert_near(node_busy_s(bench.node), 1.157, 1e-9);
    node_give(bench.node, task(&bench, 1, 1000, 1), 3);
    node_kill(bench.node, 3.25, on_lost, &bench);
    assert_near(node_busy_s(bench.node), 1.407, 1e-9);
    node_destroy(bench.node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(one_request_takes_its_prefill_and_its_steps),
            cmocka_unit_test(an_answer_of_one_token_ends_with_its_prefill),
            cmocka_unit_test(depth_slows_a_prefill_whatever_the_chunks),
            cmocka_unit_test(a_second_prompt_is_computed_between_steps),
            cmocka_unit_test(prompts_of_one_moment_share_a_chunk_in_their_order),
            cmocka_unit_test(one_beyond_the_slots_waits_for_an_end),
            cmocka_unit_test(what_comes_when_another_ends_is_in_the_next_iteration),
            cmocka_unit_test(what_the_cache_holds_is_not_computed),
            cmocka_unit_test(a_death_loses_all_and_empties_the_cache),
            cmocka_unit_test(what_was_written_before_a_death_is_counted),
            cmocka_unit_test(a_death_at_the_end_leaves_a_token_to_write),
            cmocka_unit_test(a_death_leaves_the_time_that_was_computed),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_node", tests, NULL, NULL);
}
