#include "coordinator/dialects/llamacpp/llamacpp_answer.h"

#include "common/json/json.h"
#include "coordinator/dialects/gathered.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct choice {
    char finish[GATHERED_FINISH_MAX];
    bool has_new_line;
    struct buf text;          /* whole answers only */
    struct buf tokens, probs; /* JSON values with commas between them; of a chunk, or of all */
};

struct answer {
    const struct request *request;
    const char *model;
    struct msg_usage usage;
    size_t bytes; /* gathered so far */
    uint32_t count;
    struct choice choices[];
};

struct answer *llamacpp_answer_create(
        const struct request *request, const struct answer_facts *facts)
{
    struct answer *answer = calloc(1, sizeof(*answer) + request->choices * sizeof(struct choice));
    if (!answer)
        return NULL;
    answer->request = request;
    answer->model = facts->model;
    answer->count = request->choices;
    for (uint32_t i = 0; i < answer->count; i++) {
        buf_init(&answer->choices[i].text, GATHERED_BYTES_MAX);
        buf_init(&answer->choices[i].tokens, GATHERED_BYTES_MAX);
        buf_init(&answer->choices[i].probs, GATHERED_BYTES_MAX);
    }
    return answer;
}

void llamacpp_answer_destroy(struct answer *answer)
{
    if (!answer)
        return;
    for (uint32_t i = 0; i < answer->count; i++) {
        buf_fini(&answer->choices[i].text);
        buf_fini(&answer->choices[i].tokens);
        buf_fini(&answer->choices[i].probs);
    }
    free(answer);
}

/* --- what the deltas bring --- */

static bool tells_probs(const struct answer *answer)
{
    return json_num(answer->request->kept, LLAMACPP_KEPT_PROBS, 0) > 0;
}

static int append_value(struct buf *list, const cJSON *value)
{
    int r = list->len ? buf_append_str(list, ",") : 0;
    return r ? r : json_append(list, value);
}

static int add_entry(const struct answer *answer, struct choice *choice, const cJSON *entry)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(entry, "id");
    int r = cJSON_IsNumber(id) ? append_value(&choice->tokens, id) : 0;
    if (!r && tells_probs(answer))
        r = append_value(&choice->probs, entry);
    return r;
}

static int add_logprobs(
        const struct answer *answer, struct choice *choice, const struct msg_delta *delta)
{
    const cJSON *entry;
    cJSON *logprobs;
    int r = json_parse(delta->data, delta->len, &json_limits_event, &logprobs, NULL);
    if (r)
        return r == -ENOMEM ? r : -EPROTO;
    cJSON_ArrayForEach(entry, json_array(logprobs, "content"))
    {
        if (!r)
            r = add_entry(answer, choice, entry);
    }
    cJSON_Delete(logprobs);
    return r;
}

static int note_finish(struct choice *choice, const struct msg_delta *delta)
{
    if (delta->len == 0 || delta->len >= GATHERED_FINISH_MAX)
        return -EPROTO;
    memcpy(choice->finish, delta->data, delta->len);
    choice->finish[delta->len] = '\0';
    return 0;
}

static void note_text(struct choice *choice, const struct msg_delta *delta)
{
    if (delta->len && memchr(delta->data, '\n', delta->len))
        choice->has_new_line = true;
}

static int check_finished(const struct answer *answer)
{
    for (uint32_t i = 0; i < answer->count; i++)
        if (!*answer->choices[i].finish)
            return -EPROTO;
    return 0;
}

/* --- the last object of a choice --- */

static double per(double amount, double count)
{
    return count > 0 ? amount / count : 0;
}

static bool add_number(cJSON *object, const char *key, double number)
{
    return cJSON_AddNumberToObject(object, key, number);
}

static bool add_timings(const struct msg_usage *usage, cJSON *object)
{
    double cached = usage->cached_tokens, decoded = usage->completion_tokens;
    double prefilled = usage->prompt_tokens > cached ? usage->prompt_tokens - cached : 0;
    double prefill_ms = (double)usage->prefill_ms, decode_ms = (double)usage->decode_ms;
    cJSON *timings = cJSON_AddObjectToObject(object, "timings");
    return timings && add_number(timings, "cache_n", cached) &&
           add_number(timings, "prompt_n", prefilled) &&
           add_number(timings, "prompt_ms", prefill_ms) &&
           add_number(timings, "prompt_per_token_ms", per(prefill_ms, prefilled)) &&
           add_number(timings, "prompt_per_second", per(prefilled * 1000, prefill_ms)) &&
           add_number(timings, "predicted_n", decoded) &&
           add_number(timings, "predicted_ms", decode_ms) &&
           add_number(timings, "predicted_per_token_ms", per(decode_ms, decoded)) &&
           add_number(timings, "predicted_per_second", per(decoded * 1000, decode_ms));
}

