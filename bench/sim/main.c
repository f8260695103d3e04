/* modemesh-sim: the coordinator's own scheduling on simulated model nodes, beside what others do.
 */
#include "bench/sim/nodes/fleet_spec.h"
#include "bench/sim/options.h"
#include "bench/sim/report/plot_file.h"
#include "bench/sim/report/report.h"
#include "bench/sim/workload/trace.h"
#include "common/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OUTPUT_MAX = 256 * 1024 * 1024,
    TITLE_MAX = 256,
    EXIT_USAGE = 2,
};

struct run { /* all that main() owns */
    struct options options;
    struct workload trace;
    struct fleet_spec fleet;
    struct experiment experiment;
    const struct policy *policies[REPORT_OUTCOMES_MAX];
    size_t policy_count;
    double loads[OPTIONS_LOADS_MAX];
    size_t load_count;
    struct report *reports; /* by load */
    struct plot_file *plot; /* NULL: none is asked for */
    char title[TITLE_MAX];
};

static bool has_policy(const struct run *run, const struct policy *policy)
{
    size_t i = 0;

    while (i < run->policy_count && run->policies[i] != policy)
        i++;
    return i < run->policy_count;
}

static int add_policy(struct run *run, const struct policy *policy, struct err *err)
{
    if (run->policy_count == REPORT_OUTCOMES_MAX)
        return err_set(err, -EINVAL, "--policy takes at most %d policies", REPORT_OUTCOMES_MAX);
    run->policies[run->policy_count++] = policy;
    return 0;
}

/* modemesh itself and all that are not its variants, but for those that were named before. */
static int add_all(struct run *run, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && policy_at(i); i++)
        if ((i == 0 || policy_at(i)->balancer) && !has_policy(run, policy_at(i)))
            r = add_policy(run, policy_at(i), err);
    return r;
}

static int add_named(struct run *run, const char *name, struct err *err)
{
    const struct policy *policy = policy_find(name);

    if (strcmp(name, "all") == 0)
        return add_all(run, err);
    if (!policy)
        return err_set(err, -EINVAL, "there is no policy '%s'; see --help", name);
    if (has_policy(run, policy))
        return err_set(err, -EINVAL, "--policy %s has '%s' twice", run->options.policies, name);
    return add_policy(run, policy, err);
}

static int choose_policies(struct run *run, struct err *err)
{
    char *copy = strdup(run->options.policies), *rest = copy, *name;
    int r = copy ? 0 : err_set(err, -ENOMEM, "no memory for the policies");

    while (r == 0 && (name = strsep(&rest, ",")))
        r = add_named(run, name, err);
    free(copy);
    return r;
}

/* Of `text`, up to a comma or the end; false: it is none. */
static bool take_load(const char **text, double *ret_load)
{
    char *end;
    double load = strtod(*text, &end);

    if (end == *text || (*end && *end != ',') ||
            !(load >= OPTIONS_LOAD_MIN && load <= EXPERIMENT_LOAD_MAX))
        return false;
    *text = end;
    *ret_load = load;
    return true;
}

static int choose_loads(struct run *run, struct err *err)
{
    const char *sweep = run->options.sweep;
    bool more = true;

    if (!*sweep) {
        run->loads[run->load_count++] = run->options.load;
        return 0;
    }
    for (const char *at = sweep; more; at++) {
        if (run->load_count == OPTIONS_LOADS_MAX || !take_load(&at, &run->loads[run->load_count]))
            return err_set(err, -EINVAL, "--sweep takes up to %d loads from %g to %d, not '%s'",
                    OPTIONS_LOADS_MAX, OPTIONS_LOAD_MIN, EXPERIMENT_LOAD_MAX, sweep);
        run->load_count++;
        more = *at != '\0';
    }
    return 0;
}

static int check_words(const struct options *options, struct err *err)
{
    if (strcmp(options->scenario, "plain") != 0 && strcmp(options->scenario, "flood") != 0)
        return err_set(err, -EINVAL, "--scenario is plain or flood, not '%s'", options->scenario);
    if (strcmp(options->scenario, "flood") == 0 && options->sweep[0])
        return err_set(err, -EINVAL,
                "--scenario flood runs at one load, not at --sweep %s: give it as --load",
                options->sweep);
    if (strcmp(options->format, "text") != 0 && strcmp(options->format, "json") != 0)
        return err_set(err, -EINVAL, "--format is text or json, not '%s'", options->format);
    return 0;
}

