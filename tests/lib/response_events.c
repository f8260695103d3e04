#include "tests/lib/response_events.h"

#include "common/json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool sound, const char *what, const cJSON *event)
{
    if (sound)
        return;
    char *text = cJSON_Print(event);
    fprintf(stderr, "an event breaks a rule: %s\n%s\n", what, text ? text : "(no memory)");
    abort();
}

static cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static bool same(const cJSON *a, const cJSON *b)
{
    return a && b && cJSON_Compare(a, b, true);
}

static void set(cJSON *object, const char *key, cJSON *item)
{
    if (!item || !cJSON_ReplaceItemInObjectCaseSensitive(object, key, item))
        abort();
}

static void push(cJSON *array, cJSON *item)
{
    if (!item || !cJSON_AddItemToArray(array, item))
        abort();
}

/* The item that an event is about. */
static cJSON *item_of(struct response_events *events, const cJSON *event)
{
    int index = (int)json_num(event, "output_index", -1);
    cJSON *item = cJSON_GetArrayItem(member(events->response, "output"), index);
    must(index >= 0 && item, "output_index", event);
    must(strcmp(json_str(event, "item_id", ""), json_str(item, "id", "-")) == 0, "item_id", event);
    must(strcmp(json_str(item, "status", ""), "in_progress") == 0, "the item is done", event);
    return item;
}

/* Where the text of an item stands: in its only part, or in itself. */
static cJSON *holder_of(cJSON *item, const cJSON *event, const char **ret_key)
{
    static const struct {
        const char *type, *parts, *key;
    } kinds[] = {{"message", "content", "text"}, {"reasoning", "summary", "text"},
            {"function_call", NULL, "arguments"}, {"custom_tool_call", NULL, "input"}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(json_str(item, "type", ""), kinds[i].type) != 0)
            continue;
        *ret_key = kinds[i].key;
        cJSON *parts = kinds[i].parts ? member(item, kinds[i].parts) : NULL;
        must(!kinds[i].parts || cJSON_GetArraySize(parts) == 1, "there is no part", event);
        return parts ? parts->child : item;
    }
    must(false, "no known type of item", event);
    return NULL;
}

static void on_delta(struct response_events *events, const cJSON *event)
{
    const char *key, *delta = json_str(event, "delta", NULL);
    cJSON *holder = holder_of(item_of(events, event), event, &key), *entry;
    const char *before = json_str(holder, key, "");
    must(delta != NULL, "delta", event);
    char *text = malloc(strlen(before) + strlen(delta) + 1);
    if (!text)
        abort();
    strcat(strcpy(text, before), delta);
    set(holder, key, cJSON_CreateString(text));
    free(text);
    cJSON_ArrayForEach(entry, member(event, "logprobs"))
    {
        push(member(holder, "logprobs"), cJSON_Duplicate(entry, true));
    }
}

static void on_text_done(struct response_events *events, const cJSON *event)
{
    const char *key;
    cJSON *holder = holder_of(item_of(events, event), event, &key);
    must(same(member(event, key), member(holder, key)), "the sum of the deltas", event);
    if (member(holder, "logprobs"))
        must(same(member(event, "logprobs"), member(holder, "logprobs")), "logprobs", event);
}

static void on_part_added(struct response_events *events, const cJSON *event)
{
    cJSON *item = item_of(events, event);
    cJSON *content = member(item, "content");
    cJSON *parts = content ? content : member(item, "summary");
    must(parts && !parts->child, "a second part", event);
    must(strcmp(json_str(member(event, "part"), "text", "-"), "") == 0, "a new part", event);
    push(parts, cJSON_Duplicate(member(event, "part"), true));
}

static void on_part_done(struct response_events *events, const cJSON *event)
{
    const char *key;
    cJSON *part = holder_of(item_of(events, event), event, &key);
    must(same(member(event, "part"), part), "the part", event);
}

static void on_item_added(struct response_events *events, const cJSON *event)
{
    cJSON *output = member(events->response, "output"), *item = member(event, "item"), *other;
    must(json_num(event, "output_index", -1) == cJSON_GetArraySize(output), "the place", event);
    must(strcmp(json_str(item, "status", ""), "in_progress") == 0, "the new item", event);
    cJSON_ArrayForEach(other, output)
    {
        must(strcmp(json_str(other, "id", ""), json_str(item, "id", "")) != 0, "the id", event);
    }
    push(output, cJSON_Duplicate(item, true));
}

static void on_item_done(struct response_events *events, const cJSON *event)
{
    int index = (int)json_num(event, "output_index", -1);
    cJSON *item = cJSON_GetArrayItem(member(events->response, "output"), index);
    const char *status = json_str(member(event, "item"), "status", "");
    must(item && strcmp(json_str(item, "status", ""), "in_progress") == 0, "done again", event);
    must(strcmp(status, "completed") == 0 || strcmp(status, "incomplete") == 0, "status", event);
    set(item, "status", cJSON_CreateString(status));
    must(same(item, member(event, "item")), "the item", event);
}

