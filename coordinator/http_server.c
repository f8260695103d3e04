#include "coordinator/http_server.h"

#include "common/list.h"
#include "common/sm.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTION_POOL = 8 * 1024,  /* the library's memory of a connection: headers and a chunk */
    CONNECTION_POOL_STEP = 1024, /* … and how its read buffer grows */
    STREAM_BLOCK = 1024,         /* bytes the library asks a stream for at once (HTTP/1.0) */
    UNSENT_MAX = 16 * 1024,      /* bytes unsent in the kernel, where a slow reader would hide */
    OWN_HEADERS_MAX = 4 * 1024,  /* names and values of one answer's headers, as we hold them */
    DESCRIPTORS_RESERVED = 256,  /* descriptors that are left for all else in this process */
    KEEPALIVE_IDLE_S = 30, /* a peer whose host is gone is noticed after idle + count * interval */
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_COUNT = 3,
    ADDRESS_MAX = INET6_ADDRSTRLEN + 16,
};

struct http_server {
    struct loop *loop;
    struct http_server_handler handler;
    size_t body_max, bodies_max;
    struct MHD_Daemon *daemon;
    struct loop_watch *watch; /* of the library's epoll descriptor */
    struct loop_timer *timer;
    struct loop_hook hook;
    bool due; /* the library has something to do */
    struct list exchanges;
    size_t exchange_count, bodies_bytes;
    char address[ADDRESS_MAX];
};

/* RECEIVING ──▶ HELD ──▶ STREAMING
 *     │          │           │
 *     └──────────┴───────────┴────▶ ANSWERED (reply, end) or CUT (abort, the client has left)
 *
 * Up to STREAMING the handler may use the exchange; behind it only the library still works on it.
 * An exchange that is ANSWERED while its body is still coming in drops that body: the library takes
 * no answer in the middle of one. */
enum exchange_state { RECEIVING, HELD, STREAMING, ANSWERED, CUT, STATE_COUNT };

static const char *const state_names[STATE_COUNT] = {
        [RECEIVING] = "receiving",
        [HELD] = "held",
        [STREAMING] = "streaming",
        [ANSWERED] = "answered",
        [CUT] = "cut",
};

static const uint32_t state_next[STATE_COUNT] = {
        [RECEIVING] = SM_BIT(HELD) | SM_BIT(ANSWERED) | SM_BIT(CUT),
        [HELD] = SM_BIT(STREAMING) | SM_BIT(ANSWERED) | SM_BIT(CUT),
        [STREAMING] = SM_BIT(ANSWERED) | SM_BIT(CUT),
};

static const struct sm_def exchange_sm = {
        .name = "http exchange",
        .state_names = state_names,
        .state_count = STATE_COUNT,
        .next = state_next,
};

struct http_exchange {
    struct http_server *server;
    struct list link;
    struct MHD_Connection *connection;
    int fd; /* the connection's, owned by the library */
    struct sm sm;
    bool suspended, head_only;
    bool choked;               /* a write left no room: on_room is owed */
    const char *method, *path; /* in the library's memory, which lives as long as the exchange */
    char peer[INET6_ADDRSTRLEN];
    struct buf body;
    uint64_t dropped_bytes;
    struct buf headers; /* name NUL value NUL … until the answer is made */
    struct MHD_Response *response;
    unsigned status;
    struct buf out; /* of a stream: written and not yet taken */
    const struct http_exchange_events *events;
    void *ctx;
    struct loop_watch *leave_watch;
};

static bool is_in_use(const struct http_exchange *exchange)
{
    return exchange->sm.state <= STREAMING;
}

/* The library must run before the loop waits again. The timer is for a call from a hook behind
 * ours. */
static void kick(struct http_server *server)
{
    if (server->due)
        return;
    server->due = true;
    loop_timer_start(server->timer, 0, 0);
}

static void wake(struct http_exchange *exchange)
{
    if (!exchange->suspended)
        return;
    exchange->suspended = false;
    MHD_resume_connection(exchange->connection);
    kick(exchange->server);
}

