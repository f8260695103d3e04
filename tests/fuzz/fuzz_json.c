/* json_parse() on any bytes. What it accepts, cJSON takes whole; it survives json_edit() and parses
 * again, with the members that were set as they were set and all others unchanged; json_find()
 * finds what cJSON finds. */
#include "common/json/json.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_limits limits = {
        .max_bytes = 1024 * 1024, .max_depth = 32, .max_values = 4096};
static const struct json_member members[] = {
        {"model", "\"new\""}, {"a", NULL}, {"stream", "{\"x\":[1]}"}};
enum { MEMBER_COUNT = sizeof(members) / sizeof(*members) };

static cJSON *parse(const char *text, size_t len)
{
    struct err err = {.text = ""};
    cJSON *json = NULL;
    int r = json_parse(text, len, &limits, &json, &err);

    assert(r == 0 || r == -EINVAL || r == -EMSGSIZE);
    assert((r == 0) == (json != NULL));
    assert((r == 0) == (err.text[0] == '\0'));
    return json;
}

static const struct json_member *find_member(const char *key)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++)
        if (strcmp(members[i].key, key) == 0)
            return &members[i];
    return NULL;
}

/* Equal as they print: a number past the range of double prints as null on both sides. */
static void check_equal(const cJSON *a, const cJSON *b)
{
    char *text_a = cJSON_PrintUnformatted(a), *text_b = cJSON_PrintUnformatted(b);

    assert(text_a && text_b && strcmp(text_a, text_b) == 0);
    free(text_a);
    free(text_b);
}

static const cJSON *skip_edited(const cJSON *item)
{
    while (item && find_member(item->string))
        item = item->next;
    return item;
}

static void check_untouched(const cJSON *before, const cJSON *after)
{
    const cJSON *a = skip_edited(before->child), *b = skip_edited(after->child);

    for (; a && b; a = skip_edited(a->next), b = skip_edited(b->next)) {
        assert(strcmp(a->string, b->string) == 0);
        check_equal(a, b);
    }
    assert(!a && !b);
}

static int count_members(const cJSON *object, const char *key)
{
    int count = 0;

    for (const cJSON *item = object->child; item; item = item->next)
        count += strcmp(item->string, key) == 0;
    return count;
}

static void check_edited(const cJSON *after)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        const char *value = members[i].value;
        assert(count_members(after, members[i].key) == (value ? 1 : 0));
        if (!value)
            continue;
        cJSON *expected = cJSON_Parse(value);
        check_equal(cJSON_GetObjectItemCaseSensitive(after, members[i].key), expected);
        cJSON_Delete(expected);
    }
}

static void check_edit(const cJSON *before, const char *text, size_t len)
{
    /* The edit may add values past the limits of the fuzzer. */
    struct json_limits wider = limits;
    cJSON *after = NULL;
    struct buf out;

    wider.max_bytes += 1024;
    wider.max_values += 16;
    buf_init(&out, wider.max_bytes);
    int r = json_edit(&out, text, len, members, MEMBER_COUNT);
    assert(r == 0);
    r = json_parse(buf_at(&out), out.len, &wider, &after, NULL);
    assert(r == 0);
    check_untouched(before, after);
    check_edited(after);
    cJSON_Delete(after);
    buf_fini(&out);
}

static void check_find(const cJSON *before, const char *text, size_t len)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        const char *value;
        size_t value_len;
        int r = json_find(text, len, members[i].key, &value, &value_len);
        const cJSON *member = cJSON_GetObjectItemCaseSensitive(before, members[i].key);
        assert(r == (member ? 0 : -ENOENT));
        if (r)
            continue;
        assert(value >= text && value_len <= len - (size_t)(value - text));
        cJSON *found = cJSON_ParseWithLength(value, value_len);
        check_equal(found, member);
        cJSON_Delete(found);
    }
}

/* On text that nobody has parsed, an edit may refuse or not; it stays inside the text. */
static void check_edit_of_anything(const char *text, size_t len, bool object)
{
    struct buf out;

    buf_init(&out, limits.max_bytes);
    const char *value;
    size_t value_len;
    int r = json_find(text, len, members[0].key, &value, &value_len);
    assert(r == 0 || r == -ENOENT || (!object && r == -EINVAL));
    r = json_edit(&out, text, len, members, MEMBER_COUNT);
    assert(r == 0 || (!object && r == -EINVAL && out.len == 0));
    buf_fini(&out);
}

static void check_append_str(const char *text, size_t len)
{
    struct buf out;

    buf_init(&out, 8 * limits.max_bytes);
    int r = json_append_str(&out, text, len);
    assert(r == 0);
    if (!memchr(text, '\0', len)) {
        cJSON *json = parse(buf_at(&out), out.len);
        assert(cJSON_IsString(json));
        cJSON_Delete(json);
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    cJSON *json = parse(text, size);

    if (cJSON_IsObject(json)) {
        check_edit(json, text, size);
        check_find(json, text, size);
    }
    check_edit_of_anything(text, size, cJSON_IsObject(json));
    if (size > 0 && size <= limits.max_bytes / 8)
        check_append_str(text, size);
    cJSON_Delete(json);
    return 0;
}
