#include "bench/sim/baselines.h"

#include "bench/sim/chance.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

typedef double score_fn(const struct balancer_view *view, const struct job *job, uint32_t node);

/* The node of the least score that is up; of equals one drawn by lot. */
static uint32_t least(const struct balancer_view *view, const struct job *job, score_fn *score)
{
    uint32_t best = WORLD_NOWHERE, equals = 0;
    double best_score = INFINITY;

    for (uint32_t i = 0; i < view->count; i++) {
        double node_score = view->nodes[i].up ? score(view, job, i) : INFINITY;

        if (!isfinite(node_score) || node_score > best_score)
            continue;
        equals = node_score < best_score ? 1 : equals + 1;
        if (equals == 1 || chance_below(view->chance, equals) == 0)
            best = i;
        best_score = node_score;
    }
    return best;
}

static uint64_t session_key(const struct job *job)
{
    return chance_mix(job->work->session);
}

/* --- round-robin --- */

static int turn_create(const struct world *world, void **ret_own)
{
    (void)world;
    *ret_own = calloc(1, sizeof(uint32_t));
    return *ret_own ? 0 : -ENOMEM;
}

static uint32_t next_in_turn(void *own, const struct balancer_view *view, const struct job *job)
{
    uint32_t *turn = own;

    (void)job;
    do {
        *turn = (*turn + 1) % view->count;
    } while (!view->nodes[*turn].up);
    return *turn;
}

const struct balancer baseline_round_robin = {
        .create = turn_create,
        .destroy = free,
        .choose = next_in_turn,
};

/* --- requests --- */

static double requests_of(const struct balancer_view *view, const struct job *job, uint32_t node)
{
    (void)job;
    return view->nodes[node].requests;
}

static uint32_t fewest_requests(void *own, const struct balancer_view *view, const struct job *job)
{
    (void)own;
    return least(view, job, requests_of);
}

const struct balancer baseline_least_requests = {.choose = fewest_requests};

static double requests_for_speed(
        const struct balancer_view *view, const struct job *job, uint32_t node)
{
    return (requests_of(view, job, node) + 1) / view->nodes[node].told->rates.prefill_tok_s;
}

static uint32_t fewest_for_speed(void *own, const struct balancer_view *view, const struct job *job)
{
    (void)own;
    return least(view, job, requests_for_speed);
}

const struct balancer baseline_speed_weighted = {.choose = fewest_for_speed};

/* The n-th of the nodes that are up. */
static uint32_t nth_up(const struct balancer_view *view, uint32_t n)
{
    uint32_t node = 0;

    for (;; node++)
        if (view->nodes[node].up && n-- == 0)
            return node;
}

static uint32_t fewer_of_two(void *own, const struct balancer_view *view, const struct job *job)
{
    uint32_t up = 0, first, second;

    (void)own;
    (void)job;
    for (uint32_t i = 0; i < view->count; i++)
        up += view->nodes[i].up;
    first = chance_below(view->chance, up);
    if (up == 1)
        return nth_up(view, first);
    second = (first + 1 + chance_below(view->chance, up - 1)) % up;
    first = nth_up(view, first);
    second = nth_up(view, second);
    return view->nodes[second].requests < view->nodes[first].requests ? second : first;
}

const struct balancer baseline_power_of_two = {.choose = fewer_of_two};

/* --- a port for each mode --- */

static uint32_t up_or_nowhere(const struct balancer_view *view, uint32_t node)
{
    return view->nodes[node].up ? node : WORLD_NOWHERE;
}

static uint32_t port_of_mode(void *own, const struct balancer_view *view, const struct job *job)
{
    (void)own;
    return up_or_nowhere(view, (uint32_t)(session_key(job) % view->count));
}

const struct balancer baseline_port_per_mode = {.choose = port_of_mode};

