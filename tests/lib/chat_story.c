#include "tests/lib/chat_story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- dice --- */

void dice_init(struct dice *dice, uint64_t seed)
{
    dice->state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 8; i++)
        (void)dice_below(dice, 2);
}

size_t dice_below(struct dice *dice, size_t sides)
{
    dice->state ^= dice->state << 13;
    dice->state ^= dice->state >> 7;
    dice->state ^= dice->state << 17;
    return (size_t)(dice->state >> 11) % sides;
}

bool dice_chance(struct dice *dice, size_t one_in)
{
    return dice_below(dice, one_in) == 0;
}

/* --- making one up --- */

static const char *const words[] = {"a", "read ", "\xc3\xa9t\xc3\xa9", "\xf0\x9f\x98\x80",
        "\xe2\x80\xae", "\xe2\x80\xa8", "\"quoted\"", "\\", "\n", "\n\n", "\t", "\x01", "\x7f",
        "</think>", "<|im_end|>", "{\"a\":1}", "data: x", "event: y", "  ", "[]", "null",
        "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "x-anthropic", "%s%n"};

/* Not empty. */
static void make_text(struct dice *dice, char text[static STORY_TEXT_MAX])
{
    size_t count = 1 + dice_below(dice, 8);
    text[0] = '\0';
    while (count-- > 0)
        strcat(text, words[dice_below(dice, sizeof(words) / sizeof(*words))]);
}

static void make_image(struct dice *dice, char base64[static STORY_TEXT_MAX])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = 16 + 4 * dice_below(dice, 20);
    strcpy(base64, "iVBORw0KGgo");
    for (size_t i = strlen(base64); i < len; i++)
        base64[i] = digits[dice_below(dice, sizeof(digits) - 1)];
    base64[len] = '\0';
}

static cJSON *make_object(struct dice *dice, size_t depth);

static cJSON *make_array(struct dice *dice)
{
    cJSON *array = cJSON_CreateArray();
    for (size_t count = dice_below(dice, 3); count > 0; count--)
        cJSON_AddItemToArray(array, cJSON_CreateNumber((double)count));
    return array;
}

static cJSON *make_value(struct dice *dice, size_t depth)
{
    static const double numbers[] = {0, 1, -1, 0.5, -273.15, 9007199254740991, 1e21, 1e-7, 123456};
    char text[STORY_TEXT_MAX];
    switch (dice_below(dice, depth ? 6 : 4)) {
    case 0:
        make_text(dice, text);
        return cJSON_CreateString(text);
    case 1:
        return cJSON_CreateNumber(numbers[dice_below(dice, sizeof(numbers) / sizeof(*numbers))]);
    case 2:
        return cJSON_CreateBool(dice_chance(dice, 2));
    case 3:
        return dice_chance(dice, 2) ? cJSON_CreateNull() : cJSON_CreateString("");
    case 4:
        return make_array(dice);
    default:
        return make_object(dice, depth - 1);
    }
}

static cJSON *make_object(struct dice *dice, size_t depth)
{
    static const char *const keys[] = {"path", "n", "\xc3\xbc", "a b", "x\"y"};
    cJSON *object = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (dice_chance(dice, 2))
            cJSON_AddItemToObject(object, keys[i], make_value(dice, depth));
    return object;
}

static void make_call(struct dice *dice, bool plain, size_t number, struct story_call *call)
{
    snprintf(call->id, sizeof(call->id), "%s%zu_%zu", dice_chance(dice, 2) ? "call_" : "toolu_",
            number, dice_below(dice, 1000));
    snprintf(call->name, sizeof(call->name), "tool_%zu", dice_below(dice, STORY_TOOLS_MAX));
    call->arguments = make_object(dice, 2);
    if (!dice_chance(dice, 6))
        make_text(dice, call->result);
    call->failed = dice_chance(dice, 4);
    if (!plain && dice_chance(dice, 4))
        make_image(dice, call->image);
}

static void make_pieces(struct dice *dice, bool plain, struct story_exchange *exchange)
{
    exchange->piece_count = 1 + dice_below(dice, STORY_PIECES_MAX);
    for (size_t i = 0; i < exchange->piece_count; i++) {
        struct story_piece *piece = &exchange->pieces[i];
        piece->is_image = plain ? i > 0 : dice_chance(dice, 3);
        if (piece->is_image)
            make_image(dice, piece->text);
        else
            make_text(dice, piece->text);
    }
}

