#include "cli/answer.h"

#include "common/json/json.h"
#include "common/sse_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct answer {
    struct sse_reader *reader;
    answer_text_fn fn;
    answer_comment_fn comment_fn;
    void *ctx;
    char finish_reason[32];
    struct err why; /* of the event that ended it */
};

static int emit(struct answer *answer, enum answer_kind kind, const cJSON *delta, const char *key)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(delta, key);

    if (!cJSON_IsString(text) || !*text->valuestring)
        return 0;
    return answer->fn(
            answer->ctx, kind, text->valuestring, strlen(text->valuestring), &answer->why);
}

static int take_choice(struct answer *answer, const cJSON *choice)
{
    const cJSON *delta = json_obj(choice, "delta");
    const char *reason = json_str(choice, "finish_reason", NULL);
    int rc = emit(answer, ANSWER_REASONING, delta, "reasoning_content");

    if (rc == 0)
        rc = emit(answer, ANSWER_TEXT, delta, "content");
    if (rc == 0 && reason)
        snprintf(answer->finish_reason, sizeof(answer->finish_reason), "%s", reason);
    return rc;
}

static int take_object(struct answer *answer, const cJSON *json)
{
    const cJSON *error = json_obj(json, "error");
    const cJSON *choice;
    int rc = 0;

    if (error)
        return err_set(
                &answer->why, -EREMOTEIO, "%s", json_str(error, "message", "the answer failed"));
    cJSON_ArrayForEach(choice, json_array(json, "choices"))
    {
        rc = take_choice(answer, choice);
        if (rc < 0)
            break;
    }
    return rc;
}

static int on_event(void *ctx, const char *name, const char *data, size_t len)
{
    struct answer *answer = ctx;
    struct err why;
    cJSON *json;
    int rc;

    (void)name;
    if (len == 0 || strcmp(data, "[DONE]") == 0)
        return 0;
    if (json_parse(data, len, &json_limits_event, &json, &why) < 0)
        return err_set(&answer->why, -EPROTO, "the answer is not a chat stream: %s", why.text);
    rc = take_object(answer, json);
    cJSON_Delete(json);
    return rc;
}

static void on_comment(void *ctx, const char *text, size_t len)
{
    struct answer *answer = ctx;

    answer->comment_fn(answer->ctx, text, len);
}

struct answer *answer_create(answer_text_fn fn, void *ctx)
{
    struct answer *answer = calloc(1, sizeof(*answer));

    if (!answer)
        return NULL;
    *answer = (struct answer){.fn = fn, .ctx = ctx};
    answer->reader = sse_reader_create(ANSWER_EVENT_MAX, on_event, answer);
    if (!answer->reader) {
        free(answer);
        return NULL;
    }
    return answer;
}

void answer_destroy(struct answer *answer)
{
    if (!answer)
        return;
    sse_reader_destroy(answer->reader);
    free(answer);
}

void answer_tell_comments(struct answer *answer, answer_comment_fn fn)
{
    answer->comment_fn = fn;
    sse_reader_tell_comments(answer->reader, on_comment);
}

int answer_push(struct answer *answer, const char *data, size_t len, struct err *err)
{
    int rc = sse_reader_push(answer->reader, data, len, err);

    /* The reader knows only that its event was refused. */
    if (rc < 0 && answer->why.text[0])
        return err_set(err, rc, "%s", answer->why.text);
    return rc;
}

int answer_finish(const struct answer *answer, struct err *err)
{
    if (!answer->finish_reason[0])
        return err_set(err, -ECONNRESET, "the answer ended before it was complete");
    return 0;
}

const char *answer_finish_reason(const struct answer *answer)
{
    return answer->finish_reason;
}