static void suspend(struct http_exchange *exchange)
{
    MHD_suspend_connection(exchange->connection);
    exchange->suspended = true;
}

static void set_timeout(struct http_exchange *exchange, unsigned timeout_s)
{
    MHD_set_connection_option(exchange->connection, MHD_CONNECTION_OPTION_TIMEOUT, timeout_s);
}

/* The handler may not use the exchange any more. The client gets a time limit again for what is
 * held. */
static void let_go(struct http_exchange *exchange, enum exchange_state state)
{
    sm_set(&exchange->sm, state);
    loop_watch_destroy(exchange->leave_watch);
    exchange->leave_watch = NULL;
    http_exchange_free_body(exchange);
    set_timeout(exchange, HTTP_IDLE_TIMEOUT_S);
    wake(exchange);
}

static void lose_client(struct http_exchange *exchange)
{
    if (!is_in_use(exchange))
        return;
    buf_fini(&exchange->out);
    let_go(exchange, CUT);
    if (exchange->events)
        exchange->events->on_gone(exchange->ctx);
}

static void on_leave(void *ctx, int status, int events)
{
    struct http_exchange *exchange = ctx;
    (void)status;
    (void)events;
    /* The library may be waiting until it can write: this ends its wait. */
    shutdown(exchange->fd, SHUT_RDWR);
    lose_client(exchange);
}

static void format_peer(const struct sockaddr *addr, char *peer, socklen_t size)
{
    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)addr;
        inet_ntop(AF_INET, &in->sin_addr, peer, size);
        return;
    }
    const struct sockaddr_in6 *in6 = (const void *)addr;
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], peer, size);
    else
        inet_ntop(AF_INET6, &in6->sin6_addr, peer, size);
}

static struct http_exchange *exchange_create(struct http_server *server,
        struct MHD_Connection *connection, const char *method, const char *path)
{
    struct http_exchange *exchange = calloc(1, sizeof(*exchange));
    if (!exchange)
        return NULL;
    exchange->server = server;
    exchange->connection = connection;
    exchange->fd =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    exchange->head_only = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    exchange->method = exchange->head_only ? MHD_HTTP_METHOD_GET : method;
    exchange->path = path;
    sm_init(&exchange->sm, &exchange_sm, RECEIVING);
    buf_init(&exchange->body, server->body_max);
    buf_init(&exchange->headers, OWN_HEADERS_MAX);
    buf_init(&exchange->out, HTTP_STREAM_HELD_MAX);
    format_peer(
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
            exchange->peer, sizeof(exchange->peer));
    list_push_back(&server->exchanges, &exchange->link);
    server->exchange_count++;
    return exchange;
}

static void exchange_free(struct http_exchange *exchange)
{
    list_del(&exchange->link);
    exchange->server->exchange_count--;
    buf_fini(&exchange->headers);
    buf_fini(&exchange->out);
    if (exchange->response)
        MHD_destroy_response(exchange->response);
    free(exchange);
}

/* Hands the answer to the library, which must be calling us for it. Without one the connection is
 * cut. */
static enum MHD_Result queue_answer(struct http_exchange *exchange)
{
    bool looks_complete = exchange->head_only && exchange->sm.state == CUT;
    if (!exchange->response || looks_complete)
        return MHD_NO;
    return MHD_queue_response(exchange->connection, exchange->status, exchange->response);
}

static void refuse(struct http_exchange *exchange, int status, const char *message)
{
    const struct http_server_handler *handler = &exchange->server->handler;
    handler->on_refusal(handler->ctx, exchange, status, message);
    assert(exchange->sm.state == ANSWERED);
}

/* The library has checked that the value is a number, and takes one that is too large for it as an
 * error. */
static uint64_t promised_bytes(const struct http_exchange *exchange)
{
    const char *value = http_exchange_header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return value ? strtoull(value, NULL, 10) : 0;
}

