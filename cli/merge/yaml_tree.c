#include "cli/merge/yaml_tree.h"

#include "cli/merge/merge.h"
#include "cli/merge/text_lines.h"
#include "common/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct parser {
    struct yaml_tree *tree;
    size_t *offsets; /* of each character, as libyaml counts them, and of the end */
    size_t characters;
    yaml_parser_t yaml;
    size_t open[MERGE_DEPTH_MAX]; /* the collections around the current event */
    unsigned depth;
    unsigned documents;
    struct err *err;
};

/* --- places --- */

/* libyaml's marks count characters. */
static int index_characters(struct parser *parser)
{
    const char *text = parser->tree->text;
    size_t len = parser->tree->len, at = 0;

    parser->offsets = calloc(len + 1, sizeof(*parser->offsets));
    if (!parser->offsets)
        return -ENOMEM;
    while (at < len) {
        size_t step = text_utf8_seq(text + at, len - at);

        parser->offsets[parser->characters++] = at;
        at += step ? step : 1;
    }
    parser->offsets[parser->characters] = len;
    return 0;
}

static size_t offset_of(const struct parser *parser, const yaml_mark_t *mark)
{
    size_t index = mark->index < parser->characters ? mark->index : parser->characters;

    return parser->offsets[index];
}

static int fail_at(const struct parser *parser, const yaml_mark_t *mark, const char *problem)
{
    return merge_fail_at(parser->tree->text, offset_of(parser, mark), parser->err, "%s", problem);
}

