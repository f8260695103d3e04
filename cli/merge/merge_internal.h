/* What the formats behind merge.h share. */
#pragma once

#include "cli/merge/merge.h"
#include "cli/merge/text_edits.h"

#include <stdbool.h>

/* Notes the edits that take the patch into the text. Errors as merge_text(); -ENOBUFS and -ENOMEM
 * without a text. */
typedef int (*merge_fn)(const char *text, size_t len, const cJSON *patch, struct text_edits *edits,
        struct err *err);

int merge_jsonc(const char *text, size_t len, const cJSON *patch, struct text_edits *edits,
        struct err *err);
int merge_yaml(const char *text, size_t len, const cJSON *patch, struct text_edits *edits,
        struct err *err);
int merge_toml(const char *text, size_t len, const cJSON *patch, struct text_edits *edits,
        struct err *err);
/* `leader` begins a comment. `first`: a new block goes to the top of the file. */
int merge_block(const char *leader, bool first, const char *text, size_t len, const cJSON *patch,
        struct text_edits *edits, struct err *err);

/* The name of a member without its '?'. */
const char *patch_name(const cJSON *member);
/* True where the member must not replace what is there. */
bool patch_is_default(const cJSON *member);
/* The member that says which object of a list this is; NULL: none does. */
const cJSON *patch_identity(const cJSON *element);
/* True for an array of which every element has an identity. */
bool patch_is_keyed(const cJSON *array);

/* "line N: …", for the byte at offset `at`. Returns -EINVAL. */
int merge_fail_at(const char *text, size_t at, struct err *err, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

/* Offsets of the first byte of the line of `at`, and of the line break that ends it (or `len`). */
size_t line_start(const char *text, size_t at);
size_t line_end(const char *text, size_t len, size_t at);
/* The line break that the text uses: that of its first line, "\n" where nothing tells. */
const char *line_break(const char *text, size_t len);
