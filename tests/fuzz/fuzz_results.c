/* What an engine answers as one JSON value, any bytes in pieces, to the endpoints of other APIs
 * than OpenAI's that want one; the first byte chooses. What comes out is JSON of the shape that the
 * API has, or the answer is refused as not of this protocol. */
#include "common/json/json.h"
#include "coordinator/dialects/anthropic/anthropic.h"
#include "coordinator/dialects/llamacpp/llamacpp.h"
#include "coordinator/dialects/ollama/ollama.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_embed(const cJSON *answer)
{
    const cJSON *vector, *vectors = json_array(answer, "embeddings");
    assert(json_str(answer, "model", NULL) && vectors && vectors->child);
    assert(json_num(answer, "total_duration", -1) >= 0);
    cJSON_ArrayForEach(vector, vectors) assert(cJSON_IsArray(vector) && vector->child);
}

static void check_embeddings(const cJSON *answer)
{
    const cJSON *vector = json_array(answer, "embedding");
    assert(vector && vector->child);
}

static void check_count(const cJSON *answer)
{
    uint64_t tokens;
    assert(json_whole(cJSON_GetObjectItemCaseSensitive(answer, "input_tokens"), &tokens));
}

static const struct kind {
    const struct dialect *dialect;
    const char *body;                   /* of a request */
    void (*check)(const cJSON *answer); /* NULL: the answer is the engine's, byte for byte */
} kinds[] = {
        {&dialect_ollama_embed, "{\"input\":[\"a\",\"b\"]}", check_embed},
        {&dialect_ollama_embed, "{\"input\":\"a\",\"dimensions\":2}", check_embed},
        {&dialect_ollama_embeddings, "{\"prompt\":\"a\"}", check_embeddings},
        {&dialect_anthropic_count, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
                check_count},
        {&dialect_llamacpp_tokenize, "{\"content\":\"a\"}", NULL},
        {&dialect_llamacpp_detokenize, "{\"tokens\":[1]}", NULL},
        {&dialect_llamacpp_template, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}",
                NULL},
};

static void parse(const struct kind *kind, struct request *request)
{
    struct dialect_input input = {.body = kind->body, .len = strlen(kind->body)};
    const char *param;
    request_init(request);
    int r = kind->dialect->parse(&input, request, &param, NULL);
    assert(r == 0 && !request->settled);
}

/* The usage stands in front, as many bytes as it has; what is left is the engine's. */
static int gather(
        const struct kind *kind, struct answer *answer, struct reader *reader, size_t step)
{
    struct msg_delta usage = {.kind = DELTA_USAGE};
    uint32_t bits;
    int r = 0;
    if (reader_u32(reader, &bits) == 0) {
        usage.usage.prompt_tokens = bits;
        usage.usage.prefill_ms = (float)bits;
        r = kind->dialect->gather(answer, &usage);
    }
    while (!r && reader->left > 0) {
        struct msg_delta delta = {.kind = DELTA_RESULT,
                .data = (const char *)reader->at,
                .len = step < reader->left ? step : reader->left};
        r = kind->dialect->gather(answer, &delta);
        int skipped = reader_skip(reader, delta.len);
        assert(skipped == 0);
    }
    return r;
}

static void check(const struct kind *kind, const struct buf *out, const void *result, size_t len)
{
    static const struct json_limits limits = {
            .max_bytes = DIALECT_ANSWER_MAX, .max_depth = 16, .max_values = 10 * 1000 * 1000};
    cJSON *json;
    int r = json_parse(buf_at(out), out->len, &limits, &json, NULL);
    assert(r == 0 && cJSON_IsObject(json));
    if (kind->check)
        kind->check(json);
    else
        assert(out->len == len && memcmp(buf_at(out), result, len) == 0);
    cJSON_Delete(json);
}

static void try(
        const struct kind *kind, const struct request *request, struct reader *reader, size_t step)
{
    static const struct answer_facts facts = {.request_id = "req_1", .model = "m", .created_s = 1};
    struct answer *answer = kind->dialect->answer_create(request, &facts);
    struct buf out;
    assert(answer);
    buf_init(&out, DIALECT_ANSWER_MAX);
    const uint8_t *at = reader->at + (reader->left < sizeof(uint32_t) ? 0 : sizeof(uint32_t));
    size_t len = reader->left - (size_t)(at - reader->at);
    int r = gather(kind, answer, reader, step);
    if (!r)
        r = kind->dialect->whole(answer, &out);
    assert(r == 0 || r == -EPROTO || r == -ENOBUFS);
    if (r == 0)
        check(kind, &out, at, len);
    buf_fini(&out);
    kind->dialect->answer_destroy(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request request;
    struct reader reader;
    if (size < 2)
        return 0;
    const struct kind *kind = &kinds[data[0] % (sizeof(kinds) / sizeof(kinds[0]))];
    reader_init(&reader, data + 2, size - 2);
    parse(kind, &request);
    try(kind, &request, &reader, 1 + data[1]);
    request_fini(&request);
    return 0;
}
