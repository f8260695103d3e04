#include "coordinator/dialects/responses/responses.h"

#include "common/json/json.h"
#include "coordinator/dialects/gathered.h"
#include "coordinator/dialects/responses/response_store.h"
#include "coordinator/dialects/responses/responses_items.h"
#include "coordinator/dialects/responses/responses_object.h"
#include "coordinator/dialects/responses/responses_tools.h"
#include "coordinator/dialects/tool_fragments.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FINISH_MAX = 32, /* bytes of a finish reason */
    /* A sign of life tells the response as it is by now, or clients that rebuild it would lose
     * what they have; past this size it says nothing at all. */
    SNAPSHOT_MAX = 256 * 1024,
};

static const size_t no_item = SIZE_MAX;

struct call {             /* of a tool, as the engine counts them */
    char *id, *name;      /* NULL: not yet known */
    struct buf arguments; /* what no event has told: all of a custom call's; else until the name */
    size_t item;          /* no_item: not yet announced */
};

struct answer {
    const struct request *request;
    const cJSON *kept;
    struct answer_facts facts;
    char id[RESPONSES_ID_MAX + 1];
    cJSON *sequence; /* number of the next event; lives in `kept` */
    double told;     /* … before the call in progress */
    struct response_items items;
    size_t open; /* the message or reasoning that takes pieces; no_item: none */
    struct call *calls;
    size_t call_count;
    struct buf pending; /* text that waits for its log-probs */
    bool logprobs;      /* were asked for */
    size_t bytes;       /* taken so far */
    char finish[FINISH_MAX];
    struct msg_usage usage;
    bool has_usage;
    struct buf *out; /* of the call in progress; NULL: no events are wanted */
    int result;      /* its first failure, which sticks */
};

/* --- events --- */

/* What is told between the two goes to `out`, NULL: nowhere. */
static void begin_telling(struct answer *answer, struct buf *out)
{
    answer->out = out;
    answer->told = answer->sequence->valuedouble;
}

/* The caller throws away what was told where it failed: those numbers are free again. */
static int end_telling(struct answer *answer)
{
    answer->out = NULL;
    if (answer->result)
        cJSON_SetNumberValue(answer->sequence, answer->told);
    return answer->result;
}

static void put(struct answer *answer, const void *data, size_t len)
{
    if (answer->out && !answer->result)
        answer->result = buf_append(answer->out, data, len);
}

static void put_text(struct answer *answer, const char *text)
{
    put(answer, text, strlen(text));
}

static void put_inside(struct answer *answer, const struct buf *inside)
{
    if (inside->len)
        put(answer, buf_at(inside), inside->len);
}

__attribute__((format(printf, 2, 3))) static void put_format(
        struct answer *answer, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    assert(len >= 0 && (size_t)len < sizeof(text));
    put(answer, text, (size_t)len);
}

static void begin_event(struct answer *answer, const char *type)
{
    if (!answer->out)
        return;
    double number = answer->sequence->valuedouble;
    put_format(answer, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%.0f", type, type,
            number);
    cJSON_SetNumberValue(answer->sequence, number + 1);
}

static void end_event(struct answer *answer)
{
    put_text(answer, "}\n\n");
}

/* An event of an item; `what` is "added", "done", … */
static void begin_item_event(
        struct answer *answer, const char *piece, const char *what, size_t index)
{
    char type[64];
    snprintf(type, sizeof(type), "%s.%s", piece, what);
    begin_event(answer, type);
    put_text(answer, ",\"item_id\":\"");
    if (answer->out && !answer->result)
        answer->result = response_items_append_id(&answer->items, index, answer->out);
    put_format(answer, "\",\"output_index\":%zu", index);
    if (answer->items.list[index].kind == ITEM_MESSAGE)
        put_text(answer, ",\"content_index\":0");
    if (answer->items.list[index].kind == ITEM_REASONING)
        put_text(answer, ",\"summary_index\":0");
}

