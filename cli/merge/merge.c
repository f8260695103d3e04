#include "cli/merge/merge.h"
#include "cli/merge/merge_internal.h"
#include "cli/merge/text_lines.h"

#include <errno.h>
#include <string.h>

static int note_edits(enum merge_format format, const char *text, size_t len, const cJSON *patch,
        struct text_edits *edits, struct err *err)
{
    switch (format) {
    case MERGE_JSONC:
        return merge_jsonc(text, len, patch, edits, err);
    case MERGE_YAML:
        return merge_yaml(text, len, patch, edits, err);
    case MERGE_TOML:
        return merge_toml(text, len, patch, edits, err);
    case MERGE_VIM:
        return merge_block("\"", false, text, len, patch, edits, err);
    case MERGE_LUA:
        return merge_block("--", true, text, len, patch, edits, err);
    case MERGE_SHELL:
        return merge_block("#", false, text, len, patch, edits, err);
    }
    return -EINVAL;
}

static int check_text(const char *text, size_t len, struct err *err)
{
    const char *nul;

    if (len > MERGE_FILE_MAX)
        return err_set(
                err, -EMSGSIZE, "it has %zu bytes; at most %d are accepted", len, MERGE_FILE_MAX);
    nul = memchr(text, '\0', len);
    return nul ? merge_fail_at(text, (size_t)(nul - text), err, "a NUL byte: this is no text") : 0;
}

/* A byte order mark stays in front, and no format has to know it. */
static size_t byte_order_mark(const char *text, size_t len)
{
    static const char mark[] = "\xef\xbb\xbf";

    return len >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0 ? strlen(mark) : 0;
}

/* Appends the merged text, without a byte order mark. */
static int merge_once(enum merge_format format, const char *text, size_t len, const cJSON *patch,
        struct buf *out, struct err *err)
{
    struct text_edits edits;
    int rc;

    text_edits_init(&edits);
    rc = note_edits(format, text, len, patch, &edits, err);
    if (rc == 0)
        rc = text_edits_apply(&edits, text, len, out);
    text_edits_fini(&edits);
    return rc;
}

/* The file is somebody else's: what we cannot read back, with all that was wanted in it, is not
 * written. YAML has corners where a harmless last line means something else behind another. */
static int check_merged(
        enum merge_format format, const char *text, size_t len, const cJSON *patch, struct err *err)
{
    struct text_edits edits;
    struct err why = {.text = ""};
    int rc;

    text_edits_init(&edits);
    rc = note_edits(format, text, len, patch, &edits, &why);
    if (rc == -EINVAL || (rc == 0 && edits.count > 0))
        rc = err_set(err, -EINVAL,
                "a merge would break how this file is written: merge what 'modemesh setup' prints "
                "by hand");
    else if (rc < 0)
        err_set(err, rc, "%s", why.text);
    text_edits_fini(&edits);
    return rc;
}

int merge_text(enum merge_format format, const char *text, size_t len, const cJSON *patch,
        struct buf *out, struct err *err)
{
    size_t mark = byte_order_mark(text, len), len_before = out->len;
    size_t start = len_before + mark;
    int rc = check_text(text, len, err);

    if (rc == 0)
        rc = buf_append(out, text, mark);
    if (rc == 0)
        rc = merge_once(format, text + mark, len - mark, patch, out, err);
    if (rc == 0)
        rc = buf_terminate(out);
    if (rc == 0)
        rc = check_merged(format, buf_at(out) + start, out->len - start, patch, err);
    if (rc == -ENOMEM)
        err_set(err, rc, "out of memory");
    else if (rc == -ENOBUFS)
        rc = err_set(err, -EMSGSIZE, "the merged text would be too large");
    if (rc < 0)
        out->len = len_before;
    return rc;
}
