#include "cli/admin.h"
#include "cli/operation.h"
#include "cli/terminal.h"
#include "common/json/json.h"

#include <errno.h>
#include <string.h>

static const char deploy_path[] = "/mesh/v1/deploy";

enum { SENTENCE_MAX = 8 * 1024 };

static int add_undo(const struct command_line *line, cJSON *request, struct err *err)
{
    const char *mode = line->operands[0];
    bool settings =
            command_has(line, "context") || command_has(line, "slots") || command_has(line, "kv");
    int rc;

    if (strchr(mode, '=') || settings)
        return err_set(err, -EINVAL,
                "--undo goes back to the config's models and settings: modemesh deploy --undo "
                "MODE");
    rc = admin_add_string(request, "mode", mode, err);
    return rc < 0 ? rc : operation_add_true(request, "undo", err);
}

static int add_move(const struct command_line *line, cJSON *request, struct err *err)
{
    char *mode = line->operands[0], *equals = strchr(mode, '=');
    int rc;

    if (!equals || equals == mode || !equals[1])
        return err_set(err, -EINVAL,
                "'%s' is no MODE=MODEL: modemesh deploy code=qwen3-coder; see 'modemesh modes' and "
                "'modemesh models'",
                mode);
    *equals = '\0';
    rc = admin_add_string(request, "mode", mode, err);
    *equals = '=';
    if (rc == 0)
        rc = admin_add_string(request, "model", equals + 1, err);
    return rc < 0 ? rc : operation_add_settings(line, request, err);
}

static int make_request(
        const struct command_line *line, bool rehearse, cJSON **ret_request, struct err *err)
{
    cJSON *request = cJSON_CreateObject();
    int rc =
            command_has(line, "undo") ? add_undo(line, request, err) : add_move(line, request, err);

    if (rc == 0)
        rc = operation_add_node(line, request, err);
    if (rc == 0 && rehearse)
        rc = operation_add_true(request, "rehearse", err);
    if (rc < 0)
        cJSON_Delete(request);
    else
        *ret_request = request;
    return rc;
}

/* Before anything is done, people hear what will be. */
static int tell(const struct cli *cli, const struct command_line *line, struct err *err)
{
    char text[SENTENCE_MAX];
    cJSON *request = NULL, *operation = NULL;
    int rc = make_request(line, true, &request, err);

    if (rc == 0)
        rc = operation_run(cli, deploy_path, request, false, &operation, err);
    if (rc == 0)
        fprintf(cli->notes, "%s: %s\n", line->operands[0],
                terminal_line(json_str(operation, "message", ""), text, sizeof(text)));
    fflush(cli->notes);
    cJSON_Delete(request);
    cJSON_Delete(operation);
    return rc;
}

static int perform(
        const struct cli *cli, const struct command_line *line, bool rehearse, struct err *err)
{
    cJSON *request = NULL;
    int rc = make_request(line, rehearse, &request, err);

    if (rc == 0)
        rc = operation_perform(cli, line, deploy_path, request, err);
    cJSON_Delete(request);
    return rc;
}

int cmd_deploy(const struct cli *cli, const struct command_line *line, struct err *err)
{
    bool dry = command_has(line, "dry-run");
    int rc = dry ? 0 : tell(cli, line, err);

    return rc < 0 ? rc : perform(cli, line, dry, err);
}
