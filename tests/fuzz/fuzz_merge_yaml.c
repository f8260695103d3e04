/* merge_text() on any YAML: what it accepts it can read again, a second merge changes nothing, what
 * was asked for is there, and values that nobody asked about mean what they meant. */
#include "cli/merge/merge.h"
#include "cli/merge/yaml_tree.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char patch_text[] =
        "{\"model\":\"new\",\"?once\":\"only\",\"models\":[{\"name\":\"x\",\"roles\":[\"p\",\"q\"],"
        "\"o\":{\"size\":5}},{\"name\":\"y\"}]}";

static bool is_ours(const struct yaml_node *key)
{
    static const char *const names[] = {"model", "once", "models"};

    for (size_t i = 0; key->value && i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(key->value, names[i]) == 0)
            return true;
    return false;
}

static size_t next_theirs(const struct yaml_tree *tree, size_t key)
{
    while (key && is_ours(&tree->nodes[key]))
        key = tree->nodes[tree->nodes[key].next].next;
    return key;
}

/* A block of lines at the end of a text without a last line break gets one when a line follows. */
static bool same_text(const char *x, const char *y)
{
    size_t x_len = strlen(x), y_len = strlen(y);

    while (x_len > 0 && x[x_len - 1] == '\n')
        x_len--;
    while (y_len > 0 && y[y_len - 1] == '\n')
        y_len--;
    return x_len == y_len && memcmp(x, y, x_len) == 0;
}

static void check_same(
        const struct yaml_tree *before, size_t a, const struct yaml_tree *after, size_t b)
{
    const struct yaml_node *x = &before->nodes[a], *y = &after->nodes[b];

    assert(a && b && x->kind == y->kind && !x->value == !y->value);
    assert(!x->value || same_text(x->value, y->value));
    for (a = x->first, b = y->first; a && b; a = before->nodes[a].next, b = after->nodes[b].next)
        check_same(before, a, after, b);
    assert(!a && !b);
}

static void check_theirs(const struct yaml_tree *before, const struct yaml_tree *after)
{
    size_t a = next_theirs(before, before->nodes[1].first);
    size_t b = next_theirs(after, after->nodes[1].first);

    while (a && b) {
        size_t x = before->nodes[a].next, y = after->nodes[b].next;

        check_same(before, a, after, b);
        check_same(before, x, after, y);
        a = next_theirs(before, before->nodes[x].next);
        b = next_theirs(after, after->nodes[y].next);
    }
    assert(!a && !b);
}

static void check_ours(const struct yaml_tree *after)
{
    size_t model = yaml_tree_find(after, 1, "model");

    assert(model && strcmp(after->nodes[model].value, "new") == 0);
    assert(yaml_tree_find(after, 1, "once") && yaml_tree_find(after, 1, "models"));
}

static void check(const char *text, size_t len, const struct buf *merged, const cJSON *patch)
{
    struct yaml_tree before, after;
    struct buf again;
    int rc = yaml_tree_parse(text, len, &before, NULL);

    assert(rc == 0);
    rc = yaml_tree_parse(buf_at(merged), merged->len, &after, NULL);
    assert(rc == 0);
    if (before.count > 1 && before.nodes[1].kind == YAML_KIND_MAPPING)
        check_theirs(&before, &after);
    check_ours(&after);
    buf_init(&again, 2 * MERGE_FILE_MAX);
    rc = merge_text(MERGE_YAML, buf_at(merged), merged->len, patch, &again, NULL);
    assert(rc == 0 && again.len == merged->len &&
            memcmp(buf_at(&again), buf_at(merged), again.len) == 0);
    buf_fini(&again);
    yaml_tree_fini(&before);
    yaml_tree_fini(&after);
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
    rc = merge_text(MERGE_YAML, text, strlen(text), patch, &merged, &err);
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
