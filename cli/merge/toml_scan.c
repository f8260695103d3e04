#include "cli/merge/toml_scan.h"

#include "cli/merge/merge.h"
#include "cli/merge/text_lines.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct scanner {
    struct toml_scan *scan;
    const char *text;
    size_t len, at;
    size_t table; /* the header that is open */
    unsigned depth;
    struct err *err;
};

struct path {
    char text[TOML_PATH_MAX];
    size_t len;
};

static int skip_value(struct scanner *scanner);

static int fail(const struct scanner *scanner, const char *problem)
{
    return merge_fail_at(scanner->text, scanner->at, scanner->err, "%s", problem);
}

/* '\0' behind the end: a text has no such byte. */
static char peek(const struct scanner *scanner)
{
    return scanner->at < scanner->len ? scanner->text[scanner->at] : '\0';
}

static bool at_text(const struct scanner *scanner, const char *word)
{
    size_t len = strlen(word);

    return scanner->len - scanner->at >= len && memcmp(scanner->text + scanner->at, word, len) == 0;
}

static void skip_blanks(struct scanner *scanner)
{
    while (peek(scanner) == ' ' || peek(scanner) == '\t')
        scanner->at++;
}

static void skip_comment(struct scanner *scanner)
{
    if (peek(scanner) != '#')
        return;
    while (scanner->at < scanner->len && peek(scanner) != '\n')
        scanner->at++;
}

/* Blanks, line breaks and comments between the values of a list. */
static void skip_space(struct scanner *scanner)
{
    size_t before;

    do {
        before = scanner->at;
        while (scanner->at < scanner->len && memchr(" \t\r\n", peek(scanner), 4))
            scanner->at++;
        skip_comment(scanner);
    } while (scanner->at != before);
}

/* --- values --- */

/* A backslash at the end of its line is for the reader of the string, not for its end. */
static bool begins_escape(const struct scanner *scanner)
{
    return peek(scanner) == '\\' && scanner->at + 1 < scanner->len &&
           scanner->text[scanner->at + 1] != '\n';
}

/* `quote` is one of ", ', """ and '''. Only those of one letter end with their line. */
static int skip_string(struct scanner *scanner, const char *quote)
{
    bool escapes = *quote == '"', lines = quote[1];
    size_t start = scanner->at;

    scanner->at += strlen(quote);
    while (scanner->at < scanner->len && !at_text(scanner, quote)) {
        if (peek(scanner) == '\n' && !lines)
            break;
        scanner->at += escapes && begins_escape(scanner) ? 2 : 1;
    }
    if (!at_text(scanner, quote)) {
        scanner->at = start;
        return fail(scanner, "the string that begins here has no end");
    }
    scanner->at += strlen(quote);
    /* Up to two more quotes belong to a string of several lines: """"" is two and the end. */
    for (int i = 0; lines && i < 2 && peek(scanner) == *quote; i++)
        scanner->at++;
    return 0;
}

static const char *quote_at(const struct scanner *scanner)
{
    static const char *const quotes[] = {"\"\"\"", "'''", "\"", "'"};

    for (size_t i = 0; i < sizeof(quotes) / sizeof(*quotes); i++)
        if (at_text(scanner, quotes[i]))
            return quotes[i];
    return NULL;
}

static int skip_key(struct scanner *scanner, struct path *path);

/* One value of a list, or one key with its value of an inline table. */
static int skip_item(struct scanner *scanner, char closer)
{
    struct path ignored = {.len = 0};
    int rc = 0;

    if (closer == '}') {
        rc = skip_key(scanner, &ignored);
        if (rc == 0 && peek(scanner) != '=')
            rc = fail(scanner, "expected \"=\" behind the key");
        scanner->at += rc == 0;
        skip_space(scanner);
    }
    if (rc == 0)
        rc = skip_value(scanner);
    skip_space(scanner);
    if (rc == 0 && peek(scanner) == ',')
        scanner->at++;
    else if (rc == 0 && peek(scanner) != closer)
        rc = fail(scanner, "expected \",\" or the closing bracket");
    skip_space(scanner);
    return rc;
}

