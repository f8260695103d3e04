#include "cli/report.h"
#include "common/json.h"

static const struct table_column columns[] = {
        {.key = "name", .title = "MODE"},
        {.key = "models", .title = "MODELS", .type = TABLE_LIST, .wrap = true},
        {.key = "model", .title = "NOW"},
        {.key = "node", .title = "ON"},
        {.key = "deployed", .title = "DEPLOYED", .wrap = true},
        {.key = "reason", .title = "WHY", .wrap = true, .detail = true},
        {.key = NULL},
};

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

static int fill(struct table *table, const cJSON *status, enum table_format format)
{
    const char *none = table_is_text(format) ? "-" : "";
    const cJSON *mode;

    cJSON_ArrayForEach(mode, json_array(status, "modes"))
    {
        char models[REPORT_CELL_MAX], deployed[REPORT_CELL_MAX];
        const cJSON *now = json_obj(mode, "now");
        const char *cells[] = {
                json_str(mode, "name", ""),
                /* in the order of preference */
                report_list(format, json_array(mode, "models"), models, sizeof(models)),
                json_str(now, "model", none),
                json_str(now, "node", none),
                deployed_of(format, mode, deployed, sizeof(deployed)),
                json_str(mode, "reason", ""),
        };
        int rc = table_add(table, cells);

        if (rc < 0)
            return rc;
    }
    return 0;
}

const struct report report_modes = {
        .path = REPORT_STATUS_PATH, .name = "modes", .columns = columns, .fill = fill};

int cmd_modes(const struct cli *cli, const struct command_line *line, struct err *err)
{
    return report_run(&report_modes, "The coordinator's config has no modes.", cli, line, err);
}
