#include "cli/report.h"
#include "common/json/json.h"

#include <string.h>

enum { MODEL_CELLS = 20 };

/* Programs get the members of `status --json`, and the node's name. */
static const struct table_column columns[] = {
        {.key = "name", .title = "MODEL"},
        {.key = "node", .title = "NODE"},
        {.key = "state", .title = "STATE"},
        {.key = "engine", .title = "ENGINE", .detail = true},
        {.key = "pinned", .title = "PINNED", .type = TABLE_BOOL, .detail = true},
        {.key = "busy", .title = "BUSY", .type = TABLE_NUMBER, .right = true},
        {.key = "slots", .title = "SLOTS", .type = TABLE_NUMBER, .right = true},
        {.key = "running", .type = TABLE_NUMBER},
        {.key = "context", .title = "CONTEXT", .type = TABLE_NUMBER, .right = true, .detail = true},
        {.key = "file_bytes", .title = "SIZE", .type = TABLE_NUMBER, .right = true},
        {.key = "memory_bytes", .type = TABLE_NUMBER},
        {.key = "prefill_tok_s",
                .title = "PREFILL/S",
                .type = TABLE_NUMBER,
                .right = true,
                .detail = true},
        {.key = "decode_tok_s", .title = "DECODE/S", .type = TABLE_NUMBER, .right = true},
        {.key = "restarts", .type = TABLE_NUMBER},
        {.key = "note", .title = "NOTE", .wrap = true},
        {.key = "aliases", .title = "ALIASES", .type = TABLE_LIST, .wrap = true, .detail = true},
        {.key = "quality", .type = TABLE_NUMBER},
        {.key = "foreign", .type = TABLE_BOOL},
        {.key = "fingerprint"},
        {.key = "differs_from"},
        {.key = NULL},
};

static const char *count(const cJSON *model, const char *key, char *buf, size_t size)
{
    return report_count(report_u64(model, key), buf, size);
}

/* For people never more than there are slots: what is beyond them waits in the engine. */
static const char *busy(enum table_format format, const cJSON *model, char *buf, size_t size)
{
    uint64_t value = report_u64(model, "busy"), slots = report_u64(model, "slots");

    return report_count(table_is_text(format) && value > slots ? slots : value, buf, size);
}

static const char *pinned(enum table_format format, const cJSON *model)
{
    if (json_bool(model, "pinned", false))
        return "yes";
    return table_is_text(format) ? "-" : "no";
}

static const char *yes_or_no(const cJSON *model, const char *key)
{
    return json_bool(model, key, false) ? "yes" : "no";
}

/* Appends to a cell, "; " between its parts. */
static void add_part(char *buf, size_t size, const char *part)
{
    size_t len = strlen(buf);

    if (*part)
        snprintf(buf + len, size - len, "%s%s", len ? "; " : "", part);
}

static void add_aliases_of_others(char *buf, size_t size, const cJSON *model)
{
    char part[REPORT_CELL_MAX];
    const cJSON *other;

    cJSON_ArrayForEach(other, json_array(model, "aliases_of_others"))
    {
        snprintf(part, sizeof(part), "its alias %s means %s", json_str(other, "alias", ""),
                json_str(other, "model", ""));
        add_part(buf, size, part);
    }
}

/* For people all that is to be said about it; programs have the rest in members of its own. */
static const char *note(enum table_format format, const cJSON *model, char *buf, size_t size)
{
    const char *text = json_str(model, "note", ""), *other = json_str(model, "differs_from", "");
    uint64_t restarts = report_u64(model, "restarts");
    char part[REPORT_CELL_MAX];

    if (!table_is_text(format))
        return text;
    buf[0] = '\0';
    snprintf(part, sizeof(part), "%llu restart%s", (unsigned long long)restarts,
            restarts == 1 ? "" : "s");
    add_part(buf, size, restarts ? part : "");
    add_part(buf, size, text);
    snprintf(part, sizeof(part), "not the file that %s has under this name", other);
    add_part(buf, size, *other ? part : "");
    add_aliases_of_others(buf, size, model);
    add_part(buf, size, json_bool(model, "foreign", false) ? "not the mesh's own engine" : "");
    return buf;
}

static int add_model(
        struct table *table, const char *node, const cJSON *model, enum table_format format)
{
    char cell[MODEL_CELLS][32], text[REPORT_CELL_MAX], aliases[REPORT_CELL_MAX];
    const char *cells[MODEL_CELLS] = {
            json_str(model, "name", ""),
            node,
            json_str(model, "state", ""),
            json_str(model, "engine", ""),
            pinned(format, model),
            busy(format, model, cell[5], sizeof(cell[5])),
            count(model, "slots", cell[6], sizeof(cell[6])),
            count(model, "running", cell[7], sizeof(cell[7])),
            count(model, "context", cell[8], sizeof(cell[8])),
            report_bytes(format, report_u64(model, "file_bytes"), cell[9], sizeof(cell[9])),
            count(model, "memory_bytes", cell[10], sizeof(cell[10])),
            report_rate(format, json_num(model, "prefill_tok_s", 0), cell[11], sizeof(cell[11])),
            report_rate(format, json_num(model, "decode_tok_s", 0), cell[12], sizeof(cell[12])),
            count(model, "restarts", cell[13], sizeof(cell[13])),
            note(format, model, text, sizeof(text)),
            report_list(format, json_array(model, "aliases"), aliases, sizeof(aliases)),
            count(model, "quality", cell[15], sizeof(cell[15])),
            yes_or_no(model, "foreign"),
            json_str(model, "fingerprint", ""),
            json_str(model, "differs_from", ""),
    };

    return table_add(table, cells);
}

static int fill(struct table *table, const cJSON *status, enum table_format format)
{
    const cJSON *node, *model;

    cJSON_ArrayForEach(node, json_array(status, "nodes"))
    {
        cJSON_ArrayForEach(model, json_array(node, "models"))
        {
            int rc = add_model(table, json_str(node, "name", ""), model, format);

            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

const struct report report_models = {
        .path = REPORT_STATUS_PATH, .name = "models", .columns = columns, .fill = fill};

int cmd_models(const struct cli *cli, const struct command_line *line, struct err *err)
{
    return report_run(&report_models, "No node has a model.", cli, line, err);
}
