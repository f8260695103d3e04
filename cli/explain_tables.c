#include "cli/explain_tables.h"

#include "cli/terminal.h"
#include "common/json/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { LINE_MAX_BYTES = 512, SECONDS_MAX = 24 };

/* ---- the instances */

static const struct table_column columns[] = {
        {.key = "node", .title = "NODE"},
        {.key = "model", .title = "MODEL"},
        {.key = "state", .title = "STATE"},
        {.key = "held_tokens", .title = "HELD", .right = true},
        {.key = "wait", .title = "WAIT", .right = true},
        {.key = "load", .title = "LOAD", .right = true},
        {.key = "swap", .title = "SWAP", .right = true},
        {.key = "prefill", .title = "PREFILL", .right = true},
        {.key = "round_trip", .title = "TRIP", .right = true},
        {.key = "time_to_first_token", .title = "FIRST", .right = true},
        {.key = "decode", .title = "DECODE", .right = true},
        {.key = "interference", .title = "OTHERS", .right = true},
        {.key = "quality", .title = "QUALITY", .right = true},
        {.key = "price", .title = "PRICE", .right = true},
        {.key = "failure", .title = "FAILURE", .right = true},
        {.key = "total", .title = "TOTAL", .right = true},
        {.key = "why", .title = "WHY", .wrap = true},
        {.key = NULL},
};

enum {
    COLUMN_HELD = 3,
    COLUMN_TERMS = 4, /* the first of the seconds */
    COLUMN_WHY = 16,
    COLUMN_COUNT = 17,
};

/* "0" stands out from what is only small; "-" where it cannot be chosen. */
static const char *seconds_of(
        enum table_format format, const cJSON *seconds, const char *term, char cell[SECONDS_MAX])
{
    double value = json_num(seconds, term, NAN);

    if (!isfinite(value))
        return "-";
    if (table_is_text(format) && !(value > 0))
        return "0";
    snprintf(cell, SECONDS_MAX, table_is_text(format) ? "%.2f" : "%.6f", value);
    return cell;
}

static int add_instance(struct table *table, const cJSON *instance, enum table_format format)
{
    const cJSON *seconds = json_obj(instance, "seconds");
    char cell[COLUMN_COUNT][SECONDS_MAX];
    const char *cells[COLUMN_COUNT];

    cells[0] = json_str(instance, "node", "");
    cells[1] = json_str(instance, "model", "");
    cells[2] = json_str(instance, "state", "");
    cells[COLUMN_HELD] = report_count(
            report_u64(instance, columns[COLUMN_HELD].key), cell[COLUMN_HELD], SECONDS_MAX);
    for (size_t i = COLUMN_TERMS; i < COLUMN_WHY; i++)
        cells[i] = seconds_of(format, seconds, columns[i].key, cell[i]);
    cells[COLUMN_WHY] = json_str(instance, "why", "");
    return table_add(table, cells);
}

static int fill(struct table *table, const cJSON *answer, enum table_format format)
{
    const cJSON *instance;
    int rc = 0;

    cJSON_ArrayForEach(instance, json_array(answer, "instances"))
    {
        if (rc == 0)
            rc = add_instance(table, instance, format);
    }
    return rc;
}

const struct report report_explained = {.name = "instances", .columns = columns, .fill = fill};

/* ---- the mode's models */

static const struct table_column model_columns[] = {
        {.key = "model", .title = "MODEL"},
        {.key = "points", .title = "POINTS", .right = true},
        {.key = "option", .title = "MAY ANSWER", .type = TABLE_BOOL},
        {.key = "why", .title = "WHY", .wrap = true},
        {.key = NULL},
};

static int fill_models(struct table *table, const cJSON *answer, enum table_format format)
{
    const cJSON *model;
    int rc = 0;

    (void)format;
    cJSON_ArrayForEach(model, json_array(answer, "models"))
    {
        char points[32];
        const char *cells[] = {json_str(model, "model", ""),
                report_count(report_u64(model, "points"), points, sizeof(points)),
                json_bool(model, "option", false) ? "yes" : "no", json_str(model, "why", "")};

        if (rc == 0)
            rc = table_add(table, cells);
    }
    return rc;
}

