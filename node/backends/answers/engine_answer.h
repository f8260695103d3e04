/* What an engine says in answer to a request, as typed deltas: what all forms of an answer have in
 * common. Each form has a reader of its own (chat_chunk, completion_chunk, native_chunk,
 * result_scan). Pure: JSON text in, calls of a function out. Foreign text: bounded by
 * json_limits_event. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/json/json.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine_error {     /* an engine's report of one; its words are in a struct err */
    enum fail_code code;  /* FAIL_ENGINE_ERROR, FAIL_CONTEXT_EXCEEDED */
    uint32_t http_status; /* the client's fault is 400, also where the engine says otherwise */
};

/* Takes one delta: `stream` 0, data borrowed, of any length. False: nobody wants the rest. */
typedef bool (*engine_delta_fn)(void *ctx, const struct msg_delta *delta);

struct engine_answer { /* plain values, owns nothing; zeroed at first but for: */
    engine_delta_fn fn;
    void *ctx;
    bool finished;             /* a finish reason has come */
    bool done;                 /* `[DONE]` has come; what follows is ignored */
    bool has_usage;            /* … for one choice at least */
    struct msg_usage usage;    /* of all choices: they share the prompt, and each adds its tokens */
    struct engine_error error; /* that ended it */
};

/* For the readers of forms. 0, or -ECANCELED where `fn` returned false; nothing is said for NULL
 * and for an empty text. */
MUST_CHECK int engine_answer_text(
        struct engine_answer *answer, uint32_t choice, enum delta_kind kind, const char *text);
MUST_CHECK int engine_answer_json(
        struct engine_answer *answer, uint32_t choice, enum delta_kind kind, const cJSON *json);
MUST_CHECK int engine_answer_finish(
        struct engine_answer *answer, uint32_t choice, const char *reason);
/* The number of the choice in `object`; -EPROTO where it is none. */
MUST_CHECK int engine_answer_choice(const cJSON *object, uint32_t *ret_choice, struct err *err);
/* Takes one choice's OpenAI `usage` and llama-server's `timings` (either may be NULL) into the sum.
 * Timings alone stand in for usage. */
void engine_answer_count(struct engine_answer *answer, const cJSON *usage, const cJSON *timings);

/* A number of tokens; what cannot be one counts as none. */
uint32_t engine_tokens(const cJSON *object, const char *key);

/* Reads one event that has been parsed; the readers of forms are such. */
typedef int (*engine_chunk_fn)(struct engine_answer *answer, const cJSON *chunk, struct err *err);

/* Reads the data of one event. 0; -ECANCELED: `fn` returned false, and `answer` was not touched
 * since; -EREMOTEIO: the engine reports an error, its words in `err`; -EPROTO: not such an event;
 * -ENOMEM. */
MUST_CHECK int engine_answer_event(struct engine_answer *answer, engine_chunk_fn read_chunk,
        const char *data, size_t len, struct err *err);

/* What the body of an error answer with this HTTP status reports, {"error":{"message":…}},
 * {"error":"…"} or {"object":"error","message":…}. The engine's own words go to `err`; where there
 * are none, that. A prompt past the context gets words of ours, which clients know from other
 * servers. Never fails. */
void engine_error_read(const char *body, size_t len, uint32_t http_status,
        struct engine_error *ret_error, struct err *err);
