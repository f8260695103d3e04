#include "bench/sim/report/report.h"

#include "bench/sim/report/plot.h"
#include "bench/sim/report/statistics.h"
#include "cli/table.h"
#include "common/json/json_writer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CELL_MAX = 64,
    LONG_S = 10000000,
    PLOT_POINTS = REPORT_LOADS_MAX, /* of a line of shares too */
};

/* A token at FLEET_PREFILL_MAX_TOK_S. */
#define PLOT_LEAST_S 1e-7
#define NO_REQUEST   "no request left to measure"

void report_fini(struct report *report)
{
    for (size_t i = 0; i < report->count; i++)
        outcome_fini(&report->outcomes[i]);
    report->count = 0;
}

static size_t figure_at(size_t offset)
{
    size_t index = 0;

    while (figure_list[index].offset != offset)
        index++;
    return index;
}

#define FIGURE(member) figure_at(offsetof(struct figures, member))

/* Within what the figure can be: an interval about a mean knows of no ends. */
static struct estimate estimate_of(const struct outcome *outcome, size_t figure)
{
    struct estimate estimate = outcome_figure(outcome, figure);

    if (estimate.low < 0)
        estimate.low = 0;
    if (figure_list[figure].is_share && estimate.high > 1)
        estimate.high = 1;
    return estimate;
}

/* --- table --- */

enum column { POLICY, P50, P95, P99, VERSUS, TPOT, E2E, GOODPUT, CACHED, BUSY, COLUMNS };

static const struct table_column columns[] = {
        [POLICY] = {.key = "policy", .title = "POLICY"},
        [P50] = {.key = "ttft_p50", .title = "TTFT P50", .right = true},
        [P95] = {.key = "ttft_p95", .title = "P95 [95 %]", .right = true},
        [P99] = {.key = "ttft_p99", .title = "P99", .right = true},
        [VERSUS] = {.key = "versus", .title = "P95 VERSUS FIRST [95 %]", .right = true},
        [TPOT] = {.key = "tpot_p50", .title = "TPOT P50", .right = true},
        [E2E] = {.key = "e2e_p95", .title = "E2E P95", .right = true},
        [GOODPUT] = {.key = "goodput", .title = "GOODPUT", .right = true},
        [CACHED] = {.key = "cached", .title = "CACHED", .right = true},
        [BUSY] = {.key = "busy", .title = "BUSY", .right = true},
        [COLUMNS] = {.key = NULL},
};

/* Three digits, or whole seconds up to LONG_S; "-" for what was not measured. */
static const char *seconds(double value, char text[static CELL_MAX])
{
    if (!isfinite(value))
        return strcpy(text, "-");
    if (value < 0.0995)
        snprintf(text, CELL_MAX, "%.3g ms", value * 1000);
    else
        snprintf(text, CELL_MAX,
                value < 9.995    ? "%.2f s"
                : value < 99.95  ? "%.1f s"
                : value < LONG_S ? "%.0f s"
                                 : "%.3g s",
                value);
    return text;
}

static void fill_seconds(const struct outcome *outcome, size_t figure, char text[static CELL_MAX])
{
    seconds(outcome_figure(outcome, figure).mean, text);
}

static void fill_share(const struct outcome *outcome, size_t figure, char text[static CELL_MAX])
{
    double share = outcome_figure(outcome, figure).mean;

    if (isfinite(share))
        snprintf(text, CELL_MAX, "%.1f %%", 100 * share);
    else
        strcpy(text, "-");
}

static void fill_range(const struct outcome *outcome, size_t figure, char text[static CELL_MAX])
{
    struct estimate estimate = estimate_of(outcome, figure);
    char mean[CELL_MAX], low[CELL_MAX], high[CELL_MAX];

    if (!isfinite(estimate.mean))
        strcpy(text, "-");
    else if (!isfinite(estimate.low))
        snprintf(text, CELL_MAX, "%s [-]", seconds(estimate.mean, mean));
    else
        snprintf(text, CELL_MAX, "%s [%s, %s]", seconds(estimate.mean, mean),
                seconds(estimate.low, low), seconds(estimate.high, high));
}

