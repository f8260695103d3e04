#include "bench/sim/policies/baselines.h"

#include "bench/sim/workload/chance.h"

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

enum { RING_POINTS = 256 }; /* of a node, in the mean */
#define RING_BOUND 1.25

struct point {
    uint64_t at;
    uint32_t node;
};

struct ring {
    double *shares; /* by node: of the points, and of the requests; 1 in all */
    struct point *points;
    size_t count;
};

static int compare_points(const void *left, const void *right)
{
    const struct point *a = left, *b = right;

    return a->at < b->at ? -1 : a->at > b->at;
}

static void ring_destroy(void *own)
{
    struct ring *ring = own;

    free(ring->shares);
    free(ring->points);
    free(ring);
}

static void share_out(struct ring *ring, const struct world *world, bool by_speed)
{
    uint32_t nodes = world_node_count(world);
    double sum = 0;

    for (uint32_t i = 0; i < nodes; i++)
        sum += ring->shares[i] = by_speed ? (double)world_told(world, i)->rates.prefill_tok_s : 1;
    for (uint32_t i = 0; i < nodes; i++)
        ring->shares[i] /= sum;
}

/* Each node has a point at least. */
static void put_points(struct ring *ring, uint32_t nodes)
{
    for (uint32_t i = 0; i < nodes; i++) {
        double points = ceil(ring->shares[i] * nodes * RING_POINTS);

        for (uint32_t j = 0; j < points; j++)
            ring->points[ring->count++] = (struct point){chance_mix(~((uint64_t)i << 32 | j)), i};
    }
    qsort(ring->points, ring->count, sizeof(*ring->points), compare_points);
}

static int make_ring(const struct world *world, bool by_speed, void **ret_own)
{
    uint32_t nodes = world_node_count(world);
    struct ring *ring = calloc(1, sizeof(*ring));

    if (!ring)
        return -ENOMEM;
    ring->shares = calloc(nodes, sizeof(*ring->shares));
    ring->points = calloc((size_t)nodes * (RING_POINTS + 1), sizeof(*ring->points));
    if (!ring->shares || !ring->points) {
        ring_destroy(ring);
        return -ENOMEM;
    }
    share_out(ring, world, by_speed);
    put_points(ring, nodes);
    *ret_own = ring;
    return 0;
}

static int even_ring(const struct world *world, void **ret_own)
{
    return make_ring(world, false, ret_own);
}

static int ring_by_speed(const struct world *world, void **ret_own)
{
    return make_ring(world, true, ret_own);
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

/* What a node of all the share may have, this request included. The shares of those that are up
 * make that large enough for one of them at least. */
static double bound_of(const struct ring *ring, const struct balancer_view *view)
{
    double requests = 1, up = 0;

    for (uint32_t i = 0; i < view->count; i++) {
        up += view->nodes[i].up ? ring->shares[i] : 0;
        requests += view->nodes[i].up ? view->nodes[i].requests : 0;
    }
    return RING_BOUND * requests / up;
}

static uint32_t next_on_ring(void *own, const struct balancer_view *view, const struct job *job)
{
    const struct ring *ring = own;
    size_t at = point_after(ring, session_key(job));
    double bound = bound_of(ring, view);

    for (;; at++) {
        uint32_t node = ring->points[at % ring->count].node;

        if (view->nodes[node].up &&
                view->nodes[node].requests + 1 <= ceil(bound * ring->shares[node]))
            return node;
    }
}

const struct balancer baseline_bounded_hash = {
        .create = even_ring,
        .destroy = ring_destroy,
        .choose = next_on_ring,
};

const struct balancer baseline_hash_by_speed = {
        .create = ring_by_speed,
        .destroy = ring_destroy,
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
