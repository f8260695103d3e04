#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/sim/experiment.h"
#include "bench/sim/nodes/fleet_spec.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The same nodes and requests for every policy: an hour of few sessions, on three nodes. */
struct bench {
    struct fleet_spec fleet;
    struct generator_params generator;
    struct experiment experiment;
};

static const struct node_params common = {
        .rates = {.half_depth = 32768},
        .chunk_tokens = 2048,
        .cache_tokens = 200000,
        .load_s = 10,
};

static void bench_init(struct bench *bench, const char *fleet)
{
    *bench = (struct bench){.generator = generator_defaults};
    assert_int_equal(fleet_spec_parse(fleet, &common, &bench->fleet, NULL), 0);
    bench->generator.duration_s = 600;
    bench->experiment = (struct experiment){
            .world = {.nodes = bench->fleet.nodes,
                    .node_count = bench->fleet.count,
                    .index_share = 1,
                    .repair_s = 30,
                    .missed_s = 3},
            .generator = &bench->generator,
            .load = 1,
            .first_seed = 1,
            .seeds = 2,
            .objective = {.scale = 10},
    };
}

static void bench_fini(struct bench *bench)
{
    fleet_spec_fini(&bench->fleet);
}

static struct outcome run(const struct bench *bench, const char *policy)
{
    struct outcome outcome;
    struct err err = {""};
    assert_non_null(policy_find(policy));
    if (experiment_run(&bench->experiment, policy_find(policy), &outcome, &err) < 0)
        fail_msg("%s", err.text);
    return outcome;
}

static void every_policy_serves_every_request(void **state)
{
    struct bench bench;
    double requests = 0;
    (void)state;
    bench_init(&bench, "1+2");
    for (size_t i = 0; policy_at(i); i++) {
        struct outcome outcome = run(&bench, policy_at(i)->name);
        const struct figures *figures = &outcome.by_seed[0];
        assert_true(figures->requests > 50);
        assert_true(i == 0 || figures->requests == requests);
        requests = figures->requests;
        assert_true(figures->ttft_p50_s > 0 && figures->ttft_p50_s <= figures->ttft_p95_s);
        assert_true(figures->e2e_p95_s >= figures->ttft_p95_s);
        assert_true(figures->busy > 0 && figures->busy <= 1);
        assert_true(figures->cached >= 0 && figures->cached < 1);
        assert_true(figures->tries == 1);
        outcome_fini(&outcome);
    }
    bench_fini(&bench);
}

static bool figures_equal(const struct figures *a, const struct figures *b)
{
    for (size_t i = 0; i < FIGURE_COUNT; i++)
        if (figure_of(a, i) != figure_of(b, i))
            return false;
    return true;
}

static void the_same_seed_gives_the_same_figures(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, "1+2");
    bench.experiment.world.rate_error = 0.5;
    bench.experiment.world.mtbf_s = 300;
    for (size_t i = 0; policy_at(i); i++) {
        struct outcome a = run(&bench, policy_at(i)->name), b = run(&bench, policy_at(i)->name);
        for (size_t s = 0; s < a.seeds; s++)
            assert_true(figures_equal(&a.by_seed[s], &b.by_seed[s]));
        assert_false(figures_equal(&a.by_seed[0], &a.by_seed[1]));
        outcome_fini(&a);
        outcome_fini(&b);
    }
    bench_fini(&bench);
}

static void the_order_of_nodes_does_not_matter(void **state)
{
    struct bench there, back;
    (void)state;
    bench_init(&there, "1x4500/8/5/0.7,1x1000/4/18.5/3,1x700/2/20/3");
    bench_init(&back, "1x700/2/20/3,1x1000/4/18.5/3,1x4500/8/5/0.7");
    struct outcome a = run(&there, "modemesh"), b = run(&back, "modemesh");
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        double value = figure_of(&a.by_seed[0], i);
        assert_true(fabs(value - figure_of(&b.by_seed[0], i)) <= 1e-9 * fabs(value));
    }
    outcome_fini(&a);
    outcome_fini(&b);
    bench_fini(&there);
    bench_fini(&back);
}

static void one_node_does_the_same_work_under_each_policy_that_sends_at_once(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, "1x4500/8/5/0.7");
    struct outcome first = run(&bench, "round-robin");
    for (size_t i = 0; policy_at(i); i++)
        if (policy_at(i)->balancer) {
            struct outcome outcome = run(&bench, policy_at(i)->name);
            assert_true(figures_equal(&outcome.by_seed[0], &first.by_seed[0]));
            outcome_fini(&outcome);
        }
    outcome_fini(&first);
    bench_fini(&bench);
}

