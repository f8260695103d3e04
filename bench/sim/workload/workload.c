#include "bench/sim/workload/workload.h"

#include "bench/sim/workload/chance.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void workload_init(struct workload *workload)
{
    *workload = (struct workload){0};
}

void workload_fini(struct workload *workload)
{
    free(workload->at);
    free(workload->blocks);
    workload_init(workload);
}

static int grow(void **array, size_t *room, size_t needed, size_t size)
{
    size_t wanted = *room ? 2 * *room : 1024;
    void *grown;

    if (needed <= *room)
        return 0;
    if (wanted < needed)
        wanted = needed;
    grown = reallocarray(*array, wanted, size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *room = wanted;
    return 0;
}

int workload_add(struct workload *workload, struct work work, const uint64_t *chain)
{
    void *at = workload->at, *blocks = workload->blocks;
    int r;

    if (workload->count == WORKLOAD_REQUESTS_MAX ||
            work.block_count > WORKLOAD_BLOCKS_MAX - workload->block_count)
        return -E2BIG;
    r = grow(&at, &workload->room, workload->count + 1, sizeof(*workload->at));
    workload->at = at;
    if (r < 0)
        return r;
    r = grow(&blocks, &workload->block_room, workload->block_count + work.block_count,
            sizeof(*workload->blocks));
    workload->blocks = blocks;
    if (r < 0)
        return r;
    work.first_block = workload->block_count;
    if (work.block_count > 0)
        memcpy(workload->blocks + work.first_block, chain, work.block_count * sizeof(*chain));
    workload->block_count += work.block_count;
    workload->at[workload->count++] = work;
    return 0;
}

const uint64_t *workload_chain(const struct workload *workload, const struct work *work)
{
    return workload->blocks + work->first_block;
}

struct ordered { /* for qsort(), which does not keep the order of equals */
    struct work work;
    size_t index;
};

static int compare(const void *left, const void *right)
{
    const struct ordered *a = left, *b = right;

    if (a->work.arrival_s != b->work.arrival_s)
        return a->work.arrival_s < b->work.arrival_s ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

int workload_sort(struct workload *workload)
{
    struct ordered *order;

    if (workload->count == 0)
        return 0;
    order = calloc(workload->count, sizeof(*order));
    if (!order)
        return -ENOMEM;
    for (size_t i = 0; i < workload->count; i++)
        order[i] = (struct ordered){workload->at[i], i};
    qsort(order, workload->count, sizeof(*order), compare);
    for (size_t i = 0; i < workload->count; i++)
        workload->at[i] = order[i].work;
    free(order);
    return 0;
}

struct copy {          /* one time through all sessions */
    uint32_t number;   /* its blocks and times are drawn by this */
    uint32_t place;    /* its sessions come behind those of so many */
    uint32_t sessions; /* of one copy */
    double share;      /* of the sessions that are in */
    uint64_t seed;
};

static uint64_t lot_of(const struct copy *copy, uint32_t session, uint64_t purpose)
{
    return chance_mix(copy->seed ^
                      chance_mix(((uint64_t)copy->number << 32 | session) ^ chance_mix(purpose)));
}

static double unit_of(uint64_t lot)
{
    return (double)(lot >> 11) * 0x1p-53;
}

/* The first copy has the blocks of the trace, whose numbers may be small and follow each other. */
static void copy_chain(
        const struct copy *copy, const uint64_t *chain, uint32_t count, uint64_t *ret_chain)
{
    uint64_t own = chance_mix(copy->number);
    for (uint32_t i = 0; i < count; i++)
        ret_chain[i] = copy->number == 0 ? chain[i] : chance_mix(chain[i] ^ own);
}

static int copy_work(const struct workload *from, struct work work, const struct copy *copy,
        uint32_t users, struct workload *to)
{
    uint64_t *chain = calloc((size_t)work.block_count + 1, sizeof(*chain));
    struct work copied = work;
    int r;

    if (!chain)
        return -ENOMEM;
    copy_chain(copy, workload_chain(from, &work), work.block_count, chain);
    copied.session = copy->place * copy->sessions + work.session;
    if (users > 0)
        copied.user = (uint32_t)(lot_of(copy, work.session, 2) % users);
    if (copy->number > 0)
        copied.arrival_s += WORKLOAD_COPY_SHIFT_S * unit_of(lot_of(copy, work.session, 3));
    r = workload_add(to, copied, chain);
    free(chain);
    return r;
}

static int add_copy(
        const struct workload *from, const struct copy *copy, uint32_t users, struct workload *to)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < from->count; i++)
        if (unit_of(lot_of(copy, from->at[i].session, 1)) < copy->share)
            r = copy_work(from, from->at[i], copy, users, to);
    return r;
}

static bool numbers_suffice(double copies, uint32_t sessions)
{
    return copies * sessions <= UINT32_MAX;
}

int workload_thin(const struct workload *from, double load, uint64_t seed, uint32_t users,
        struct workload *ret_workload)
{
    struct workload thinned = {.users = users > 0 ? users : from->users};
    struct copy copy = {.seed = seed, .sessions = from->sessions};
    int r = numbers_suffice(ceil(load), from->sessions) ? 0 : -E2BIG;

    for (; r == 0 && load > copy.number; copy.number++) {
        copy.share = load - copy.number;
        copy.place = copy.number;
        r = add_copy(from, &copy, users, &thinned);
    }
    thinned.sessions = copy.number * from->sessions;
    thinned.copies = copy.number;
    r = r == 0 ? workload_sort(&thinned) : r;
    if (r < 0)
        workload_fini(&thinned);
    else
        *ret_workload = thinned;
    return r;
}

int workload_flood(struct workload *workload, uint32_t user, uint32_t times, uint64_t seed)
{
    struct copy copy = {.seed = seed, .sessions = workload->sessions};
    uint32_t first = workload->copies > 0 ? workload->copies : 1; /* that is not there yet */
    size_t count = workload->count;
    int r = numbers_suffice(times, workload->sessions) ? 0 : -E2BIG;

    for (copy.place = 1; r == 0 && copy.place < times; copy.place++) {
        copy.number = first + copy.place - 1;
        for (size_t i = 0; r == 0 && i < count; i++)
            if (workload->at[i].user == user)
                r = copy_work(workload, workload->at[i], &copy, 0, workload);
    }
    workload->sessions *= times;
    return r == 0 ? workload_sort(workload) : r;
}