/* What stands in the cache afterwards: all but the last token, which was never evaluated. */
static double cached_after(const struct msg_usage *usage)
{
    double tokens = (double)usage->prompt_tokens + usage->completion_tokens;
    return tokens > 0 ? tokens - 1 : 0;
}

/* `text` has no NUL in it: it is JSON. */
static bool add_json(cJSON *object, const char *key, struct buf *text)
{
    return buf_terminate(text) == 0 && cJSON_AddRawToObject(object, key, buf_at(text));
}

static bool add_list(cJSON *object, const char *key, const struct buf *list)
{
    struct buf json;
    buf_init(&json, 2 * GATHERED_BYTES_MAX);
    bool sound = buf_append_str(&json, "[") == 0 &&
                 (list->len == 0 || buf_append(&json, buf_at(list), list->len) == 0) &&
                 buf_append_str(&json, "]") == 0 && add_json(object, key, &json);
    buf_fini(&json);
    return sound;
}

static bool add_content(cJSON *object, const struct buf *text)
{
    struct buf json;
    buf_init(&json, 6 * GATHERED_BYTES_MAX + 3);
    bool sound = json_append_str(&json, text->len ? buf_at(text) : "", text->len) == 0 &&
                 add_json(object, "content", &json);
    buf_fini(&json);
    return sound;
}

static bool add_said(const struct answer *answer, const struct choice *choice, cJSON *object)
{
    static const struct buf nothing = {.len = 0};
    bool told = json_bool(answer->request->kept, LLAMACPP_KEPT_TOKENS, false);
    return add_content(object, &choice->text) &&
           add_list(object, "tokens", told ? &choice->tokens : &nothing) &&
           (!tells_probs(answer) || add_list(object, "completion_probabilities", &choice->probs));
}

static bool add_facts(const struct answer *answer, const struct choice *choice, cJSON *object)
{
    const struct msg_usage *usage = &answer->usage;
    const char *stop_type = strcmp(choice->finish, "length") == 0 ? "limit" : "eos";
    return add_number(object, "id_slot", -1) && cJSON_AddTrueToObject(object, "stop") &&
           cJSON_AddStringToObject(object, "model", answer->model) &&
           add_number(object, "tokens_predicted", usage->completion_tokens) &&
           add_number(object, "tokens_evaluated", usage->prompt_tokens) &&
           cJSON_AddObjectToObject(object, "generation_settings") &&
           cJSON_AddBoolToObject(object, "has_new_line", choice->has_new_line) &&
           cJSON_AddFalseToObject(object, "truncated") &&
           cJSON_AddStringToObject(object, "stop_type", stop_type) &&
           cJSON_AddStringToObject(object, "stopping_word", "") &&
           add_number(object, "tokens_cached", cached_after(usage)) && add_timings(usage, object);
}

/* NULL where there is no memory. */
static cJSON *last_object(const struct answer *answer, uint32_t index)
{
    const struct choice *choice = &answer->choices[index];
    cJSON *object = cJSON_CreateObject();
    if (add_number(object, "index", index) && add_said(answer, choice, object) &&
            add_facts(answer, choice, object))
        return object;
    cJSON_Delete(object);
    return NULL;
}

/* "timings/prompt_n": a member of a member. */
static const cJSON *member_at(const cJSON *object, const char *path)
{
    char key[64];
    while (object) {
        size_t len = strcspn(path, "/");
        if (len >= sizeof(key))
            return NULL;
        memcpy(key, path, len);
        key[len] = '\0';
        object = cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
        if (path[len] == '\0')
            break;
        path += len + 1;
    }
    return object;
}

/* A copy with only the members that were asked for, each under its whole path; NULL where there is
 * no memory. */
static cJSON *project(const cJSON *object, const cJSON *paths)
{
    const cJSON *path;
    cJSON *out = cJSON_CreateObject();
    cJSON_ArrayForEach(path, paths)
    {
        const cJSON *member = member_at(object, path->valuestring);
        if (!member || cJSON_HasObjectItem(out, path->valuestring))
            continue;
        cJSON *copy = cJSON_Duplicate(member, true);
        if (!copy || !cJSON_AddItemToObject(out, path->valuestring, copy)) {
            cJSON_Delete(copy);
            cJSON_Delete(out);
            return NULL;
        }
    }
    return out;
}