/* A file's name may be any bytes. A terminal could act on controls (U+0080 to U+009F are some), and
 * an SVG has none, nor what is not UTF-8. */
static void clean(char *text)
{
    while (*text) {
        unsigned char c = (unsigned char)text[0], next = (unsigned char)text[1];
        bool is_control = c < ' ' || c == 0x7f || (c == 0xc2 && next < 0xa0);
        size_t len = is_control ? 0 : text_utf8_seq(text, strnlen(text, 4));

        if (len == 0)
            *text = '?';
        text += len ? len : 1;
    }
}

static void describe(struct run *run)
{
    const struct options *options = &run->options;
    const char *name = strrchr(options->trace, '/');
    struct text_writer title = {run->title, sizeof(run->title), 0};

    text_write(&title, "%s on %s",
            options->trace[0] ? (name ? name + 1 : options->trace) : "made-up sessions",
            options->fleet);
    clean(run->title);
}

static int prepare(struct run *run, struct err *err)
{
    const struct options *options = &run->options;
    struct node_params common = {
            .rates = {.half_depth = (float)options->half_depth},
            .chunk_tokens = (uint32_t)options->chunk,
            .cache_tokens = (uint32_t)options->cache,
            .load_s = options->load_s,
    };
    int r = check_words(options, err);

    if (r == 0)
        r = choose_policies(run, err);
    if (r == 0)
        r = choose_loads(run, err);
    if (r == 0)
        r = fleet_spec_parse(options->fleet, &common, &run->fleet, err);
    if (r == 0 && options->trace[0])
        r = trace_read(options->trace, &run->trace, err);
    if (r == 0 && options->plot[0])
        r = plot_file_open(options->plot, options->trace, &run->plot, err);
    run->experiment = (struct experiment){
            .world = options->world,
            .trace = options->trace[0] ? &run->trace : NULL,
            .generator = &options->generator,
            .load = options->load,
            .users = (uint32_t)options->users,
            .first_seed = (uint64_t)options->first_seed,
            .seeds = (uint32_t)options->seeds,
            .objective = options->objective,
    };
    run->experiment.world.nodes = run->fleet.nodes;
    run->experiment.world.node_count = run->fleet.count;
    describe(run);
    return r;
}

static int find_load(struct run *run, struct err *err)
{
    const struct options *options = &run->options;

    int r;

    if (options->until_objective > 0) {
        r = experiment_find_load(&run->experiment, policy_find("least-requests"),
                figure_named("goodput"), options->until_objective, &run->loads[0], err);
        return r < 0 ? err_prefix(err, r, "--until-objective %g", options->until_objective) : 0;
    }
    if (options->until_busy > 0) {
        r = experiment_find_load(&run->experiment, policy_find("modemesh"), figure_named("busy"),
                options->until_busy, &run->loads[0], err);
        return r < 0 ? err_prefix(err, r, "--until-busy %g", options->until_busy) : 0;
    }
    return 0;
}

static int run_policies(struct run *run, struct report *report, struct err *err)
{
    int r = 0;

    report->title = run->title;
    report->more = run->options.trace[0] ? "a larger --load"
                                         : "a larger --load, or more --sessions or --users";
    report->load = run->experiment.load;
    report->first_seed = run->experiment.first_seed;
    for (size_t i = 0; r == 0 && i < run->policy_count; i++) {
        r = experiment_run(
                &run->experiment, run->policies[i], &report->outcomes[report->count], err);
        if (r == 0)
            report->count++;
    }
    if (r == 0)
        report->requests = outcome_figure(&report->outcomes[0], figure_named("requests")).mean;
    return r;
}

/* Without the flood, then with it. */
static int run_flood(struct run *run, struct err *err)
{
    int r;

    run->experiment.load = run->loads[0];
    run->experiment.others_only = true;
    r = run_policies(run, &run->reports[0], err);
    if (r < 0)
        return r;
    run->experiment.flood_times = (uint32_t)run->options.flood_times;
    run->load_count = 2;
    return run_policies(run, &run->reports[1], err);
}

static int run_all(struct run *run, struct err *err)
{
    int r = find_load(run, err);

    run->reports = calloc(OPTIONS_LOADS_MAX, sizeof(*run->reports));
    if (r == 0 && !run->reports)
        r = err_set(err, -ENOMEM, "no memory for the results");
    if (r == 0 && strcmp(run->options.scenario, "flood") == 0)
        return run_flood(run, err);
    for (size_t i = 0; r == 0 && i < run->load_count; i++) {
        run->experiment.load = run->loads[i];
        r = run_policies(run, &run->reports[i], err);
    }
    return r;
}

