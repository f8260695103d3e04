/* Edits of one text, noted in any order and made at once: what no edit names goes through byte for
 * byte. The caller owns the struct; the text that is edited is borrowed until it is applied. Pure.
 */
#pragma once

#include "common/buf.h"

#include <stddef.h>

enum {
    TEXT_EDITS_MAX = 4096,              /* edits of one text */
    TEXT_EDITS_BYTES_MAX = 1024 * 1024, /* of new text in all of them */
};

struct text_edit;

struct text_edits {
    struct text_edit *list;
    size_t count, cap;
    struct buf added; /* the new texts, one behind the other */
};

void text_edits_init(struct text_edits *edits);
/* Wipes the new texts, which may hold a key. */
void text_edits_fini(struct text_edits *edits);

/* At offset `at`, `remove` bytes give way to `text`. Edits at the same place happen in the order in
 * which they were noted; those that remove bytes must not overlap. -ENOBUFS past a limit, -ENOMEM.
 */
MUST_CHECK int text_edits_add(
        struct text_edits *edits, size_t at, size_t remove, const char *text, size_t len);
MUST_CHECK int text_edits_add_buf(
        struct text_edits *edits, size_t at, size_t remove, const struct buf *text);

/* Appends the edited `text` to `out`. -ENOBUFS, -ENOMEM; `out` is then as it was. */
MUST_CHECK int text_edits_apply(
        struct text_edits *edits, const char *text, size_t len, struct buf *out);
