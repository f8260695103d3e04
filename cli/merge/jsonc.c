#include "cli/merge/jsonc_tree.h"
#include "cli/merge/merge_internal.h"
#include "cli/merge/patch.h"
#include "cli/merge/text_lines.h"
#include "common/json/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT_MAX = 128 }; /* bytes of one line's indentation that new lines copy */

struct indent {
    char text[INDENT_MAX + 1];
};

struct jsonc_merge {
    struct jsonc_tree tree;
    struct text_edits *edits;
    const char *newline;
    struct indent unit;
    struct err *err;
};

static int merge_value(struct jsonc_merge *merge, size_t node, const cJSON *patch);

/* --- layout --- */

/* The blanks that the line of `at` begins with. */
static struct indent indent_at(const struct jsonc_merge *merge, size_t at)
{
    const char *text = merge->tree.text + line_start(merge->tree.text, at);
    size_t len = strspn(text, " \t");
    struct indent indent = {.text = ""};

    memcpy(indent.text, text, len < INDENT_MAX ? len : INDENT_MAX);
    return indent;
}

static bool begins_line(const struct jsonc_merge *merge, size_t at)
{
    const char *text = merge->tree.text;
    size_t start = line_start(text, at);

    return start > 0 && start + strspn(text + start, " \t") == at;
}

static struct indent deeper(const struct jsonc_merge *merge, const struct indent *indent)
{
    struct indent more = *indent;
    size_t len = strlen(more.text);

    strncat(more.text, merge->unit.text, INDENT_MAX - len);
    return more;
}

static size_t node_begin(const struct jsonc_node *node)
{
    return node->key_end ? node->key_start : node->start;
}

static struct indent child_indent(const struct jsonc_merge *merge, size_t node)
{
    size_t first = merge->tree.nodes[node].first;
    struct indent own = indent_at(merge, merge->tree.nodes[node].start);

    if (first && begins_line(merge, node_begin(&merge->tree.nodes[first])))
        return indent_at(merge, node_begin(&merge->tree.nodes[first]));
    return deeper(merge, &own);
}

static struct indent guess_unit(const struct jsonc_merge *merge)
{
    const struct jsonc_node *nodes = merge->tree.nodes;
    size_t first = merge->tree.count > 1 ? nodes[1].first : 0;
    struct indent unit = {.text = "  "};

    if (first && begins_line(merge, node_begin(&nodes[first])))
        unit = indent_at(merge, node_begin(&nodes[first]));
    return *unit.text ? unit : (struct indent){.text = "  "};
}

/* --- printing --- */

static int print_value(struct jsonc_merge *merge, struct buf *out, const cJSON *value,
        const struct indent *indent);

static int print_name(struct buf *out, const cJSON *member)
{
    int rc = json_append_str(out, patch_name(member), strlen(patch_name(member)));

    return rc < 0 ? rc : buf_append_str(out, ": ");
}

static int print_children(struct jsonc_merge *merge, struct buf *out, const cJSON *parent,
        const struct indent *indent)
{
    const cJSON *child;
    int rc = 0;

    cJSON_ArrayForEach(child, parent)
    {
        rc = buf_appendf(
                out, "%s%s%s", child == parent->child ? "" : ",", merge->newline, indent->text);
        if (rc == 0 && cJSON_IsObject(parent))
            rc = print_name(out, child);
        if (rc == 0)
            rc = print_value(merge, out, child, indent);
        if (rc < 0)
            break;
    }
    return rc;
}

static bool has_children(const cJSON *value)
{
    return value->child && (cJSON_IsObject(value) || cJSON_IsArray(value));
}

/* Short lists of words stand on one line. */
static int print_words(struct buf *out, const cJSON *array)
{
    const cJSON *word;
    int rc = buf_append_str(out, "[");

    cJSON_ArrayForEach(word, array)
    {
        if (rc == 0 && word != array->child)
            rc = buf_append_str(out, ", ");
        if (rc == 0)
            rc = json_append(out, word);
    }
    return rc < 0 ? rc : buf_append_str(out, "]");
}

