#include "coordinator/dialects/ollama/ollama.h"

#include "common/json/json.h"
#include "coordinator/dialects/fields.h"
#include "coordinator/dialects/ollama/ollama_answer.h"
#include "coordinator/dialects/ollama/ollama_messages.h"
#include "coordinator/dialects/ollama/ollama_options.h"
#include "coordinator/dialects/session_id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- errors --- */

static int error_body(const struct api_error *error, const char *request_id, struct buf *out)
{
    const char *message = error->message ? error->message : "";
    (void)request_id;
    if (buf_append_str(out, "{\"error\":") || json_append_str(out, message, strlen(message)) ||
            buf_append_str(out, "}"))
        return -ENOBUFS;
    return 0;
}

const struct dialect_family family_ollama = {.name = "ollama", .error_body = error_body};

/* --- what all requests say --- */

static int read_common(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    int r = fields_model(fields, request);
    if (!r)
        r = fields_bool(fields, "stream", true, &request->stream);
    session_id_read(input, fields->object, request);
    return r;
}

/* 0, "0", "0s": at once. */
static bool ends_at_once(const cJSON *keep_alive)
{
    char *end;
    if (!cJSON_IsString(keep_alive))
        return cJSON_IsNumber(keep_alive) && keep_alive->valuedouble == 0;
    return strtod(keep_alive->valuestring, &end) == 0 && end != keep_alive->valuestring;
}

/* A request for nothing but to load or to unload: the mesh does both by itself. */
static int settle(const struct fields *fields, struct request *request)
{
    const char *what = ends_at_once(fields_given(fields, "keep_alive")) ? "unload" : "load";
    request->settled = true;
    request->kept = cJSON_CreateObject();
    if (cJSON_AddStringToObject(request->kept, OLLAMA_KEPT_SETTLED, what))
        return 0;
    return err_set(fields->err, -ENOMEM, "no memory for the request");
}

static int finish_body(const struct fields *fields, struct request *request, cJSON *body)
{
    int r = ollama_options_add(fields, request, body);
    if (!r)
        r = ollama_format_add(fields, request->kind, body);
    if (!r && request->kind == REQUEST_CHAT)
        r = ollama_think_add(fields, body);
    if (!r)
        r = ollama_logprobs_add(fields, request, body);
    return r ? r : fields_write_body(fields, body, request);
}

/* What makes the neutral body of a request that is not settled. */
typedef int (*fill_fn)(const struct fields *fields, struct request *request, cJSON *body);

static int fill(const struct fields *fields, struct request *request, fill_fn fn)
{
    cJSON *body = cJSON_CreateObject();
    int r = body ? fn(fields, request, body)
                 : err_set(fields->err, -ENOMEM, "no memory for the request");
    if (!r)
        r = finish_body(fields, request, body);
    cJSON_Delete(body);
    return r;
}

/* What adds the turns of a conversation. */
typedef int (*turns_fn)(
        const struct fields *fields, struct request *request, struct conversation *conversation);

static int fill_conversation(
        const struct fields *fields, struct request *request, turns_fn fn, cJSON *body)
{
    struct conversation *conversation = conversation_create();
    int r = conversation ? fn(fields, request, conversation) : -ENOMEM;
    if (!r)
        r = conversation_take(conversation, body);
    conversation_destroy(conversation);
    return r == -ENOMEM ? err_set(fields->err, r, "no memory for the conversation") : r;
}

/* --- chat --- */

/* Ollama knows no `tool_choice`; some of its clients send it. NULL where they say nothing that is
 * known. */
static const char *read_choice(const struct fields *fields, struct request *request)
{
    static const char *const choices[] = {"auto", "none", "required"};
    const cJSON *choice = fields_given(fields, "tool_choice");
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
        if (cJSON_IsString(choice) && strcmp(choice->valuestring, choices[i]) == 0)
            return choices[i];
    if (choice)
        request_skip(request, "tool_choice");
    return NULL;
}

static int add_tool_choice(const struct fields *fields, struct request *request, cJSON *body)
{
    if (!json_array(body, "tools"))
        return 0;
    const char *choice = read_choice(fields, request);
    if (!choice || strcmp(choice, "none") != 0)
        request->needs |= CAPABILITY_TOOLS;
    if (!choice || cJSON_AddStringToObject(body, "tool_choice", choice))
        return 0;
    return err_set(fields->err, -ENOMEM, "no memory for the request");
}

static int fill_chat(const struct fields *fields, struct request *request, cJSON *body)
{
    int r = fill_conversation(fields, request, ollama_messages_add, body);
    return r ? r : add_tool_choice(fields, request, body);
}

static int read_chat(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    const cJSON *messages;
    request->kind = REQUEST_CHAT;
    int r = read_common(input, fields, request);
    if (!r)
        r = fields_array(fields, "messages", &messages);
    if (r)
        return r;
    if (!messages || !messages->child)
        return settle(fields, request);
    return fill(fields, request, fill_chat);
}

static int parse_chat(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return fields_read(read_chat, input, ret_request, ret_param, err);
}

/* --- generate --- */

static int add_text(const struct fields *fields, cJSON *body, const char *key, const char *text)
{
    return cJSON_AddStringToObject(body, key, text)
                   ? 0
                   : err_set(fields->err, -ENOMEM, "no memory for the prompt");
}

