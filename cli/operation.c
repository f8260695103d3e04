#include "cli/operation.h"

#include "cli/admin.h"
#include "cli/fit/fit_ask.h"
#include "cli/interrupt.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/json/json.h"
#include "common/model/cache_type.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum { LINE_MAX_BYTES = 8 * 1024, JSON_MAX_BYTES = 64 * 1024 };

struct follow {
    const struct cli *cli;
    char id[ADMIN_WORD_MAX];
    char told[LINE_MAX_BYTES]; /* the last progress that was printed */
    bool tell;
    unsigned lost;
};

/* --- following --- */

static int interrupted(const struct follow *follow)
{
    fprintf(follow->cli->notes,
            "\nOperation %s goes on; 'modemesh operations' shows how it ends.\n", follow->id);
    return -EINTR;
}

static int pause_a_moment(int interrupt_fd)
{
    struct pollfd signal = {.fd = interrupt_fd, .events = POLLIN};

    return poll(&signal, 1, OPERATION_POLL_MS) == 0 ? 0 : -EINTR;
}

static void tell_progress(struct follow *follow, const cJSON *operation)
{
    char line[LINE_MAX_BYTES];

    terminal_line(json_str(operation, "progress", ""), line, sizeof(line));
    if (!follow->tell || !*line || strcmp(line, follow->told) == 0)
        return;
    fprintf(follow->cli->notes, "%s\n", line);
    fflush(follow->cli->notes);
    strcpy(follow->told, line);
}

static cJSON *detach(cJSON *answer, const char *id)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(answer, "operations"), *item;

    cJSON_ArrayForEach(item, list)
    {
        if (strcmp(json_str(item, "id", ""), id) == 0)
            return cJSON_DetachItemViaPointer(list, item);
    }
    return NULL;
}

/* A look at it: writes NULL where it is not on the list. */
static int look(const struct follow *follow, cJSON **ret_operation, struct err *err)
{
    cJSON *answer = NULL;
    int rc = admin_get(follow->cli, OPERATIONS_PATH, &answer, err);

    if (rc == 0)
        *ret_operation = detach(answer, follow->id);
    else if (rc != -EINTR)
        fprintf(follow->cli->notes,
                "Operation %s was begun: what the nodes were told they do, but how it ends was not "
                "heard.\n",
                follow->id);
    cJSON_Delete(answer);
    return rc;
}

/* 1: it goes on. */
static int judge(struct follow *follow, const cJSON *operation, struct err *err)
{
    const char *state = json_str(operation, "state", "");

    if (!operation)
        return ++follow->lost < OPERATION_LOST_MAX
                       ? 1
                       : err_set(err, -EREMOTEIO,
                                 "the coordinator knows nothing of operation %s any more: it was "
                                 "started again, or much was asked of it since",
                                 follow->id);
    follow->lost = 0;
    tell_progress(follow, operation);
    if (strcmp(state, "done") == 0)
        return 0;
    if (strcmp(state, "failed") == 0)
        return err_set(err, -EREMOTEIO, "%s", json_str(operation, "message", "it has failed"));
    return 1;
}

static int follow_to_the_end(
        struct follow *follow, int interrupt_fd, cJSON **ret_operation, struct err *err)
{
    for (;;) {
        cJSON *operation = NULL;
        int rc = look(follow, &operation, err);

        if (rc == 0)
            rc = judge(follow, operation, err);
        if (rc == 0) {
            *ret_operation = operation;
            return 0;
        }
        cJSON_Delete(operation);
        if (rc == 1)
            rc = pause_a_moment(interrupt_fd);
        if (rc < 0)
            return rc;
    }
}

/* Armed all the while: a Ctrl-C that comes when a look ends must not be lost. */
static int follow_until_interrupted(struct follow *follow, cJSON **ret_operation, struct err *err)
{
    int interrupt_fd, rc = interrupt_arm(&interrupt_fd, err);

    if (rc < 0)
        return rc;
    rc = follow_to_the_end(follow, interrupt_fd, ret_operation, err);
    interrupt_disarm();
    return rc == -EINTR ? interrupted(follow) : rc;
}

int operation_run(const struct cli *cli, const char *path, const cJSON *request, bool tell,
        cJSON **ret_operation, struct err *err)
{
    struct follow follow = {.cli = cli, .tell = tell};
    cJSON *answer = NULL;
    int rc = admin_post(cli, path, request, &answer, err);

    if (rc == 0 && !*admin_word(answer, "operation", follow.id))
        rc = err_set(err, -EPROTO, "the coordinator at %s answers without an operation",
                client_url(cli->client));
    admin_free(answer);
    return rc < 0 ? rc : follow_until_interrupted(&follow, ret_operation, err);
}

/* --- what is printed --- */

static int print_json(const struct cli *cli, const cJSON *operation, struct err *err)
{
    struct buf text;
    int rc;

    buf_init(&text, JSON_MAX_BYTES);
    rc = json_append(&text, operation);
    if (rc < 0)
        rc = err_set(err, rc, "out of memory");
    else
        report_print_json(&text, cli->out);
    buf_fini(&text);
    return rc;
}

int operation_perform(const struct cli *cli, const struct command_line *line, const char *path,
        const cJSON *request, struct err *err)
{
    char text[LINE_MAX_BYTES];
    cJSON *operation = NULL;
    int rc = operation_run(cli, path, request, true, &operation, err);

    if (rc == 0 && command_has(line, "json"))
        rc = print_json(cli, operation, err);
    else if (rc == 0)
        fprintf(cli->out, "%s\n",
                terminal_line(json_str(operation, "message", "done"), text, sizeof(text)));
    cJSON_Delete(operation);
    return rc;
}

/* --- what is asked for --- */

int operation_add_true(cJSON *request, const char *key, struct err *err)
{
    if (!cJSON_AddTrueToObject(request, key))
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

int operation_add_node(const struct command_line *line, cJSON *request, struct err *err)
{
    const char *node = command_value(line, "node");

    return node ? admin_add_string(request, "node", node, err) : 0;
}

static int add_context(const struct command_line *line, cJSON *request, struct err *err)
{
    const char *text = command_value(line, "context");
    uint32_t context;
    int rc = text ? fit_ask_parse_context(text, &context, err) : 0;

    if (rc < 0)
        return err_prefix(err, rc, "--context");
    return text ? admin_add_number(request, "context", context, err) : 0;
}

static int add_slots(const struct command_line *line, cJSON *request, struct err *err)
{
    const char *text = command_value(line, "slots");
    uint32_t slots;
    int rc = text ? fit_ask_parse_slots(text, &slots, err) : 0;

    if (rc < 0)
        return err_prefix(err, rc, "--slots");
    return text ? admin_add_number(request, "slots", slots, err) : 0;
}

static int add_type(const struct command_line *line, cJSON *request, struct err *err)
{
    const char *text = command_value(line, "kv");
    enum cache_type type;
    int rc = text ? cache_type_parse(text, &type, err) : 0;

    if (rc < 0)
        return err_prefix(err, rc, "--kv");
    return text ? admin_add_string(request, "kv", cache_type_name(type), err) : 0;
}

int operation_add_settings(const struct command_line *line, cJSON *request, struct err *err)
{
    int rc = add_context(line, request, err);

    if (rc == 0)
        rc = add_slots(line, request, err);
    return rc < 0 ? rc : add_type(line, request, err);
}
