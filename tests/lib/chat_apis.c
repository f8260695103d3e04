#include "tests/lib/chat_apis.h"

#include "common/json/json.h"
#include "coordinator/dialects/anthropic/anthropic.h"
#include "coordinator/dialects/ollama/ollama.h"
#include "coordinator/dialects/openai/openai.h"
#include "coordinator/dialects/responses/responses.h"
#include "tests/lib/response_events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- JSON --- */

static void must(bool sound, const char *what)
{
    if (sound)
        return;
    fprintf(stderr, "a client does not understand: %s\n", what);
    abort();
}

static cJSON *parse(const char *text, size_t len)
{
    cJSON *json;
    must(json_parse(text, len, &json_limits_request, &json, NULL) == 0, "this is no JSON");
    return json;
}

static cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static cJSON *push(cJSON *array)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(array, object);
    return object;
}

static cJSON *push_typed(cJSON *array, const char *type)
{
    cJSON *object = push(array);
    cJSON_AddStringToObject(object, "type", type);
    return object;
}

static void set(cJSON *object, const char *key, const char *text)
{
    cJSON_AddStringToObject(object, key, text);
}

static cJSON *set_array(cJSON *object, const char *key)
{
    return cJSON_AddArrayToObject(object, key);
}

/* Appends to a member that is text. */
static void say_more(cJSON *object, const char *key, const char *more)
{
    const char *before = json_str(object, key, "");
    char *text;
    must(asprintf(&text, "%s%s", before, more) >= 0, "no memory");
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    set(object, key, text);
    free(text);
}

/* As text, sometimes with blanks in it. */
static char *print(const cJSON *json, struct dice *dice)
{
    return dice_chance(dice, 3) ? cJSON_Print(json) : cJSON_PrintUnformatted(json);
}

static void set_data_url(cJSON *object, const char *key, const char *base64)
{
    char url[STORY_TEXT_MAX + 40];
    snprintf(url, sizeof(url), "data:image/png;base64,%s", base64);
    set(object, key, url);
}

static bool can_always(const struct story *story)
{
    (void)story;
    return true;
}

static const struct story_exchange *before(const struct story *story, size_t at)
{
    return at > 0 ? &story->exchanges[at - 1] : NULL;
}

/* Where the system speaks in an exchange: `first`, before the user, or behind. */
static bool speaks(const struct story_exchange *exchange, bool first)
{
    return *exchange->system && exchange->system_first == first;
}

/* Clients mark where the cache should end, in each request somewhere else. */
static void mark(cJSON *object, struct dice *dice)
{
    if (dice_chance(dice, 4))
        set(cJSON_AddObjectToObject(object, "cache_control"), "type", "ephemeral");
}

/* What a failed tool said, where the API has no word for the failure. */
static void set_result(cJSON *object, const char *key, const struct story_call *call)
{
    char text[STORY_TEXT_MAX + 10];
    snprintf(text, sizeof(text), "%s%s%s", call->failed ? "Error:" : "",
            call->failed && *call->result ? "\n" : "", call->result);
    set(object, key, text);
}

/* --- OpenAI's chat completions --- */

static void openai_text(cJSON *parts, const char *text, struct dice *dice)
{
    cJSON *part = push_typed(parts, "text");
    set(part, "text", text);
    mark(part, dice);
}

static void openai_image(cJSON *parts, const char *base64, struct dice *dice)
{
    cJSON *part = push_typed(parts, "image_url");
    set_data_url(cJSON_AddObjectToObject(part, "image_url"), "url", base64);
    mark(part, dice);
}

static cJSON *openai_message(cJSON *messages, const char *role, const char *text, struct dice *dice)
{
    cJSON *message = push(messages);
    set(message, "role", role);
    if (text && dice_chance(dice, 2))
        set(message, "content", text);
    else if (text)
        openai_text(set_array(message, "content"), text, dice);
    return message;
}

static void openai_system(cJSON *messages, const char *text, struct dice *dice)
{
    openai_message(messages, dice_chance(dice, 2) ? "system" : "developer", text, dice);
}

