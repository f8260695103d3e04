#include "coordinator/dialects/ollama/ollama_answer.h"

#include "common/json/json.h"
#include "coordinator/dialects/gathered.h"
#include "coordinator/dialects/tool_arguments.h"
#include "coordinator/dialects/tool_calls.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEAD_MAX = 1024 };

struct answer {
    const struct request *request;
    bool chat;
    struct buf head; /* `{"model":"…","created_at":"…"`: what every object begins with */
    char finish[GATHERED_FINISH_MAX];
    struct msg_usage usage;
    struct tool_calls calls;
    /* Whole answers only. */
    struct buf text, thinking;
    struct buf logprobs; /* entries, with commas between them */
};

/* --- creation --- */

/* Ollama says the name that it was asked for. */
static int make_head(struct answer *answer, const struct answer_facts *facts)
{
    const char *asked = answer->request->asked, *name = *asked ? asked : facts->model;
    char when[64];
    struct tm tm;
    time_t created = (time_t)facts->created_s;
    if (!gmtime_r(&created, &tm) || !strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm))
        return -EINVAL;
    if (buf_append_str(&answer->head, "{\"model\":") ||
            json_append_str(&answer->head, name, strlen(name)))
        return -ENOMEM;
    return buf_appendf(&answer->head, ",\"created_at\":\"%s.000000Z\"", when);
}

static struct answer *create(
        const struct request *request, const struct answer_facts *facts, bool chat)
{
    struct answer *answer = calloc(1, sizeof(*answer));
    if (!answer)
        return NULL;
    answer->request = request;
    answer->chat = chat;
    buf_init(&answer->head, HEAD_MAX);
    buf_init(&answer->text, GATHERED_BYTES_MAX);
    buf_init(&answer->thinking, GATHERED_BYTES_MAX);
    buf_init(&answer->logprobs, GATHERED_BYTES_MAX);
    if (make_head(answer, facts) == 0)
        return answer;
    ollama_answer_destroy(answer);
    return NULL;
}

struct answer *ollama_answer_create_chat(
        const struct request *request, const struct answer_facts *facts)
{
    return create(request, facts, true);
}

struct answer *ollama_answer_create_generate(
        const struct request *request, const struct answer_facts *facts)
{
    return create(request, facts, false);
}

void ollama_answer_destroy(struct answer *answer)
{
    if (!answer)
        return;
    buf_fini(&answer->head);
    buf_fini(&answer->text);
    buf_fini(&answer->thinking);
    buf_fini(&answer->logprobs);
    tool_calls_fini(&answer->calls);
    free(answer);
}

/* --- the pieces of an object --- */

struct piece { /* of text */
    const char *data;
    size_t len;
};

static struct piece piece_of(const struct buf *buf)
{
    return (struct piece){.data = buf->len ? buf_at(buf) : "", .len = buf->len};
}

/* Appends the arguments as an object, whatever the model wrote; `*ret_complete` tells whether it
 * wrote one to its end. */
static int append_arguments(const struct tool_call *call, struct buf *out, bool *ret_complete)
{
    struct tool_arguments arguments = {0};
    struct piece text = piece_of(&call->arguments);
    int r = tool_arguments_push(&arguments, text.data, text.len, out);
    *ret_complete = text.len == 0 || tool_arguments_complete(&arguments);
    return r ? r : tool_arguments_close(&arguments, out);
}

static int append_call(const struct tool_call *call, size_t index, struct buf *out)
{
    if (!call->name)
        return -EPROTO;
    if (buf_append_str(out, index ? ",{" : "{"))
        return -ENOBUFS;
    if (call->id &&
            (buf_append_str(out, "\"id\":") || json_append_str(out, call->id, strlen(call->id)) ||
                    buf_append_str(out, ",")))
        return -ENOBUFS;
    if (buf_appendf(out, "\"function\":{\"index\":%zu,\"name\":", index) ||
            json_append_str(out, call->name, strlen(call->name)) ||
            buf_append_str(out, ",\"arguments\":"))
        return -ENOBUFS;
    bool complete;
    int r = append_arguments(call, out, &complete);
    return r ? r : buf_append_str(out, "}}");
}

