/* Where the values of a JSON text stand, comments and trailing commas accepted (JSONC). The tree
 * points into the text, which is borrowed. Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/json/json_lexer.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct jsonc_node {
    enum json_token_type type; /* of the value's first token */
    size_t start, end;         /* of the value */
    size_t key_start, key_end; /* with its quotes; both 0 for what has no key */
    size_t first, last, next;  /* children and sibling: index in the tree, 0 for none */
    bool trailing_comma;       /* behind the last child */
};

struct jsonc_tree {
    const char *text;
    size_t len;
    struct jsonc_node *nodes; /* [0] is no node; [1] is the root, where the text has a value */
    size_t count, cap;
};

/* -EINVAL ("line 3, column 7: …"), -EMSGSIZE (names the limit), -ENOMEM. A text of blanks and
 * comments alone has no root. */
MUST_CHECK int jsonc_parse(
        const char *text, size_t len, struct jsonc_tree *ret_tree, struct err *err);
void jsonc_fini(struct jsonc_tree *tree);

/* Behind the blanks and comments that begin at `at`; where a comment has no end, at its start. */
size_t jsonc_skip(const char *text, size_t len, size_t at);

/* True where the string between the offsets, quotes included, means `word`. */
bool jsonc_string_is(const struct jsonc_tree *tree, size_t start, size_t end, const char *word);
/* The member of that name, the last one as readers have it; 0: none. */
size_t jsonc_find(const struct jsonc_tree *tree, size_t object, const char *name);
/* True where the value means the same as `wanted`, members in any order. */
bool jsonc_equals(const struct jsonc_tree *tree, size_t node, const cJSON *wanted);