static void openai_result(cJSON *messages, const struct story_call *call, struct dice *dice)
{
    cJSON *message = push(messages), *text;
    set(message, "role", "tool");
    set(message, "tool_call_id", call->id);
    if (!*call->image) {
        set_result(message, "content", call);
        return;
    }
    cJSON *parts = set_array(message, "content");
    text = push_typed(parts, "text");
    set_result(text, "text", call);
    openai_image(parts, call->image, dice);
}

static void openai_question(
        cJSON *messages, const struct story *story, size_t at, struct dice *dice)
{
    const struct story_exchange *exchange = &story->exchanges[at];
    for (size_t i = 0; before(story, at) && i < before(story, at)->call_count; i++)
        openai_result(messages, &before(story, at)->calls[i], dice);
    if (speaks(exchange, true))
        openai_system(messages, exchange->system, dice);
    bool one_text = exchange->piece_count == 1 && !exchange->pieces[0].is_image;
    if (one_text)
        openai_message(messages, "user", exchange->pieces[0].text, dice);
    cJSON *parts = one_text || exchange->piece_count == 0
                           ? NULL
                           : set_array(openai_message(messages, "user", NULL, dice), "content");
    for (size_t i = 0; parts && i < exchange->piece_count; i++)
        if (exchange->pieces[i].is_image)
            openai_image(parts, exchange->pieces[i].text, dice);
        else
            openai_text(parts, exchange->pieces[i].text, dice);
    if (speaks(exchange, false))
        openai_system(messages, exchange->system, dice);
}

static void openai_call(cJSON *calls, const struct story_call *call, struct dice *dice)
{
    cJSON *json = push_typed(calls, "function"), *function;
    char *arguments = print(call->arguments, dice);
    set(json, "id", call->id);
    function = cJSON_AddObjectToObject(json, "function");
    set(function, "name", call->name);
    set(function, "arguments", arguments);
    free(arguments);
}

static void openai_answer(cJSON *messages, const struct story_exchange *exchange, struct dice *dice)
{
    cJSON *message =
            openai_message(messages, "assistant", *exchange->text ? exchange->text : NULL, dice);
    if (!*exchange->text && dice_chance(dice, 2))
        set(message, "content", "");
    else if (!*exchange->text)
        cJSON_AddNullToObject(message, "content");
    if (*exchange->reasoning)
        set(message, "reasoning_content", exchange->reasoning);
    cJSON *calls = exchange->call_count ? set_array(message, "tool_calls") : NULL;
    for (size_t i = 0; i < exchange->call_count; i++)
        openai_call(calls, &exchange->calls[i], dice);
}

static cJSON *openai_tell(const struct story *story, size_t last, struct dice *dice)
{
    cJSON *body = cJSON_CreateObject(), *messages = set_array(body, "messages");
    cJSON *tools = story_tools(story);
    for (size_t i = 0; i < story->system_count; i++)
        openai_system(messages, story->systems[i], dice);
    for (size_t i = 0; i <= last; i++) {
        openai_question(messages, story, i, dice);
        if (i < last)
            openai_answer(messages, &story->exchanges[i], dice);
    }
    if (tools)
        cJSON_AddItemToObject(body, "tools", tools);
    return body;
}

static void openai_hear_fragment(cJSON *calls, const cJSON *fragment)
{
    int index = (int)json_num(fragment, "index", -1);
    const cJSON *function = json_obj(fragment, "function");
    must(index >= 0 && index <= cJSON_GetArraySize(calls), "the index of a call");
    if (index == cJSON_GetArraySize(calls))
        cJSON_AddObjectToObject(push_typed(calls, "function"), "function");
    cJSON *call = cJSON_GetArrayItem(calls, index), *into = member(call, "function");
    say_more(call, "id", json_str(fragment, "id", ""));
    say_more(into, "name", json_str(function, "name", ""));
    say_more(into, "arguments", json_str(function, "arguments", ""));
}

