#include "common/discovery/dnssd_browser.h"

#include "common/discovery/dnssd_error.h"
#include "common/list.h"
#include "common/text.h"

#include <arpa/inet.h>
#include <avahi-client/lookup.h>
#include <avahi-common/domain.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dnssd_browser {
    const char *type;
    const struct dnssd_browser_events *events;
    void *ctx;
    AvahiServiceBrowser *avahi; /* NULL: not browsing */
    struct list services;
    unsigned count;
};

/* One service as seen on one interface and protocol. */
struct service {
    struct list link;
    struct dnssd_browser *browser;
    AvahiServiceResolver *resolver;
    AvahiIfIndex interface;
    AvahiProtocol protocol;
    char name[AVAHI_LABEL_MAX]; /* as avahi has it */
    char label[DISCOVERY_LABEL_MAX + 1];
    char address[sizeof(((struct discovered *)NULL)->address)]; /* "" while it is not told */
};

/* A '?' for each byte of what is no text or would change the look of others' text. */
static void copy_printable(char ret_text[DISCOVERY_LABEL_MAX + 1], const char *name)
{
    size_t len = strlen(name);
    memcpy(ret_text, name, len + 1);
    for (size_t at = 0, seq; at < len; at += seq) {
        unsigned char *c = (unsigned char *)ret_text + at;
        seq = text_utf8_seq(name + at, len - at);
        bool control = *c < ' ' || *c == 0x7f || (seq == 2 && c[0] == 0xc2 && c[1] < 0xa0);
        if (seq == 0)
            seq = 1;
        else if (!control)
            continue;
        memset(c, '?', seq);
    }
}

/* False where it is no address, or is link-local on an interface that has gone. */
static bool print_address(
        char *text, size_t size, const AvahiAddress *address, AvahiIfIndex interface)
{
    char name[IF_NAMESIZE], bare[AVAHI_ADDRESS_STR_MAX];
    struct in6_addr v6;
    if (!address || !avahi_address_snprint(bare, sizeof(bare), address))
        return false;
    bool scoped = inet_pton(AF_INET6, bare, &v6) == 1 && IN6_IS_ADDR_LINKLOCAL(&v6);
    if (scoped && (interface < 0 || !if_indextoname((unsigned)interface, name)))
        return false;
    int len = snprintf(text, size, "%s%s%s", bare, scoped ? "%" : "", scoped ? name : "");
    return len > 0 && (size_t)len < size;
}

/* avahi keeps the records last one first. What cannot be one of ours leaves an empty place. */
static void copy_records(struct txt_records *ret_records, AvahiStringList *txt)
{
    size_t place = avahi_string_list_length(txt);
    *ret_records = (struct txt_records){.count = place < TXT_RECORDS_MAX ? place : TXT_RECORDS_MAX};
    for (; txt; txt = avahi_string_list_get_next(txt)) {
        const uint8_t *text = avahi_string_list_get_text(txt);
        size_t len = avahi_string_list_get_size(txt);
        if (--place < TXT_RECORDS_MAX && len <= TXT_RECORD_MAX && !memchr(text, '\0', len))
            memcpy(ret_records->at[place], text, len);
    }
}

static void lose(struct service *service)
{
    struct dnssd_browser *browser = service->browser;
    if (*service->address)
        browser->events->on_lost(browser->ctx, service->label, service->address);
    service->address[0] = '\0';
}

static void tell(struct service *service, const struct discovered *found)
{
    struct dnssd_browser *browser = service->browser;
    if (strcmp(service->address, found->address) != 0)
        lose(service);
    memcpy(service->address, found->address, sizeof(service->address));
    browser->events->on_found(browser->ctx, found);
}

/* Called again whenever a record changes. A failure means that records have run out, with no
 * goodbye; the resolver stays open and goes on looking. */
static void on_resolved(AvahiServiceResolver *resolver, AvahiIfIndex interface,
        AvahiProtocol protocol, AvahiResolverEvent event, const char *name, const char *type,
        const char *domain, const char *host, const AvahiAddress *address, uint16_t port,
        AvahiStringList *txt, AvahiLookupResultFlags flags, void *ctx)
{
    struct service *service = ctx;
    struct discovered found = {.port = port};
    struct txt_records records;
    (void)resolver, (void)protocol, (void)name, (void)type, (void)domain, (void)host, (void)flags;
    copy_records(&records, txt);
    memcpy(found.label, service->label, sizeof(found.label));
    if (event == AVAHI_RESOLVER_FOUND &&
            print_address(found.address, sizeof(found.address), address, interface) &&
            announcement_from_txt(&records, &found.announcement, NULL) == 0)
        tell(service, &found);
    else
        lose(service);
}

