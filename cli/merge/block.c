#include "cli/merge/merge_internal.h"
#include "cli/merge/text_lines.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MARK_MAX = 128 }; /* bytes of a mark */

/* A block of lines of ours: "<leader> modemesh NAME begin", the lines, "<leader> modemesh NAME
 * end".
 */
struct block {
    const char *text;
    size_t len;
    char begin[MARK_MAX], end[MARK_MAX];
    const char *newline;
    struct err *err;
};

enum { NOWHERE = -1 };

/* Offset of the line that is `mark`, at `from` or behind; NOWHERE. */
static ssize_t find_line(const struct block *block, size_t from, const char *mark)
{
    size_t mark_len = strlen(mark);

    for (size_t at = from; at < block->len;) {
        size_t end = line_end(block->text, block->len, at);

        if (end - at == mark_len && memcmp(block->text + at, mark, mark_len) == 0)
            return (ssize_t)at;
        while (end < block->len && block->text[end] != '\n')
            end++;
        at = end + 1;
    }
    return NOWHERE;
}

/* Finds where the block stands; both marks included, the last line break not. */
static int find_block(const struct block *block, ssize_t *ret_start, size_t *ret_end)
{
    ssize_t start = find_line(block, 0, block->begin), stray = find_line(block, 0, block->end);
    ssize_t end = start < 0 ? NOWHERE : find_line(block, (size_t)start, block->end);
    ssize_t again = end < 0 ? NOWHERE : find_line(block, (size_t)end, block->begin);

    if (start >= 0 && end < 0)
        return merge_fail_at(
                block->text, (size_t)start, block->err, "no line \"%s\" follows", block->end);
    if (again >= 0)
        return merge_fail_at(
                block->text, (size_t)again, block->err, "a second \"%s\"", block->begin);
    if (stray >= 0 && stray != end)
        return merge_fail_at(
                block->text, (size_t)stray, block->err, "no line \"%s\" before", block->begin);
    *ret_start = start;
    *ret_end = end < 0 ? 0 : (size_t)end + strlen(block->end);
    return 0;
}

static int print_lines(const struct block *block, const char *lines, struct buf *out)
{
    int rc = buf_appendf(out, "%s%s", block->begin, block->newline);

    while (rc == 0 && *lines) {
        size_t len = strcspn(lines, "\n");

        rc = buf_appendf(out, "%.*s%s", (int)len, lines, block->newline);
        lines += len + (lines[len] == '\n');
    }
    return rc < 0 ? rc : buf_append_str(out, block->end);
}

static int add_block(
        const struct block *block, bool first, struct buf *lines, struct text_edits *edits)
{
    size_t len = strlen(block->newline), at = first ? 0 : block->len;
    bool cut = !first && block->len > 0 && block->text[block->len - 1] != '\n';
    int rc = cut ? text_edits_add(edits, at, 0, block->newline, len) : 0;

    if (rc == 0 && !first && block->len > 0)
        rc = text_edits_add(edits, at, 0, block->newline, len);
    if (rc == 0)
        rc = buf_append_str(lines, block->newline);
    if (rc == 0)
        rc = text_edits_add_buf(edits, at, 0, lines);
    if (rc == 0 && first && block->len > 0)
        rc = text_edits_add(edits, at, 0, block->newline, len);
    return rc;
}

static int place(const struct block *block, bool first, struct buf *lines, struct text_edits *edits)
{
    ssize_t start = NOWHERE;
    size_t end = 0;
    int rc = find_block(block, &start, &end);

    if (rc < 0)
        return rc;
    if (start < 0)
        return add_block(block, first, lines, edits);
    if (end - (size_t)start == lines->len &&
            memcmp(block->text + start, buf_at(lines), lines->len) == 0)
        return 0;
    return text_edits_add_buf(edits, (size_t)start, end - (size_t)start, lines);
}

int merge_block(const char *leader, bool first, const char *text, size_t len, const cJSON *patch,
        struct text_edits *edits, struct err *err)
{
    struct block block = {.text = text, .len = len, .newline = line_break(text, len), .err = err};
    struct buf lines;
    int rc;

    snprintf(
            block.begin, sizeof(block.begin), "%s modemesh %s begin", leader, patch->child->string);
    snprintf(block.end, sizeof(block.end), "%s modemesh %s end", leader, patch->child->string);
    buf_init(&lines, TEXT_EDITS_BYTES_MAX);
    rc = print_lines(&block, patch->child->valuestring, &lines);
    if (rc == 0)
        rc = place(&block, first, &lines, edits);
    buf_fini(&lines);
    return rc;
}