static void openai_hear_delta(cJSON *message, const cJSON *delta)
{
    const cJSON *fragment, *fragments = json_array(delta, "tool_calls");
    if (json_str(delta, "reasoning_content", NULL))
        say_more(message, "reasoning_content", json_str(delta, "reasoning_content", ""));
    say_more(message, "content", json_str(delta, "content", ""));
    if (fragments && !member(message, "tool_calls"))
        set_array(message, "tool_calls");
    cJSON_ArrayForEach(fragment, fragments)
    {
        openai_hear_fragment(member(message, "tool_calls"), fragment);
    }
}

/* Calls `hear` for the JSON of each event. */
static void each_event(
        const char *text, size_t len, void (*hear)(cJSON *into, const cJSON *event), cJSON *into)
{
    static const char data_key[] = "data: ", end_mark[] = "\n\n";
    for (const char *end; len > 0; len -= (size_t)(end - text), text = end) {
        const char *data = memmem(text, len, data_key, strlen(data_key));
        end = memmem(text, len, end_mark, strlen(end_mark));
        must(data && end && data < end, "an event without data");
        data += strlen(data_key);
        if (strncmp(data, "[DONE]", strlen("[DONE]")) != 0) {
            cJSON *event = parse(data, (size_t)(end - data));
            hear(into, event);
            cJSON_Delete(event);
        }
        end += strlen(end_mark);
    }
}

static void openai_hear_event(cJSON *message, const cJSON *event)
{
    const cJSON *choice = json_array(event, "choices");
    must(choice, "a chunk without choices");
    if (choice->child)
        openai_hear_delta(message, json_obj(choice->child, "delta"));
}

static cJSON *openai_hear_stream(const char *text, size_t len)
{
    cJSON *history = cJSON_CreateArray(), *message = push(history);
    set(message, "role", "assistant");
    each_event(text, len, openai_hear_event, message);
    return history;
}

static cJSON *openai_hear_whole(const char *text, size_t len)
{
    cJSON *answer = parse(text, len), *history = cJSON_CreateArray();
    const cJSON *choices = json_array(answer, "choices");
    must(choices && json_obj(choices->child, "message"), "an answer without a message");
    cJSON_AddItemToArray(history, cJSON_Duplicate(json_obj(choices->child, "message"), true));
    cJSON_Delete(answer);
    return history;
}

/* --- Anthropic's messages --- */

static void anthropic_text(cJSON *blocks, const char *text, struct dice *dice)
{
    cJSON *block = push_typed(blocks, "text");
    set(block, "text", text);
    mark(block, dice);
}

static void anthropic_image(cJSON *blocks, const char *base64, struct dice *dice)
{
    cJSON *block = push_typed(blocks, "image"), *source;
    source = cJSON_AddObjectToObject(block, "source");
    set(source, "type", "base64");
    set(source, "media_type", "image/png");
    set(source, "data", base64);
    mark(block, dice);
}

/* Sets the member of `object`: text, or blocks. */
static void anthropic_say(cJSON *object, const char *key, const char *text, struct dice *dice)
{
    if (dice_chance(dice, 2))
        set(object, key, text);
    else
        anthropic_text(set_array(object, key), text, dice);
}

static void anthropic_message(
        cJSON *messages, const char *role, const char *text, struct dice *dice)
{
    cJSON *message = push(messages);
    set(message, "role", role);
    anthropic_say(message, "content", text, dice);
}

static void anthropic_result(cJSON *blocks, const struct story_call *call, struct dice *dice)
{
    cJSON *block = push_typed(blocks, "tool_result");
    set(block, "tool_use_id", call->id);
    if (call->failed)
        cJSON_AddTrueToObject(block, "is_error");
    mark(block, dice);
    if (!*call->image) {
        anthropic_say(block, "content", call->result, dice);
        return;
    }
    cJSON *content = set_array(block, "content");
    anthropic_text(content, call->result, dice);
    anthropic_image(content, call->image, dice);
}

