#include "cli/operation.h"
#include "cli/plan_tables.h"
#include "cli/report.h"

#define PLAN_PATH "/mesh/v1/plan"

static int show(const struct cli *cli, bool json, struct err *err)
{
    cJSON *plan = NULL;
    struct buf body;
    int rc;

    buf_init(&body, CLIENT_ANSWER_MAX);
    rc = client_get_json(cli->client, PLAN_PATH, &body, &plan, err);
    if (rc == 0 && json)
        report_print_json(&body, cli->out);
    else if (rc == 0)
        rc = plan_tables_print(plan, cli->out, err);
    cJSON_Delete(plan);
    buf_fini(&body);
    return rc;
}

static int apply(const struct cli *cli, const struct command_line *line, struct err *err)
{
    cJSON *request = cJSON_CreateObject();
    int rc = operation_add_true(request, "apply", err);

    if (rc == 0)
        rc = operation_perform(cli, line, PLAN_PATH, request, err);
    cJSON_Delete(request);
    return rc;
}

int cmd_plan(const struct cli *cli, const struct command_line *line, struct err *err)
{
    bool json = command_has(line, "json");
    int rc = 0;

    if (!command_has(line, "apply"))
        return show(cli, json, err);
    if (!json)
        rc = show(cli, false, err);
    if (rc == 0 && !json)
        fputc('\n', cli->out);
    fflush(cli->out);
    return rc < 0 ? rc : apply(cli, line, err);
}
