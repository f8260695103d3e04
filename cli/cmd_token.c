#include "cli/admin.h"
#include "cli/report.h"
#include "common/json/json.h"
#include "common/text.h"

#include <errno.h>

static const char token_prefix[] = "mmj_";

static const struct table_column columns[] = {
        {.key = "id", .title = "TOKEN"},
        {.key = "roles", .title = "FOR"},
        {.key = "uses", .title = "USED", .right = true},
        {.key = "uses_left", .title = "LEFT", .right = true},
        {.key = "created_ms", .title = "MADE"},
        {.key = "expires_ms", .title = "UNTIL"},
        {.key = NULL},
};

static int add_token(struct table *table, const cJSON *token, enum table_format format)
{
    char roles[REPORT_CELL_MAX], cell[4][32];
    bool for_people = format == TABLE_TEXT || format == TABLE_BRIEF;
    bool own = for_people && json_bool(token, "local", false);
    const char *cells[] = {
            json_str(token, "id", ""),
            own ? "nodes on its own host"
                : report_list(format, json_array(token, "roles"), roles, sizeof(roles)),
            report_count(report_u64(token, "uses"), cell[0], sizeof(cell[0])),
            report_count(report_u64(token, "uses_left"), cell[1], sizeof(cell[1])),
            report_time(format, report_u64(token, "created_ms"), cell[2], sizeof(cell[2])),
            report_time(format, report_u64(token, "expires_ms"), cell[3], sizeof(cell[3])),
    };

    return table_add(table, cells);
}

static int fill(struct table *table, const cJSON *answer, enum table_format format)
{
    const cJSON *token;
    int rc = 0;

    cJSON_ArrayForEach(token, json_array(answer, "tokens"))
    {
        rc = add_token(table, token, format);
        if (rc < 0)
            break;
    }
    return rc;
}

static const struct report report_tokens = {.path = "/mesh/v1/tokens",
        .whole = true,
        .name = "tokens",
        .columns = columns,
        .fill = fill};

static int add_address(cJSON *list, const char *text, struct err *err)
{
    struct text_addr addr;
    int rc = text_parse_addr(text, &addr, err);
    cJSON *item;

    if (rc < 0)
        return err_prefix(err, -EINVAL, "--address");
    item = cJSON_CreateString(text);
    if (cJSON_AddItemToArray(list, item))
        return 0;
    cJSON_Delete(item);
    return err_set(err, -ENOMEM, "out of memory");
}

static int add_addresses(const struct command_line *line, cJSON *request, struct err *err)
{
    cJSON *list = cJSON_CreateArray();
    const char *text;
    size_t at = 0;

    while ((text = command_next_value(line, "address", &at))) {
        int rc = add_address(list, text, err);

        if (rc < 0) {
            cJSON_Delete(list);
            return rc;
        }
    }
    return admin_add_list(request, "addresses", list, err);
}

static int make_request(const struct command_line *line, cJSON *request, struct err *err)
{
    int rc = admin_add_count(line, "uses", "uses", request, err);

    if (rc == 0)
        rc = admin_add_duration(line, "expires", "expires_in_ms", request, err);
    if (rc == 0)
        rc = admin_add_roles(line, request, err);
    if (rc == 0 && command_has(line, "address"))
        rc = add_addresses(line, request, err);
    return rc;
}

static void explain(const struct cli *cli, const cJSON *answer)
{
    uint64_t uses = report_u64(answer, "uses_left");
    char id[ADMIN_WORD_MAX], until[32];

    admin_word(answer, "id", id);
    fflush(cli->out);
    fprintf(cli->notes,
            "Token %s, a secret, lets %llu node%s in until %s. On the node:\n"
            "  modemesh-node --join TOKEN    (or MODEMESH_JOIN, which no other user can see)\n"
            "To end it sooner: modemesh token revoke %s\n",
            id, (unsigned long long)uses, uses == 1 ? "" : "s",
            report_time(TABLE_TEXT, report_u64(answer, "expires_ms"), until, sizeof(until)), id);
}

int cmd_token_create(const struct cli *cli, const struct command_line *line, struct err *err)
{
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    int rc = make_request(line, request, err);

    if (rc == 0)
        rc = admin_post(cli, "/mesh/v1/tokens", request, &answer, err);
    if (rc == 0)
        rc = admin_print_secret(cli, answer, "token", token_prefix, err);
    if (rc == 0)
        explain(cli, answer);
    cJSON_Delete(request);
    admin_free(answer);
    return rc;
}

int cmd_token_list(const struct cli *cli, const struct command_line *line, struct err *err)
{
    return report_run(&report_tokens, "No token can be used now.", cli, line, err);
}

static const struct admin_change revoke_token = {
        .path = "/mesh/v1/tokens/revoke", .key = "id", .answer_key = "id"};

int cmd_token_revoke(const struct cli *cli, const struct command_line *line, struct err *err)
{
    char id[ADMIN_WORD_MAX];
    int rc = admin_refuse_secret(line->operands[0], token_prefix, 0, "token",
            "give its ID ('modemesh token list')", err);

    if (rc == 0)
        rc = admin_change(cli, &revoke_token, line->operands[0], id, err);
    if (rc == 0)
        fprintf(cli->out, "Token %s lets nobody in any more. Whoever came with it stays in.\n", id);
    return rc;
}
