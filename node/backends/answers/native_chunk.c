#include "node/backends/answers/native_chunk.h"

#include <errno.h>
#include <string.h>

/* An answer that no limit cut ends where the model or a stop word ended it; a prompt that was
 * truncated filled the context. */
static const char *finish_reason(const cJSON *chunk)
{
    bool cut = strcmp(json_str(chunk, "stop_type", ""), "limit") == 0 ||
               json_bool(chunk, "truncated", false);

    return cut ? "length" : "stop";
}

/* OpenAI's shape around the same entries. */
static int read_logprobs(struct engine_answer *answer, uint32_t choice, const cJSON *chunk)
{
    const cJSON *entries = json_array(chunk, "completion_probabilities");
    cJSON *logprobs = entries ? cJSON_CreateObject() : NULL;
    int r = entries ? -ENOMEM : 0;

    if (logprobs && cJSON_AddItemReferenceToObject(logprobs, "content", (cJSON *)entries))
        r = engine_answer_json(answer, choice, DELTA_LOGPROBS, logprobs);
    cJSON_Delete(logprobs);
    return r;
}

static void read_counts(struct engine_answer *answer, const cJSON *chunk)
{
    const cJSON *timings = json_obj(chunk, "timings");
    bool first = !answer->has_usage;

    engine_answer_count(answer, NULL, timings);
    if (first && timings)
        answer->usage.prompt_tokens = engine_tokens(chunk, "tokens_evaluated");
}

int native_chunk_read(struct engine_answer *answer, const cJSON *chunk, struct err *err)
{
    uint32_t choice;
    int r = engine_answer_choice(chunk, &choice, err);

    if (r == 0)
        r = engine_answer_text(answer, choice, DELTA_TEXT, json_str(chunk, "content", NULL));
    if (r == 0)
        r = read_logprobs(answer, choice, chunk);
    if (r < 0 || !json_bool(chunk, "stop", false))
        return r;
    read_counts(answer, chunk);
    return engine_answer_finish(answer, choice, finish_reason(chunk));
}
