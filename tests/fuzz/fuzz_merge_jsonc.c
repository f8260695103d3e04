/* merge_text() on any JSON with comments: what it accepts it can read again, a second merge changes
 * nothing, what was asked for is there, and members that nobody asked about are byte for byte as
 * they were. */
#include "cli/merge/jsonc_tree.h"
#include "cli/merge/merge.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char patch_text[] =
        "{\"model\":\"new\",\"a\":{\"b\":1,\"c\":[1,2]},\"list\":[{\"id\":\"x\",\"v\":true},"
        "{\"name\":\"y\"}],\"n\":5}";

static bool is_ours(const struct jsonc_tree *tree, size_t node)
{
    static const char *const names[] = {"model", "a", "list", "n"};
    const struct jsonc_node *at = &tree->nodes[node];

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (jsonc_string_is(tree, at->key_start, at->key_end, names[i]))
            return true;
    return false;
}

static size_t next_theirs(const struct jsonc_tree *tree, size_t node)
{
    while (node && is_ours(tree, node))
        node = tree->nodes[node].next;
    return node;
}

static void check_theirs(const struct jsonc_tree *before, const struct jsonc_tree *after)
{
    size_t a = next_theirs(before, before->nodes[1].first);
    size_t b = next_theirs(after, after->nodes[1].first);

    while (a) {
        const struct jsonc_node *x = &before->nodes[a], *y = &after->nodes[b];

        assert(b);
        /* A comma may have come behind it, and nothing else. */
        assert(x->end - x->key_start == y->end - y->key_start);
        assert(memcmp(before->text + x->key_start, after->text + y->key_start,
                       x->end - x->key_start) == 0);
        a = next_theirs(before, x->next);
        b = next_theirs(after, y->next);
    }
    assert(!b);
}

static void check_ours(const struct jsonc_tree *after, const cJSON *patch)
{
    assert(jsonc_equals(after, jsonc_find(after, 1, "model"), cJSON_GetObjectItem(patch, "model")));
    assert(jsonc_equals(after, jsonc_find(after, 1, "n"), cJSON_GetObjectItem(patch, "n")));
}

static void check(const char *text, size_t len, const struct buf *merged, const cJSON *patch)
{
    struct jsonc_tree before, after;
    struct buf again;
    int rc = jsonc_parse(text, len, &before, NULL);

    assert(rc == 0);
    rc = jsonc_parse(buf_at(merged), merged->len, &after, NULL);
    assert(rc == 0);
    if (before.count > 1)
        check_theirs(&before, &after);
    check_ours(&after, patch);
    buf_init(&again, 2 * MERGE_FILE_MAX);
    rc = merge_text(MERGE_JSONC, buf_at(merged), merged->len, patch, &again, NULL);
    assert(rc == 0 && again.len == merged->len &&
            memcmp(buf_at(&again), buf_at(merged), again.len) == 0);
    buf_fini(&again);
    jsonc_fini(&before);
    jsonc_fini(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *patch = cJSON_Parse(patch_text);
    char *text = strndup((const char *)data, size);
    struct err err = {.text = ""};
    struct buf merged;
    int rc;

    assert(patch && text);
    buf_init(&merged, 2 * MERGE_FILE_MAX);
    rc = merge_text(MERGE_JSONC, text, strlen(text), patch, &merged, &err);
    assert(rc == 0 || rc == -EINVAL || rc == -EMSGSIZE);
    assert((rc == 0) == (err.text[0] == '\0') && (rc == 0 || merged.len == 0));
    if (rc == 0) {
        rc = buf_terminate(&merged);
        assert(rc == 0);
        if (strncmp(text, "\xef\xbb\xbf", 3) != 0)
            check(text, strlen(text), &merged, patch);
    }
    buf_fini(&merged);
    free(text);
    cJSON_Delete(patch);
    return 0;
}
