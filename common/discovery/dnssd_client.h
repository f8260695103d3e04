/* A lasting connection to avahi-daemon, and what is announced and looked for through it: made anew
 * whenever avahi-daemon or D-Bus has gone or hangs, DISCOVERY_RETRY_MS after that is seen; an
 * avahi-daemon that is only not there yet tells by itself when it comes. The calls of
 * libavahi-client wait for D-Bus's answers (up to 25 s each where avahi-daemon hangs), and they are
 * made in this object's callbacks: one thread and loop of its own, which may wait. */
#pragma once

#include "common/discovery/discovery.h"

enum { DNSSD_TYPES = 2 };

/* The index of ANNOUNCEMENT_COORDINATOR or ANNOUNCEMENT_NODE, below DNSSD_TYPES. Any other type is
 * our bug. */
unsigned dnssd_type_index(const char *type);

struct dnssd_client;

/* Tries at once, from the loop. `browse` (NULL: nothing) and `events` are borrowed. NULL where
 * malloc refuses. */
struct dnssd_client *dnssd_client_create(
        struct loop *loop, const char *browse, const struct discovery_events *events, void *ctx);
/* avahi-daemon sees the connection close and says goodbye for us: nothing here waits for it. Takes
 * NULL. */
void dnssd_client_destroy(struct dnssd_client *client);
/* As discovery_announce(). */
void dnssd_client_announce(struct dnssd_client *client, unsigned type_index, uint16_t port,
        const struct announcement *announcement);