static void tell_item(struct answer *answer, const char *type, size_t index, bool bare)
{
    begin_event(answer, type);
    put_format(answer, ",\"output_index\":%zu,\"item\":", index);
    if (answer->out && !answer->result)
        answer->result = response_items_append(&answer->items, index, bare, answer->out);
    end_event(answer);
}

static void tell_part(struct answer *answer, const char *what, size_t index, bool bare)
{
    const struct response_item *item = &answer->items.list[index];
    const char *piece = item->kind == ITEM_MESSAGE ? "response.content_part"
                                                   : "response.reasoning_summary_part";
    begin_item_event(answer, piece, what, index);
    put_text(answer, ",\"part\":");
    if (answer->out && !answer->result)
        answer->result = response_item_append_part(item, bare, answer->out);
    end_event(answer);
}

static bool has_part(const struct response_item *item)
{
    return item->kind == ITEM_MESSAGE || item->kind == ITEM_REASONING;
}

/* `inside`, `logprobs`: JSON, what stands inside of the quotes, the brackets. */
static void tell_delta(
        struct answer *answer, size_t index, const struct buf *inside, const struct buf *logprobs)
{
    const struct response_item *item = &answer->items.list[index];
    begin_item_event(answer, response_item_piece(item), "delta", index);
    put_text(answer, ",\"delta\":\"");
    put_inside(answer, inside);
    put_text(answer, "\"");
    if (item->kind == ITEM_MESSAGE) {
        put_text(answer, ",\"logprobs\":[");
        put_inside(answer, logprobs);
        put_text(answer, "]");
    }
    end_event(answer);
}

static void tell_done(struct answer *answer, size_t index)
{
    static const char *const keys[] = {
            [ITEM_REASONING] = "text",
            [ITEM_MESSAGE] = "text",
            [ITEM_FUNCTION_CALL] = "arguments",
            [ITEM_CUSTOM_CALL] = "input",
    };
    const struct response_item *item = &answer->items.list[index];
    begin_item_event(answer, response_item_piece(item), "done", index);
    put_format(answer, ",\"%s\":\"", keys[item->kind]);
    put_inside(answer, &item->text);
    put_text(answer, "\"");
    if (item->kind == ITEM_MESSAGE) {
        put_text(answer, ",\"logprobs\":[");
        put_inside(answer, &item->logprobs);
        put_text(answer, "]");
    }
    end_event(answer);
}

/* --- items --- */

static void note(struct answer *answer, int r)
{
    if (!answer->result)
        answer->result = r;
}

/* no_item where there is no memory, or no room. */
static size_t begin_item(struct answer *answer, enum item_kind kind)
{
    size_t index = no_item;
    note(answer, response_items_add(&answer->items, kind, &index));
    return index;
}

static void announce(struct answer *answer, size_t index)
{
    tell_item(answer, "response.output_item.added", index, true);
    if (has_part(&answer->items.list[index]))
        tell_part(answer, "added", index, true);
}

static int escape(const char *data, size_t len, struct buf *ret_inside)
{
    int r = json_append_str(ret_inside, data, len);
    if (r)
        return r;
    buf_consume(ret_inside, 1);
    ret_inside->len--; /* the quotes */
    return 0;
}

static void add_text(struct answer *answer, size_t index, const char *data, size_t len,
        const struct buf *logprobs)
{
    struct response_item *item = &answer->items.list[index];
    struct buf inside;
    buf_init(&inside, DIALECT_ANSWER_MAX);
    note(answer, escape(data, len, &inside));
    if (!answer->result && inside.len)
        note(answer, buf_append(&item->text, buf_at(&inside), inside.len));
    if (!answer->result && logprobs->len) {
        note(answer, item->logprobs.len ? buf_append_str(&item->logprobs, ",") : 0);
        note(answer, buf_append(&item->logprobs, buf_at(logprobs), logprobs->len));
    }
    if (!answer->result)
        tell_delta(answer, index, &inside, logprobs);
    buf_fini(&inside);
}

static void add_plain(struct answer *answer, size_t index, const char *data, size_t len)
{
    static const struct buf none;
    if (len)
        add_text(answer, index, data, len, &none);
}

