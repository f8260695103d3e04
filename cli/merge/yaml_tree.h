/* Where the values of one YAML document stand, as libyaml's events have it. The tree points into
 * the text, which is borrowed. Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

enum yaml_kind { YAML_KIND_SCALAR, YAML_KIND_LIST, YAML_KIND_MAPPING, YAML_KIND_ALIAS };

struct yaml_node {
    enum yaml_kind kind;
    size_t start, end;        /* offsets; `end` without the blanks and comments behind the value */
    size_t column;            /* in characters, of `start` */
    bool flow;                /* {…} or […] */
    bool marked;              /* has an anchor or a tag */
    bool plain;               /* a scalar without quotes */
    char *value;              /* of a scalar; the node's own */
    size_t first, last, next; /* children and sibling: index in the tree, 0 for none; the children
                                 of a mapping are key, value, key, value */
};

struct yaml_tree {
    const char *text;
    size_t len;
    struct yaml_node *nodes; /* [0] is no node; [1] is the root, where the document has a value */
    size_t count, cap;
};

/* -EINVAL ("line 3: …": no YAML, or several documents), -EMSGSIZE (names the limit), -ENOMEM. A
 * text of blanks and comments alone has no root. */
MUST_CHECK int yaml_tree_parse(
        const char *text, size_t len, struct yaml_tree *ret_tree, struct err *err);
void yaml_tree_fini(struct yaml_tree *tree);

/* The value of that key, the last one; 0: none. */
size_t yaml_tree_find(const struct yaml_tree *tree, size_t mapping, const char *key);
/* True for a plain scalar that means nothing: empty, ~ or null. */
bool yaml_node_is_null(const struct yaml_node *node);
