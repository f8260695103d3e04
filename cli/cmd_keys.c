#include "cli/admin.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "common/json/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_LEN = 3 + 43 }; /* letters of a key: prefix, and 256 bits in base64url */

static const char key_prefix[] = "mm_";

static const struct table_column columns[] = {
        {.key = "name", .title = "KEY"},
        {.key = "admin", .title = "ADMIN"},
        {.key = "modes", .title = "MODES", .wrap = true},
        {.key = "models", .title = "MODELS", .wrap = true},
        {.key = "requests_per_minute", .title = "PER MINUTE", .right = true},
        {.key = "created_ms", .title = "MADE"},
        {.key = "last_used_ms", .title = "LAST USED"},
        {.key = "requests", .title = "REQUESTS", .right = true},
        {.key = NULL},
};

/* What a key may use: "all" where it names none. */
static const char *scope(
        enum table_format format, const cJSON *key, const char *what, char *buf, size_t size)
{
    report_list(format, json_array(key, what), buf, size);
    return *buf || !table_is_text(format) ? buf : "all";
}

static const char *limit(enum table_format format, const cJSON *key, char *buf, size_t size)
{
    uint64_t per_minute = report_u64(key, "requests_per_minute");

    if (per_minute == 0 && table_is_text(format))
        return "-";
    return report_count(per_minute, buf, size);
}

static int add_key(struct table *table, const cJSON *key, enum table_format format)
{
    const char *no = table_is_text(format) ? "-" : "no";
    char modes[REPORT_CELL_MAX], models[REPORT_CELL_MAX], cell[4][32];
    const char *cells[] = {
            json_str(key, "name", ""),
            json_bool(key, "admin", false) ? "yes" : no,
            scope(format, key, "modes", modes, sizeof(modes)),
            scope(format, key, "models", models, sizeof(models)),
            limit(format, key, cell[0], sizeof(cell[0])),
            report_time(format, report_u64(key, "created_ms"), cell[1], sizeof(cell[1])),
            report_time(format, report_u64(key, "last_used_ms"), cell[2], sizeof(cell[2])),
            report_count(report_u64(key, "requests"), cell[3], sizeof(cell[3])),
    };

    return table_add(table, cells);
}

static int fill(struct table *table, const cJSON *answer, enum table_format format)
{
    const cJSON *key;
    int rc = 0;

    cJSON_ArrayForEach(key, json_array(answer, "keys"))
    {
        rc = add_key(table, key, format);
        if (rc < 0)
            break;
    }
    return rc;
}

static const struct report report_keys = {
        .path = "/mesh/v1/keys", .whole = true, .name = "keys", .columns = columns, .fill = fill};

static int add_piece(cJSON *list, const char *text, size_t len, const char *flag, struct err *err)
{
    char *piece;
    cJSON *item;

    if (len == 0)
        return err_set(err, -EINVAL, "--%s: an empty name between the commas", flag);
    piece = strndup(text, len);
    item = piece ? cJSON_CreateString(piece) : NULL;
    free(piece);
    if (cJSON_AddItemToArray(list, item))
        return 0;
    cJSON_Delete(item);
    return err_set(err, -ENOMEM, "out of memory");
}

static int add_pieces(cJSON *list, const char *text, const char *flag, struct err *err)
{
    for (;;) {
        size_t len = strcspn(text, ",");
        int rc = add_piece(list, text, len, flag, err);

        if (rc < 0 || !text[len])
            return rc;
        text += len + 1;
    }
}

/* "a,b" as ["a","b"]; the flag given again adds to it. Without the flag nothing. */
static int add_scope(
        const struct command_line *line, const char *flag, cJSON *request, struct err *err)
{
    cJSON *list;
    const char *text;
    size_t at = 0;

    if (!command_has(line, flag))
        return 0;
    list = cJSON_CreateArray();
    while ((text = command_next_value(line, flag, &at))) {
        int rc = add_pieces(list, text, flag, err);

        if (rc < 0) {
            cJSON_Delete(list);
            return rc;
        }
    }
    return admin_add_list(request, flag, list, err);
}

static int make_request(const struct command_line *line, cJSON *request, struct err *err)
{
    int rc = admin_add_string(request, "name", line->operands[0], err);

    if (rc == 0)
        rc = add_scope(line, "modes", request, err);
    if (rc == 0)
        rc = add_scope(line, "models", request, err);
    if (rc == 0)
        rc = admin_add_count(line, "requests-per-minute", "requests_per_minute", request, err);
    if (rc == 0 && command_has(line, "admin") && !cJSON_AddTrueToObject(request, "admin"))
        rc = err_set(err, -ENOMEM, "out of memory");
    return rc;
}

static void print_notes(const struct cli *cli, const cJSON *answer)
{
    char line[REPORT_CELL_MAX];
    const cJSON *note;

    cJSON_ArrayForEach(note, json_array(answer, "notes"))
    {
        if (cJSON_IsString(note))
            fprintf(cli->notes, "%s.\n", terminal_line(note->valuestring, line, sizeof(line)));
    }
}

static void explain(const struct cli *cli, const cJSON *answer)
{
    char name[ADMIN_WORD_MAX];

    admin_word(answer, "name", name);
    fflush(cli->out);
    fprintf(cli->notes,
            "Key '%s', a secret, is shown this once. Editors take it as their API key, this\n"
            "command as MODEMESH_KEY. To end it: modemesh keys revoke %s\n",
            name, name);
    print_notes(cli, answer);
}

static int refuse_key(const struct command_line *line, struct err *err)
{
    return admin_refuse_secret(line->operands[0], key_prefix, KEY_LEN, "key", "give its name", err);
}

int cmd_keys_create(const struct cli *cli, const struct command_line *line, struct err *err)
{
    cJSON *request = NULL, *answer = NULL;
    int rc = refuse_key(line, err);

    if (rc < 0)
        return rc;
    request = cJSON_CreateObject();
    rc = make_request(line, request, err);
    if (rc == 0)
        rc = admin_post(cli, "/mesh/v1/keys", request, &answer, err);
    if (rc == 0)
        rc = admin_print_secret(cli, answer, "key", key_prefix, err);
    if (rc == 0)
        explain(cli, answer);
    cJSON_Delete(request);
    admin_free(answer);
    return rc;
}

int cmd_keys_list(const struct cli *cli, const struct command_line *line, struct err *err)
{
    return report_run(&report_keys, "There is no key yet.", cli, line, err);
}

static const struct admin_change revoke_key = {
        .path = "/mesh/v1/keys/revoke", .key = "name", .answer_key = "name"};

int cmd_keys_revoke(const struct cli *cli, const struct command_line *line, struct err *err)
{
    char name[ADMIN_WORD_MAX];
    int rc = refuse_key(line, err);

    if (rc == 0)
        rc = admin_change(cli, &revoke_key, line->operands[0], name, err);
    if (rc == 0)
        fprintf(cli->out, "Key '%s' is refused from now on.\n", name);
    return rc;
}