static void flush_pending(struct answer *answer)
{
    if (!answer->pending.len || answer->open == no_item)
        return;
    add_plain(answer, answer->open, buf_at(&answer->pending), answer->pending.len);
    buf_clear(&answer->pending);
}

static void close_item(struct answer *answer, size_t index, const char *status)
{
    answer->items.list[index].status = status;
    tell_done(answer, index);
    if (has_part(&answer->items.list[index]))
        tell_part(answer, "done", index, false);
    tell_item(answer, "response.output_item.done", index, false);
}

static void close_open(struct answer *answer, const char *status)
{
    if (answer->open == no_item)
        return;
    flush_pending(answer);
    close_item(answer, answer->open, status);
    answer->open = no_item;
}

/* The open item, which is of this kind then; no_item: see answer->result. */
static size_t take_open(struct answer *answer, enum item_kind kind)
{
    if (answer->open != no_item && answer->items.list[answer->open].kind == kind)
        return answer->open;
    close_open(answer, "completed");
    answer->open = begin_item(answer, kind);
    if (answer->open != no_item)
        announce(answer, answer->open);
    return answer->open;
}

/* --- deltas of text --- */

static void take_reasoning(struct answer *answer, const struct msg_delta *delta)
{
    size_t index = delta->len ? take_open(answer, ITEM_REASONING) : no_item;
    if (index != no_item)
        add_plain(answer, index, delta->data, delta->len);
}

static void take_text(struct answer *answer, const struct msg_delta *delta)
{
    size_t index = delta->len ? take_open(answer, ITEM_MESSAGE) : no_item;
    if (index == no_item)
        return;
    if (answer->logprobs)
        note(answer, buf_append(&answer->pending, delta->data, delta->len));
    else
        add_plain(answer, index, delta->data, delta->len);
}

/* Readers want `top_logprobs` also where there are none. */
static int append_entry(cJSON *entry, struct buf *out)
{
    if (!cJSON_IsObject(entry))
        return -EPROTO;
    if (!json_array(entry, "top_logprobs")) {
        cJSON_DeleteItemFromObjectCaseSensitive(entry, "top_logprobs");
        if (!cJSON_AddArrayToObject(entry, "top_logprobs"))
            return -ENOMEM;
    }
    int r = out->len ? buf_append_str(out, ",") : 0;
    return r ? r : json_append(out, entry);
}

static int print_entries(const cJSON *logprobs, struct buf *out)
{
    cJSON *entry;
    int r = cJSON_IsObject(logprobs) ? 0 : -EPROTO;
    cJSON_ArrayForEach(entry, json_array(logprobs, "content"))
    {
        if (!r)
            r = append_entry(entry, out);
    }
    return r;
}

static bool in_message(const struct answer *answer)
{
    return answer->logprobs && answer->open != no_item &&
           answer->items.list[answer->open].kind == ITEM_MESSAGE;
}

/* They follow their text. Those of reasoning and of calls have no place here. */
static void take_logprobs(struct answer *answer, const struct msg_delta *delta)
{
    struct buf entries;
    cJSON *json;
    int r = json_parse(delta->data, delta->len, &json_limits_event, &json, NULL);
    if (r) {
        note(answer, r == -ENOMEM ? r : -EPROTO);
        return;
    }
    buf_init(&entries, DIALECT_ANSWER_MAX);
    note(answer, print_entries(json, &entries));
    if (!answer->result && (answer->pending.len || entries.len) && in_message(answer))
        add_text(answer, answer->open, buf_at(&answer->pending), answer->pending.len, &entries);
    buf_clear(&answer->pending);
    buf_fini(&entries);
    cJSON_Delete(json);
}

/* --- deltas of calls --- */

/* Calls come in order: an index is one that is there, or the next. */
static struct call *find_call(struct answer *answer, uint32_t index)
{
    if (index < answer->call_count)
        return &answer->calls[index];
    if (index > answer->call_count || index >= GATHERED_TOOL_CALLS_MAX) {
        note(answer, index > answer->call_count ? -EPROTO : -ENOBUFS);
        return NULL;
    }
    struct call *calls = reallocarray(answer->calls, index + 1, sizeof(*calls));
    if (!calls) {
        note(answer, -ENOMEM);
        return NULL;
    }
    answer->calls = calls;
    calls[index] = (struct call){.item = no_item};
    buf_init(&calls[index].arguments, DIALECT_ANSWER_MAX);
    answer->call_count++;
    return &calls[index];
}