static int fail_parser(struct parser *parser)
{
    const char *problem = parser->yaml.problem ? parser->yaml.problem : "not YAML";

    if (parser->yaml.error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    if (parser->yaml.error == YAML_READER_ERROR)
        return merge_fail_at(parser->tree->text,
                parser->yaml.problem_offset < parser->tree->len ? parser->yaml.problem_offset
                                                                : parser->tree->len,
                parser->err, "%s", problem);
    return fail_at(parser, &parser->yaml.problem_mark, problem);
}

/* --- nodes --- */

static int make_room(struct yaml_tree *tree, struct err *err)
{
    size_t cap = tree->cap ? 2 * tree->cap : 64;
    struct yaml_node *nodes;

    if (tree->count > MERGE_VALUES_MAX)
        return err_set(err, -EMSGSIZE, "it has more than %d values", MERGE_VALUES_MAX);
    if (tree->count < tree->cap)
        return 0;
    nodes = reallocarray(tree->nodes, cap, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    tree->nodes = nodes;
    tree->cap = cap;
    return 0;
}

/* Takes `node` over, also on failure. */
static int add_node(struct parser *parser, const struct yaml_node *node, size_t *ret_node)
{
    struct yaml_tree *tree = parser->tree;
    int rc = make_room(tree, parser->err);

    if (rc < 0) {
        free(node->value);
        return rc;
    }
    tree->nodes[tree->count] = *node;
    *ret_node = tree->count++;
    if (parser->depth > 0) {
        struct yaml_node *parent = &tree->nodes[parser->open[parser->depth - 1]];

        if (parent->last)
            tree->nodes[parent->last].next = *ret_node;
        else
            parent->first = *ret_node;
        parent->last = *ret_node;
    }
    return 0;
}

/* Block values end, for libyaml, where the next token begins; for us with their last letter. */
static size_t trimmed_end(const struct parser *parser, size_t start, const yaml_mark_t *mark)
{
    size_t end = offset_of(parser, mark);

    while (end > start && memchr(" \t\r\n", parser->tree->text[end - 1], 4))
        end--;
    return end;
}

/* To the blanks at the end of a block of lines ("|", ">") the style gives a meaning: it ends before
 * its last line break. */
static size_t block_end(const struct parser *parser, size_t start, const yaml_mark_t *mark)
{
    size_t end = offset_of(parser, mark);

    return end > start && parser->tree->text[end - 1] == '\n' ? end - 1 : end;
}

static bool is_block_scalar(const yaml_event_t *event)
{
    return event->data.scalar.style == YAML_LITERAL_SCALAR_STYLE ||
           event->data.scalar.style == YAML_FOLDED_SCALAR_STYLE;
}

static struct yaml_node node_at(const struct parser *parser, const yaml_event_t *event)
{
    size_t start = offset_of(parser, &event->start_mark);

    return (struct yaml_node){
            .start = start,
            .end = trimmed_end(parser, start, &event->end_mark),
            .column = event->start_mark.column,
    };
}

static int take_scalar(struct parser *parser, const yaml_event_t *event)
{
    struct yaml_node node = node_at(parser, event);
    size_t ignored;

    node.marked = event->data.scalar.anchor || event->data.scalar.tag;
    node.plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (is_block_scalar(event))
        node.end = block_end(parser, node.start, &event->end_mark);
    node.value = strndup((const char *)event->data.scalar.value, event->data.scalar.length);
    return node.value ? add_node(parser, &node, &ignored) : -ENOMEM;
}

static int take_alias(struct parser *parser, const yaml_event_t *event)
{
    struct yaml_node node = node_at(parser, event);
    size_t ignored;

    node.kind = YAML_KIND_ALIAS;
    return add_node(parser, &node, &ignored);
}

static int open_collection(struct parser *parser, const yaml_event_t *event)
{
    bool list = event->type == YAML_SEQUENCE_START_EVENT;
    struct yaml_node node = node_at(parser, event);
    size_t index;
    int rc;

    if (parser->depth == MERGE_DEPTH_MAX)
        return err_set(
                parser->err, -EMSGSIZE, "it is nested deeper than %d levels", MERGE_DEPTH_MAX);
    node.kind = list ? YAML_KIND_LIST : YAML_KIND_MAPPING;
    node.flow = list ? event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE
                     : event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
    node.marked = list ? event->data.sequence_start.anchor || event->data.sequence_start.tag
                       : event->data.mapping_start.anchor || event->data.mapping_start.tag;
    rc = add_node(parser, &node, &index);
    if (rc == 0)
        parser->open[parser->depth++] = index;
    return rc;
}

static void close_collection(struct parser *parser, const yaml_event_t *event)
{
    struct yaml_node *node = &parser->tree->nodes[parser->open[--parser->depth]];

    if (node->flow)
        node->end = offset_of(parser, &event->end_mark);
    else if (node->last)
        node->end = parser->tree->nodes[node->last].end;
}

static int take_event(struct parser *parser, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(parser, event);
    case YAML_ALIAS_EVENT:
        return take_alias(parser, event);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return open_collection(parser, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_collection(parser, event);
        return 0;
    case YAML_DOCUMENT_START_EVENT:
        if (parser->documents++ > 0)
            return fail_at(parser, &event->start_mark, "a second document begins here");
        return 0;
    case YAML_DOCUMENT_END_EVENT:
        if (!event->data.document_end.implicit)
            return fail_at(parser, &event->start_mark, "\"...\" ends the document here");
        return 0;
    default:
        return 0;
    }
}

static int take_events(struct parser *parser)
{
    bool done = false;
    int rc = 0;

    while (rc == 0 && !done) {
        yaml_event_t event;

        if (!yaml_parser_parse(&parser->yaml, &event))
            return fail_parser(parser);
        rc = take_event(parser, &event);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return rc;
}

static int parse_text(struct parser *parser)
{
    struct yaml_tree *tree = parser->tree;
    struct yaml_node none = {.kind = YAML_KIND_SCALAR};
    size_t index;
    int rc = add_node(parser, &none, &index); /* [0]: no node */

    if (rc == 0)
        rc = index_characters(parser);
    if (rc < 0)
        return rc;
    yaml_parser_set_encoding(&parser->yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser->yaml, (const unsigned char *)tree->text, tree->len);
    return take_events(parser);
}

int yaml_tree_parse(const char *text, size_t len, struct yaml_tree *ret_tree, struct err *err)
{
    struct yaml_tree tree = {.text = text, .len = len};
    struct parser parser = {.tree = &tree, .err = err};
    int rc;

    if (!yaml_parser_initialize(&parser.yaml))
        return -ENOMEM;
    rc = parse_text(&parser);
    yaml_parser_delete(&parser.yaml);
    free(parser.offsets);
    if (rc < 0)
        yaml_tree_fini(&tree);
    else
        *ret_tree = tree;
    return rc;
}

void yaml_tree_fini(struct yaml_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        free(tree->nodes[i].value);
    free(tree->nodes);
}

size_t yaml_tree_find(const struct yaml_tree *tree, size_t mapping, const char *key)
{
    const struct yaml_node *nodes = tree->nodes;
    size_t found = 0;

    for (size_t i = nodes[mapping].first; i; i = nodes[nodes[i].next].next)
        if (nodes[i].value && strcmp(nodes[i].value, key) == 0)
            found = nodes[i].next;
    return found;
}

bool yaml_node_is_null(const struct yaml_node *node)
{
    return node->kind == YAML_KIND_SCALAR && node->plain &&
           (!*node->value || strcmp(node->value, "~") == 0 || strcmp(node->value, "null") == 0);
}
