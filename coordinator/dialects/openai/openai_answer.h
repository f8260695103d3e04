/* The course of an answer in the OpenAI dialects that stream: each choice begins, says its text and
 * what else it has, gives one finish reason and is silent then; usage where it was asked for, and
 * `[DONE]`. Or the same given whole. How the pieces look is each dialect's own, its form. Internal
 * to the OpenAI dialects. */
#pragma once

#include "coordinator/dialects/dialect.h"
#include "coordinator/dialects/gathered.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* What request->kept tells the answer; each is absent where it is not so. */
#define OPENAI_KEPT_LOGPROBS  "logprobs"  /* true: they come, together with their text */
#define OPENAI_KEPT_NO_TOP    "no_top"    /* true: without the alternatives to each token */
#define OPENAI_KEPT_FUNCTIONS "functions" /* true: calls are shown in the older form */

struct openai_form {
    const char *id_prefix, *stream_object, *whole_object;
    /* Each appends one chunk, for one choice. */
    int (*begin)(struct answer *answer, uint32_t choice, struct buf *out);
    /* `logprobs` belong to the text, {"content":[…]}, or are NULL. */
    int (*text)(struct answer *answer, const struct msg_delta *delta, const cJSON *logprobs,
            struct buf *out);
    /* DELTA_REASONING and DELTA_TOOL_CALLS; may append nothing. */
    int (*other)(struct answer *answer, const struct msg_delta *delta, struct buf *out);
    int (*finish)(struct answer *answer, uint32_t choice, const char *reason, struct buf *out);
    /* A choice of a whole answer: its object. */
    int (*whole)(const struct answer *answer, uint32_t choice, struct buf *out);
};

/* A choice of a streamed answer. */
struct openai_shown {
    bool finished;
    struct buf text; /* waits for the log-probs that belong to it */
    size_t offset;   /* characters of the tokens whose log-probs were said */
    uint32_t calls;  /* tool calls that have begun */
    uint64_t named[GATHERED_TOOL_CALLS_MAX / 64]; /* bit i: the name of call i was said */
};

struct answer { /* open for the forms */
    const struct openai_form *form;
    const struct request *request;
    struct answer_facts facts;
    struct buf head; /* `{"id":…,"model":"…"`: what every chunk begins with */
    struct msg_usage usage;
    bool logprobs, no_top, functions; /* request->kept */
    struct gathered *gathered;        /* whole answers only */
    struct openai_shown shown[];      /* streamed ones only */
};

/* NULL where malloc refuses. The rest are the functions of struct dialect. */
struct answer *openai_answer_create(const struct openai_form *form, const struct request *request,
        const struct answer_facts *facts);
void openai_answer_destroy(struct answer *answer);
int openai_answer_begin(struct answer *answer, struct buf *out);
int openai_answer_delta(struct answer *answer, const struct msg_delta *delta, struct buf *out);
int openai_answer_idle(struct answer *answer, struct buf *out);
int openai_answer_end(struct answer *answer, struct buf *out);
int openai_answer_error(struct answer *answer, const struct api_error *error, struct buf *out);
int openai_answer_gather(struct answer *answer, const struct msg_delta *delta);
int openai_answer_whole(struct answer *answer, struct buf *out);

/* For the forms: appends `data: {…,"choices":[{"index":…,`. */
MUST_CHECK int openai_answer_chunk(const struct answer *answer, uint32_t choice, struct buf *out);
