/* The requests of a run, in the order of their arrival: read from a trace, or made up. A prompt is
 * known by its length and the chain of its blocks, each block's number standing for it and all
 * before it, as the coordinator's prefix chain and the engine's cache have them. Requests that
 * belong to one conversation have one session; sessions belong to users. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    WORKLOAD_REQUESTS_MAX = 4 * 1024 * 1024,
    WORKLOAD_BLOCKS_MAX = 256 * 1024 * 1024, /* of all prompts together */
    WORKLOAD_TOKENS_MAX = 16 * 1024 * 1024,  /* of one prompt, or one answer */
    WORKLOAD_BLOCK_TOKENS = 512,             /* of a block, as in Mooncake's traces */
};

struct work { /* one request */
    double arrival_s;
    uint32_t prompt_tokens; /* at least 1 */
    uint32_t output_tokens; /* at least 1 */
    uint32_t session;
    uint32_t user;
    uint32_t block_count; /* of its chain; the last one may be shorter than the others */
    size_t first_block;   /* in workload.blocks */
};

struct workload {
    struct work *at;
    size_t count, room;
    uint64_t *blocks;
    size_t block_count, block_room;
    uint32_t sessions; /* their numbers are below this */
    uint32_t users;    /* … and this */
    uint32_t copies;   /* that workload_thin() put in; 0: it did not */
};

void workload_init(struct workload *workload);
void workload_fini(struct workload *workload);

/* Puts in `work` with its chain (`work->first_block` is set here). -ENOMEM, -E2BIG past a limit. */
MUST_CHECK int workload_add(struct workload *workload, struct work work, const uint64_t *chain);
const uint64_t *workload_chain(const struct workload *workload, const struct work *work);
/* In the order of arrival; requests of one moment stay as they were put in. -ENOMEM. */
MUST_CHECK int workload_sort(struct workload *workload);

/* The requests of some sessions of `from`: of `load` 0.25 every fourth session or so, drawn by
 * `seed`, whole; the sessions of a smaller load are among those of a larger one. Times stay as they
 * are, so that pauses and the distance of reuse stay true. Of a load above 1 each session is there
 * once for every whole 1, and the rest as above: each further copy has blocks of its own, and
 * begins up to COPY_SHIFT_S later. Each session belongs to one of `users` then. -ENOMEM;
 * -E2BIG past a limit, or where sessions would be more than their numbers. */
#define WORKLOAD_COPY_SHIFT_S 60.0
MUST_CHECK int workload_thin(const struct workload *from, double load, uint64_t seed,
        uint32_t users, struct workload *ret_workload);

/* Makes `user` send `times` as much: each of its sessions is there so many times, the copies as in
 * workload_thin(). -ENOMEM, -E2BIG as there: then `workload` is of no use. */
MUST_CHECK int workload_flood(
        struct workload *workload, uint32_t user, uint32_t times, uint64_t seed);
