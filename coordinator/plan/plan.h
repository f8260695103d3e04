/* The fleet as the nodes tell it, and which of its models should be loaded where: what `modemesh
 * plan` shows and carries out. The judgement is placement/placement.h's; a plan is its input, made
 * from what nodes said and from the modes, and its outcome. The answer as JSON: plan_answer.h.
 *
 * How what nodes tell counts:
 * - Memory. A node has what it may load (its limit, with reserve and margin off already), less what
 *   other programs hold of that now, but never less than its own engines take already.
 * - What an engine takes: the estimate over the model's shape, shifted by as much as a measured
 *   engine of it was off. A model that tells no shape takes what its node says, with the context
 *   and the slots that it says, or fewer; more of either it cannot have.
 * - What is loaded or loads is resident. Pinned models stay as they are. A model whose engine
 *   failed is left out until it has run again, unless it is pinned.
 * - Foreign models are there, take nothing of the node and are never touched.
 * - Nodes that are draining, or have not told their memory yet, are left out.
 * - The same name is the same model; where the content differs, a note says so. A name in a mode's
 *   list that is an alias means one model, as for requests (aliases.h).
 * - A mode whose context the config does not set asks for no more than the most that one of its
 *   models was trained for.
 *
 * plan_create() copies what it is given, so that plan_place(), which may take a second, runs on any
 * thread; all else only reads. */
#pragma once

#include "common/err.h"
#include "coordinator/modes/modes.h"
#include "coordinator/node_session.h"
#include "coordinator/placement/placement.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLAN_BYTES_MAX = 128 * 1024 * 1024, /* of a snapshot */
    PLAN_NOTES_MAX = 32,                /* what is beyond them is counted only */
};

struct plan_host {    /* a node */
    const char *name; /* unique */
    const char *key;  /* its link key; NULL: orders cannot be sent there */
    struct node_facts facts;
    struct instance *const *instances;
    size_t count;
};

struct plan;

/* -ENOMEM, also where the snapshot would pass PLAN_BYTES_MAX. */
MUST_CHECK int plan_create(const struct plan_host *hosts, size_t host_count,
        const struct modes *modes, struct plan **ret_plan, struct err *err);
/* Takes NULL. */
void plan_destroy(struct plan *plan);

/* Once. Errors: those of placement_create(). */
MUST_CHECK int plan_place(struct plan *plan, struct err *err);

/* What was placed, and how; borrowed. NULL before plan_place(). */
const struct placement *plan_placement(const struct plan *plan);
const struct placement_fleet *plan_fleet(const struct plan *plan);
/* By index of the fleet's nodes; NULL where the host had none. */
const char *plan_key(const struct plan *plan, size_t node);
/* With which cache types the engine of that file was counted: as it runs, or would. */
void plan_cache_types(
        const struct plan *plan, size_t file, enum cache_type *ret_k, enum cache_type *ret_v);
/* True where people have just asked that node for something that a plan of ours is not to undo: a
 * model of it was loading, or ordered to, or ending, or one that no mode names was answering. */
bool plan_is_unsettled(const struct plan *plan, size_t node);
/* A sentence on what a plan could not count as it was told; NULL past the last. */
const char *plan_note(const struct plan *plan, size_t index);
