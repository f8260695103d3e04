#include "common/json/json.h"
#include "coordinator/dialects/openai/openai_answer.h"
#include "coordinator/dialects/openai/openai_completions.h"

#include <errno.h>
#include <string.h>

static const struct json_limits logprobs_limits = {
        .max_bytes = 2 * GATHERED_BYTES_MAX, .max_depth = 64, .max_values = 2 * 1000 * 1000};

enum { ALTERNATIVES_MAX = 20 }; /* as many as may be asked for */

/* --- log-probs, in four lists side by side --- */

enum list { LIST_TOKENS, LIST_LOGPROBS, LIST_ALTERNATIVES, LIST_OFFSETS, LIST_COUNT };

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((uint8_t)*text & 0xc0) != 0x80;
    return count;
}

/* {"token": log-prob, …}; of equal tokens the first, which is the likelier one. */
static int append_alternatives(struct buf *out, const cJSON *entry)
{
    const cJSON *other;
    cJSON *map = cJSON_CreateObject();
    size_t count = 0;
    cJSON_ArrayForEach(other, json_array(entry, "top_logprobs"))
    {
        if (count++ == ALTERNATIVES_MAX)
            break;
        const char *token = json_str(other, "token", "");
        if (!cJSON_GetObjectItemCaseSensitive(map, token))
            cJSON_AddNumberToObject(map, token, json_num(other, "logprob", 0));
    }
    int r = map ? json_append(out, map) : -ENOMEM;
    cJSON_Delete(map);
    return r;
}

static int append_item(struct buf *out, enum list list, const cJSON *entry, size_t *offset)
{
    const char *token = json_str(entry, "token", "");
    size_t at = *offset;
    switch (list) {
    case LIST_TOKENS:
        return json_append_str(out, token, strlen(token));
    case LIST_LOGPROBS:
        return buf_appendf(out, "%.10g", json_num(entry, "logprob", 0));
    case LIST_ALTERNATIVES:
        return append_alternatives(out, entry);
    default:
        *offset += count_characters(token);
        return buf_appendf(out, "%zu", at);
    }
}

static int append_list(struct buf *out, enum list list, const cJSON *entries, size_t *offset)
{
    static const char *const names[LIST_COUNT] = {
            "tokens", "token_logprobs", "top_logprobs", "text_offset"};
    const cJSON *entry;
    int r = buf_appendf(out, "%s\"%s\":[", list ? "," : "", names[list]);
    cJSON_ArrayForEach(entry, entries)
    {
        if (!r && entry != entries->child)
            r = buf_append_str(out, ",");
        if (!r)
            r = append_item(out, list, entry, offset);
    }
    return r ? r : buf_append_str(out, "]");
}

static int append_logprobs(
        const struct answer *answer, const cJSON *logprobs, size_t *offset, struct buf *out)
{
    const cJSON *entries = json_array(logprobs, "content");
    int r = buf_append_str(out, "{");
    for (enum list list = 0; !r && list < LIST_COUNT; list++) {
        if (list == LIST_ALTERNATIVES && answer->no_top)
            r = buf_append_str(out, ",\"top_logprobs\":null");
        else
            r = append_list(out, list, entries, offset);
    }
    return r ? r : buf_append_str(out, "}");
}

/* --- chunks --- */

static int text(struct answer *answer, const struct msg_delta *delta, const cJSON *logprobs,
        struct buf *out)
{
    size_t *offset = &answer->shown[delta->choice].offset;
    if (openai_answer_chunk(answer, delta->choice, out) || buf_append_str(out, "\"text\":") ||
            json_append_str(out, delta->data, delta->len) || buf_append_str(out, ",\"logprobs\":"))
        return -ENOBUFS;
    if (logprobs ? append_logprobs(answer, logprobs, offset, out) : buf_append_str(out, "null"))
        return -ENOBUFS;
    return buf_append_str(out, ",\"finish_reason\":null}]}\n\n");
}

static int begin(struct answer *answer, uint32_t choice, struct buf *out)
{
    struct msg_delta nothing = {.kind = DELTA_TEXT, .choice = choice, .data = ""};
    return text(answer, &nothing, NULL, out);
}

/* A text has neither thoughts nor calls. */
static int other(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    (void)answer;
    (void)delta;
    (void)out;
    return 0;
}

static int finish(struct answer *answer, uint32_t choice, const char *reason, struct buf *out)
{
    if (openai_answer_chunk(answer, choice, out) ||
            buf_append_str(out, "\"text\":\"\",\"logprobs\":null,\"finish_reason\":") ||
            json_append_str(out, reason, strlen(reason)))
        return -ENOBUFS;
    return buf_append_str(out, "}]}\n\n");
}

/* --- whole --- */

/* null where there are none. The caller frees. */
static int read_gathered(const struct answer *answer, uint32_t choice, cJSON **ret_logprobs)
{
    struct buf printed;
    buf_init(&printed, logprobs_limits.max_bytes);
    int r = gathered_append_logprobs(answer->gathered, choice, &printed);
    if (!r)
        r = json_parse(buf_at(&printed), printed.len, &logprobs_limits, ret_logprobs, NULL);
    buf_fini(&printed);
    return r;
}

static int append_gathered_logprobs(const struct answer *answer, uint32_t choice, struct buf *out)
{
    cJSON *logprobs = NULL;
    size_t offset = 0;
    int r = read_gathered(answer, choice, &logprobs);
    if (!r)
        r = cJSON_IsObject(logprobs) ? append_logprobs(answer, logprobs, &offset, out)
                                     : buf_append_str(out, "null");
    cJSON_Delete(logprobs);
    return r;
}

static int whole(const struct answer *answer, uint32_t choice, struct buf *out)
{
    const char *reason = gathered_finish(answer->gathered, choice);
    if (buf_appendf(out, "{\"index\":%u,\"text\":", choice) ||
            gathered_append_text(answer->gathered, choice, out) ||
            buf_append_str(out, ",\"logprobs\":") ||
            append_gathered_logprobs(answer, choice, out) ||
            buf_append_str(out, ",\"finish_reason\":") ||
            json_append_str(out, reason, strlen(reason)))
        return -ENOBUFS;
    return buf_append_str(out, "}");
}

struct answer *openai_completions_answer_create(
        const struct request *request, const struct answer_facts *facts)
{
    static const struct openai_form form = {.id_prefix = "cmpl-",
            .stream_object = "text_completion",
            .whole_object = "text_completion",
            .begin = begin,
            .text = text,
            .other = other,
            .finish = finish,
            .whole = whole};
    return openai_answer_create(&form, request, facts);
}
