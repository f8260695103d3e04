/* POST /v1/audio/transcriptions, a form with a file. Shapes: OpenAI API reference, "Audio". */
#include "common/json/json.h"
#include "coordinator/dialects/engine_result.h"
#include "coordinator/dialects/form_data.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/session_id.h"

#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX = 24 * 1024 * 1024, /* bytes; its base64 still is a request's body */
    FIELD_MAX = 16 * 1024,       /* bytes of a field that is no file */
};

struct transcription {
    struct request *request;
    const char **ret_param;
    struct err *err;
    bool has_file;
};

/* --- fields --- */

static int refuse(struct transcription *form, const char *param, const char *text)
{
    *form->ret_param = param;
    return err_set(form->err, -EINVAL, "%s", text);
}

static int no_memory(struct transcription *form)
{
    return err_set(form->err, -ENOMEM, "no memory for the sound");
}

static int append_base64(struct buf *out, const char *data, size_t len)
{
    size_t room_len = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
    void *room;
    int r = buf_reserve(out, room_len, &room);
    if (r)
        return r;
    sodium_bin2base64(room, room_len, (const uint8_t *)data, len, sodium_base64_VARIANT_ORIGINAL);
    buf_commit(out, room_len - 1);
    return 0;
}

static int take_file(struct transcription *form, const struct form_part *part)
{
    struct buf *body = &form->request->body;
    const char *name = *part->filename ? part->filename : "sound";
    if (form->has_file)
        return refuse(form, "file", "the form must have one \"file\", not several");
    if (part->len == 0)
        return refuse(form, "file", "\"file\" must not be empty");
    if (part->len > FILE_MAX)
        return refuse(form, "file", "\"file\" must have at most 24 MiB");
    form->has_file = true;
    if (buf_append_str(body, ",\"file\":{\"name\":") || json_append_str(body, name, strlen(name)) ||
            buf_append_str(body, ",\"data\":\"") || append_base64(body, part->data, part->len) ||
            buf_append_str(body, "\"}"))
        return no_memory(form);
    return 0;
}

static int take_model(struct transcription *form, const char *text)
{
    if (strlen(text) > MSG_NAME_MAX)
        return refuse(form, "model", "\"model\" must have at most 128 bytes");
    strcpy(form->request->asked, text);
    return 0;
}

static int append_field(struct transcription *form, const char *key, const char *text)
{
    struct buf *body = &form->request->body;
    if (buf_appendf(body, ",\"%s\":", key) || json_append_str(body, text, strlen(text)))
        return no_memory(form);
    return 0;
}

static int take_language(struct transcription *form, const char *text)
{
    return append_field(form, "language", text);
}

static int take_prompt(struct transcription *form, const char *text)
{
    return append_field(form, "prompt", text);
}

static int take_temperature(struct transcription *form, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0 && value <= 1))
        return refuse(form, "temperature", "\"temperature\" must be a number from 0 to 1");
    return buf_appendf(&form->request->body, ",\"temperature\":%.9g", value) ? no_memory(form) : 0;
}

static int take_format(struct transcription *form, const char *text)
{
    if (strcmp(text, "text") == 0)
        form->request->whole_type = "text/plain; charset=utf-8";
    else if (strcmp(text, "json") != 0)
        return refuse(form, "response_format",
                "\"response_format\" must be \"json\" or \"text\": no engine here tells the times "
                "of words");
    return 0;
}

static int take_stream(struct transcription *form, const char *text)
{
    if (strcmp(text, "true") == 0)
        request_skip(form->request, "field stream");
    return 0;
}

static const struct field {
    const char *name;
    int (*take)(struct transcription *form, const char *text);
} fields[] = {
        {"model", take_model},
        {"language", take_language},
        {"prompt", take_prompt},
        {"temperature", take_temperature},
        {"response_format", take_format},
        {"stream", take_stream},
};

static int take_field(
        struct transcription *form, const struct form_part *part, const struct field *field)
{
    char text[FIELD_MAX + 1];
    if (part->len > FIELD_MAX || memchr(part->data, '\0', part->len)) {
        *form->ret_param = field->name;
        return err_set(form->err, -EINVAL, "\"%s\" must be a text of at most %d bytes", field->name,
                FIELD_MAX);
    }
    memcpy(text, part->data, part->len);
    text[part->len] = '\0';
    return field->take(form, text);
}

/* What is not known here an engine would not know either. */
static int take_part(void *ctx, const struct form_part *part)
{
    struct transcription *form = ctx;
    if (strcmp(part->name, "file") == 0)
        return take_file(form, part);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strcmp(part->name, fields[i].name) == 0)
            return take_field(form, part, &fields[i]);
    return 0;
}

static int read_form(struct transcription *form, const struct dialect_input *input)
{
    int r = buf_append_str(&form->request->body, "{\"response_format\":\"json\"");
    if (r)
        return no_memory(form);
    r = form_data_each(input->content_type, input->body, input->len, take_part, form, form->err);
    if (r)
        return r;
    if (!form->has_file)
        return refuse(form, "file", "the form must have a \"file\", the sound to write down");
    return buf_append_str(&form->request->body, "}") ? no_memory(form) : 0;
}

static int parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    struct transcription form = {.request = ret_request, .ret_param = ret_param, .err = err};
    *ret_param = NULL;
    ret_request->kind = REQUEST_TRANSCRIPTION;
    ret_request->needs |= CAPABILITY_AUDIO;
    session_id_read(input, NULL, ret_request);
    int r = read_form(&form, input);
    if (r)
        buf_clear(&ret_request->body);
    return r;
}

/* --- answer --- */

static int append_json(const struct answer *answer, const char *text, struct buf *out)
{
    const struct msg_usage *usage = &answer->usage;
    if (buf_append_str(out, "{\"text\":") || json_append_str(out, text, strlen(text)))
        return -ENOBUFS;
    return buf_appendf(out,
            ",\"usage\":{\"type\":\"tokens\",\"input_tokens\":%u,\"output_tokens\":%u,"
            "\"total_tokens\":%llu}}",
            usage->prompt_tokens, usage->completion_tokens,
            (unsigned long long)usage->prompt_tokens + usage->completion_tokens);
}

static int append_text(const char *text, struct buf *out)
{
    int r = buf_append_str(out, text);
    return r ? r : buf_append_str(out, "\n");
}

static int whole(struct answer *answer, struct buf *out)
{
    cJSON *result;
    int r = engine_result_read(answer, &result);
    if (r)
        return r;
    const char *text = json_str(result, "text", NULL);
    if (!text)
        r = -EPROTO;
    else
        r = answer->request->whole_type ? append_text(text, out) : append_json(answer, text, out);
    cJSON_Delete(result);
    return r;
}

const struct dialect dialect_openai_transcriptions = {
        .name = "openai transcriptions",
        .family = &family_openai,
        .whole_type = "application/json",
        .parse = parse,
        .answer_create = engine_result_create,
        .answer_destroy = engine_result_destroy,
        .gather = engine_result_gather,
        .whole = whole,
};
