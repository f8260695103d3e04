/* The body of one of Ollama's requests, which the first byte chooses. What is accepted has sound
 * facts and a neutral body of its kind, or needs no engine; what is refused says why in one line.
 */
#include "common/json/json.h"
#include "coordinator/dialects/ollama/ollama.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialect *const dialects[] = {&dialect_ollama_chat, &dialect_ollama_generate,
        &dialect_ollama_embed, &dialect_ollama_embeddings};

static bool has_prompt(enum request_kind kind, const cJSON *body)
{
    switch (kind) {
    case REQUEST_CHAT:
        return cJSON_GetArraySize(json_array(body, "messages")) > 0;
    case REQUEST_COMPLETION:
        return json_str(body, "prompt", NULL);
    case REQUEST_INFILL:
        return json_str(body, "input_prefix", NULL) && *json_str(body, "input_suffix", "");
    case REQUEST_EMBEDDINGS:
        return strcmp(json_str(body, "encoding_format", ""), "base64") == 0 &&
               (json_array(body, "input") || *json_str(body, "input", ""));
    default:
        return false;
    }
}

static void check_neutral(const struct request *request)
{
    /* A schema may stand a level deeper than it came. */
    const struct json_limits limits = {
            .max_bytes = SIZE_MAX, .max_depth = 70, .max_values = SIZE_MAX};
    cJSON *body;
    int r = json_parse(buf_at(&request->body), request->body.len, &limits, &body, NULL);
    assert(r == 0 && cJSON_IsObject(body));
    assert(has_prompt(request->kind, body));
    assert(!cJSON_HasObjectItem(body, "model") && !cJSON_HasObjectItem(body, "stream"));
    cJSON_Delete(body);
}

static void check_accepted(const struct request *request)
{
    assert(strlen(request->asked) <= MSG_NAME_MAX);
    assert(request->choices == 1);
    assert(!(request->needs & ~(uint32_t)CAPABILITY_ALL));
    bool fills = request->kind == REQUEST_INFILL;
    assert(request->lane == LANE_AUTOCOMPLETE ? fills || request->kind == REQUEST_COMPLETION
                                              : !fills);
    assert(!strchr(request->skipped, '\n'));
    if (request->settled)
        assert(request->body.len == 0);
    else
        check_neutral(request);
}

/* What needs no engine is answered at once, whole or as a stream of one line. */
static void check_settled(const struct dialect *dialect, const struct request *request)
{
    struct answer_facts facts = {.request_id = "req_1", .model = "m", .created_s = 1};
    struct answer *answer = dialect->answer_create(request, &facts);
    struct buf out;
    cJSON *json;
    buf_init(&out, DIALECT_ANSWER_MAX);
    assert(answer);
    bool streams = request->stream && dialect->stream_end;
    int r = streams ? dialect->stream_end(answer, &out) : dialect->whole(answer, &out);
    assert(r == 0);
    r = json_parse(buf_at(&out), out.len, &json_limits_event, &json, NULL);
    assert(r == 0);
    cJSON_Delete(json);
    assert((buf_at(&out)[out.len - 1] == '\n') == streams);
    buf_fini(&out);
    dialect->answer_destroy(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request;
    struct err err = {.text = ""};
    const char *param = "unset";
    if (size == 0)
        return 0;
    const struct dialect *dialect = dialects[data[0] % 4];
    struct dialect_input input = {.body = (const char *)data + 1, .len = size - 1};
    request_init(&request);
    int r = dialect->parse(&input, &request, &param, &err);
    assert(!param || strcmp(param, "unset") != 0);
    if (r == 0) {
        check_accepted(&request);
        if (request.settled)
            check_settled(dialect, &request);
    } else {
        assert(r == -EINVAL && err.text[0] != '\0' && !strchr(err.text, '\n'));
        assert(request.body.len == 0);
    }
    request_fini(&request);
    return 0;
}