static int append_calls(const struct tool_calls *calls, struct buf *out)
{
    int r = buf_append_str(out, ",\"tool_calls\":[");
    for (size_t i = 0; !r && i < calls->count; i++)
        r = append_call(&calls->list[i], i, out);
    return r ? r : buf_append_str(out, "]");
}

/* `"message":{…` or `"response":…` with what the answer says here, and what stands beside it. */
static int append_said(const struct answer *answer, struct piece text, struct piece thinking,
        bool calls, struct buf *out)
{
    const char *open =
            answer->chat ? ",\"message\":{\"role\":\"assistant\",\"content\":" : ",\"response\":";
    if (buf_append(out, buf_at(&answer->head), answer->head.len) || buf_append_str(out, open) ||
            json_append_str(out, text.data, text.len))
        return -ENOBUFS;
    if (thinking.len && (buf_append_str(out, ",\"thinking\":") ||
                                json_append_str(out, thinking.data, thinking.len)))
        return -ENOBUFS;
    int r = calls && answer->calls.count ? append_calls(&answer->calls, out) : 0;
    if (r)
        return r;
    return answer->chat ? buf_append_str(out, "}") : 0;
}

static const char *done_reason(const struct answer *answer)
{
    const char *settled = json_str(answer->request->kept, OLLAMA_KEPT_SETTLED, NULL);
    if (settled)
        return settled;
    return strcmp(answer->finish, "length") == 0 ? "length" : "stop";
}

static unsigned long long nanoseconds(float ms)
{
    return ms > 0 ? (unsigned long long)llround((double)ms * 1e6) : 0;
}

static int append_done(const struct answer *answer, struct buf *out)
{
    const struct msg_usage *usage = &answer->usage;
    unsigned long long prefill = nanoseconds(usage->prefill_ms),
                       decode = nanoseconds(usage->decode_ms);
    return buf_appendf(out,
            ",\"done\":true,\"done_reason\":\"%s\",\"total_duration\":%llu,\"load_duration\":0,"
            "\"prompt_eval_count\":%u,\"prompt_eval_duration\":%llu,\"eval_count\":%u,"
            "\"eval_duration\":%llu}",
            done_reason(answer), prefill + decode, usage->prompt_tokens, prefill,
            usage->completion_tokens, decode);
}

/* Of a whole answer there is nothing to say before its end; -EPROTO where that has not come. */
static int check_finished(const struct answer *answer)
{
    return *answer->finish || answer->request->settled ? 0 : -EPROTO;
}

/* An answer that was cut at its limit may have lost the end of its last call: made like that, it
 * could do harm. */
static int drop_cut_call(struct answer *answer)
{
    struct buf scratch;
    bool complete;
    if (answer->calls.count == 0)
        return 0;
    buf_init(&scratch, GATHERED_BYTES_MAX);
    int r = append_arguments(&answer->calls.list[answer->calls.count - 1], &scratch, &complete);
    if (!r && !complete)
        tool_calls_drop_last(&answer->calls);
    buf_fini(&scratch);
    return r;
}

static int note_finish(struct answer *answer, const struct msg_delta *delta)
{
    if (delta->len == 0 || delta->len >= GATHERED_FINISH_MAX)
        return -EPROTO;
    memcpy(answer->finish, delta->data, delta->len);
    answer->finish[delta->len] = '\0';
    return strcmp(answer->finish, "length") == 0 ? drop_cut_call(answer) : 0;
}

/* Appends the entries of {"content":[…]}, with commas between them and behind what is there. */
static int append_entries(const struct msg_delta *delta, struct buf *out)
{
    const cJSON *entry;
    cJSON *logprobs;
    int r = json_parse(delta->data, delta->len, &json_limits_event, &logprobs, NULL);
    if (r)
        return r == -ENOMEM ? r : -EPROTO;
    cJSON_ArrayForEach(entry, json_array(logprobs, "content"))
    {
        if (!r && out->len > 0)
            r = buf_append_str(out, ",");
        if (!r)
            r = json_append(out, entry);
    }
    cJSON_Delete(logprobs);
    return r;
}

