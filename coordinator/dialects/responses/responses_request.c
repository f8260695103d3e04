#include "common/json/json.h"
#include "coordinator/dialects/conversation.h"
#include "coordinator/dialects/exact_numbers.h"
#include "coordinator/dialects/fields.h"
#include "coordinator/dialects/responses/response_store.h"
#include "coordinator/dialects/responses/responses.h"
#include "coordinator/dialects/responses/responses_input.h"
#include "coordinator/dialects/responses/responses_object.h"
#include "coordinator/dialects/responses/responses_tools.h"
#include "coordinator/dialects/samplers.h"
#include "coordinator/dialects/session_id.h"

#include <errno.h>
#include <string.h>

enum {
    TOP_LOGPROBS_MAX = 20,
    ECHO_ROOM = RESPONSES_ECHO_MAX + 4096, /* with what is told for absent members */
};

struct reading {
    const struct dialect_input *input;
    struct request *request;
    struct fields fields; /* of `body` */
    cJSON *body;          /* what came */
    cJSON *chat;          /* what is made of it */
    cJSON *kept;
    cJSON *before; /* items of the responses that it builds on; NULL: none */
    struct conversation *conversation;
    struct responses_tools tools;
    bool store;
};

static int no_memory(const struct reading *reading)
{
    return err_set(reading->fields.err, -ENOMEM, "no memory for a request of %zu bytes",
            reading->input->len);
}

/* Takes `item`, which may be NULL for lack of memory. */
static int set(const struct reading *reading, cJSON *object, const char *key, cJSON *item)
{
    if (item && cJSON_AddItemToObject(object, key, item))
        return 0;
    cJSON_Delete(item);
    return no_memory(reading);
}

/* --- plain members --- */

static int check_types(const struct reading *reading)
{
    static const struct {
        const char *key;
        int (*check)(const struct fields *fields, const char *key);
    } members[] = {
            {"parallel_tool_calls", fields_check_bool},
            {"instructions", fields_check_str},
            {"previous_response_id", fields_check_str},
            {"prompt_cache_key", fields_check_str},
            {"safety_identifier", fields_check_str},
            {"service_tier", fields_check_str},
            {"user", fields_check_str},
            {"include", fields_check_array},
            {"metadata", fields_check_object},
            {"reasoning", fields_check_object},
            {"stream_options", fields_check_object},
            {"text", fields_check_object},
    };
    int r = 0;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && !r; i++)
        r = members[i].check(&reading->fields, members[i].key);
    return r;
}

/* What would change the meaning were it left out. */
static int refuse_unserved(const struct reading *reading)
{
    if (fields_given(&reading->fields, "conversation"))
        return fields_refuse(&reading->fields, "conversation",
                "conversations are not kept here; use \"previous_response_id\", or send the whole "
                "conversation as \"input\"");
    if (fields_given(&reading->fields, "prompt"))
        return fields_refuse(&reading->fields, "prompt",
                "prompt templates are not kept here; send \"instructions\" and \"input\"");
    return 0;
}

static int read_truncation(const struct reading *reading)
{
    const char *truncation;
    int r = fields_text(&reading->fields, "truncation", "disabled", &truncation);
    if (r || strcmp(truncation, "disabled") == 0)
        return r;
    if (strcmp(truncation, "auto") != 0)
        return fields_refuse(
                &reading->fields, "truncation", "\"truncation\" must be \"auto\" or \"disabled\"");
    request_skip(reading->request, "truncation auto");
    return 0;
}

static void skip_fields(const struct reading *reading)
{
    if (fields_given(&reading->fields, "context_management"))
        request_skip(reading->request, "field context_management");
    if (fields_given(&reading->fields, "moderation"))
        request_skip(reading->request, "field moderation");
}

/* A request in the background is answered as a stream, which is recorded. */
static int read_delivery(struct reading *reading)
{
    struct request *request = reading->request;
    int r = fields_bool(&reading->fields, "stream", false, &request->stream);
    if (!r)
        r = fields_bool(&reading->fields, "background", false, &request->background);
    if (!r)
        r = fields_bool(&reading->fields, "store", true, &reading->store);
    if (r || !request->background)
        return r;
    if (!reading->store || !reading->input->responses)
        return fields_refuse(&reading->fields, "background",
                "a response in the background must be stored: it cannot be had with "
                "\"store\":false");
    r = set(reading, reading->kept, "follow", cJSON_CreateBool(request->stream));
    request->stream = true;
    return r;
}