/* What errno says is the cause. */
static int output_failed(struct err *err)
{
    int r = errno ? -errno : -EIO;

    return err_set(err, r, "cannot write to standard output: %s", strerror(-r));
}

/* What was printed has arrived. What stdio could not write it keeps, so that this meets the cause
 * again. */
static int end_output(struct err *err)
{
    errno = 0;
    return fflush(stdout) != 0 || ferror(stdout) ? output_failed(err) : 0;
}

/* Where some seeds have nobody who could send it. */
static void print_flood(const struct run *run)
{
    const struct outcome *outcome = &run->reports[0].outcomes[0];

    printf("That one sends %.0f times its share", run->options.flood_times);
    if (outcome->calm > 0)
        printf(" (in %u of %u seeds it sends nothing)", outcome->calm, outcome->served);
    puts(", the others:");
}

static int print_text(const struct run *run, struct err *err)
{
    bool flood = strcmp(run->options.scenario, "flood") == 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < run->load_count; i++) {
        if (i > 0)
            putchar('\n');
        if (flood && i == 0)
            puts("Without the flood, all users but one:");
        else if (flood)
            print_flood(run);
        r = sim_report_print(&run->reports[i], stdout, err);
    }
    return r;
}

static int print_json(const struct run *run, struct err *err)
{
    struct buf out;
    int r;

    buf_init(&out, OUTPUT_MAX);
    r = buf_append_str(&out, "[");
    for (size_t i = 0; r == 0 && i < run->load_count; i++) {
        if (i > 0)
            r = buf_append_str(&out, ",\n");
        if (r == 0)
            r = report_json(&run->reports[i], &out);
    }
    if (r == 0)
        r = buf_append_str(&out, "]\n");
    if (r < 0)
        err_set(err, r, "the JSON cannot be made: %s", strerror(-r));
    else if (fwrite(buf_at(&out), 1, out.len, stdout) != out.len)
        r = output_failed(err);
    buf_fini(&out);
    return r;
}

static int write_plot(const struct run *run, struct err *err)
{
    struct buf out;
    int r;

    buf_init(&out, OUTPUT_MAX);
    r = run->load_count > 1 && run->options.sweep[0]
                ? report_plot_loads(run->reports, run->load_count, &out)
                : report_plot(&run->reports[run->load_count - 1], &out);
    if (r < 0)
        err_set(err, r, "the plot cannot be made: %s", strerror(-r));
    else
        r = plot_file_write(run->plot, &out, err);
    buf_fini(&out);
    return r;
}

static int tell(const struct run *run, struct err *err)
{
    int r = strcmp(run->options.format, "json") == 0 ? print_json(run, err) : print_text(run, err);

    if (r == 0)
        r = end_output(err);
    if (r == 0 && run->plot)
        r = write_plot(run, err);
    return r;
}

static void run_fini(struct run *run)
{
    for (size_t i = 0; run->reports && i < OPTIONS_LOADS_MAX; i++)
        report_fini(&run->reports[i]);
    free(run->reports);
    plot_file_close(run->plot);
    fleet_spec_fini(&run->fleet);
    workload_fini(&run->trace);
}

static int run_options(struct run *run, struct err *err)
{
    int r = run_all(run, err);

    return r < 0 ? r : tell(run, err);
}

static int about(int what, struct err *err)
{
    if (what == OPTIONS_HELP)
        options_help(stdout);
    else
        puts("modemesh-sim " MODEMESH_VERSION);
    return end_output(err);
}

int main(int argc, char *argv[])
{
    struct run run = {0};
    struct err err = {""};
    int failure = EXIT_USAGE;
    int what = options_parse(argc, argv, &run.options, &err);
    int r = what == OPTIONS_RUN ? prepare(&run, &err) : what;

    if (r >= 0) {
        failure = EXIT_FAILURE;
        r = what == OPTIONS_RUN ? run_options(&run, &err) : about(what, &err);
    }
    run_fini(&run);
    if (r < 0)
        fprintf(stderr, "modemesh-sim: %s\n", err.text);
    return r < 0 ? failure : EXIT_SUCCESS;
}
