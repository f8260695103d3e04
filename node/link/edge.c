#include "node/link/edge.h"

#include "common/json/json.h"
#include "common/list.h"
#include "common/log.h"
#include "common/tcp_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPTS_A_TURN = 32,
    ACCEPT_PAUSE_MS = 200,  /* where there is no descriptor for one more connection */
    REQUEST_WAIT_MS = 5000, /* for the first bytes of a request; then the answer goes out anyway */
    LINGER_MS = 5000,       /* for the editor to read the answer and to close */
    ANSWER_MAX = 8 * 1024,  /* bytes: a fresh socket takes them at once */
    DROP_PIECE = 16 * 1024, /* bytes of a refused request that are read at once */
};

struct edge {
    struct loop *loop;
    struct text_addr addr; /* what is wanted; numeric */
    int fd;                /* −1: the port is taken */
    struct loop_watch *watch;
    struct loop_timer *timer; /* the next try to listen, or to accept */
    char address[TCP_LISTENER_NAME_MAX + 1];
    struct tunnel_set *tunnels;
    bool forbidden;
    char reason[ERR_TEXT_MAX]; /* why a connection is refused */
    struct list refusals;
    size_t refusal_count;
};

/* A connection that is told why not: first its request begins, then the answer goes out whole, then
 * what else it sends is dropped until it closes. A close at once would reset the connection, and
 * the answer might be lost. */
struct refusal {
    struct edge *edge;
    struct list link;
    int fd;
    struct loop_watch *watch;
    struct loop_timer *timer;
    bool answered;
};

static void refusal_free(struct refusal *refusal)
{
    list_del(&refusal->link);
    refusal->edge->refusal_count--;
    loop_watch_destroy(refusal->watch);
    loop_timer_destroy(refusal->timer);
    close(refusal->fd);
    free(refusal);
}

static int append_body(const struct edge *edge, struct buf *out)
{
    if (buf_append_str(out, "{\"error\":{\"message\":") ||
            json_append_str(out, edge->reason, strlen(edge->reason)) ||
            buf_appendf(out, ",\"type\":\"api_error\",\"code\":\"%s\",\"param\":null}}",
                    edge->forbidden ? "forbidden" : "no_coordinator"))
        return -ENOBUFS;
    return 0;
}

static int append_head(const struct edge *edge, size_t body_len, struct buf *out)
{
    return buf_appendf(out,
            "HTTP/1.1 %s\r\n"
            "Content-Type: application/json\r\n"
            "Content-Length: %zu\r\n"
            "Connection: close\r\n\r\n",
            edge->forbidden ? "403 Forbidden" : "503 Service Unavailable", body_len);
}

/* The answer to HEAD is that to GET without the body (RFC 9110, section 9.3.2). */
static int append_answer(const struct edge *edge, bool head_only, struct buf *out)
{
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    int r = append_body(edge, &body);
    if (r == 0)
        r = append_head(edge, body.len, out);
    if (r == 0 && !head_only)
        r = buf_append(out, buf_at(&body), body.len);
    buf_fini(&body);
    return r;
}

/* Frees the refusal where the answer cannot go out whole. */
static void answer(struct refusal *refusal, bool head_only)
{
    struct buf out;
    buf_init(&out, ANSWER_MAX);
    int r = append_answer(refusal->edge, head_only, &out);
    ssize_t n = r < 0 ? -1 : send(refusal->fd, buf_at(&out), out.len, MSG_NOSIGNAL);
    bool whole = n >= 0 && (size_t)n == out.len;
    buf_fini(&out);
    if (!whole) {
        refusal_free(refusal);
        return;
    }
    refusal->answered = true;
    shutdown(refusal->fd, SHUT_WR);
    loop_timer_start(refusal->timer, LINGER_MS, 0);
}

static void on_refusal_time(void *ctx)
{
    struct refusal *refusal = ctx;
    if (refusal->answered)
        refusal_free(refusal);
    else
        answer(refusal, false);
}

static bool is_head(const char *data, size_t len)
{
    static const char method[] = "HEAD ";
    return len >= sizeof(method) - 1 && memcmp(data, method, sizeof(method) - 1) == 0;
}

