#include "cli/operation.h"
#include "cli/report.h"
#include "common/json/json.h"

#include <string.h>

/* Programs get the members that the coordinator gives. */
static const struct table_column columns[] = {
        {.key = "id", .title = "OPERATION"},
        {.key = "kind", .title = "WHAT"},
        {.key = "mode", .title = "MODE"},
        {.key = "model", .title = "MODEL"},
        {.key = "node", .title = "NODE"},
        {.key = "state", .title = "STATE"},
        {.key = "way", .title = "WAY"},
        {.key = "started_ms", .title = "SINCE"},
        {.key = "message", .title = "NEWS", .wrap = true},
        {.key = NULL},
};

/* For people the words of the commands. */
static const char *kind_of(enum table_format format, const cJSON *operation)
{
    const char *kind = json_str(operation, "kind", "");

    if (!table_is_text(format))
        return kind;
    if (json_bool(operation, "rehearse", false))
        return "rehearsal";
    if (json_bool(operation, "undo", false))
        return "undo";
    if (!json_bool(operation, "pinned", true))
        return "unpin";
    return json_bool(operation, "draining", true) ? kind : "resume";
}

static const char *word(enum table_format format, const cJSON *operation, const char *key)
{
    const char *text = json_str(operation, key, "");

    return table_is_text(format) && !*text ? "-" : text;
}

static const char *way_of(enum table_format format, const cJSON *operation)
{
    const char *way = word(format, operation, "way");

    return table_is_text(format) && strcmp(way, "none") == 0 ? "-" : way;
}

static const char *news_of(const cJSON *operation)
{
    const char *message = json_str(operation, "message", "");

    return *message ? message : json_str(operation, "progress", "");
}

static int fill(struct table *table, const cJSON *answer, enum table_format format)
{
    const cJSON *operation;

    cJSON_ArrayForEach(operation, json_array(answer, "operations"))
    {
        char since[32];
        const char *cells[] = {
                json_str(operation, "id", ""),
                kind_of(format, operation),
                word(format, operation, "mode"),
                word(format, operation, "model"),
                word(format, operation, "node"),
                json_str(operation, "state", ""),
                way_of(format, operation),
                report_time(format, report_u64(operation, "started_ms"), since, sizeof(since)),
                news_of(operation),
        };
        int rc = table_add(table, cells);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static const struct report report_operations = {.path = OPERATIONS_PATH,
        .whole = true,
        .name = "operations",
        .columns = columns,
        .fill = fill};

int cmd_operations(const struct cli *cli, const struct command_line *line, struct err *err)
{
    return report_run(&report_operations,
            "Nothing was deployed, loaded, unloaded, pinned, drained or planned since the "
            "coordinator started.",
            cli, line, err);
}
