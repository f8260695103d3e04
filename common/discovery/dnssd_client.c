#include "common/discovery/dnssd_client.h"

#include "common/discovery/avahi_poll.h"
#include "common/discovery/dnssd_announcer.h"
#include "common/discovery/dnssd_browser.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ANNOUNCE_INTERVAL_MS = 1000 };

enum told { TOLD_NOTHING, TOLD_AVAILABLE, TOLD_UNAVAILABLE };

struct dnssd_client {
    const struct discovery_events *events;
    void *ctx;
    struct avahi_poll *poll;
    struct loop_timer *reconnect;
    AvahiClient *avahi; /* NULL between two tries */
    enum told told;
    struct dnssd_browser *browser; /* NULL: nothing is looked for */
    struct dnssd_announcer *announcers[DNSSD_TYPES];
};

static const char *const types[DNSSD_TYPES] = {ANNOUNCEMENT_COORDINATOR, ANNOUNCEMENT_NODE};

unsigned dnssd_type_index(const char *type)
{
    unsigned index = 0;
    while (index < DNSSD_TYPES && strcmp(types[index], type) != 0)
        index++;
    assert(index < DNSSD_TYPES);
    return index;
}

static void tell_available(struct dnssd_client *client, bool available)
{
    enum told now = available ? TOLD_AVAILABLE : TOLD_UNAVAILABLE;
    if (client->told == now)
        return;
    client->told = now;
    client->events->on_available(client->ctx, available);
}

/* Comes from inside avahi's callbacks, where its client must not be freed. */
static void on_broken(void *ctx)
{
    struct dnssd_client *client = ctx;
    tell_available(client, false);
    loop_timer_start(client->reconnect, 0, 0);
}

static void use(struct dnssd_client *client, AvahiClient *avahi, bool may_announce)
{
    tell_available(client, true);
    for (unsigned i = 0; i < DNSSD_TYPES; i++) {
        if (may_announce)
            dnssd_announcer_start(client->announcers[i], avahi);
        else
            dnssd_announcer_pause(client->announcers[i]);
    }
    if (client->browser)
        dnssd_browser_start(client->browser, avahi);
}

/* Called for the first time from inside avahi_client_new(). */
static void on_state(AvahiClient *avahi, AvahiClientState state, void *ctx)
{
    struct dnssd_client *client = ctx;
    switch (state) {
    case AVAHI_CLIENT_S_RUNNING:
        use(client, avahi, true);
        break;
    case AVAHI_CLIENT_S_REGISTERING:
    case AVAHI_CLIENT_S_COLLISION:
        use(client, avahi, false);
        break;
    case AVAHI_CLIENT_CONNECTING:
        tell_available(client, false);
        break;
    case AVAHI_CLIENT_FAILURE:
    default:
        on_broken(client);
        break;
    }
}

static void forget(struct dnssd_client *client)
{
    client->avahi = NULL;
    for (unsigned i = 0; i < DNSSD_TYPES; i++)
        dnssd_announcer_forget(client->announcers[i]);
    if (client->browser)
        dnssd_browser_forget(client->browser);
}

static void retry_later(struct dnssd_client *client)
{
    forget(client);
    loop_timer_start(client->reconnect, DISCOVERY_RETRY_MS, 0);
}

static void on_reconnect(void *ctx)
{
    struct dnssd_client *client = ctx;
    if (client->avahi) {
        avahi_client_free(client->avahi);
        retry_later(client);
        return;
    }
    client->avahi = avahi_client_new(
            avahi_poll_get(client->poll), AVAHI_CLIENT_NO_FAIL, on_state, client, NULL);
    if (!client->avahi) {
        tell_available(client, false);
        retry_later(client);
    }
}

static void on_found(void *ctx, const struct discovered *found)
{
    struct dnssd_client *client = ctx;
    client->events->on_found(client->ctx, found);
}

static void on_lost(void *ctx, const char *label, const char *address)
{
    struct dnssd_client *client = ctx;
    client->events->on_lost(client->ctx, label, address);
}

static const struct dnssd_browser_events browser_events = {
        .on_found = on_found,
        .on_lost = on_lost,
        .on_broken = on_broken,
};

static bool create_parts(struct dnssd_client *client, struct loop *loop, const char *browse)
{
    client->poll = avahi_poll_create(loop);
    client->reconnect = loop_timer_create(loop, on_reconnect, client);
    if (browse)
        client->browser = dnssd_browser_create(browse, &browser_events, client);
    bool whole = client->poll && client->reconnect && (client->browser || !browse);
    for (unsigned i = 0; i < DNSSD_TYPES; i++) {
        client->announcers[i] =
                dnssd_announcer_create(loop, types[i], ANNOUNCE_INTERVAL_MS, on_broken, client);
        whole = whole && client->announcers[i];
    }
    return whole;
}

struct dnssd_client *dnssd_client_create(
        struct loop *loop, const char *browse, const struct discovery_events *events, void *ctx)
{
    struct dnssd_client *client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    client->events = events;
    client->ctx = ctx;
    if (!create_parts(client, loop, browse)) {
        dnssd_client_destroy(client);
        return NULL;
    }
    loop_timer_start(client->reconnect, 0, 0);
    return client;
}

void dnssd_client_destroy(struct dnssd_client *client)
{
    if (!client)
        return;
    if (client->avahi)
        avahi_client_free(client->avahi);
    for (unsigned i = 0; i < DNSSD_TYPES; i++)
        dnssd_announcer_destroy(client->announcers[i]);
    dnssd_browser_destroy(client->browser);
    loop_timer_destroy(client->reconnect);
    avahi_poll_destroy(client->poll);
    free(client);
}

void dnssd_client_announce(struct dnssd_client *client, unsigned type_index, uint16_t port,
        const struct announcement *announcement)
{
    dnssd_announcer_say(client->announcers[type_index], port, announcement);
}
