/* Answers of Anthropic's POST /v1/messages: the stream of events, and the message given whole. The
 * functions have the contracts of their namesakes in struct dialect. Pure.
 *
 * Blocks follow each other, one open at a time, while an engine may bring the pieces of several
 * tool calls mixed: the first call goes out as it comes, the next wait until it is whole. What is
 * said behind the first call waits until all calls are out. A call's input is always a JSON object
 * that clients can parse (tool_arguments.h). */
#pragma once

#include "coordinator/dialects/dialect.h"

struct answer *anthropic_answer_create(
        const struct request *request, const struct answer_facts *facts);
void anthropic_answer_destroy(struct answer *answer);
int anthropic_stream_begin(struct answer *answer, struct buf *out);
int anthropic_stream_delta(struct answer *answer, const struct msg_delta *delta, struct buf *out);
int anthropic_stream_idle(struct answer *answer, struct buf *out);
int anthropic_stream_end(struct answer *answer, struct buf *out);
int anthropic_stream_error(struct answer *answer, const struct api_error *error, struct buf *out);
int anthropic_gather(struct answer *answer, const struct msg_delta *delta);
int anthropic_whole(struct answer *answer, struct buf *out);
