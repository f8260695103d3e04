#include "common/sm.h"
#include "coordinator/http/http_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    STREAM_BLOCK = 1024,        /* bytes the library asks a stream for at once (HTTP/1.0) */
    OWN_HEADERS_MAX = 4 * 1024, /* names and values of one answer's headers, as we hold them */
    ANSWER_ROOM = 1536,         /* of a connection's memory: an answer's headers, as they are */
    VALUE_OVERHEAD = 80,        /* bytes of that memory that a header costs beside its text */
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

struct trimmed { /* a header's value without the white space behind it */
    struct list link;
    const char *raw; /* as the library has it */
    char value[];
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
    char peer[HTTP_PEER_MAX + 1];
    struct list trimmed; /* of the request's headers those that need it */
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

static void wake(struct http_exchange *exchange)
{
    if (!exchange->suspended)
        return;
    exchange->suspended = false;
    MHD_resume_connection(exchange->connection);
    http_server_kick(exchange->server);
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

/* A connection that http_server_adopt() brought has its peer's name for an address. */
static void format_peer(const struct sockaddr *addr, char peer[HTTP_PEER_MAX + 1])
{
    const struct sockaddr_in *in = (const void *)addr;
    const struct sockaddr_in6 *in6 = (const void *)addr;
    const struct sockaddr_un *un = (const void *)addr;
    if (addr->sa_family == AF_UNIX)
        (void)snprintf(peer, HTTP_PEER_MAX + 1, "%.*s", HTTP_PEER_MAX, un->sun_path);
    else if (addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &in->sin_addr, peer, HTTP_PEER_MAX + 1);
    else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], peer, HTTP_PEER_MAX + 1);
    else
        inet_ntop(AF_INET6, &in6->sin6_addr, peer, HTTP_PEER_MAX + 1);
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
    list_init(&exchange->trimmed);
    buf_init(&exchange->body, server->body_max);
    buf_init(&exchange->headers, OWN_HEADERS_MAX);
    buf_init(&exchange->out, HTTP_STREAM_HELD_MAX);
    format_peer(
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
            exchange->peer);
    list_push_back(&server->exchanges, &exchange->link);
    server->exchange_count++;
    return exchange;
}

static void exchange_free(struct http_exchange *exchange)
{
    list_del(&exchange->link);
    exchange->server->exchange_count--;
    list_for_each_safe (it, &exchange->trimmed)
        free(list_entry(it, struct trimmed, link));
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

/* Without room for the answer's headers the library cuts the connection and says nothing. Cookies
 * are held twice. */
static bool leave_room(const struct http_exchange *exchange)
{
    const enum MHD_ValueKind kinds = MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND;
    const char *cookie = http_exchange_header(exchange, MHD_HTTP_HEADER_COOKIE);
    int values = MHD_get_connection_values(exchange->connection, kinds, NULL, NULL);
    size_t taken =
            MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)
                    ->header_size;
    taken += (cookie ? strlen(cookie) : 0) + (size_t)values * VALUE_OVERHEAD;
    return taken + ANSWER_ROOM <= HTTP_CONNECTION_POOL;
}

static size_t trimmed_len(const char *value)
{
    size_t len = strlen(value);
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    return len;
}

static enum MHD_Result trim(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct http_exchange *exchange = ctx;
    size_t len = value ? trimmed_len(value) : 0;
    (void)kind;
    (void)name;
    if (!value || !value[len])
        return MHD_YES;
    struct trimmed *trimmed = malloc(sizeof(*trimmed) + len + 1);
    if (!trimmed)
        return MHD_NO;
    trimmed->raw = value;
    memcpy(trimmed->value, value, len);
    trimmed->value[len] = '\0';
    list_push_back(&exchange->trimmed, &trimmed->link);
    return MHD_YES;
}

/* White space behind a value is no part of it (RFC 9110, 5.5); the library only takes off what is
 * before it. -ENOMEM. */
static int trim_headers(struct http_exchange *exchange)
{
    int all = MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, NULL, NULL);
    return MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, trim, exchange) == all
                   ? 0
                   : -ENOMEM;
}

static void screen_headers(struct http_exchange *exchange, uint64_t promised)
{
    const struct http_server_handler *handler = &exchange->server->handler;
    if (strlen(exchange->path) > HTTP_PATH_MAX) {
        refuse(exchange, MHD_HTTP_URI_TOO_LONG, "the path is too long");
        return;
    }
    if (!leave_room(exchange)) {
        refuse(exchange, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large");
        return;
    }
    if (promised > exchange->server->body_max) {
        refuse(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large");
        return;
    }
    if (trim_headers(exchange)) {
        refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the headers now; try again");
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

enum MHD_Result http_exchange_on_access(void *ctx, struct MHD_Connection *connection,
        const char *path, const char *method, const char *version, const char *data, size_t *len,
        void **request_ctx)
{
    (void)version;
    struct http_server *server = ctx;
    struct http_exchange *exchange = *request_ctx;
    server->stirred = true;
    if (!exchange) {
        *request_ctx = exchange = exchange_create(server, connection, method, path);
        return exchange ? take_headers(exchange) : MHD_NO;
    }
    if (*len == 0)
        return proceed(exchange);
    size_t given = *len;
    *len = 0;
    return take_body(exchange, data, given);
}

void http_exchange_on_completed(void *ctx, struct MHD_Connection *connection, void **request_ctx,
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

void http_exchange_lose_all(struct http_server *server)
{
    list_for_each (it, &server->exchanges)
        lose_client(list_entry(it, struct http_exchange, link));
}

const char *http_exchange_method(const struct http_exchange *exchange)
{
    return exchange->method;
}

const char *http_exchange_path(const struct http_exchange *exchange)
{
    return exchange->path;
}

const char *http_exchange_query(const struct http_exchange *exchange, const char *name)
{
    const char *value = NULL;
    size_t len;
    if (MHD_lookup_connection_value_n(exchange->connection, MHD_GET_ARGUMENT_KIND, name,
                strlen(name), &value, &len) != MHD_YES)
        return NULL;
    return value ? value : "";
}

const char *http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    const char *raw = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
    list_for_each (it, &exchange->trimmed) {
        const struct trimmed *trimmed = list_entry(it, struct trimmed, link);
        if (trimmed->raw == raw)
            return trimmed->value;
    }
    return raw;
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
    exchange->server->stirred = true;
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
