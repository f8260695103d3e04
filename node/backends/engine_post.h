/* What a request becomes on an engine that speaks llama-server's HTTP: one table of all kinds, with
 * the path, the form of the answer, and what a client has no say in: the model's name, the slot,
 * the context's size, adapters, which fields of the answer come. Those members are left out of the
 * body or set; all else goes on byte for byte. */
#pragma once

#include "node/backends/answers/engine_answer.h"
#include "node/backends/backend.h"
#include "node/backends/multipart.h"

enum engine_form {      /* of an answer */
    ENGINE_FORM_EVENTS, /* server-sent events, one chunk each */
    ENGINE_FORM_RESULT, /* one JSON object, passed on as it is */
    ENGINE_FORM_PROMPT, /* one with the prompt whose tokens are then counted … */
    ENGINE_FORM_TOKENS, /* … and one with its tokens */
    ENGINE_FORM_COUNT,
};

struct engine_post {
    const char *path; /* "/v1/chat/completions" */
    enum engine_form form;
    engine_chunk_fn read_chunk; /* ENGINE_FORM_EVENTS */
    char content_type[MULTIPART_TYPE_MAX];
    struct buf body;
};

/* Makes the post of a request. `model`: what the engine calls its model, NULL where it has but one.
 * -EINVAL: the body is no JSON object, or no file is in it; -ENOTSUP: a kind that is not known;
 * -ENOMEM. On success the caller finishes it. */
MUST_CHECK int engine_post_init(struct engine_post *post, const struct run_spec *spec,
        const char *model, const struct env *env, struct err *err);
/* The second of the two posts that count a chat's tokens: `prompt` is the raw JSON string that the
 * engine made of it. */
MUST_CHECK int engine_post_init_tokenize(
        struct engine_post *post, const char *prompt, size_t prompt_len, struct err *err);
/* It is to be answered by this slot. -ENOMEM, or -ENOBUFS past the limit on bodies: then `post` is
 * as it was. */
MUST_CHECK int engine_post_pin(struct engine_post *post, unsigned slot);
void engine_post_fini(struct engine_post *post);
