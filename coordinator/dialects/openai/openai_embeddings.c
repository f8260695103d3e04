/* POST /v1/embeddings. Shapes: OpenAI API reference, "Embeddings". The engine is asked for base64,
 * which costs less to carry and to read than numbers; the client gets the form that it asked for,
 * whatever the engine gave. */
#include "coordinator/dialects/embedding.h"
#include "coordinator/dialects/engine_result.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/openai/openai_body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { INPUTS_MAX = 2048 }; /* as OpenAI has it */

/* Members of request->kept. */
#define KEPT_COUNT      "count"      /* of inputs */
#define KEPT_BASE64     "base64"     /* true: that is what the client wants */
#define KEPT_DIMENSIONS "dimensions" /* absent: all */

/* --- request --- */

static bool is_input(const cJSON *item)
{
    return openai_is_token_ids(item) || (cJSON_IsString(item) && *item->valuestring);
}

static int check_inputs(struct openai_body *body, const cJSON *inputs)
{
    const cJSON *item;
    size_t at = 0;
    int count = cJSON_GetArraySize(inputs);
    if (count == 0 || count > INPUTS_MAX)
        return fields_refuse(&body->fields, "input", "\"input\" must hold 1 to %d entries, not %d",
                INPUTS_MAX, count);
    cJSON_ArrayForEach(item, inputs)
    {
        if (!is_input(item))
            return fields_refuse(&body->fields, "input",
                    "\"input[%zu]\" must be a string that is not empty or an array of token ids, "
                    "not %s",
                    at, cJSON_IsString(item) ? "an empty one" : fields_type_name(item));
        at++;
    }
    return 0;
}

static int read_input(struct openai_body *body, int *ret_count)
{
    const cJSON *input = fields_member(body->json, "input");
    *ret_count = 1;
    if (is_input(input))
        return 0;
    if (!cJSON_IsArray(input))
        return fields_refuse(&body->fields, "input",
                "\"input\" must be a string that is not empty or an array, not %s",
                cJSON_IsString(input) ? "an empty one" : fields_type_name(input));
    *ret_count = cJSON_GetArraySize(input);
    return check_inputs(body, input);
}

static int read_format(struct openai_body *body, bool *ret_base64)
{
    int r = fields_check_str(&body->fields, "encoding_format");
    const char *format = json_str(body->json, "encoding_format", "float");
    *ret_base64 = strcmp(format, "base64") == 0;
    if (r || *ret_base64 || strcmp(format, "float") == 0)
        return r;
    return fields_refuse(&body->fields, "encoding_format",
            "\"encoding_format\" must be \"float\" or \"base64\", not \"%.40s\"", format);
}

static int keep_facts(struct openai_body *body, int count, bool base64)
{
    const cJSON *dimensions = fields_member(body->json, "dimensions");
    cJSON *kept = body->request->kept = cJSON_CreateObject();
    if (cJSON_AddNumberToObject(kept, KEPT_COUNT, count) &&
            cJSON_AddBoolToObject(kept, KEPT_BASE64, base64) &&
            (!dimensions ||
                    cJSON_AddNumberToObject(kept, KEPT_DIMENSIONS, dimensions->valuedouble)))
        return 0;
    return err_set(body->fields.err, -ENOMEM, "no memory for the request");
}

static int read_body(struct openai_body *body)
{
    int count = 0;
    bool base64 = false;
    int r = openai_read_model(body);
    if (!r)
        r = read_input(body, &count);
    if (!r)
        r = read_format(body, &base64);
    if (!r)
        r = fields_check_whole(&body->fields, "dimensions", 1, EMBEDDING_DIMENSIONS_MAX);
    if (!r)
        r = keep_facts(body, count, base64);
    if (r)
        return r;
    openai_body_drop(body, "dimensions");
    openai_body_set_str(body, "encoding_format", "base64");
    return openai_body_commit(body);
}