static void on_refusal_socket(void *ctx, int status, int events)
{
    struct refusal *refusal = ctx;
    char piece[DROP_PIECE];
    (void)events;
    ssize_t n = status < 0 ? 0 : recv(refusal->fd, piece, sizeof(piece), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        refusal_free(refusal);
    else if (!refusal->answered)
        answer(refusal, is_head(piece, (size_t)n));
}

/* Takes `fd`. */
static void refuse(struct edge *edge, int fd)
{
    bool full = edge->refusal_count == EDGE_REFUSALS_MAX;
    struct refusal *refusal = full ? NULL : calloc(1, sizeof(*refusal));
    if (!refusal) {
        close(fd);
        return;
    }
    refusal->edge = edge;
    refusal->fd = fd;
    list_push_back(&edge->refusals, &refusal->link);
    edge->refusal_count++;
    refusal->watch = loop_watch_create(edge->loop, fd, on_refusal_socket, refusal);
    refusal->timer = loop_timer_create(edge->loop, on_refusal_time, refusal);
    if (!refusal->watch || !refusal->timer) {
        refusal_free(refusal);
        return;
    }
    loop_watch_set(refusal->watch, UV_READABLE);
    loop_timer_start(refusal->timer, REQUEST_WAIT_MS, 0);
}

/* Takes `fd`. */
static void serve(struct edge *edge, int fd)
{
    const int on = 1;
    /* Tokens are small and must not wait for each other; a kernel that cannot serves as well. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!edge->tunnels || edge->forbidden)
        refuse(edge, fd);
    else
        (void)!tunnel_set_open(edge->tunnels, fd); /* where it cannot, it has closed the socket */
}

static bool is_shortage(int code)
{
    return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

static void pause_accepting(struct edge *edge)
{
    loop_watch_set(edge->watch, 0);
    loop_timer_start(edge->timer, ACCEPT_PAUSE_MS, 0);
}

static void on_connection(void *ctx, int status, int events)
{
    struct edge *edge = ctx;
    (void)events;
    if (status < 0) {
        pause_accepting(edge);
        return;
    }
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(edge->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int code = fd < 0 ? errno : 0;
        if (fd >= 0)
            serve(edge, fd);
        if (is_shortage(code))
            pause_accepting(edge);
        if (is_shortage(code) || code == EAGAIN)
            return; /* any other failure is of that one connection */
    }
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* "localhost" is what RFC 6761 makes of it, whatever the resolver thinks. */
static int take_address(const struct text_addr *addr, struct edge *edge, struct err *err)
{
    edge->addr = *addr;
    if (strcmp(addr->host, "localhost") == 0)
        strcpy(edge->addr.host, "127.0.0.1");
    if (is_loopback(edge->addr.host))
        return 0;
    return err_set(err, -EACCES,
            "editors cannot be served on %s port %u: it is no loopback address, and whoever "
            "reaches "
            "it would need no key; use 127.0.0.1 or [::1]",
            addr->host, addr->port);
}

static int start_listening(struct edge *edge)
{
    int fd = -1;
    int r = tcp_listener_open(&edge->addr, &fd, edge->address, NULL);
    if (r < 0)
        return r;
    edge->watch = loop_watch_create(edge->loop, fd, on_connection, edge);
    if (!edge->watch) {
        close(fd);
        return -ENOMEM;
    }
    edge->fd = fd;
    loop_watch_set(edge->watch, UV_READABLE);
    log_info("editors served", LOG_S("address", edge->address));
    return 0;
}

static void on_time(void *ctx)
{
    struct edge *edge = ctx;
    if (edge->fd >= 0)
        loop_watch_set(edge->watch, UV_READABLE);
    else if (start_listening(edge) < 0)
        loop_timer_start(edge->timer, EDGE_RETRY_MS, 0);
}

/* A port that is taken is tried again; its holder may be a coordinator that serves it as well. */
static int listen_or_wait(struct edge *edge, const struct text_addr *addr, struct err *err)
{
    int r = start_listening(edge);
    if (r == -EADDRINUSE) {
        log_info("port for editors is taken", LOG_S("host", addr->host), LOG_U("port", addr->port),
                LOG_U("retry_ms", EDGE_RETRY_MS));
        loop_timer_start(edge->timer, EDGE_RETRY_MS, 0);
        return 0;
    }
    if (r < 0)
        return err_set(err, r, "cannot listen for editors on %s port %u: %s", addr->host,
                addr->port, strerror(-r));
    return 0;
}

static void set_reason(struct edge *edge, const char *reason)
{
    (void)snprintf(edge->reason, sizeof(edge->reason), "%s", reason);
}

int edge_create(
        struct loop *loop, const struct text_addr *addr, struct edge **ret_edge, struct err *err)
{
    struct edge *edge = calloc(1, sizeof(*edge));
    if (!edge)
        return err_set(err, -ENOMEM, "no memory to serve editors");
    edge->loop = loop;
    edge->fd = -1;
    list_init(&edge->refusals);
    set_reason(edge, "the modemesh node on this host has not reached a coordinator yet");
    edge->timer = loop_timer_create(loop, on_time, edge);
    int r = edge->timer ? take_address(addr, edge, err)
                        : err_set(err, -ENOMEM, "no memory to serve editors");
    if (r == 0)
        r = listen_or_wait(edge, addr, err);
    if (r < 0) {
        edge_destroy(edge);
        return r;
    }
    *ret_edge = edge;
    return 0;
}

void edge_destroy(struct edge *edge)
{
    if (!edge)
        return;
    tunnel_set_destroy(edge->tunnels);
    list_for_each_safe (it, &edge->refusals)
        refusal_free(list_entry(it, struct refusal, link));
    loop_watch_destroy(edge->watch);
    loop_timer_destroy(edge->timer);
    if (edge->fd >= 0)
        close(edge->fd);
    free(edge);
}

const char *edge_address(const struct edge *edge)
{
    return edge->fd >= 0 ? edge->address : NULL;
}

int edge_up(struct edge *edge, uint32_t epoch, const struct tunnel_events *events, void *ctx)
{
    tunnel_set_destroy(edge->tunnels);
    edge->forbidden = false;
    edge->tunnels = tunnel_set_create(edge->loop, epoch, events, ctx);
    return edge->tunnels ? 0 : -ENOMEM;
}

void edge_down(struct edge *edge, const char *reason)
{
    tunnel_set_destroy(edge->tunnels);
    edge->tunnels = NULL;
    if (!edge->forbidden)
        set_reason(edge, reason);
}

void edge_forbidden(struct edge *edge, const char *reason)
{
    edge->forbidden = true;
    set_reason(edge, reason);
}

struct tunnel_set *edge_tunnels(struct edge *edge)
{
    return edge->tunnels;
}
