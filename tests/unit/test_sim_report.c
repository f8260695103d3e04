#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/sim/report/report.h"

#include <stdlib.h>
#include <string.h>

/* Of two seeds whose figures are far apart. */
static void fill(struct report *report, double first_s, double second_s)
{
    struct figures *figures = report->outcomes[0].by_seed;
    *report = (struct report){.title = "made up", .load = 1, .requests = 1, .count = 1};
    report->outcomes[0].policy = policy_at(0);
    report->outcomes[0].seeds = 2;
    figures[0] = (struct figures){.requests = 1, .ttft_p95_s = first_s, .goodput = 0.99};
    figures[1] = (struct figures){.requests = 1, .ttft_p95_s = second_s, .goodput = 0.98};
}

static char *table_of(const struct report *report)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert_int_equal(sim_report_print(report, out, NULL), 0);
    fclose(out);
    return text;
}

static void assert_has(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("'%s' is not in '%s'", words, text);
}

static void long_times_are_shown_whole(void **state)
{
    struct report report;
    char *text;
    (void)state;
    fill(&report, 2.6008e12, 2.6008e12);
    text = table_of(&report);
    assert_has(text, "2.6e+12 s [2.6e+12 s, 2.6e+12 s]");
    free(text);
    fill(&report, 9876543, 9876543);
    text = table_of(&report);
    assert_has(text, "9876543 s [9876543 s, 9876543 s]");
    free(text);
}

static void intervals_end_where_the_figure_does(void **state)
{
    struct report report;
    struct buf out;
    char *text;
    (void)state;
    fill(&report, 1, 3);
    text = table_of(&report);
    assert_has(text, "2.00 s [0 ms, 14.7 s]");
    free(text);
    buf_init(&out, 1 << 20);
    assert_int_equal(report_json(&report, &out), 0);
    assert_int_equal(buf_terminate(&out), 0);
    text = strstr(buf_at(&out), "\"ttft_p95_s\"");
    assert_has(strtok(text, "["), "\"low\":0,\"high\":14.7");
    text = strstr(text + strlen(text) + 1, "\"goodput\"");
    assert_has(strtok(text, "["), "\"high\":1,");
    buf_fini(&out);
}

static double first_x(const struct buf *out)
{
    return strtod(strstr(buf_at(out), "points=\"") + strlen("points=\""), NULL);
}

/* All of one moment: the frame has two ends, and the line is in it. */
static void short_times_are_in_the_frame(void **state)
{
    static const double moments[] = {2e-7, 0.0003, 0.001, 1, 1e9};
    (void)state;
    for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
        double ttft[] = {moments[i], moments[i]};
        struct report report;
        struct buf out;
        fill(&report, ttft[0], ttft[0]);
        report.outcomes[0].ttft = ttft;
        report.outcomes[0].ttft_count = 2;
        buf_init(&out, 1 << 20);
        assert_int_equal(report_plot(&report, &out), 0);
        assert_int_equal(buf_terminate(&out), 0);
        assert_true(first_x(&out) >= 70 && first_x(&out) <= 670);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(long_times_are_shown_whole),
            cmocka_unit_test(intervals_end_where_the_figure_does),
            cmocka_unit_test(short_times_are_in_the_frame),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("sim_report", tests, NULL, NULL);
}
