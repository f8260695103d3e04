/* Settings of ours into the text of a file that belongs to somebody else: what is not ours stays
 * byte for byte, comments and layout included; what has the wanted value already is left alone, so
 * that a second merge changes nothing. Into an empty text a merge writes the settings alone, which
 * is how they are printed. Pure.
 *
 * The settings are one cJSON tree, the patch:
 *   object   is merged, member by member; a member whose name begins with '?' is written only where
 *            the file has none of that name (without the '?')
 *   array    of objects that each have an "id", a "name" or a "model" is merged element by element:
 *            the first of these three that an element has says which one of the file it means; one
 *            that the file lacks goes behind the others. Any other array is replaced whole.
 *   the rest replaces what is there
 * Files that a line editor keeps (vimrc, shell) have no tree: there the patch is an object of one
 * string, whose name says which block of lines between two marks of ours it fills. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <cjson/cJSON.h>
#include <stddef.h>

enum {
    MERGE_FILE_MAX = 1024 * 1024, /* bytes of a file that is merged into, and of the result */
    MERGE_DEPTH_MAX = 64,         /* nested values in a file */
    MERGE_VALUES_MAX = 100 * 1000 /* values, keys included */
};

enum merge_format {
    MERGE_JSONC, /* JSON with comments and trailing commas */
    MERGE_YAML,  /* one document, block style where we write */
    MERGE_TOML,  /* patch: root values and tables */
    MERGE_VIM,
    MERGE_LUA,
    MERGE_SHELL,
};

/* Appends the merged text to `out`. A NUL byte stands behind `text`. -EINVAL: what the file has
 * cannot be read, or cannot be changed safely ("line 3: …"); -EMSGSIZE names the limit; -ENOMEM.
 * `out` is then as it was. */
MUST_CHECK int merge_text(enum merge_format format, const char *text, size_t len,
        const cJSON *patch, struct buf *out, struct err *err);
