#include "common/json/json.h"
#include "coordinator/dialects/openai/openai_answer.h"
#include "coordinator/dialects/openai/openai_chat.h"
#include "coordinator/dialects/tool_fragments.h"

#include <errno.h>
#include <string.h>

/* What the client knows the reason by. Engines say "stop" behind calls too. */
static const char *finish_reason(const struct answer *answer, const char *reason, bool called)
{
    bool calls = called && strcmp(reason, "stop") == 0;
    if (calls || strcmp(reason, "tool_calls") == 0)
        return answer->functions ? "function_call" : "tool_calls";
    return reason;
}

/* --- chunks --- */

static int begin(struct answer *answer, uint32_t choice, struct buf *out)
{
    int r = openai_answer_chunk(answer, choice, out);
    return r ? r
             : buf_append_str(out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                                   "\"finish_reason\":null}]}\n\n");
}

static int text_chunk(struct answer *answer, const struct msg_delta *delta, const char *key,
        const cJSON *logprobs, struct buf *out)
{
    if (openai_answer_chunk(answer, delta->choice, out) ||
            buf_appendf(out, "\"delta\":{\"%s\":", key) ||
            json_append_str(out, delta->data, delta->len) || buf_append_str(out, "}"))
        return -ENOBUFS;
    if (logprobs && (buf_append_str(out, ",\"logprobs\":") || json_append(out, logprobs)))
        return -ENOBUFS;
    return buf_append_str(out, ",\"finish_reason\":null}]}\n\n");
}

static int text(struct answer *answer, const struct msg_delta *delta, const cJSON *logprobs,
        struct buf *out)
{
    return text_chunk(answer, delta, "content", logprobs, out);
}

static int finish(struct answer *answer, uint32_t choice, const char *came, struct buf *out)
{
    const char *reason = finish_reason(answer, came, answer->shown[choice].calls > 0);
    if (openai_answer_chunk(answer, choice, out) ||
            buf_append_str(out, "\"delta\":{},\"finish_reason\":") ||
            json_append_str(out, reason, strlen(reason)))
        return -ENOBUFS;
    return buf_append_str(out, "}]}\n\n");
}

/* --- tool calls --- */

struct fragments {
    struct answer *answer;
    struct openai_shown *shown;
    struct buf *out;
    size_t count; /* written so far */
};

/* A client may join what it gets: id and name are said once. */
static bool name_is_new(struct openai_shown *shown, const struct tool_fragment *fragment)
{
    uint64_t bit = UINT64_C(1) << (fragment->index % 64);
    uint64_t *word = &shown->named[fragment->index / 64];
    bool is_new = fragment->name && !(*word & bit);
    if (is_new)
        *word |= bit;
    return is_new;
}

static int append_function(struct fragments *fragments, const struct tool_fragment *fragment)
{
    struct buf *out = fragments->out;
    if (buf_append_str(out, "{"))
        return -ENOBUFS;
    if (name_is_new(fragments->shown, fragment) &&
            (buf_append_str(out, "\"name\":") ||
                    json_append_str(out, fragment->name, strlen(fragment->name)) ||
                    buf_append_str(out, ",")))
        return -ENOBUFS;
    if (buf_append_str(out, "\"arguments\":") ||
            json_append_str(out, fragment->arguments, strlen(fragment->arguments)))
        return -ENOBUFS;
    return buf_append_str(out, "}");
}

static int append_call(
        struct fragments *fragments, const struct tool_fragment *fragment, bool first)
{
    struct buf *out = fragments->out;
    const char *id = fragment->id ? fragment->id : "";
    if (buf_appendf(out, "%s{\"index\":%u,", fragments->count++ ? "," : "", fragment->index))
        return -ENOBUFS;
    if (first && (buf_append_str(out, "\"id\":") || json_append_str(out, id, strlen(id)) ||
                         buf_append_str(out, ",\"type\":\"function\",")))
        return -ENOBUFS;
    if (buf_append_str(out, "\"function\":") || append_function(fragments, fragment))
        return -ENOBUFS;
    return buf_append_str(out, "}");
}