static void make_answer(
        struct dice *dice, bool plain, size_t number, struct story_exchange *exchange)
{
    if (dice_chance(dice, 2))
        make_text(dice, exchange->reasoning);
    if (dice_chance(dice, 2))
        exchange->call_count = 1 + dice_below(dice, STORY_CALLS_MAX);
    if (exchange->call_count == 0 || dice_chance(dice, 2))
        make_text(dice, exchange->text);
    for (size_t i = 0; i < exchange->call_count; i++)
        make_call(dice, plain, STORY_CALLS_MAX * number + i, &exchange->calls[i]);
}

static void make_tool(struct dice *dice, bool plain, size_t number, struct story_tool *tool)
{
    snprintf(tool->name, sizeof(tool->name), "tool_%zu", number);
    if (dice_chance(dice, 2))
        make_text(dice, tool->description);
    tool->schema = make_object(dice, 2);
    tool->strict = !plain && dice_chance(dice, 3);
}

void story_make(struct story *story, struct dice *dice)
{
    *story = (struct story){.plain = dice_chance(dice, 2),
            .system_count = dice_below(dice, STORY_SYSTEMS_MAX + 1),
            .tool_count = dice_below(dice, STORY_TOOLS_MAX + 1),
            .exchange_count = 1 + dice_below(dice, STORY_EXCHANGES_MAX)};
    for (size_t i = 0; i < story->system_count; i++)
        make_text(dice, story->systems[i]);
    for (size_t i = 0; i < story->tool_count; i++)
        make_tool(dice, story->plain, i, &story->tools[i]);
    for (size_t i = 0; i < story->exchange_count; i++) {
        struct story_exchange *exchange = &story->exchanges[i];
        bool answers_calls = i > 0 && story->exchanges[i - 1].call_count > 0;
        if (!answers_calls || dice_chance(dice, 3))
            make_pieces(dice, story->plain, exchange);
        if (dice_chance(dice, 4))
            make_text(dice, exchange->system);
        exchange->system_first = i > 0 && dice_chance(dice, 2);
        make_answer(dice, story->plain, i, exchange);
    }
}

void story_fini(struct story *story)
{
    for (size_t i = 0; i < story->tool_count; i++)
        cJSON_Delete(story->tools[i].schema);
    for (size_t i = 0; i < story->exchange_count; i++)
        for (size_t j = 0; j < story->exchanges[i].call_count; j++)
            cJSON_Delete(story->exchanges[i].calls[j].arguments);
}

/* --- the neutral chat --- */

static cJSON *add_message(cJSON *messages, const char *role)
{
    cJSON *message = cJSON_CreateObject();
    cJSON_AddStringToObject(message, "role", role);
    cJSON_AddItemToArray(messages, message);
    return message;
}

/* Adds to the array of parts: texts that meet become one. */
static void add_text(cJSON *parts, const char *text)
{
    char joined[(STORY_PIECES_MAX + 1) * (STORY_TEXT_MAX + 1)];
    cJSON *last = parts->child ? parts->child->prev : NULL;
    cJSON *before = last ? cJSON_GetObjectItem(last, "text") : NULL;
    if (before) {
        snprintf(joined, sizeof(joined), "%s\n%s", before->valuestring, text);
        cJSON_SetValuestring(before, joined);
        return;
    }
    cJSON *part = cJSON_CreateObject();
    cJSON_AddStringToObject(part, "type", "text");
    cJSON_AddStringToObject(part, "text", text);
    cJSON_AddItemToArray(parts, part);
}

static void add_image(cJSON *parts, const char *base64)
{
    char url[STORY_TEXT_MAX + 40];
    cJSON *part = cJSON_CreateObject();
    snprintf(url, sizeof(url), "data:image/png;base64,%s", base64);
    cJSON_AddStringToObject(part, "type", "image_url");
    cJSON_AddStringToObject(cJSON_AddObjectToObject(part, "image_url"), "url", url);
    cJSON_AddItemToArray(parts, part);
}

/* Takes `parts`. */
static void add_user(cJSON *messages, cJSON *parts)
{
    bool text_only =
            parts->child && !parts->child->next && cJSON_GetObjectItem(parts->child, "text");
    if (parts->child && text_only)
        cJSON_AddStringToObject(add_message(messages, "user"), "content",
                cJSON_GetObjectItem(parts->child, "text")->valuestring);
    else if (parts->child)
        cJSON_AddItemToObject(
                add_message(messages, "user"), "content", cJSON_Duplicate(parts, true));
    cJSON_Delete(parts);
}

