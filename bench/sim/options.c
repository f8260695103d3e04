#include "bench/sim/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum option_type { OPTION_TEXT, OPTION_NUMBER, OPTION_WHOLE };

struct option_row {
    const char *name;
    enum option_type type;
    size_t offset;     /* in struct options */
    const char *text;  /* default of a text */
    double number;     /* … of a number */
    double low, high;  /* range */
    const char *value; /* what stands behind the name in the help */
    const char *help;
    const char *group; /* begins here */
};

#define AT(member) offsetof(struct options, member)
#define TEXT(title, member, def, what, words)                                                      \
    {                                                                                              \
        title, OPTION_TEXT, AT(member), def, 0, 0, 0, what, words, NULL                            \
    }
#define NUMBER(title, member, def, min, max, what, words)                                          \
    {                                                                                              \
        title, OPTION_NUMBER, AT(member), NULL, def, min, max, what, words, NULL                   \
    }
#define WHOLE(title, member, def, min, max, what, words)                                           \
    {                                                                                              \
        title, OPTION_WHOLE, AT(member), NULL, def, min, max, what, words, NULL                    \
    }
#define GROUP(title)                                                                               \
    {                                                                                              \
        NULL, OPTION_TEXT, 0, NULL, 0, 0, 0, NULL, NULL, title                                     \
    }

static const struct option_row rows[] = {
        GROUP("What is asked"),
        TEXT("trace", trace, "", "FILE",
                "Mooncake JSONL or Azure CSV; without it requests are made up"),
        NUMBER("load", load, 1, 0, EXPERIMENT_LOAD_MAX, "X",
                "share of the sessions, whole ones; above 1 with copies"),
        TEXT("sweep", sweep, "", "X,Y,…",
                "run at each of these loads; of two and more the plot shows p95 over load"),
        NUMBER("until-objective", until_objective, 0, 0, 1, "SHARE",
                "find the load where least-requests meets the objective for SHARE of the requests"),
        NUMBER("until-busy", until_busy, 0, 0, 1, "SHARE",
                "find the load where modemesh has the nodes compute for SHARE of the time"),
        WHOLE("users", users, 10, 1, 4000, "N", "users that sessions of a trace belong to"),
        TEXT("scenario", scenario, "plain", "NAME",
                "plain; flood: one of the users sends --flood-times its share, only the others "
                "count, "
                "and the same without the flood beside it, at one load"),
        WHOLE("flood-times", flood_times, 50, 2, 1000, "N", ""),
        GROUP("Made-up requests"),
        NUMBER("duration", generator.duration_s, 3600, 1, 1e7, "S", "sessions begin within"),
        NUMBER("sessions", generator.sessions_s, 0.05, 1e-6, 1e4, "N", "… so many a second"),
        NUMBER("arrival-cv", generator.arrival_cv, 1.5, 0.05, 20, "X",
                "variation of the times between them (gamma; 1 is Poisson)"),
        NUMBER("turns", generator.turns, 8, 1, 1000, "N",
                "requests of a session (mean, geometric)"),
        NUMBER("think", generator.think_s, 30, 0.001, 1e6, "S",
                "from an answer to the next request (mean)"),
        NUMBER("think-cv", generator.think_cv, 1.5, 0.05, 20, "X", "… its variation (gamma)"),
        NUMBER("read", generator.read_tok_s, 40, 0.1, 1e6, "TOK/S",
                "… after reading the answer so fast"),
        WHOLE("systems", systems, 16, 1, 1000000, "N", "system prompts"),
        NUMBER("zipf", generator.system_zipf, 1.1, 0, 10, "X", "… chosen by rank ^ -X"),
        NUMBER("system-tokens", generator.system_tokens, 4000, 1, 1e6, "N",
                "… of so many tokens (median, sigma 0.5)"),
        NUMBER("prompt-tokens", generator.prompt_tokens, 3000, 1, 1e6, "N",
                "first message (median, log-normal)"),
        NUMBER("prompt-sigma", generator.prompt_sigma, 1, 0, 5, "X", "…"),
        NUMBER("turn-tokens", generator.turn_tokens, 800, 1, 1e6, "N",
                "later messages (median, log-normal)"),
        NUMBER("turn-sigma", generator.turn_sigma, 1.2, 0, 5, "X", "…"),
        NUMBER("output-tokens", generator.output_tokens, 200, 1, 1e6, "N",
                "answers (median, log-normal)"),
        NUMBER("output-sigma", generator.output_sigma, 1, 0, 5, "X", "…"),
        WHOLE("tokens-max", tokens_max, 131072, 1, WORKLOAD_TOKENS_MAX, "N",
                "a session ends before its prompt would be longer"),
        GROUP("Nodes"),
        TEXT("fleet", fleet, "1+2", "SPEC",
                "M+N (fast + slow), first-users, equal:N, or parts like "
                "2x1000/4/18.5/3: 2 nodes, 1,000 prompt tok/s, 4 slots, steps of 18.5 ms + 3 ms "
                "for "
                "each sequence"),
        NUMBER("half-depth", half_depth, 32768, 1, 1e12, "TOKENS",
                "depth at which prefill has half its speed"),
        WHOLE("chunk", chunk, 2048, 1, 1e6, "TOKENS", "of prompts in one iteration"),
        WHOLE("cache", cache, 524288, 0, 1e9, "TOKENS",
                "of prompts that a node keeps, those running too"),
        NUMBER("load-s", load_s, 20, 0, 1e6, "S", "to load the model after a start"),
        GROUP("What is not known well, and what breaks"),
        NUMBER("rate-error", world.rate_error, 0, 0, 0.95, "SHARE",
                "told speeds are off by up to so much"),
        NUMBER("index-share", world.index_share, 1, 0.001, 10, "SHARE",
                "of a node's cache that the prefix index has room for"),
        NUMBER("index-lag", world.index_lag_s, 0, 0, 1e6, "S", "until the index hears of a prompt"),
        NUMBER("mtbf", world.mtbf_s, 0, 0, 1e9, "S", "mean time until a node dies; 0: it does not"),
        NUMBER("repair", world.repair_s, 60, 0, 1e6, "S", "… until it starts again"),
        NUMBER("missed", world.missed_s, 3, 0, 1e6, "S", "… until it is noticed"),
        GROUP("What is measured"),
        TEXT("policy", policies, "all", "A,B,…",
                "the first one is what others are compared with; all: modemesh and the baselines, "
                "those not named before it"),
        NUMBER("objective", objective.scale, 10, 0.01, 1e6, "X",
                "a request's time to first token is met within X times what it takes alone on the "
                "fastest "
                "node with nothing cached (Mooncake's TTFT objective)"),
        NUMBER("objective-s", objective.fixed_s, 0, 0, 1e6, "S",
                "… or within S seconds; 0: as above"),
        WHOLE("seeds", seeds, 5, 1, EXPERIMENT_SEEDS_MAX, "N", "runs of each policy"),
        WHOLE("seed", first_seed, 1, 0, 1e15, "N", "of the first run; the others follow"),
        TEXT("format", format, "text", "NAME", "text, json"),
        TEXT("plot", plot, "", "FILE",
                "write an SVG: shares of requests over time to first token, or p95 over load, "
                "with a --sweep of two and more"),
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static double *number_at(struct options *options, const struct option_row *row)
{
    return (double *)(void *)((char *)options + row->offset);
}

static const char **text_at(struct options *options, const struct option_row *row)
{
    return (const char **)(void *)((char *)options + row->offset);
}

static void set_defaults(struct options *options)
{
    *options = (struct options){0};
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].name && rows[i].type == OPTION_TEXT)
            *text_at(options, &rows[i]) = rows[i].text;
        else if (rows[i].name)
            *number_at(options, &rows[i]) = rows[i].number;
}

