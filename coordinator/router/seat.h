/* One instance as the router keeps it: its place in the fleet, what was learnt of its speed, and
 * how often it fails. Made when a node tells of a model, brought up to date at each word of its
 * node. */
#pragma once

#include "common/buf.h"
#include "coordinator/instance.h"
#include "coordinator/scheduling/fleet.h"
#include "coordinator/scheduling/rates.h"

#include <stdint.h>

enum {
    SEAT_LOAD_BYTES_S = 1024 * 1024 * 1024, /* read from a disk, where no load was measured … */
    SEAT_LOAD_INIT_MS = 2000,               /* … and until the engine is ready then */
    SEAT_TRIPS = 3,                         /* failures in a row open its circuit … */
    SEAT_REST_MS = 10 * 1000,               /* … for so long; twice as long after each one more */
    SEAT_REST_MAX_MS = 10 * 60 * 1000,
};

struct seat {
    struct fleet_handle handle;
    struct instance *instance; /* borrowed: its session's */
    struct rates rates;
    enum instance_state state; /* as last told */
    uint32_t restarts;
    uint32_t cache_blocks;
    double loading_since_s;
    unsigned failures; /* in a row */
    double rests_until_s;
};

/* What the node tells of the instance, and what was learnt, as the scheduler reads it. */
void seat_fill(const struct seat *seat, double now_s, struct fleet_instance *ret_entry);
/* Blocks of prompts that the instance keeps between requests. */
uint32_t seat_cache_blocks(const struct instance *instance, double bytes_per_token);
/* What is known of its speed before its first request. */
void seat_prior(const struct instance *instance, struct cost_rates *ret_prior);
/* True where its engine has lost what it held of prompts since the last look: it is another one, or
 * none. Notes what it saw. */
bool seat_lost_cache(struct seat *seat, double now_s);
/* A request has ended there, well or not. */
void seat_count(struct seat *seat, bool failed, double now_s);
