#include "cli/merge/text_edits.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct text_edit {
    size_t at, remove;
    size_t start, len; /* of the new text, in `added` */
    size_t order;      /* in which it was noted */
};

void text_edits_init(struct text_edits *edits)
{
    *edits = (struct text_edits){.list = NULL};
    buf_init(&edits->added, TEXT_EDITS_BYTES_MAX);
}

void text_edits_fini(struct text_edits *edits)
{
    if (edits->added.data)
        explicit_bzero(edits->added.data, edits->added.cap);
    buf_fini(&edits->added);
    free(edits->list);
}

static int make_room(struct text_edits *edits)
{
    size_t cap = edits->cap ? 2 * edits->cap : 16;
    struct text_edit *list;

    if (edits->count < edits->cap)
        return 0;
    if (edits->count == TEXT_EDITS_MAX)
        return -ENOBUFS;
    list = reallocarray(edits->list, cap, sizeof(*list));
    if (!list)
        return -ENOMEM;
    edits->list = list;
    edits->cap = cap;
    return 0;
}

int text_edits_add(struct text_edits *edits, size_t at, size_t remove, const char *text, size_t len)
{
    size_t start = edits->added.len;
    int rc = make_room(edits);

    if (rc == 0)
        rc = buf_append(&edits->added, text, len);
    if (rc < 0)
        return rc;
    edits->list[edits->count] = (struct text_edit){
            .at = at, .remove = remove, .start = start, .len = len, .order = edits->count};
    edits->count++;
    return 0;
}

int text_edits_add_buf(struct text_edits *edits, size_t at, size_t remove, const struct buf *text)
{
    return text_edits_add(edits, at, remove, buf_at(text), text->len);
}

static int compare(const void *left, const void *right)
{
    const struct text_edit *a = left, *b = right;

    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static int append_all(const struct text_edits *edits, const char *text, size_t len, struct buf *out)
{
    size_t done = 0;
    int rc = 0;

    for (size_t i = 0; i < edits->count && rc == 0; i++) {
        const struct text_edit *edit = &edits->list[i];

        assert(edit->at >= done && edit->at + edit->remove <= len);
        rc = buf_append(out, text + done, edit->at - done);
        if (rc == 0)
            rc = buf_append(out, buf_at(&edits->added) + edit->start, edit->len);
        done = edit->at + edit->remove;
    }
    return rc < 0 ? rc : buf_append(out, text + done, len - done);
}

int text_edits_apply(struct text_edits *edits, const char *text, size_t len, struct buf *out)
{
    size_t len_before = out->len;
    int rc;

    if (edits->count > 0)
        qsort(edits->list, edits->count, sizeof(*edits->list), compare);
    rc = append_all(edits, text, len, out);
    if (rc < 0)
        out->len = len_before;
    return rc;
}