/* The fields' types have been checked. */
static const char *text_of(const struct fields *fields, const char *key)
{
    return json_str(fields->object, key, "");
}

static int fill_raw(const struct fields *fields, struct request *request, cJSON *body)
{
    if (*text_of(fields, "suffix"))
        request_skip(request, "suffix (the prompt is raw)");
    if (request_note_fim(request, text_of(fields, "prompt"), false))
        return err_set(fields->err, -ENOMEM, "no memory for the request");
    return add_text(fields, body, "prompt", text_of(fields, "prompt"));
}

static int fill_infill(const struct fields *fields, struct request *request, cJSON *body)
{
    if (*text_of(fields, "system"))
        request_skip(request, "system (of an infill)");
    const char *prompt = text_of(fields, "prompt"), *suffix = text_of(fields, "suffix");
    int r = add_text(fields, body, "input_prefix", prompt);
    if (!r)
        r = add_text(fields, body, "input_suffix", suffix);
    if (!r && request_set_cursor(request, prompt, "", suffix))
        r = err_set(fields->err, -ENOMEM, "no memory for the request");
    return r;
}

static int add_turns(
        const struct fields *fields, struct request *request, struct conversation *conversation)
{
    const char *system = text_of(fields, "system");
    if (*system)
        conversation_system(conversation, system);
    return ollama_user_turn_add(fields, text_of(fields, "prompt"),
            json_array(fields->object, "images"), request, conversation);
}

static int fill_turns(const struct fields *fields, struct request *request, cJSON *body)
{
    return fill_conversation(fields, request, add_turns, body);
}

/* Our answers never give one. */
static int check_context(const struct fields *fields)
{
    const cJSON *context;
    int r = fields_array(fields, "context", &context);
    if (!r && context && context->child)
        return fields_refuse(fields, "context",
                "\"context\" is not kept between requests; send the conversation to /api/chat");
    return r;
}

static int check_texts(const struct fields *fields)
{
    static const char *const keys[] = {"prompt", "suffix", "system", "template"};
    const char *text;
    int r = 0;
    for (size_t i = 0; !r && i < sizeof(keys) / sizeof(keys[0]); i++)
        r = fields_text(fields, keys[i], "", &text);
    if (!r && *text_of(fields, "template"))
        return fields_refuse(fields, "template",
                "the model's own template is used; to use another, fill it in and send the prompt "
                "with \"raw\":true");
    return r;
}

static int check_mix(const struct fields *fields, bool raw, const cJSON *images)
{
    if (raw && *text_of(fields, "system"))
        return fields_refuse(fields, "system", "a raw prompt takes no \"system\"");
    if (images && images->child && (raw || *text_of(fields, "suffix")))
        return fields_refuse(
                fields, "images", "\"images\" cannot go with \"raw\" or with \"suffix\"");
    return 0;
}

static int read_prompt(const struct fields *fields, struct request *request)
{
    const cJSON *images;
    bool raw;
    int r = check_texts(fields);
    if (!r)
        r = check_context(fields);
    if (!r)
        r = fields_bool(fields, "raw", false, &raw);
    if (!r)
        r = fields_array(fields, "images", &images);
    if (!r)
        r = check_mix(fields, raw, images);
    if (r)
        return r;
    bool fills = *text_of(fields, "suffix") && !raw;
    if (!*text_of(fields, "prompt") && !fills && !(images && images->child))
        return settle(fields, request);
    if (fills) {
        request->kind = REQUEST_INFILL;
        request->lane = LANE_AUTOCOMPLETE;
        request->needs |= CAPABILITY_FIM;
        return fill(fields, request, fill_infill);
    }
    request->kind = raw ? REQUEST_COMPLETION : REQUEST_CHAT;
    return fill(fields, request, raw ? fill_raw : fill_turns);
}

static int read_generate(
        const struct dialect_input *input, const struct fields *fields, struct request *request)
{
    int r = read_common(input, fields, request);
    return r ? r : read_prompt(fields, request);
}

static int parse_generate(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    return fields_read(read_generate, input, ret_request, ret_param, err);
}

/* --- the dialects --- */

const struct dialect dialect_ollama_chat = {
        .name = "ollama chat",
        .family = &family_ollama,
        .stream_type = "application/x-ndjson",
        .whole_type = "application/json",
        .parse = parse_chat,
        .answer_create = ollama_answer_create_chat,
        .answer_destroy = ollama_answer_destroy,
        .stream_begin = ollama_answer_begin,
        .stream_delta = ollama_answer_delta,
        .stream_idle = ollama_answer_idle,
        .stream_end = ollama_answer_end,
        .stream_error = ollama_answer_error,
        .gather = ollama_answer_gather,
        .whole = ollama_answer_whole,
};

const struct dialect dialect_ollama_generate = {
        .name = "ollama generate",
        .family = &family_ollama,
        .stream_type = "application/x-ndjson",
        .whole_type = "application/json",
        .parse = parse_generate,
        .answer_create = ollama_answer_create_generate,
        .answer_destroy = ollama_answer_destroy,
        .stream_begin = ollama_answer_begin,
        .stream_delta = ollama_answer_delta,
        .stream_idle = ollama_answer_idle,
        .stream_end = ollama_answer_end,
        .stream_error = ollama_answer_error,
        .gather = ollama_answer_gather,
        .whole = ollama_answer_whole,
};