static struct service *find(const struct dnssd_browser *browser, AvahiIfIndex interface,
        AvahiProtocol protocol, const char *name)
{
    list_for_each (it, &browser->services) {
        struct service *service = list_entry(it, struct service, link);
        if (service->interface == interface && service->protocol == protocol &&
                strcmp(service->name, name) == 0)
            return service;
    }
    return NULL;
}

static void drop(struct service *service)
{
    service->browser->count--;
    list_del(&service->link);
    free(service);
}

static struct service *add(struct dnssd_browser *browser, AvahiIfIndex interface,
        AvahiProtocol protocol, const char *name)
{
    if (browser->count == DISCOVERY_FOUND_MAX || strlen(name) > DISCOVERY_LABEL_MAX ||
            find(browser, interface, protocol, name))
        return NULL;
    struct service *service = calloc(1, sizeof(*service));
    if (!service)
        return NULL;
    service->browser = browser;
    service->interface = interface;
    service->protocol = protocol;
    memcpy(service->name, name, strlen(name) + 1);
    copy_printable(service->label, name);
    list_push_back(&browser->services, &service->link);
    browser->count++;
    return service;
}

/* Asked for no address family, avahi resolves to an address of the one that it browsed with: IPv4
 * and IPv6 both come, each from its own service. */
static void resolve(struct service *service, const char *type, const char *domain)
{
    struct dnssd_browser *browser = service->browser;
    AvahiClient *client = avahi_service_browser_get_client(browser->avahi);
    service->resolver = avahi_service_resolver_new(client, service->interface, service->protocol,
            service->name, type, domain, AVAHI_PROTO_UNSPEC, 0, on_resolved, service);
    if (service->resolver)
        return;
    if (dnssd_lost(avahi_client_errno(client)))
        browser->events->on_broken(browser->ctx);
    drop(service);
}

static void leave(struct service *service)
{
    struct dnssd_browser *browser = service->browser;
    if (dnssd_lost(avahi_service_resolver_free(service->resolver)))
        browser->events->on_broken(browser->ctx);
    lose(service);
    drop(service);
}

static void on_service(AvahiServiceBrowser *avahi, AvahiIfIndex interface, AvahiProtocol protocol,
        AvahiBrowserEvent event, const char *name, const char *type, const char *domain,
        AvahiLookupResultFlags flags, void *ctx)
{
    struct dnssd_browser *browser = ctx;
    struct service *service = NULL;
    (void)avahi, (void)flags;
    if (event == AVAHI_BROWSER_NEW) {
        service = add(browser, interface, protocol, name);
        if (service)
            resolve(service, type, domain);
    } else if (event == AVAHI_BROWSER_REMOVE) {
        service = find(browser, interface, protocol, name);
        if (service)
            leave(service);
    } else if (event == AVAHI_BROWSER_FAILURE) {
        browser->events->on_broken(browser->ctx);
    }
}

struct dnssd_browser *dnssd_browser_create(
        const char *type, const struct dnssd_browser_events *events, void *ctx)
{
    struct dnssd_browser *browser = calloc(1, sizeof(*browser));
    if (!browser)
        return NULL;
    *browser = (struct dnssd_browser){.type = type, .events = events, .ctx = ctx};
    list_init(&browser->services);
    return browser;
}

void dnssd_browser_destroy(struct dnssd_browser *browser)
{
    if (!browser)
        return;
    dnssd_browser_forget(browser);
    free(browser);
}

void dnssd_browser_start(struct dnssd_browser *browser, AvahiClient *client)
{
    if (browser->avahi)
        return;
    browser->avahi = avahi_service_browser_new(client, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
            browser->type, NULL, 0, on_service, browser);
    if (!browser->avahi)
        browser->events->on_broken(browser->ctx);
}

void dnssd_browser_forget(struct dnssd_browser *browser)
{
    browser->avahi = NULL;
    list_for_each_safe (it, &browser->services)
        drop(list_entry(it, struct service, link));
}