static cJSON *anthropic_user(cJSON *messages)
{
    cJSON *message = push(messages);
    set(message, "role", "user");
    return set_array(message, "content");
}

static void anthropic_question(
        cJSON *messages, const struct story *story, size_t at, struct dice *dice)
{
    const struct story_exchange *exchange = &story->exchanges[at];
    size_t results = before(story, at) ? before(story, at)->call_count : 0;
    cJSON *blocks = results ? anthropic_user(messages) : NULL;
    for (size_t i = 0; i < results; i++)
        anthropic_result(blocks, &before(story, at)->calls[i], dice);
    if (speaks(exchange, true))
        anthropic_message(messages, "system", exchange->system, dice);
    if (exchange->piece_count && (!blocks || speaks(exchange, true) || dice_chance(dice, 3)))
        blocks = anthropic_user(messages);
    for (size_t i = 0; i < exchange->piece_count; i++)
        if (exchange->pieces[i].is_image)
            anthropic_image(blocks, exchange->pieces[i].text, dice);
        else
            anthropic_text(blocks, exchange->pieces[i].text, dice);
    if (speaks(exchange, false))
        anthropic_message(messages, "system", exchange->system, dice);
}

static void anthropic_call(cJSON *blocks, const struct story_call *call)
{
    cJSON *block = push_typed(blocks, "tool_use");
    set(block, "id", call->id);
    set(block, "name", call->name);
    cJSON_AddItemToObject(block, "input", cJSON_Duplicate(call->arguments, true));
}

static void anthropic_answer(
        cJSON *messages, const struct story_exchange *exchange, struct dice *dice)
{
    cJSON *message = push(messages), *blocks = set_array(message, "content");
    set(message, "role", "assistant");
    if (*exchange->reasoning) {
        cJSON *block = push_typed(blocks, "thinking");
        set(block, "thinking", exchange->reasoning);
        set(block, "signature", "c2ln");
    }
    if (*exchange->text)
        anthropic_text(blocks, exchange->text, dice);
    for (size_t i = 0; i < exchange->call_count; i++)
        anthropic_call(blocks, &exchange->calls[i]);
}

static void anthropic_systems(
        cJSON *body, cJSON *messages, const struct story *story, struct dice *dice)
{
    size_t first = story->system_count && dice_chance(dice, 3) ? story->system_count - 1
                                                               : story->system_count;
    cJSON *system = set_array(body, "system");
    if (dice_chance(dice, 2))
        anthropic_text(system, "x-anthropic-billing-header: cc_version=2; cch=1f2;", dice);
    for (size_t i = 0; i < first; i++)
        anthropic_text(system, story->systems[i], dice);
    if (first < story->system_count)
        anthropic_message(messages, "system", story->systems[first], dice);
}

static void anthropic_tools(cJSON *body, const struct story *story, struct dice *dice)
{
    cJSON *tools = story->tool_count ? set_array(body, "tools") : NULL;
    for (size_t i = 0; i < story->tool_count; i++) {
        const struct story_tool *from = &story->tools[i];
        cJSON *tool = push(tools);
        set(tool, "name", from->name);
        if (*from->description)
            set(tool, "description", from->description);
        cJSON_AddItemToObject(tool, "input_schema", cJSON_Duplicate(from->schema, true));
        if (from->strict)
            cJSON_AddTrueToObject(tool, "strict");
        mark(tool, dice);
    }
}

static cJSON *anthropic_tell(const struct story *story, size_t last, struct dice *dice)
{
    cJSON *body = cJSON_CreateObject(), *messages = set_array(body, "messages");
    cJSON_AddNumberToObject(body, "max_tokens", 1000);
    anthropic_systems(body, messages, story, dice);
    for (size_t i = 0; i <= last; i++) {
        anthropic_question(messages, story, i, dice);
        if (i < last)
            anthropic_answer(messages, &story->exchanges[i], dice);
    }
    anthropic_tools(body, story, dice);
    return body;
}

