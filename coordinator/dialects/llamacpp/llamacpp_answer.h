/* Answers of llama.cpp's /completion and /infill. A stream is a chunk for each piece of text and a
 * last one for each choice, with `"stop":true`, the counts and the timings; given whole there is
 * only the last, or an array of them where several choices were asked for. `response_fields` is
 * applied to the last ones.
 *
 * What the link does not bring is not made up: chunks have no counts, `generation_settings` is
 * empty, and an answer that a stop word ended says "eos". For the dialects in llamacpp.c; the
 * functions are those of struct dialect. */
#pragma once

#include "coordinator/dialects/dialect.h"

/* Members of request->kept. */
#define LLAMACPP_KEPT_FIELDS "response_fields" /* array of strings; absent: all */
#define LLAMACPP_KEPT_TOKENS "return_tokens"   /* true: the whole answer tells its tokens */
#define LLAMACPP_KEPT_PROBS  "n_probs"         /* 0 or absent: probabilities are not told */

struct answer *llamacpp_answer_create(
        const struct request *request, const struct answer_facts *facts);
void llamacpp_answer_destroy(struct answer *answer);
int llamacpp_answer_begin(struct answer *answer, struct buf *out);
int llamacpp_answer_delta(struct answer *answer, const struct msg_delta *delta, struct buf *out);
int llamacpp_answer_idle(struct answer *answer, struct buf *out);
int llamacpp_answer_end(struct answer *answer, struct buf *out);
int llamacpp_answer_error(struct answer *answer, const struct api_error *error, struct buf *out);
int llamacpp_answer_gather(struct answer *answer, const struct msg_delta *delta);
int llamacpp_answer_whole(struct answer *answer, struct buf *out);
