#include "coordinator/http/http_server.h"

#include "coordinator/http/http_internal.h"
#include "coordinator/http/tls.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONNECTION_POOL_STEP = 1024, /* how the read buffer grows in a connection's memory */
    UNSENT_MAX = 16 * 1024,      /* bytes unsent in the kernel, where a slow reader would hide */
    DESCRIPTORS_RESERVED = 256,  /* descriptors that are left for all else in this process */
    KEEPALIVE_IDLE_S = 30, /* a peer whose host is gone is noticed after idle + count * interval */
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_COUNT = 3,
    HANDSHAKE_PAUSE_MS = 5,
};

/* Without a key exchange that a stolen key opens years later. */
static const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA";

/* The timer is for a call from a hook behind ours. */
void http_server_kick(struct http_server *server)
{
    if (server->due)
        return;
    server->due = true;
    loop_timer_start(server->timer, 0, 0);
}

static void set_option(int fd, int level, int name, int value)
{
    /* Each of these only makes a connection better: a kernel that has none serves as well. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void tune_tcp(int fd)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
}

static void follow_handshake(
        struct http_server *server, struct MHD_Connection *connection, int fd, void **socket_ctx)
{
    const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    *socket_ctx = tls_handshake_create(&server->handshakes, info->tls_session, fd);
    if (!*socket_ctx)
        shutdown(fd, SHUT_RDWR);
}

static void take_in(
        struct http_server *server, struct MHD_Connection *connection, void **socket_ctx)
{
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    if (server->listen == HTTP_LISTEN_TCP)
        tune_tcp(fd);
    else
        set_option(fd, SOL_SOCKET, SO_SNDBUF, UNSENT_MAX);
    if (server->tls)
        follow_handshake(server, connection, fd, socket_ctx);
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_ctx,
        enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        take_in(ctx, connection, socket_ctx);
        return;
    }
    tls_handshake_free(*socket_ctx);
    /* Where it had no place or no descriptor left, the library listens again in its next run. */
    http_server_kick(ctx);
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

/* The library takes a handshake that waits for its peer for one that can go on, and would run
 * without a pause. What the peer sends wakes us anyway. */
static bool waits_for_handshakes(const struct http_server *server)
{
    return server->handshakes.count > 0 && !server->stirred;
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
    server->stirred = false;
    MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (server->due || MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES)
        return;
    if (wait_ms == 0 && waits_for_handshakes(server))
        wait_ms = HANDSHAKE_PAUSE_MS;
    loop_timer_start(server->timer, wait_ms, 0);
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

/* `fd` -1: connections come by MHD_add_connection(). */
static int start_library(struct http_server *server, const struct http_server_config *config,
        int fd, struct err *err)
{
    unsigned connections_max = connections_that_fit(
            config->connections_max ? config->connections_max : HTTP_CONNECTIONS_MAX);
    unsigned handshakes_max = connections_max / 4 + 1;
    /* All editors of one host come from one address; yet no address shall take the last eighth. */
    unsigned per_address_max = connections_max - connections_max / 8;
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem listener[] = {
            {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
            {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem tls[] = {
            {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities},
            {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)tls_retrieve},
            {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem options[] = {
            {MHD_OPTION_CONNECTION_LIMIT, connections_max, NULL},
            {MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address_max, NULL},
            {MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_TIMEOUT_S, NULL},
            {MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_CONNECTION_POOL, NULL},
            {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, CONNECTION_POOL_STEP, NULL},
            {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
            {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)http_exchange_on_completed, server},
            {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
            {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
                     (fd < 0 ? MHD_USE_NO_LISTEN_SOCKET : 0) | (config->tls ? MHD_USE_TLS : 0);
    tls_handshakes_init(&server->handshakes,
            handshakes_max < HTTP_HANDSHAKES_MAX ? handshakes_max : HTTP_HANDSHAKES_MAX);
    server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, http_exchange_on_access, server,
            MHD_OPTION_ARRAY, options, MHD_OPTION_ARRAY, fd < 0 ? none : listener, MHD_OPTION_ARRAY,
            config->tls ? tls : none, MHD_OPTION_END);
    if (!server->daemon)
        return err_set(err, -EIO, "libmicrohttpd does not start");
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
    server->listen = config->listen;
    server->tls = config->tls;
    server->handler = *handler;
    server->body_max = config->body_max ? config->body_max : HTTP_BODY_MAX;
    server->bodies_max = config->bodies_max ? config->bodies_max : HTTP_BODIES_MAX;
    list_init(&server->exchanges);
    list_init(&server->hook.link);
    return server;
}

/* The library copies the address and counts no connections of an address of this kind, so it can
 * carry the peer's name. On failure it has closed the descriptor. */
static int take_connection(struct http_server *server, int fd, const char *peer)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, peer, text_utf8_cut(peer, strlen(peer), HTTP_PEER_MAX));
    const struct sockaddr *any = (const void *)&addr;
    if (MHD_add_connection(server->daemon, fd, any, sizeof(addr)) != MHD_YES)
        return errno == ENFILE ? -EBUSY : -ENOMEM;
    http_server_kick(server);
    return 0;
}

static void on_unix_peer(void *ctx, int fd)
{
    /* One that finds no place is closed, and sees that. */
    (void)take_connection(ctx, fd, "unix");
}

int http_server_create(struct loop *loop, const struct http_server_config *config,
        const struct http_server_handler *handler, struct http_server **ret_server, struct err *err)
{
    int fd = -1, r = 0;
    assert(!config->tls || config->listen == HTTP_LISTEN_TCP);
    struct http_server *server = server_alloc(loop, config, handler);
    if (!server)
        return err_set(err, -ENOMEM, "no memory for the HTTP server");
    if (config->listen == HTTP_LISTEN_TCP)
        r = tcp_listener_open(&config->addr, &fd, server->tcp_address, err);
    if (r == 0)
        r = start_library(server, config, fd, err);
    if (r < 0)
        goto out;
    fd = -1; /* the library's from here on */
    r = join_loop(server, err);
    if (r == 0 && config->listen == HTTP_LISTEN_UNIX)
        r = unix_listener_create(
                loop, config->path, on_unix_peer, server, &server->unix_listener, err);
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
    unix_listener_destroy(server->unix_listener);
    loop_hook_remove(&server->hook);
    loop_watch_destroy(server->watch);
    /* No connection may be suspended when the library stops; that also frees the exchanges. */
    http_exchange_lose_all(server);
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    loop_timer_destroy(server->timer);
    free(server);
}

int http_server_adopt(struct http_server *server, int fd, const char *peer)
{
    assert(server->listen == HTTP_LISTEN_NONE);
    if (!server->quiesced)
        return take_connection(server, fd, peer);
    close(fd);
    return -ESHUTDOWN;
}

void http_server_quiesce(struct http_server *server)
{
    server->quiesced = true;
    if (server->unix_listener)
        unix_listener_quiesce(server->unix_listener);
    int fd = MHD_quiesce_daemon(server->daemon);
    if (fd >= 0)
        close(fd);
}

const char *http_server_address(const struct http_server *server)
{
    return server->unix_listener ? unix_listener_path(server->unix_listener) : server->tcp_address;
}

size_t http_server_open_exchanges(const struct http_server *server)
{
    return server->exchange_count;
}
