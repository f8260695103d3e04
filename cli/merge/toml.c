#include "cli/merge/merge_internal.h"
#include "cli/merge/patch.h"
#include "cli/merge/text_lines.h"
#include "cli/merge/toml_scan.h"
#include "common/json/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct toml_merge {
    struct toml_scan scan;
    struct text_edits *edits;
    struct buf tables; /* that the text lacks: they go to its end */
    const char *newline;
    struct err *err;
};

struct toml_path {
    char text[TOML_PATH_MAX];
};

static int fail(struct toml_merge *merge, const struct toml_statement *at, const char *problem)
{
    return merge_fail_at(merge->scan.text, at->start, merge->err, "%s", problem);
}

/* --- printing --- */

static int print_key(struct buf *out, const char *key, size_t len)
{
    static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

    if (len > 0 && strspn(key, bare) >= len)
        return buf_append(out, key, len);
    return json_append_str(out, key, len);
}

/* What JSON writes for a value of one word, or a list of such, is TOML too. */
static int print_value(struct buf *out, const cJSON *value)
{
    const cJSON *element;
    int rc;

    if (!cJSON_IsArray(value))
        return json_append(out, value);
    rc = buf_append_str(out, "[");
    cJSON_ArrayForEach(element, value)
    {
        if (rc == 0 && element != value->child)
            rc = buf_append_str(out, ", ");
        if (rc == 0)
            rc = json_append(out, element);
    }
    return rc < 0 ? rc : buf_append_str(out, "]");
}

static int print_line(struct buf *out, const cJSON *member)
{
    int rc = print_key(out, patch_name(member), strlen(patch_name(member)));

    if (rc == 0)
        rc = buf_append_str(out, " = ");
    return rc < 0 ? rc : print_value(out, member);
}

static int print_header(struct buf *out, const char *path)
{
    int rc = buf_append_str(out, "[");

    for (const char *part = path; rc == 0 && part;) {
        const char *joint = strchr(part, TOML_JOINT);

        rc = print_key(out, part, joint ? (size_t)(joint - part) : strlen(part));
        if (rc == 0 && joint)
            rc = buf_append_str(out, ".");
        part = joint ? joint + 1 : NULL;
    }
    return rc < 0 ? rc : buf_append_str(out, "]");
}

/* --- looking up --- */

static int join(struct toml_merge *merge, const struct toml_path *path, const cJSON *member,
        struct toml_path *ret_path)
{
    int len = snprintf(ret_path->text, sizeof(ret_path->text), "%s%.*s%s", path->text,
            *path->text ? 1 : 0, (char[]){TOML_JOINT, '\0'}, patch_name(member));

    if (len >= (int)sizeof(ret_path->text))
        return err_set(merge->err, -EMSGSIZE, "a key of more than %d bytes", TOML_PATH_MAX - 1);
    return 0;
}

static bool lies_below(const char *path, const char *above)
{
    size_t len = strlen(above);

    return strncmp(path, above, len) == 0 && path[len] == TOML_JOINT;
}

static const struct toml_statement *find(
        const struct toml_merge *merge, enum toml_kind kind, const char *path)
{
    for (size_t i = 0; i < merge->scan.count; i++)
        if (merge->scan.list[i].kind == kind && strcmp(merge->scan.list[i].path, path) == 0)
            return &merge->scan.list[i];
    return NULL;
}

/* A key cannot be written where the file has a table of that name. */
static int check_key(struct toml_merge *merge, const char *path)
{
    for (size_t i = 1; i < merge->scan.count; i++) {
        const struct toml_statement *at = &merge->scan.list[i];

        if (lies_below(at->path, path) || (at->kind != TOML_KEY && strcmp(at->path, path) == 0))
            return fail(merge, at, "a table is here, where a single value is expected");
    }
    return 0;
}

/* A table cannot get a header of its own where the file writes it, or one around it, another way.
 */
static int check_table(struct toml_merge *merge, const char *path)
{
    for (size_t i = 1; i < merge->scan.count; i++) {
        const struct toml_statement *at = &merge->scan.list[i];
        bool around = strcmp(at->path, path) == 0 || lies_below(path, at->path);

        if (around && at->kind == TOML_TABLE_LIST)
            return fail(merge, at, "a list of tables is here, where one table is expected");
        if (around && at->kind == TOML_KEY)
            return fail(merge, at, "give this table a [header] and lines of its own");
        if (at->kind == TOML_KEY && lies_below(at->path, path) &&
                !lies_below(merge->scan.list[at->table].path, path))
            return fail(merge, at, "give the table of this dotted key a [header] of its own");
    }
    return 0;
}

/* --- merging --- */

static int replace_value(
        struct toml_merge *merge, const struct toml_statement *at, const cJSON *member)
{
    size_t len = at->value_end - at->value_start;
    struct buf value;
    int rc;

    buf_init(&value, TEXT_EDITS_BYTES_MAX);
    rc = print_value(&value, member);
    if (rc == 0 && (value.len != len ||
                           memcmp(buf_at(&value), merge->scan.text + at->value_start, len) != 0))
        rc = text_edits_add_buf(merge->edits, at->value_start, len, &value);
    buf_fini(&value);
    return rc;
}

/* A line break stands before each line in `lines`, none behind. */
static int merge_key(struct toml_merge *merge, const struct toml_path *table, const cJSON *member,
        struct buf *lines)
{
    const struct toml_statement *at;
    struct toml_path path;
    int rc = join(merge, table, member, &path);

