#include "common/discovery/discovery.h"

#include "common/discovery/dnssd_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAILBOX_EVENTS = 32,   /* that wait for the daemon's loop; then the thread waits */
    FAREWELL_MS = 1000,    /* destroy waits so long for the thread */
    SERVICE_TYPE_MAX = 31, /* letters of what is looked for */
};

#define NS_PER_MS UINT64_C(1000000)

enum event_kind { EVENT_FOUND, EVENT_LOST, EVENT_AVAILABLE };

struct event {
    enum event_kind kind;
    bool available;
    struct discovered what; /* of a loss label and address only */
};

struct saying {
    bool fresh; /* the thread has not taken it yet */
    uint16_t port;
    struct announcement announcement;
};

/* What both threads touch, under its mutex. The last of the two frees it. */
struct mailbox {
    uv_mutex_t mutex;
    uv_cond_t changed; /* room for an event, `left`, `finished` */
    unsigned holders;
    bool left;     /* the main side is gone: its async must not be touched any more */
    bool finished; /* and then the thread went too */
    uv_async_t *to_main, *to_thread;
    size_t first, count;
    struct event events[MAILBOX_EVENTS];
    struct saying sayings[DNSSD_TYPES];
};

/* The thread's own: it frees this itself, since it may outlive the main side. */
struct seeker {
    struct loop loop;
    uv_async_t async;
    struct mailbox *mailbox;
    struct dnssd_client *client;
    char browse[SERVICE_TYPE_MAX + 1];
};

struct discovery {
    uv_async_t async;
    uv_thread_t thread;
    struct mailbox *mailbox;
    const struct discovery_events *events;
    void *ctx;
    bool destroyed;
};

/* --- the mailbox --- */

static struct mailbox *mailbox_create(void)
{
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
    if (!mailbox)
        return NULL;
    if (uv_mutex_init(&mailbox->mutex) < 0) {
        free(mailbox);
        return NULL;
    }
    if (uv_cond_init(&mailbox->changed) < 0) {
        uv_mutex_destroy(&mailbox->mutex);
        free(mailbox);
        return NULL;
    }
    mailbox->holders = 1;
    return mailbox;
}

static struct mailbox *mailbox_hold(struct mailbox *mailbox)
{
    uv_mutex_lock(&mailbox->mutex);
    mailbox->holders++;
    uv_mutex_unlock(&mailbox->mutex);
    return mailbox;
}

static void mailbox_release(struct mailbox *mailbox)
{
    uv_mutex_lock(&mailbox->mutex);
    bool last = --mailbox->holders == 0;
    uv_mutex_unlock(&mailbox->mutex);
    if (!last)
        return;
    uv_cond_destroy(&mailbox->changed);
    uv_mutex_destroy(&mailbox->mutex);
    free(mailbox);
}

/* Waits while the daemon is slow: what it has not taken, avahi-daemon has to keep. */
static void put_event(struct mailbox *mailbox, const struct event *event)
{
    uv_mutex_lock(&mailbox->mutex);
    while (mailbox->count == MAILBOX_EVENTS && !mailbox->left)
        uv_cond_wait(&mailbox->changed, &mailbox->mutex);
    if (!mailbox->left) {
        mailbox->events[(mailbox->first + mailbox->count++) % MAILBOX_EVENTS] = *event;
        uv_async_send(mailbox->to_main);
    }
    uv_mutex_unlock(&mailbox->mutex);
}

static bool take_event(struct mailbox *mailbox, struct event *ret_event)
{
    uv_mutex_lock(&mailbox->mutex);
    bool any = mailbox->count > 0;
    if (any) {
        *ret_event = mailbox->events[mailbox->first];
        mailbox->first = (mailbox->first + 1) % MAILBOX_EVENTS;
        mailbox->count--;
        uv_cond_signal(&mailbox->changed);
    }
    uv_mutex_unlock(&mailbox->mutex);
    return any;
}

