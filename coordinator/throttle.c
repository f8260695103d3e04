#include "coordinator/throttle.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    PEER_BYTES = 16,
    NETWORK_BYTES = 8, /* of an IPv6 address: a household, in which one is as good as another */
    PREFIX_BYTES = 12, /* of "::ffff:", before the bytes of IPv4 */
};

/* Who tries: an IPv6 network, an IPv4 address as IPv6 writes it, or the hash of another name. */
struct peer {
    bool named;
    uint8_t bytes[PEER_BYTES];
};

struct failures {
    struct peer peer;
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

/* Without the scope of "fe80::1%eth0". */
static bool parse_v6(const char *address, struct in6_addr *ret_v6)
{
    char bare[INET6_ADDRSTRLEN];
    size_t len = strcspn(address, "%");
    if (len >= sizeof(bare))
        return false;
    memcpy(bare, address, len);
    bare[len] = '\0';
    return inet_pton(AF_INET6, bare, ret_v6) == 1;
}

static struct peer peer_of(const char *address)
{
    struct peer peer = {.named = false};
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1) {
        memset(peer.bytes + PREFIX_BYTES - 2, 0xff, 2);
        memcpy(peer.bytes + PREFIX_BYTES, &v4, sizeof(v4));
    } else if (parse_v6(address, &v6)) {
        memcpy(peer.bytes, &v6, IN6_IS_ADDR_V4MAPPED(&v6) ? sizeof(v6) : NETWORK_BYTES);
    } else {
        peer.named = true;
        (void)crypto_generichash(
                peer.bytes, sizeof(peer.bytes), (const uint8_t *)address, strlen(address), NULL, 0);
    }
    return peer;
}

static size_t find(const struct throttle *throttle, const struct peer *peer)
{
    size_t i = 0;
    while (i < throttle->count &&
            (throttle->list[i].peer.named != peer->named ||
                    memcmp(throttle->list[i].peer.bytes, peer->bytes, PEER_BYTES) != 0))
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
    struct peer peer = peer_of(address);
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
        struct throttle *throttle, const struct peer *peer, uint64_t now_ms)
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
    struct peer peer = peer_of(address);
    struct failures *failures = find_or_add(throttle, &peer, now_ms);
    failures->last_ms = now_ms;
    if (failures->count < UINT32_MAX)
        failures->count++;
}

void throttle_succeeded(struct throttle *throttle, const char *address)
{
    struct peer peer = peer_of(address);
    size_t at = find(throttle, &peer);
    if (at < throttle->count)
        throttle->list[at] = throttle->list[--throttle->count];
}
