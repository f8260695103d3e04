#include "coordinator/dialects/openai/openai_answer.h"

#include "common/json/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_MAX = 1024 };

/* --- life --- */

void openai_answer_destroy(struct answer *answer)
{
    if (!answer)
        return;
    for (uint32_t i = 0; answer->request->stream && i < answer->request->choices; i++)
        buf_fini(&answer->shown[i].text);
    buf_fini(&answer->head);
    gathered_destroy(answer->gathered);
    free(answer);
}

static int make_head(struct answer *answer)
{
    const struct openai_form *form = answer->form;
    const struct answer_facts *facts = &answer->facts;
    const char *object = answer->request->stream ? form->stream_object : form->whole_object;
    if (buf_appendf(&answer->head, "{\"id\":\"%s%s\",\"object\":\"%s\",\"created\":%lld,\"model\":",
                form->id_prefix, facts->request_id, object, (long long)facts->created_s) ||
            json_append_str(&answer->head, facts->model, strlen(facts->model)))
        return -ENOMEM;
    return 0;
}

static bool prepare(struct answer *answer)
{
    const struct request *request = answer->request;
    buf_init(&answer->head, HEAD_MAX);
    for (uint32_t i = 0; request->stream && i < request->choices; i++)
        buf_init(&answer->shown[i].text, DIALECT_ANSWER_MAX);
    if (!request->stream && !(answer->gathered = gathered_create(request->choices)))
        return false;
    return make_head(answer) == 0;
}

struct answer *openai_answer_create(const struct openai_form *form, const struct request *request,
        const struct answer_facts *facts)
{
    size_t shown = request->stream ? request->choices : 0;
    struct answer *answer = calloc(1, sizeof(*answer) + shown * sizeof(struct openai_shown));
    if (!answer)
        return NULL;
    answer->form = form;
    answer->request = request;
    answer->facts = *facts;
    answer->logprobs = json_bool(request->kept, OPENAI_KEPT_LOGPROBS, false);
    answer->no_top = json_bool(request->kept, OPENAI_KEPT_NO_TOP, false);
    answer->functions = json_bool(request->kept, OPENAI_KEPT_FUNCTIONS, false);
    if (prepare(answer))
        return answer;
    openai_answer_destroy(answer);
    return NULL;
}

/* --- log-probs --- */

static bool drop_alternatives(cJSON *logprobs)
{
    cJSON *entry;
    cJSON_ArrayForEach(entry, json_array(logprobs, "content"))
    {
        if (!json_array(entry, "top_logprobs"))
            continue;
        cJSON *none = cJSON_CreateArray();
        if (!none || !cJSON_ReplaceItemInObjectCaseSensitive(entry, "top_logprobs", none))
            return false;
    }
    return true;
}

/* The caller frees. */
static int read_logprobs(
        const struct answer *answer, const struct msg_delta *delta, cJSON **ret_logprobs)
{
    cJSON *logprobs;
    int r = json_parse(delta->data, delta->len, &json_limits_event, &logprobs, NULL);
    if (r)
        return r == -ENOMEM ? r : -EPROTO;
    if (!cJSON_IsObject(logprobs))
        r = -EPROTO;
    else if (answer->no_top && !drop_alternatives(logprobs))
        r = -ENOMEM;
    if (r)
        cJSON_Delete(logprobs);
    else
        *ret_logprobs = logprobs;
    return r;
}

/* --- streamed --- */

static int append_head(const struct answer *answer, struct buf *out)
{
    int r = buf_append_str(out, "data: ");
    return r ? r : buf_append(out, buf_at(&answer->head), answer->head.len);
}

int openai_answer_chunk(const struct answer *answer, uint32_t choice, struct buf *out)
{
    int r = append_head(answer, out);
    return r ? r : buf_appendf(out, ",\"choices\":[{\"index\":%u,", choice);
}

/* Says the text that waited, with the log-probs that came for it or without. */
static int flush(struct answer *answer, uint32_t choice, const cJSON *logprobs, struct buf *out)
{
    struct buf *text = &answer->shown[choice].text;
    struct msg_delta delta = {.kind = DELTA_TEXT,
            .choice = choice,
            .data = text->len ? buf_at(text) : "",
            .len = text->len};
    if (text->len == 0 && !logprobs)
        return 0;
    int r = answer->form->text(answer, &delta, logprobs, out);
    buf_clear(text);
    return r;
}

static int say_text(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    if (!answer->logprobs)
        return answer->form->text(answer, delta, NULL, out);
    return buf_append(&answer->shown[delta->choice].text, delta->data, delta->len);
}

static int say_logprobs(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    cJSON *logprobs;
    int r = read_logprobs(answer, delta, &logprobs);
    if (r)
        return r;
    r = flush(answer, delta->choice, logprobs, out);
    cJSON_Delete(logprobs);
    return r;
}

static int say_finish(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    char reason[GATHERED_FINISH_MAX];
    if (delta->len == 0 || delta->len >= sizeof(reason))
        return -EPROTO;
    memcpy(reason, delta->data, delta->len);
    reason[delta->len] = '\0';
    answer->shown[delta->choice].finished = true;
    return answer->form->finish(answer, delta->choice, reason, out);
}

