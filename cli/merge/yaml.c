#include "cli/merge/merge_internal.h"
#include "cli/merge/patch.h"
#include "cli/merge/text_lines.h"
#include "cli/merge/yaml_tree.h"
#include "common/json/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { YAML_STEP = 2 }; /* columns that one level is set in */

struct yaml_merge {
    struct yaml_tree tree;
    struct text_edits *edits;
    const char *newline;
    struct err *err;
};

static int merge_value(struct yaml_merge *merge, size_t node, const cJSON *patch, size_t column);

static int fail(struct yaml_merge *merge, size_t node, const char *problem)
{
    return merge_fail_at(
            merge->tree.text, merge->tree.nodes[node].start, merge->err, "%s", problem);
}

/* --- values --- */

/* True for a word that, without quotes, is no string for some reader. */
static bool reads_as_other(const char *text)
{
    static const char *const words[] = {
            "null", "true", "false", "yes", "no", "on", "off", "y", "n"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return !*text || strchr("~+-.0123456789", *text);
}

static bool number_equals(const char *text, double wanted)
{
    char *end;
    double value = strtod(text, &end);

    return end != text && !*end && value == wanted;
}

static bool scalar_equals(const struct yaml_node *node, const cJSON *wanted)
{
    if (node->kind != YAML_KIND_SCALAR)
        return false;
    if (cJSON_IsString(wanted))
        return strcmp(node->value, wanted->valuestring) == 0 &&
               !(node->plain && reads_as_other(node->value));
    if (cJSON_IsNumber(wanted))
        return node->plain && number_equals(node->value, wanted->valuedouble);
    if (cJSON_IsBool(wanted))
        return node->plain && strcmp(node->value, cJSON_IsTrue(wanted) ? "true" : "false") == 0;
    return yaml_node_is_null(node);
}

static bool words_equal(const struct yaml_tree *tree, size_t node, const cJSON *wanted)
{
    size_t child = tree->nodes[node].first;
    const cJSON *word;

    if (tree->nodes[node].kind != YAML_KIND_LIST)
        return false;
    cJSON_ArrayForEach(word, wanted)
    {
        if (!child || !scalar_equals(&tree->nodes[child], word))
            return false;
        child = tree->nodes[child].next;
    }
    return child == 0;
}

/* The element of `list` that `wanted` means; 0: none. */
static size_t find_element(const struct yaml_tree *tree, size_t list, const cJSON *wanted)
{
    const cJSON *identity = patch_identity(wanted);

    for (size_t i = tree->nodes[list].first; i; i = tree->nodes[i].next) {
        size_t value = tree->nodes[i].kind == YAML_KIND_MAPPING
                               ? yaml_tree_find(tree, i, identity->string)
                               : 0;

        if (value && scalar_equals(&tree->nodes[value], identity))
            return i;
    }
    return 0;
}

static size_t find_child(const struct yaml_tree *tree, size_t node, const cJSON *wanted)
{
    return tree->nodes[node].kind == YAML_KIND_LIST
                   ? find_element(tree, node, wanted)
                   : yaml_tree_find(tree, node, patch_name(wanted));
}

/* True where a merge would change nothing. */
static bool covers(const struct yaml_tree *tree, size_t node, const cJSON *patch)
{
    enum yaml_kind kind = tree->nodes[node].kind;
    const cJSON *wanted;

    if (!cJSON_IsObject(patch) && !patch_is_keyed(patch))
        return cJSON_IsArray(patch) ? words_equal(tree, node, patch)
                                    : scalar_equals(&tree->nodes[node], patch);
    if (kind != (cJSON_IsObject(patch) ? YAML_KIND_MAPPING : YAML_KIND_LIST))
        return false;
    cJSON_ArrayForEach(wanted, patch)
    {
        size_t child = find_child(tree, node, wanted);

        if (!child || (!patch_is_default(wanted) && !covers(tree, child, wanted)))
            return false;
    }
    return true;
}

/* --- printing --- */

static bool is_plain(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t len = strlen(text);

    if (reads_as_other(text) || !(strchr(letters, *text) || *text == '/'))
        return false;
    if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:@+- ") !=
            len)
        return false;
    return !strstr(text, ": ") && text[len - 1] != ':' && text[len - 1] != ' ';
}

static int print_scalar(struct buf *out, const cJSON *value)
{
    if (cJSON_IsString(value) && is_plain(value->valuestring))
        return buf_append_str(out, value->valuestring);
    return json_append(out, value); /* JSON is YAML */
}

static int print_words(struct buf *out, const cJSON *array)
{
    const cJSON *word;
    int rc = buf_append_str(out, "[");

    cJSON_ArrayForEach(word, array)
    {
        if (rc == 0 && word != array->child)
            rc = buf_append_str(out, ", ");
        if (rc == 0)
            rc = print_scalar(out, word);
    }
    return rc < 0 ? rc : buf_append_str(out, "]");
}