static int skip_bracket(struct scanner *scanner, char closer)
{
    int rc = 0;

    if (scanner->depth == MERGE_DEPTH_MAX)
        return err_set(
                scanner->err, -EMSGSIZE, "it is nested deeper than %d levels", MERGE_DEPTH_MAX);
    scanner->depth++;
    scanner->at++;
    skip_space(scanner);
    while (rc == 0 && peek(scanner) != closer)
        rc = skip_item(scanner, closer);
    scanner->depth--;
    scanner->at += rc == 0;
    return rc;
}

/* Numbers, dates, true and false: told apart by nobody here. A date may have one blank in it. */
static int skip_word(struct scanner *scanner)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "+-._:";
    size_t start = scanner->at;

    while (peek(scanner) && strchr(letters, peek(scanner)))
        scanner->at++;
    if (scanner->at == start)
        return fail(scanner, "expected a value");
    if (scanner->at - start == strlen("1979-05-27") && scanner->text[start + 4] == '-' &&
            scanner->at + 1 < scanner->len && peek(scanner) == ' ' &&
            strchr("012", scanner->text[scanner->at + 1])) {
        scanner->at++;
        while (peek(scanner) && strchr(letters, peek(scanner)))
            scanner->at++;
    }
    return 0;
}

static int skip_value(struct scanner *scanner)
{
    const char *quote = quote_at(scanner);

    if (quote)
        return skip_string(scanner, quote);
    if (peek(scanner) == '[')
        return skip_bracket(scanner, ']');
    return peek(scanner) == '{' ? skip_bracket(scanner, '}') : skip_word(scanner);
}

/* --- keys --- */

static int add_part(struct scanner *scanner, struct path *path, const char *text, size_t len)
{
    bool joint = path->len > 0;

    if (memchr(text, TOML_JOINT, len))
        return fail(scanner, "a control character in a key");
    if (len + joint >= sizeof(path->text) - path->len)
        return err_set(
                scanner->err, -EMSGSIZE, "it has a key of more than %d bytes", TOML_PATH_MAX - 1);
    if (joint)
        path->text[path->len++] = TOML_JOINT;
    memcpy(path->text + path->len, text, len);
    path->len += len;
    path->text[path->len] = '\0';
    return 0;
}

/* The escapes of TOML that JSON lacks have no place in a key that is looked for here. */
static int add_quoted(struct scanner *scanner, struct path *path, size_t start)
{
    const char *text = scanner->text + start;
    size_t len = scanner->at - start;
    cJSON *decoded;
    int rc;

    if (*text == '\'' || !memchr(text, '\\', len))
        return add_part(scanner, path, text + 1, len - 2);
    decoded = cJSON_ParseWithLength(text, len);
    rc = cJSON_IsString(decoded)
                 ? add_part(scanner, path, decoded->valuestring, strlen(decoded->valuestring))
                 : fail(scanner, "unknown escape in a key");
    cJSON_Delete(decoded);
    return rc;
}