static void screen_headers(struct http_exchange *exchange, uint64_t promised)
{
    const struct http_server_handler *handler = &exchange->server->handler;
    if (strlen(exchange->path) > HTTP_PATH_MAX) {
        refuse(exchange, MHD_HTTP_URI_TOO_LONG, "the path is too long");
        return;
    }
    if (promised > exchange->server->body_max) {
        refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large");
        return;
    }
    int refused = handler->on_headers(handler->ctx, exchange);
    assert((refused != 0) == (exchange->sm.state == ANSWERED));
    (void)refused;
}

/* The first call for a request: its headers are in. An answer that is given here ends the
 * connection, and bytes that are under way would reset it before the client has read the answer. So
 * the body is dropped first, but where the client waits for our word, or promises too much to be
 * dropped. */
static enum MHD_Result take_headers(struct http_exchange *exchange)
{
    uint64_t promised = promised_bytes(exchange);
    bool waits = http_exchange_header(exchange, MHD_HTTP_HEADER_EXPECT) != NULL;
    set_timeout(exchange, HTTP_UPLOAD_TIMEOUT_S);
    screen_headers(exchange, promised);
    if (exchange->sm.state == ANSWERED && (waits || promised > HTTP_DROPPED_MAX))
        return queue_answer(exchange);
    return MHD_YES;
}

static void keep_body(struct http_exchange *exchange, const char *data, size_t len)
{
    struct http_server *server = exchange->server;
    if (len > server->body_max - exchange->body.len) {
        refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large");
        return;
    }
    bool full = len > server->bodies_max - server->bodies_bytes;
    if (full || buf_append(&exchange->body, data, len) < 0) {
        refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the body now; try again");
        return;
    }
    server->bodies_bytes += len;
}

static enum MHD_Result take_body(struct http_exchange *exchange, const char *data, size_t len)
{
    if (exchange->sm.state == RECEIVING)
        keep_body(exchange, data, len);
    else
        exchange->dropped_bytes += len;
    return exchange->dropped_bytes <= HTTP_DROPPED_MAX ? MHD_YES : MHD_NO;
}

static void hand_over(struct http_exchange *exchange)
{
    const struct http_server_handler *handler = &exchange->server->handler;
    if (exchange->body.len > 0 && buf_terminate(&exchange->body) < 0) {
        refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the body now; try again");
        return;
    }
    sm_set(&exchange->sm, HELD);
    set_timeout(exchange, 0);
    handler->on_request(handler->ctx, exchange);
    assert(!is_in_use(exchange) || exchange->events);
}

/* The whole request is in. The library calls this again when the connection is resumed, until there
 * is an answer. */
static enum MHD_Result proceed(struct http_exchange *exchange)
{
    if (exchange->sm.state == RECEIVING)
        hand_over(exchange);
    bool streams = exchange->sm.state == STREAMING && !exchange->head_only;
    if (is_in_use(exchange) && !streams) {
        suspend(exchange);
        return MHD_YES;
    }
    return queue_answer(exchange);
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *connection, const char *path,
        const char *method, const char *version, const char *data, size_t *len, void **request_ctx)
{
    (void)version;
    struct http_exchange *exchange = *request_ctx;
    if (!exchange) {
        *request_ctx = exchange = exchange_create(ctx, connection, method, path);
        return exchange ? take_headers(exchange) : MHD_NO;
    }
    if (*len == 0)
        return proceed(exchange);
    size_t given = *len;
    *len = 0;
    return take_body(exchange, data, given);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **request_ctx,
        enum MHD_RequestTerminationCode why)
{
    (void)ctx;
    (void)connection;
    (void)why;
    struct http_exchange *exchange = *request_ctx;
    *request_ctx = NULL;
    if (!exchange)
        return;
    lose_client(exchange);
    exchange_free(exchange);
}