static const struct number {
    const char *key;
    double min, max;
    int (*check)(const struct fields *fields, const char *key, double min, double max);
    const char *chat; /* its name there; NULL: it has none */
} numbers[] = {
        {"temperature", 0, 2, fields_check_number, "temperature"},
        {"top_p", 0, 1, fields_check_number, "top_p"},
        {"max_output_tokens", 1, INT32_MAX, fields_check_whole, "max_tokens"},
        {"max_tool_calls", 0, INT32_MAX, fields_check_whole, NULL},
        {"top_logprobs", 0, TOP_LOGPROBS_MAX, fields_check_whole, NULL},
        {"presence_penalty", -2, 2, fields_check_number, "presence_penalty"},
        {"frequency_penalty", -2, 2, fields_check_number, "frequency_penalty"},
        {"seed", -(double)JSON_WHOLE_MAX, (double)JSON_WHOLE_MAX, fields_check_whole, "seed"},
};

static int read_number(const struct reading *reading, const struct number *number)
{
    const cJSON *given = fields_given(&reading->fields, number->key);
    int r = number->check(&reading->fields, number->key, number->min, number->max);
    if (r || !given || !number->chat)
        return r;
    return set(reading, reading->chat, number->chat, cJSON_CreateNumber(given->valuedouble));
}

/* Settings of samplers that the API does not have, but local engines and their clients do. */
static int pass_on(const struct reading *reading)
{
    static const char *const keys[] = {
            "stop", "top_k", "min_p", "repeat_penalty", "logit_bias", "chat_template_kwargs"};
    int r = 0;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !r; i++) {
        const cJSON *item = fields_given(&reading->fields, keys[i]);
        if (item)
            r = set(reading, reading->chat, keys[i], cJSON_Duplicate(item, true));
    }
    return r;
}

static int read_sampling(const struct reading *reading)
{
    int r = 0;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && !r; i++)
        r = read_number(reading, &numbers[i]);
    if (!r)
        r = samplers_check(&reading->fields);
    return r ? r : pass_on(reading);
}

static int read_reasoning(const struct reading *reading)
{
    const cJSON *effort = fields_member(fields_given(&reading->fields, "reasoning"), "effort");
    if (!effort)
        return 0;
    if (!cJSON_IsString(effort))
        return fields_refuse(
                &reading->fields, "reasoning.effort", "\"reasoning.effort\" must be a string");
    return set(reading, reading->chat, "reasoning_effort", cJSON_CreateString(effort->valuestring));
}

/* The schema stands one level deeper in a chat. */
static int read_schema(const struct reading *reading, const cJSON *format)
{
    static const char *const keys[] = {"name", "description", "schema", "strict"};
    cJSON *response_format = cJSON_AddObjectToObject(reading->chat, "response_format");
    cJSON *schema = cJSON_AddObjectToObject(response_format, "json_schema");
    int r = set(reading, response_format, "type", cJSON_CreateString("json_schema"));
    if (!json_obj(format, "schema"))
        return fields_refuse(&reading->fields, "text.format",
                "\"text.format\" of type json_schema needs a \"schema\", an object");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && !r; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(format, keys[i]);
        if (item && !cJSON_IsNull(item))
            r = set(reading, schema, keys[i], cJSON_Duplicate(item, true));
    }
    return r;
}

static int read_format(const struct reading *reading)
{
    const cJSON *format = json_obj(fields_given(&reading->fields, "text"), "format");
    const char *type = json_str(format, "type", "text");
    if (strcmp(type, "json_schema") == 0)
        return read_schema(reading, format);
    if (strcmp(type, "json_object") == 0)
        return set(reading, reading->chat, "response_format", cJSON_Duplicate(format, true));
    if (strcmp(type, "text") == 0)
        return 0;
    return fields_refuse(&reading->fields, "text.format",
            "\"text.format\" must be of type text, json_object or json_schema");
}

static bool includes(const struct reading *reading, const char *what)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, fields_given(&reading->fields, "include"))
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, what) == 0)
            return true;
    }
    return false;
}

