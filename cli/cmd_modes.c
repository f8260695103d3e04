#include "cli/report.h"
#include "cli/terminal.h"
#include "common/json/json.h"
#include "common/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SUGGESTION_PATH "/mesh/v1/modes/suggestion"

static const struct table_column columns[] = {
        {.key = "name", .title = "MODE"},
        {.key = "models", .title = "MODELS", .type = TABLE_LIST, .wrap = true},
        {.key = "model", .title = "NOW"},
        {.key = "node", .title = "ON"},
        {.key = "deployed", .title = "DEPLOYED", .wrap = true},
        {.key = "reason", .title = "WHY", .wrap = true, .detail = true},
        {.key = "when_none", .title = "IF NONE", .wrap = true, .detail = true},
        {.key = "waiting", .title = "QUEUED", .type = TABLE_NUMBER, .right = true},
        {.key = NULL},
};

static const struct table_column rule_columns[] = {
        {.key = "mode", .title = "MODE"},
        {.key = "for", .title = "FOR"},
        {.key = "models", .title = "MODELS", .wrap = true},
        {.key = "floor", .title = "FLOOR", .right = true},
        {.key = NULL},
};

static const struct table_column alias_columns[] = {
        {.key = "name", .title = "NAME"},
        {.key = "means", .title = "MEANS"},
        {.key = "from", .title = "FROM"},
        {.key = NULL},
};

static bool has_any(const cJSON *object, const char *key)
{
    const cJSON *array = json_array(object, key);

    return array && array->child;
}

/* --- the modes --- */

/* The model that a deploy has put first; for people also what it is there instead of, "-" where the
 * mode is as the config has it. */
static const char *deployed_of(enum table_format format, const cJSON *mode, char *buf, size_t size)
{
    const char *model = json_str(mode, "deployed", "");
    char replaced[REPORT_CELL_MAX];

    report_list(format, json_array(mode, "replaced"), replaced, sizeof(replaced));
    if (!table_is_text(format))
        return model;
    if (!*model || !*replaced)
        return *model ? model : "-";
    snprintf(buf, size, "%s instead of %s", model, replaced);
    return buf;
}

/* Points of the model that the config or a node says; 0: none. */
static unsigned points_of(const cJSON *mode, const char *model)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, json_array(mode, "quality"))
    {
        if (strcmp(json_str(entry, "model", ""), model) == 0 &&
                strcmp(json_str(entry, "from", ""), "place") != 0)
            return (unsigned)report_u64(entry, "points");
    }
    return 0;
}

/* In the order of preference, for people with their points: "small 55, large 70". */
static const char *models_of(enum table_format format, const cJSON *mode, char *buf, size_t size)
{
    const cJSON *models = json_array(mode, "models"), *item;
    size_t len = 0;

    if (!table_is_text(format))
        return report_list(format, models, buf, size);
    buf[0] = '\0';
    cJSON_ArrayForEach(item, models)
    {
        const char *name = cJSON_IsString(item) ? item->valuestring : "";
        unsigned points = points_of(mode, name);
        int n = points ? snprintf(buf + len, size - len, "%s%s %u", len ? ", " : "", name, points)
                       : snprintf(buf + len, size - len, "%s%s", len ? ", " : "", name);

        if (n < 0 || (size_t)n >= size - len) {
            buf[len] = '\0';
            break;
        }
        len += (size_t)n;
    }
    return buf;
}

/* What happens where none of its models can serve. */
static const char *when_none_of(enum table_format format, const cJSON *mode, char *buf, size_t size)
{
    const char *word = json_str(mode, "when_none", ""), *next = json_str(mode, "next", "");
    uint64_t patience_ms = report_u64(mode, "patience_ms");
    char age[32];

    if (!table_is_text(format))
        return *next ? next : word;
    if (*next)
        snprintf(buf, size, "asks %s", next);
    else if (strcmp(word, "refuse") == 0)
        snprintf(buf, size, "refuses");
    else if (patience_ms)
        snprintf(buf, size, "waits %s", text_format_age(patience_ms, age, sizeof(age)));
    else
        snprintf(buf, size, "waits");
    return buf;
}

/* Requests that no instance has yet. */
static const char *waiting_of(const cJSON *mode, char *buf, size_t size)
{
    snprintf(buf, size, "%llu", (unsigned long long)report_u64(mode, "waiting"));
    return buf;
}

/* Where a request goes now; people are also told for which one it would wait. NULL: none. */
static const cJSON *place_of(enum table_format format, const cJSON *mode)
{
    const cJSON *now = json_obj(mode, "now");

    return now || !table_is_text(format) ? now : json_obj(mode, "waits_for");
}