static void what_dies_with_its_node_is_served_again(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, "1+2");
    bench.experiment.world.mtbf_s = 120;
    for (size_t i = 0; policy_at(i); i++) {
        struct outcome outcome = run(&bench, policy_at(i)->name);
        assert_true(outcome.by_seed[0].tries > 1);
        outcome_fini(&outcome);
    }
    bench_fini(&bench);
}

/* One request of 512 tokens and 100,000 to write on one node, which is back at once. */
static void a_long_answer_goes_on_after_a_death(void **state)
{
    static const uint64_t chain[] = {1};
    struct workload trace = {.sessions = 1, .users = 1};
    struct bench bench;
    (void)state;
    struct work work = {.prompt_tokens = 512, .output_tokens = 100000, .block_count = 1};
    assert_int_equal(workload_add(&trace, work, chain), 0);
    bench_init(&bench, "1x1000/1/10/0");
    bench.fleet.nodes[0].rates.half_depth = INFINITY;
    bench.fleet.nodes[0].load_s = 0;
    bench.experiment.trace = &trace;
    bench.experiment.users = 1;
    bench.experiment.world.mtbf_s = 600;
    bench.experiment.world.repair_s = bench.experiment.world.missed_s = 0;
    bench.experiment.first_seed = 3;
    bench.experiment.seeds = 1;
    struct outcome outcome = run(&bench, "least-requests");
    const struct figures *figures = &outcome.by_seed[0];
    assert_true(figures->tries > 1);
    assert_true(fabs(figures->busy - 1) < 1e-9);
    /* 1,000 s of steps, each once, and after a death what was there as a prompt; from the start
     * again it would be 2,819 s. */
    assert_true(figures->e2e_p50_s > 1000 && figures->e2e_p50_s < 1300);
    outcome_fini(&outcome);
    workload_fini(&trace);
    bench_fini(&bench);
}

static void assert_never_ends(struct bench *bench, const char *policy, const char *words)
{
    struct outcome outcome;
    struct err err = {""};
    assert_int_equal(
            experiment_run(&bench->experiment, policy_find(policy), &outcome, &err), -ETIMEDOUT);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" is not in \"%s\"", words, err.text);
}

/* The prompt takes 100 s on a node that lives for one. */
static void a_prompt_that_no_node_lives_through_is_an_error(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, "1x10/4/10/1");
    bench.experiment.world.mtbf_s = 1;
    bench.generator.duration_s = 100;
    for (size_t i = 0; policy_at(i); i++)
        assert_never_ends(&bench, policy_at(i)->name, "give a longer --mtbf than 1, or shorter");
    bench_fini(&bench);
}

/* Its tries in vain are not one after the other. */
static void an_answer_longer_than_many_lives_ends(void **state)
{
    static const uint64_t chain[] = {1};
    struct workload trace = {.sessions = 1, .users = 1};
    struct bench bench;
    (void)state;
    struct work work = {.prompt_tokens = 512, .output_tokens = 100000, .block_count = 1};
    assert_int_equal(workload_add(&trace, work, chain), 0);
    bench_init(&bench, "1x100000/1/10/0");
    bench.fleet.nodes[0].rates.half_depth = INFINITY;
    bench.experiment.trace = &trace;
    bench.experiment.users = 1;
    bench.experiment.world.mtbf_s = 0.5;
    struct outcome outcome = run(&bench, "least-requests");
    assert_true(outcome.by_seed[0].tries > 5 * WORLD_VAIN_MAX); /* most in vain */
    outcome_fini(&outcome);
    workload_fini(&trace);
    bench_fini(&bench);
}

static void deaths_without_end_are_an_error(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, "1x1000/4/10/1");
    bench.fleet.nodes[0].load_s = 0;
    bench.experiment.world.mtbf_s = 1e-9;
    bench.experiment.world.repair_s = bench.experiment.world.missed_s = 0;
    assert_never_ends(&bench, "least-requests", "nodes died 10000000 times in ");
    bench_fini(&bench);
}

static void speeds_and_prompts_make_the_difference(void **state)
{
    struct bench bench;
    (void)state;
    bench_init(&bench, "1+2");
    bench.generator.duration_s = 3600;
    struct outcome modemesh = run(&bench, "modemesh"), turns = run(&bench, "round-robin");
    assert_true(modemesh.by_seed[0].ttft_p95_s * 3 < turns.by_seed[0].ttft_p95_s);
    assert_true(modemesh.by_seed[0].cached > turns.by_seed[0].cached);
    outcome_fini(&modemesh);
    outcome_fini(&turns);
    bench_fini(&bench);
}

