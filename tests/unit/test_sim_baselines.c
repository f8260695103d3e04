#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/sim/policies/baselines.h"

#include <math.h>

enum { NODES = 3, DRAWS = 600 };

static const struct node_params fast = {.rates = {4000, INFINITY, 0.01F, 0.001F}, .slots = 4};
static const struct node_params slow = {.rates = {1000, INFINITY, 0.01F, 0.001F}, .slots = 4};

/* A fast node and two slow ones, all idle, and one request of 10 blocks. */
struct bench {
    struct balancer_node nodes[NODES];
    uint32_t held[NODES], fresh[NODES], used[NODES];
    struct balancer_view view;
    struct chance chance;
    struct work work;
    struct job job;
    uint32_t chosen[NODES];
};

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){.work = {.session = 7}};
    for (int i = 0; i < NODES; i++)
        bench->nodes[i] = (struct balancer_node){.told = i == 0 ? &fast : &slow, .up = true};
    chance_init(&bench->chance, 1, 1);
    bench->job.work = &bench->work;
    bench->job.task.prompt_tokens = 10 * WORKLOAD_BLOCK_TOKENS;
    bench->view = (struct balancer_view){.nodes = bench->nodes,
            .count = NODES,
            .held_blocks = bench->held,
            .new_blocks = bench->fresh,
            .used_blocks = bench->used,
            .chance = &bench->chance};
}

static uint32_t choose(struct bench *bench, const struct balancer *balancer, void *own)
{
    uint32_t node = balancer->choose(own, &bench->view, &bench->job);
    if (node != WORLD_NOWHERE)
        assert_true(bench->nodes[node].up);
    return node;
}

static void draw(struct bench *bench, const struct balancer *balancer, void *own)
{
    for (int i = 0; i < NODES; i++)
        bench->chosen[i] = 0;
    for (int i = 0; i < DRAWS; i++)
        bench->chosen[choose(bench, balancer, own)]++;
}

static void round_robin_takes_turns_among_those_that_are_up(void **state)
{
    struct bench bench;
    uint32_t turn = 0;
    (void)state;
    bench_init(&bench);
    draw(&bench, &baseline_round_robin, &turn);
    for (int i = 0; i < NODES; i++)
        assert_int_equal(bench.chosen[i], DRAWS / NODES);
    bench.nodes[1].up = false;
    draw(&bench, &baseline_round_robin, &turn);
    assert_int_equal(bench.chosen[0], DRAWS / 2);
    assert_int_equal(bench.chosen[2], DRAWS / 2);
}

static void the_fewest_requests_win_and_ties_are_drawn(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench);
    bench.nodes[0].requests = 2;
    bench.nodes[1].requests = bench.nodes[2].requests = 1;
    draw(&bench, &baseline_least_requests, NULL);
    assert_int_equal(bench.chosen[0], 0);
    assert_in_range(bench.chosen[1], DRAWS * 2 / 5, DRAWS * 3 / 5);
}

static void speed_weighs_requests(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench);
    bench.nodes[0].requests = 2; /* 3 ÷ 4,000 is less than 1 ÷ 1,000 */
    assert_int_equal(choose(&bench, &baseline_speed_weighted, NULL), 0);
    bench.nodes[0].requests = 4;
    assert_int_not_equal(choose(&bench, &baseline_speed_weighted, NULL), 0);
}

static void of_two_the_one_with_fewer_is_taken(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench);
    bench.nodes[0].requests = 5;
    draw(&bench, &baseline_power_of_two, NULL);
    assert_int_equal(bench.chosen[0], 0); /* it never is drawn with itself */
    assert_true(bench.chosen[1] > 0 && bench.chosen[2] > 0);
    bench.nodes[1].up = bench.nodes[2].up = false;
    assert_int_equal(choose(&bench, &baseline_power_of_two, NULL), 0);
}

static void a_mode_stays_with_its_port(void **state)
{
    struct bench bench;
    uint32_t first, by_speed = 0, even[NODES] = {0};
    (void)state;
    bench_init(&bench);
    first = choose(&bench, &baseline_port_per_mode, NULL);
    bench.nodes[first].requests = 100;
    assert_int_equal(choose(&bench, &baseline_port_per_mode, NULL), first);
    bench.nodes[first].up = false;
    assert_int_equal(choose(&bench, &baseline_port_per_mode, NULL), WORLD_NOWHERE);
    bench.nodes[first].up = true;
    for (bench.work.session = 0; bench.work.session < DRAWS; bench.work.session++) {
        even[choose(&bench, &baseline_port_per_mode, NULL)]++;
        by_speed += choose(&bench, &baseline_port_by_speed, NULL) == 0;
    }
    for (int i = 0; i < NODES; i++)
        assert_in_range(even[i], DRAWS / 4, DRAWS / 2);
    assert_in_range(by_speed, DRAWS * 3 / 5, DRAWS * 3 / 4); /* 4 of 6 */
}

static void lmetric_multiplies(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench);
    bench.nodes[0].requests = 1;
    bench.held[0] = 6; /* 4 blocks × 2 requests are less than 10 × 1 */
    assert_int_equal(choose(&bench, &baseline_lmetric, NULL), 0);
    bench.nodes[0].requests = 2; /* 4 × 3 */
    assert_int_not_equal(choose(&bench, &baseline_lmetric, NULL), 0);
    bench.nodes[0].requests = 1;
    bench.nodes[0].prefill_tokens = 2 * WORKLOAD_BLOCK_TOKENS; /* (2 + 4) × 2 */
    assert_int_not_equal(choose(&bench, &baseline_lmetric, NULL), 0);
}

static void dynamo_adds_blocks_to_compute_and_blocks_in_use(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench);
    bench.fresh[0] = bench.fresh[1] = bench.fresh[2] = 10;
    bench.held[0] = 6;
    bench.used[0] = 5; /* 4 + 15 against 10 + 10 */
    assert_int_equal(choose(&bench, &baseline_dynamo, NULL), 0);
    bench.used[0] = 7; /* 4 + 17 */
    assert_int_not_equal(choose(&bench, &baseline_dynamo, NULL), 0);
    bench.nodes[1].prefill_tokens = bench.nodes[2].prefill_tokens = 2.0 * WORKLOAD_BLOCK_TOKENS;
    assert_int_equal(choose(&bench, &baseline_dynamo, NULL), 0);
}

static void a_prompt_that_is_held_whole_still_costs_a_token(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench);
    bench.held[1] = 10;
    assert_true(balancer_new_tokens(&bench.view, &bench.job, 1) == 1);
    assert_true(balancer_new_tokens(&bench.view, &bench.job, 2) == 10 * WORKLOAD_BLOCK_TOKENS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(round_robin_takes_turns_among_those_that_are_up),
            cmocka_unit_test(the_fewest_requests_win_and_ties_are_drawn),
            cmocka_unit_test(speed_weighs_requests),
            cmocka_unit_test(of_two_the_one_with_fewer_is_taken),
            cmocka_unit_test(a_mode_stays_with_its_port),
            cmocka_unit_test(lmetric_multiplies),
            cmocka_unit_test(dynamo_adds_blocks_to_compute_and_blocks_in_use),
            cmocka_unit_test(a_prompt_that_is_held_whole_still_costs_a_token),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_baselines", tests, NULL, NULL);
}
