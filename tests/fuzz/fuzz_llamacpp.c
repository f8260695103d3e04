/* The body of one of llama.cpp's requests, which the first byte chooses. What is accepted has sound
 * facts and a neutral body of its kind; what is refused says why in one line. */
#include "common/json/json.h"
#include "coordinator/dialects/llamacpp/llamacpp.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialect *const dialects[] = {&dialect_llamacpp_completion,
        &dialect_llamacpp_infill, &dialect_llamacpp_tokenize, &dialect_llamacpp_detokenize,
        &dialect_llamacpp_template};

static bool has_prompt(enum request_kind kind, const cJSON *body)
{
    switch (kind) {
    case REQUEST_COMPLETION:
        return json_str(body, "prompt", NULL) || cJSON_GetArraySize(json_array(body, "prompt")) > 0;
    case REQUEST_INFILL:
        return json_str(body, "input_prefix", NULL) && json_str(body, "input_suffix", NULL);
    case REQUEST_TEMPLATE:
        return cJSON_GetArraySize(json_array(body, "messages")) > 0;
    default:
        return true;
    }
}

static void check_accepted(const struct request *request)
{
    static const char *const ours[] = {"model", "stream", "id_slot", "response_fields"};
    cJSON *body;
    int r = json_parse(
            buf_at(&request->body), request->body.len, &json_limits_request, &body, NULL);
    assert(r == 0 && cJSON_IsObject(body));
    assert(has_prompt(request->kind, body));
    bool generates = request->kind == REQUEST_COMPLETION || request->kind == REQUEST_INFILL;
    for (size_t i = 0; i < (generates ? 4 : 2); i++)
        assert(!cJSON_GetObjectItemCaseSensitive(body, ours[i]));
    cJSON_Delete(body);
    assert(strlen(request->asked) <= MSG_NAME_MAX);
    assert(request->choices >= 1 && request->choices <= REQUEST_CHOICES_MAX);
    bool fills = request->kind == REQUEST_INFILL;
    assert(request->lane == LANE_AUTOCOMPLETE ? fills || request->kind == REQUEST_COMPLETION
                                              : !fills);
    assert(!request->settled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request;
    struct err err = {.text = ""};
    const char *param = "unset";
    if (size == 0)
        return 0;
    const struct dialect *dialect = dialects[data[0] % 5];
    struct dialect_input input = {.body = (const char *)data + 1, .len = size - 1};
    request_init(&request);
    int r = dialect->parse(&input, &request, &param, &err);
    assert(!param || strcmp(param, "unset") != 0);
    if (r == 0) {
        check_accepted(&request);
    } else {
        assert(r == -EINVAL && err.text[0] != '\0' && !strchr(err.text, '\n'));
        assert(request.body.len == 0);
    }
    request_fini(&request);
    return 0;
}
