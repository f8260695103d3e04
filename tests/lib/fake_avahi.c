#include "tests/lib/fake_avahi.h"

#include "common/list.h"

#include <avahi-common/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct AvahiClient {
    const AvahiPoll *poll;
    AvahiClientCallback fn;
    void *ctx;
    AvahiTimeout *script;
    int last_error;
    AvahiEntryGroup *group;
    AvahiServiceBrowser *browser;
    struct list resolvers;
};

struct AvahiEntryGroup {
    AvahiClient *client;
    AvahiEntryGroupCallback fn;
    void *ctx;
};

struct AvahiServiceBrowser {
    AvahiClient *client;
    AvahiServiceBrowserCallback fn;
    void *ctx;
};

struct AvahiServiceResolver {
    struct list link;
    AvahiClient *client;
    AvahiIfIndex interface;
    AvahiProtocol protocol;
    char name[64], type[64], domain[64];
    AvahiServiceResolverCallback fn;
    void *ctx;
};

struct fake_avahi fake_avahi;

static AvahiClient *only_client;
static unsigned callbacks; /* that are running */

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "# fake avahi: %s\n", what);
    abort();
}

static void *make(size_t size)
{
    void *thing = calloc(1, size);
    must(thing, "no memory");
    return thing;
}

/* True where the call fails, as the test wants it. */
static bool refuse(AvahiClient *client)
{
    fake_avahi.calls++;
    client->last_error = fake_avahi.error;
    return fake_avahi.error != 0;
}

void fake_avahi_reset(void)
{
    must(!only_client, "a client is left");
    fake_avahi = (struct fake_avahi){.state = AVAHI_CLIENT_S_RUNNING};
}

/* --- the client --- */

static void tell_state(AvahiClient *client, AvahiClientState state)
{
    callbacks++;
    client->fn(client, state, client->ctx);
    callbacks--;
}

static void on_script(AvahiTimeout *timeout, void *ctx)
{
    (void)timeout, (void)ctx;
    fake_avahi.script();
}

AvahiClient *avahi_client_new(const AvahiPoll *poll, AvahiClientFlags flags, AvahiClientCallback fn,
        void *ctx, int *ret_error)
{
    static const struct timeval at_once = {0, 0};
    (void)ret_error;
    must(flags & AVAHI_CLIENT_NO_FAIL, "a client must not fail");
    must(!only_client, "two clients");
    fake_avahi.clients_made++;
    if (fake_avahi.on_connect)
        fake_avahi.on_connect();
    if (fake_avahi.no_bus)
        return NULL;
    AvahiClient *client = only_client = make(sizeof(*client));
    *client = (AvahiClient){.poll = poll, .fn = fn, .ctx = ctx};
    list_init(&client->resolvers);
    fake_avahi.clients++;
    if (fake_avahi.script)
        client->script = poll->timeout_new(poll, &at_once, on_script, NULL);
    tell_state(client, fake_avahi.state);
    return client;
}

static void free_resolver(AvahiServiceResolver *resolver)
{
    list_del(&resolver->link);
    free(resolver);
    fake_avahi.resolvers--;
}

void avahi_client_free(AvahiClient *client)
{
    must(callbacks == 0, "a client freed inside a callback");
    list_for_each_safe (it, &client->resolvers)
        free_resolver(list_entry(it, AvahiServiceResolver, link));
    free(client->browser);
    free(client->group);
    if (client->script)
        client->poll->timeout_free(client->script);
    free(client);
    only_client = NULL;
    fake_avahi.clients = fake_avahi.groups = fake_avahi.browsers = 0;
    fake_avahi.announced = false;
    if (fake_avahi.on_free)
        fake_avahi.on_free();
}

int avahi_client_errno(AvahiClient *client)
{
    return client->last_error;
}

void fake_avahi_set_state(AvahiClientState state)
{
    must(only_client, "no client");
    tell_state(only_client, state);
}

/* --- the entry group --- */

