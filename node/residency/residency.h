/* Which model of a node is loaded next, which one waits or is refused, and which must leave memory:
 * the decision alone. Pure: a snapshot in, marks and reasons out, nothing kept between two calls,
 * nothing allocated; any thread. The caller reads memory, decides, carries out what is marked, and
 * decides again at every change, and at least every RESIDENCY_LOOK_MS while an engine runs or
 * anybody waits.
 *
 * Two budgets hold at once: what the engines of this node take in sum is within `limit_bytes`, and
 * what a load adds is free in the pool as it was measured just now.
 *
 * - Who is loaded. Pinned models first, then those for which somebody waits, the longest wait
 *   first, then, into free memory only, engines that died in service. Loads come one at a time,
 *   and none counts on memory that is still being given back.
 * - Who leaves for it. Only resident models that are not pinned, serve nobody, and have been
 *   resident for RESIDENCY_TENURE loads; first the one with the least rate × load time ÷ bytes, and
 *   none that the others make unnecessary.
 * - When. A load into free memory is due at once. One that displaces others is due when the regret
 *   of those who wait (their number × the longest wait) has reached its price: for each displaced
 *   model the time to load the one and to bring back the other, times the chance that a request
 *   misses it meanwhile. A pinned model does not wait for that. This is the ski-rental rule: time
 *   spent on loads stays in proportion to time that people have waited for them.
 * - Nobody starves. A wait that has become due is a claim: what it needs goes to nobody else, and
 *   models that stand in its way and are never idle are closed (they take no new run) until they
 *   are. Those behind it are loaded meanwhile only into what the claim leaves. The claim with the
 *   longest wait comes first, so two that need each other's memory take turns.
 * - What cannot fit, alone or beside the pinned models, is refused at once.
 * - Memory that others take counts. A load needs all that the host shall keep free beside what the
 *   engines have been promised; where half of that has gone as well, idle models go now, the least
 * valuable first, whatever their tenure; then a load under way; where nothing at all is free, every
 * idle model. Loads are refused while that lasts, and none begins for RESIDENCY_CALM_MS after it.
 * Idle models go as well where the sum is above the limit (an engine took more than it was
 * estimated at), then a load under way. What somebody else has loaded into an engine that this node
 * uses too is others' memory like any: no part of the sum, but gone from what is free.
 * - A model that failed to load is tried again in free memory when its back-off is over, but others
 *   leave for it again only after RESIDENCY_PARDON_MS, doubling with each failure.
 * - A model above the limit by no more than `swap_bytes` may be loaded for batch work, alone. While
 *   it is there, free memory says nothing about others and none is reclaimed for them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RESIDENCY_LOOK_MS = 1000,       /* others' memory is seen within this */
    RESIDENCY_TENURE = 2,           /* a model stays for so many times its load time */
    RESIDENCY_CALM_MS = 10000,      /* no load so soon after others took memory */
    RESIDENCY_SETTLE_MS = 5000,     /* an ended engine's memory may not show as free before … */
    RESIDENCY_RELEASE_MS = 1000,    /* … but so long it counts as free against others */
    RESIDENCY_PARDON_MS = 60000,    /* from a failed load until others leave for it again … */
    RESIDENCY_PARDON_DOUBLINGS = 6, /* … at most so often doubled */
    RESIDENCY_SLACK_DIVISOR = 2,    /* others may take so large a part of what is kept free before a
                                       model leaves for it: else one that just fits would come and go
                                       with every little thing */
    RESIDENCY_NAMED_MAX = 4,        /* models that an explanation names */
};

struct residency_host {
    uint64_t now_ms;
    uint64_t limit_bytes;     /* for all engines of this node in sum */
    uint64_t pool_free_bytes; /* of the memory that engines load into, measured now */
    uint64_t keep_free_bytes; /* of these: not for engines */
    uint64_t swap_bytes;      /* swap_allowance; 0: none */
    uint64_t short_at_ms;     /* the last decision whose `short_bytes` was not 0; 0: never */
    uint64_t released_at_ms;  /* when an engine last ended; 0: never */
    uint64_t released_bytes;  /* what it had, and those up to RESIDENCY_RELEASE_MS before it */
};

enum residency_state {
    RESIDENCY_ABSENT,
    RESIDENCY_LOADING,
    RESIDENCY_RESIDENT,
    RESIDENCY_STOPPING, /* its memory is taken until it has ended */
};

enum residency_verdict {
    RESIDENCY_NONE,   /* nobody wants it loaded, or it is there */
    RESIDENCY_LOAD,   /* start it now: at most one of a decision */
    RESIDENCY_WAIT,   /* not now; the reason says for what */
    RESIDENCY_REFUSE, /* tell those who wait */
};