static void on_created(struct response_events *events, const cJSON *event)
{
    const cJSON *response = member(event, "response");
    const char *status = json_str(response, "status", "");
    must(!events->response, "created again", event);
    must(strcmp(status, "in_progress") == 0 || strcmp(status, "queued") == 0, "status", event);
    must(cJSON_GetArraySize(member(response, "output")) == 0, "output", event);
    events->response = cJSON_Duplicate(response, true);
}

static void check_snapshot(struct response_events *events, const cJSON *event)
{
    const cJSON *response = member(event, "response");
    must(same(member(response, "id"), member(events->response, "id")), "the id", event);
    must(same(member(response, "output"), member(events->response, "output")), "output", event);
}

static void take_response(struct response_events *events, const cJSON *event)
{
    cJSON_Delete(events->response);
    events->response = cJSON_Duplicate(member(event, "response"), true);
}

static void on_in_progress(struct response_events *events, const cJSON *event)
{
    must(strcmp(json_str(member(event, "response"), "status", ""), "in_progress") == 0, "status",
            event);
    check_snapshot(events, event);
}

static void on_end(struct response_events *events, const cJSON *event)
{
    const char *status = json_str(member(event, "response"), "status", "");
    const cJSON *item;
    must(strcmp(status, json_str(event, "type", "response.") + strlen("response.")) == 0, "status",
            event);
    check_snapshot(events, event);
    cJSON_ArrayForEach(item, member(events->response, "output"))
    {
        must(strcmp(json_str(item, "status", ""), "in_progress") != 0, "an item is open", event);
    }
    take_response(events, event);
    events->ended = true;
}

/* What was told may be cut short, and a response may be cancelled. */
static void on_failed(struct response_events *events, const cJSON *event)
{
    const char *status = json_str(member(event, "response"), "status", "");
    must(strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0, "status", event);
    take_response(events, event);
    events->ended = true;
}

static void on_keepalive(struct response_events *events, const cJSON *event)
{
    (void)events;
    (void)event;
}

static const struct {
    const char *type;
    void (*take)(struct response_events *events, const cJSON *event);
} handlers[] = {
        {"response.created", on_created},
        {"response.in_progress", on_in_progress},
        {"keepalive", on_keepalive},
        {"response.output_item.added", on_item_added},
        {"response.content_part.added", on_part_added},
        {"response.reasoning_summary_part.added", on_part_added},
        {"response.output_text.delta", on_delta},
        {"response.reasoning_summary_text.delta", on_delta},
        {"response.function_call_arguments.delta", on_delta},
        {"response.custom_tool_call_input.delta", on_delta},
        {"response.output_text.done", on_text_done},
        {"response.reasoning_summary_text.done", on_text_done},
        {"response.function_call_arguments.done", on_text_done},
        {"response.custom_tool_call_input.done", on_text_done},
        {"response.content_part.done", on_part_done},
        {"response.reasoning_summary_part.done", on_part_done},
        {"response.output_item.done", on_item_done},
        {"response.completed", on_end},
        {"response.incomplete", on_end},
        {"response.failed", on_failed},
};

static void take(struct response_events *events, const char *name, const cJSON *event)
{
    must(strcmp(json_str(event, "type", ""), name) == 0, "the name is not the type", event);
    must(json_num(event, "sequence_number", -1) == (double)events->next++, "the number", event);
    must(!events->ended, "it comes behind the end", event);
    must(events->response || strcmp(name, "response.created") == 0, "nothing was created", event);
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
        if (strcmp(handlers[i].type, name) == 0) {
            handlers[i].take(events, event);
            return;
        }
    must(false, "no such event", event);
}

void response_events_feed(struct response_events *events, const char *text, size_t len)
{
    static const char head[] = "event: ", data[] = "\ndata: ";
    while (len > 0) {
        const char *end = memmem(text, len, "\n\n", 2), *json = memmem(text, len, data, 7);
        char name[64];
        must(end && json && json < end && strncmp(text, head, strlen(head)) == 0, text, NULL);
        snprintf(name, sizeof(name), "%.*s", (int)(json - text - (ptrdiff_t)strlen(head)),
                text + strlen(head));
        json += strlen(data);
        cJSON *event = cJSON_ParseWithLength(json, (size_t)(end - json));
        must(event && !memchr(json, '\n', (size_t)(end - json)), name, event);
        take(events, name, event);
        cJSON_Delete(event);
        len -= (size_t)(end + 2 - text);
        text = end + 2;
    }
}

void response_events_fini(struct response_events *events)
{
    cJSON_Delete(events->response);
    events->response = NULL;
}