AvahiEntryGroup *avahi_entry_group_new(AvahiClient *client, AvahiEntryGroupCallback fn, void *ctx)
{
    must(!client->group, "two groups");
    if (refuse(client))
        return NULL;
    client->group = make(sizeof(*client->group));
    *client->group = (AvahiEntryGroup){.client = client, .fn = fn, .ctx = ctx};
    fake_avahi.groups++;
    return client->group;
}

static void keep_txt(AvahiStringList *txt)
{
    AvahiStringList *in_order = avahi_string_list_reverse(avahi_string_list_copy(txt));
    fake_avahi.txt[0] = '\0';
    for (AvahiStringList *it = in_order; it; it = avahi_string_list_get_next(it)) {
        size_t used = strlen(fake_avahi.txt);
        (void)snprintf(fake_avahi.txt + used, sizeof(fake_avahi.txt) - used, "%s%.*s",
                used > 0 ? " " : "", (int)avahi_string_list_get_size(it),
                (const char *)avahi_string_list_get_text(it));
    }
    avahi_string_list_free(in_order);
}

int avahi_entry_group_add_service_strlst(AvahiEntryGroup *group, AvahiIfIndex interface,
        AvahiProtocol protocol, AvahiPublishFlags flags, const char *name, const char *type,
        const char *domain, const char *host, uint16_t port, AvahiStringList *txt)
{
    must(interface == AVAHI_IF_UNSPEC && protocol == AVAHI_PROTO_UNSPEC && flags == 0 && !domain &&
                    !host,
            "announced on everything");
    must(!fake_avahi.announced, "added twice");
    if (refuse(group->client))
        return fake_avahi.error;
    if (fake_avahi.taken && strcmp(fake_avahi.taken, name) == 0)
        return AVAHI_ERR_COLLISION;
    (void)snprintf(fake_avahi.label, sizeof(fake_avahi.label), "%s", name);
    (void)snprintf(fake_avahi.type, sizeof(fake_avahi.type), "%s", type);
    fake_avahi.port = port;
    keep_txt(txt);
    return 0;
}

int avahi_entry_group_commit(AvahiEntryGroup *group)
{
    must(!fake_avahi.announced, "committed twice");
    if (refuse(group->client))
        return fake_avahi.error;
    fake_avahi.announced = true;
    fake_avahi.registered++;
    if (fake_avahi.on_register)
        fake_avahi.on_register();
    return 0;
}

int avahi_entry_group_reset(AvahiEntryGroup *group)
{
    if (refuse(group->client))
        return fake_avahi.error;
    fake_avahi.announced = false;
    fake_avahi.emptied++;
    return 0;
}

int avahi_entry_group_update_service_txt_strlst(AvahiEntryGroup *group, AvahiIfIndex interface,
        AvahiProtocol protocol, AvahiPublishFlags flags, const char *name, const char *type,
        const char *domain, AvahiStringList *txt)
{
    must(interface == AVAHI_IF_UNSPEC && protocol == AVAHI_PROTO_UNSPEC && flags == 0 && !domain,
            "updated on everything");
    must(fake_avahi.announced && strcmp(fake_avahi.label, name) == 0 &&
                    strcmp(fake_avahi.type, type) == 0,
            "what is updated is announced");
    if (refuse(group->client))
        return fake_avahi.error;
    fake_avahi.updated++;
    keep_txt(txt);
    return 0;
}

void fake_avahi_set_group_state(AvahiEntryGroupState state)
{
    must(only_client && only_client->group, "no group");
    if (state == AVAHI_ENTRY_GROUP_COLLISION)
        fake_avahi.announced = false;
    callbacks++;
    only_client->group->fn(only_client->group, state, only_client->group->ctx);
    callbacks--;
}

/* --- the browser --- */

