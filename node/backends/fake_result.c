#include "node/backends/fake_result.h"

#include "common/json/json.h"
#include "common/json/json_writer.h"

#include <errno.h>
#include <string.h>

enum { DIMENSIONS = 4 };

static const char first_words[] = "[fake engine]";
/* One, and three times zero: the same as floats in base64. */
static const char vector_base64[] = "AACAPwAAAAAAAAAAAAAAAA==";

static void write_usage(struct json_writer *writer, size_t len)
{
    json_writer_object(writer, "usage");
    json_writer_u64(writer, "prompt_tokens", len / FAKE_BYTES_PER_TOKEN);
    json_writer_u64(writer, "total_tokens", len / FAKE_BYTES_PER_TOKEN);
    json_writer_object_end(writer);
}

static void write_vector(struct json_writer *writer, uint64_t index, bool as_base64)
{
    json_writer_object(writer, NULL);
    json_writer_str(writer, "object", "embedding");
    json_writer_u64(writer, "index", index);
    if (as_base64) {
        json_writer_str(writer, "embedding", vector_base64);
    } else {
        json_writer_array(writer, "embedding");
        for (int i = 0; i < DIMENSIONS; i++)
            json_writer_u64(writer, NULL, i == 0);
        json_writer_array_end(writer);
    }
    json_writer_object_end(writer);
}

/* A text or a list of tokens is one input, a list of either several. */
static uint64_t count_inputs(const cJSON *input)
{
    const cJSON *first = cJSON_IsArray(input) ? input->child : NULL;
    uint64_t count = 0;

    if (cJSON_IsString(input) || cJSON_IsNumber(first))
        return 1;
    for (; first; first = first->next)
        count++;
    return count;
}

static int write_embeddings(struct json_writer *writer, const cJSON *body, size_t len)
{
    uint64_t count = count_inputs(cJSON_GetObjectItemCaseSensitive(body, "input"));
    bool as_base64 = strcmp(json_str(body, "encoding_format", "float"), "base64") == 0;

    json_writer_str(writer, "object", "list");
    json_writer_str(writer, "model", first_words);
    write_usage(writer, len);
    json_writer_array(writer, "data");
    for (uint64_t i = 0; i < count; i++)
        write_vector(writer, i, as_base64);
    json_writer_array_end(writer);
    return count > 0 ? 0 : -EINVAL;
}

static int write_rerank(struct json_writer *writer, const cJSON *body, size_t len)
{
    const cJSON *documents = json_array(body, "documents");
    uint64_t count = documents ? (uint64_t)cJSON_GetArraySize(documents) : 0;
    double top = json_num(body, "top_n", (double)count);

    json_writer_str(writer, "object", "list");
    json_writer_str(writer, "model", first_words);
    write_usage(writer, len);
    json_writer_array(writer, "results");
    for (uint64_t i = 0; i < count && (double)i < top; i++) {
        json_writer_object(writer, NULL);
        json_writer_u64(writer, "index", i);
        json_writer_u64(writer, "relevance_score", 0);
        json_writer_object_end(writer);
    }
    json_writer_array_end(writer);
    return count > 0 ? 0 : -EINVAL;
}

static int write_tokens(struct json_writer *writer, const cJSON *body, size_t len)
{
    const char *content = json_str(body, "content", "");

    (void)len;
    json_writer_array(writer, "tokens");
    for (uint64_t i = 0; i < strlen(content) / FAKE_BYTES_PER_TOKEN; i++)
        json_writer_u64(writer, NULL, i);
    json_writer_array_end(writer);
    return 0;
}

static int write_content(struct json_writer *writer, const cJSON *body, size_t len)
{
    (void)len;
    json_writer_str(writer, "content", first_words);
    return json_array(body, "tokens") ? 0 : -EINVAL;
}

static int write_prompt(struct json_writer *writer, const cJSON *body, size_t len)
{
    (void)len;
    json_writer_str(writer, "prompt", first_words);
    return json_array(body, "messages") ? 0 : -EINVAL;
}

static int write_count(struct json_writer *writer, const cJSON *body, size_t len)
{
    json_writer_u64(writer, "input_tokens", len / FAKE_BYTES_PER_TOKEN);
    return json_array(body, "messages") ? 0 : -EINVAL;
}

static int write_transcription(struct json_writer *writer, const cJSON *body, size_t len)
{
    (void)len;
    json_writer_str(writer, "text", first_words);
    return json_obj(body, "file") ? 0 : -EINVAL;
}

typedef int (*write_fn)(struct json_writer *writer, const cJSON *body, size_t len);

static const write_fn writers[REQUEST_KIND_COUNT] = {
        [REQUEST_EMBEDDINGS] = write_embeddings,
        [REQUEST_RERANK] = write_rerank,
        [REQUEST_TOKENIZE] = write_tokens,
        [REQUEST_DETOKENIZE] = write_content,
        [REQUEST_TEMPLATE] = write_prompt,
        [REQUEST_COUNT] = write_count,
        [REQUEST_TRANSCRIPTION] = write_transcription,
};

bool fake_result_is(enum request_kind kind)
{
    return kind < REQUEST_KIND_COUNT && writers[kind];
}

static int write_object(write_fn write, const cJSON *body, size_t len, struct buf *out)
{
    struct json_writer writer;
    int r, written;

    json_writer_init(&writer, out);
    json_writer_object(&writer, NULL);
    r = write(&writer, body, len);
    json_writer_object_end(&writer);
    written = json_writer_result(&writer);
    return r < 0 ? r : written;
}

int fake_result_write(enum request_kind kind, const char *body, size_t len, struct buf *out)
{
    cJSON *json;
    int r = json_parse(body, len, &json_limits_request, &json, NULL);

    if (r < 0)
        return r == -ENOMEM ? r : -EINVAL;
    r = cJSON_IsObject(json) ? write_object(writers[kind], json, len, out) : -EINVAL;
    cJSON_Delete(json);
    return r;
}