static int set_number(
        struct options *options, const struct option_row *row, const char *text, struct err *err)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !isfinite(value) || value < row->low || value > row->high)
        return err_set(err, -EINVAL, "--%s takes a number from %g to %g, not '%s'", row->name,
                row->low, row->high, text);
    if (row->type == OPTION_WHOLE && value != floor(value))
        return err_set(err, -EINVAL, "--%s takes a whole number, not '%s'", row->name, text);
    *number_at(options, row) = value;
    return 0;
}

static const struct option_row *find_row(const char *name, size_t len)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].name && strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
            return &rows[i];
    return NULL;
}

struct words { /* of the command line */
    int count, at;
    char *const *list;
    bool given[ROWS];
};

static int set_value(
        struct options *options, const struct option_row *row, const char *value, struct err *err)
{
    if (row->type != OPTION_TEXT)
        return set_number(options, row, value, err);
    if (!*value)
        return err_set(err, -EINVAL, "--%s takes %s, not ''", row->name, row->value);
    *text_at(options, row) = value;
    return 0;
}

/* "--name value" or "--name=value"; moves past it. */
static int take_option(struct words *words, struct options *options, struct err *err)
{
    const char *word = words->list[words->at++], *value = strchr(word, '=');
    const struct option_row *row = NULL;

    if (strncmp(word, "--", 2) == 0)
        row = find_row(word + 2, value ? (size_t)(value - word - 2) : strlen(word + 2));
    if (!row)
        return err_set(err, -EINVAL, "'%s' is no option; see --help", word);
    if (!value && words->at == words->count)
        return err_set(err, -EINVAL, "%s takes a value", word);
    if (words->given[row - rows])
        return err_set(err, -EINVAL, "--%s is given twice", row->name);
    words->given[row - rows] = true;
    value = value ? value + 1 : words->list[words->at++];
    return set_value(options, row, value, err);
}