static int skip_part(struct scanner *scanner, struct path *path)
{
    static const char letters[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t start = scanner->at;
    int rc;

    if (peek(scanner) == '"' || peek(scanner) == '\'') {
        rc = skip_string(scanner, peek(scanner) == '"' ? "\"" : "'");
        return rc < 0 ? rc : add_quoted(scanner, path, start);
    }
    while (peek(scanner) && strchr(letters, peek(scanner)))
        scanner->at++;
    if (scanner->at == start)
        return fail(scanner, "expected a key");
    return add_part(scanner, path, scanner->text + start, scanner->at - start);
}

/* A dotted key and the blanks behind it; its parts are added to `path`. */
static int skip_key(struct scanner *scanner, struct path *path)
{
    for (;;) {
        int rc = skip_part(scanner, path);

        if (rc < 0)
            return rc;
        skip_blanks(scanner);
        if (peek(scanner) != '.')
            return 0;
        scanner->at++;
        skip_blanks(scanner);
    }
}

/* --- statements --- */

static int add_statement(
        struct scanner *scanner, const struct toml_statement *statement, const struct path *path)
{
    struct toml_scan *scan = scanner->scan;
    size_t cap = scan->cap ? 2 * scan->cap : 32;

    if (scan->count > MERGE_VALUES_MAX)
        return err_set(scanner->err, -EMSGSIZE, "it has more than %d keys", MERGE_VALUES_MAX);
    if (scan->count == scan->cap) {
        struct toml_statement *list = reallocarray(scan->list, cap, sizeof(*list));

        if (!list)
            return -ENOMEM;
        scan->list = list;
        scan->cap = cap;
    }
    scan->list[scan->count] = *statement;
    scan->list[scan->count].path = strdup(path->text);
    if (!scan->list[scan->count].path)
        return -ENOMEM;
    scan->count++;
    return 0;
}

static int skip_brackets(struct scanner *scanner, const char *brackets)
{
    if (!at_text(scanner, brackets))
        return fail(scanner, "expected the end of the table's name");
    scanner->at += strlen(brackets);
    return 0;
}

static int take_header(struct scanner *scanner)
{
    bool list = at_text(scanner, "[[");
    struct toml_statement statement = {.kind = list ? TOML_TABLE_LIST : TOML_TABLE,
            .start = scanner->at,
            .table = scanner->scan->count};
    struct path path = {.len = 0};
    int rc;

    scanner->at += list ? 2 : 1;
    skip_blanks(scanner);
    rc = skip_key(scanner, &path);
    if (rc == 0)
        rc = skip_brackets(scanner, list ? "]]" : "]");
    statement.end = scanner->at;
    scanner->table = statement.table;
    return rc < 0 ? rc : add_statement(scanner, &statement, &path);
}

static int take_key(struct scanner *scanner)
{
    struct toml_statement statement = {
            .kind = TOML_KEY, .start = scanner->at, .table = scanner->table};
    const char *above = scanner->scan->list[scanner->table].path;
    struct path path = {.len = strlen(above)}; /* checked when it was added */
    int rc;

    memcpy(path.text, above, path.len + 1);
    rc = skip_key(scanner, &path);
    if (rc == 0 && peek(scanner) != '=')
        rc = fail(scanner, "expected \"=\" behind the key");
    if (rc < 0)
        return rc;
    scanner->at++;
    skip_blanks(scanner);
    statement.value_start = scanner->at;
    rc = skip_value(scanner);
    statement.value_end = statement.end = scanner->at;
    return rc < 0 ? rc : add_statement(scanner, &statement, &path);
}

static int end_line(struct scanner *scanner)
{
    skip_blanks(scanner);
    skip_comment(scanner);
    if (at_text(scanner, "\r\n"))
        scanner->at++;
    if (scanner->at < scanner->len && peek(scanner) != '\n')
        return fail(scanner, "expected the end of the line");
    return 0;
}

static int take_all(struct scanner *scanner)
{
    const struct toml_statement root = {.kind = TOML_TABLE};
    const struct path path = {.len = 0};
    int rc = add_statement(scanner, &root, &path);

    skip_space(scanner);
    while (rc == 0 && scanner->at < scanner->len) {
        rc = peek(scanner) == '[' ? take_header(scanner) : take_key(scanner);
        if (rc == 0)
            rc = end_line(scanner);
        skip_space(scanner);
    }
    return rc;
}

int toml_scan(const char *text, size_t len, struct toml_scan *ret_scan, struct err *err)
{
    struct toml_scan scan = {.text = text, .len = len};
    struct scanner scanner = {.scan = &scan, .text = text, .len = len, .err = err};
    int rc = take_all(&scanner);

    if (rc < 0)
        toml_scan_fini(&scan);
    else
        *ret_scan = scan;
    return rc;
}

void toml_scan_fini(struct toml_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        free(scan->list[i].path);
    free(scan->list);
}