static void set_once(struct answer *answer, char **field, const char *value)
{
    if (*field || !value)
        return;
    *field = strdup(value);
    note(answer, *field ? 0 : -ENOMEM);
}

static bool is_custom(const struct answer *answer, const struct call *call)
{
    return answer->items.list[call->item].kind == ITEM_CUSTOM_CALL;
}

/* What the engine calls a function may stand for something else at the client. */
static void announce_call(struct answer *answer, struct call *call, uint32_t number)
{
    const cJSON *alias = json_obj(json_obj(answer->kept, "aliases"), call->name);
    bool custom = json_bool(alias, "custom", false);
    char made[RESPONSES_ID_MAX + 32];
    snprintf(made, sizeof(made), "call_%s_%u", answer->items.hex, number);
    close_open(answer, "completed");
    size_t index = begin_item(answer, custom ? ITEM_CUSTOM_CALL : ITEM_FUNCTION_CALL);
    if (index == no_item)
        return;
    note(answer, response_items_name(&answer->items, index, call->id ? call->id : made,
                         json_str(alias, "name", call->name), json_str(alias, "namespace", NULL)));
    call->item = index;
    announce(answer, index);
}

static void tell_arguments(struct answer *answer, struct call *call)
{
    if (call->item == no_item || is_custom(answer, call))
        return;
    add_plain(answer, call->item, buf_at(&call->arguments), call->arguments.len);
    buf_clear(&call->arguments);
}

static int take_fragment(void *ctx, const struct tool_fragment *fragment)
{
    struct answer *answer = ctx;
    struct call *call = find_call(answer, fragment->index);
    if (!call)
        return answer->result;
    set_once(answer, &call->id, fragment->id);
    set_once(answer, &call->name, fragment->name);
    note(answer, buf_append_str(&call->arguments, fragment->arguments));
    if (!answer->result && call->name && call->item == no_item)
        announce_call(answer, call, fragment->index);
    if (!answer->result)
        tell_arguments(answer, call);
    return answer->result;
}

/* The text of a custom tool stands inside of JSON: it can be told once that is complete. */
static void tell_custom_input(struct answer *answer, const struct call *call)
{
    char *input = responses_tools_unwrap_input(buf_at(&call->arguments), call->arguments.len);
    note(answer, input ? 0 : -ENOMEM);
    if (input)
        add_plain(answer, call->item, input, strlen(input));
    free(input);
}

/* `last` is the status of the last one. Some clients take a custom call only if it is complete. */
static void close_calls(struct answer *answer, const char *last)
{
    for (size_t i = 0; i < answer->call_count && !answer->result; i++) {
        struct call *call = &answer->calls[i];
        if (call->item == no_item) {
            note(answer, -EPROTO); /* it never had a name */
            return;
        }
        bool custom = is_custom(answer, call);
        if (custom)
            tell_custom_input(answer, call);
        close_item(answer, call->item, custom || i + 1 < answer->call_count ? "completed" : last);
    }
}

/* --- the end --- */

/* NULL: it is complete. */
static const char *incomplete_reason(const struct answer *answer)
{
    if (strcmp(answer->finish, "length") == 0)
        return "max_output_tokens";
    return strcmp(answer->finish, "content_filter") == 0 ? "content_filter" : NULL;
}

static void take_finish(struct answer *answer, const struct msg_delta *delta)
{
    if (delta->len == 0 || delta->len >= FINISH_MAX) {
        note(answer, -EPROTO);
        return;
    }
    if (answer->finish[0])
        return;
    memcpy(answer->finish, delta->data, delta->len);
    const char *status = incomplete_reason(answer) ? "incomplete" : "completed";
    if (!answer->items.count && !answer->call_count)
        (void)take_open(answer, ITEM_MESSAGE); /* an answer without words is an empty message */
    close_open(answer, status);
    close_calls(answer, status);
}

