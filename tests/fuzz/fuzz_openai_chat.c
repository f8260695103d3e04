/* The body of POST /v1/chat/completions, any bytes. What is accepted goes to the engine as an
 * object that it knows in all its parts, and would be accepted again as it is; what is refused says
 * why in one line, and names a field or none. */
#include "common/json/json.h"
#include "coordinator/dialects/openai/openai.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(const char *data, size_t size, struct request *request, struct err *err)
{
    struct dialect_input input = {.body = data, .len = size, .content_type = "", .owner = "local"};
    const char *param = "unset";
    request_init(request);
    *err = (struct err){.text = ""};
    int r = dialect_openai_chat.parse(&input, request, &param, err);
    assert(!param || strcmp(param, "unset") != 0);
    return r;
}

static void check_role(const cJSON *message)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    const char *role = json_str(message, "role", "");
    size_t i = 0;
    while (strcmp(role, roles[i]) != 0)
        assert(++i < sizeof(roles) / sizeof(roles[0]));
}

static void check_body(const cJSON *body, const struct request *request)
{
    const cJSON *item, *tools = json_array(body, "tools");
    assert(cJSON_GetArraySize(json_array(body, "messages")) > 0);
    cJSON_ArrayForEach(item, json_array(body, "messages"))
    {
        check_role(item);
    }
    cJSON_ArrayForEach(item, tools)
    {
        assert(strcmp(json_str(item, "type", ""), "function") == 0);
        assert(*json_str(json_obj(item, "function"), "name", ""));
    }
    assert(!(request->needs & CAPABILITY_TOOLS) || tools);
}

static void check_again(const struct request *request)
{
    struct request again;
    struct err err;
    int r = parse(buf_at(&request->body), request->body.len, &again, &err);
    assert(r == 0);
    assert(again.body.len == request->body.len);
    assert(memcmp(buf_at(&again.body), buf_at(&request->body), again.body.len) == 0);
    assert((again.needs & ~request->needs) == 0);
    request_fini(&again);
}

static void check_accepted(const struct request *request)
{
    cJSON *body;
    int r = json_parse(
            buf_at(&request->body), request->body.len, &json_limits_request, &body, NULL);
    assert(r == 0 && cJSON_IsObject(body));
    assert(request->kind == REQUEST_CHAT && request->needs & CAPABILITY_CHAT);
    assert(strlen(request->asked) <= MSG_NAME_MAX);
    assert(request->choices >= 1 && request->choices <= REQUEST_CHOICES_MAX);
    for (const char *at = request->skipped; *at; at++)
        assert((uint8_t)*at >= ' ');
    check_body(body, request);
    cJSON_Delete(body);
    check_again(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request;
    struct err err;
    int r = parse((const char *)data, size, &request, &err);
    if (r == 0) {
        check_accepted(&request);
    } else {
        assert(r == -EINVAL && request.body.len == 0);
        assert(err.text[0] != '\0' && !strchr(err.text, '\n'));
    }
    request_fini(&request);
    return 0;
}
