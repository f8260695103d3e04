/* The neutral request: what an editor asked for, in no editor's API. A dialect makes it, everything
 * behind reads it. The body stays JSON in the shape of OpenAI's chat completions, so that fields
 * nobody here knows survive. */
#pragma once

#include "common/buf.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    REQUEST_ID_MAX = 32, /* "req_" and 24 hex digits */
    REQUEST_CLIENT_MAX = 96,
    REQUEST_CHOICES_MAX = 16, /* `n`: answers asked for in one request */
};

struct request {
    char id[REQUEST_ID_MAX];
    char client[REQUEST_CLIENT_MAX]; /* who asks: "local", "key NAME", "edge NODE"; for the log */
    enum request_kind kind;
    char asked[MSG_NAME_MAX + 1]; /* a mode, a model or "auto": what stood in `model` */
    bool stream;                  /* the client wants the tokens as they come */
    bool include_usage;           /* … and a last piece with the usage */
    uint32_t choices;             /* 1 … REQUEST_CHOICES_MAX */
    struct buf body;              /* what goes to the engine */
};

void request_init(struct request *request);
void request_fini(struct request *request);