static bool is_past_end(const struct answer *answer, const struct msg_delta *delta)
{
    return answer->finish[0] && delta->kind != DELTA_FINISH && delta->kind != DELTA_LOGPROBS &&
           delta->len > 0;
}

static void take(struct answer *answer, const struct msg_delta *delta)
{
    switch (delta->kind) {
    case DELTA_TEXT:
        take_text(answer, delta);
        break;
    case DELTA_REASONING:
        take_reasoning(answer, delta);
        break;
    case DELTA_TOOL_CALLS:
        note(answer, tool_fragments_each(delta, take_fragment, answer));
        break;
    case DELTA_LOGPROBS:
        take_logprobs(answer, delta);
        break;
    case DELTA_FINISH:
        take_finish(answer, delta);
        break;
    case DELTA_USAGE:
        answer->usage = delta->usage;
        answer->has_usage = true;
        break;
    default:
        break;
    }
}

static int take_delta(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    bool content = delta->kind <= DELTA_FINISH;
    if (delta->choice != 0 || (content && is_past_end(answer, delta)))
        return -EPROTO;
    if (delta->len > DIALECT_ANSWER_MAX - answer->bytes)
        return -ENOBUFS;
    answer->bytes += delta->len;
    begin_telling(answer, out);
    take(answer, delta);
    return end_telling(answer);
}

/* --- the response --- */

static struct responses_object object_of(const struct answer *answer, const char *status)
{
    return (struct responses_object){.id = answer->id,
            .model = answer->facts.model,
            .created_s = answer->facts.created_s,
            .status = status,
            .kept = answer->kept,
            .usage = answer->has_usage ? &answer->usage : NULL};
}

/* `output` is the caller's, initialised. */
static int print_output(const struct answer *answer, struct buf *output)
{
    return response_items_append_all(&answer->items, output);
}

static int append_lifecycle(struct answer *answer, const char *type,
        const struct responses_object *object, struct buf *out)
{
    begin_telling(answer, out);
    begin_event(answer, type);
    put_text(answer, ",\"response\":");
    if (!answer->result)
        answer->result = responses_object_append(object, out, NULL, NULL);
    end_event(answer);
    return end_telling(answer);
}

static int stream_begin(struct answer *answer, struct buf *out)
{
    struct responses_object object = object_of(answer, "in_progress");
    int r = append_lifecycle(answer, "response.created", &object, out);
    return r ? r : append_lifecycle(answer, "response.in_progress", &object, out);
}

static int append_keepalive(struct answer *answer, struct buf *out)
{
    begin_telling(answer, out);
    begin_event(answer, "keepalive");
    end_event(answer);
    return end_telling(answer);
}

static int stream_idle(struct answer *answer, struct buf *out)
{
    struct responses_object object = object_of(answer, "in_progress");
    struct buf output;
    buf_init(&output, SNAPSHOT_MAX);
    int r = print_output(answer, &output);
    object.output = &output;
    if (r)
        r = append_keepalive(answer, out);
    else
        r = append_lifecycle(answer, "response.in_progress", &object, out);
    buf_fini(&output);
    return r;
}

/* Where it cannot be kept, nobody finds it later; that is no reason to fail now. */
static void store_response(
        const struct answer *answer, const struct buf *object, size_t output_at, size_t output_len)
{
    const cJSON *kept = answer->kept;
    struct stored_response response = {.id = answer->id,
            .owner = json_str(kept, "owner", ""),
            .previous = json_str(kept, "previous", ""),
            .input = json_str(kept, "input", "[]"),
            .object = buf_at(object),
            .output_at = output_at,
            .output_len = output_len};
    if (answer->request->responses)
        (void)!response_store_put(answer->request->responses, &response);
}

