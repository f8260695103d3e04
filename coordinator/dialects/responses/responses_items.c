#include "coordinator/dialects/responses/responses_items.h"

#include "common/json/json.h"
#include "coordinator/dialects/dialect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Reasoning is told in full, as its summary. Clients that store nothing send it back only where it
 * has an `encrypted_content`, whatever that is. */
static const char encrypted_mark[] = "summary";

void response_items_fini(struct response_items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        struct response_item *item = &items->list[i];
        free(item->call_id);
        free(item->name);
        free(item->space);
        buf_fini(&item->text);
        buf_fini(&item->logprobs);
    }
    free(items->list);
    items->list = NULL;
    items->count = 0;
}

int response_items_add(struct response_items *items, enum item_kind kind, size_t *ret_index)
{
    if (items->count == RESPONSES_ITEMS_MAX)
        return -ENOBUFS;
    struct response_item *list = reallocarray(items->list, items->count + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    items->list = list;
    list[items->count] = (struct response_item){.kind = kind, .status = "in_progress"};
    buf_init(&list[items->count].text, DIALECT_ANSWER_MAX);
    buf_init(&list[items->count].logprobs, DIALECT_ANSWER_MAX);
    *ret_index = items->count++;
    return 0;
}

int response_items_name(struct response_items *items, size_t index, const char *call_id,
        const char *name, const char *space)
{
    struct response_item *item = &items->list[index];
    item->call_id = strdup(call_id);
    item->name = strdup(name);
    item->space = space ? strdup(space) : NULL;
    return item->call_id && item->name && (item->space || !space) ? 0 : -ENOMEM;
}

const char *response_item_piece(const struct response_item *item)
{
    static const char *const names[] = {
            [ITEM_REASONING] = "response.reasoning_summary_text",
            [ITEM_MESSAGE] = "response.output_text",
            [ITEM_FUNCTION_CALL] = "response.function_call_arguments",
            [ITEM_CUSTOM_CALL] = "response.custom_tool_call_input",
    };
    return names[item->kind];
}

int response_items_append_id(const struct response_items *items, size_t index, struct buf *out)
{
    static const char *const prefixes[] = {
            [ITEM_REASONING] = "rs",
            [ITEM_MESSAGE] = "msg",
            [ITEM_FUNCTION_CALL] = "fc",
            [ITEM_CUSTOM_CALL] = "ctc",
    };
    return buf_appendf(out, "%s_%s_%zu", prefixes[items->list[index].kind], items->hex, index);
}

static int append_inside(const struct buf *inside, bool bare, struct buf *out)
{
    return bare || !inside->len ? 0 : buf_append(out, buf_at(inside), inside->len);
}

static int append_text(
        const struct response_item *item, const char *key, bool bare, struct buf *out)
{
    if (buf_appendf(out, "\"%s\":\"", key) || append_inside(&item->text, bare, out))
        return -ENOBUFS;
    return buf_append_str(out, "\"");
}

int response_item_append_part(const struct response_item *item, bool bare, struct buf *out)
{
    int r;
    if (item->kind == ITEM_REASONING) {
        r = buf_append_str(out, "{\"type\":\"summary_text\",");
    } else {
        r = buf_append_str(out, "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[");
        r = r ? r : append_inside(&item->logprobs, bare, out);
        r = r ? r : buf_append_str(out, "],");
    }
    if (r || append_text(item, "text", bare, out))
        return -ENOBUFS;
    return buf_append_str(out, "}");
}

static int append_parts(
        const struct response_item *item, const char *key, bool bare, struct buf *out)
{
    if (buf_appendf(out, ",\"%s\":[", key) ||
            (!bare && response_item_append_part(item, false, out)))
        return -ENOBUFS;
    return buf_append_str(out, "]");
}

static int append_member(struct buf *out, const char *key, const char *text)
{
    if (!text)
        return 0;
    if (buf_appendf(out, ",\"%s\":", key))
        return -ENOBUFS;
    return json_append_str(out, text, strlen(text));
}

static int append_call(
        const struct response_item *item, const char *key, bool bare, struct buf *out)
{
    if (append_member(out, "call_id", item->call_id) || append_member(out, "name", item->name) ||
            append_member(out, "namespace", item->space) || buf_append_str(out, ","))
        return -ENOBUFS;
    return append_text(item, key, bare, out);
}

static int append_content(const struct response_items *items, const struct response_item *item,
        bool bare, struct buf *out)
{
    switch (item->kind) {
    case ITEM_REASONING:
        if (append_parts(item, "summary", bare, out))
            return -ENOBUFS;
        return append_member(out, "encrypted_content", items->encrypted ? encrypted_mark : NULL);
    case ITEM_MESSAGE:
        if (buf_append_str(out, ",\"role\":\"assistant\""))
            return -ENOBUFS;
        return append_parts(item, "content", bare, out);
    case ITEM_FUNCTION_CALL:
        return append_call(item, "arguments", bare, out);
    case ITEM_CUSTOM_CALL:
        return append_call(item, "input", bare, out);
    }
    return -EPROTO;
}

int response_items_append(
        const struct response_items *items, size_t index, bool bare, struct buf *out)
{
    static const char *const types[] = {
            [ITEM_REASONING] = "reasoning",
            [ITEM_MESSAGE] = "message",
            [ITEM_FUNCTION_CALL] = "function_call",
            [ITEM_CUSTOM_CALL] = "custom_tool_call",
    };
    const struct response_item *item = &items->list[index];
    if (buf_append_str(out, "{\"id\":\"") || response_items_append_id(items, index, out) ||
            buf_appendf(out, "\",\"type\":\"%s\",\"status\":\"%s\"", types[item->kind],
                    bare ? "in_progress" : item->status) ||
            append_content(items, item, bare, out))
        return -ENOBUFS;
    return buf_append_str(out, "}");
}

int response_items_append_all(const struct response_items *items, struct buf *out)
{
    for (size_t i = 0; i < items->count; i++)
        if ((i && buf_append_str(out, ",")) || response_items_append(items, i, false, out))
            return -ENOBUFS;
    return 0;
}
