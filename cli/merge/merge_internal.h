/* The formats behind merge.h. */
#pragma once

#include "cli/merge/text_edits.h"
#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

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
