#include "common/link/dialer.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REASONS_MAX = 4,  /* targets whose failure is told */
    REASON_MAX = 640, /* bytes */
};

/* What was given. The dialer's copy lives until the next dial. */
struct target {
    struct text_addr addr;
    bool is_name, looked_up; /* looked_up: its name needs no lookup any more */
    int error;               /* the last one, of libuv; 0: nothing was said */
};

struct candidate {
    size_t target;
    struct sockaddr_storage address;
};

/* One connection that is being made; freed when libuv has closed it. */
struct attempt {
    struct list link;
    struct dialer *dialer; /* NULL: nobody waits for it any more */
    struct candidate candidate;
    uv_tcp_t tcp;
    uv_connect_t request;
};

/* One name that is being looked up. It cannot be called off once the work queue has begun with it:
 * it then stays in the dialer's list, and a later dial of the same name waits for it. */
struct lookup {
    struct list link;
    struct dialer *dialer; /* NULL: destroyed */
    char host[256];
    uv_getaddrinfo_t request;
};

struct dialer {
    struct loop *loop;
    dialer_fn fn;
    void *ctx;
    struct loop_timer *stagger, *deadline;
    bool dialling;
    struct target targets[DIALER_TARGETS_MAX];
    struct candidate candidates[DIALER_TARGETS_MAX];
    size_t target_count, candidate_count, next; /* next: candidate that was not tried yet */
    struct list attempts, lookups;
};

static void advance(struct dialer *dialer);
static void start_lookups(struct dialer *dialer);

/* --- the end of a dial --- */

static void free_attempt(uv_handle_t *handle)
{
    free(handle->data);
}

static void drop_attempt(struct attempt *attempt)
{
    attempt->dialer = NULL;
    list_del(&attempt->link);
    uv_close((uv_handle_t *)&attempt->tcp, free_attempt);
}

static void stop(struct dialer *dialer)
{
    dialer->dialling = false;
    loop_timer_stop(dialer->stagger);
    loop_timer_stop(dialer->deadline);
    list_for_each_safe (it, &dialer->attempts)
        drop_attempt(list_entry(it, struct attempt, link));
    list_for_each (it, &dialer->lookups)
        (void)uv_cancel((uv_req_t *)&list_entry(it, struct lookup, link)->request);
}

static const char *what_was_said(const struct target *target)
{
    if (target->error)
        return uv_strerror(target->error);
    return target->looked_up ? "no answer" : "its name is still being looked up";
}

static void append(char reason[REASON_MAX], const char *text)
{
    size_t len = strlen(reason);
    (void)snprintf(reason + len, REASON_MAX - len, "%s", text);
}

static void describe(const struct dialer *dialer, char reason[REASON_MAX])
{
    char one[384];
    reason[0] = '\0';
    for (size_t i = 0; i < dialer->target_count && i < REASONS_MAX; i++) {
        const struct target *target = &dialer->targets[i];
        (void)snprintf(one, sizeof(one), "%s%s port %u: %s", i > 0 ? "; " : "", target->addr.host,
                target->addr.port, what_was_said(target));
        append(reason, one);
    }
    if (dialer->target_count > REASONS_MAX) {
        (void)snprintf(one, sizeof(one), "; and %zu more", dialer->target_count - REASONS_MAX);
        append(reason, one);
    }
    if (dialer->target_count == 0)
        append(reason, "no address is known");
}

static void give_up(struct dialer *dialer)
{
    char reason[REASON_MAX];
    stop(dialer);
    describe(dialer, reason);
    dialer->fn(dialer->ctx, NULL, reason);
}

static void on_deadline(void *ctx)
{
    give_up(ctx);
}