static void a_load_is_found_where_a_figure_is_as_wanted(void **state)
{
    struct bench bench;
    size_t goodput = figure_named("goodput");
    double load;
    (void)state;
    bench_init(&bench, "1+2");
    const struct policy *policy = policy_find("least-requests");
    assert_int_equal(
            experiment_find_load(&bench.experiment, policy, goodput, 0.75, &load, NULL), 0);
    bench.experiment.load = load;
    struct outcome outcome = run(&bench, "least-requests");
    assert_in_range((int)(100 * outcome_figure(&outcome, goodput).mean), 65, 85);
    outcome_fini(&outcome);
    bench_fini(&bench);
}

static int find(struct bench *bench, const char *figure, double wanted, struct err *err)
{
    double load;

    return experiment_find_load(&bench->experiment, policy_find("least-requests"),
            figure_named(figure), wanted, &load, err);
}

/* A load at which nobody asks meets every objective, and is nobody's. */
static void a_load_without_requests_is_none(void **state)
{
    struct err err;
    struct bench bench;
    (void)state;
    bench_init(&bench, "1+2");
    bench.generator.duration_s = 60;
    assert_int_equal(find(&bench, "busy", 1e-9, &err), -ERANGE);
    assert_non_null(strstr(err.text, "is past busy 1e-09 at every load that leaves a"));
    assert_int_equal(find(&bench, "requests", 1e12, &err), -ERANGE);
    assert_non_null(strstr(err.text, "does not come to requests 1e+12 even at a load of 64"));
    bench.experiment.others_only = true;
    bench.generator.users = 1;
    assert_int_equal(find(&bench, "goodput", 0.5, &err), -ERANGE);
    assert_non_null(strstr(err.text, "no request left to measure up to a load of 64"));
    bench_fini(&bench);
}

/* A policy that never sends. */
static int hold_create(const struct policy *policy, struct world *world, void **ret_state)
{
    (void)policy;
    *ret_state = world;
    return 0;
}

static void hold_destroy(void *policy)
{
    (void)policy;
}

static void hold(void *policy, struct job *job)
{
    (void)policy;
    (void)job;
}

static void requests_left_lying_are_an_error(void **state)
{
    static const struct policy holding = {
            .name = "holding", .create = hold_create, .destroy = hold_destroy, .arrived = hold};
    struct bench bench;
    struct outcome outcome;
    struct err err = {""};
    (void)state;
    bench_init(&bench, "1+2");
    assert_int_equal(experiment_run(&bench.experiment, &holding, &outcome, &err), -EPROTO);
    assert_non_null(strstr(err.text, "lying"));
    bench_fini(&bench);
}

static void fleets_are_read_strictly(void **state)
{
    static const char *const bad[] = {"", "x", "0+0", "1+", "-1+2", "equal:", "equal:0",
            "equal:1001", "1001x1/1/1/1", "1x0/4/1/1", "1x100/0/1/1", "1x100/257/1/1",
            "1x100/4/0/0", "1x100/4/1", "1x100/4/1/1/1", "1x100/4/1/1,", "1xnan/4/1/1", "600+600"};
    struct fleet_spec spec;
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (fleet_spec_parse(bad[i], &common, &spec, &err) != -EINVAL)
            fail_msg("'%s' is taken", bad[i]);
    assert_int_equal(fleet_spec_parse("8+16", &common, &spec, &err), 0);
    assert_int_equal(spec.count, 24);
    assert_true(spec.nodes[7].rates.prefill_tok_s > spec.nodes[8].rates.prefill_tok_s);
    assert_int_equal(spec.nodes[8].cache_tokens, common.cache_tokens);
    fleet_spec_fini(&spec);
    assert_int_equal(fleet_spec_parse("first-users", &common, &spec, &err), 0);
    assert_true(fabs(cost_step_s(&spec.nodes[0].rates, 1) - 1 / 46.0) < 1e-6);
    fleet_spec_fini(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_policy_serves_every_request),
            cmocka_unit_test(the_same_seed_gives_the_same_figures),
            cmocka_unit_test(the_order_of_nodes_does_not_matter),
            cmocka_unit_test(one_node_does_the_same_work_under_each_policy_that_sends_at_once),
            cmocka_unit_test(what_dies_with_its_node_is_served_again),
            cmocka_unit_test(a_long_answer_goes_on_after_a_death),
            cmocka_unit_test(a_prompt_that_no_node_lives_through_is_an_error),
            cmocka_unit_test(an_answer_longer_than_many_lives_ends),
            cmocka_unit_test(deaths_without_end_are_an_error),
            cmocka_unit_test(speeds_and_prompts_make_the_difference),
            cmocka_unit_test(a_load_is_found_where_a_figure_is_as_wanted),
            cmocka_unit_test(a_load_without_requests_is_none),
            cmocka_unit_test(requests_left_lying_are_an_error),
            cmocka_unit_test(fleets_are_read_strictly),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_world", tests, NULL, NULL);
}
