#include "common/discovery/dnssd_announcer.h"

#include "common/discovery/dnssd_error.h"

#include <avahi-client/publish.h>
#include <avahi-common/alternative.h>
#include <avahi-common/domain.h>
#include <avahi-common/malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dnssd_announcer {
    const char *type;
    uint64_t interval_ms;
    void (*on_broken)(void *ctx);
    void *ctx;
    struct loop_timer *pace; /* runs for the interval after each change */
    AvahiClient *client;     /* NULL: not now */
    AvahiEntryGroup *group;  /* of the client; NULL: none yet */
    bool registered;         /* the group holds the service, under this label and port */
    bool due;                /* there is something that avahi has not heard */
    char name[ANNOUNCEMENT_NAME_MAX + 1]; /* "": nothing said yet */
    char label[AVAHI_LABEL_MAX];          /* the name, or another one after a collision */
    uint16_t port;
    struct txt_records txt;
};

static void on_group(AvahiEntryGroup *group, AvahiEntryGroupState state, void *ctx);

static AvahiStringList *make_list(const struct txt_records *txt)
{
    AvahiStringList *list = NULL;
    for (size_t i = 0; i < txt->count; i++)
        list = avahi_string_list_add(list, txt->at[i]);
    return list;
}

/* The group is kept and emptied, never made anew: avahi limits its traffic by group. */
static int empty_group(struct dnssd_announcer *announcer)
{
    if (announcer->group)
        return avahi_entry_group_reset(announcer->group);
    announcer->group = avahi_entry_group_new(announcer->client, on_group, announcer);
    return announcer->group ? 0 : avahi_client_errno(announcer->client);
}

static int register_service(struct dnssd_announcer *announcer, AvahiStringList *txt)
{
    int r = empty_group(announcer);
    if (r == 0)
        r = avahi_entry_group_add_service_strlst(announcer->group, AVAHI_IF_UNSPEC,
                AVAHI_PROTO_UNSPEC, 0, announcer->label, announcer->type, NULL, NULL,
                announcer->port, txt);
    if (r == 0)
        r = avahi_entry_group_commit(announcer->group);
    announcer->registered = r == 0;
    return r;
}

static int update_txt(struct dnssd_announcer *announcer, AvahiStringList *txt)
{
    return avahi_entry_group_update_service_txt_strlst(announcer->group, AVAHI_IF_UNSPEC,
            AVAHI_PROTO_UNSPEC, 0, announcer->label, announcer->type, NULL, txt);
}

static void relabel(struct dnssd_announcer *announcer)
{
    char *other = avahi_alternative_service_name(announcer->label);
    (void)snprintf(announcer->label, sizeof(announcer->label), "%s", other);
    avahi_free(other);
    announcer->registered = false;
    announcer->due = true;
}

static void publish(struct dnssd_announcer *announcer)
{
    if (!announcer->client || !announcer->due)
        return;
    announcer->due = false;
    loop_timer_start(announcer->pace, announcer->interval_ms, 0);
    AvahiStringList *txt = make_list(&announcer->txt);
    int r = announcer->registered ? update_txt(announcer, txt) : register_service(announcer, txt);
    avahi_string_list_free(txt);
    if (r == AVAHI_ERR_COLLISION)
        relabel(announcer); /* another service of this host; those of others come by on_group */
    else if (dnssd_lost(r))
        announcer->on_broken(announcer->ctx);
}

static void on_pace(void *ctx)
{
    publish(ctx);
}

static void publish_soon(struct dnssd_announcer *announcer)
{
    announcer->due = true;
    if (!loop_timer_active(announcer->pace))
        publish(announcer);
}

static void on_group(AvahiEntryGroup *group, AvahiEntryGroupState state, void *ctx)
{
    struct dnssd_announcer *announcer = ctx;
    (void)group;
    if (state == AVAHI_ENTRY_GROUP_COLLISION) {
        relabel(announcer);
        publish_soon(announcer);
    } else if (state == AVAHI_ENTRY_GROUP_FAILURE) {
        announcer->on_broken(announcer->ctx);
    }
}

struct dnssd_announcer *dnssd_announcer_create(struct loop *loop, const char *type,
        uint64_t interval_ms, void (*on_broken)(void *ctx), void *ctx)
{
    struct dnssd_announcer *announcer = calloc(1, sizeof(*announcer));
    if (!announcer)
        return NULL;
    announcer->type = type;
    announcer->interval_ms = interval_ms;
    announcer->on_broken = on_broken;
    announcer->ctx = ctx;
    announcer->pace = loop_timer_create(loop, on_pace, announcer);
    if (!announcer->pace) {
        free(announcer);
        return NULL;
    }
    return announcer;
}

void dnssd_announcer_destroy(struct dnssd_announcer *announcer)
{
    if (!announcer)
        return;
    loop_timer_destroy(announcer->pace);
    free(announcer);
}

/* A changed name or port is another service, and registered anew. True where anything changed. */
static bool take(
        struct dnssd_announcer *announcer, uint16_t port, const struct announcement *announcement)
{
    struct txt_records txt;
    announcement_to_txt(announcement, &txt);
    bool renamed = strcmp(announcer->name, announcement->name) != 0;
    bool moved = renamed || announcer->port != port;
    bool changed = moved || memcmp(&announcer->txt, &txt, sizeof(txt)) != 0;
    if (renamed) {
        memcpy(announcer->name, announcement->name, sizeof(announcer->name));
        (void)snprintf(announcer->label, sizeof(announcer->label), "%s", announcer->name);
    }
    announcer->port = port;
    announcer->txt = txt;
    announcer->registered = announcer->registered && !moved;
    return changed;
}

void dnssd_announcer_say(
        struct dnssd_announcer *announcer, uint16_t port, const struct announcement *announcement)
{
    if (take(announcer, port, announcement))
        publish_soon(announcer);
}

void dnssd_announcer_start(struct dnssd_announcer *announcer, AvahiClient *client)
{
    if (announcer->client)
        return;
    announcer->client = client;
    if (*announcer->name)
        publish_soon(announcer);
}

void dnssd_announcer_pause(struct dnssd_announcer *announcer)
{
    if (!announcer->client)
        return;
    announcer->client = NULL;
    announcer->registered = false;
    if (announcer->group && dnssd_lost(avahi_entry_group_reset(announcer->group)))
        announcer->on_broken(announcer->ctx);
}

void dnssd_announcer_forget(struct dnssd_announcer *announcer)
{
    announcer->client = NULL;
    announcer->group = NULL;
    announcer->registered = false;
}
