#include "coordinator/dialects/openai_body.h"

#include "coordinator/dialects/session_id.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REFUSAL_MAX = 400, /* bytes of a sentence */
    STOP_MAX = 64,     /* words that end an answer */
};

int openai_refuse(struct openai_body *body, const char *param, const char *fmt, ...)
{
    char text[REFUSAL_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    *body->ret_param = param;
    return err_set(body->err, -EINVAL, "%s", text);
}

const char *openai_type_name(const cJSON *value)
{
    if (!value)
        return "nothing";
    switch (value->type & 0xff) {
    case cJSON_False:
    case cJSON_True:
        return "a boolean";
    case cJSON_NULL:
        return "null";
    case cJSON_Number:
        return "a number";
    case cJSON_String:
        return "a string";
    case cJSON_Array:
        return "an array";
    default:
        return "an object";
    }
}

const cJSON *openai_given(const cJSON *object, const char *key)
{
    const cJSON *item =
            cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
    return cJSON_IsNull(item) ? NULL : item;
}

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

int openai_body_open(struct openai_body *body, const struct dialect_input *input,
        struct request *ret_request, const char **ret_param, struct err *err)
{
    *body = (struct openai_body){
            .input = input, .request = ret_request, .ret_param = ret_param, .err = err};
    *ret_param = NULL;
    int r = json_parse(input->body, input->len, &json_limits_request, &body->json, err);
    if (r)
        return r == -ENOMEM ? r : err_prefix(err, -EINVAL, "the body is no usable JSON");
    if (cJSON_IsObject(body->json))
        return 0;
    return openai_refuse(
            body, NULL, "the body must be a JSON object, not %s", openai_type_name(body->json));
}

void openai_body_close(struct openai_body *body)
{
    for (size_t i = 0; i < body->edit_count; i++)
        free((char *)body->edits[i].value);
    cJSON_Delete(body->json);
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
    return err_set(body->err, -ENOMEM, "no memory for the request");
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
    if (r)
        return err_set(body->err, -ENOMEM, "no memory for a body of %zu bytes", input->len);
    return 0;
}

/* --- checks --- */

static int check_type(struct openai_body *body, const char *key,
        cJSON_bool (*is_type)(const cJSON *value), const char *type)
{
    const cJSON *value = openai_given(body->json, key);
    if (!value || is_type(value))
        return 0;
    return openai_refuse(
            body, key, "\"%s\" must be %s, not %s", key, type, openai_type_name(value));
}

int openai_check_bool(struct openai_body *body, const char *key)
{
    return check_type(body, key, cJSON_IsBool, "true or false");
}

int openai_check_str(struct openai_body *body, const char *key)
{
    return check_type(body, key, cJSON_IsString, "a string");
}

int openai_check_object(struct openai_body *body, const char *key)
{
    return check_type(body, key, cJSON_IsObject, "an object");
}

int openai_check_array(struct openai_body *body, const char *key)
{
    return check_type(body, key, cJSON_IsArray, "an array");
}

static int check_range(struct openai_body *body, const char *key, double min, double max,
        bool whole, const char *what)
{
    const cJSON *value = openai_given(body->json, key);
    if (!value)
        return 0;
    if (!cJSON_IsNumber(value))
        return openai_refuse(body, key, "\"%s\" must be a %s from %.15g to %.15g, not %s", key,
                what, min, max, openai_type_name(value));
    double number = value->valuedouble;
    if (number >= min && number <= max && (!whole || number == floor(number)))
        return 0;
    return openai_refuse(body, key, "\"%s\" must be a %s from %.15g to %.15g, not %.15g", key, what,
            min, max, number);
}

int openai_check_number(struct openai_body *body, const char *key, double min, double max)
{
    return check_range(body, key, min, max, false, "number");
}

int openai_check_whole(struct openai_body *body, const char *key, double min, double max)
{
    return check_range(body, key, min, max, true, "whole number");
}

/* --- what endpoints share --- */

int openai_read_model(struct openai_body *body)
{
    const cJSON *model = openai_given(body->json, "model");
    if (model && !cJSON_IsString(model))
        return openai_refuse(body, "model",
                "\"model\" must be a string, a mode, a model or \"auto\", not %s",
                openai_type_name(model));
    const char *name = model ? model->valuestring : "";
    if (strlen(name) > MSG_NAME_MAX)
        return openai_refuse(
                body, "model", "\"model\" must have at most %d bytes", (int)MSG_NAME_MAX);
    strcpy(body->request->asked, name);
    session_id_read(body->input, body->json, body->request);
    return 0;
}

int openai_read_stream(struct openai_body *body)
{
    const cJSON *options = openai_given(body->json, "stream_options");
    const cJSON *usage = openai_given(options, "include_usage");
    int r = openai_check_bool(body, "stream");
    if (!r)
        r = openai_check_object(body, "stream_options");
    if (r)
        return r;
    if (usage && !cJSON_IsBool(usage))
        return openai_refuse(body, "stream_options.include_usage",
                "\"stream_options.include_usage\" must be true or false, not %s",
                openai_type_name(usage));
    body->request->stream = json_bool(body->json, "stream", false);
    body->request->include_usage = cJSON_IsTrue(usage);
    return 0;
}

int openai_read_choices(struct openai_body *body)
{
    int r = openai_check_whole(body, "n", 1, REQUEST_CHOICES_MAX);
    if (!r)
        body->request->choices = (uint32_t)json_num(body->json, "n", 1);
    return r;
}

static int check_stop(struct openai_body *body)
{
    const cJSON *stop = openai_given(body->json, "stop"), *word;
    int count = cJSON_GetArraySize(stop);
    if (!stop || cJSON_IsString(stop))
        return 0;
    if (!cJSON_IsArray(stop))
        return openai_refuse(body, "stop", "\"stop\" must be a string or an array of them, not %s",
                openai_type_name(stop));
    if (count > STOP_MAX)
        return openai_refuse(
                body, "stop", "\"stop\" must have at most %d strings, not %d", STOP_MAX, count);
    cJSON_ArrayForEach(word, stop)
    {
        if (!cJSON_IsString(word))
            return openai_refuse(body, "stop", "\"stop\" must hold strings only, not %s",
                    openai_type_name(word));
    }
    return 0;
}

/* Of the two names of one limit the newer wins, under the name that every engine knows. -1 is what
 * clients of local servers send for none. */
static int read_length(struct openai_body *body)
{
    int r = openai_check_whole(body, "max_tokens", -1, INT32_MAX);
    if (!r)
        r = openai_check_whole(body, "max_completion_tokens", -1, INT32_MAX);
    const cJSON *newer = openai_given(body->json, "max_completion_tokens");
    if (r || !newer)
        return r;
    openai_body_set(body, "max_tokens", newer);
    openai_body_drop(body, "max_completion_tokens");
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
        r = openai_check_number(body, numbers[i].key, numbers[i].min, numbers[i].max);
    if (!r)
        r = openai_check_whole(body, "seed", -(double)JSON_WHOLE_MAX, (double)JSON_WHOLE_MAX);
    if (!r)
        r = openai_check_object(body, "logit_bias");
    if (!r)
        r = check_stop(body);
    return r ? r : read_length(body);
}
