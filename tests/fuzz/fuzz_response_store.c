/* Responses put, looked up, built on, referred to and deleted in any order, by two owners, in a
 * store with little room. What one owner put is never there for the other, what was put last is
 * there, a conversation holds items only, and references are resolved or refused.
 *
 * The input is a list of steps: a byte that says which, one with the response and its owner, one
 * with the response before it, one of length, and so many bytes of text. */
#include "common/json/json.h"
#include "coordinator/dialects/responses/response_store.h"
#include "tests/lib/virtual_env.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COUNT_MAX = 4, BYTES_MAX = 4096, IDS = 8, TEXT_MAX = UINT8_MAX + 1 };

enum step {
    STEP_PUT,
    STEP_OBJECT,
    STEP_INPUT,
    STEP_CONVERSATION,
    STEP_RESOLVE,
    STEP_DELETE,
    STEP_WAIT,
    STEP_COUNT
};

static const char *const owners[] = {"local", "key a"};

struct run {
    struct virtual_env world;
    struct response_store *store;
    struct reader reader;
    /* Of the step at hand. */
    char id[RESPONSE_ID_MAX + 1], previous[RESPONSE_ID_MAX + 1], text[TEXT_MAX];
    const char *owner;
};

static int read_step(struct run *run, enum step *ret_step)
{
    uint8_t step, who, previous, len;
    const void *text;
    if (reader_u8(&run->reader, &step) || reader_u8(&run->reader, &who) ||
            reader_u8(&run->reader, &previous) || reader_u8(&run->reader, &len) ||
            reader_bytes(&run->reader, len < run->reader.left ? len : run->reader.left, &text))
        return -ENODATA;
    size_t taken = (size_t)(run->reader.at - (const uint8_t *)text);
    memcpy(run->text, text, taken);
    run->text[taken] = '\0';
    run->owner = owners[who >> 7];
    snprintf(run->id, sizeof(run->id), "resp_%d", who % IDS);
    snprintf(run->previous, sizeof(run->previous), "resp_%d", previous % IDS);
    if (previous < UINT8_MAX / 2)
        run->previous[0] = '\0';
    *ret_step = step % STEP_COUNT;
    return 0;
}

/* Of the step's text the array that it is, else one item that says it; the caller frees. */
static cJSON *make_items(const struct run *run)
{
    cJSON *items;
    if (json_parse(run->text, strlen(run->text), &json_limits_request, &items, NULL) == 0) {
        if (cJSON_IsArray(items))
            return items;
        cJSON_Delete(items);
    }
    items = cJSON_CreateArray();
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "type", "message");
    cJSON_AddStringToObject(item, "role", "user");
    cJSON_AddItemToArray(items, item);
    return items;
}

static char *print_items(const struct run *run)
{
    cJSON *items = make_items(run);
    char *text = cJSON_PrintUnformatted(items);
    cJSON_Delete(items);
    assert(text);
    return text;
}

/* One with more before it than there is room for goes at once, and all that with it. */
static void check_mine_only(struct run *run, const char *object)
{
    const char *found = response_store_object(run->store, run->owner, run->id);
    assert(found ? strcmp(found, object) == 0 : run->previous[0]);
    const char *other = owners[run->owner == owners[0]];
    found = response_store_object(run->store, other, run->id);
    assert(!found || strstr(found, other));
}

static void put(struct run *run)
{
    char *input = print_items(run);
    struct buf object;
    buf_init(&object, BYTES_MAX);
    int r = buf_appendf(&object,
            "{\"owner\":\"%s\",\"output\":[{\"id\":\"msg_%s_0\",\"content\":", run->owner,
            run->id + strlen("resp_"));
    if (!r)
        r = json_append_str(&object, run->text, strlen(run->text));
    if (!r)
        r = buf_append_str(&object, "}]}");
    if (!r)
        r = buf_terminate(&object);
    assert(r == 0);
    size_t at = (size_t)(strstr(buf_at(&object), "\"output\":") - buf_at(&object)) + 9;
    struct stored_response response = {.id = run->id,
            .owner = run->owner,
            .previous = run->previous,
            .input = input,
            .object = buf_at(&object),
            .output_at = at,
            .output_len = object.len - at - 1};
    r = response_store_put(run->store, &response);
    assert(r == 0);
    check_mine_only(run, buf_at(&object));
    buf_fini(&object);
    free(input);
}

static void look_up_input(struct run *run)
{
    cJSON *items, *item;
    int r = response_store_input(run->store, run->owner, run->id, &items);
    assert(r == 0 || r == -ENOENT);
    if (r)
        return;
    assert(cJSON_IsArray(items));
    cJSON_ArrayForEach(item, items) assert(!cJSON_IsObject(item) || json_str(item, "id", NULL));
    cJSON_Delete(items);
}

static void build_on(struct run *run)
{
    struct err err = {.text = ""};
    cJSON *items;
    int r = response_store_conversation(run->store, run->owner, run->id, &items, &err);
    assert(r == 0 || ((r == -ENOENT || r == -EMSGSIZE) && err.text[0] != '\0'));
    if (r)
        return;
    assert(cJSON_IsArray(items) && items->child);
    cJSON_Delete(items);
}

static void refer(struct run *run)
{
    struct err err = {.text = ""};
    cJSON *items = make_items(run);
    int before = cJSON_GetArraySize(items);
    int r = response_store_resolve(run->store, run->owner, items, &err);
    assert(r == 0 || ((r == -ENOENT || r == -EMSGSIZE) && err.text[0] != '\0'));
    assert(cJSON_GetArraySize(items) == before);
    cJSON_Delete(items);
}

static void delete (struct run *run)
{
    int r = response_store_delete(run->store, run->owner, run->id);
    assert(r == 0 || r == -ENOENT);
    assert(!response_store_object(run->store, run->owner, run->id));
}

static void look_up_object(struct run *run)
{
    const char *object = response_store_object(run->store, run->owner, run->id);
    assert(!object || strstr(object, run->owner));
}

/* Half of the longest age for each 128 of the text's length. */
static void pass_time(struct run *run)
{
    virtual_env_advance_ms(
            &run->world, (uint64_t)RESPONSE_STORE_AGE_MS / 256 * (strlen(run->text) + 1));
    response_store_expire(run->store);
}

static void (*const steps[STEP_COUNT])(struct run *run) = {
        [STEP_PUT] = put,
        [STEP_OBJECT] = look_up_object,
        [STEP_INPUT] = look_up_input,
        [STEP_CONVERSATION] = build_on,
        [STEP_RESOLVE] = refer,
        [STEP_DELETE] = delete,
        [STEP_WAIT] = pass_time,
};

/* No more than there is room for can be asked for. */
static void check_count(struct run *run)
{
    size_t count = 0;
    char id[RESPONSE_ID_MAX + 1];
    for (size_t i = 0; i < IDS * 2; i++) {
        snprintf(id, sizeof(id), "resp_%zu", i % IDS);
        count += response_store_object(run->store, owners[i / IDS], id) != NULL;
    }
    assert(count <= COUNT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run;
    enum step step;
    virtual_env_init(&run.world);
    struct response_store_config config = {
            .env = &run.world.env, .count_max = COUNT_MAX, .bytes_max = BYTES_MAX};
    run.store = response_store_create(&config);
    assert(run.store);
    reader_init(&run.reader, data, size);
    while (read_step(&run, &step) == 0)
        steps[step](&run);
    check_count(&run);
    response_store_destroy(run.store);
    return 0;
}
