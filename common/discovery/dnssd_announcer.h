/* Announces one service on the local network: an entry group of avahi-daemon, with changed TXT
 * records sent as an update, another label after a collision, and all of it anew with each
 * connection (dnssd_client.h). Every call may wait for avahi-daemon; one thread, that of the
 * connection.
 *
 *   say() ──▶ due ──▶ published: registered, or updated where only the TXT records differ
 *              ▲          │
 *              └──────────┘ said anew, collision (then as "name #2"), new connection;
 *                           at most once in an interval */
#pragma once

#include "common/discovery/announcement.h"
#include "common/loop.h"

#include <avahi-client/client.h>
#include <stdint.h>

struct dnssd_announcer;

/* `type` is borrowed. `on_broken`: only a new connection helps; may not free the client. NULL where
 * malloc refuses. */
struct dnssd_announcer *dnssd_announcer_create(struct loop *loop, const char *type,
        uint64_t interval_ms, void (*on_broken)(void *ctx), void *ctx);
/* After the client is freed, or dnssd_announcer_forget(). Takes NULL. */
void dnssd_announcer_destroy(struct dnssd_announcer *announcer);
/* What is announced from here on, as soon as there is a connection. Copied. */
void dnssd_announcer_say(
        struct dnssd_announcer *announcer, uint16_t port, const struct announcement *announcement);
/* The host's own name is established: announces through `client`. Nothing where it does so already.
 */
void dnssd_announcer_start(struct dnssd_announcer *announcer, AvahiClient *client);
/* The host's own name is in question again: takes everything back until the next start. */
void dnssd_announcer_pause(struct dnssd_announcer *announcer);
/* The client is freed, and avahi's objects with it. */
void dnssd_announcer_forget(struct dnssd_announcer *announcer);
