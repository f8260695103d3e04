/* merge_text() on any TOML, and on the same bytes as the lines of a shell: what it accepts it can
 * read again, a second merge changes nothing, and statements that nobody asked about are byte for
 * byte as they were, in their order. */
#include "cli/merge/merge.h"
#include "cli/merge/toml_scan.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char toml_patch[] =
        "{\"model\":\"new\",\"n\":5,\"p\":{\"mesh\":{\"url\":\"http://x\",\"on\":true}},"
        "\"tui\":{\"x\":1}}";
static const char shell_patch[] = "{\"fuzz\":\"export A='b'\\n\"}";

static bool is_ours(const struct toml_statement *at)
{
    static const char *const paths[] = {
            "model", "n", "p\x1fmesh", "p\x1fmesh\x1furl", "p\x1fmesh\x1fon", "tui", "tui\x1fx"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        if (strcmp(at->path, paths[i]) == 0)
            return true;
    return false;
}

static size_t next_theirs(const struct toml_scan *scan, size_t at)
{
    while (at < scan->count && is_ours(&scan->list[at]))
        at++;
    return at;
}

static void check_theirs(const struct toml_scan *before, const struct toml_scan *after)
{
    size_t a = next_theirs(before, 1), b = next_theirs(after, 1);

    while (a < before->count && b < after->count) {
        const struct toml_statement *x = &before->list[a], *y = &after->list[b];

        assert(x->kind == y->kind && strcmp(x->path, y->path) == 0);
        assert(x->end - x->start == y->end - y->start);
        assert(memcmp(before->text + x->start, after->text + y->start, x->end - x->start) == 0);
        a = next_theirs(before, a + 1);
        b = next_theirs(after, b + 1);
    }
    assert(a >= before->count && b >= after->count);
}

static void check_toml(const char *text, size_t len, const struct buf *merged)
{
    struct toml_scan before, after;
    int rc = toml_scan(text, len, &before, NULL);

    assert(rc == 0);
    rc = toml_scan(buf_at(merged), merged->len, &after, NULL);
    assert(rc == 0);
    check_theirs(&before, &after);
    toml_scan_fini(&before);
    toml_scan_fini(&after);
}

static void check_again(enum merge_format format, const cJSON *patch, struct buf *merged)
{
    struct buf again;
    int rc = buf_terminate(merged);

    assert(rc == 0);
    buf_init(&again, 2 * MERGE_FILE_MAX);
    rc = merge_text(format, buf_at(merged), merged->len, patch, &again, NULL);
    assert(rc == 0 && again.len == merged->len &&
            memcmp(buf_at(&again), buf_at(merged), again.len) == 0);
    buf_fini(&again);
}

static void try_format(enum merge_format format, const char *text, const char *patch_text)
{
    cJSON *patch = cJSON_Parse(patch_text);
    struct err err = {.text = ""};
    struct buf merged;
    int rc;

    assert(patch);
    buf_init(&merged, 2 * MERGE_FILE_MAX);
    rc = merge_text(format, text, strlen(text), patch, &merged, &err);
    assert(rc == 0 || rc == -EINVAL || rc == -EMSGSIZE);
    assert((rc == 0) == (err.text[0] == '\0') && (rc == 0 || merged.len == 0));
    if (rc == 0)
        check_again(format, patch, &merged);
    if (rc == 0 && format == MERGE_TOML && strncmp(text, "\xef\xbb\xbf", 3) != 0)
        check_toml(text, strlen(text), &merged);
    buf_fini(&merged);
    cJSON_Delete(patch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);

    assert(text);
    try_format(MERGE_TOML, text, toml_patch);
    try_format(MERGE_SHELL, text, shell_patch);
    free(text);
    return 0;
}