/* The finished response. */
static int print_finished(struct answer *answer, struct buf *ret_object)
{
    const char *reason = incomplete_reason(answer);
    struct responses_object object = object_of(answer, reason ? "incomplete" : "completed");
    size_t output_at = 0, output_len = 0;
    struct buf output;
    if (!answer->finish[0])
        return -EPROTO;
    object.incomplete = reason;
    object.output = &output;
    buf_init(&output, DIALECT_ANSWER_MAX);
    int r = print_output(answer, &output);
    if (!r)
        r = responses_object_append(&object, ret_object, &output_at, &output_len);
    if (!r)
        r = buf_terminate(ret_object);
    if (!r)
        store_response(answer, ret_object, output_at, output_len);
    buf_fini(&output);
    return r;
}

static int stream_end(struct answer *answer, struct buf *out)
{
    bool incomplete = incomplete_reason(answer);
    struct buf object;
    buf_init(&object, DIALECT_ANSWER_MAX);
    int r = print_finished(answer, &object);
    if (!r) {
        begin_telling(answer, out);
        begin_event(answer, incomplete ? "response.incomplete" : "response.completed");
        put_text(answer, ",\"response\":");
        put_inside(answer, &object);
        end_event(answer);
        r = end_telling(answer);
    }
    buf_fini(&object);
    return r;
}

static void mark_open_items(struct answer *answer)
{
    for (size_t i = 0; i < answer->items.count; i++)
        if (strcmp(answer->items.list[i].status, "in_progress") == 0)
            answer->items.list[i].status = "incomplete";
}

/* What was too large to tell is left out here, too. */
static int stream_error(struct answer *answer, const struct api_error *error, struct buf *out)
{
    struct responses_object object = object_of(answer, "failed");
    struct buf output;
    buf_init(&output, SNAPSHOT_MAX);
    object.error_code = error->code ? error->code : "server_error";
    object.error_message = error->message ? error->message : "";
    mark_open_items(answer);
    object.output = print_output(answer, &output) ? NULL : &output;
    answer->result = 0;
    int r = append_lifecycle(answer, "response.failed", &object, out);
    buf_fini(&output);
    return r;
}

static int gather(struct answer *answer, const struct msg_delta *delta)
{
    return take_delta(answer, delta, NULL);
}

static int whole(struct answer *answer, struct buf *out)
{
    struct buf object;
    buf_init(&object, DIALECT_ANSWER_MAX);
    int r = print_finished(answer, &object);
    if (!r)
        r = buf_append(out, buf_at(&object), object.len);
    buf_fini(&object);
    return r;
}

/* --- life --- */

static void answer_destroy(struct answer *answer)
{
    if (!answer)
        return;
    for (size_t i = 0; i < answer->call_count; i++) {
        free(answer->calls[i].id);
        free(answer->calls[i].name);
        buf_fini(&answer->calls[i].arguments);
    }
    free(answer->calls);
    response_items_fini(&answer->items);
    buf_fini(&answer->pending);
    free(answer);
}

/* The number of the next event stands in what the request keeps: an answer that is made anew, for
 * another instance, goes on counting. */
static struct answer *answer_create(const struct request *request, const struct answer_facts *facts)
{
    struct answer *answer = calloc(1, sizeof(*answer));
    if (!answer)
        return NULL;
    answer->request = request;
    answer->kept = request->kept;
    answer->facts = *facts;
    answer->open = no_item;
    answer->sequence = cJSON_GetObjectItemCaseSensitive(request->kept, "sequence");
    answer->logprobs = json_bool(request->kept, "logprobs", false);
    responses_id(facts->request_id, answer->id);
    answer->items.hex = answer->id + strlen("resp_");
    answer->items.encrypted = json_bool(request->kept, "encrypted", false);
    buf_init(&answer->pending, DIALECT_ANSWER_MAX);
    return answer;
}

const struct dialect dialect_responses = {
        .name = "openai responses",
        .family = &family_openai,
        .stream_type = "text/event-stream",
        .whole_type = "application/json",
        .parse = responses_parse,
        .answer_create = answer_create,
        .answer_destroy = answer_destroy,
        .stream_begin = stream_begin,
        .stream_delta = take_delta,
        .stream_idle = stream_idle,
        .stream_end = stream_end,
        .stream_error = stream_error,
        .gather = gather,
        .whole = whole,
};