static void set_option(int fd, int level, int name, int value)
{
    /* Each of these only makes a connection better: a kernel that has none serves as well. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_ctx,
        enum MHD_ConnectionNotificationCode code)
{
    (void)ctx;
    (void)socket_ctx;
    if (code != MHD_CONNECTION_NOTIFY_STARTED)
        return;
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
}

static void on_library_event(void *ctx, int status, int events)
{
    struct http_server *server = ctx;
    (void)status;
    (void)events;
    server->due = true;
}

static void on_library_timeout(void *ctx)
{
    struct http_server *server = ctx;
    server->due = true;
}

/* The one place where the library runs: at the end of a turn, so never inside one of its own
 * callbacks, and once for all streams that moved. */
static void run_library(void *ctx)
{
    struct http_server *server = ctx;
    if (!server->due)
        return;
    server->due = false;
    loop_timer_stop(server->timer);
    MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (!server->due && MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
        loop_timer_start(server->timer, wait_ms, 0);
}

static int bind_error(const struct text_addr *addr, int code, struct err *err)
{
    static const struct {
        int code;
        const char *way_out;
    } hints[] = {
            {-EADDRINUSE, "another program listens there: stop it, or choose another port"},
            {-EACCES, "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one"},
            {-EADDRNOTAVAIL, "this host has no such address: use one of its own, or 127.0.0.1"},
    };
    const char *way_out = "";
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        if (hints[i].code == code)
            way_out = hints[i].way_out;
    }
    return err_set(err, code, "cannot listen for HTTP on %s port %u: %s%s%s", addr->host,
            addr->port, strerror(-code), *way_out ? "; " : "", way_out);
}

static int listen_on(const struct addrinfo *info, int *ret_fd)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int open_listener(const struct text_addr *addr, int *ret_fd, struct err *err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *infos;
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", addr->port);
    int r = getaddrinfo(addr->host, port, &hints, &infos);
    if (r != 0)
        return err_set(err, -EADDRNOTAVAIL,
                "cannot listen for HTTP on %s: %s; use an address of this host, or 127.0.0.1",
                addr->host, gai_strerror(r));
    r = -EADDRNOTAVAIL;
    for (const struct addrinfo *info = infos; info && r < 0; info = info->ai_next)
        r = listen_on(info, ret_fd);
    freeaddrinfo(infos);
    return r < 0 ? bind_error(addr, r, err) : 0;
}

static int name_address(struct http_server *server, int fd, struct err *err)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    char host[INET6_ADDRSTRLEN], port[8];
    if (getsockname(fd, (struct sockaddr *)&bound, &size) < 0)
        return err_set(err, -errno, "cannot tell the address that was bound: %s", strerror(errno));
    int r = getnameinfo((struct sockaddr *)&bound, size, host, sizeof(host), port, sizeof(port),
            NI_NUMERICHOST | NI_NUMERICSERV);
    if (r != 0)
        return err_set(
                err, -EADDRNOTAVAIL, "cannot tell the address that was bound: %s", gai_strerror(r));
    bool brackets = bound.ss_family == AF_INET6;
    (void)snprintf(server->address, sizeof(server->address), "%s%s%s:%s", brackets ? "[" : "", host,
            brackets ? "]" : "", port);
    return 0;
}

/* Lets this process have as many descriptors as it may, and returns how many connections fit. */
static unsigned connections_that_fit(unsigned wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return wanted;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        limit.rlim_cur = before;
    rlim_t fit = limit.rlim_cur > 2 * DESCRIPTORS_RESERVED ? limit.rlim_cur - DESCRIPTORS_RESERVED
                                                           : limit.rlim_cur / 2;
    return fit < wanted ? (unsigned)fit : wanted;
}

