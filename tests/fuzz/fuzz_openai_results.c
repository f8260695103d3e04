/* Embeddings, rerank and transcriptions: the first byte chooses, then comes a request, a NUL, and
 * what an engine answers. What is accepted gives JSON of the shape that was asked for, or the
 * answer is refused as not of this protocol. */
#include "common/json/json.h"
#include "coordinator/dialects/openai/openai.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialect *const dialects[] = {
        &dialect_openai_embeddings, &dialect_openai_rerank, &dialect_openai_transcriptions};

static void check_vectors(const cJSON *json, const struct request *request)
{
    const cJSON *entry, *data = json_array(json, "data");
    bool base64 = json_bool(request->kept, "base64", false);
    assert(cJSON_GetArraySize(data) == (int)json_num(request->kept, "count", -1));
    cJSON_ArrayForEach(entry, data)
    {
        const cJSON *vector = cJSON_GetObjectItemCaseSensitive(entry, "embedding");
        assert(base64 ? cJSON_IsString(vector) : cJSON_IsArray(vector));
    }
}

static void check_scores(const cJSON *json, const struct request *request)
{
    const cJSON *entry, *results = json_array(json, "results");
    double last = 0, top = json_num(request->kept, "top_n", 1e9);
    assert(results && cJSON_GetArraySize(results) <= top);
    cJSON_ArrayForEach(entry, results)
    {
        double score = json_num(entry, "relevance_score", 0);
        assert(entry == results->child || score <= last);
        last = score;
    }
}

static void check_answer(const struct request *request, const struct buf *out)
{
    static const struct json_limits limits = {
            .max_bytes = DIALECT_ANSWER_MAX, .max_depth = 16, .max_values = 10 * 1000 * 1000};
    cJSON *json;
    if (request->whole_type)
        return;
    int r = json_parse(buf_at(out), out->len, &limits, &json, NULL);
    assert(r == 0);
    if (request->kind == REQUEST_EMBEDDINGS)
        check_vectors(json, request);
    else if (request->kind == REQUEST_RERANK)
        check_scores(json, request);
    else
        assert(json_str(json, "text", NULL));
    cJSON_Delete(json);
}

static void try_answer(const struct dialect *dialect, const struct request *request,
        const char *result, size_t len)
{
    static const struct answer_facts facts = {.request_id = "req_1", .model = "m", .created_s = 1};
    struct answer *answer = dialect->answer_create(request, &facts);
    struct msg_delta delta = {.kind = DELTA_RESULT, .data = result, .len = len};
    struct buf out;
    buf_init(&out, DIALECT_ANSWER_MAX);
    int r = dialect->gather(answer, &delta);
    if (!r)
        r = dialect->whole(answer, &out);
    assert(r == 0 || r == -EPROTO || r == -ENOBUFS);
    if (r == 0)
        check_answer(request, &out);
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
    const struct dialect *dialect = dialects[data[0] % (sizeof(dialects) / sizeof(dialects[0]))];
    const char *body = (const char *)data + 1, *end = memchr(body, '\0', size - 1);
    size_t len = end ? (size_t)(end - body) : size - 1;
    struct dialect_input input = {.body = body,
            .len = len,
            .content_type = "multipart/form-data; boundary=x",
            .owner = "local"};
    request_init(&request);
    int r = dialect->parse(&input, &request, &param, &err);
    assert(!param || strcmp(param, "unset") != 0);
    assert(r == 0 || (r == -EINVAL && request.body.len == 0 && err.text[0] != '\0'));
    if (r == 0 && end)
        try_answer(dialect, &request, end + 1, size - 2 - len);
    request_fini(&request);
    return 0;
}
