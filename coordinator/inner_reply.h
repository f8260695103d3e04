/* A reply (reply.h) that no HTTP client reads, but a part of the coordinator itself, its reader. It
 * takes at once whatever comes, so that no reader slows an engine down; what is kept of it, and up
 * to how much, the reader says. He may leave, as a client does that hangs up. Loop thread. */
#pragma once

#include "coordinator/reply.h"

#include <stdbool.h>
#include <stddef.h>

struct inner_reply_events {
    /* NULL: headers are of no interest. */
    void (*on_header)(void *ctx, const char *name, const char *value);
    /* A piece of a stream. What it returns, reply_write() does: an errno ends the answer. NULL:
     * pieces are dropped. */
    int (*on_piece)(void *ctx, const void *data, size_t len);
    /* Each of these ends the answer, and may free the reply: the whole of it, which is no stream; a
     * stream's end, or where it is cut off. */
    void (*on_whole)(void *ctx, int status, const void *body, size_t len);
    void (*on_end)(void *ctx, bool complete);
};

struct inner_reply { /* the reader's memory, until the answer has ended or he has left */
    const struct inner_reply_events *events;
    void *ctx;
    const struct http_exchange_events *job_events; /* NULL: nobody is to be told that he leaves */
    void *job;
};

/* `events` is borrowed (static const). */
void inner_reply_init(
        struct inner_reply *reply, const struct inner_reply_events *events, void *ctx);
/* For one job. */
struct reply inner_reply_for_job(struct inner_reply *reply);
/* The job, where it has not ended, is told so, and says no more. */
void inner_reply_leave(struct inner_reply *reply);