static int start_library(
        struct http_server *server, int fd, unsigned connections_max, struct err *err)
{
    /* All editors of one host come from one address; yet no address shall take the last eighth. */
    unsigned per_address_max = connections_max - connections_max / 8;
    const struct MHD_OptionItem options[] = {
            {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
            {MHD_OPTION_CONNECTION_LIMIT, connections_max, NULL},
            {MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address_max, NULL},
            {MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_TIMEOUT_S, NULL},
            {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_POOL, NULL},
            {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, CONNECTION_POOL_STEP, NULL},
            {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
            {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
            {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
            {MHD_OPTION_END, 0, NULL},
    };
    server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
            on_access, server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (!server->daemon)
        return err_set(err, -EIO, "libmicrohttpd does not start on %s", server->address);
    return 0;
}

static int join_loop(struct http_server *server, struct err *err)
{
    int fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    server->watch = loop_watch_create(server->loop, fd, on_library_event, server);
    server->timer = loop_timer_create(server->loop, on_library_timeout, server);
    if (!server->watch || !server->timer)
        return err_set(err, -ENOMEM, "no memory for the HTTP server");
    loop_watch_set(server->watch, UV_READABLE);
    loop_hook_add(server->loop, &server->hook, run_library, server);
    return 0;
}

static struct http_server *server_alloc(struct loop *loop, const struct http_server_config *config,
        const struct http_server_handler *handler)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return NULL;
    server->loop = loop;
    server->handler = *handler;
    server->body_max = config->body_max ? config->body_max : HTTP_BODY_MAX;
    server->bodies_max = config->bodies_max ? config->bodies_max : HTTP_BODIES_MAX;
    list_init(&server->exchanges);
    list_init(&server->hook.link);
    return server;
}

int http_server_create(struct loop *loop, const struct http_server_config *config,
        const struct http_server_handler *handler, struct http_server **ret_server, struct err *err)
{
    int fd = -1;
    struct http_server *server = server_alloc(loop, config, handler);
    if (!server)
        return err_set(err, -ENOMEM, "no memory for the HTTP server");
    unsigned wanted = config->connections_max ? config->connections_max : HTTP_CONNECTIONS_MAX;
    int r = open_listener(&config->addr, &fd, err);
    if (r == 0)
        r = name_address(server, fd, err);
    if (r == 0)
        r = start_library(server, fd, connections_that_fit(wanted), err);
    if (r < 0)
        goto out;
    fd = -1; /* the library's from here on */
    r = join_loop(server, err);
out:
    if (fd >= 0)
        close(fd);
    if (r < 0)
        http_server_destroy(server);
    else
        *ret_server = server;
    return r;
}

void http_server_destroy(struct http_server *server)
{
    if (!server)
        return;
    loop_hook_remove(&server->hook);
    loop_watch_destroy(server->watch);
    /* No connection may be suspended when the library stops; that also frees the exchanges. */
    list_for_each (it, &server->exchanges)
        lose_client(list_entry(it, struct http_exchange, link));
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    loop_timer_destroy(server->timer);
    free(server);
}

void http_server_quiesce(struct http_server *server)
{
    int fd = MHD_quiesce_daemon(server->daemon);
    if (fd >= 0)
        close(fd);
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

size_t http_server_open_exchanges(const struct http_server *server)
{
    return server->exchange_count;
}

const char *http_exchange_method(const struct http_exchange *exchange)
{
    return exchange->method;
}

const char *http_exchange_path(const struct http_exchange *exchange)
{
    return exchange->path;
}

const char *http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

const char *http_exchange_body(const struct http_exchange *exchange, size_t *ret_len)
{
    *ret_len = exchange->body.len;
    return buf_at(&exchange->body);
}

void http_exchange_free_body(struct http_exchange *exchange)
{
    exchange->server->bodies_bytes -= exchange->body.len;
    buf_fini(&exchange->body);
}

const char *http_exchange_peer(const struct http_exchange *exchange)
{
    return exchange->peer;
}

void http_exchange_set_header(struct http_exchange *exchange, const char *name, const char *value)
{
    char clean[HTTP_HEADER_VALUE_MAX + 1];
    size_t len = text_utf8_cut(value, strlen(value), HTTP_HEADER_VALUE_MAX);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        clean[i] = c < ' ' || c == 0x7f ? '?' : value[i];
    }
    clean[len] = '\0';
    /* All of ours fit by far; where memory is missing the answer goes out without this one. */
    (void)!buf_appendf(&exchange->headers, "%s%c%s%c", name, '\0', clean, '\0');
}

static void add_headers(struct http_exchange *exchange)
{
    const char *at = buf_at(&exchange->headers);
    const char *end = at + exchange->headers.len;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        MHD_add_response_header(exchange->response, at, value);
        at = value + strlen(value) + 1;
    }
    buf_fini(&exchange->headers);
}

/* `response` NULL: there was no memory for it, and the connection will be cut. */
static void set_answer(struct http_exchange *exchange, struct MHD_Response *response, int status,
        const char *content_type)
{
    http_exchange_set_header(exchange, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    exchange->status = (unsigned)status;
    exchange->response = response;
    if (response)
        add_headers(exchange);
}

void http_exchange_reply(struct http_exchange *exchange, int status, const char *content_type,
        const void *body, size_t len)
{
    /* The library does not write to a body that it copies. */
    set_answer(exchange,
            MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY),
            status, content_type);
    let_go(exchange, ANSWERED);
}

void http_exchange_watch(
        struct http_exchange *exchange, const struct http_exchange_events *events, void *ctx)
{
    exchange->events = events;
    exchange->ctx = ctx;
    if (exchange->leave_watch)
        return;
    exchange->leave_watch =
            loop_watch_create(exchange->server->loop, exchange->fd, on_leave, exchange);
    /* Without memory for a watch it is the next write that shows that the client has left. */
    if (exchange->leave_watch)
        loop_watch_set(exchange->leave_watch, UV_DISCONNECT);
}

static size_t take_out(struct http_exchange *exchange, char *to, size_t max)
{
    size_t n = exchange->out.len < max ? exchange->out.len : max;
    memcpy(to, buf_at(&exchange->out), n);
    buf_consume(&exchange->out, n);
    if (exchange->choked && http_exchange_room(exchange) > 0) {
        exchange->choked = false;
        if (exchange->sm.state == STREAMING && exchange->events)
            exchange->events->on_room(exchange->ctx);
    }
    /* One large event must not cost its memory as long as the stream lives. */
    if (exchange->out.len == 0 && exchange->out.cap > 2 * HTTP_STREAM_BUFFER)
        buf_fini(&exchange->out);
    return n;
}

static ssize_t read_stream(void *ctx, uint64_t position, char *to, size_t max)
{
    struct http_exchange *exchange = ctx;
    (void)position;
    if (exchange->out.len > 0)
        return (ssize_t)take_out(exchange, to, max);
    if (exchange->sm.state == ANSWERED)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (exchange->sm.state == CUT)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    suspend(exchange);
    return 0;
}

void http_exchange_begin(struct http_exchange *exchange, int status, const char *content_type)
{
    set_answer(exchange,
            MHD_create_response_from_callback(
                    MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, exchange, NULL),
            status, content_type);
    sm_set(&exchange->sm, STREAMING);
    /* The library would take the headers of an answer to HEAD as all of it: they wait for the end.
     */
    if (!exchange->head_only)
        wake(exchange);
}

size_t http_exchange_room(const struct http_exchange *exchange)
{
    size_t held = exchange->out.len;
    return held < HTTP_STREAM_BUFFER ? HTTP_STREAM_BUFFER - held : 0;
}

int http_exchange_write(struct http_exchange *exchange, const void *data, size_t len)
{
    assert(exchange->sm.state == STREAMING);
    if (exchange->head_only)
        return 0;
    int r = buf_append(&exchange->out, data, len);
    if (r < 0)
        return r;
    exchange->choked = http_exchange_room(exchange) == 0;
    wake(exchange);
    return 0;
}

void http_exchange_end(struct http_exchange *exchange)
{
    let_go(exchange, ANSWERED);
}

void http_exchange_abort(struct http_exchange *exchange)
{
    let_go(exchange, CUT);
}