static int say(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    int r = delta->kind == DELTA_LOGPROBS ? 0 : flush(answer, delta->choice, NULL, out);
    if (r)
        return r;
    switch (delta->kind) {
    case DELTA_TEXT:
        return say_text(answer, delta, out);
    case DELTA_LOGPROBS:
        return say_logprobs(answer, delta, out);
    case DELTA_FINISH:
        return say_finish(answer, delta, out);
    default:
        return answer->form->other(answer, delta, out);
    }
}

static bool is_said(enum delta_kind kind)
{
    return kind == DELTA_TEXT || kind == DELTA_REASONING || kind == DELTA_TOOL_CALLS ||
           kind == DELTA_LOGPROBS || kind == DELTA_FINISH;
}

int openai_answer_begin(struct answer *answer, struct buf *out)
{
    int r = 0;
    for (uint32_t i = 0; !r && i < answer->request->choices; i++)
        r = answer->form->begin(answer, i, out);
    return r;
}

/* A choice that has its finish reason says nothing more: clients have closed it. */
int openai_answer_delta(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    if (delta->choice >= answer->request->choices)
        return -EPROTO;
    if (delta->kind == DELTA_USAGE)
        answer->usage = delta->usage;
    if (!is_said(delta->kind))
        return 0;
    if (answer->shown[delta->choice].finished)
        return delta->kind == DELTA_FINISH ? 0 : -EPROTO;
    return say(answer, delta, out);
}

/* The number of choices where all have finished. */
static uint32_t first_open(const struct answer *answer)
{
    uint32_t choice = 0;
    while (choice < answer->request->choices && answer->shown[choice].finished)
        choice++;
    return choice;
}

int openai_answer_idle(struct answer *answer, struct buf *out)
{
    struct msg_delta nothing = {.kind = DELTA_TEXT, .choice = first_open(answer), .data = ""};
    if (nothing.choice == answer->request->choices) {
        int r = append_head(answer, out);
        return r ? r : buf_append_str(out, ",\"choices\":[]}\n\n");
    }
    int r = flush(answer, nothing.choice, NULL, out);
    return r ? r : answer->form->text(answer, &nothing, NULL, out);
}

static int append_usage(const struct answer *answer, struct buf *out)
{
    const struct msg_usage *usage = &answer->usage;
    return buf_appendf(out,
            "\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%llu,"
            "\"prompt_tokens_details\":{\"cached_tokens\":%u}}",
            usage->prompt_tokens, usage->completion_tokens,
            (unsigned long long)usage->prompt_tokens + usage->completion_tokens,
            usage->cached_tokens);
}

static int usage_chunk(const struct answer *answer, struct buf *out)
{
    if (append_head(answer, out) || buf_append_str(out, ",\"choices\":[],") ||
            append_usage(answer, out))
        return -ENOBUFS;
    return buf_append_str(out, "}\n\n");
}

int openai_answer_end(struct answer *answer, struct buf *out)
{
    if (first_open(answer) < answer->request->choices)
        return -EPROTO;
    if (answer->request->include_usage && usage_chunk(answer, out))
        return -ENOBUFS;
    return buf_append_str(out, "data: [DONE]\n\n");
}

int openai_answer_error(struct answer *answer, const struct api_error *error, struct buf *out)
{
    if (buf_append_str(out, "data: ") ||
            family_openai.error_body(error, answer->facts.request_id, out))
        return -ENOBUFS;
    return buf_append_str(out, "\n\n");
}

/* --- whole --- */

static int gather_logprobs(struct answer *answer, const struct msg_delta *delta)
{
    struct msg_delta printed = *delta;
    cJSON *logprobs;
    int r = read_logprobs(answer, delta, &logprobs);
    if (r)
        return r;
    char *text = cJSON_PrintUnformatted(logprobs);
    cJSON_Delete(logprobs);
    if (!text)
        return -ENOMEM;
    printed.data = text;
    printed.len = strlen(text);
    r = gathered_add(answer->gathered, &printed);
    cJSON_free(text);
    return r;
}

int openai_answer_gather(struct answer *answer, const struct msg_delta *delta)
{
    if (delta->kind == DELTA_USAGE)
        answer->usage = delta->usage;
    if (delta->kind == DELTA_LOGPROBS)
        return gather_logprobs(answer, delta);
    return gathered_add(answer->gathered, delta);
}

static int append_choices(const struct answer *answer, struct buf *out)
{
    int r = buf_append_str(out, ",\"choices\":[");
    for (uint32_t i = 0; !r && i < answer->request->choices; i++) {
        if (i > 0)
            r = buf_append_str(out, ",");
        if (!r)
            r = answer->form->whole(answer, i, out);
    }
    return r ? r : buf_append_str(out, "],");
}

int openai_answer_whole(struct answer *answer, struct buf *out)
{
    for (uint32_t i = 0; i < answer->request->choices; i++)
        if (!*gathered_finish(answer->gathered, i))
            return -EPROTO;
    int r = buf_append(out, buf_at(&answer->head), answer->head.len);
    if (!r)
        r = append_choices(answer, out);
    if (!r)
        r = append_usage(answer, out);
    return r ? r : buf_append_str(out, "}");
}