enum residency_reason {
    RESIDENCY_FITS,       /* LOAD */
    RESIDENCY_BACKOFF,    /* WAIT: until its failed engine may be tried again */
    RESIDENCY_TURN,       /* … for a load or an eviction that came first */
    RESIDENCY_CLAIMED,    /* … for one that has waited longer and claims the memory */
    RESIDENCY_LEAVING,    /* … for models that leave */
    RESIDENCY_SETTLING,   /* … for the memory of an engine that has ended */
    RESIDENCY_CALM,       /* … because others took memory a moment ago */
    RESIDENCY_REGRET,     /* … displacing others costs more than the wait does as yet */
    RESIDENCY_BUSY,       /* … for models that are closed and finish their last runs */
    RESIDENCY_YOUNG,      /* … for models that have only just been loaded */
    RESIDENCY_TOO_BIG,    /* REFUSE: above the limit even alone */
    RESIDENCY_PINS,       /* … not beside the pinned models */
    RESIDENCY_OTHERS,     /* … other programs have the memory: until it is back */
    RESIDENCY_FAILED,     /* … others do not leave for it so soon after it failed */
    RESIDENCY_BATCH_ONLY, /* … it would swap: refuse those who are not batch work */
    RESIDENCY_REASON_COUNT,
};

/* A model of the node. */
struct residency_model {
    /* The snapshot. */
    const char *name;      /* for explanations; borrowed */
    uint64_t memory_bytes; /* the estimate, or more where its engine was seen to take more, also
                              once that has ended */
    /* Of these, gone from `pool_free_bytes` already (mapped weights are not where the kernel counts
     * them as available); the rest is promised to it. Where that is not known: all. */
    uint64_t taken_bytes;
    enum residency_state state;
    /* Others' memory, or another host's: nothing is decided about it, it is only told as one that
     * has memory. */
    bool foreign;
    bool pinned;
    bool busy;                 /* runs */
    bool closed;               /* as the last decision left `close` */
    bool restart;              /* died in service: load it again where there is room */
    bool replaced;             /* for a rehearsal: it ends for the load, or after it */
    unsigned waiting;          /* who wait for it; an ordered load counts as one */
    unsigned interactive;      /* of these: not batch work */
    uint64_t waiting_since_ms; /* the longest wait */
    uint64_t loaded_at_ms;     /* RESIDENT: when it became so */
    uint64_t used_at_ms;       /* a run last began or ended, or it became resident */
    uint32_t load_ms;          /* to load it: measured, or estimated from its size */
    float rate_per_s;          /* requests, decayed mean */
    unsigned failures;         /* in a row: loads that failed, and deaths before it was healthy */
    uint64_t failed_at_ms;     /* the last of them */
    uint64_t retry_at_ms;      /* not before; 0: no back-off */

    /* The decision. */
    enum residency_verdict verdict;
    enum residency_reason reason;               /* of LOAD, WAIT and REFUSE */
    uint64_t until_ms;                          /* WAIT: expected to last so long; 0: not known */
    bool evict;                                 /* stop its engine now */
    bool close;                                 /* start no new run on it */
    const struct residency_model *displaced_by; /* in whose claim it stands; NULL: in none */
};

struct residency_decision {
    struct residency_model *load; /* has verdict LOAD; NULL: none */
    uint64_t short_bytes;         /* others have so much of what is ours to count on */
};

/* Fills the second part of every model. */
void residency_decide(const struct residency_host *host, struct residency_model *models,
        size_t count, struct residency_decision *ret_decision);

/* True where a model of that size is above the limit and allowed to be: batch work only, loaded or
 * not. */
bool residency_swaps(const struct residency_host *host, uint64_t memory_bytes);

/* Memory there is for one model, for "the largest context that would fit"; models that leave count
 * as gone. */
struct residency_room {
    uint64_t alone_bytes;       /* with no other engine of this node, others' programs as now */
    uint64_t beside_pins_bytes; /* with the pinned ones */
    uint64_t now_bytes;         /* with all that is resident */
};
/* For `model` of `models`, which is not counted itself; NULL: for one more. */
struct residency_room residency_room(const struct residency_host *host,
        const struct residency_model *models, size_t count, const struct residency_model *model);

enum residency_way {
    RESIDENCY_WAY_BESIDE, /* idle models that are not pinned leave where they have to */
    RESIDENCY_WAY_SWAP, /* only after those that are `replaced` have ended, or, where none is, after
                           busy ones have become idle */
    RESIDENCY_WAY_NEVER, /* not even then */
};
/* How an ordered load of `model`, which is none of `models`, would go by and by, waiting aside;
 * `*ret_room_bytes`: what there would be for it that way. */
enum residency_way residency_rehearse(const struct residency_host *host,
        const struct residency_model *models, size_t count, const struct residency_model *model,
        uint64_t *ret_room_bytes);

/* When others may leave for it again; 0 where it has not failed. */
uint64_t residency_pardon_ms(const struct residency_model *model);

/* What the engines take and have been promised, in sum. Stops at UINT64_MAX. */
uint64_t residency_used_bytes(const struct residency_model *models, size_t count);

/* A sentence for people on what was decided of `model` of `models`: its verdict, else why it leaves
 * or is closed; "" where there is nothing to tell. With the numbers, the models that hold the
 * memory and what would help. Cut at `size`, which is not 0, never inside a character. Returns
 * `buf`. */
const char *residency_explain(const struct residency_host *host,
        const struct residency_model *models, size_t count, const struct residency_model *model,
        char *buf, size_t size);
