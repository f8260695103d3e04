/* The listings of models that clients of OpenAI's, Anthropic's, LM Studio's and LiteLLM's APIs
 * read, made from what the caller may ask for. All say of a model what all their readers look for:
 * one object serves them all. Pure; what a failed call has appended is of no use. */
#pragma once

#include "common/buf.h"
#include "coordinator/api/offers.h"

enum { LIST_PAGE_MAX = 1000 };

struct list_page { /* of Anthropic's list; all optional */
    size_t limit;  /* 0, or more than LIST_PAGE_MAX: so many */
    /* The page begins behind the one, or ends before the other. An id that is not there counts as
     * none. */
    const char *after_id, *before_id;
};

/* GET /v1/models: {"object":"list","data":[…]}. -ENOBUFS, -ENOMEM. */
MUST_CHECK int list_models_openai(const struct offers *offers, struct buf *out);
/* GET /v1/models where the caller sends anthropic-version: {"data":[…],"has_more",…}. */
MUST_CHECK int list_models_anthropic(
        const struct offers *offers, const struct list_page *page, struct buf *out);
/* GET /v1/models/ID, both APIs. -ENOENT: nothing of that name. */
MUST_CHECK int list_models_one(const struct offers *offers, const char *id, struct buf *out);
/* GET /v1/model/info and /model/info, LiteLLM's. */
MUST_CHECK int list_models_litellm(const struct offers *offers, struct buf *out);
/* GET /api/v0/models, LM Studio's. */
MUST_CHECK int list_models_lmstudio(const struct offers *offers, struct buf *out);