/* The older form knows one call, and no list. */
static int append_function_call(struct fragments *fragments, const struct tool_fragment *fragment)
{
    if (fragment->index > 0 || fragments->count > 0)
        return 0;
    fragments->count++;
    return append_function(fragments, fragment);
}

/* Calls come in order: an index is one that is there, or the next. */
static int take_fragment(void *ctx, const struct tool_fragment *fragment)
{
    struct fragments *fragments = ctx;
    struct openai_shown *shown = fragments->shown;
    bool first = fragment->index == shown->calls;
    if (fragment->index > shown->calls)
        return -EPROTO;
    if (first)
        shown->calls++;
    if (fragments->answer->functions)
        return append_function_call(fragments, fragment);
    return append_call(fragments, fragment, first);
}

static int calls_chunk(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    struct fragments fragments = {answer, &answer->shown[delta->choice], out, 0};
    size_t len_before = out->len;
    if (openai_answer_chunk(answer, delta->choice, out) ||
            buf_append_str(out, answer->functions ? "\"delta\":{\"function_call\":"
                                                  : "\"delta\":{\"tool_calls\":["))
        return -ENOBUFS;
    int r = tool_fragments_each(delta, take_fragment, &fragments);
    if (r)
        return r;
    if (fragments.count == 0) {
        out->len = len_before;
        return 0;
    }
    return buf_appendf(out, "%s},\"finish_reason\":null}]}\n\n", answer->functions ? "" : "]");
}

static int other(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    if (delta->kind == DELTA_TOOL_CALLS)
        return calls_chunk(answer, delta, out);
    return text_chunk(answer, delta, "reasoning_content", NULL, out);
}

/* --- whole --- */

/* The first call, in the older form. */
static bool make_function_call(cJSON *message)
{
    cJSON *calls = cJSON_DetachItemFromObjectCaseSensitive(message, "tool_calls");
    cJSON *call = calls ? calls->child : NULL;
    cJSON *function = cJSON_DetachItemFromObjectCaseSensitive(call, "function");
    bool made = !function || cJSON_AddItemToObject(message, "function_call", function);
    if (!made)
        cJSON_Delete(function);
    cJSON_Delete(calls);
    return made;
}

static int append_older_message(const struct answer *answer, uint32_t choice, struct buf *out)
{
    struct buf printed;
    buf_init(&printed, 2 * DIALECT_ANSWER_MAX);
    int r = gathered_append_message(answer->gathered, choice, &printed);
    cJSON *message = r ? NULL : cJSON_ParseWithLength(buf_at(&printed), printed.len);
    buf_fini(&printed);
    if (!r)
        r = message && make_function_call(message) ? json_append(out, message) : -ENOMEM;
    cJSON_Delete(message);
    return r;
}

static int append_message(const struct answer *answer, uint32_t choice, struct buf *out)
{
    return answer->functions ? append_older_message(answer, choice, out)
                             : gathered_append_message(answer->gathered, choice, out);
}

static int whole(const struct answer *answer, uint32_t choice, struct buf *out)
{
    const char *reason = finish_reason(answer, gathered_finish(answer->gathered, choice),
            gathered_has_calls(answer->gathered, choice));
    if (buf_appendf(out, "{\"index\":%u,\"message\":", choice) ||
            append_message(answer, choice, out) || buf_append_str(out, ",\"logprobs\":") ||
            gathered_append_logprobs(answer->gathered, choice, out) ||
            buf_append_str(out, ",\"finish_reason\":") ||
            json_append_str(out, reason, strlen(reason)))
        return -ENOBUFS;
    return buf_append_str(out, "}");
}

struct answer *openai_chat_answer_create(
        const struct request *request, const struct answer_facts *facts)
{
    static const struct openai_form form = {.id_prefix = "chatcmpl-",
            .stream_object = "chat.completion.chunk",
            .whole_object = "chat.completion",
            .begin = begin,
            .text = text,
            .other = other,
            .finish = finish,
            .whole = whole};
    return openai_answer_create(&form, request, facts);
}
