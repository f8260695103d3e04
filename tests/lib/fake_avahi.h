/* libavahi-client and avahi-daemon, played by a test: the calls that common/dnssd_*.c make, with
 * answers that the test sets, and events that come when the test says so. Linked in place of
 * libavahi-client; one client at a time, on one thread at a time. Breaking avahi's rules (a client
 * freed inside a callback) aborts. */
#pragma once

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>

#include <stdbool.h>
#include <stdint.h>

struct fake_avahi {
    /* What the test sets. */
    bool no_bus;               /* no client can be made */
    AvahiClientState state;    /* that a new client finds */
    int error;                 /* of every call but those of the client itself; 0: none */
    const char *taken;         /* a label that another service of this host has */
    void (*on_connect)(void);  /* called as a client is about to be made; may wait */
    void (*on_register)(void); /* called when something is announced */
    void (*on_free)(void);     /* called when the client has been freed */
    void (*script)(void);      /* called once by each new client's loop */

    /* What it looks at. */
    unsigned clients, clients_made, groups, browsers, browsers_made, resolvers, resolvers_made;
    unsigned calls, registered, updated, emptied; /* calls: those that `error` would have met */
    bool announced;
    char type[64], label[64], txt[1024]; /* announced; TXT records with blanks between */
    uint16_t port;
    char browsed[64];
};

extern struct fake_avahi fake_avahi;

/* All as it was at the start of the program; no client is left. */
void fake_avahi_reset(void);
/* Events. Those of a service go to the browser, and what was resolved to that service's resolver
 * (there is one: else it aborts). `txt` is last record first, as avahi has it, and is freed. */
void fake_avahi_set_state(AvahiClientState state);
void fake_avahi_set_group_state(AvahiEntryGroupState state);
void fake_avahi_browse(
        AvahiBrowserEvent event, AvahiIfIndex interface, AvahiProtocol protocol, const char *name);
void fake_avahi_resolve(AvahiIfIndex interface, AvahiProtocol protocol, const char *name,
        const char *address, uint16_t port, AvahiStringList *txt);
void fake_avahi_fail_to_resolve(AvahiIfIndex interface, AvahiProtocol protocol, const char *name);