static int append_logprobs(const struct buf *entries, struct buf *out)
{
    if (entries->len == 0)
        return 0;
    if (buf_append_str(out, ",\"logprobs\":[") || buf_append(out, buf_at(entries), entries->len) ||
            buf_append_str(out, "]"))
        return -ENOBUFS;
    return 0;
}

/* --- streams --- */

static const struct piece nothing = {.data = ""};

int ollama_answer_begin(struct answer *answer, struct buf *out)
{
    (void)answer;
    (void)out;
    return 0;
}

static int line(const struct answer *answer, struct piece text, struct piece thinking, bool calls,
        struct buf *out)
{
    int r = append_said(answer, text, thinking, calls, out);
    return r ? r : buf_append_str(out, ",\"done\":false}\n");
}

static int logprobs_line(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    buf_clear(&answer->logprobs);
    int r = append_entries(delta, &answer->logprobs);
    if (!r)
        r = append_said(answer, nothing, nothing, false, out);
    if (!r)
        r = append_logprobs(&answer->logprobs, out);
    return r ? r : buf_append_str(out, ",\"done\":false}\n");
}

/* Calls are complete only once the answer is. */
static int finish(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    bool first = !*answer->finish;
    int r = note_finish(answer, delta);
    return r || !first || !answer->calls.count ? r : line(answer, nothing, nothing, true, out);
}

int ollama_answer_delta(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    struct piece piece = {.data = delta->data, .len = delta->len};
    if (delta->choice != 0)
        return -EPROTO;
    switch (delta->kind) {
    case DELTA_TEXT:
        return line(answer, piece, nothing, false, out);
    case DELTA_REASONING:
        return line(answer, nothing, piece, false, out);
    case DELTA_TOOL_CALLS:
        return answer->chat ? tool_calls_add(&answer->calls, delta) : -EPROTO;
    case DELTA_LOGPROBS:
        return logprobs_line(answer, delta, out);
    case DELTA_FINISH:
        return finish(answer, delta, out);
    case DELTA_USAGE:
        answer->usage = delta->usage;
        return 0;
    default:
        return 0;
    }
}

int ollama_answer_idle(struct answer *answer, struct buf *out)
{
    return line(answer, nothing, nothing, false, out);
}

int ollama_answer_end(struct answer *answer, struct buf *out)
{
    int r = check_finished(answer);
    if (!r)
        r = append_said(answer, nothing, nothing, false, out);
    if (!r)
        r = append_done(answer, out);
    return r ? r : buf_append_str(out, "\n");
}

int ollama_answer_error(struct answer *answer, const struct api_error *error, struct buf *out)
{
    (void)answer;
    int r = family_ollama.error_body(error, "", out);
    return r ? r : buf_append_str(out, "\n");
}

/* --- whole answers --- */

int ollama_answer_gather(struct answer *answer, const struct msg_delta *delta)
{
    if (delta->choice != 0)
        return -EPROTO;
    switch (delta->kind) {
    case DELTA_TEXT:
        return buf_append(&answer->text, delta->data, delta->len);
    case DELTA_REASONING:
        return buf_append(&answer->thinking, delta->data, delta->len);
    case DELTA_TOOL_CALLS:
        return answer->chat ? tool_calls_add(&answer->calls, delta) : -EPROTO;
    case DELTA_LOGPROBS:
        return append_entries(delta, &answer->logprobs);
    case DELTA_FINISH:
        return note_finish(answer, delta);
    case DELTA_USAGE:
        answer->usage = delta->usage;
        return 0;
    default:
        return 0;
    }
}

int ollama_answer_whole(struct answer *answer, struct buf *out)
{
    int r = check_finished(answer);
    if (!r)
        r = append_said(answer, piece_of(&answer->text), piece_of(&answer->thinking), true, out);
    if (!r)
        r = append_logprobs(&answer->logprobs, out);
    return r ? r : append_done(answer, out);
}
