#include "cli/admin.h"

#include "cli/terminal.h"
#include "common/json/json.h"
#include "common/text.h"

#include <errno.h>
#include <string.h>

enum { ADMIN_REQUEST_MAX = 64 * 1024 }; /* bytes */

static const char secret_letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

int admin_get(const struct cli *cli, const char *path, cJSON **ret_answer, struct err *err)
{
    struct buf body;
    int rc;

    buf_init(&body, CLIENT_ANSWER_MAX);
    rc = client_get_json(cli->client, path, &body, ret_answer, err);
    buf_fini(&body);
    return rc;
}

int admin_post(const struct cli *cli, const char *path, const cJSON *request, cJSON **ret_answer,
        struct err *err)
{
    struct buf body;
    int rc;

    buf_init(&body, ADMIN_REQUEST_MAX);
    rc = json_append(&body, request);
    if (rc < 0)
        rc = err_set(err, rc, "the request cannot be made: %s", strerror(-rc));
    else
        rc = client_post_json(cli->client, path, &body, ret_answer, err);
    buf_fini(&body);
    return rc;
}

int admin_change(const struct cli *cli, const struct admin_change *change, const char *value,
        char ret_word[ADMIN_WORD_MAX], struct err *err)
{
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    int rc = admin_add_string(request, change->key, value, err);

    if (rc == 0)
        rc = admin_post(cli, change->path, request, &answer, err);
    if (rc == 0 && !*admin_word(answer, change->answer_key, ret_word))
        terminal_line(value, ret_word, ADMIN_WORD_MAX);
    cJSON_Delete(request);
    admin_free(answer);
    return rc;
}

void admin_free(cJSON *answer)
{
    cJSON *member;

    cJSON_ArrayForEach(member, answer)
    {
        if (cJSON_IsString(member))
            explicit_bzero(member->valuestring, strlen(member->valuestring));
    }
    cJSON_Delete(answer);
}

int admin_print_secret(const struct cli *cli, const cJSON *answer, const char *key,
        const char *prefix, struct err *err)
{
    const char *secret = json_str(answer, key, "");

    if (strncmp(secret, prefix, strlen(prefix)) != 0 ||
            secret[strspn(secret, secret_letters)] != '\0')
        return err_set(err, -EPROTO, "the coordinator at %s answers without a %s",
                client_url(cli->client), key);
    fprintf(cli->out, "%s\n", secret);
    return 0;
}

int admin_refuse_secret(char *word, const char *prefix, size_t len, const char *what,
        const char *instead, struct err *err)
{
    if (strncmp(word, prefix, strlen(prefix)) != 0 || strlen(word) < len)
        return 0;
    explicit_bzero(word, strlen(word));
    return err_set(err, -EINVAL, "that is the %s itself; %s", what, instead);
}

int admin_add_string(cJSON *request, const char *key, const char *value, struct err *err)
{
    if (!cJSON_AddStringToObject(request, key, value))
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

int admin_add_number(cJSON *request, const char *key, uint64_t value, struct err *err)
{
    if (!cJSON_AddNumberToObject(request, key, (double)value))
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

int admin_add_list(cJSON *request, const char *key, cJSON *list, struct err *err)
{
    if (cJSON_AddItemToObject(request, key, list))
        return 0;
    cJSON_Delete(list);
    return err_set(err, -ENOMEM, "out of memory");
}

int admin_add_roles(const struct command_line *line, cJSON *request, struct err *err)
{
    static const char *const node_only[] = {"node"}, *const edge_only[] = {"edge"};
    bool edge = command_has(line, "edge-only"), no_edge = command_has(line, "no-edge");

    if (edge && no_edge)
        return err_set(err, -EINVAL, "--edge-only and --no-edge exclude each other");
    if (!edge && !no_edge)
        return 0;
    return admin_add_list(
            request, "roles", cJSON_CreateStringArray(edge ? edge_only : node_only, 1), err);
}

int admin_add_count(const struct command_line *line, const char *flag, const char *key,
        cJSON *request, struct err *err)
{
    const char *text = command_value(line, flag);
    uint64_t value;
    int rc = text ? text_parse_u64(text, &value, err) : 0;

    if (rc < 0)
        return err_prefix(err, -EINVAL, "--%s", flag);
    return text ? admin_add_number(request, key, value, err) : 0;
}

int admin_add_duration(const struct command_line *line, const char *flag, const char *key,
        cJSON *request, struct err *err)
{
    const char *text = command_value(line, flag);
    uint64_t ms;
    int rc = text ? text_parse_duration(text, &ms, err) : 0;

    if (rc < 0)
        return err_prefix(err, -EINVAL, "--%s", flag);
    return text ? admin_add_number(request, key, ms, err) : 0;
}

const char *admin_word(const cJSON *object, const char *key, char buf[ADMIN_WORD_MAX])
{
    return terminal_line(json_str(object, key, ""), buf, ADMIN_WORD_MAX);
}
