#include "node/backends/answers/completion_chunk.h"

static int read_choice(struct engine_answer *answer, const cJSON *json, struct err *err)
{
    uint32_t choice;
    int r = engine_answer_choice(json, &choice, err);

    if (r == 0)
        r = engine_answer_text(answer, choice, DELTA_TEXT, json_str(json, "text", NULL));
    if (r == 0)
        r = engine_answer_json(answer, choice, DELTA_LOGPROBS, json_obj(json, "logprobs"));
    if (r == 0)
        r = engine_answer_finish(answer, choice, json_str(json, "finish_reason", NULL));
    return r;
}

/* As in chat_chunk.c, timings alone are no sum. */
int completion_chunk_read(struct engine_answer *answer, const cJSON *chunk, struct err *err)
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