static int print_break(struct yaml_merge *merge, struct buf *out, size_t column)
{
    return buf_appendf(out, "%s%*s", merge->newline, (int)column, "");
}

static int print_members(
        struct yaml_merge *merge, struct buf *out, const cJSON *object, size_t column);

static int print_element(
        struct yaml_merge *merge, struct buf *out, const cJSON *element, size_t column)
{
    int rc = buf_append_str(out, "- ");

    return rc < 0 ? rc : print_members(merge, out, element, column + YAML_STEP);
}

/* An object or a list of objects, each member or element on lines of its own. */
static int print_block(struct yaml_merge *merge, struct buf *out, const cJSON *value, size_t column)
{
    const cJSON *element;
    int rc = 0;

    if (cJSON_IsObject(value))
        return print_members(merge, out, value, column);
    cJSON_ArrayForEach(element, value)
    {
        if (element != value->child)
            rc = print_break(merge, out, column);
        if (rc == 0)
            rc = print_element(merge, out, element, column);
        if (rc < 0)
            break;
    }
    return rc;
}

static bool is_block(const cJSON *value)
{
    return patch_is_keyed(value) || (cJSON_IsObject(value) && value->child);
}

static int print_behind_key(
        struct yaml_merge *merge, struct buf *out, const cJSON *value, size_t column)
{
    int rc;

    if (is_block(value)) {
        rc = print_break(merge, out, column + YAML_STEP);
        return rc < 0 ? rc : print_block(merge, out, value, column + YAML_STEP);
    }
    rc = buf_append_str(out, " ");
    if (rc < 0)
        return rc;
    return cJSON_IsArray(value) ? print_words(out, value) : print_scalar(out, value);
}

static int print_member(
        struct yaml_merge *merge, struct buf *out, const cJSON *member, size_t column)
{
    const cJSON name = {.type = cJSON_String, .valuestring = (char *)patch_name(member)};
    int rc = print_scalar(out, &name);

    if (rc == 0)
        rc = buf_append_str(out, ":");
    return rc < 0 ? rc : print_behind_key(merge, out, member, column);
}

static int print_members(
        struct yaml_merge *merge, struct buf *out, const cJSON *object, size_t column)
{
    const cJSON *member;
    int rc = 0;

    cJSON_ArrayForEach(member, object)
    {
        if (member != object->child)
            rc = print_break(merge, out, column);
        if (rc == 0)
            rc = print_member(merge, out, member, column);
        if (rc < 0)
            break;
    }
    return rc;
}

/* --- merging --- */

/* `column` is where a value on a line of its own has to stand at least: what it replaces, "|" or a
 * list, may stand further left. An empty value stands right behind its ':' or '-'. */
static int replace_scalar(struct yaml_merge *merge, size_t node, const cJSON *patch, size_t column)
{
    const struct yaml_node *at = &merge->tree.nodes[node];
    size_t missing = at->column < column ? column - at->column : 0;
    struct buf text;
    int rc;

    buf_init(&text, TEXT_EDITS_BYTES_MAX);
    rc = buf_appendf(&text, "%*s", at->start == at->end ? 1 : (int)missing, "");
    if (rc == 0)
        rc = cJSON_IsArray(patch) ? print_words(&text, patch) : print_scalar(&text, patch);
    if (rc == 0)
        rc = text_edits_add_buf(merge->edits, at->start, at->end - at->start, &text);
    buf_fini(&text);
    return rc;
}

static int replace_words(struct yaml_merge *merge, size_t node, const cJSON *patch, size_t column)
{
    const struct yaml_node *at = &merge->tree.nodes[node];
    const cJSON *word;
    struct buf text;
    int rc = 0;

    if (at->kind != YAML_KIND_LIST || at->flow || !patch->child)
        return replace_scalar(merge, node, patch, column);
    buf_init(&text, TEXT_EDITS_BYTES_MAX);
    cJSON_ArrayForEach(word, patch)
    {
        if (rc == 0 && word != patch->child)
            rc = print_break(merge, &text, at->column);
        if (rc == 0)
            rc = buf_append_str(&text, "- ");
        if (rc == 0)
            rc = print_scalar(&text, word);
    }
    if (rc == 0)
        rc = text_edits_add_buf(merge->edits, at->start, at->end - at->start, &text);
    buf_fini(&text);
    return rc;
}

