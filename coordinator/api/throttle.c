#include "coordinator/api/throttle.h"

#include "coordinator/trust/origin.h"

#include <stdbool.h>
#include <stdlib.h>

struct failures {
    struct origin peer;
    uint32_t count;
    uint64_t last_ms;
};

struct throttle {
    struct failures list[THROTTLE_ADDRESSES_MAX];
    size_t count;
};

struct throttle *throttle_create(void)
{
    return calloc(1, sizeof(struct throttle));
}

void throttle_destroy(struct throttle *throttle)
{
    free(throttle);
}

static size_t find(const struct throttle *throttle, const struct origin *peer)
{
    size_t i = 0;
    while (i < throttle->count && !origin_same(&throttle->list[i].peer, peer))
        i++;
    return i;
}

static uint64_t quiet_ms(const struct failures *failures, uint64_t now_ms)
{
    return now_ms > failures->last_ms ? now_ms - failures->last_ms : 0;
}

static uint64_t penalty_ms(uint32_t failures)
{
    uint64_t wait_s = 1;
    if (failures <= THROTTLE_FREE)
        return 0;
    for (uint32_t more = failures - THROTTLE_FREE - 1; more > 0 && wait_s < THROTTLE_MAX_S; more--)
        wait_s *= 2;
    return (wait_s < THROTTLE_MAX_S ? wait_s : THROTTLE_MAX_S) * 1000;
}

uint32_t throttle_wait_s(const struct throttle *throttle, const char *address, uint64_t now_ms)
{
    struct origin peer = origin_of(address);
    size_t at = find(throttle, &peer);
    if (at == throttle->count)
        return 0;
    const struct failures *failures = &throttle->list[at];
    uint64_t wait = penalty_ms(failures->count), quiet = quiet_ms(failures, now_ms);
    return quiet < wait ? (uint32_t)((wait - quiet + 999) / 1000) : 0;
}

static size_t quietest(const struct throttle *throttle)
{
    size_t best = 0;
    for (size_t i = 1; i < throttle->count; i++)
        if (throttle->list[i].last_ms < throttle->list[best].last_ms)
            best = i;
    return best;
}

static struct failures *find_or_add(
        struct throttle *throttle, const struct origin *peer, uint64_t now_ms)
{
    size_t at = find(throttle, peer);
    bool there = at < throttle->count;
    if (!there)
        at = throttle->count < THROTTLE_ADDRESSES_MAX ? throttle->count++ : quietest(throttle);
    struct failures *failures = &throttle->list[at];
    if (!there || quiet_ms(failures, now_ms) >= THROTTLE_FORGET_MS)
        *failures = (struct failures){.peer = *peer};
    return failures;
}

void throttle_failed(struct throttle *throttle, const char *address, uint64_t now_ms)
{
    struct origin peer = origin_of(address);
    struct failures *failures = find_or_add(throttle, &peer, now_ms);
    failures->last_ms = now_ms;
    if (failures->count < UINT32_MAX)
        failures->count++;
}

void throttle_succeeded(struct throttle *throttle, const char *address)
{
    struct origin peer = origin_of(address);
    size_t at = find(throttle, &peer);
    if (at < throttle->count)
        throttle->list[at] = throttle->list[--throttle->count];
}