static void put_saying(struct mailbox *mailbox, unsigned type_index, uint16_t port,
        const struct announcement *announcement)
{
    uv_mutex_lock(&mailbox->mutex);
    mailbox->sayings[type_index] =
            (struct saying){.fresh = true, .port = port, .announcement = *announcement};
    uv_async_send(mailbox->to_thread);
    uv_mutex_unlock(&mailbox->mutex);
}

static bool take_saying(struct mailbox *mailbox, unsigned type_index, struct saying *ret_saying)
{
    uv_mutex_lock(&mailbox->mutex);
    *ret_saying = mailbox->sayings[type_index];
    mailbox->sayings[type_index].fresh = false;
    uv_mutex_unlock(&mailbox->mutex);
    return ret_saying->fresh;
}

static bool main_has_left(struct mailbox *mailbox)
{
    uv_mutex_lock(&mailbox->mutex);
    bool left = mailbox->left;
    uv_mutex_unlock(&mailbox->mutex);
    return left;
}

/* --- discovery's thread --- */

static void on_found(void *ctx, const struct discovered *found)
{
    struct seeker *seeker = ctx;
    put_event(seeker->mailbox, &(struct event){.kind = EVENT_FOUND, .what = *found});
}

static void on_lost(void *ctx, const char *label, const char *address)
{
    struct seeker *seeker = ctx;
    struct event event = {.kind = EVENT_LOST};
    (void)snprintf(event.what.label, sizeof(event.what.label), "%s", label);
    (void)snprintf(event.what.address, sizeof(event.what.address), "%s", address);
    put_event(seeker->mailbox, &event);
}

static void on_available(void *ctx, bool available)
{
    struct seeker *seeker = ctx;
    put_event(seeker->mailbox, &(struct event){.kind = EVENT_AVAILABLE, .available = available});
}

static const struct discovery_events seeker_events = {
        .on_found = on_found,
        .on_lost = on_lost,
        .on_available = on_available,
};

static void on_thread_mail(uv_async_t *async)
{
    struct seeker *seeker = async->data;
    struct saying saying;
    if (main_has_left(seeker->mailbox)) {
        loop_stop(&seeker->loop);
        return;
    }
    for (unsigned i = 0; i < DNSSD_TYPES; i++) {
        if (take_saying(seeker->mailbox, i, &saying))
            dnssd_client_announce(seeker->client, i, saying.port, &saying.announcement);
    }
}

static void seeker_destroy(struct seeker *seeker)
{
    dnssd_client_destroy(seeker->client);
    loop_fini(&seeker->loop);
    mailbox_release(seeker->mailbox);
    free(seeker);
}

static int seeker_create(struct mailbox *mailbox, const char *browse, struct seeker **ret_seeker)
{
    struct seeker *seeker = calloc(1, sizeof(*seeker));
    int r = seeker ? loop_init(&seeker->loop) : -ENOMEM;
    if (r < 0) {
        free(seeker);
        return r;
    }
    seeker->mailbox = mailbox_hold(mailbox);
    if (browse)
        (void)snprintf(seeker->browse, sizeof(seeker->browse), "%s", browse);
    seeker->client = dnssd_client_create(
            &seeker->loop, browse ? seeker->browse : NULL, &seeker_events, seeker);
    r = seeker->client ? uv_async_init(&seeker->loop.uv, &seeker->async, on_thread_mail) : -ENOMEM;
    if (r < 0) {
        seeker_destroy(seeker);
        return r;
    }
    seeker->async.data = seeker;
    mailbox->to_thread = &seeker->async;
    *ret_seeker = seeker;
    return 0;
}

static void run(void *arg)
{
    struct seeker *seeker = arg;
    struct mailbox *mailbox = mailbox_hold(seeker->mailbox);
    loop_run(&seeker->loop);
    seeker_destroy(seeker);
    uv_mutex_lock(&mailbox->mutex);
    mailbox->finished = true;
    uv_cond_signal(&mailbox->changed);
    uv_mutex_unlock(&mailbox->mutex);
    mailbox_release(mailbox);
}