static int append_last(const struct answer *answer, uint32_t index, struct buf *out)
{
    const cJSON *paths = json_array(answer->request->kept, LLAMACPP_KEPT_FIELDS);
    cJSON *object = last_object(answer, index);
    if (object && paths) {
        cJSON *projected = project(object, paths);
        cJSON_Delete(object);
        object = projected;
    }
    int r = object ? json_append(out, object) : -ENOMEM;
    cJSON_Delete(object);
    return r;
}

/* --- streams --- */

int llamacpp_answer_begin(struct answer *answer, struct buf *out)
{
    (void)answer;
    (void)out;
    return 0;
}

static int chunk(
        uint32_t index, const char *text, size_t len, const struct choice *choice, struct buf *out)
{
    static const struct buf nothing = {.len = 0};
    const struct buf *tokens = choice ? &choice->tokens : &nothing;
    const struct buf *probs = choice ? &choice->probs : &nothing;
    if (buf_appendf(out, "data: {\"index\":%u,\"content\":", index) ||
            json_append_str(out, text, len) || buf_append_str(out, ",\"tokens\":[") ||
            (tokens->len && buf_append(out, buf_at(tokens), tokens->len)) ||
            buf_append_str(out, "],\"stop\":false,\"id_slot\":-1"))
        return -ENOBUFS;
    if (probs->len &&
            (buf_append_str(out, ",\"completion_probabilities\":[") ||
                    buf_append(out, buf_at(probs), probs->len) || buf_append_str(out, "]")))
        return -ENOBUFS;
    return buf_append_str(out, "}\n\n");
}

static int logprobs_chunk(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    struct choice *choice = &answer->choices[delta->choice];
    int r = add_logprobs(answer, choice, delta);
    if (!r && choice->tokens.len)
        r = chunk(delta->choice, "", 0, choice, out);
    buf_clear(&choice->tokens);
    buf_clear(&choice->probs);
    return r;
}

int llamacpp_answer_delta(struct answer *answer, const struct msg_delta *delta, struct buf *out)
{
    if (delta->choice >= answer->count)
        return -EPROTO;
    switch (delta->kind) {
    case DELTA_TEXT:
        note_text(&answer->choices[delta->choice], delta);
        return chunk(delta->choice, delta->data, delta->len, NULL, out);
    case DELTA_LOGPROBS:
        return logprobs_chunk(answer, delta, out);
    case DELTA_FINISH:
        return note_finish(&answer->choices[delta->choice], delta);
    case DELTA_USAGE:
        answer->usage = delta->usage;
        return 0;
    default:
        return 0;
    }
}

int llamacpp_answer_idle(struct answer *answer, struct buf *out)
{
    (void)answer;
    return chunk(0, "", 0, NULL, out);
}

int llamacpp_answer_end(struct answer *answer, struct buf *out)
{
    int r = check_finished(answer);
    for (uint32_t i = 0; !r && i < answer->count; i++) {
        r = buf_append_str(out, "data: ");
        if (!r)
            r = append_last(answer, i, out);
        if (!r)
            r = buf_append_str(out, "\n\n");
    }
    return r;
}

int llamacpp_answer_error(struct answer *answer, const struct api_error *error, struct buf *out)
{
    (void)answer;
    if (buf_append_str(out, "data: ") || family_llamacpp.error_body(error, "", out))
        return -ENOBUFS;
    return buf_append_str(out, "\n\n");
}

/* --- whole answers --- */

int llamacpp_answer_gather(struct answer *answer, const struct msg_delta *delta)
{
    if (delta->choice >= answer->count)
        return -EPROTO;
    if (delta->len > GATHERED_BYTES_MAX - answer->bytes)
        return -ENOBUFS;
    answer->bytes += delta->len;
    struct choice *choice = &answer->choices[delta->choice];
    switch (delta->kind) {
    case DELTA_TEXT:
        note_text(choice, delta);
        return buf_append(&choice->text, delta->data, delta->len);
    case DELTA_LOGPROBS:
        return add_logprobs(answer, choice, delta);
    case DELTA_FINISH:
        return note_finish(choice, delta);
    case DELTA_USAGE:
        answer->usage = delta->usage;
        return 0;
    default:
        return 0;
    }
}

int llamacpp_answer_whole(struct answer *answer, struct buf *out)
{
    int r = check_finished(answer);
    if (!r && answer->count > 1)
        r = buf_append_str(out, "[");
    for (uint32_t i = 0; !r && i < answer->count; i++) {
        r = i ? buf_append_str(out, ",") : 0;
        if (!r)
            r = append_last(answer, i, out);
    }
    if (!r && answer->count > 1)
        r = buf_append_str(out, "]");
    return r;
}
