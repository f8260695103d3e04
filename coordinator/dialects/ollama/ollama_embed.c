/* Ollama's two endpoints for embeddings: /api/embed (texts in, vectors of length 1 out) and the
 * older /api/embeddings (one text, one vector). The engine is asked for base64, which costs less to
 * carry and to read than numbers; one that answers with numbers all the same is understood. */
#include "common/json/json.h"
#include "coordinator/dialects/embedding.h"
#include "coordinator/dialects/engine_result.h"
#include "coordinator/dialects/fields.h"
#include "coordinator/dialects/ollama/ollama.h"
#include "coordinator/dialects/session_id.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { INPUTS_MAX = 4096 };

#define KEPT_DIMENSIONS "dimensions"

/* --- requests --- */

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for the request");
}

/* Takes `texts`, which may be NULL. */
static int write_body(struct request *request, cJSON *texts, struct err *err)
{
    cJSON *body = cJSON_CreateObject();
    int r = 0;
    if (!texts || !cJSON_AddItemToObject(body, "input", texts)) {
        cJSON_Delete(texts);
        r = -ENOMEM;
    }
    if (!r && !cJSON_AddStringToObject(body, "encoding_format", "base64"))
        r = -ENOMEM;
    if (!r)
        r = json_append(&request->body, body);
    cJSON_Delete(body);
    return r ? no_memory(err) : 0;
}

static int check_inputs(const struct fields *fields, const cJSON *input)
{
    const cJSON *item;
    int count = 0;
    cJSON_ArrayForEach(item, input)
    {
        if (!cJSON_IsString(item) || !*item->valuestring)
            return fields_refuse(
                    fields, "input", "each of \"input\" must be a string that is not empty");
        count++;
    }
    if (count > INPUTS_MAX)
        return fields_refuse(
                fields, "input", "\"input\" has %d texts; at most %d are taken", count, INPUTS_MAX);
    return 0;
}

static int read_dimensions(const struct fields *fields, struct request *request)
{
    double dimensions;
    bool given;
    int r = fields_number(
            fields, KEPT_DIMENSIONS, 0, EMBEDDING_DIMENSIONS_MAX, &dimensions, &given);
    if (r || !given || dimensions < 1)
        return r;
    request->kept = cJSON_CreateObject();
    if (cJSON_AddNumberToObject(request->kept, KEPT_DIMENSIONS, trunc(dimensions)))
        return 0;
    return no_memory(fields->err);
}

static int read_common(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    request->kind = REQUEST_EMBEDDINGS;
    request->needs |= CAPABILITY_EMBEDDINGS;
    session_id_read(input, fields->object, request);
    return fields_model(fields, request);
}

/* Nothing to embed is a request to load the model, which the mesh does by itself. */
static int settle(struct request *request)
{
    request->settled = true;
    return 0;
}

static int read_embed(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    const cJSON *texts = fields_given(fields, "input");
    int r = read_common(input, fields, request);
    if (!r)
        r = read_dimensions(fields, request);
    if (r)
        return r;
    if (texts && !cJSON_IsString(texts) && !cJSON_IsArray(texts))
        return fields_refuse(fields, "input", "\"input\" must be a string or an array of strings");
    if (!texts || (cJSON_IsString(texts) ? !*texts->valuestring : !texts->child))
        return settle(request);
    r = check_inputs(fields, texts);
    return r ? r : write_body(request, cJSON_Duplicate(texts, true), fields->err);
}

static int read_embeddings(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    const char *prompt;
    int r = read_common(input, fields, request);
    if (!r)
        r = fields_text(fields, "prompt", "", &prompt);
    if (r)
        return r;
    return *prompt ? write_body(request, cJSON_CreateString(prompt), fields->err) : settle(request);
}

static int parse_embed(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return fields_read(read_embed, input, ret_request, ret_param, err);
}

static int parse_embeddings(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return fields_read(read_embeddings, input, ret_request, ret_param, err);
}

/* --- answers --- */

static int append_vector(const struct answer *answer, const cJSON *entry,
        struct embedding *embedding, struct buf *out)
{
    size_t dimensions = (size_t)json_num(answer->request->kept, KEPT_DIMENSIONS, 0);
    int r = embedding_read(embedding, cJSON_GetObjectItemCaseSensitive(entry, "embedding"));
    if (!r && dimensions > 0)
        embedding_shorten(embedding, dimensions);
    return r ? r : embedding_append_numbers(embedding, out);
}

static int append_vectors(const struct answer *answer, const cJSON *data, struct buf *out)
{
    struct embedding embedding = {0};
    const cJSON *entry;
    int r = 0;
    cJSON_ArrayForEach(entry, data)
    {
        if (!r && entry != data->child)
            r = buf_append_str(out, ",");
        if (!r)
            r = append_vector(answer, entry, &embedding, out);
    }
    embedding_fini(&embedding);
    return r;
}

/* The engine's vectors, commas between them; none where no engine was asked. */
static int append_result(const struct answer *answer, bool single, struct buf *out)
{
    cJSON *result;
    if (answer->request->settled)
        return 0;
    int r = engine_result_read(answer, &result);
    if (r)
        return r;
    const cJSON *data = json_array(result, "data");
    int count = cJSON_GetArraySize(data);
    r = count == 0 || (single && count > 1) ? -EPROTO : append_vectors(answer, data, out);
    cJSON_Delete(result);
    return r;
}

static int append_head(const struct answer *answer, struct buf *out)
{
    const char *asked = answer->request->asked, *name = *asked ? asked : answer->facts.model;
    if (buf_append_str(out, "{\"model\":") || json_append_str(out, name, strlen(name)) ||
            buf_append_str(out, ",\"embeddings\":["))
        return -ENOBUFS;
    return 0;
}

static int append_tail(const struct answer *answer, struct buf *out)
{
    float ms = answer->usage.prefill_ms;
    return buf_appendf(out,
            "],\"total_duration\":%llu,\"load_duration\":0,\"prompt_eval_count\":%u}",
            ms > 0 ? (unsigned long long)llround((double)ms * 1e6) : 0,
            answer->usage.prompt_tokens);
}

static int whole_embed(struct answer *answer, struct buf *out)
{
    int r = append_head(answer, out);
    if (!r)
        r = append_result(answer, false, out);
    return r ? r : append_tail(answer, out);
}

static int whole_embeddings(struct answer *answer, struct buf *out)
{
    int r = buf_append_str(out, "{\"embedding\":");
    if (!r)
        r = answer->request->settled ? buf_append_str(out, "[]") : append_result(answer, true, out);
    return r ? r : buf_append_str(out, "}");
}

const struct dialect dialect_ollama_embed = {
        .name = "ollama embed",
        .family = &family_ollama,
        .whole_type = "application/json",
        .parse = parse_embed,
        .answer_create = engine_result_create,
        .answer_destroy = engine_result_destroy,
        .gather = engine_result_gather,
        .whole = whole_embed,
};

const struct dialect dialect_ollama_embeddings = {
        .name = "ollama embeddings",
        .family = &family_ollama,
        .whole_type = "application/json",
        .parse = parse_embeddings,
        .answer_create = engine_result_create,
        .answer_destroy = engine_result_destroy,
        .gather = engine_result_gather,
        .whole = whole_embeddings,
};
