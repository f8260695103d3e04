#include "coordinator/trust/pending.h"

#include "common/host_addrs.h"
#include "common/trust/phrase.h"
#include "coordinator/trust/origin.h"
#include "coordinator/trust/rate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pending_place {
    struct pending_node node;
    struct origin network;
};

struct announced {
    char key[KEY_Z85_LEN + 1]; /* "": free */
    char name[CERTIFICATE_NAME_MAX + 1];
};

struct pending {
    char coordinator_key[KEY_Z85_LEN + 1];
    struct pending_place list[PENDING_MAX]; /* in the order of coming */
    size_t count;
    struct announced names[PENDING_NAMES_MAX]; /* a ring */
    size_t next_name;
    struct rate taken; /* new ones */
};

struct pending *pending_create(const char *coordinator_key)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    if (pending)
        strcpy(pending->coordinator_key, coordinator_key);
    return pending;
}

void pending_destroy(struct pending *pending)
{
    free(pending);
}

/* All that is no address counts as one. */
static struct origin network_of(const char *address)
{
    struct origin network = origin_of(address);
    return network.named ? (struct origin){.named = true} : network;
}

static struct announced *find_name(struct pending *pending, const char *key)
{
    for (size_t i = 0; i < PENDING_NAMES_MAX; i++)
        if (strcmp(pending->names[i].key, key) == 0)
            return &pending->names[i];
    return NULL;
}

static void remember_name(struct pending *pending, const char *key, const char *name)
{
    struct announced *announced = find_name(pending, key);
    if (!announced) {
        announced = &pending->names[pending->next_name];
        pending->next_name = (pending->next_name + 1) % PENDING_NAMES_MAX;
    }
    (void)snprintf(announced->key, sizeof(announced->key), "%s", key);
    (void)snprintf(announced->name, sizeof(announced->name), "%s", name);
}

static struct pending_place *find(struct pending *pending, const char *key)
{
    for (size_t i = 0; i < pending->count; i++)
        if (strcmp(pending->list[i].node.key, key) == 0)
            return &pending->list[i];
    return NULL;
}

static void drop(struct pending *pending, struct pending_place *place)
{
    size_t behind = (size_t)(pending->list + pending->count - (place + 1));
    memmove(place, place + 1, behind * sizeof(*place));
    pending->count--;
}

static size_t count_network(const struct pending *pending, const struct origin *network)
{
    size_t count = 0;
    for (size_t i = 0; i < pending->count; i++)
        count += origin_same(&pending->list[i].network, network);
    return count;
}

/* The one that has not knocked for longest, of one network or (NULL) of all; NULL where each of
 * them has knocked a moment ago. */
static struct pending_place *find_quiet(
        struct pending *pending, const struct origin *network, uint64_t now_ms)
{
    struct pending_place *quiet = NULL;
    for (size_t i = 0; i < pending->count; i++) {
        struct pending_place *place = &pending->list[i];
        if (now_ms - place->node.last_ms < PENDING_QUIET_MS ||
                (network && !origin_same(&place->network, network)))
            continue;
        if (!quiet || place->node.last_ms < quiet->node.last_ms)
            quiet = place;
    }
    return quiet;
}

/* Is there a place for a new one? Where the list, or the network's part of it, is full, it is that
 * of a quiet one, in `*ret_quiet`. */
static bool find_room(struct pending *pending, const struct origin *network, uint64_t now_ms,
        struct pending_place **ret_quiet)
{
    bool network_full = count_network(pending, network) >= PENDING_PER_ADDRESS_MAX;
    *ret_quiet = NULL;
    if (!network_full && pending->count < PENDING_MAX)
        return true;
    *ret_quiet = find_quiet(pending, network_full ? network : NULL, now_ms);
    return *ret_quiet;
}

static enum pending_verdict take(
        struct pending *pending, const char *key, const char *address, uint64_t now_ms)
{
    struct origin network = network_of(address);
    struct pending_place *quiet;
    if (!find_room(pending, &network, now_ms, &quiet) ||
            !rate_take(&pending->taken, PENDING_NEW_PER_MINUTE, now_ms))
        return PENDING_REFUSED;
    if (quiet)
        drop(pending, quiet);
    struct pending_place *place = &pending->list[pending->count++];
    *place = (struct pending_place){
            .network = network, .node = {.first_ms = now_ms, .last_ms = now_ms, .knocks = 1}};
    (void)snprintf(place->node.key, sizeof(place->node.key), "%s", key);
    (void)snprintf(place->node.address, sizeof(place->node.address), "%s", address);
    phrase_make(pending->coordinator_key, key, place->node.phrase);
    const struct announced *announced = find_name(pending, key);
    if (announced)
        strcpy(place->node.name, announced->name);
    return PENDING_NEW;
}

/* A node may change its address, but not take more of a network's places by that than there are. */
static void follow(struct pending *pending, struct pending_place *place, const char *address)
{
    struct origin network = network_of(address);
    if (!origin_same(&network, &place->network) &&
            count_network(pending, &network) >= PENDING_PER_ADDRESS_MAX)
        return;
    place->network = network;
    (void)snprintf(place->node.address, sizeof(place->node.address), "%s", address);
}

enum pending_verdict pending_knock(
        struct pending *pending, const char *key_z85, const char *address, uint64_t now_ms)
{
    struct pending_place *place = find(pending, key_z85);
    if (!place)
        return take(pending, key_z85, address, now_ms);
    if (strcmp(place->node.address, address) != 0)
        follow(pending, place, address);
    place->node.last_ms = now_ms;
    place->node.knocks++;
    return PENDING_KNOWN;
}

/* A person who approves another node's phrase or address must not get the one that is called so. */
static bool seems_proven(const char *name)
{
    return phrase_valid(name) || host_addr_valid(name);
}

void pending_name(struct pending *pending, const char *key_z85, const char *name)
{
    struct pending_place *place = find(pending, key_z85);
    if (!certificate_name_valid(name) || seems_proven(name))
        return;
    remember_name(pending, key_z85, name);
    if (place)
        strcpy(place->node.name, name);
}

void pending_remove(struct pending *pending, const char *key_z85)
{
    struct pending_place *place = find(pending, key_z85);
    if (place)
        drop(pending, place);
}

void pending_tick(struct pending *pending, uint64_t now_ms)
{
    for (size_t i = pending->count; i-- > 0;)
        if (now_ms - pending->list[i].node.last_ms >= PENDING_EXPIRES_MS)
            drop(pending, &pending->list[i]);
}

size_t pending_count(const struct pending *pending)
{
    return pending->count;
}

const struct pending_node *pending_at(const struct pending *pending, size_t index)
{
    return index < pending->count ? &pending->list[index].node : NULL;
}

const struct pending_node *pending_find(const struct pending *pending, const char *key_z85)
{
    for (size_t i = 0; i < pending->count; i++)
        if (strcmp(pending->list[i].node.key, key_z85) == 0)
            return &pending->list[i].node;
    return NULL;
}