static void add_result(cJSON *messages, cJSON *parts, const struct story_call *call)
{
    char text[STORY_TEXT_MAX + 10];
    cJSON *message = add_message(messages, "tool");
    snprintf(text, sizeof(text), "%s%s%s", call->failed ? "Error:" : "",
            call->failed && *call->result ? "\n" : "", call->result);
    cJSON_AddStringToObject(message, "tool_call_id", call->id);
    cJSON_AddStringToObject(message, "content", text);
    if (*call->image)
        add_image(parts, call->image);
}

static void add_question(cJSON *messages, const struct story *story, size_t at)
{
    const struct story_exchange *exchange = &story->exchanges[at];
    const struct story_exchange *before = at > 0 ? exchange - 1 : NULL;
    cJSON *parts = cJSON_CreateArray();
    for (size_t i = 0; before && i < before->call_count; i++)
        add_result(messages, parts, &before->calls[i]);
    if (*exchange->system && exchange->system_first)
        add_text(parts, exchange->system);
    for (size_t i = 0; i < exchange->piece_count; i++)
        if (exchange->pieces[i].is_image)
            add_image(parts, exchange->pieces[i].text);
        else
            add_text(parts, exchange->pieces[i].text);
    if (*exchange->system && !exchange->system_first)
        add_text(parts, exchange->system);
    add_user(messages, parts);
}

static cJSON *make_neutral_call(const struct story_call *call)
{
    cJSON *json = cJSON_CreateObject(), *function;
    char *arguments = cJSON_PrintUnformatted(call->arguments);
    cJSON_AddStringToObject(json, "id", call->id);
    cJSON_AddStringToObject(json, "type", "function");
    function = cJSON_AddObjectToObject(json, "function");
    cJSON_AddStringToObject(function, "name", call->name);
    cJSON_AddStringToObject(function, "arguments", arguments);
    free(arguments);
    return json;
}

cJSON *story_answer(const struct story *story, size_t exchange)
{
    const struct story_exchange *said = &story->exchanges[exchange];
    cJSON *message = cJSON_CreateObject(), *calls;
    cJSON_AddStringToObject(message, "role", "assistant");
    if (*said->text || said->call_count == 0)
        cJSON_AddStringToObject(message, "content", said->text);
    else
        cJSON_AddNullToObject(message, "content");
    if (*said->reasoning)
        cJSON_AddStringToObject(message, "reasoning_content", said->reasoning);
    calls = said->call_count ? cJSON_AddArrayToObject(message, "tool_calls") : NULL;
    for (size_t i = 0; i < said->call_count; i++)
        cJSON_AddItemToArray(calls, make_neutral_call(&said->calls[i]));
    return message;
}

cJSON *story_messages(const struct story *story, size_t last)
{
    cJSON *messages = cJSON_CreateArray();
    char system[STORY_SYSTEMS_MAX * (STORY_TEXT_MAX + 1)] = "";
    for (size_t i = 0; i < story->system_count; i++) {
        strcat(system, i ? "\n" : "");
        strcat(system, story->systems[i]);
    }
    if (story->system_count)
        cJSON_AddStringToObject(add_message(messages, "system"), "content", system);
    for (size_t i = 0; i <= last; i++) {
        add_question(messages, story, i);
        if (i < last)
            cJSON_AddItemToArray(messages, story_answer(story, i));
    }
    return messages;
}

cJSON *story_tools(const struct story *story)
{
    cJSON *tools = story->tool_count ? cJSON_CreateArray() : NULL;
    for (size_t i = 0; i < story->tool_count; i++) {
        const struct story_tool *from = &story->tools[i];
        cJSON *tool = cJSON_CreateObject(), *function;
        cJSON_AddStringToObject(tool, "type", "function");
        function = cJSON_AddObjectToObject(tool, "function");
        cJSON_AddStringToObject(function, "name", from->name);
        if (*from->description)
            cJSON_AddStringToObject(function, "description", from->description);
        cJSON_AddItemToObject(function, "parameters", cJSON_Duplicate(from->schema, true));
        if (from->strict)
            cJSON_AddTrueToObject(function, "strict");
        cJSON_AddItemToArray(tools, tool);
    }
    return tools;
}
