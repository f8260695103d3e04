#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/sim/policies/policy.h"
#include "bench/sim/report/figures.h"
#include "bench/sim/report/plot.h"
#include "bench/sim/report/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void assert_near(double value, double wanted)
{
    if (!(fabs(value - wanted) <= 1e-6 * (1 + fabs(wanted))))
        fail_msg("%.9g is not %.9g", value, wanted);
}

static void quantiles_lie_between_values(void **state)
{
    double values[] = {4, 1, 3, 2, 5};
    (void)state;
    statistics_sort(values, 5);
    assert_near(statistics_quantile(values, 5, 0), 1);
    assert_near(statistics_quantile(values, 5, 0.5), 3);
    assert_near(statistics_quantile(values, 5, 0.9), 4.6);
    assert_near(statistics_quantile(values, 5, 1), 5);
    assert_true(isnan(statistics_quantile(values, 0, 0.5)));
    assert_near(statistics_quantile(values, 1, 0.95), 1);
}

static void an_interval_is_students(void **state)
{
    static const double values[] = {1, 2, 3, 4, 5};
    struct estimate estimate = statistics_mean(values, 5);
    (void)state;
    assert_near(estimate.mean, 3);
    assert_near(estimate.high - 3, 2.776 * sqrt(2.5 / 5));
    assert_near(3 - estimate.low, 2.776 * sqrt(2.5 / 5));
    estimate = statistics_mean(values, 1);
    assert_near(estimate.mean, 1);
    assert_true(isnan(estimate.low) && isnan(estimate.high)); /* one value tells of no spread */
}

static void a_ratio_is_of_pairs(void **state)
{
    static const double above[] = {2, 40, 600}, below[] = {1, 10, 100};
    struct estimate ratio = statistics_ratio(above, below, 3);
    (void)state;
    assert_near(ratio.mean, pow(2 * 4 * 6, 1.0 / 3));
    assert_true(ratio.low < ratio.mean && ratio.mean < ratio.high);
}

static void what_was_not_measured_does_not_count(void **state)
{
    static const double above[] = {NAN, 4, 8, 7}, below[] = {1, 2, 2, NAN}, zeros[] = {0, 0, 0, 0};
    static const double none[] = {NAN, NAN};
    struct estimate estimate = statistics_mean(above, 3);
    (void)state;
    assert_near(estimate.mean, 6);
    assert_near(estimate.high - 6, 12.706 * sqrt(8.0 / 2));
    estimate = statistics_ratio(above, below, 4);
    assert_near(estimate.mean, sqrt(2.0 * 4));
    assert_true(isnan(statistics_mean(none, 2).mean) && isnan(statistics_mean(none, 0).mean));
    assert_true(isnan(statistics_ratio(above, zeros, 4).mean));
    assert_true(isnan(statistics_ratio(zeros, zeros, 4).high));
}

/* Two requests of 1,000 tokens and 3 to answer, on one node of one slot, whose first token takes
 * 1 s and each further one 10 ms. */
static struct world *run_two(struct workload *workload, const struct node_params *node)
{
    struct world_params params = {.nodes = node, .node_count = 1, .seed = 1, .index_share = 1};
    struct world *world;
    workload_init(workload);
    for (uint32_t i = 0; i < 2; i++) {
        struct work work = {.prompt_tokens = 1000, .output_tokens = 3, .user = i, .session = i};
        assert_int_equal(workload_add(workload, work, NULL), 0);
    }
    workload->sessions = workload->users = 2;
    assert_int_equal(sim_world_create(&params, workload, policy_find("round-robin"), &world), 0);
    assert_int_equal(world_run(world, NULL), 0);
    return world;
}

