#include "node/backends/answers/chat_chunk.h"

static int read_delta(struct engine_answer *answer, uint32_t choice, const cJSON *delta)
{
    const char *thought = json_str(delta, "reasoning_content", json_str(delta, "reasoning", NULL));
    int r = engine_answer_text(answer, choice, DELTA_REASONING, thought);

    if (r == 0)
        r = engine_answer_text(answer, choice, DELTA_TEXT, json_str(delta, "content", NULL));
    if (r == 0)
        r = engine_answer_json(answer, choice, DELTA_TOOL_CALLS, json_array(delta, "tool_calls"));
    return r;
}

static int read_choice(struct engine_answer *answer, const cJSON *json, struct err *err)
{
    uint32_t choice;
    int r = engine_answer_choice(json, &choice, err);

    if (r == 0)
        r = read_delta(answer, choice, json_obj(json, "delta"));
    if (r == 0)
        r = engine_answer_json(answer, choice, DELTA_LOGPROBS, json_obj(json, "logprobs"));
    if (r == 0)
        r = engine_answer_finish(answer, choice, json_str(json, "finish_reason", NULL));
    return r;
}

/* Timings without usage come with every chunk where a client asks for them: they add up to nothing.
 */
int chat_chunk_read(struct engine_answer *answer, const cJSON *chunk, struct err *err)
{
    const cJSON *usage = json_obj(chunk, "usage"), *choice;
    int r = 0;

    if (usage)
        engine_answer_count(answer, usage, json_obj(chunk, "timings"));
    cJSON_ArrayForEach(choice, json_array(chunk, "choices"))
    {
        r = read_choice(answer, choice, err);
        if (r < 0)
            return r;
    }
    return 0;
}