static bool is_words(const cJSON *value)
{
    const cJSON *child;

    cJSON_ArrayForEach(child, value)
    {
        if (cJSON_IsObject(child) || cJSON_IsArray(child))
            return false;
    }
    return cJSON_IsArray(value);
}

/* `indent` is that of the line on which the value begins. */
static int print_value(
        struct jsonc_merge *merge, struct buf *out, const cJSON *value, const struct indent *indent)
{
    struct indent inner = deeper(merge, indent);
    int rc;

    if (is_words(value))
        return print_words(out, value);
    if (!has_children(value))
        return json_append(out, value);
    rc = buf_append_str(out, cJSON_IsObject(value) ? "{" : "[");
    if (rc == 0)
        rc = print_children(merge, out, value, &inner);
    if (rc == 0)
        rc = buf_appendf(
                out, "%s%s%s", merge->newline, indent->text, cJSON_IsObject(value) ? "}" : "]");
    return rc;
}

/* --- merging --- */

/* Where the blanks before the closing bracket begin. */
static size_t content_end(const struct jsonc_merge *merge, size_t node)
{
    size_t at = merge->tree.nodes[node].end - 1;

    while (memchr(" \t\r\n", merge->tree.text[at - 1], 4))
        at--;
    return at;
}

static bool on_one_line(const struct jsonc_merge *merge, size_t node)
{
    const struct jsonc_node *at = &merge->tree.nodes[node];

    return at->first && !memchr(merge->tree.text + at->start, '\n', at->end - at->start);
}

/* New children of a container. */
struct addition {
    size_t node;
    bool flat;       /* on the container's only line */
    struct buf text; /* all of them */
};

static int append_child(struct jsonc_merge *merge, struct addition *addition, const cJSON *child)
{
    struct indent indent = child_indent(merge, addition->node);
    struct buf *text = &addition->text;
    int rc = text->len ? buf_append_str(text, ",") : 0;

    if (rc == 0)
        rc = addition->flat ? buf_append_str(text, " ")
                            : buf_appendf(text, "%s%s", merge->newline, indent.text);
    if (rc == 0 && merge->tree.nodes[addition->node].type == JSON_TOKEN_OBJECT_OPEN)
        rc = print_name(text, child);
    return rc < 0 ? rc : print_value(merge, text, child, &indent);
}

/* Where what is before the closing bracket now has lines of its own, so does the bracket. */
static int insert_children(struct jsonc_merge *merge, struct addition *addition)
{
    const struct jsonc_node *at = &merge->tree.nodes[addition->node];
    size_t start = content_end(merge, addition->node), end = at->end - 1;
    bool breaks = !addition->flat && !memchr(merge->tree.text + start, '\n', end - start);
    struct indent indent = indent_at(merge, at->start);
    int rc = 0;

    if (breaks)
        rc = buf_appendf(&addition->text, "%s%s", merge->newline, indent.text);
    if (rc == 0 && at->last && !at->trailing_comma)
        rc = text_edits_add(merge->edits, merge->tree.nodes[at->last].end, 0, ",", 1);
    if (rc == 0)
        rc = text_edits_add_buf(merge->edits, start, breaks ? end - start : 0, &addition->text);
    return rc;
}

/* The child of `node` that `wanted`, a member or an element with an identity, means; 0: none. */
static size_t find_child(const struct jsonc_merge *merge, size_t node, const cJSON *wanted)
{
    const struct jsonc_tree *tree = &merge->tree;
    const cJSON *identity;

    if (tree->nodes[node].type == JSON_TOKEN_OBJECT_OPEN)
        return jsonc_find(tree, node, patch_name(wanted));
    identity = patch_identity(wanted);
    for (size_t i = tree->nodes[node].first; i; i = tree->nodes[i].next) {
        size_t member = tree->nodes[i].type == JSON_TOKEN_OBJECT_OPEN
                                ? jsonc_find(tree, i, identity->string)
                                : 0;

        if (member && jsonc_equals(tree, member, identity))
            return i;
    }
    return 0;
}

