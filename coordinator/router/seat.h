/* One instance as the router keeps it: its place in the fleet, what was learnt of its speed and of
 * how much its engine remembers, and how often it fails. Made when a node tells of a model, brought
 * up to date at each word of its node.
 *
 * Its circuit. Failures in a row open it: nothing is sent there for a while, then it is tried
 * again, and each further failure doubles the pause. Requests that fail together fail once: what
 * was sent before the last failure says nothing more. One that succeeds closes it. Until then a
 * failure is a price, which fades. An engine's own error is that price and opens nothing: it may be
 * the request's fault, and who sends such requests must not close the mesh to others. Without the
 * price an engine that answers nothing but errors, and is idle, would get all there is.
 *
 * Its cache. An engine that reuses less of a prompt than it was thought to hold has less room than
 * its node tells, or others fill it too. Of all that it was thought to hold it held at most what is
 * left without the part that was missing; so much it is taken to have room for from then on, and a
 * little more each time it reuses what was expected. Pure but for the seat itself. */
#pragma once

#include "common/list.h"
#include "coordinator/instance.h"
#include "coordinator/scheduling/fleet.h"
#include "coordinator/scheduling/rates.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SEAT_LOAD_BYTES_S = 1024 * 1024 * 1024, /* read from a disk, where no load was measured … */
    SEAT_LOAD_INIT_MS = 2000,               /* … and until the engine is ready then */
    SEAT_TRIPS = 3,                         /* failures in a row open its circuit … */
    SEAT_REST_MS = 10 * 1000,               /* … for so long; twice as long after each one more */
    SEAT_REST_MAX_MS = 10 * 60 * 1000,
    SEAT_FADE_S = 60,        /* a failure makes the next one half as likely after so long … */
    SEAT_FORGET_S = 10 * 60, /* … and is forgotten so long after it, or after the pause */
    SEAT_REUSE_SLACK = 2,    /* blocks that an engine may reuse less: the end of the last one, a
                                template's own words */
};

#define SEAT_LOAD_OVERDUE                                                                          \
    1.25 /* a load that takes longer than expected takes so many times what                        \
            it has taken: else it would be the best for ever */
#define SEAT_SWAP_BYTES_S      4e9   /* between an engine's cache and its prompt cache: assumed */
#define SEAT_REUSE_SLACK_SHARE 0.125 /* … and so much of what it was thought to hold */
#define SEAT_SHRINK_MOST       0.75  /* of its room is left by one prompt that it had forgotten */
#define SEAT_GROW              (1.0 / 64) /* of what its node tells, for one that it had not */

struct seat {
    struct fleet_handle handle;
    struct instance *instance; /* borrowed: its session's */
    struct list watched;       /* in the router's, while seat_is_watched() */
    struct rates rates;
    enum instance_state state; /* as last told */
    uint32_t restarts;
    double loading_since_s;

    uint32_t cache_blocks; /* of prompts that it keeps between requests, by its node's word … */
    double cache_share;    /* … and what of it has shown to be true, more than 0, at most 1 */
    bool tells_reuse;      /* its engine does say what it reused */

    struct seat_content { /* what it says of its model's content, as alike.h last counted it */
        bool known;       /* by its fingerprint: … */
        uint8_t fingerprint[MSG_FINGERPRINT_BYTES];
        bool told, takes_tools; /* its engine runs, and says this */
    } content;
    uint32_t denied; /* CAPABILITY_… that it lacks, as engines with the same content say */

    unsigned failures; /* in a row */
    double failed_s;   /* when the last one was */
    double rests_until_s;
};

/* `bytes_per_token` of its model, about. */
void seat_init(struct seat *seat, struct instance *instance, double bytes_per_token, double now_s);
/* Its node has said something. True where its engine has lost what it held of prompts since: it is
 * another one, or none. */
MUST_CHECK bool seat_update(struct seat *seat, double bytes_per_token, double now_s);
/* What the node tells of the instance, and what was learnt, as routing reads it. */
void seat_fill(const struct seat *seat, double now_s, struct fleet_instance *ret_entry);
/* Of these what it can do: its node's word, and as long as its own engine says nothing, that of
 * engines with the same content. */
uint32_t seat_capabilities(const struct seat *seat);

/* Blocks of prompts that it has room for. */
uint32_t seat_cache_room(const struct seat *seat);
struct seat_reuse {       /* blocks */
    uint32_t thought;     /* of the prompt that it was thought to hold; more than 0 */
    double reused;        /* … and that its engine says it did */
    uint32_t held_in_all; /* of all prompts that it was thought to hold, before this one came */
    size_t prompt;        /* this one's, which it has computed */
    bool alone;           /* nothing else ran there: what another request is just about to compute,
                             or holds in a slot of its own, is not there yet for this one */
};
void seat_note_reuse(struct seat *seat, const struct seat_reuse *reuse);

/* A request that was sent at `sent_s` has ended there, well or not. */
void seat_count(struct seat *seat, bool failed, double sent_s, double now_s);
/* As above, with an error of its engine, or as its node has no memory for it. The next one is as
 * likely to fail, but no circuit is opened: the one may be the request's fault, of the other the
 * node tells at once, and knows when to try again. */
void seat_count_error(struct seat *seat, double sent_s, double now_s);
/* True while time alone changes what seat_fill() tells: failures count, or it is being loaded.
 * Forgets failures when they are old. */
bool seat_is_watched(struct seat *seat, double now_s);
