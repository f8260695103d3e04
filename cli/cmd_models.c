#include "cli/report.h"
#include "common/json.h"

enum { MODEL_CELLS = 10 };

static const struct table_column columns[] = {
        {.key = "model", .title = "MODEL"},
        {.key = "node", .title = "NODE"},
        {.key = "state", .title = "STATE"},
        {.key = "busy", .title = "BUSY", .right = true, .number = true},
        {.key = "slots", .title = "SLOTS", .right = true, .number = true},
        {.key = "context", .title = "CONTEXT", .right = true, .number = true},
        {.key = "bytes", .title = "SIZE", .right = true, .number = true},
        {.key = "prefill_tok_s", .title = "PREFILL/S", .right = true, .number = true},
        {.key = "decode_tok_s", .title = "DECODE/S", .right = true, .number = true},
        {.key = "note", .title = "NOTE", .wrap = true},
        {.key = NULL},
};

static const char *count(const cJSON *model, const char *key, char *buf, size_t size)
{
    snprintf(buf, size, "%llu", (unsigned long long)report_u64(model, key));
    return buf;
}

/* What it takes in memory, or on the disk while it is not loaded. */
static uint64_t model_bytes(const cJSON *model)
{
    uint64_t memory = report_u64(model, "memory_bytes");

    return memory ? memory : report_u64(model, "file_bytes");
}

static const char *restarts_note(const cJSON *model, char *buf, size_t size)
{
    const char *note = json_str(model, "note", "");
    uint64_t restarts = report_u64(model, "restarts");

    if (restarts == 0)
        return note;
    snprintf(buf, size, "%llu restart%s%s%s", (unsigned long long)restarts,
            restarts == 1 ? "" : "s", *note ? ": " : "", note);
    return buf;
}

static int add_model(
        struct table *table, const char *node, const cJSON *model, enum table_format format)
{
    char cell[MODEL_CELLS][32], note[REPORT_CELL_MAX];
    const char *cells[MODEL_CELLS] = {
            json_str(model, "name", ""),
            node,
            json_str(model, "state", ""),
            count(model, "busy", cell[3], sizeof(cell[3])),
            count(model, "slots", cell[4], sizeof(cell[4])),
            count(model, "context", cell[5], sizeof(cell[5])),
            report_bytes(format, model_bytes(model), cell[6], sizeof(cell[6])),
            report_rate(format, json_num(model, "prefill_tok_s", 0), cell[7], sizeof(cell[7])),
            report_rate(format, json_num(model, "decode_tok_s", 0), cell[8], sizeof(cell[8])),
            restarts_note(model, note, sizeof(note)),
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

const struct report report_models = {.name = "models", .columns = columns, .fill = fill};

int cmd_models(const struct cli *cli, const struct command_line *line, struct err *err)
{
    return report_run(&report_models, "No node has a model.", cli, line, err);
}