static uint32_t port_by_speed(void *own, const struct balancer_view *view, const struct job *job)
{
    double sum = 0, wanted;
    uint32_t node = 0;

    (void)own;
    for (uint32_t i = 0; i < view->count; i++)
        sum += view->nodes[i].told->rates.prefill_tok_s;
    wanted = (double)(session_key(job) >> 11) * 0x1p-53 * sum;
    while (node + 1 < view->count && wanted >= view->nodes[node].told->rates.prefill_tok_s)
        wanted -= view->nodes[node++].told->rates.prefill_tok_s;
    return up_or_nowhere(view, node);
}

const struct balancer baseline_port_by_speed = {.choose = port_by_speed};

/* --- consistent hashing --- */

enum { RING_POINTS = 256 }; /* of each node */
#define RING_BOUND 1.25

struct point {
    uint64_t at;
    uint32_t node;
};

struct ring {
    size_t count;
    struct point points[];
};

static int compare_points(const void *left, const void *right)
{
    const struct point *a = left, *b = right;

    return a->at < b->at ? -1 : a->at > b->at;
}

static int ring_create(const struct world *world, void **ret_own)
{
    size_t count = (size_t)world_node_count(world) * RING_POINTS;
    struct ring *ring = malloc(sizeof(*ring) + count * sizeof(*ring->points));

    if (!ring)
        return -ENOMEM;
    ring->count = count;
    for (size_t i = 0; i < count; i++)
        ring->points[i] = (struct point){chance_mix(~(uint64_t)i), (uint32_t)(i / RING_POINTS)};
    qsort(ring->points, count, sizeof(*ring->points), compare_points);
    *ret_own = ring;
    return 0;
}

static size_t point_after(const struct ring *ring, uint64_t key)
{
    size_t low = 0, high = ring->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ring->points[middle].at < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What a node may have, this request included: at least one has less. */
static double bound_of(const struct balancer_view *view)
{
    double requests = 1, up = 0;

    for (uint32_t i = 0; i < view->count; i++) {
        up += view->nodes[i].up;
        requests += view->nodes[i].up ? view->nodes[i].requests : 0;
    }
    return ceil(RING_BOUND * requests / up);
}

static uint32_t next_on_ring(void *own, const struct balancer_view *view, const struct job *job)
{
    const struct ring *ring = own;
    size_t at = point_after(ring, session_key(job));
    double bound = bound_of(view);

    for (;; at++) {
        uint32_t node = ring->points[at % ring->count].node;

        if (view->nodes[node].up && view->nodes[node].requests + 1 <= bound)
            return node;
    }
}

const struct balancer baseline_bounded_hash = {
        .create = ring_create,
        .destroy = free,
        .choose = next_on_ring,
};

/* --- those that know prompts --- */

static double product(const struct balancer_view *view, const struct job *job, uint32_t node)
{
    const struct balancer_node *at = &view->nodes[node];

    return (at->prefill_tokens + balancer_new_tokens(view, job, node)) * (at->requests + 1.0);
}

static uint32_t least_product(void *own, const struct balancer_view *view, const struct job *job)
{
    (void)own;
    return least(view, job, product);
}

const struct balancer baseline_lmetric = {.uses_prompts = true, .choose = least_product};

#define DYNAMO_OVERLAP_WEIGHT 1.0

static double dynamo_cost(const struct balancer_view *view, const struct job *job, uint32_t node)
{
    double prefill_tokens = view->nodes[node].prefill_tokens + balancer_new_tokens(view, job, node);

    return DYNAMO_OVERLAP_WEIGHT * prefill_tokens / WORKLOAD_BLOCK_TOKENS +
           view->used_blocks[node] + view->new_blocks[node];
}

static uint32_t least_dynamo_cost(
        void *own, const struct balancer_view *view, const struct job *job)
{
    (void)own;
    return least(view, job, dynamo_cost);
}

const struct balancer baseline_dynamo = {
        .uses_prompts = true,
        .uses_blocks = true,
        .choose = least_dynamo_cost,
};
