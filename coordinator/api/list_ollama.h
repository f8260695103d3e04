/* What Ollama's API tells of its models: GET /api/tags, POST /api/show, GET /api/ps, GET
 * /api/version. Its endpoints that change models are refused: which models there are is decided
 * where they lie, on the nodes. Pure; what a failed call has appended is of no use. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/api/offers.h"
#include "coordinator/dialects/dialect.h"

#include <stddef.h>

/* -ENOBUFS, -ENOMEM. */
MUST_CHECK int list_ollama_tags(const struct offers *offers, struct buf *out);
/* The models that an engine holds now. */
MUST_CHECK int list_ollama_ps(const struct offers *offers, struct buf *out);
MUST_CHECK int list_ollama_version(struct buf *out);
/* `body` is the request's: {"model":…} or, from older clients, {"name":…}. -EINVAL where it is
 * none, -ENOENT where nothing has that name. */
MUST_CHECK int list_ollama_show(const struct offers *offers, const char *body, size_t len,
        struct buf *out, struct err *err);

/* The answer to /api/pull, push, create, copy, delete and blobs. */
extern const struct api_error list_ollama_read_only;