/* While a tool's input comes, its text stands in `partial`. */
static void anthropic_hear_stop(cJSON *block)
{
    cJSON *partial = cJSON_DetachItemFromObjectCaseSensitive(block, "partial");
    if (!partial)
        return;
    cJSON *input = parse(partial->valuestring, strlen(partial->valuestring));
    must(cJSON_IsObject(input), "a tool's input is no object");
    cJSON_ReplaceItemInObjectCaseSensitive(block, "input", input);
    cJSON_Delete(partial);
}

static void anthropic_hear_delta(cJSON *block, const cJSON *delta)
{
    static const char *const kinds[][3] = {{"text_delta", "text", "text"},
            {"thinking_delta", "thinking", "thinking"},
            {"signature_delta", "signature", "signature"},
            {"input_json_delta", "partial_json", "partial"}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (strcmp(json_str(delta, "type", ""), kinds[i][0]) == 0)
            say_more(block, kinds[i][2], json_str(delta, kinds[i][1], ""));
}

static void anthropic_hear_event(cJSON *blocks, const cJSON *event)
{
    const char *type = json_str(event, "type", "");
    cJSON *block = cJSON_GetArrayItem(blocks, (int)json_num(event, "index", 0));
    if (strcmp(type, "content_block_start") == 0)
        cJSON_AddItemToArray(blocks, cJSON_Duplicate(member(event, "content_block"), true));
    else if (strcmp(type, "content_block_delta") == 0)
        anthropic_hear_delta(block, member(event, "delta"));
    else if (strcmp(type, "content_block_stop") == 0)
        anthropic_hear_stop(block);
}

static cJSON *anthropic_hear_stream(const char *text, size_t len)
{
    cJSON *history = cJSON_CreateArray(), *message = push(history);
    set(message, "role", "assistant");
    each_event(text, len, anthropic_hear_event, set_array(message, "content"));
    return history;
}

static cJSON *anthropic_hear_whole(const char *text, size_t len)
{
    cJSON *answer = parse(text, len), *history = cJSON_CreateArray(), *message = push(history);
    set(message, "role", "assistant");
    must(json_array(answer, "content"), "a message without content");
    cJSON_AddItemToObject(message, "content", cJSON_Duplicate(json_array(answer, "content"), true));
    cJSON_Delete(answer);
    return history;
}

/* --- OpenAI's responses --- */

static void responses_text(cJSON *parts, const char *type, const char *text)
{
    set(push_typed(parts, type), "text", text);
}

static cJSON *responses_message(cJSON *input, const char *role, struct dice *dice)
{
    cJSON *item = dice_chance(dice, 2) ? push_typed(input, "message") : push(input);
    set(item, "role", role);
    return item;
}

static void responses_system(cJSON *input, const char *text, struct dice *dice)
{
    cJSON *item = responses_message(input, dice_chance(dice, 2) ? "system" : "developer", dice);
    if (dice_chance(dice, 2))
        set(item, "content", text);
    else
        responses_text(set_array(item, "content"), "input_text", text);
}

static void responses_result(cJSON *input, const struct story_call *call)
{
    cJSON *item = push_typed(input, "function_call_output");
    set(item, "call_id", call->id);
    if (!*call->image) {
        set_result(item, "output", call);
        return;
    }
    cJSON *parts = set_array(item, "output");
    set_result(push_typed(parts, "input_text"), "text", call);
    set_data_url(push_typed(parts, "input_image"), "image_url", call->image);
}

static void responses_question(
        cJSON *input, const struct story *story, size_t at, struct dice *dice)
{
    const struct story_exchange *exchange = &story->exchanges[at];
    for (size_t i = 0; before(story, at) && i < before(story, at)->call_count; i++)
        responses_result(input, &before(story, at)->calls[i]);
    if (speaks(exchange, true))
        responses_system(input, exchange->system, dice);
    cJSON *parts = exchange->piece_count
                           ? set_array(responses_message(input, "user", dice), "content")
                           : NULL;
    for (size_t i = 0; i < exchange->piece_count; i++)
        if (exchange->pieces[i].is_image)
            set_data_url(push_typed(parts, "input_image"), "image_url", exchange->pieces[i].text);
        else
            responses_text(parts, "input_text", exchange->pieces[i].text);
    if (speaks(exchange, false))
        responses_system(input, exchange->system, dice);
}

static void responses_call(cJSON *input, const struct story_call *call, struct dice *dice)
{
    cJSON *item = push_typed(input, "function_call");
    char *arguments = print(call->arguments, dice);
    set(item, "call_id", call->id);
    set(item, "name", call->name);
    set(item, "arguments", arguments);
    free(arguments);
}

static void responses_answer(cJSON *input, const struct story_exchange *exchange, struct dice *dice)
{
    if (*exchange->reasoning) {
        cJSON *item = push_typed(input, "reasoning");
        responses_text(set_array(item, "summary"), "summary_text", exchange->reasoning);
    }
    if (*exchange->text) {
        cJSON *item = responses_message(input, "assistant", dice);
        responses_text(set_array(item, "content"), "output_text", exchange->text);
    }
    for (size_t i = 0; i < exchange->call_count; i++)
        responses_call(input, &exchange->calls[i], dice);
}

static void responses_tools(cJSON *body, const struct story *story)
{
    cJSON *tools = story->tool_count ? set_array(body, "tools") : NULL;
    for (size_t i = 0; i < story->tool_count; i++) {
        const struct story_tool *from = &story->tools[i];
        cJSON *tool = push_typed(tools, "function");
        set(tool, "name", from->name);
        if (*from->description)
            set(tool, "description", from->description);
        cJSON_AddItemToObject(tool, "parameters", cJSON_Duplicate(from->schema, true));
        cJSON_AddBoolToObject(tool, "strict", from->strict);
    }
}

static cJSON *responses_tell(const struct story *story, size_t last, struct dice *dice)
{
    cJSON *body = cJSON_CreateObject(), *input = set_array(body, "input");
    bool instructed = story->system_count && dice_chance(dice, 2);
    cJSON_AddFalseToObject(body, "store");
    if (instructed)
        set(body, "instructions", story->systems[0]);
    for (size_t i = instructed; i < story->system_count; i++)
        responses_system(input, story->systems[i], dice);
    for (size_t i = 0; i <= last; i++) {
        responses_question(input, story, i, dice);
        if (i < last)
            responses_answer(input, &story->exchanges[i], dice);
    }
    responses_tools(body, story);
    return body;
}

static cJSON *responses_output(const cJSON *response)
{
    must(json_array(response, "output"), "a response without output");
    return cJSON_Duplicate(json_array(response, "output"), true);
}

static cJSON *responses_hear_stream(const char *text, size_t len)
{
    struct response_events events = {0};
    response_events_feed(&events, text, len);
    must(events.ended, "the stream of a response does not end");
    cJSON *history = responses_output(events.response);
    response_events_fini(&events);
    return history;
}

static cJSON *responses_hear_whole(const char *text, size_t len)
{
    cJSON *response = parse(text, len), *history = responses_output(response);
    cJSON_Delete(response);
    return history;
}

/* --- Ollama's chat --- */

static bool ollama_can(const struct story *story)
{
    return story->plain;
}

static cJSON *ollama_message(cJSON *messages, const char *role, const char *text)
{
    cJSON *message = push(messages);
    set(message, "role", role);
    set(message, "content", text);
    return message;
}

static void ollama_result(cJSON *messages, const struct story_call *call)
{
    cJSON *message = push(messages);
    set(message, "role", "tool");
    set(message, "tool_name", call->name);
    set(message, "tool_call_id", call->id);
    set_result(message, "content", call);
}

/* All but the first piece are pictures. */
static void ollama_user(cJSON *messages, const struct story_exchange *exchange)
{
    cJSON *message = ollama_message(messages, "user", exchange->pieces[0].text);
    cJSON *images = exchange->piece_count > 1 ? set_array(message, "images") : NULL;
    for (size_t i = 1; i < exchange->piece_count; i++)
        cJSON_AddItemToArray(images, cJSON_CreateString(exchange->pieces[i].text));
}

static void ollama_question(cJSON *messages, const struct story *story, size_t at)
{
    const struct story_exchange *exchange = &story->exchanges[at];
    for (size_t i = 0; before(story, at) && i < before(story, at)->call_count; i++)
        ollama_result(messages, &before(story, at)->calls[i]);
    if (speaks(exchange, true))
        ollama_message(messages, "system", exchange->system);
    if (exchange->piece_count)
        ollama_user(messages, exchange);
    if (speaks(exchange, false))
        ollama_message(messages, "system", exchange->system);
}

static void ollama_answer(cJSON *messages, const struct story_exchange *exchange)
{
    cJSON *message = ollama_message(messages, "assistant", exchange->text);
    if (*exchange->reasoning)
        set(message, "thinking", exchange->reasoning);
    cJSON *calls = exchange->call_count ? set_array(message, "tool_calls") : NULL;
    for (size_t i = 0; i < exchange->call_count; i++) {
        cJSON *call = push(calls), *function;
        set(call, "id", exchange->calls[i].id);
        function = cJSON_AddObjectToObject(call, "function");
        set(function, "name", exchange->calls[i].name);
        cJSON_AddItemToObject(
                function, "arguments", cJSON_Duplicate(exchange->calls[i].arguments, true));
    }
}

static cJSON *ollama_tell(const struct story *story, size_t last, struct dice *dice)
{
    cJSON *body = cJSON_CreateObject(), *messages = set_array(body, "messages");
    cJSON *tools = story_tools(story);
    for (size_t i = 0; i < story->system_count; i++)
        ollama_message(messages, "system", story->systems[i]);
    for (size_t i = 0; i <= last; i++) {
        ollama_question(messages, story, i);
        if (i < last)
            ollama_answer(messages, &story->exchanges[i]);
    }
    if (tools)
        cJSON_AddItemToObject(body, "tools", tools);
    if (dice_chance(dice, 2))
        cJSON_AddNumberToObject(cJSON_AddObjectToObject(body, "options"), "num_ctx", 32768);
    return body;
}

static void ollama_hear(cJSON *message, const cJSON *line)
{
    const cJSON *more = json_obj(line, "message");
    cJSON *calls = member(message, "tool_calls"), *call;
    must(more, "a line without a message");
    say_more(message, "content", json_str(more, "content", ""));
    if (json_str(more, "thinking", NULL))
        say_more(message, "thinking", json_str(more, "thinking", ""));
    if (json_array(more, "tool_calls") && !calls)
        calls = set_array(message, "tool_calls");
    cJSON_ArrayForEach(call, json_array(more, "tool_calls"))
    {
        cJSON_AddItemToArray(calls, cJSON_Duplicate(call, true));
    }
}

/* A whole answer is a stream of one line, but for its end. */
static cJSON *ollama_hear_all(const char *text, size_t len)
{
    cJSON *history = cJSON_CreateArray(), *message = push(history);
    set(message, "role", "assistant");
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t line_len = end ? (size_t)(end - text) : len, step = line_len + (end ? 1 : 0);
        cJSON *line = parse(text, line_len);
        ollama_hear(message, line);
        cJSON_Delete(line);
        text += step;
        len -= step;
    }
    return history;
}

/* --- all --- */

const struct chat_api chat_apis[] = {
        {"openai", &dialect_openai_chat, can_always, openai_tell, openai_hear_stream,
                openai_hear_whole, "messages"},
        {"anthropic", &dialect_anthropic_messages, can_always, anthropic_tell,
                anthropic_hear_stream, anthropic_hear_whole, "messages"},
        {"responses", &dialect_responses, can_always, responses_tell, responses_hear_stream,
                responses_hear_whole, "input"},
        {"ollama", &dialect_ollama_chat, ollama_can, ollama_tell, ollama_hear_all, ollama_hear_all,
                "messages"},
};
const size_t chat_apis_count = sizeof(chat_apis) / sizeof(*chat_apis);