static int parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    ret_request->kind = REQUEST_EMBEDDINGS;
    ret_request->needs |= CAPABILITY_EMBEDDINGS;
    return openai_body_read(read_body, input, ret_request, ret_param, err);
}

/* --- answer --- */

struct wanted {
    size_t count;
    size_t dimensions; /* 0: all */
    bool base64;
};

/* Puts each entry at the place that its index says; `list` has room for `count`. */
static int sort_entries(const cJSON *data, const cJSON **list, size_t count)
{
    const cJSON *entry;
    size_t at = 0;
    cJSON_ArrayForEach(entry, data)
    {
        const cJSON *index =
                cJSON_IsObject(entry) ? cJSON_GetObjectItemCaseSensitive(entry, "index") : NULL;
        uint64_t place = at++;
        if (index && !json_whole(index, &place))
            return -EPROTO;
        if (place >= count || list[place])
            return -EPROTO;
        list[place] = entry;
    }
    return at == count ? 0 : -EPROTO;
}

/* A vector that is shorter than what was asked for is not what was asked for. */
static int append_vector(const struct wanted *wanted, const cJSON *entry,
        struct embedding *embedding, struct buf *out)
{
    const cJSON *value =
            cJSON_IsObject(entry) ? cJSON_GetObjectItemCaseSensitive(entry, "embedding") : NULL;
    int r = embedding_read(embedding, value);
    if (r)
        return r;
    if (wanted->dimensions > embedding->count)
        return -EPROTO;
    if (wanted->dimensions)
        embedding_shorten(embedding, wanted->dimensions);
    return wanted->base64 ? embedding_append_base64(embedding, out)
                          : embedding_append_numbers(embedding, out);
}

static int append_entries(const struct wanted *wanted, const cJSON *const *list, struct buf *out)
{
    struct embedding embedding = {0};
    int r = 0;
    for (size_t i = 0; !r && i < wanted->count; i++) {
        r = buf_appendf(
                out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i);
        if (!r)
            r = append_vector(wanted, list[i], &embedding, out);
        if (!r)
            r = buf_append_str(out, "}");
    }
    embedding_fini(&embedding);
    return r;
}

static int append_data(const struct answer *answer, const cJSON *result, struct buf *out)
{
    const cJSON *kept = answer->request->kept;
    struct wanted wanted = {.count = (size_t)json_num(kept, KEPT_COUNT, 0),
            .dimensions = (size_t)json_num(kept, KEPT_DIMENSIONS, 0),
            .base64 = json_bool(kept, KEPT_BASE64, false)};
    const cJSON **list = calloc(wanted.count, sizeof(*list));
    if (!list)
        return -ENOMEM;
    int r = sort_entries(json_array(result, "data"), list, wanted.count);
    if (!r)
        r = append_entries(&wanted, list, out);
    free(list);
    return r;
}

static int append_tail(const struct answer *answer, struct buf *out)
{
    const char *model = answer->facts.model;
    if (buf_append_str(out, "],\"model\":") || json_append_str(out, model, strlen(model)))
        return -ENOBUFS;
    return buf_appendf(out, ",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}",
            answer->usage.prompt_tokens, answer->usage.prompt_tokens);
}

static int whole(struct answer *answer, struct buf *out)
{
    cJSON *result;
    int r = engine_result_read(answer, &result);
    if (r)
        return r;
    r = buf_append_str(out, "{\"object\":\"list\",\"data\":[");
    if (!r)
        r = append_data(answer, result, out);
    cJSON_Delete(result);
    return r ? r : append_tail(answer, out);
}

const struct dialect dialect_openai_embeddings = {
        .name = "openai embeddings",
        .family = &family_openai,
        .whole_type = "application/json",
        .parse = parse,
        .answer_create = engine_result_create,
        .answer_destroy = engine_result_destroy,
        .gather = engine_result_gather,
        .whole = whole,
};
