/* llama.cpp's /tokenize, /detokenize and /apply-template: what a model makes of a text, of token
 * ids, of a chat. The engine's own answer is the answer. */
#include "common/json/json.h"
#include "coordinator/dialects/engine_result.h"
#include "coordinator/dialects/fields.h"
#include "coordinator/dialects/llamacpp/llamacpp.h"
#include "coordinator/dialects/openai/openai_messages.h"
#include "coordinator/dialects/openai/openai_tools.h"
#include "coordinator/dialects/session_id.h"

#include <errno.h>

/* --- requests --- */

static int read_common(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    session_id_read(input, fields->object, request);
    return fields_model(fields, request);
}

/* The body without the name, and without `key` where it is null: engines do not know that as none.
 */
static int write_body(const struct dialect_input *input, const struct fields *fields,
        struct request *request, const char *key)
{
    const struct json_member set[] = {{"model", NULL}, {"stream", NULL}, {key, NULL}};
    size_t count = sizeof(set) / sizeof(set[0]) - (fields_given(fields, key) ? 1 : 0);
    return fields_written(fields, json_edit(&request->body, input->body, input->len, set, count));
}

static bool is_content(const cJSON *content)
{
    const cJSON *item;
    if (!cJSON_IsArray(content))
        return !content || cJSON_IsString(content);
    cJSON_ArrayForEach(item, content)
    {
        if (!cJSON_IsString(item) && !cJSON_IsNumber(item))
            return false;
    }
    return true;
}

static int read_tokenize(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    request->kind = REQUEST_TOKENIZE;
    int r = read_common(input, fields, request);
    if (r)
        return r;
    if (!is_content(fields_given(fields, "content")))
        return fields_refuse(fields, "content",
                "\"content\" must be a string, or an array of strings and token ids");
    return write_body(input, fields, request, "content");
}

static int read_detokenize(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    const cJSON *tokens, *token;
    uint64_t id;
    request->kind = REQUEST_DETOKENIZE;
    int r = read_common(input, fields, request);
    if (!r)
        r = fields_array(fields, "tokens", &tokens);
    if (r)
        return r;
    cJSON_ArrayForEach(token, tokens)
    {
        if (!json_whole(token, &id) || id > INT32_MAX)
            return fields_refuse(
                    fields, "tokens", "each of \"tokens\" must be a whole number, a token's id");
    }
    return write_body(input, fields, request, "tokens");
}

static int parse_tokenize(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return fields_read(read_tokenize, input, ret_request, ret_param, err);
}

static int parse_detokenize(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return fields_read(read_detokenize, input, ret_request, ret_param, err);
}

/* What a chat becomes here is shown, and so it is read like one. */
static int read_template(struct openai_body *body)
{
    bool legacy;
    int r = openai_read_model(body);
    if (!r)
        r = openai_messages_read(body);
    if (!r)
        r = openai_tools_read(body, &legacy);
    if (r)
        return r;
    openai_body_drop(body, "model");
    openai_body_drop(body, "stream");
    return openai_body_commit(body);
}

static int parse_template(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    ret_request->kind = REQUEST_TEMPLATE;
    return openai_body_read(read_template, input, ret_request, ret_param, err);
}

/* --- answers --- */

static int whole(struct answer *answer, struct buf *out)
{
    cJSON *result;
    int r = engine_result_read(answer, &result);
    if (r)
        return r;
    cJSON_Delete(result);
    return buf_append(out, buf_at(&answer->result), answer->result.len);
}

const struct dialect dialect_llamacpp_tokenize = {
        .name = "llama.cpp tokenize",
        .family = &family_llamacpp,
        .whole_type = "application/json",
        .parse = parse_tokenize,
        .answer_create = engine_result_create,
        .answer_destroy = engine_result_destroy,
        .gather = engine_result_gather,
        .whole = whole,
};

const struct dialect dialect_llamacpp_detokenize = {
        .name = "llama.cpp detokenize",
        .family = &family_llamacpp,
        .whole_type = "application/json",
        .parse = parse_detokenize,
        .answer_create = engine_result_create,
        .answer_destroy = engine_result_destroy,
        .gather = engine_result_gather,
        .whole = whole,
};

const struct dialect dialect_llamacpp_template = {
        .name = "llama.cpp template",
        .family = &family_llamacpp,
        .whole_type = "application/json",
        .parse = parse_template,
        .answer_create = engine_result_create,
        .answer_destroy = engine_result_destroy,
        .gather = engine_result_gather,
        .whole = whole,
};
