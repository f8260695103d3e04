#include "cli/explain_tables.h"
#include "common/text.h"
#include "proto/capability.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define EXPLAIN_PATH "/mesh/v1/explain"

#define DEFAULT_TOKENS "100" /* as the coordinator takes it for the NOW of `modemesh modes` */

enum { URL_MAX = 4096 };

static int add_byte(struct buf *url, unsigned char byte)
{
    if (isalnum(byte) || (byte && strchr("-._~,", byte)))
        return buf_append(url, &byte, 1);
    return buf_appendf(url, "%%%02X", byte);
}

/* "&name=value", the first with a '?'. */
static int add_member(struct buf *url, const char *name, const char *value)
{
    bool first = memchr(buf_at(url), '?', url->len) == NULL;
    int rc = buf_appendf(url, "%c%s=", first ? '?' : '&', name);

    for (; rc == 0 && *value; value++)
        rc = add_byte(url, (unsigned char)*value);
    return rc;
}

static int check_needs(const char *text, struct err *err)
{
    uint32_t needs;
    int rc = text ? capability_parse_needs(text, &needs, err) : 0;

    return rc < 0 ? err_prefix(err, rc, "--needs") : 0;
}

/* What the command line can be told to lack before anybody is asked; the values are the
 * coordinator's to judge. */
static int check(const struct command_line *line, struct err *err)
{
    static const char *const lengths[] = {"tokens", "output"};

    if (command_has(line, "mode") == command_has(line, "model"))
        return err_set(err, -EINVAL,
                command_has(line, "mode") ? "--mode and --model exclude each other"
                                          : "--mode or --model is missing ('modemesh modes' and "
                                            "'modemesh models' show what there is)");
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const char *text = command_value(line, lengths[i]);
        uint32_t tokens;
        int rc = text ? text_parse_tokens(text, &tokens, err) : 0;

        if (rc < 0)
            return err_prefix(err, rc, "--%s", lengths[i]);
    }
    return check_needs(command_value(line, "needs"), err);
}

static const char *member_of(const struct command_line *line, const char *member)
{
    const char *value = command_value(line, member);

    return !value && strcmp(member, "tokens") == 0 ? DEFAULT_TOKENS : value;
}

static int write_url(const struct command_line *line, struct buf *url, struct err *err)
{
    static const char *const members[] = {"mode", "model", "tokens", "session", "output", "needs"};
    int rc = buf_append(url, EXPLAIN_PATH, strlen(EXPLAIN_PATH));

    for (size_t i = 0; rc == 0 && i < sizeof(members) / sizeof(members[0]); i++) {
        const char *value = member_of(line, members[i]);

        if (value)
            rc = add_member(url, members[i], value);
    }
    if (rc == 0)
        rc = buf_terminate(url);
    if (rc == -ENOBUFS)
        return err_set(err, -EINVAL, "the words of the command line are too long");
    return rc < 0 ? err_set(err, rc, "out of memory") : 0;
}

static int print_text(const struct cli *cli, const struct command_line *line, const cJSON *answer,
        struct err *err)
{
    if (!command_has(line, "tokens"))
        fputs("Without --tokens, a prompt of " DEFAULT_TOKENS " tokens.\n", cli->out);
    return explain_tables_print(answer, cli->out, err);
}

static int show(const struct cli *cli, const struct command_line *line, const char *path,
        enum table_format format, struct err *err)
{
    cJSON *answer = NULL;
    struct buf body;

    buf_init(&body, CLIENT_ANSWER_MAX);
    int rc = client_get_json(cli->client, path, &body, &answer, err);
    if (rc == 0 && format == TABLE_JSON)
        report_print_json(&body, cli->out);
    else if (rc == 0 && format == TABLE_RAW)
        rc = report_print(&report_explained, answer, format, "", cli->out, err);
    else if (rc == 0)
        rc = print_text(cli, line, answer, err);
    cJSON_Delete(answer);
    buf_fini(&body);
    return rc;
}

int cmd_explain(const struct cli *cli, const struct command_line *line, struct err *err)
{
    enum table_format format = TABLE_TEXT;
    struct buf url;
    int rc = report_format(line, &format, err);

    buf_init(&url, URL_MAX);
    if (rc == 0)
        rc = check(line, err);
    if (rc == 0)
        rc = write_url(line, &url, err);
    if (rc == 0)
        rc = show(cli, line, buf_at(&url), format, err);
    buf_fini(&url);
    return rc;
}