static void succeed(struct dialer *dialer, const struct candidate *candidate)
{
    struct dialer_result result = {
            .target = candidate->target, .port = dialer->targets[candidate->target].addr.port};
    int r = getnameinfo((const struct sockaddr *)&candidate->address, sizeof(candidate->address),
            result.address, sizeof(result.address), NULL, 0, NI_NUMERICHOST);
    if (r) {
        dialer->targets[candidate->target].error = UV_EINVAL;
        advance(dialer);
        return;
    }
    stop(dialer);
    dialer->fn(dialer->ctx, &result, NULL);
}

/* --- connections --- */

static void on_connected(uv_connect_t *request, int status)
{
    struct attempt *attempt = request->data;
    struct dialer *dialer = attempt->dialer;
    struct candidate candidate = attempt->candidate;
    if (!dialer)
        return;
    drop_attempt(attempt);
    if (status == 0) {
        succeed(dialer, &candidate);
        return;
    }
    dialer->targets[candidate.target].error = status;
    advance(dialer);
}

static int start_attempt(struct dialer *dialer, const struct candidate *candidate)
{
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    if (!attempt)
        return UV_ENOMEM;
    attempt->dialer = dialer;
    attempt->candidate = *candidate;
    attempt->tcp.data = attempt->request.data = attempt;
    list_push_back(&dialer->attempts, &attempt->link);
    uv_tcp_init(&dialer->loop->uv, &attempt->tcp);
    int r = uv_tcp_connect(&attempt->request, &attempt->tcp,
            (const struct sockaddr *)&candidate->address, on_connected);
    if (r)
        drop_attempt(attempt);
    return r;
}

static bool names_are_pending(const struct dialer *dialer)
{
    for (size_t i = 0; i < dialer->target_count; i++)
        if (!dialer->targets[i].looked_up)
            return true;
    return false;
}

/* Starts the next try, and the clock for the one after it. A failed try calls for the next at once.
 */
static void advance(struct dialer *dialer)
{
    while (dialer->next < dialer->candidate_count) {
        const struct candidate *candidate = &dialer->candidates[dialer->next++];
        int r = start_attempt(dialer, candidate);
        if (r == 0) {
            loop_timer_start(dialer->stagger, DIALER_STAGGER_MS, 0);
            return;
        }
        dialer->targets[candidate->target].error = r;
    }
    if (list_empty(&dialer->attempts) && !names_are_pending(dialer))
        give_up(dialer);
}

static void on_stagger(void *ctx)
{
    advance(ctx);
}

/* `size`: of an address of IPv4 or IPv6. */
static void add_candidate(
        struct dialer *dialer, size_t target, const struct sockaddr *address, size_t size)
{
    if (dialer->candidate_count == DIALER_TARGETS_MAX)
        return;
    struct candidate *candidate = &dialer->candidates[dialer->candidate_count++];
    in_port_t port = htons(dialer->targets[target].addr.port);
    candidate->target = target;
    memcpy(&candidate->address, address, size);
    if (address->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)&candidate->address)->sin6_port = port;
    else
        ((struct sockaddr_in *)&candidate->address)->sin_port = port;
}

/* --- names --- */

static void add_addresses(struct dialer *dialer, size_t target, const struct addrinfo *addresses)
{
    for (const struct addrinfo *at = addresses; at; at = at->ai_next)
        if (at->ai_family == AF_INET || at->ai_family == AF_INET6)
            add_candidate(dialer, target, at->ai_addr, at->ai_addrlen);
}

/* Whatever dial the lookup was begun for: this one has use for it where it has the name. */
static void take_lookup(
        struct dialer *dialer, const char *host, int status, const struct addrinfo *addresses)
{
    for (size_t i = 0; i < dialer->target_count; i++) {
        struct target *target = &dialer->targets[i];
        if (target->looked_up || strcmp(target->addr.host, host) != 0)
            continue;
        target->looked_up = true;
        target->error = status;
        add_addresses(dialer, i, addresses);
    }
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct lookup *lookup = request->data;
    struct dialer *dialer = lookup->dialer;
    if (dialer)
        list_del(&lookup->link);
    if (dialer && dialer->dialling) {
        if (status == UV_EAI_CANCELED) /* by the dial before this one */
            start_lookups(dialer);
        else
            take_lookup(dialer, lookup->host, status, addresses);
        if (!loop_timer_active(dialer->stagger))
            loop_timer_start(dialer->stagger, 0, 0);
    }
    uv_freeaddrinfo(addresses);
    free(lookup);
}