static void fill_versus(
        const struct outcome *outcome, const struct outcome *first, char text[static CELL_MAX])
{
    struct estimate ratio = outcome_ratio(outcome, first, FIGURE(ttft_p95_s));

    if (!isfinite(ratio.mean))
        strcpy(text, "-");
    else if (outcome == first)
        strcpy(text, "1");
    else if (!isfinite(ratio.low))
        snprintf(text, CELL_MAX, "%.2f x [-]", ratio.mean);
    else
        snprintf(text, CELL_MAX, "%.2f x [%.2f, %.2f]", ratio.mean, ratio.low, ratio.high);
}

static int add_outcome(
        struct table *table, const struct outcome *outcome, const struct outcome *first)
{
    char text[COLUMNS][CELL_MAX];
    const char *cells[COLUMNS];

    for (size_t i = 0; i < COLUMNS; i++)
        cells[i] = text[i];
    cells[POLICY] = outcome->policy->name;
    fill_seconds(outcome, FIGURE(ttft_p50_s), text[P50]);
    fill_range(outcome, FIGURE(ttft_p95_s), text[P95]);
    fill_seconds(outcome, FIGURE(ttft_p99_s), text[P99]);
    fill_versus(outcome, first, text[VERSUS]);
    fill_seconds(outcome, FIGURE(tpot_p50_s), text[TPOT]);
    fill_seconds(outcome, FIGURE(e2e_p95_s), text[E2E]);
    fill_share(outcome, FIGURE(goodput), text[GOODPUT]);
    fill_share(outcome, FIGURE(cached), text[CACHED]);
    fill_share(outcome, FIGURE(busy), text[BUSY]);
    return table_add(table, cells);
}

/* All policies get the same requests, so the first one's seeds tell of all. */
static uint32_t seeds_without_requests(const struct outcome *first)
{
    uint32_t count = 0;

    for (uint32_t seed = 0; seed < first->seeds; seed++)
        count += figure_of(&first->by_seed[seed], FIGURE(requests)) == 0;
    return count;
}

static void print_head(const struct report *report, FILE *out)
{
    const struct outcome *first = &report->outcomes[0];
    uint32_t empty = seeds_without_requests(first);

    fprintf(out, "%s, load %.4g: ", report->title, report->load);
    if (empty == first->seeds)
        fprintf(out, NO_REQUEST " in %u seeds; %s\n", first->seeds, report->more);
    else if (empty > 0)
        fprintf(out, "%.1f requests a seed, %u seeds, %u of them without one, which do not count\n",
                report->requests, first->seeds, empty);
    else
        fprintf(out, "%.0f requests a seed, %u seeds\n", report->requests, first->seeds);
}

int sim_report_print(const struct report *report, FILE *out, struct err *err)
{
    struct table *table = table_create("policies", columns, TABLE_TEXT);
    int r = table ? 0 : -ENOMEM;

    print_head(report, out);
    for (size_t i = 0; r == 0 && i < report->count; i++)
        r = add_outcome(table, &report->outcomes[i], &report->outcomes[0]);
    if (r == 0)
        r = table_print(table, out, 200, err);
    else
        err_set(err, r, "no memory for the table");
    table_destroy(table);
    return r;
}

/* --- JSON --- */

static void write_num(struct json_writer *writer, const char *key, double value)
{
    if (isfinite(value))
        json_writer_num(writer, key, value);
    else
        json_writer_null(writer, key);
}

static void write_outcome(
        struct json_writer *writer, const struct outcome *outcome, const struct outcome *first)
{
    struct estimate ratio = outcome_ratio(outcome, first, FIGURE(ttft_p95_s));

    json_writer_object(writer, NULL);
    json_writer_str(writer, "policy", outcome->policy->name);
    write_num(writer, "ttft_p95_versus_first", ratio.mean);
    write_num(writer, "ttft_p95_versus_first_low", ratio.low);
    write_num(writer, "ttft_p95_versus_first_high", ratio.high);
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        struct estimate estimate = estimate_of(outcome, i);

        json_writer_object(writer, figure_list[i].name);
        write_num(writer, "mean", estimate.mean);
        write_num(writer, "low", estimate.low);
        write_num(writer, "high", estimate.high);
        json_writer_array(writer, "by_seed");
        for (uint32_t seed = 0; seed < outcome->seeds; seed++)
            write_num(writer, NULL, figure_of(&outcome->by_seed[seed], i));
        json_writer_array_end(writer);
        json_writer_object_end(writer);
    }
    json_writer_object_end(writer);
}

