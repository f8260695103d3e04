/* The life of one inference request in the coordinator, from the whole body to the last byte taken
 * by the client: choose an instance, send it there, bring the deltas back through the dialect, move
 * elsewhere what failed before its first content, cancel when the client leaves. And the queue of
 * requests that no instance can take now. Loop thread; sans-I/O but for the reply it answers on.
 *
 *                     an instance has room        the engine is done
 *   create ──▶ WAITING ─────────────────▶ RUNNING ──────────────────▶ DRAINING
 *               │   ▲                     │     │                         │
 *               │   └─────────────────────┘     │ failed with or          │ the client
 *               │   failed before its content   │ after its content       │ took all
 *               ▼                               ▼                         ▼
 *            refused                     an error is told              (freed)
 *
 * A completion that a newer keystroke makes useless (cursor.h) ends at once, in the queue or at its
 * engine: WAITING or RUNNING ▶ DRAINING. Its client gets what has come of it, maybe nothing, with
 * the finish reason "length": whole in every API, so that nobody shows an error or asks again, and
 * marked as cut off, as completions mostly are. Of one editor are requests of the same key and the
 * same session where one is told, else from the same address, for the same model or mode; behind
 * one address and key several people may be, whom only their texts tell apart. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "coordinator/dialects/dialect.h"
#include "coordinator/job/job_terms.h"
#include "coordinator/node_table.h"
#include "coordinator/reply.h"
#include "coordinator/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Past the first 429, past the others 503, each lane by itself: requests in the queue; bytes
     * that all requests hold with their bodies and with what their dialects keep of them. */
    JOBS_WAITING_MAX = 1024,
    JOBS_BURST_MAX = 256, /* requests of a lane that come before the queue is looked through */
    JOBS_BODIES_MAX = 512 * 1024 * 1024,
    JOBS_AUTOCOMPLETE_BODIES_MAX = 64 * 1024 * 1024,
    /* Past this 500: bytes of the whole answers that are being gathered, all together. */
    JOBS_GATHERED_MAX = 512 * 1024 * 1024,
    /* Instances that one request is tried on, and the pause before it goes back to one that has
     * failed it, where no other has the model. */
    JOB_ATTEMPTS_MAX = 3,
    JOB_SAME_AGAIN_MS = 500,
    JOB_WAIT_MAX_MS =
            10 * 60 * 1000, /* in the queue, in sum, where no mode says another: then 503 */
    /* A stream's headers go out with its first content, at the latest so long after START (until
     * then an engine's refusal gets its own HTTP status) or so long after it was queued. */
    JOB_HEADERS_RUNNING_MS = 1000,
    JOB_HEADERS_WAITING_MS = 15 * 1000,
    JOB_IDLE_MS = 15 * 1000, /* a silent stream gets a sign of life this often */
    JOB_MOVES_MAX = 4,       /* so often a request follows its mode to another model */
    /* In one look through the queue: kinds of waiting requests that are told apart (those of one
     * that its spare serves count as another); how many of each are asked; and how many more, of
     * all kinds together, where something has room that is not worth it yet, or a mode refuses, or
     * which are of other kinds than these. */
    JOBS_KINDS_MAX = 64,
    JOBS_LOOKS_MAX = 16,
    JOBS_LOOKS_MORE_MAX = 128,
    /* An answer of which its node says more tokens than so many a second, and so many besides, is
     * charged as that: no engine writes so fast. */
    JOB_ANSWER_TOK_S = 10000,
    JOB_ANSWER_TOKENS_MIN = 1024,
    JOB_REASON_MAX = 199,
    JOB_REFUSAL_MAX = 1023, /* bytes of what a refused client is told */
    JOB_WAITED_MAX = 47,    /* bytes of how long it has waited, in its reason */
    /* bytes of a comment that tells a client how long it may still wait, or what for */
    JOB_PROGRESS_MAX = JOB_REASON_MAX + 64,
    JOB_RETRY_AFTER_MAX_S = 60,
    JOB_RETRY_AFTER_S = 5, /* told to clients with a 429 or 503 that says nothing else */
};

#define JOB_WAITED_TOLD_S 0.01 /* … where it was as long as that */

struct affinities;
struct jobs;

struct jobs_config {
    const struct env *env;         /* borrowed */
    struct router *router;         /* borrowed */
    struct affinities *affinities; /* borrowed; NULL: no conversation has a place */
    size_t gathered_max;           /* 0: JOBS_GATHERED_MAX */
};

/* NULL where malloc refuses. */
struct jobs *jobs_create(const struct jobs_config *config);
/* What requests' prompts are hashed with, for as long as these live (prefix_chain.h). */
uint64_t jobs_prompt_seed(const struct jobs *jobs);
/* Every open job ends: its node and its client are told, once the loop comes to it. */
void jobs_end_all(struct jobs *jobs);
/* Ends what is open first. Takes NULL. */
void jobs_destroy(struct jobs *jobs);

/* Takes over `reply`, `request` (moved; the caller's is empty afterwards) and `terms`, NULL where
 * there was no memory for them. Answers by itself, also where it cannot begin. Who comes in one
 * turn of the loop is looked at at its end, by jobs_dispatch_changed(). The caller has set the
 * header X-Modemesh-Request. */
void jobs_start(struct jobs *jobs, const struct reply *reply, const struct dialect *dialect,
        struct request *request, struct job_terms *terms);

/* The mode has `model` in the place of `replaced` now: so do its requests that may follow it and
 * have not begun to answer; those that run stay where they are unless they fail there. */
void jobs_move_mode(struct jobs *jobs, const char *mode, const char *replaced, const char *model);
/* Something changed: tries the waiting ones, in the order of service. */
void jobs_dispatch(struct jobs *jobs);
/* At the end of each turn of the loop: as jobs_dispatch() where a job has since then come, ended on
 * its instance, got its first token there (its prefill is over), or goes by other terms. */
void jobs_dispatch_changed(struct jobs *jobs);
/* Time limits and signs of life; about ten times a second. */
void jobs_tick(struct jobs *jobs);

/* Whether one that `client` (request.h) sent now would be looked at as one of a greedy key
 * (fair_queue.h): for who tells where it would go. Changes no more than the queue's clock, and whom
 * it has long forgotten. */
bool jobs_is_greedy(const struct jobs *jobs, const char *client, enum request_lane lane,
        const char *const *models, size_t model_count);
size_t jobs_waiting(const struct jobs *jobs);
/* Of them those that go by that mode's terms now; JOB_TERMS_NO_MODE: that asked for a model. */
size_t jobs_waiting_in(const struct jobs *jobs, const char *mode);
size_t jobs_running(const struct jobs *jobs);

/* Answers with an error in the family's shape and its Retry-After; 429 and 503 always have one. */
void reply_error(const struct reply *reply, const struct dialect_family *family,
        const struct api_error *error, const char *request_id);
