#include "cli/admin.h"
#include "cli/report.h"
#include "cli/roster.h"
#include "common/text.h"

#include <errno.h>
#include <time.h>

int cmd_nodes_list(const struct cli *cli, const struct command_line *line, struct err *err)
{
    enum table_format format = TABLE_TEXT;
    cJSON *answer = NULL;
    struct buf body;
    int rc = report_format(line, &format, err);

    if (rc < 0)
        return rc;
    buf_init(&body, CLIENT_ANSWER_MAX);
    rc = client_get_json(cli->client, "/mesh/v1/nodes", &body, &answer, err);
    if (rc == 0 && format == TABLE_JSON)
        report_print_json(&body, cli->out);
    else if (rc == 0)
        rc = roster_print(answer, format, cli->out, err);
    cJSON_Delete(answer);
    buf_fini(&body);
    return rc;
}

static const struct admin_change revoke_node = {
        .path = "/mesh/v1/nodes/revoke", .key = "node", .answer_key = "name"};

int cmd_nodes_revoke(const struct cli *cli, const struct command_line *line, struct err *err)
{
    char name[ADMIN_WORD_MAX];
    int rc = admin_change(cli, &revoke_node, line->operands[0], name, err);

    if (rc == 0)
        fprintf(cli->out,
                "%s is revoked, and its link is cut.\n"
                "To let it in again: modemesh nodes forget %s, and approve it when it knocks.\n",
                name, name);
    return rc;
}

static const struct admin_change forget_node = {
        .path = "/mesh/v1/nodes/forget", .key = "node", .answer_key = "name"};

int cmd_nodes_forget(const struct cli *cli, const struct command_line *line, struct err *err)
{
    char name[ADMIN_WORD_MAX];
    int rc = admin_change(cli, &forget_node, line->operands[0], name, err);

    if (rc == 0)
        fprintf(cli->out, "%s is forgotten: when it comes again, it waits for approval.\n", name);
    return rc;
}

static void print_window(const struct cli *cli, uint64_t left_ms)
{
    uint64_t now_ms = (uint64_t)time(NULL) * 1000;
    char until[32], left[32];

    if (left_ms == 0) {
        fputs("No node is taken without approval any more.\n", cli->out);
        return;
    }
    fprintf(cli->out,
            "Until %s (%s), whoever comes is taken without approval.\n"
            "'modemesh nodes accept --for 0' ends that; 'modemesh nodes list' shows who came\n"
            "so, with the source \"window\".\n",
            report_time(TABLE_TEXT, now_ms + left_ms, until, sizeof(until)),
            text_format_age(left_ms, left, sizeof(left)));
}

int cmd_nodes_accept(const struct cli *cli, const struct command_line *line, struct err *err)
{
    cJSON *request = NULL, *answer = NULL;
    int rc;

    if (!command_has(line, "for"))
        return err_set(
                err, -EINVAL, "say for how long: modemesh nodes accept --for 10m (0 ends it)");
    request = cJSON_CreateObject();
    rc = admin_add_duration(line, "for", "for_ms", request, err);
    if (rc == 0)
        rc = admin_post(cli, "/mesh/v1/nodes/accept", request, &answer, err);
    if (rc == 0)
        print_window(cli, report_u64(answer, "accept_ms_left"));
    cJSON_Delete(request);
    admin_free(answer);
    return rc;
}