static const char *now_of(enum table_format format, const cJSON *mode, char *buf, size_t size)
{
    const cJSON *place = place_of(format, mode);
    const char *model = json_str(place, "model", table_is_text(format) ? "-" : "");

    if (!place || json_obj(mode, "now"))
        return model;
    snprintf(buf, size, "waits for %s", model);
    return buf;
}

static int fill(struct table *table, const cJSON *status, enum table_format format)
{
    const char *none = table_is_text(format) ? "-" : "";
    const cJSON *mode;

    cJSON_ArrayForEach(mode, json_array(status, "modes"))
    {
        char models[REPORT_CELL_MAX], deployed[REPORT_CELL_MAX], when[REPORT_CELL_MAX];
        char waiting[32];
        char now[REPORT_CELL_MAX];
        const char *cells[] = {
                json_str(mode, "name", ""),
                models_of(format, mode, models, sizeof(models)),
                now_of(format, mode, now, sizeof(now)),
                json_str(place_of(format, mode), "node", none),
                deployed_of(format, mode, deployed, sizeof(deployed)),
                json_str(mode, "reason", ""),
                when_none_of(format, mode, when, sizeof(when)),
                waiting_of(mode, waiting, sizeof(waiting)),
        };
        int rc = table_add(table, cells);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- their rules, one a line --- */

static int add_rule(struct table *table, const cJSON *mode, const char *what, const char *models,
        uint64_t floor)
{
    char points[32];
    const char *cells[] = {json_str(mode, "name", ""), what, models,
            floor ? report_count(floor, points, sizeof(points)) : "-"};

    return table_add(table, cells);
}

static int add_named_rule(struct table *table, const cJSON *mode, const char *what,
        const cJSON *models, uint64_t floor)
{
    char names[REPORT_CELL_MAX], text[REPORT_CELL_MAX];

    report_list(TABLE_TEXT, models, names, sizeof(names));
    snprintf(text, sizeof(text), "%.*s%s", REPORT_CELL_MAX - 16, names,
            json_bool(mode, "stand_in", false) ? ", or as good" : "");
    return add_rule(table, mode, what, text, floor);
}

/* The rest: past all rules, or of a mode that has a floor alone. */
static int add_rest(struct table *table, const cJSON *mode, uint64_t last)
{
    uint64_t floor = report_u64(mode, "floor");
    char what[64] = "any request", tokens[32];

    if (last == 0 && floor == 0 && !has_any(mode, "planning"))
        return 0;
    if (last)
        snprintf(what, sizeof(what), "above %s",
                text_format_tokens((uint32_t)last, tokens, sizeof(tokens)));
    return add_rule(table, mode, what, last ? "any that holds it" : "any", floor);
}

static int add_mode_rules(struct table *table, const cJSON *mode)
{
    const cJSON *rule, *planning = json_array(mode, "planning");
    char what[64], tokens[32];
    uint64_t last = 0;
    int rc = 0;

    if (has_any(mode, "planning"))
        rc = add_named_rule(table, mode, "planning calls", planning, 0);
    cJSON_ArrayForEach(rule, json_array(mode, "rules"))
    {
        last = report_u64(rule, "up_to");
        snprintf(what, sizeof(what), "up to %s",
                text_format_tokens((uint32_t)last, tokens, sizeof(tokens)));
        if (rc == 0)
            rc = add_named_rule(
                    table, mode, what, json_array(rule, "models"), report_u64(rule, "floor"));
    }
    return rc == 0 && planning ? add_rest(table, mode, last) : rc;
}

static int fill_rules(struct table *table, const cJSON *status, enum table_format format)
{
    const cJSON *mode;
    int rc = 0;

    (void)format;
    cJSON_ArrayForEach(mode, json_array(status, "modes"))
    {
        if (rc == 0)
            rc = add_mode_rules(table, mode);
    }
    return rc;
}

/* --- other names --- */

static int fill_aliases(struct table *table, const cJSON *status, enum table_format format)
{
    const cJSON *alias;
    int rc = 0;

    (void)format;
    cJSON_ArrayForEach(alias, json_array(status, "aliases"))
    {
        const char *cells[] = {json_str(alias, "name", ""), json_str(alias, "means", ""),
                json_bool(alias, "known", false) ? "what editors say" : "config"};

        if (rc == 0)
            rc = table_add(table, cells);
    }
    return rc;
}

const struct report report_modes = {
        .path = REPORT_STATUS_PATH, .name = "modes", .columns = columns, .fill = fill};
static const struct report report_rules = {
        .name = "rules", .columns = rule_columns, .fill = fill_rules};
static const struct report report_aliases = {
        .name = "aliases", .columns = alias_columns, .fill = fill_aliases};

/* --- the command --- */

static bool has_rules(const cJSON *status)
{
    const cJSON *mode;

    cJSON_ArrayForEach(mode, json_array(status, "modes"))
    {
        if (has_any(mode, "rules") || has_any(mode, "planning") || report_u64(mode, "floor"))
            return true;
    }
    return false;
}

static int print_more(const struct report *report, const cJSON *status, FILE *out, struct err *err)
{
    fputc('\n', out);
    return report_print(report, status, TABLE_TEXT, "", out, err);
}

static int print_text(const cJSON *status, FILE *out, struct err *err)
{
    int rc = report_print(&report_modes, status, TABLE_TEXT,
            "The coordinator's config has no modes, and no node has a model to derive them from.",
            out, err);

    if (rc == 0 && json_bool(status, "modes_derived", false) && has_any(status, "modes"))
        fputs("Derived from what the nodes have, as the config has no modes; 'modemesh modes "
              "--suggest' prints them to keep.\n",
                out);
    if (rc == 0 && has_rules(status))
        rc = print_more(&report_rules, status, out, err);
    if (rc == 0 && has_any(status, "aliases"))
        rc = print_more(&report_aliases, status, out, err);
    return rc;
}

/* As the coordinator has them, with what answers now beside its names for it. */
static cJSON *json_modes(const cJSON *status)
{
    cJSON *modes = cJSON_Duplicate(json_array(status, "modes"), true), *mode;

    cJSON_ArrayForEach(mode, modes)
    {
        const cJSON *now = json_obj(mode, "now");

        cJSON_AddStringToObject(mode, "model", json_str(now, "model", ""));
        cJSON_AddStringToObject(mode, "node", json_str(now, "node", ""));
    }
    return modes;
}

static int print_json(const cJSON *status, FILE *out, struct err *err)
{
    cJSON *json = cJSON_CreateObject();
    struct buf body;
    int rc = -ENOMEM;

    buf_init(&body, CLIENT_ANSWER_MAX);
    cJSON_AddItemToObject(json, "modes", json_modes(status));
    cJSON_AddBoolToObject(json, "derived", json_bool(status, "modes_derived", false));
    cJSON_AddItemToObject(json, "aliases", cJSON_Duplicate(json_array(status, "aliases"), true));
    if (json)
        rc = json_append(&body, json);
    if (rc == 0)
        report_print_json(&body, out);
    else
        err_set(err, rc, "out of memory");
    cJSON_Delete(json);
    buf_fini(&body);
    return rc;
}

/* YAML as it may stand in a file. */
static int print_yaml(const cJSON *answer, FILE *out, struct err *err)
{
    char *yaml = strdup(json_str(answer, "yaml", ""));

    if (!yaml)
        return err_set(err, -ENOMEM, "out of memory");
    size_t len = terminal_strip(yaml, strlen(yaml));
    fputs(json_bool(answer, "derived", false)
                    ? "# Derived from what the nodes have, and in force now.\n"
                    : "# What the nodes' models suggest; the config has modes of its own.\n",
            out);
    if (len)
        fwrite(yaml, 1, len, out);
    else
        fputs("# No node has a model.\n", out);
    free(yaml);
    return 0;
}

static int suggest(const struct cli *cli, enum table_format format, struct err *err)
{
    cJSON *answer = NULL;
    struct buf body;

    buf_init(&body, CLIENT_ANSWER_MAX);
    int rc = client_get_json(cli->client, SUGGESTION_PATH, &body, &answer, err);
    if (rc == 0 && format == TABLE_JSON)
        report_print_json(&body, cli->out);
    else if (rc == 0)
        rc = print_yaml(answer, cli->out, err);
    cJSON_Delete(answer);
    buf_fini(&body);
    return rc;
}

static int show(const struct cli *cli, enum table_format format, struct err *err)
{
    cJSON *status = NULL;
    struct buf body;

    buf_init(&body, CLIENT_ANSWER_MAX);
    int rc = client_get_json(cli->client, REPORT_STATUS_PATH, &body, &status, err);
    if (rc == 0 && format == TABLE_JSON)
        rc = print_json(status, cli->out, err);
    else if (rc == 0 && format == TABLE_RAW)
        rc = report_print(&report_modes, status, format, "", cli->out, err);
    else if (rc == 0)
        rc = print_text(status, cli->out, err);
    cJSON_Delete(status);
    buf_fini(&body);
    return rc;
}

int cmd_modes(const struct cli *cli, const struct command_line *line, struct err *err)
{
    enum table_format format = TABLE_TEXT;
    int rc = report_format(line, &format, err);

    if (rc < 0)
        return rc;
    return command_has(line, "suggest") ? suggest(cli, format, err) : show(cli, format, err);
}
