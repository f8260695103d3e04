/* The body of a request while an OpenAI-shaped endpoint reads it: a tree to look at, and the raw
 * text, of which only those members are replaced that must be, so that all else reaches the engine
 * as it came. What can be refused is, as in fields.h; a failure for lack of memory sticks, and
 * openai_body_commit() tells. */
#pragma once

#include "common/json/json.h"
#include "coordinator/dialects/fields.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

enum { OPENAI_EDITS_MAX = 32 }; /* members that one endpoint may replace */

struct openai_body {
    const struct dialect_input *input;
    struct fields fields;    /* of `json` */
    cJSON *json;             /* an object; may be changed, it is not printed as a whole */
    struct request *request; /* being filled in */
    bool no_memory;
    struct json_member edits[OPENAI_EDITS_MAX]; /* values are owned */
    size_t edit_count;
};

/* An endpoint's parse(), as in struct dialect: opens the body, has `read` read it, and closes it.
 * -EINVAL where it is no JSON object. */
MUST_CHECK int openai_body_read(int (*read)(struct openai_body *body),
        const struct dialect_input *input, struct request *ret_request, const char **ret_param,
        struct err *err);

/* Notes that the member is printed from `value`, is the text or the number `value`, or goes. `key`
 * is static, and a second word about it replaces the first. */
void openai_body_set(struct openai_body *body, const char *key, const cJSON *value);
void openai_body_set_str(struct openai_body *body, const char *key, const char *value);
void openai_body_set_num(struct openai_body *body, const char *key, double value);
void openai_body_drop(struct openai_body *body, const char *key);
/* Notes in request->kept that `what` is true. -ENOMEM. */
MUST_CHECK int openai_keep(struct openai_body *body, const char *what);
/* Writes what has become of the body to request->body. -EINVAL where there is no room, -ENOMEM. */
MUST_CHECK int openai_body_commit(struct openai_body *body);

/* True for an array of one token's id or more. Takes NULL. */
bool openai_is_token_ids(const cJSON *array);

/* Reads what all endpoints share into the request: `model`, and what session it belongs to. */
MUST_CHECK int openai_read_model(struct openai_body *body);
/* `stream` and `stream_options`. */
MUST_CHECK int openai_read_stream(struct openai_body *body);
/* `n` */
MUST_CHECK int openai_read_choices(struct openai_body *body);
/* What the client says of the answer's length: of its names the newer one, and before both the one
 * that llama.cpp takes before both. NULL: nothing. Borrowed from the body. */
const cJSON *openai_length(const struct openai_body *body);
/* The settings of the sampler, `stop`, and the limits of the answer's length. */
MUST_CHECK int openai_read_sampling(struct openai_body *body);
