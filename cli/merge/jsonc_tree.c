#include "cli/merge/jsonc_tree.h"

#include "cli/merge/merge.h"
#include "cli/merge/patch.h"
#include "cli/merge/text_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct jsonc_tree *tree;
    struct json_lexer lexer;
    struct json_token token; /* the current one */
    unsigned depth;
    struct err *err;
};

static int parse_value(struct parser *parser, size_t *ret_node);

static size_t comment_end(const char *text, size_t len, size_t at)
{
    const char *end;

    if (text[at + 1] == '/') {
        end = memchr(text + at, '\n', len - at);
        return end ? (size_t)(end - text) : len;
    }
    end = memmem(text + at + 2, len - at - 2, "*/", 2);
    return end ? (size_t)(end - text) + 2 : at;
}

size_t jsonc_skip(const char *text, size_t len, size_t at)
{
    for (;;) {
        size_t end;

        while (at < len && memchr(" \t\r\n", text[at], 4))
            at++;
        if (len - at < 2 || text[at] != '/' || (text[at + 1] != '/' && text[at + 1] != '*'))
            return at;
        end = comment_end(text, len, at);
        if (end == at)
            return at;
        at = end;
    }
}

static int fail_at(struct parser *parser, size_t at, const char *problem)
{
    const char *text = parser->tree->text;

    return merge_fail_at(
            text, at, parser->err, "column %zu: %s", at - line_start(text, at) + 1, problem);
}

static int fail(struct parser *parser, const char *problem)
{
    return fail_at(parser, parser->token.start, problem);
}

static int advance(struct parser *parser)
{
    struct json_lexer *lexer = &parser->lexer;

    lexer->at = jsonc_skip(lexer->text, lexer->len, lexer->at);
    if (json_lexer_next(lexer, &parser->token) < 0)
        return fail_at(parser, lexer->at, lexer->problem);
    return 0;
}

/* The new one is the last. */
static int add_node(struct jsonc_tree *tree, struct err *err)
{
    size_t cap = tree->cap ? 2 * tree->cap : 64;

    if (tree->count == tree->cap) {
        struct jsonc_node *nodes = reallocarray(tree->nodes, cap, sizeof(*nodes));

        if (!nodes)
            return -ENOMEM;
        tree->nodes = nodes;
        tree->cap = cap;
    }
    if (tree->count > MERGE_VALUES_MAX)
        return err_set(err, -EMSGSIZE, "it has more than %d values", MERGE_VALUES_MAX);
    tree->nodes[tree->count++] = (struct jsonc_node){.start = 0};
    return 0;
}

static void link_child(struct jsonc_tree *tree, size_t parent, size_t child)
{
    struct jsonc_node *node = &tree->nodes[parent];

    if (node->last)
        tree->nodes[node->last].next = child;
    else
        node->first = child;
    node->last = child;
}

/* From the key to the first token of the value. */
static int take_key(struct parser *parser, struct json_token *ret_key)
{
    int rc = 0;

    *ret_key = parser->token;
    if (parser->token.type != JSON_TOKEN_STRING)
        return fail(parser, "expected a key in quotes or \"}\"");
    rc = advance(parser);
    if (rc == 0 && parser->token.type != JSON_TOKEN_COLON)
        rc = fail(parser, "expected \":\" behind the key");
    return rc < 0 ? rc : advance(parser);
}

static int parse_child(struct parser *parser, size_t parent)
{
    struct jsonc_tree *tree = parser->tree;
    struct json_token key = {.start = 0};
    size_t child;
    int rc = 0;

    if (tree->nodes[parent].type == JSON_TOKEN_OBJECT_OPEN)
        rc = take_key(parser, &key);
    if (rc == 0)
        rc = parse_value(parser, &child);
    if (rc < 0)
        return rc;
    tree->nodes[child].key_start = key.start;
    tree->nodes[child].key_end = key.end;
    link_child(tree, parent, child);
    return advance(parser);
}

/* From the first token behind the opening bracket up to the closing one. */
static int parse_children(struct parser *parser, size_t parent, enum json_token_type closer)
{
    struct jsonc_tree *tree = parser->tree;
    int rc = 0;

    while (rc == 0 && parser->token.type != closer) {
        rc = parse_child(parser, parent);
        if (rc < 0 || parser->token.type == closer) {
            tree->nodes[parent].trailing_comma = false;
        } else if (parser->token.type == JSON_TOKEN_COMMA) {
            tree->nodes[parent].trailing_comma = true;
            rc = advance(parser);
        } else {
            rc = fail(parser, "expected \",\" or the closing bracket");
        }
    }
    return rc;
}

static int parse_container(struct parser *parser, size_t node, enum json_token_type closer)
{
    int rc;

    if (parser->depth == MERGE_DEPTH_MAX)
        return err_set(
                parser->err, -EMSGSIZE, "it is nested deeper than %d levels", MERGE_DEPTH_MAX);
    parser->depth++;
    rc = advance(parser);
    if (rc == 0)
        rc = parse_children(parser, node, closer);
    parser->depth--;
    return rc;
}