static void figures_are_those_reckoned_by_hand(void **state)
{
    static const struct node_params node = {.rates = {1000, INFINITY, 0.010F, 0},
            .slots = 1,
            .chunk_tokens = 1000,
            .cache_tokens = 0};
    struct objective objective = {.scale = 1.5};
    struct figures_scope all = {FIGURES_ALL_USERS}, others = {0};
    struct figures figures;
    struct workload workload;
    struct world *world = run_two(&workload, &node);
    double *ttft;
    size_t count;
    (void)state;
    assert_int_equal(figures_of(world, &objective, &all, &figures, &ttft, &count), 0);
    assert_int_equal(count, 2);
    assert_near(ttft[0], 1);
    assert_near(ttft[1], 2.02);
    assert_near(figures.ttft_p50_s, 1.51);
    assert_near(figures.ttft_mean_s, 1.51);
    assert_near(figures.tpot_p50_s, 0.01);
    assert_near(figures.e2e_p95_s, 1.02 + 0.95 * 1.02);
    assert_near(figures.goodput, 0.5);
    assert_near(figures.cached, 0);
    assert_near(figures.busy, 1);
    assert_near(figures.tries, 1);
    free(ttft);
    objective.fixed_s = 3;
    assert_int_equal(figures_of(world, &objective, &others, &figures, NULL, NULL), 0);
    assert_near(figures.requests, 1);
    assert_near(figures.goodput, 1);
    sim_world_destroy(world);
    workload_fini(&workload);
}

static void a_plot_is_one_svg_with_names_and_units(void **state)
{
    static const double x[] = {0, 1, 10, 100}, y[] = {0, 0.25, 0.5, 1};
    struct plot plot = {.title = "a < b & c ]]> d",
            .x = {"time, s", true, 1, 100},
            .y = {"share", false, 0, 1},
            .lines = {{"one", x, y, 4}, {"two", x, y, 0}},
            .line_count = 2};
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 20);
    assert_int_equal(plot_write(&plot, &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    assert_true(strncmp(buf_at(&out), "<svg ", 5) == 0);
    assert_non_null(strstr(buf_at(&out), "</svg>\n"));
    assert_non_null(strstr(buf_at(&out), "a &lt; b &amp; c ]]&gt; d<"));
    assert_non_null(strstr(buf_at(&out), "time, s"));
    assert_non_null(strstr(buf_at(&out), ">one<"));
    assert_null(strstr(buf_at(&out), "inf"));
    assert_null(strstr(buf_at(&out), "nan"));
    buf_fini(&out);
}

static void every_line_is_in_the_legend(void **state)
{
    static const double x[] = {0, 1}, y[] = {0, 1};
    struct plot plot = {.title = "", .x = {"", false, 0, 1}, .y = {"", false, 0, 1}};
    struct buf out;
    int named = 0;
    (void)state;
    while (plot.line_count < PLOT_LINES_MAX)
        plot.lines[plot.line_count++] = (struct plot_line){"name", x, y, 2};
    buf_init(&out, 1 << 20);
    assert_int_equal(plot_write(&plot, &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    for (const char *at = buf_at(&out); (at = strstr(at, "<text x=\"")); at++) {
        const char *text = strchr(at, '>');
        assert_true(strtod(strstr(at, " y=\"") + 4, NULL) <= 520); /* the height of it all */
        named += strncmp(text, ">name<", 6) == 0;
    }
    assert_int_equal(named, PLOT_LINES_MAX);
    buf_fini(&out);
}

static void a_plot_that_does_not_fit_says_so(void **state)
{
    struct plot plot = {.title = "", .x = {"", false, 0, 1}, .y = {"", false, 0, 1}};
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    assert_true(plot_write(&plot, &out) < 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(quantiles_lie_between_values),
            cmocka_unit_test(an_interval_is_students),
            cmocka_unit_test(a_ratio_is_of_pairs),
            cmocka_unit_test(what_was_not_measured_does_not_count),
            cmocka_unit_test(figures_are_those_reckoned_by_hand),
            cmocka_unit_test(a_plot_is_one_svg_with_names_and_units),
            cmocka_unit_test(every_line_is_in_the_legend),
            cmocka_unit_test(a_plot_that_does_not_fit_says_so),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_figures", tests, NULL, NULL);
}
