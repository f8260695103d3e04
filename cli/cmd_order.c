#include "cli/admin.h"
#include "cli/operation.h"

#include <errno.h>

/* Adds the model that is meant, and --node. */
static int add_model(const struct command_line *line, cJSON *request, struct err *err)
{
    int rc = admin_add_string(request, "model", line->operands[0], err);

    return rc < 0 ? rc : operation_add_node(line, request, err);
}

static int add_load(const struct command_line *line, cJSON *request, struct err *err)
{
    int rc = add_model(line, request, err);

    if (rc == 0)
        rc = operation_add_settings(line, request, err);
    if (rc == 0 && command_has(line, "keep"))
        rc = operation_add_true(request, "keep", err);
    if (rc == 0 && command_has(line, "dry-run"))
        rc = operation_add_true(request, "rehearse", err);
    return rc;
}

int cmd_models_load(const struct cli *cli, const struct command_line *line, struct err *err)
{
    cJSON *request = cJSON_CreateObject();
    int rc = add_load(line, request, err);

    if (rc == 0)
        rc = operation_perform(cli, line, "/mesh/v1/models/load", request, err);
    cJSON_Delete(request);
    return rc;
}

int cmd_models_unload(const struct cli *cli, const struct command_line *line, struct err *err)
{
    cJSON *request = cJSON_CreateObject();
    int rc = add_model(line, request, err);

    if (rc == 0)
        rc = operation_perform(cli, line, "/mesh/v1/models/unload", request, err);
    cJSON_Delete(request);
    return rc;
}

static int add_bool(cJSON *request, const char *key, bool value, struct err *err)
{
    if (!cJSON_AddBoolToObject(request, key, value))
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int pin(const struct cli *cli, const struct command_line *line, bool pinned, struct err *err)
{
    cJSON *request = cJSON_CreateObject();
    int rc = add_model(line, request, err);

    if (rc == 0)
        rc = add_bool(request, "pinned", pinned, err);
    if (rc == 0)
        rc = operation_perform(cli, line, "/mesh/v1/models/pin", request, err);
    cJSON_Delete(request);
    return rc;
}

int cmd_models_pin(const struct cli *cli, const struct command_line *line, struct err *err)
{
    return pin(cli, line, true, err);
}

int cmd_models_unpin(const struct cli *cli, const struct command_line *line, struct err *err)
{
    return pin(cli, line, false, err);
}

static int drain(
        const struct cli *cli, const struct command_line *line, bool draining, struct err *err)
{
    cJSON *request = cJSON_CreateObject();
    int rc = admin_add_string(request, "node", line->operands[0], err);

    if (rc == 0)
        rc = add_bool(request, "draining", draining, err);
    if (rc == 0)
        rc = operation_perform(cli, line, "/mesh/v1/nodes/drain", request, err);
    cJSON_Delete(request);
    return rc;
}

int cmd_nodes_drain(const struct cli *cli, const struct command_line *line, struct err *err)
{
    return drain(cli, line, true, err);
}

int cmd_nodes_resume(const struct cli *cli, const struct command_line *line, struct err *err)
{
    return drain(cli, line, false, err);
}
