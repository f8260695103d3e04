/* The body of POST /v1/completions or, where the first byte is even, of /v1/fim/completions. What
 * is accepted is one prompt for an engine, in the form of its kind. */
#include "common/json/json.h"
#include "coordinator/dialects/openai/openai.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_infill(const cJSON *body, const struct request *request)
{
    assert(request->lane == LANE_AUTOCOMPLETE && request->needs & CAPABILITY_FIM);
    assert(json_str(body, "input_prefix", NULL) && json_str(body, "input_suffix", NULL));
    assert(strcmp(json_str(body, "prompt", "x"), "") == 0);
    assert(!cJSON_GetObjectItemCaseSensitive(body, "suffix"));
    assert(!json_str(body, "stop", NULL));
}

static void check_completion(const cJSON *body)
{
    const cJSON *prompt = cJSON_GetObjectItemCaseSensitive(body, "prompt");
    assert(cJSON_IsString(prompt) || cJSON_IsNumber(prompt->child));
    assert(!json_bool(body, "echo", false));
    assert(!cJSON_GetObjectItemCaseSensitive(body, "best_of") ||
            cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(body, "best_of")));
}

static void check_accepted(const struct request *request)
{
    cJSON *body;
    int r = json_parse(
            buf_at(&request->body), request->body.len, &json_limits_request, &body, NULL);
    assert(r == 0);
    if (request->kind == REQUEST_INFILL) {
        check_infill(body, request);
    } else {
        assert(request->kind == REQUEST_COMPLETION);
        check_completion(body);
    }
    cJSON_Delete(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request;
    struct err err = {.text = ""};
    const char *param = "unset";
    if (size == 0)
        return 0;
    const struct dialect *dialect = *data % 2 ? &dialect_openai_completions : &dialect_openai_fim;
    struct dialect_input input = {
            .body = (const char *)data + 1, .len = size - 1, .content_type = "", .owner = "local"};
    request_init(&request);
    int r = dialect->parse(&input, &request, &param, &err);
    assert(!param || strcmp(param, "unset") != 0);
    if (r == 0) {
        check_accepted(&request);
    } else {
        assert(r == -EINVAL && request.body.len == 0);
        assert(err.text[0] != '\0' && !strchr(err.text, '\n'));
    }
    request_fini(&request);
    return 0;
}