static const struct report report_explained_models = {
        .name = "models", .columns = model_columns, .fill = fill_models};

/* ---- sentences */

static const char *line_of(const cJSON *object, const char *key, char line[LINE_MAX_BYTES])
{
    return terminal_line(json_str(object, key, ""), line, LINE_MAX_BYTES);
}

/* The modes that have none for it, each with the one that is asked instead. */
static void print_passed(const cJSON *answer, FILE *out)
{
    char mode[LINE_MAX_BYTES], next[LINE_MAX_BYTES], why[LINE_MAX_BYTES];
    const cJSON *passed;

    cJSON_ArrayForEach(passed, json_array(answer, "passed"))
    {
        fprintf(out, "The mode %s has none for it, and %s is asked instead: %s.\n",
                line_of(passed, "mode", mode),
                line_of(passed->next ? passed->next : answer, "mode", next),
                line_of(passed, "why", why));
    }
}

static void print_request(const cJSON *answer, FILE *out)
{
    char rule[LINE_MAX_BYTES];

    fprintf(out, "Rule: %s (a prompt of %" PRIu64 " tokens, about %" PRIu64 " of answer)\n",
            line_of(answer, "rule", rule), report_u64(answer, "prompt_tokens"),
            report_u64(answer, "output_tokens"));
}

static void print_session(const cJSON *session, FILE *out)
{
    char id[LINE_MAX_BYTES], node[LINE_MAX_BYTES];

    if (!session)
        return;
    line_of(session, "id", id);
    line_of(session, "node", node);
    if (!json_bool(session, "known", false))
        fprintf(out, "The conversation %s is not known.\n", id);
    else if (*node)
        fprintf(out, "The conversation %s was last on %s.\n", id, node);
    else
        fprintf(out, "The conversation %s has no instance here that may answer.\n", id);
}

static void print_verdict(const cJSON *answer, FILE *out)
{
    const char *verdict = json_str(answer, "verdict", "");
    const cJSON *chosen = json_obj(answer, "chosen"), *awaited = json_obj(answer, "awaited");
    char node[LINE_MAX_BYTES], model[LINE_MAX_BYTES], line[LINE_MAX_BYTES], mode[LINE_MAX_BYTES];

    if (awaited) {
        fprintf(out, "Waits for %s, which %s.\n\n", line_of(awaited, "node", node),
                line_of(awaited, "why", line));
        return;
    }
    line_of(chosen, "node", node);
    line_of(chosen, "model", model);
    if (strcmp(verdict, "run") == 0)
        fprintf(out, "Goes to %s on %s now", model, node);
    else if (strcmp(verdict, "wait") == 0 && chosen)
        fprintf(out, "Waits for %s on %s", model, node);
    else if (strcmp(verdict, "next") == 0) /* an older coordinator goes no further */
        fprintf(out, "Goes to the mode %s, as %s has none for it", line_of(answer, "next", line),
                line_of(answer, "mode", mode));
    else
        fputs(strcmp(verdict, "wait") == 0 ? "Waits" : "Is refused", out);
    fprintf(out, ": %s.\n\n", line_of(answer, "why", line));
}

static void print_left_out(const cJSON *answer, FILE *out)
{
    uint64_t count = report_u64(answer, "left_out");

    if (count)
        fprintf(out, "%" PRIu64 " more, which are no better, are left out.\n", count);
}

int explain_tables_print(const cJSON *answer, FILE *out, struct err *err)
{
    const cJSON *models = json_array(answer, "models");

    print_passed(answer, out);
    print_request(answer, out);
    print_session(json_obj(answer, "session"), out);
    print_verdict(answer, out);
    int rc = report_print(&report_explained, answer, TABLE_TEXT,
            "No connected node has a model that may answer.", out, err);
    if (rc < 0)
        return rc;
    print_left_out(answer, out);
    if (!models || !models->child)
        return 0;
    fputc('\n', out);
    return report_print(&report_explained_models, answer, TABLE_TEXT, "", out, err);
}
