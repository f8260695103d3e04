/* Finding each other on the local network: DNS-SD through avahi-daemon. It tells addresses, never
 * who is alive or who may be believed. libavahi-client's calls wait for D-Bus's answers, up to half
 * a minute where avahi-daemon hangs, so all of it lives on a thread and a loop of its own
 * (avahi_poll.h); every callback here comes on the daemon's loop. Where no avahi-daemon answers,
 * nothing is found and nothing fails: it is picked up when it comes, and again after a restart.
 *
 *   the daemon's loop                     discovery's thread
 *   discovery_announce() ──mailbox──▶ entry group of avahi, renewed after collisions and restarts
 *   on_found, on_lost    ◀──mailbox── browser and resolvers, one an interface and protocol
 */
#pragma once

#include "common/buf.h"
#include "common/discovery/announcement.h"
#include "common/err.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DISCOVERY_FOUND_MAX = 1000, /* services that are kept, each interface and protocol counted; past
                                   it new ones are left out. avahi-daemon grants one client 1,024
                                   objects (objects-per-client-max), and each is one */
    DISCOVERY_RETRY_MS = 1000,  /* between two tries to get at avahi-daemon, where it does not tell
                                   us by itself */
    DISCOVERY_LABEL_MAX = 63,   /* bytes of a service's name in DNS */
};

struct discovery;

struct discovered {
    char label[DISCOVERY_LABEL_MAX +
               1]; /* the service's name, as announced; foreign text without control characters */
    char address[HOST_ADDR_LEN + 10 +
                 1]; /* that it was resolved to; link-local IPv6 with "%INTERFACE" */
    uint16_t port;
    struct announcement announcement;
};

struct discovery_events {
    /* A service is there, or says something new (which avahi-daemon tells one to three seconds
     * later: the old record has to run out first, RFC 6762, section 10.2). Once for each interface
     * and protocol it is seen on, so with several addresses. `found` is borrowed. One whose
     * announcement cannot be read is not told. */
    void (*on_found)(void *ctx, const struct discovered *found);
    /* It has left one interface and protocol, its records ran out, or it has another address there:
     * same label and address as in on_found. Not told where avahi-daemon itself goes: addresses
     * stay useful. */
    void (*on_lost)(void *ctx, const char *label, const char *address);
    /* avahi-daemon answers (true), or does no more. At most once each until it changes. */
    void (*on_available)(void *ctx, bool available);
};

/* Looks for services of `browse` (ANNOUNCEMENT_…; NULL: for none). Everything is borrowed. -ENOMEM,
 * or the errno of what a thread needs. */
MUST_CHECK int discovery_create(struct loop *loop, const char *browse,
        const struct discovery_events *events, void *ctx, struct discovery **ret_discovery,
        struct err *err);
/* Says goodbye to what was announced, where avahi-daemon answers at once; waits for the thread, not
 * for avahi-daemon (at most a second). No callback comes any more. Takes NULL. */
void discovery_destroy(struct discovery *discovery);
/* Announces, or says anew: the label is announcement->name, with " #2" and so on where another host
 * has it. Called again with the same type it replaces what was said; avahi gets no more than one
 * change a second, always the last one. */
void discovery_announce(struct discovery *discovery, const char *type, uint16_t port,
        const struct announcement *announcement);
