/* The body of POST /v1/responses, any bytes, where one response is stored. What is accepted becomes
 * a chat with messages, and an answer can be made for it whose first events keep the API's rules;
 * what is refused says why in one line, and leaves nothing behind. */
#include "common/json/json.h"
#include "coordinator/dialects/responses/response_store.h"
#include "coordinator/dialects/responses/responses.h"
#include "tests/lib/response_events.h"
#include "tests/lib/virtual_env.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct response_store *make_store(struct virtual_env *world)
{
    static const char object[] = "{\"output\":[{\"id\":\"msg_a_0\",\"type\":\"message\",\"role\":"
                                 "\"assistant\",\"content\":\"A\"}]}";
    virtual_env_init(world);
    struct response_store_config config = {.env = &world->env};
    struct response_store *store = response_store_create(&config);
    struct stored_response response = {.id = "resp_a",
            .owner = "me",
            .previous = "",
            .input = "[{\"role\":\"user\",\"content\":\"U\"}]",
            .object = object,
            .output_at = strlen("{\"output\":"),
            .output_len = strlen(object) - strlen("{\"output\":}")};
    assert(store);
    int r = response_store_put(store, &response);
    assert(r == 0);
    return store;
}

/* Nothing of the other API, and no reference, is left. */
static void check_chat(const struct request *request)
{
    struct json_limits limits = json_limits_request;
    cJSON *chat, *message;
    limits.max_bytes *= 2;
    limits.max_depth = JSON_DEPTH_MAX;
    int r = json_parse(buf_at(&request->body), request->body.len, &limits, &chat, NULL);
    assert(r == 0 && cJSON_IsObject(chat));
    const cJSON *messages = json_array(chat, "messages");
    assert(messages && messages->child);
    cJSON_ArrayForEach(message, messages)
    {
        assert(json_str(message, "role", NULL));
    }
    assert(!cJSON_GetObjectItemCaseSensitive(chat, "input"));
    assert(!cJSON_GetObjectItemCaseSensitive(chat, "n"));
    assert(!json_obj(chat, "tool_choice"));
    cJSON_Delete(chat);
}

/* What is stored refers to nothing. */
static void check_input(const char *text)
{
    cJSON *items, *item;
    int r = json_parse(text, strlen(text), &json_limits_request, &items, NULL);
    assert(r == 0 && cJSON_IsArray(items));
    cJSON_ArrayForEach(item, items)
    {
        assert(strcmp(json_str(item, "type", ""), "item_reference") != 0);
    }
    cJSON_Delete(items);
}

static void check_accepted(const struct request *request)
{
    const cJSON *kept = request->kept;
    assert(request->kind == REQUEST_CHAT && request->choices == 1);
    assert(!request->background || (request->stream && request->responses));
    assert(kept && json_str(kept, "echo", NULL));
    if (request->responses)
        check_input(json_str(kept, "input", ""));
    check_chat(request);
}

static void check_answer(const struct request *request)
{
    struct answer_facts facts = {.request_id = "req_b", .model = request->asked, .created_s = 1};
    struct api_error error = {.status = 502, .code = "x", .message = request->asked};
    struct response_events events = {0};
    struct answer *answer = dialect_responses.answer_create(request, &facts);
    struct buf out;
    buf_init(&out, DIALECT_ANSWER_MAX);
    assert(answer);
    int r = dialect_responses.stream_begin(answer, &out);
    assert(r == 0);
    r = dialect_responses.stream_error(answer, &error, &out);
    assert(r == 0);
    response_events_feed(&events, buf_at(&out), out.len);
    assert(events.ended);
    response_events_fini(&events);
    buf_fini(&out);
    dialect_responses.answer_destroy(answer);
}

static void check_refused(int r, const struct request *request, const struct err *err)
{
    assert(r == -EINVAL || r == -ENOENT);
    assert(err->text[0] != '\0' && !strchr(err->text, '\n'));
    assert(request->body.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtual_env world;
    struct request request;
    struct err err = {.text = ""};
    const char *param = "unset";
    struct dialect_input input = {.body = (const char *)data,
            .len = size,
            .content_type = "",
            .owner = "me",
            .responses = make_store(&world)};
    request_init(&request);
    int r = dialect_responses.parse(&input, &request, &param, &err);
    assert(!param || strcmp(param, "unset") != 0);
    if (r == 0) {
        check_accepted(&request);
        check_answer(&request);
    } else {
        check_refused(r, &request, &err);
    }
    request_fini(&request);
    response_store_destroy(input.responses);
    return 0;
}
