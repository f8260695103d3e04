#include "cli/plan_tables.h"

#include "cli/report.h"
#include "cli/terminal.h"
#include "common/json/json.h"

#include <string.h>

enum { NOTE_MAX = 512 };

/* ---- cells */

static const char *bytes(const cJSON *object, const char *key, char *buf, size_t size)
{
    return report_bytes(TABLE_TEXT, report_u64(object, key), buf, size);
}

/* "-" where there is none. */
static const char *count(const cJSON *object, const char *key, char *buf, size_t size)
{
    uint64_t value = report_u64(object, key);

    return value ? report_count(value, buf, size) : "-";
}

static const char *per_cent(const cJSON *object, char *buf, size_t size)
{
    snprintf(buf, size, "%.1f %%", (double)report_u64(object, "lost_permille") / 10);
    return buf;
}

/* ---- which models are to be loaded */

static const struct table_column model_columns[] = {
        {.key = "node", .title = "NODE"},
        {.key = "model", .title = "MODEL"},
        {.key = "action", .title = "ACTION"},
        {.key = "context", .title = "CONTEXT", .right = true},
        {.key = "slots", .title = "SLOTS", .right = true},
        {.key = "memory_bytes", .title = "MEMORY", .right = true},
        {.key = "why", .title = "WHY", .wrap = true},
        {.key = NULL},
};

static int fill_models(struct table *table, const cJSON *plan, enum table_format format)
{
    const cJSON *model;
    int rc = 0;

    (void)format;
    cJSON_ArrayForEach(model, json_array(plan, "models"))
    {
        char cell[3][32];
        const char *cells[] = {
                json_str(model, "node", ""),
                json_str(model, "model", ""),
                json_str(model, "action", ""),
                count(model, "context", cell[0], sizeof(cell[0])),
                count(model, "slots", cell[1], sizeof(cell[1])),
                json_bool(model, "foreign", false)
                        ? "-"
                        : bytes(model, "memory_bytes", cell[2], sizeof(cell[2])),
                json_str(model, "why", ""),
        };

        rc = table_add(table, cells);
        if (rc < 0)
            break;
    }
    return rc;
}

static const struct report report_plan_models = {
        .name = "models", .columns = model_columns, .fill = fill_models};

/* ---- what modes get */

static const struct table_column mode_columns[] = {
        {.key = "mode", .title = "MODE"},
        {.key = "model", .title = "MODEL"},
        {.key = "node", .title = "NODE"},
        {.key = "context", .title = "CONTEXT", .right = true},
        {.key = "lost_permille", .title = "LOSS", .right = true},
        {.key = "why", .title = "WHY", .wrap = true},
        {.key = NULL},
};

static bool is_copied(const cJSON *plan, const char *mode)
{
    const cJSON *service;

    cJSON_ArrayForEach(service, json_array(plan, "modes"))
    {
        if (strcmp(json_str(service, "mode", ""), mode) == 0 && report_u64(service, "copy") > 1)
            return true;
    }
    return false;
}

/* "code 2", where the mode is there more than once. */
static const char *mode_name(const cJSON *plan, const cJSON *service, char *buf, size_t size)
{
    const char *mode = json_str(service, "mode", "");

    if (!is_copied(plan, mode))
        return mode;
    snprintf(buf, size, "%s %llu", mode, (unsigned long long)report_u64(service, "copy"));
    return buf;
}

static int fill_modes(struct table *table, const cJSON *plan, enum table_format format)
{
    const cJSON *service;
    int rc = 0;

    (void)format;
    cJSON_ArrayForEach(service, json_array(plan, "modes"))
    {
        bool served = json_bool(service, "served", false);
        char name[REPORT_CELL_MAX], cell[2][32];
        const char *cells[] = {
                mode_name(plan, service, name, sizeof(name)),
                served ? json_str(service, "model", "") : "-",
                served ? json_str(service, "node", "") : "-",
                count(service, "context", cell[0], sizeof(cell[0])),
                per_cent(service, cell[1], sizeof(cell[1])),
                json_str(service, "why", ""),
        };

        rc = table_add(table, cells);
        if (rc < 0)
            break;
    }
    return rc;
}

static const struct report report_plan_modes = {
        .name = "modes", .columns = mode_columns, .fill = fill_modes};

/* ---- what is left free */

static const struct table_column node_columns[] = {
        {.key = "node", .title = "NODE"},
        {.key = "planned_bytes", .title = "PLANNED", .right = true},
        {.key = "spare_bytes", .title = "SPARE", .right = true},
        {.key = "free_bytes", .title = "FREE", .right = true},
        {.key = "capacity_bytes", .title = "OF", .right = true},
        {.key = NULL},
};

static int fill_nodes(struct table *table, const cJSON *plan, enum table_format format)
{
    const cJSON *node;
    int rc = 0;

    (void)format;
    cJSON_ArrayForEach(node, json_array(plan, "nodes"))
    {
        char cell[4][32];
        const char *cells[] = {
                json_str(node, "node", ""),
                bytes(node, "planned_bytes", cell[0], sizeof(cell[0])),
                bytes(node, "spare_bytes", cell[1], sizeof(cell[1])),
                bytes(node, "free_bytes", cell[2], sizeof(cell[2])),
                bytes(node, "capacity_bytes", cell[3], sizeof(cell[3])),
        };

        rc = table_add(table, cells);
        if (rc < 0)
            break;
    }
    return rc;
}

static const struct report report_plan_nodes = {
        .name = "nodes", .columns = node_columns, .fill = fill_nodes};

/* ---- the whole */

/* "2 models to load, 1 to let go; 3.4 % lost against the ideal, and no plan loses less" */
static void print_summary(const cJSON *plan, FILE *out)
{
    unsigned long long loads = report_u64(plan, "loads"), unloads = report_u64(plan, "unloads");
    char lost[32];

    if (loads || unloads)
        fprintf(out, "%llu model%s to load, %llu to let go", loads, loads == 1 ? "" : "s", unloads);
    else
        fputs("Nothing is to be done", out);
    fprintf(out, "; %s lost against the ideal", per_cent(plan, lost, sizeof(lost)));
    fputs(json_bool(plan, "exact", false) ? ", and no plan loses less\n\n" : "\n\n", out);
}

static void print_notes(const cJSON *plan, FILE *out)
{
    const char *before = "\n";
    const cJSON *note;

    cJSON_ArrayForEach(note, json_array(plan, "notes"))
    {
        char line[NOTE_MAX];

        fprintf(out, "%snote: %s\n", before,
                terminal_line(cJSON_IsString(note) ? note->valuestring : "", line, sizeof(line)));
        before = "";
    }
}

int plan_tables_print(const cJSON *plan, FILE *out, struct err *err)
{
    static const struct {
        const struct report *report;
        const char *empty;
    } parts[] = {
            {&report_plan_models, "No model is loaded, and none is to be."},
            {&report_plan_modes, "The coordinator's config has no modes."},
            {&report_plan_nodes, "No node is there to be planned."},
    };

    print_summary(plan, out);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int rc;

        if (i > 0)
            fputc('\n', out);
        rc = report_print(parts[i].report, plan, TABLE_TEXT, parts[i].empty, out, err);
        if (rc < 0)
            return rc;
    }
    print_notes(plan, out);
    return 0;
}