static int parse_value(struct parser *parser, size_t *ret_node)
{
    struct jsonc_tree *tree = parser->tree;
    enum json_token_type type = parser->token.type;
    size_t node = tree->count;
    int rc = add_node(tree, parser->err);

    if (rc < 0)
        return rc;
    tree->nodes[node].type = type;
    tree->nodes[node].start = parser->token.start;
    if (type == JSON_TOKEN_OBJECT_OPEN)
        rc = parse_container(parser, node, JSON_TOKEN_OBJECT_CLOSE);
    else if (type == JSON_TOKEN_ARRAY_OPEN)
        rc = parse_container(parser, node, JSON_TOKEN_ARRAY_CLOSE);
    else if (type != JSON_TOKEN_STRING && type != JSON_TOKEN_NUMBER && type != JSON_TOKEN_WORD)
        rc = fail(parser, "expected a value");
    tree->nodes[node].end = parser->token.end;
    *ret_node = node;
    return rc;
}

static int parse_text(struct parser *parser)
{
    size_t node;
    int rc = add_node(parser->tree, parser->err); /* [0]: no node */

    if (rc == 0)
        rc = advance(parser);
    if (rc < 0 || parser->token.type == JSON_TOKEN_END)
        return rc;
    rc = parse_value(parser, &node);
    if (rc == 0)
        rc = advance(parser);
    if (rc == 0 && parser->token.type != JSON_TOKEN_END)
        rc = fail(parser, "expected nothing behind the value");
    return rc;
}

int jsonc_parse(const char *text, size_t len, struct jsonc_tree *ret_tree, struct err *err)
{
    struct jsonc_tree tree = {.text = text, .len = len};
    struct parser parser = {.tree = &tree, .err = err};
    int rc;

    json_lexer_init(&parser.lexer, text, len);
    rc = parse_text(&parser);
    if (rc < 0)
        jsonc_fini(&tree);
    else
        *ret_tree = tree;
    return rc;
}

void jsonc_fini(struct jsonc_tree *tree)
{
    free(tree->nodes);
}

bool jsonc_string_is(const struct jsonc_tree *tree, size_t start, size_t end, const char *word)
{
    const char *body = tree->text + start + 1;
    size_t len = end - start - 2;
    cJSON *decoded;
    bool same;

    if (!memchr(body, '\\', len))
        return strlen(word) == len && memcmp(word, body, len) == 0;
    decoded = cJSON_ParseWithLength(tree->text + start, end - start);
    same = cJSON_IsString(decoded) && strcmp(decoded->valuestring, word) == 0;
    cJSON_Delete(decoded);
    return same;
}

size_t jsonc_find(const struct jsonc_tree *tree, size_t object, const char *name)
{
    size_t found = 0;

    for (size_t i = tree->nodes[object].first; i; i = tree->nodes[i].next)
        if (jsonc_string_is(tree, tree->nodes[i].key_start, tree->nodes[i].key_end, name))
            found = i;
    return found;
}

static bool scalar_equals(const struct jsonc_tree *tree, size_t node, const cJSON *wanted)
{
    const struct jsonc_node *at = &tree->nodes[node];
    cJSON *value = cJSON_ParseWithLength(tree->text + at->start, at->end - at->start);
    bool same = value && cJSON_Compare(value, wanted, true);

    cJSON_Delete(value);
    return same;
}

static bool object_equals(const struct jsonc_tree *tree, size_t node, const cJSON *wanted)
{
    size_t count = 0;
    const cJSON *member;

    cJSON_ArrayForEach(member, wanted)
    {
        size_t child = jsonc_find(tree, node, patch_name(member));

        if (!child || !jsonc_equals(tree, child, member))
            return false;
        count++;
    }
    for (size_t i = tree->nodes[node].first; i; i = tree->nodes[i].next)
        count--;
    return count == 0;
}

static bool array_equals(const struct jsonc_tree *tree, size_t node, const cJSON *wanted)
{
    size_t child = tree->nodes[node].first;
    const cJSON *element;

    cJSON_ArrayForEach(element, wanted)
    {
        if (!child || !jsonc_equals(tree, child, element))
            return false;
        child = tree->nodes[child].next;
    }
    return child == 0;
}

bool jsonc_equals(const struct jsonc_tree *tree, size_t node, const cJSON *wanted)
{
    enum json_token_type type = tree->nodes[node].type;

    if (type == JSON_TOKEN_OBJECT_OPEN)
        return cJSON_IsObject(wanted) && object_equals(tree, node, wanted);
    if (type == JSON_TOKEN_ARRAY_OPEN)
        return cJSON_IsArray(wanted) && array_equals(tree, node, wanted);
    return scalar_equals(tree, node, wanted);
}