static int start_lookup(struct dialer *dialer, const char *host)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return UV_ENOMEM;
    lookup->dialer = dialer;
    lookup->request.data = lookup;
    (void)snprintf(lookup->host, sizeof(lookup->host), "%s", host);
    int r = uv_getaddrinfo(
            &dialer->loop->uv, &lookup->request, on_looked_up, lookup->host, NULL, &hints);
    if (r) {
        free(lookup);
        return r;
    }
    list_push_back(&dialer->lookups, &lookup->link);
    return 0;
}

static bool is_being_looked_up(const struct dialer *dialer, const char *host)
{
    list_for_each (it, &dialer->lookups)
        if (strcmp(list_entry(it, struct lookup, link)->host, host) == 0)
            return true;
    return false;
}

static void start_lookups(struct dialer *dialer)
{
    for (size_t i = 0; i < dialer->target_count; i++) {
        struct target *target = &dialer->targets[i];
        if (target->looked_up || is_being_looked_up(dialer, target->addr.host))
            continue;
        target->error = start_lookup(dialer, target->addr.host);
        target->looked_up = target->error != 0;
    }
}

/* --- life --- */

static void add_target(struct dialer *dialer, const struct text_addr *addr)
{
    size_t index = dialer->target_count++;
    struct target *target = &dialer->targets[index];
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    *target = (struct target){.addr = *addr, .looked_up = true};
    if (uv_ip4_addr(addr->host, addr->port, &ipv4) == 0)
        add_candidate(dialer, index, (const struct sockaddr *)&ipv4, sizeof(ipv4));
    else if (uv_ip6_addr(addr->host, addr->port, &ipv6) == 0)
        add_candidate(dialer, index, (const struct sockaddr *)&ipv6, sizeof(ipv6));
    else
        target->looked_up = false;
}

void dialer_dial(struct dialer *dialer, const struct text_addr *targets, size_t count)
{
    stop(dialer);
    dialer->target_count = dialer->candidate_count = dialer->next = 0;
    for (size_t i = 0; i < count && i < DIALER_TARGETS_MAX; i++)
        add_target(dialer, &targets[i]);
    dialer->dialling = true;
    start_lookups(dialer);
    loop_timer_start(dialer->stagger, 0, 0);
    loop_timer_start(dialer->deadline, DIALER_TIMEOUT_MS, 0);
}

struct dialer *dialer_create(struct loop *loop, dialer_fn fn, void *ctx)
{
    struct dialer *dialer = calloc(1, sizeof(*dialer));
    if (!dialer)
        return NULL;
    dialer->loop = loop;
    dialer->fn = fn;
    dialer->ctx = ctx;
    list_init(&dialer->attempts);
    list_init(&dialer->lookups);
    dialer->stagger = loop_timer_create(loop, on_stagger, dialer);
    dialer->deadline = loop_timer_create(loop, on_deadline, dialer);
    if (dialer->stagger && dialer->deadline)
        return dialer;
    loop_timer_destroy(dialer->stagger);
    loop_timer_destroy(dialer->deadline);
    free(dialer);
    return NULL;
}

void dialer_destroy(struct dialer *dialer)
{
    if (!dialer)
        return;
    stop(dialer);
    list_for_each (it, &dialer->lookups)
        list_entry(it, struct lookup, link)->dialer = NULL;
    loop_timer_destroy(dialer->stagger);
    loop_timer_destroy(dialer->deadline);
    free(dialer);
}