/* Engines give none where they are asked for the best 0. */
static int read_include(const struct reading *reading)
{
    double top = json_num(reading->body, "top_logprobs", 0);
    bool logprobs = includes(reading, "message.output_text.logprobs") || top > 0;
    bool encrypted = includes(reading, "reasoning.encrypted_content");
    int r = set(reading, reading->kept, "logprobs", cJSON_CreateBool(logprobs));
    if (!r)
        r = set(reading, reading->kept, "encrypted", cJSON_CreateBool(encrypted));
    if (r || !logprobs)
        return r;
    r = set(reading, reading->chat, "logprobs", cJSON_CreateTrue());
    return r ? r
             : set(reading, reading->chat, "top_logprobs", cJSON_CreateNumber(top > 0 ? top : 1));
}

/* --- conversation --- */

static cJSON *message_of(const char *text)
{
    cJSON *items = cJSON_Parse("[{\"type\":\"message\",\"role\":\"user\",\"content\":["
                               "{\"type\":\"input_text\"}]}]");
    const cJSON *content = items ? json_array(items->child, "content") : NULL;
    if (content && cJSON_AddStringToObject(content->child, "text", text))
        return items;
    cJSON_Delete(items);
    return NULL;
}

/* What is only a text becomes the item that it means. */
static int prepare_input(const struct reading *reading)
{
    cJSON *given = cJSON_GetObjectItemCaseSensitive(reading->body, "input");
    if (!cJSON_IsString(given))
        return 0;
    cJSON *items = message_of(given->valuestring);
    if (items && cJSON_ReplaceItemInObjectCaseSensitive(reading->body, "input", items))
        return 0;
    cJSON_Delete(items);
    return no_memory(reading);
}

static int as_refusal(const struct reading *reading, int r, const char *param)
{
    *reading->fields.ret_param = r == -ENOMEM ? NULL : param;
    return r == -EMSGSIZE ? -EINVAL : r;
}

static int resolve_references(const struct reading *reading)
{
    cJSON *items = cJSON_GetObjectItemCaseSensitive(reading->body, "input");
    if (!reading->input->responses || !cJSON_IsArray(items))
        return 0;
    int r = response_store_resolve(
            reading->input->responses, reading->input->owner, items, reading->fields.err);
    return r ? as_refusal(reading, r, "input") : 0;
}

static int read_previous(struct reading *reading)
{
    static const char key[] = "previous_response_id";
    const char *id = json_str(reading->body, key, "");
    int r = set(reading, reading->kept, "previous", cJSON_CreateString(id));
    if (r || !*id)
        return r;
    if (!reading->input->responses) {
        *reading->fields.ret_param = key;
        return err_set(reading->fields.err, -ENOENT,
                "previous response not found: responses are not kept here");
    }
    r = response_store_conversation(reading->input->responses, reading->input->owner, id,
            &reading->before, reading->fields.err);
    return r ? as_refusal(reading, r, key) : 0;
}

static int read_items(struct reading *reading)
{
    const struct responses_input reader = {.conversation = reading->conversation,
            .request = reading->request,
            .tools = &reading->tools};
    const cJSON *items = fields_given(&reading->fields, "input");
    const char **ret_param = reading->fields.ret_param;
    if (!items && !reading->before)
        return fields_refuse(&reading->fields, "input", "\"input\" is missing");
    int r = responses_input_read(&reader, reading->before, ret_param, reading->fields.err);
    if (!r)
        r = responses_input_read(&reader, items, ret_param, reading->fields.err);
    if (!r && !reading->before && cJSON_IsArray(items) && !items->child)
        conversation_user_text(reading->conversation, "");
    return r;
}

static int read_tools(struct reading *reading)
{
    const cJSON *list = fields_given(&reading->fields, "tools");
    return responses_tools_add(
            &reading->tools, list, reading->fields.ret_param, reading->fields.err);
}

static int choose_tools(struct reading *reading)
{
    const cJSON *parallel = fields_given(&reading->fields, "parallel_tool_calls");
    int r = responses_tools_choose(
            &reading->tools, reading->chat, reading->fields.ret_param, reading->fields.err);
    if (!r && parallel && reading->tools.names->child)
        r = set(reading, reading->chat, "parallel_tool_calls",
                cJSON_CreateBool(cJSON_IsTrue(parallel)));
    return r;
}