    if (rc < 0)
        return rc;
    at = find(merge, TOML_KEY, path.text);
    if (at)
        return patch_is_default(member) ? 0 : replace_value(merge, at, member);
    rc = check_key(merge, path.text);
    if (rc == 0)
        rc = buf_append_str(lines, merge->newline);
    return rc < 0 ? rc : print_line(lines, member);
}

/* The last line of a table: of a key, else its header; NULL for a root without keys. */
static const struct toml_statement *last_line(
        const struct toml_merge *merge, const struct toml_statement *table)
{
    size_t index = (size_t)(table - merge->scan.list);
    const struct toml_statement *last = index ? table : NULL;

    for (size_t i = 1; i < merge->scan.count; i++)
        if (merge->scan.list[i].kind == TOML_KEY && merge->scan.list[i].table == index)
            last = &merge->scan.list[i];
    return last;
}

/* Before the first header and the comment lines right above it. */
static size_t before_headers(const struct toml_merge *merge)
{
    const char *text = merge->scan.text;
    size_t at = line_start(text, merge->scan.list[1].start);

    while (at > 0) {
        size_t above = line_start(text, at - 1);

        if (text[above + strspn(text + above, " \t")] != '#')
            break;
        at = above;
    }
    return at;
}

/* The root's first keys: the line break that `lines` begins with goes behind them. */
static int begin_root(struct toml_merge *merge, const struct buf *lines)
{
    bool bare = merge->scan.count == 1;
    size_t at = bare ? merge->scan.len : before_headers(merge), skip = strlen(merge->newline);
    bool cut = bare && merge->scan.len > 0 && merge->scan.text[merge->scan.len - 1] != '\n';
    int rc = cut ? text_edits_add(merge->edits, at, 0, merge->newline, skip) : 0;

    if (rc == 0)
        rc = text_edits_add(merge->edits, at, 0, buf_at(lines) + skip, lines->len - skip);
    if (rc == 0)
        rc = text_edits_add(merge->edits, at, 0, merge->newline, skip);
    if (rc == 0 && !bare)
        rc = text_edits_add(merge->edits, at, 0, merge->newline, skip);
    return rc;
}

static int begin_table(struct toml_merge *merge, const char *path, const struct buf *lines)
{
    bool first = merge->scan.len == 0 && merge->edits->count == 0 && merge->tables.len == 0;
    int rc = check_table(merge, path);

    if (rc == 0 && !first)
        rc = buf_append_str(&merge->tables, merge->newline);
    if (rc == 0)
        rc = print_header(&merge->tables, path);
    if (rc == 0)
        rc = buf_append(&merge->tables, buf_at(lines), lines->len);
    return rc < 0 ? rc : buf_append_str(&merge->tables, merge->newline);
}

static int add_lines(struct toml_merge *merge, const char *path, const struct buf *lines)
{
    const struct toml_statement *table = find(merge, TOML_TABLE, path), *last;

    if (!table)
        return begin_table(merge, path, lines);
    last = last_line(merge, table);
    if (!last)
        return begin_root(merge, lines);
    return text_edits_add_buf(
            merge->edits, line_end(merge->scan.text, merge->scan.len, last->end), 0, lines);
}

static int merge_lines(struct toml_merge *merge, const struct toml_path *path, const cJSON *patch)
{
    const cJSON *member;
    struct buf lines;
    int rc = 0;

    buf_init(&lines, TEXT_EDITS_BYTES_MAX);
    cJSON_ArrayForEach(member, patch)
    {
        if (!cJSON_IsObject(member))
            rc = merge_key(merge, path, member, &lines);
        if (rc < 0)
            break;
    }
    if (rc == 0 && lines.len)
        rc = add_lines(merge, path->text, &lines);
    buf_fini(&lines);
    return rc;
}

static int merge_table(struct toml_merge *merge, const struct toml_path *path, const cJSON *patch)
{
    const cJSON *member;
    int rc = merge_lines(merge, path, patch);

    cJSON_ArrayForEach(member, patch)
    {
        struct toml_path below;

        if (rc < 0 || !cJSON_IsObject(member))
            continue;
        rc = join(merge, path, member, &below);
        if (rc == 0)
            rc = merge_table(merge, &below, member);
    }
    return rc;
}

/* Behind all other edits: new tables must not come between an old one and its new lines. */
static int add_tables(struct toml_merge *merge)
{
    size_t len = merge->scan.len;
    int rc = 0;

    if (merge->tables.len == 0)
        return 0;
    if (len > 0 && merge->scan.text[len - 1] != '\n' && merge->scan.count > 1)
        rc = text_edits_add(merge->edits, len, 0, merge->newline, strlen(merge->newline));
    return rc < 0 ? rc : text_edits_add_buf(merge->edits, len, 0, &merge->tables);
}

int merge_toml(
        const char *text, size_t len, const cJSON *patch, struct text_edits *edits, struct err *err)
{
    static const struct toml_path root = {.text = ""};
    struct toml_merge merge = {.edits = edits, .newline = line_break(text, len), .err = err};
    int rc = toml_scan(text, len, &merge.scan, err);

    if (rc < 0)
        return rc;
    buf_init(&merge.tables, TEXT_EDITS_BYTES_MAX);
    rc = merge_table(&merge, &root, patch);
    if (rc == 0)
        rc = add_tables(&merge);
    buf_fini(&merge.tables);
    toml_scan_fini(&merge.scan);
    return rc;
}
