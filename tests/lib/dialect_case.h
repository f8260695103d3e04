/* What the unit tests of the dialects share: a request read from a body, and an answer made of
 * deltas. Internal to tests. */
#pragma once

#include "coordinator/dialects/dialect.h"

#include <stdbool.h>

struct dialect_case {
    const struct dialect *dialect;
    struct request request;
    struct answer *answer;
    struct buf out;
    const char *param;
    struct err err;
};

/* Reads `body`; the result is that of the dialect's parse(). */
int dialect_case_parse(struct dialect_case *test, const struct dialect *dialect, const char *body);
/* The same with a content type and one header, which may be NULL. */
int dialect_case_parse_with(struct dialect_case *test, const struct dialect *dialect,
        const char *body, size_t len, const char *content_type, const char *header,
        const char *value);
void dialect_case_fini(struct dialect_case *test);

/* Asserts that `body` is refused, for `param` (NULL: none), in words that hold `text`. */
void dialect_case_refuses(
        const struct dialect *dialect, const char *body, const char *param, const char *text);
/* Asserts that of `body` the engine gets `text`. */
void dialect_case_passes(const struct dialect *dialect, const char *body, const char *text);

/* Begins the answer to the request: id "req_1", model "small", at 17 s. */
void dialect_case_answer(struct dialect_case *test);
/* Hands over a delta, to the stream or to the whole answer, as the request wants it. DELTA_USAGE
 * says 5 tokens of prompt, 2 of them cached, and 3 of answer. */
int dialect_case_delta(
        struct dialect_case *test, enum delta_kind kind, uint32_t choice, const char *data);
/* Asserts what was appended since the last time. */
void dialect_case_wrote(struct dialect_case *test, const char *text);

/* Reads `body`, which is sound, and asserts that of it the engine gets `text`, where that is not
 * NULL. */
void dialect_case_reads(struct dialect_case *test, const struct dialect *dialect, const char *body,
        const char *text);
/* Hands over a DELTA_USAGE. */
int dialect_case_usage(struct dialect_case *test, const struct msg_usage *usage);
/* The stream ends, or the whole answer is printed. */
int dialect_case_end(struct dialect_case *test);