static int take_conversation(struct reading *reading)
{
    if (conversation_take(reading->conversation, reading->chat))
        return no_memory(reading);
    if (!json_array(reading->chat, "messages")->child)
        return fields_refuse(&reading->fields, "input", "\"input\" holds nothing for a model");
    return 0;
}

static int read_conversation(struct reading *reading)
{
    const char *instructions = json_str(reading->body, "instructions", "");
    if (*instructions)
        conversation_system(reading->conversation, instructions);
    int r = prepare_input(reading);
    if (!r)
        r = resolve_references(reading);
    if (!r)
        r = read_previous(reading);
    if (!r)
        r = read_tools(reading);
    if (!r)
        r = read_items(reading);
    if (!r)
        r = choose_tools(reading);
    return r ? r : take_conversation(reading);
}

/* --- results --- */

static int keep_echo(const struct reading *reading)
{
    struct buf echo;
    buf_init(&echo, ECHO_ROOM);
    int r = responses_echo_append(reading->body, &echo);
    if (!r)
        r = buf_terminate(&echo);
    r = r ? no_memory(reading)
          : set(reading, reading->kept, "echo", cJSON_CreateString(buf_at(&echo)));
    buf_fini(&echo);
    return r;
}

static int keep_input(const struct reading *reading)
{
    const cJSON *items = fields_given(&reading->fields, "input");
    char *text = items ? cJSON_PrintUnformatted(items) : strdup("[]");
    int r = text ? set(reading, reading->kept, "input", cJSON_CreateString(text))
                 : no_memory(reading);
    cJSON_free(text);
    return r;
}

static int keep(struct reading *reading)
{
    struct request *request = reading->request;
    int r = keep_echo(reading);
    if (!r)
        r = set(reading, reading->kept, "sequence", cJSON_CreateNumber(0));
    if (!r)
        r = set(reading, reading->kept, "aliases", reading->tools.aliases);
    reading->tools.aliases = NULL;
    if (!r && reading->store && reading->input->responses) {
        request->responses = reading->input->responses;
        r = set(reading, reading->kept, "owner", cJSON_CreateString(reading->input->owner));
        if (!r)
            r = keep_input(reading);
    }
    request->kept = reading->kept;
    reading->kept = NULL;
    return r;
}

static int read_members(struct reading *reading)
{
    int r = fields_model(&reading->fields, reading->request);
    if (!r)
        r = check_types(reading);
    if (!r)
        r = refuse_unserved(reading);
    if (!r)
        r = read_truncation(reading);
    if (!r)
        r = read_delivery(reading);
    if (!r)
        r = read_sampling(reading);
    if (!r)
        r = read_reasoning(reading);
    if (!r)
        r = read_format(reading);
    return r ? r : read_include(reading);
}

static int read_body(struct reading *reading)
{
    skip_fields(reading);
    session_id_read(reading->input, reading->body, reading->request);
    int r = read_members(reading);
    if (!r)
        r = read_conversation(reading);
    if (!r)
        r = fields_write_body(&reading->fields, reading->chat, reading->request);
    return r ? r : keep(reading);
}

static int init(struct reading *reading)
{
    const cJSON *choice = fields_given(&reading->fields, "tool_choice");
    reading->chat = cJSON_CreateObject();
    reading->kept = cJSON_CreateObject();
    reading->conversation = conversation_create();
    if (!reading->chat || !reading->kept || !reading->conversation ||
            responses_tools_init(&reading->tools, reading->conversation, reading->request, choice))
        return no_memory(reading);
    return 0;
}

static void fini(struct reading *reading)
{
    responses_tools_fini(&reading->tools);
    conversation_destroy(reading->conversation);
    cJSON_Delete(reading->before);
    cJSON_Delete(reading->kept);
    cJSON_Delete(reading->chat);
    cJSON_Delete(reading->body);
}

int responses_parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err)
{
    struct reading reading = {.input = input, .request = ret_request};
    *ret_param = NULL;
    int r = fields_parse_body(input, &reading.body, err);
    if (r)
        return r;
    reading.fields = (struct fields){.object = reading.body, .ret_param = ret_param, .err = err};
    ret_request->kind = REQUEST_CHAT;
    r = init(&reading);
    if (!r && exact_numbers_keep(reading.body, "arguments", input->body, input->len))
        r = no_memory(&reading);
    if (!r)
        r = read_body(&reading);
    if (r)
        buf_clear(&ret_request->body);
    fini(&reading);
    return r;
}