int report_json(const struct report *report, struct buf *out)
{
    struct json_writer writer;

    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    json_writer_str(&writer, "title", report->title);
    json_writer_num(&writer, "load", report->load);
    json_writer_u64(&writer, "first_seed", report->first_seed);
    json_writer_array(&writer, "policies");
    for (size_t i = 0; i < report->count; i++)
        write_outcome(&writer, &report->outcomes[i], &report->outcomes[0]);
    json_writer_array_end(&writer);
    json_writer_object_end(&writer);
    return json_writer_result(&writer);
}

/* --- plots --- */

struct lines { /* what a plot borrows */
    double x[PLOT_LINES_MAX][PLOT_POINTS];
    double y[PLOT_LINES_MAX][PLOT_POINTS];
};

/* To whole powers of ten. */
static void widen(struct plot_axis *axis, double value)
{
    if (!isfinite(value))
        return;
    value = log10(fmax(value, PLOT_LEAST_S));
    axis->low = fmin(axis->low, pow(10, floor(value)));
    axis->high = fmax(axis->high, pow(10, ceil(value)));
}

/* A frame needs two ends also where nothing was measured. */
static int write_plot(struct plot *plot, struct plot_axis *seconds, struct buf *out)
{
    if (!(seconds->low <= seconds->high)) {
        seconds->low = 0.1;
        seconds->high = 10;
        plot->note = NO_REQUEST;
    }
    if (seconds->low == seconds->high)
        seconds->high *= 10;
    return plot_write(plot, out);
}

static void add_shares(struct plot *plot, struct lines *lines, const struct outcome *outcome)
{
    size_t number = plot->line_count++;

    for (size_t i = 0; i < PLOT_POINTS; i++) {
        lines->y[number][i] = (double)i / (PLOT_POINTS - 1);
        lines->x[number][i] =
                statistics_quantile(outcome->ttft, outcome->ttft_count, lines->y[number][i]);
        widen(&plot->x, lines->x[number][i]);
    }
    plot->lines[number] = (struct plot_line){
            outcome->policy->name, lines->x[number], lines->y[number], PLOT_POINTS};
}

int report_plot(const struct report *report, struct buf *out)
{
    struct lines *lines = calloc(1, sizeof(*lines));
    struct plot plot = {
            .title = report->title,
            .x = {"time to first token, s", true, INFINITY, 0},
            .y = {"share of requests", false, 0, 1},
    };
    int r;

    if (!lines)
        return -ENOMEM;
    for (size_t i = 0; i < report->count; i++)
        add_shares(&plot, lines, &report->outcomes[i]);
    r = write_plot(&plot, &plot.x, out);
    free(lines);
    return r;
}

static int compare_loads(const void *left, const void *right)
{
    double a = (*(const struct report *const *)left)->load;
    double b = (*(const struct report *const *)right)->load;

    return (a > b) - (a < b);
}

/* A line goes from each load to the next larger one. */
static void sort_loads(
        const struct report *reports, size_t count, const struct report *by_load[PLOT_POINTS])
{
    for (size_t i = 0; i < count; i++)
        by_load[i] = &reports[i];
    qsort(by_load, count, sizeof(by_load[0]), compare_loads);
}

static void add_loads(struct plot *plot, struct lines *lines,
        const struct report *const by_load[PLOT_POINTS], size_t count, size_t policy)
{
    for (size_t i = 0; i < count; i++) {
        lines->x[policy][i] = by_load[i]->load;
        lines->y[policy][i] =
                outcome_figure(&by_load[i]->outcomes[policy], FIGURE(ttft_p95_s)).mean;
        widen(&plot->y, lines->y[policy][i]);
    }
    plot->lines[plot->line_count++] = (struct plot_line){
            by_load[0]->outcomes[policy].policy->name, lines->x[policy], lines->y[policy], count};
}

int report_plot_loads(const struct report *reports, size_t count, struct buf *out)
{
    struct lines *lines = calloc(1, sizeof(*lines));
    const struct report *by_load[PLOT_POINTS];
    struct plot plot = {
            .title = reports[0].title,
            .x = {"load, × the sessions", false, 0, 0},
            .y = {"95th percentile of time to first token, s", true, INFINITY, 0},
    };
    int r;

    if (!lines)
        return -ENOMEM;
    sort_loads(reports, count, by_load);
    plot.x.high = by_load[count - 1]->load;
    for (size_t i = 0; i < reports[0].count; i++)
        add_loads(&plot, lines, by_load, count, i);
    r = write_plot(&plot, &plot.y, out);
    free(lines);
    return r;
}