AvahiServiceBrowser *avahi_service_browser_new(AvahiClient *client, AvahiIfIndex interface,
        AvahiProtocol protocol, const char *type, const char *domain, AvahiLookupFlags flags,
        AvahiServiceBrowserCallback fn, void *ctx)
{
    must(interface == AVAHI_IF_UNSPEC && protocol == AVAHI_PROTO_UNSPEC && flags == 0 && !domain,
            "browsed on everything");
    must(!client->browser, "two browsers");
    if (refuse(client))
        return NULL;
    client->browser = make(sizeof(*client->browser));
    *client->browser = (AvahiServiceBrowser){.client = client, .fn = fn, .ctx = ctx};
    (void)snprintf(fake_avahi.browsed, sizeof(fake_avahi.browsed), "%s", type);
    fake_avahi.browsers++;
    fake_avahi.browsers_made++;
    return client->browser;
}

AvahiClient *avahi_service_browser_get_client(AvahiServiceBrowser *browser)
{
    return browser->client;
}

void fake_avahi_browse(
        AvahiBrowserEvent event, AvahiIfIndex interface, AvahiProtocol protocol, const char *name)
{
    must(only_client && only_client->browser, "no browser");
    AvahiServiceBrowser *browser = only_client->browser;
    callbacks++;
    browser->fn(browser, interface, protocol, event, name, fake_avahi.browsed, "local", 0,
            browser->ctx);
    callbacks--;
}

/* --- resolvers --- */

AvahiServiceResolver *avahi_service_resolver_new(AvahiClient *client, AvahiIfIndex interface,
        AvahiProtocol protocol, const char *name, const char *type, const char *domain,
        AvahiProtocol aprotocol, AvahiLookupFlags flags, AvahiServiceResolverCallback fn, void *ctx)
{
    must(aprotocol == AVAHI_PROTO_UNSPEC && flags == 0, "resolved to anything");
    if (refuse(client))
        return NULL;
    AvahiServiceResolver *resolver = make(sizeof(*resolver));
    *resolver = (AvahiServiceResolver){
            .client = client, .interface = interface, .protocol = protocol, .fn = fn, .ctx = ctx};
    (void)snprintf(resolver->name, sizeof(resolver->name), "%s", name);
    (void)snprintf(resolver->type, sizeof(resolver->type), "%s", type);
    (void)snprintf(resolver->domain, sizeof(resolver->domain), "%s", domain);
    list_push_back(&client->resolvers, &resolver->link);
    fake_avahi.resolvers++;
    fake_avahi.resolvers_made++;
    return resolver;
}

int avahi_service_resolver_free(AvahiServiceResolver *resolver)
{
    refuse(resolver->client);
    free_resolver(resolver);
    return fake_avahi.error;
}

static AvahiServiceResolver *find(AvahiIfIndex interface, AvahiProtocol protocol, const char *name)
{
    must(only_client, "no client");
    list_for_each (it, &only_client->resolvers) {
        AvahiServiceResolver *resolver = list_entry(it, AvahiServiceResolver, link);
        if (resolver->interface == interface && resolver->protocol == protocol &&
                strcmp(resolver->name, name) == 0)
            return resolver;
    }
    must(false, "no such resolver");
    return NULL;
}

void fake_avahi_resolve(AvahiIfIndex interface, AvahiProtocol protocol, const char *name,
        const char *address, uint16_t port, AvahiStringList *txt)
{
    AvahiServiceResolver *resolver = find(interface, protocol, name);
    AvahiAddress parsed;
    must(avahi_address_parse(address, AVAHI_PROTO_UNSPEC, &parsed), "an address");
    callbacks++;
    resolver->fn(resolver, interface, protocol, AVAHI_RESOLVER_FOUND, name, resolver->type,
            resolver->domain, "host.local", &parsed, port, txt, 0, resolver->ctx);
    callbacks--;
    avahi_string_list_free(txt);
}

void fake_avahi_fail_to_resolve(AvahiIfIndex interface, AvahiProtocol protocol, const char *name)
{
    AvahiServiceResolver *resolver = find(interface, protocol, name);
    callbacks++;
    resolver->fn(resolver, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, AVAHI_RESOLVER_FAILURE, NULL, NULL,
            NULL, NULL, NULL, 0, NULL, 0, resolver->ctx);
    callbacks--;
}