/* --- the daemon's thread --- */

static void deliver(struct discovery *discovery, const struct event *event)
{
    const struct discovery_events *events = discovery->events;
    switch (event->kind) {
    case EVENT_FOUND:
        events->on_found(discovery->ctx, &event->what);
        break;
    case EVENT_LOST:
        events->on_lost(discovery->ctx, event->what.label, event->what.address);
        break;
    case EVENT_AVAILABLE:
        events->on_available(discovery->ctx, event->available);
        break;
    }
}

/* At most a mailbox full in one turn; what came meanwhile has woken us again. */
static void on_main_mail(uv_async_t *async)
{
    struct discovery *discovery = async->data;
    struct event event;
    for (int i = 0; i < MAILBOX_EVENTS && !discovery->destroyed; i++) {
        if (!take_event(discovery->mailbox, &event))
            return;
        deliver(discovery, &event);
    }
}

static void free_data(uv_handle_t *handle)
{
    free(handle->data);
}

static int start(struct discovery *discovery, const char *browse)
{
    struct seeker *seeker = NULL;
    discovery->mailbox = mailbox_create();
    if (!discovery->mailbox)
        return -ENOMEM;
    discovery->mailbox->to_main = &discovery->async;
    int r = seeker_create(discovery->mailbox, browse, &seeker);
    if (r == 0) {
        r = uv_thread_create(&discovery->thread, run, seeker);
        if (r < 0)
            seeker_destroy(seeker);
    }
    if (r < 0)
        mailbox_release(discovery->mailbox);
    return r;
}

int discovery_create(struct loop *loop, const char *browse, const struct discovery_events *events,
        void *ctx, struct discovery **ret_discovery, struct err *err)
{
    struct discovery *discovery = calloc(1, sizeof(*discovery));
    int r = discovery ? uv_async_init(&loop->uv, &discovery->async, on_main_mail) : -ENOMEM;
    if (r < 0) {
        free(discovery);
        return err_set(err, r, "discovery does not start: %s", strerror(-r));
    }
    discovery->async.data = discovery;
    discovery->events = events;
    discovery->ctx = ctx;
    r = start(discovery, browse);
    if (r < 0) {
        uv_close((uv_handle_t *)&discovery->async, free_data);
        return err_set(err, r, "discovery does not start: %s", strerror(-r));
    }
    *ret_discovery = discovery;
    return 0;
}

/* True where the thread has finished within FAREWELL_MS. */
static bool leave(struct mailbox *mailbox)
{
    const uint64_t until = uv_hrtime() + FAREWELL_MS * NS_PER_MS;
    uv_mutex_lock(&mailbox->mutex);
    mailbox->left = true;
    uv_async_send(mailbox->to_thread);
    uv_cond_signal(&mailbox->changed);
    for (uint64_t now = uv_hrtime(); !mailbox->finished && now < until; now = uv_hrtime())
        (void)uv_cond_timedwait(&mailbox->changed, &mailbox->mutex, until - now);
    bool finished = mailbox->finished;
    uv_mutex_unlock(&mailbox->mutex);
    return finished;
}

void discovery_destroy(struct discovery *discovery)
{
    if (!discovery)
        return;
    discovery->destroyed = true;
    /* A thread that waits for a hung avahi-daemon is left behind on purpose: it owns all that it
     * touches, and frees it when D-Bus's timeout lets it go on. */
    if (leave(discovery->mailbox))
        (void)uv_thread_join(&discovery->thread);
    else
        (void)pthread_detach(discovery->thread);
    mailbox_release(discovery->mailbox);
    uv_close((uv_handle_t *)&discovery->async, free_data);
}

void discovery_announce(struct discovery *discovery, const char *type, uint16_t port,
        const struct announcement *announcement)
{
    put_saying(discovery->mailbox, dnssd_type_index(type), port, announcement);
}
