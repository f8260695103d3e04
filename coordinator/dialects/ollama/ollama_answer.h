/* Answers of Ollama's chat and generate: streamed, one JSON object a line, or whole. They differ in
 * where the text stands: {"message":{"content":…}} or {"response":…}. For the dialects in ollama.c;
 * the functions are those of struct dialect. */
#pragma once

#include "coordinator/dialects/dialect.h"

/* What request->kept holds where the request was to load or unload: the reason "load" or "unload".
 */
#define OLLAMA_KEPT_SETTLED "settled"

struct answer *ollama_answer_create_chat(
        const struct request *request, const struct answer_facts *facts);
struct answer *ollama_answer_create_generate(
        const struct request *request, const struct answer_facts *facts);
void ollama_answer_destroy(struct answer *answer);
int ollama_answer_begin(struct answer *answer, struct buf *out);
int ollama_answer_delta(struct answer *answer, const struct msg_delta *delta, struct buf *out);
int ollama_answer_idle(struct answer *answer, struct buf *out);
int ollama_answer_end(struct answer *answer, struct buf *out);
int ollama_answer_error(struct answer *answer, const struct api_error *error, struct buf *out);
int ollama_answer_gather(struct answer *answer, const struct msg_delta *delta);
int ollama_answer_whole(struct answer *answer, struct buf *out);