static int take_word(struct words *words, struct options *options, struct err *err)
{
    const char *word = words->list[words->at];

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return OPTIONS_HELP;
    if (strcmp(word, "--version") == 0)
        return OPTIONS_VERSION;
    return take_option(words, options, err);
}

/* Each says at which load to run. */
static int check_loads(const struct words *words, struct err *err)
{
    static const char *const names[] = {"load", "sweep", "until-objective", "until-busy"};
    const char *first = NULL;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct option_row *row = find_row(names[i], strlen(names[i]));

        if (!words->given[row - rows])
            continue;
        if (first)
            return err_set(err, -EINVAL, "--%s or --%s, not both", first, names[i]);
        first = names[i];
    }
    return 0;
}

/* Rows that do nothing beside another one, or without it. */
static const struct dependence {
    const char *first, *last; /* from that row to this one */
    const char *other;
    const char *words; /* what it is to say, or not to say */
    bool needed;
} dependences[] = {
        {"flood-times", "flood-times", "scenario", "--scenario flood", true},
        {"duration", "tokens-max", "trace", "--trace", false},
        {"repair", "missed", "mtbf", "--mtbf", true},
        {"objective", "objective", "objective-s", "--objective-s", false},
};

static bool is_default(struct options *options, const struct option_row *row)
{
    return row->type == OPTION_TEXT ? strcmp(*text_at(options, row), row->text) == 0
                                    : *number_at(options, row) == row->number;
}

static int check_dependence(const struct words *words, struct options *options,
        const struct dependence *dependence, struct err *err)
{
    const struct option_row *row = find_row(dependence->first, strlen(dependence->first));
    const struct option_row *last = find_row(dependence->last, strlen(dependence->last));
    const struct option_row *other = find_row(dependence->other, strlen(dependence->other));

    if (is_default(options, other) != dependence->needed)
        return 0;
    while (row <= last && !words->given[row - rows])
        row++;
    if (row > last)
        return 0;
    return err_set(err, -EINVAL,
            dependence->needed ? "--%s does nothing without %s: give that too, or leave it out"
                               : "--%s does nothing beside %s: leave one of them out",
            row->name, dependence->words);
}

static int check_dependences(const struct words *words, struct options *options, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(dependences) / sizeof(dependences[0]); i++)
        r = check_dependence(words, options, &dependences[i], err);
    return r;
}

int options_parse(int argc, char *const argv[], struct options *ret, struct err *err)
{
    struct words words = {.count = argc, .at = 1, .list = argv};
    struct options options;
    int r = OPTIONS_RUN;

    set_defaults(&options);
    while (r == OPTIONS_RUN && words.at < argc)
        r = take_word(&words, &options, err);
    if (r == OPTIONS_RUN)
        r = check_loads(&words, err);
    if (r == OPTIONS_RUN)
        r = check_dependences(&words, &options, err);
    if (r != OPTIONS_RUN)
        return r;
    options.generator.systems = (uint32_t)options.systems;
    options.generator.tokens_max = (uint32_t)options.tokens_max;
    options.generator.users = (uint32_t)options.users;
    *ret = options;
    return OPTIONS_RUN;
}

static void print_row(FILE *out, const struct option_row *row)
{
    char name[64];

    snprintf(name, sizeof(name), "--%s %s", row->name, row->value);
    fprintf(out, "  %-26s %s", name, row->help);
    if (row->type != OPTION_TEXT)
        fprintf(out, " (%.10g)", row->number);
    else if (row->text[0])
        fprintf(out, " (%s)", row->text);
    fputc('\n', out);
}

void options_help(FILE *out)
{
    fprintf(out,
            "usage: modemesh-sim [OPTIONS]\n\n"
            "Runs the coordinator's own scheduling, and others', on simulated model nodes with "
            "a virtual clock.\ndocs/SIMULATOR.md says what is modelled, and what is not. An option "
            "is given once, of --load,\n--sweep and the two --until-… one, and none that would do "
            "nothing beside the others.\n");
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].group)
            fprintf(out, "\n%s:\n", rows[i].group);
        else
            print_row(out, &rows[i]);
    fprintf(out, "\nAlso:\n  %-26s %s\n  %-26s %s\n", "--help", "show this", "--version",
            "show the version");
    fprintf(out, "\nPolicies:\n");
    for (size_t i = 0; policy_at(i); i++)
        fprintf(out, "  %-16s %s\n", policy_at(i)->name, policy_at(i)->about);
    fprintf(out,
            "\nExit codes: 0 done, also where no request was left to measure, 1 failed, or no load "
            "found,\n2 wrong command line.\n");
}
