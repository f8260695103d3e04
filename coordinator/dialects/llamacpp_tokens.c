/* llama.cpp's /tokenize, /detokenize and /apply-template: what a model makes of a text, of token
 * ids, of a chat. The engine's own answer is the answer. */
#include "common/json.h"
#include "coordinator/dialects/conversation.h"
#include "coordinator/dialects/fields.h"
#include "coordinator/dialects/llamacpp.h"
#include "coordinator/dialects/openai_result.h"
#include "coordinator/dialects/session_id.h"

#include <errno.h>

/* --- requests --- */

typedef int (*read_fn)(
        const struct dialect_input *input, const struct fields *fields, struct request *request);

static int parse_with(read_fn read, const struct dialect_input *input, struct request *request,
        const char **ret_param, struct err *err)
{
    cJSON *body;
    *ret_param = NULL;
    int r = fields_parse_body(input, &body, err);
    if (r)
        return r;
    struct fields fields = {.object = body, .ret_param = ret_param, .err = err};
    session_id_read(input, body, request);
    r = fields_model(&fields, request);
    if (!r)
        r = read(input, &fields, request);
    cJSON_Delete(body);
    return r;
}

/* The body without the name, and with `value`, where it is not NULL, for `key`. */
static int write_body(const struct dialect_input *input, const struct fields *fields,
        struct request *request, const char *key, const char *value)
{
    const struct json_member set[] = {{"model", NULL}, {"stream", NULL}, {key, value}};
    size_t count = sizeof(set) / sizeof(set[0]) - (value ? 0 : 1);
    if (json_edit(&request->body, input->body, input->len, set, count))
        return err_set(fields->err, -ENOMEM, "no memory for the request");
    return 0;
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
    if (!is_content(fields_given(fields, "content")))
        return fields_refuse(fields, "content",
                "\"content\" must be a string, or an array of strings and token ids");
    return write_body(input, fields, request, NULL, NULL);
}

static int read_detokenize(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    const cJSON *tokens, *token;
    uint64_t id;
    request->kind = REQUEST_DETOKENIZE;
    int r = fields_array(fields, "tokens", &tokens);
    if (r)
        return r;
    cJSON_ArrayForEach(token, tokens)
    {
        if (!json_whole(token, &id) || id > INT32_MAX)
            return fields_refuse(
                    fields, "tokens", "each of \"tokens\" must be a whole number, a token's id");
    }
    return write_body(input, fields, request, NULL, NULL);
}

static int check_messages(const struct fields *fields, const cJSON *messages)
{
    const cJSON *message;
    bool sound = messages && messages->child;
    cJSON_ArrayForEach(message, messages) sound = sound && json_str(message, "role", NULL);
    if (sound)
        return 0;
    return fields_refuse(fields, "messages",
            "\"messages\" must be an array of at least one message, each with a \"role\"");
}

/* Shows what a chat would become here. */
static int read_template(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    const cJSON *found;
    bool changed;
    request->kind = REQUEST_TEMPLATE;
    int r = fields_array(fields, "messages", &found);
    if (!r)
        r = check_messages(fields, found);
    if (r)
        return r;
    cJSON *messages = cJSON_Duplicate(found, true);
    char *text = NULL;
    if (messages && conversation_normalise(messages, &changed) == 0)
        text = cJSON_PrintUnformatted(messages);
    r = text ? write_body(input, fields, request, "messages", text)
             : err_set(fields->err, -ENOMEM, "no memory for the conversation");
    cJSON_free(text);
    cJSON_Delete(messages);
    return r;
}

static int parse_tokenize(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return parse_with(read_tokenize, input, ret_request, ret_param, err);
}

static int parse_detokenize(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return parse_with(read_detokenize, input, ret_request, ret_param, err);
}

static int parse_template(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return parse_with(read_template, input, ret_request, ret_param, err);
}

/* --- answers --- */

static int whole(struct answer *answer, struct buf *out)
{
    cJSON *result;
    int r = openai_result_read(answer, &result);
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
        .answer_create = openai_result_create,
        .answer_destroy = openai_result_destroy,
        .gather = openai_result_gather,
        .whole = whole,
};

const struct dialect dialect_llamacpp_detokenize = {
        .name = "llama.cpp detokenize",
        .family = &family_llamacpp,
        .whole_type = "application/json",
        .parse = parse_detokenize,
        .answer_create = openai_result_create,
        .answer_destroy = openai_result_destroy,
        .gather = openai_result_gather,
        .whole = whole,
};

const struct dialect dialect_llamacpp_template = {
        .name = "llama.cpp template",
        .family = &family_llamacpp,
        .whole_type = "application/json",
        .parse = parse_template,
        .answer_create = openai_result_create,
        .answer_destroy = openai_result_destroy,
        .gather = openai_result_gather,
        .whole = whole,
};