static bool fits_one_line(const struct jsonc_merge *merge, size_t node, const cJSON *patch)
{
    const cJSON *wanted;

    cJSON_ArrayForEach(wanted, patch)
    {
        if (has_children(wanted) && !find_child(merge, node, wanted))
            return false;
    }
    return on_one_line(merge, node);
}

static int merge_children(struct jsonc_merge *merge, size_t node, const cJSON *patch)
{
    struct addition addition = {.node = node, .flat = fits_one_line(merge, node, patch)};
    const cJSON *wanted;
    int rc = 0;

    buf_init(&addition.text, TEXT_EDITS_BYTES_MAX);
    cJSON_ArrayForEach(wanted, patch)
    {
        size_t child = find_child(merge, node, wanted);

        if (!child)
            rc = append_child(merge, &addition, wanted);
        else if (!patch_is_default(wanted))
            rc = merge_value(merge, child, wanted);
        if (rc < 0)
            break;
    }
    if (rc == 0 && addition.text.len)
        rc = insert_children(merge, &addition);
    buf_fini(&addition.text);
    return rc;
}

static int replace(struct jsonc_merge *merge, size_t node, const cJSON *patch)
{
    const struct jsonc_node *at = &merge->tree.nodes[node];
    struct indent indent = indent_at(merge, at->start);
    struct buf text;
    int rc;

    buf_init(&text, TEXT_EDITS_BYTES_MAX);
    rc = print_value(merge, &text, patch, &indent);
    if (rc == 0)
        rc = text_edits_add_buf(merge->edits, at->start, at->end - at->start, &text);
    buf_fini(&text);
    return rc;
}

static int merge_value(struct jsonc_merge *merge, size_t node, const cJSON *patch)
{
    enum json_token_type type = merge->tree.nodes[node].type;

    if ((type == JSON_TOKEN_OBJECT_OPEN && cJSON_IsObject(patch)) ||
            (type == JSON_TOKEN_ARRAY_OPEN && patch_is_keyed(patch)))
        return merge_children(merge, node, patch);
    return jsonc_equals(&merge->tree, node, patch) ? 0 : replace(merge, node, patch);
}

static int merge_root(struct jsonc_merge *merge, const cJSON *patch)
{
    static const struct indent none = {.text = ""};
    const struct jsonc_tree *tree = &merge->tree;
    bool last_line_ended = tree->len == 0 || tree->text[tree->len - 1] == '\n';
    struct buf text;
    int rc;

    if (tree->count > 1) {
        if (tree->nodes[1].type ==
                (cJSON_IsArray(patch) ? JSON_TOKEN_ARRAY_OPEN : JSON_TOKEN_OBJECT_OPEN))
            return merge_value(merge, 1, patch);
        return merge_fail_at(tree->text, tree->nodes[1].start, merge->err,
                "expected %s of settings here", cJSON_IsArray(patch) ? "a list" : "an object");
    }
    buf_init(&text, TEXT_EDITS_BYTES_MAX);
    rc = buf_append_str(&text, last_line_ended ? "" : merge->newline);
    if (rc == 0)
        rc = print_value(merge, &text, patch, &none);
    if (rc == 0)
        rc = buf_append_str(&text, merge->newline);
    if (rc == 0)
        rc = text_edits_add_buf(merge->edits, tree->len, 0, &text);
    buf_fini(&text);
    return rc;
}

int merge_jsonc(
        const char *text, size_t len, const cJSON *patch, struct text_edits *edits, struct err *err)
{
    struct jsonc_merge merge = {.edits = edits, .newline = line_break(text, len), .err = err};
    int rc = jsonc_parse(text, len, &merge.tree, err);

    if (rc < 0)
        return rc;
    merge.unit = guess_unit(&merge);
    rc = merge_root(&merge, patch);
    jsonc_fini(&merge.tree);
    return rc;
}
