/* What is announced on the local network under one service type: avahi-daemon's browser, and a
 * resolver for each service, interface and protocol, kept open so that changed TXT records are told
 * too. Of one connection to avahi-daemon at a time (dnssd_client.h). Every call may wait for
 * avahi-daemon; one thread, that of the connection. */
#pragma once

#include "common/discovery/discovery.h"

#include <avahi-client/client.h>

struct dnssd_browser;

struct dnssd_browser_events {
    /* As in discovery_events. */
    void (*on_found)(void *ctx, const struct discovered *found);
    void (*on_lost)(void *ctx, const char *label, const char *address);
    /* Only a new connection helps. May not free the client. */
    void (*on_broken)(void *ctx);
};

/* `type` and `events` are borrowed. NULL where malloc refuses. */
struct dnssd_browser *dnssd_browser_create(
        const char *type, const struct dnssd_browser_events *events, void *ctx);
/* After the client is freed, or dnssd_browser_forget(). Takes NULL. */
void dnssd_browser_destroy(struct dnssd_browser *browser);
/* Browses through `client`. Nothing where it does so already. */
void dnssd_browser_start(struct dnssd_browser *browser, AvahiClient *client);
/* The client is freed, and avahi's objects with it. Tells nothing: addresses stay useful. */
void dnssd_browser_forget(struct dnssd_browser *browser);
