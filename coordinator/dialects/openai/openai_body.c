#include "coordinator/dialects/openai/openai_body.h"

#include "coordinator/dialects/samplers.h"
#include "coordinator/dialects/session_id.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    STOP_MAX = 64, /* words that end an answer */
};

bool openai_is_token_ids(const cJSON *array)
{
    const cJSON *item;
    uint64_t id;
    cJSON_ArrayForEach(item, array)
    {
        if (!json_whole(item, &id) || id > INT32_MAX)
            return false;
    }
    return cJSON_IsArray(array) && array->child;
}

/* --- the body as a whole --- */

static void close_body(struct openai_body *body)
{
    for (size_t i = 0; i < body->edit_count; i++)
        free((char *)body->edits[i].value);
    cJSON_Delete(body->json);
}

int openai_body_read(int (*read)(struct openai_body *body), const struct dialect_input *input,
        struct request *ret_request, const char **ret_param, struct err *err)
{
    struct openai_body body = {
            .input = input, .request = ret_request, .fields = {.ret_param = ret_param, .err = err}};
    *ret_param = NULL;
    int r = fields_parse_body(input, &body.json, err);
    body.fields.object = body.json;
    if (!r)
        r = read(&body);
    close_body(&body);
    return r;
}

static struct json_member *find_edit(struct openai_body *body, const char *key)
{
    for (size_t i = 0; i < body->edit_count; i++)
        if (strcmp(body->edits[i].key, key) == 0)
            return &body->edits[i];
    assert(body->edit_count < OPENAI_EDITS_MAX);
    struct json_member *edit = &body->edits[body->edit_count++];
    *edit = (struct json_member){.key = key};
    return edit;
}

/* Takes `value`, which comes from malloc(); NULL: the member goes. */
static void edit_member(struct openai_body *body, const char *key, char *value)
{
    struct json_member *edit = find_edit(body, key);
    free((char *)edit->value);
    edit->value = value;
}

void openai_body_set(struct openai_body *body, const char *key, const cJSON *value)
{
    char *text = cJSON_PrintUnformatted(value);
    if (!text)
        body->no_memory = true;
    edit_member(body, key, text);
}

void openai_body_set_str(struct openai_body *body, const char *key, const char *value)
{
    cJSON *text = cJSON_CreateString(value);
    openai_body_set(body, key, text);
    cJSON_Delete(text);
}

void openai_body_set_num(struct openai_body *body, const char *key, double value)
{
    cJSON *number = cJSON_CreateNumber(value);
    openai_body_set(body, key, number);
    cJSON_Delete(number);
}

void openai_body_drop(struct openai_body *body, const char *key)
{
    edit_member(body, key, NULL);
}

int openai_keep(struct openai_body *body, const char *what)
{
    struct request *request = body->request;
    if (!request->kept)
        request->kept = cJSON_CreateObject();
    if (cJSON_AddTrueToObject(request->kept, what))
        return 0;
    return err_set(body->fields.err, -ENOMEM, "no memory for the request");
}

int openai_body_commit(struct openai_body *body)
{
    const struct dialect_input *input = body->input;
    struct buf *out = &body->request->body;
    int r = body->no_memory ? -ENOMEM : 0;
    if (!r && body->edit_count > 0)
        r = json_edit(out, input->body, input->len, body->edits, body->edit_count);
    else if (!r)
        r = buf_append(out, input->body, input->len);
    return fields_written(&body->fields, r);
}

/* --- what endpoints share --- */

int openai_read_model(struct openai_body *body)
{
    int r = fields_model(&body->fields, body->request);
    session_id_read(body->input, body->json, body->request);
    return r;
}

int openai_read_stream(struct openai_body *body)
{
    const cJSON *options = fields_member(body->json, "stream_options");
    const cJSON *usage = fields_member(options, "include_usage");
    int r = fields_check_bool(&body->fields, "stream");
    if (!r)
        r = fields_check_object(&body->fields, "stream_options");
    if (r)
        return r;
    if (usage && !cJSON_IsBool(usage))
        return fields_refuse(&body->fields, "stream_options.include_usage",
                "\"stream_options.include_usage\" must be true or false, not %s",
                fields_type_name(usage));
    body->request->stream = json_bool(body->json, "stream", false);
    body->request->include_usage = cJSON_IsTrue(usage);
    return 0;
}

int openai_read_choices(struct openai_body *body)
{
    int r = fields_check_whole(&body->fields, "n", 1, REQUEST_CHOICES_MAX);
    if (!r)
        body->request->choices = (uint32_t)json_num(body->json, "n", 1);
    return r;
}

static int check_stop(struct openai_body *body)
{
    const cJSON *stop = fields_member(body->json, "stop"), *word;
    int count = cJSON_GetArraySize(stop);
    if (!stop || cJSON_IsString(stop))
        return 0;
    if (!cJSON_IsArray(stop))
        return fields_refuse(&body->fields, "stop",
                "\"stop\" must be a string or an array of them, not %s", fields_type_name(stop));
    if (count > STOP_MAX)
        return fields_refuse(&body->fields, "stop", "\"stop\" must have at most %d strings, not %d",
                STOP_MAX, count);
    cJSON_ArrayForEach(word, stop)
    {
        if (!cJSON_IsString(word))
            return fields_refuse(&body->fields, "stop", "\"stop\" must hold strings only, not %s",
                    fields_type_name(word));
    }
    return 0;
}

const cJSON *openai_length(const struct openai_body *body)
{
    static const char *const names[] = {"n_predict", "max_completion_tokens", "max_tokens"};
    const cJSON *length = NULL;
    for (size_t i = 0; !length && i < sizeof(names) / sizeof(names[0]); i++)
        length = fields_member(body->json, names[i]);
    return length;
}

/* Under the one name that every engine knows, and that a mode limits. -1 is what clients of local
 * servers send for none, and -2 is another none of llama.cpp's own. */
static int read_length(struct openai_body *body)
{
    const cJSON *length = openai_length(body);
    int r = fields_check_whole(&body->fields, "max_tokens", -1, INT32_MAX);
    if (!r)
        r = fields_check_whole(&body->fields, "max_completion_tokens", -1, INT32_MAX);
    if (!r)
        r = fields_check_whole(&body->fields, "n_predict", -2, INT32_MAX);
    if (r || !length || length == fields_member(body->json, "max_tokens"))
        return r;
    openai_body_set(body, "max_tokens", length);
    openai_body_drop(body, "max_completion_tokens");
    openai_body_drop(body, "n_predict");
    return 0;
}

int openai_read_sampling(struct openai_body *body)
{
    static const struct {
        const char *key;
        double min, max;
    } numbers[] = {{"temperature", 0, 2}, {"top_p", 0, 1}, {"frequency_penalty", -2, 2},
            {"presence_penalty", -2, 2}};
    int r = 0;
    for (size_t i = 0; !r && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        r = fields_check_number(&body->fields, numbers[i].key, numbers[i].min, numbers[i].max);
    if (!r)
        r = samplers_check(&body->fields);
    if (!r)
        r = fields_check_whole(
                &body->fields, "seed", -(double)JSON_WHOLE_MAX, (double)JSON_WHOLE_MAX);
    if (!r)
        r = fields_check_object(&body->fields, "logit_bias");
    if (!r)
        r = check_stop(body);
    return r ? r : read_length(body);
}
