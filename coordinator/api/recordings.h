/* Answers that nobody waits for: each is recorded event by event, and who asks for it later reads
 * the events from wherever he likes, at his own speed, also while more of them come.
 *
 *            the job ends it, fails, or is cancelled
 *   RUNNING ────────────────────────────────────────▶ ENDED ──▶ (forgotten after a while)
 *
 * A recording is where a job's answer goes (inner_reply.h); that its client is gone is told to the
 * job when the recording is cancelled. Its events are those of /v1/responses, whose numbers are
 * their places in the recording. All is bounded, in bytes, number and time. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "coordinator/http/http_server.h"
#include "coordinator/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct response_store;

enum {
    RECORDINGS_MAX = 256,                     /* the oldest that has ended makes room */
    RECORDINGS_BYTES_MAX = 128 * 1024 * 1024, /* of inputs and events, likewise */
    RECORDING_BYTES_MAX = 24 * 1024 * 1024,   /* of one: past it, its answer fails */
    RECORDING_AGE_MS = 60 * 60 * 1000,        /* since it ended */
};

struct recordings;
struct recording;

struct recordings_config {
    const struct env *env;        /* borrowed */
    struct response_store *store; /* borrowed; gets what failed or was cancelled */
    size_t count_max, bytes_max;  /* 0: as above */
};

/* NULL where malloc refuses. */
struct recordings *recordings_create(const struct recordings_config *config);
/* What runs is cancelled, who reads is cut off. Takes NULL. */
void recordings_destroy(struct recordings *recordings);
/* What has ended long ago goes. About once a second. */
void recordings_tick(struct recordings *recordings);

struct recording_config { /* borrowed for the call */
    const char *id, *owner, *previous;
    const char *input;  /* JSON: an array of items */
    const char *object; /* JSON: the response before its first event */
    bool follow;        /* its first client reads the events; else he is told the object */
};

/* -EBUSY where too many run, or what runs leaves no room; -ENOMEM. It is borrowed: the recordings
 * forget it some time after it has ended, when another one begins or grows, or in
 * recordings_tick(). */
MUST_CHECK int recordings_begin(struct recordings *recordings,
        const struct recording_config *config, struct recording **ret_recording, struct err *err);
/* For one job. */
struct reply recording_reply(struct recording *recording);
/* After the job was started with that reply: answers the client that asked. What the job refused at
 * once is refused to him, too, and the recording is gone. */
void recording_answer(struct recording *recording, struct http_exchange *exchange);

/* NULL: not there, or another's. */
struct recording *recordings_find(struct recordings *recordings, const char *owner, const char *id);
/* Borrowed. */
const char *recording_input(const struct recording *recording);
/* Appends the response as it is now, a JSON object. -ENOBUFS, -ENOMEM. */
MUST_CHECK int recording_object(const struct recording *recording, struct buf *out);
/* Streams the events from number `first` on; takes the exchange over. */
void recording_follow(struct recording *recording, struct http_exchange *exchange, uint64_t first);
/* Ends its job where it runs. */
void recording_cancel(struct recording *recording);
/* Likewise, and forgets it. */
void recording_delete(struct recording *recording);