/* What stands for nothing gives way to lines below its key. */
static int begin_block(struct yaml_merge *merge, size_t node, const cJSON *patch, size_t column)
{
    const struct yaml_node *at = &merge->tree.nodes[node];
    struct buf text;
    int rc = at->end > at->start
                     ? text_edits_add(merge->edits, at->start, at->end - at->start, "", 0)
                     : 0;

    buf_init(&text, TEXT_EDITS_BYTES_MAX);
    if (rc == 0)
        rc = print_break(merge, &text, column);
    if (rc == 0)
        rc = print_block(merge, &text, patch, column);
    if (rc == 0)
        rc = text_edits_add_buf(
                merge->edits, line_end(merge->tree.text, merge->tree.len, at->end), 0, &text);
    buf_fini(&text);
    return rc;
}

static int append_child(
        struct yaml_merge *merge, size_t node, const cJSON *child, struct buf *added)
{
    const struct yaml_node *at = &merge->tree.nodes[node];
    int rc = print_break(merge, added, at->column);

    if (rc < 0)
        return rc;
    return at->kind == YAML_KIND_LIST ? print_element(merge, added, child, at->column)
                                      : print_member(merge, added, child, at->column);
}

static int merge_children(struct yaml_merge *merge, size_t node, const cJSON *patch)
{
    const struct yaml_node *at = &merge->tree.nodes[node];
    const cJSON *wanted;
    struct buf added;
    int rc = 0;

    buf_init(&added, TEXT_EDITS_BYTES_MAX);
    cJSON_ArrayForEach(wanted, patch)
    {
        size_t child = find_child(&merge->tree, node, wanted);

        if (!child)
            rc = append_child(merge, node, wanted, &added);
        else if (!patch_is_default(wanted))
            rc = merge_value(merge, child, wanted, at->column + YAML_STEP);
        if (rc < 0)
            break;
    }
    if (rc == 0 && added.len)
        rc = text_edits_add_buf(
                merge->edits, line_end(merge->tree.text, merge->tree.len, at->end), 0, &added);
    buf_fini(&added);
    return rc;
}

static int merge_block_value(
        struct yaml_merge *merge, size_t node, const cJSON *patch, size_t column)
{
    const struct yaml_node *at = &merge->tree.nodes[node];
    enum yaml_kind kind = cJSON_IsObject(patch) ? YAML_KIND_MAPPING : YAML_KIND_LIST;

    if (yaml_node_is_null(at) || (at->kind == kind && !at->first))
        return begin_block(merge, node, patch, column);
    if (at->kind != kind)
        return fail(merge, node, kind == YAML_KIND_LIST ? "expected a list" : "expected a mapping");
    if (at->flow)
        return fail(merge, node,
                "this is written in brackets on one line; give each entry a line of its own");
    if (kind == YAML_KIND_LIST && merge->tree.text[at->start] != '-')
        return fail(merge, node, "expected a list of lines that begin with '-'");
    return merge_children(merge, node, patch);
}

static int merge_value(struct yaml_merge *merge, size_t node, const cJSON *patch, size_t column)
{
    const struct yaml_node *at = &merge->tree.nodes[node];

    if (covers(&merge->tree, node, patch))
        return 0;
    if (at->marked || at->kind == YAML_KIND_ALIAS)
        return fail(merge, node, "this has an anchor, a tag or an alias: change it by hand");
    if (is_block(patch))
        return merge_block_value(merge, node, patch, column);
    if (cJSON_IsArray(patch) && (at->kind == YAML_KIND_LIST || yaml_node_is_null(at)))
        return replace_words(merge, node, patch, column);
    if (at->kind != YAML_KIND_SCALAR)
        return fail(merge, node, "expected a single value");
    return replace_scalar(merge, node, patch, column);
}

static int begin_document(struct yaml_merge *merge, const cJSON *patch)
{
    const struct yaml_tree *tree = &merge->tree;
    struct buf text;
    int rc = 0;

    buf_init(&text, TEXT_EDITS_BYTES_MAX);
    if (tree->len > 0 && tree->text[tree->len - 1] != '\n')
        rc = buf_append_str(&text, merge->newline);
    if (rc == 0)
        rc = print_block(merge, &text, patch, 0);
    if (rc == 0)
        rc = buf_append_str(&text, merge->newline);
    if (rc == 0)
        rc = text_edits_add_buf(merge->edits, tree->len, 0, &text);
    buf_fini(&text);
    return rc;
}

int merge_yaml(
        const char *text, size_t len, const cJSON *patch, struct text_edits *edits, struct err *err)
{
    struct yaml_merge merge = {.edits = edits, .newline = line_break(text, len), .err = err};
    int rc = yaml_tree_parse(text, len, &merge.tree, err);

    if (rc < 0)
        return rc;
    if (merge.tree.count == 1 || merge.tree.nodes[1].start == merge.tree.nodes[1].end)
        rc = begin_document(&merge, patch);
    else
        rc = merge_value(&merge, 1, patch, 0);
    yaml_tree_fini(&merge.tree);
    return rc;
}
