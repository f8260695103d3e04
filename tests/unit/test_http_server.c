#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/http/http_server.h"
#include "coordinator/http/tls.h"
#include "tests/lib/patience.h"
#include "tests/lib/scratch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    DEADLINE_MS = 30 * 1000, /* for anything to happen */
    HELD_MAX = 256,
    SMALL_BODY_MAX = 1000,
    STALLED_TURNS = 50,
    STREAMS = 200,
    PLACES = 8, /* connections of a small server; one address may take 7, a handshake 3 */
};

struct held {
    struct http_exchange *exchange;
    unsigned rooms, gone;
};

struct fixture {
    struct loop loop;
    struct loop_timer *tick;
    struct scratch scratch;
    struct tls *tls; /* NULL: plaintext */
    enum http_listen listen;
    unsigned connections_max;
    struct http_server *server;
    uint16_t port;
    char path[PATH_MAX];
    const char *peer; /* what the server should call a client */
    struct held held[HELD_MAX];
    size_t held_count;
    unsigned requests;
};

struct client {
    struct fixture *f;
    int fd;
    gnutls_certificate_credentials_t trust;
    gnutls_session_t tls; /* NULL: plaintext */
    struct buf in;
    bool closed;
};

static time_t skipped_s;

/* In place of the C library's, for libuv and libmicrohttpd too: time can be skipped. */
int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    if (syscall(SYS_clock_gettime, clock, ret_now) < 0)
        return -1;
    if (clock != CLOCK_REALTIME)
        ret_now->tv_sec += skipped_s;
    return 0;
}

/* Runs the loop until `cond` holds; the tick bounds each turn. */
#define WAIT(f, cond)                                                                              \
    do {                                                                                           \
        uint64_t end_ = uv_hrtime() / 1000000 + DEADLINE_MS;                                       \
        while (!(cond)) {                                                                          \
            if (uv_hrtime() / 1000000 > end_)                                                      \
                fail_msg("waited too long for: %s", #cond);                                        \
            uv_run(&(f)->loop.uv, UV_RUN_ONCE);                                                    \
        }                                                                                          \
    } while (0)

static void on_tick(void *ctx)
{
    (void)ctx;
}

static void on_room(void *ctx)
{
    struct held *held = ctx;
    held->rooms++;
}

static void on_gone(void *ctx)
{
    struct held *held = ctx;
    held->gone++;
    held->exchange = NULL;
}

static const struct http_exchange_events events = {.on_room = on_room, .on_gone = on_gone};

static bool path_is(const struct http_exchange *exchange, const char *path)
{
    return strcmp(http_exchange_path(exchange), path) == 0;
}

static int handle_headers(void *ctx, struct http_exchange *exchange)
{
    (void)ctx;
    if (!path_is(exchange, "/refused"))
        return 0;
    http_exchange_reply(exchange, 401, "text/plain", "who?", 4);
    return 1;
}

static void hold(struct fixture *f, struct http_exchange *exchange)
{
    assert_true(f->held_count < HELD_MAX);
    struct held *held = &f->held[f->held_count++];
    held->exchange = exchange;
    http_exchange_watch(exchange, &events, held);
}

static void reply_echo(struct http_exchange *exchange)
{
    size_t len;
    const char *body = http_exchange_body(exchange, &len);
    assert_int_equal(body[len], '\0');
    http_exchange_reply(exchange, 200, "application/octet-stream", body, len);
}

static void reply_facts(struct http_exchange *exchange)
{
    char facts[256];
    const char *test = http_exchange_header(exchange, "x-TEST");
    (void)snprintf(facts, sizeof(facts), "%s %s %s %s", http_exchange_method(exchange),
            http_exchange_peer(exchange), test ? test : "-",
            http_exchange_header(exchange, "X-Absent") ? "?" : "-");
    http_exchange_reply(exchange, 200, "text/plain", facts, strlen(facts));
}

static void reply_forged(struct http_exchange *exchange)
{
    char value[HTTP_HEADER_VALUE_MAX * 2];
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    http_exchange_set_header(exchange, "X-Long", value);
    http_exchange_set_header(exchange, "X-Forged", "a\r\nSet-Cookie: b=c\x7f");
    http_exchange_reply(exchange, 200, "text/plain\r\nX-Other: 1", "ok", 2);
}

static void write_text(struct http_exchange *exchange, const char *text)
{
    assert_int_equal(http_exchange_write(exchange, text, strlen(text)), 0);
}

static void stream_at_once(struct http_exchange *exchange)
{
    http_exchange_begin(exchange, 200, "text/plain");
    write_text(exchange, "all");
    http_exchange_end(exchange);
}

static void handle_request(void *ctx, struct http_exchange *exchange)
{
    struct fixture *f = ctx;
    f->requests++;
    if (path_is(exchange, "/echo")) {
        reply_echo(exchange);
    } else if (path_is(exchange, "/facts")) {
        reply_facts(exchange);
    } else if (path_is(exchange, "/forged")) {
        reply_forged(exchange);
    } else if (path_is(exchange, "/once")) {
        stream_at_once(exchange);
    } else if (path_is(exchange, "/wait")) {
        hold(f, exchange);
    } else if (path_is(exchange, "/stream")) {
        hold(f, exchange);
        http_exchange_begin(exchange, 200, "text/event-stream");
    } else {
        http_exchange_reply(exchange, 200, "text/plain", "hello", 5);
    }
}

static void handle_refusal(
        void *ctx, struct http_exchange *exchange, int status, const char *message)
{
    char body[200];
    (void)ctx;
    int len = snprintf(body, sizeof(body), "{\"status\":%d,\"message\":\"%s\"}", status, message);
    http_exchange_reply(exchange, status, "application/json", body, (size_t)len);
}

static int start_server(
        struct fixture *f, uint16_t port, struct http_server **ret_server, struct err *err)
{
    const struct http_server_config config = {
            .listen = f->listen,
            .addr = {.host = "127.0.0.1", .port = port},
            .path = f->path,
            .tls = f->tls != NULL,
            .connections_max = f->connections_max,
            .body_max = SMALL_BODY_MAX,
            .bodies_max = SMALL_BODY_MAX,
    };
    const struct http_server_handler handler = {
            .on_headers = handle_headers,
            .on_request = handle_request,
            .on_refusal = handle_refusal,
            .ctx = f,
    };
    return http_server_create(&f->loop, &config, &handler, ret_server, err);
}

static void open_tls(struct fixture *f)
{
    struct err err;
    const struct tls_config config = {.env = &env_system, .dir = f->path, .mesh_id = "test"};
    assert_int_equal(tls_create(&config, &f->tls, &err), 0);
}

static struct fixture *fixture_create(enum http_listen listen, bool tls, unsigned connections_max)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err;
    struct text_addr addr;
    assert_non_null(f);
    scratch_init(&f->scratch);
    strcpy(f->path, scratch_path(&f->scratch, tls ? "tls" : "sock"));
    f->listen = listen;
    f->connections_max = connections_max;
    if (tls)
        open_tls(f);
    assert_int_equal(loop_init(&f->loop), 0);
    f->tick = loop_timer_create(&f->loop, on_tick, NULL);
    assert_non_null(f->tick);
    loop_timer_start(f->tick, 1, 1);
    assert_int_equal(start_server(f, 0, &f->server, &err), 0);
    if (listen == HTTP_LISTEN_TCP) {
        assert_int_equal(text_parse_addr(http_server_address(f->server), &addr, NULL), 0);
        f->port = addr.port;
    }
    return f;
}

static int setup(void **state)
{
    struct fixture *f = fixture_create(HTTP_LISTEN_TCP, false, 0);
    f->peer = "127.0.0.1";
    *state = f;
    return 0;
}

static int setup_tls(void **state)
{
    struct fixture *f = fixture_create(HTTP_LISTEN_TCP, true, 0);
    f->peer = "127.0.0.1";
    *state = f;
    return 0;
}

static int setup_unix(void **state)
{
    struct fixture *f = fixture_create(HTTP_LISTEN_UNIX, false, 0);
    f->peer = "unix";
    *state = f;
    return 0;
}

static int setup_adopted(void **state)
{
    struct fixture *f = fixture_create(HTTP_LISTEN_NONE, false, 0);
    f->peer = "box (127.0.0.1)";
    *state = f;
    return 0;
}

static int setup_small_tls(void **state)
{
    *state = fixture_create(HTTP_LISTEN_TCP, true, PLACES);
    return 0;
}

static int setup_small_adopted(void **state)
{
    *state = fixture_create(HTTP_LISTEN_NONE, false, PLACES);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    http_server_destroy(f->server);
    tls_destroy(f->tls);
    loop_timer_destroy(f->tick);
    loop_fini(&f->loop);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static int connect_fd(int family, const void *addr, socklen_t size, int receive_bytes)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_bytes)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    if (connect(fd, addr, size) == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_tcp(struct fixture *f, int receive_bytes)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(f->port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = connect_fd(AF_INET, &addr, sizeof(addr), receive_bytes);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

static int connect_unix(struct fixture *f, int receive_bytes)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    strcpy(addr.sun_path, f->path);
    return connect_fd(AF_UNIX, &addr, sizeof(addr), receive_bytes);
}

static int try_adopt(struct fixture *f, const char *peer, int *ret_fd)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    *ret_fd = fds[0];
    return http_server_adopt(f->server, fds[1], peer);
}

static int try_connect(struct fixture *f, int receive_bytes)
{
    int fd;
    if (f->listen == HTTP_LISTEN_TCP)
        return connect_tcp(f, receive_bytes);
    if (f->listen == HTTP_LISTEN_UNIX)
        return connect_unix(f, receive_bytes);
    if (try_adopt(f, f->peer, &fd) == 0)
        return fd;
    close(fd);
    return -1;
}

static void client_init(struct fixture *f, struct client *client, int fd)
{
    *client = (struct client){.f = f, .fd = fd};
    assert_true(fd >= 0);
    buf_init(&client->in, 64 * 1024 * 1024);
}

/* A client that knows nothing but our CA. `priorities` NULL: GnuTLS's own. */
static void client_init_tls(struct client *client, const char *priorities)
{
    const char *pem = tls_ca_pem(client->f->tls);
    gnutls_datum_t ca = {.data = (unsigned char *)(uintptr_t)pem, .size = (unsigned)strlen(pem)};
    assert_int_equal(gnutls_certificate_allocate_credentials(&client->trust), 0);
    assert_int_equal(
            gnutls_certificate_set_x509_trust_mem(client->trust, &ca, GNUTLS_X509_FMT_PEM), 1);
    assert_int_equal(gnutls_init(&client->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
    assert_int_equal(
            gnutls_priority_set_direct(client->tls, priorities ? priorities : "NORMAL", NULL), 0);
    assert_int_equal(gnutls_credentials_set(client->tls, GNUTLS_CRD_CERTIFICATE, client->trust), 0);
    gnutls_session_set_verify_cert(client->tls, "localhost", 0);
    gnutls_transport_set_int(client->tls, client->fd);
    int flags = fcntl(client->fd, F_GETFL);
    assert_int_equal(fcntl(client->fd, F_SETFL, flags | O_NONBLOCK), 0);
}

/* 0, or the fatal error. */
static int client_shake_hands(struct client *client)
{
    int r = GNUTLS_E_AGAIN;
    WAIT(client->f, (r = gnutls_handshake(client->tls)) == 0 || gnutls_error_is_fatal(r));
    return r;
}

static void client_open_with(struct fixture *f, struct client *client, int receive_bytes)
{
    client_init(f, client, try_connect(f, receive_bytes));
    if (!f->tls)
        return;
    client_init_tls(client, NULL);
    assert_int_equal(client_shake_hands(client), 0);
}

static void client_open(struct fixture *f, struct client *client)
{
    client_open_with(f, client, 0);
}

static void client_close(struct client *client)
{
    close(client->fd);
    if (client->tls)
        gnutls_deinit(client->tls);
    if (client->trust)
        gnutls_certificate_free_credentials(client->trust);
    buf_fini(&client->in);
}

/* Bytes; 0: not now; -1: the connection is over. */
static ssize_t client_send_some(struct client *client, const char *data, size_t len)
{
    if (client->tls) {
        ssize_t n = gnutls_record_send(client->tls, data, len);
        return n >= 0 ? n : gnutls_error_is_fatal((int)n) ? -1 : 0;
    }
    ssize_t n = send(client->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n >= 0 ? n : errno == EAGAIN ? 0 : -1;
}

/* As client_send_some(). */
static ssize_t client_receive_some(struct client *client, char *data, size_t size)
{
    if (client->tls) {
        ssize_t n = gnutls_record_recv(client->tls, data, size);
        return n > 0 ? n : n == 0 || gnutls_error_is_fatal((int)n) ? -1 : 0;
    }
    ssize_t n = recv(client->fd, data, size, MSG_DONTWAIT);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
}

/* False where the server has cut the connection. */
static bool client_try_send(struct client *client, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = client_send_some(client, data, len);
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
        uv_run(&client->f->loop.uv, UV_RUN_NOWAIT);
    }
    return true;
}

static void client_send(struct client *client, const char *text)
{
    assert_true(client_try_send(client, text, strlen(text)));
}

static void client_receive(struct client *client)
{
    char data[16 * 1024];
    ssize_t n;
    while ((n = client_receive_some(client, data, sizeof(data))) > 0)
        assert_int_equal(buf_append(&client->in, data, (size_t)n), 0);
    if (n < 0)
        client->closed = true;
}

static bool client_has(struct client *client, const char *text)
{
    client_receive(client);
    return client->in.len > 0 && memmem(buf_at(&client->in), client->in.len, text, strlen(text));
}

static bool client_closed(struct client *client)
{
    client_receive(client);
    return client->closed;
}

static void client_expect(struct client *client, const char *text)
{
    WAIT(client->f, client_has(client, text));
}

/* What /facts says of a GET without X-Test. */
static void client_expect_facts(struct client *client)
{
    char facts[HTTP_PEER_MAX + 16];
    (void)snprintf(facts, sizeof(facts), "GET %s - -", client->f->peer);
    client_expect(client, facts);
}

static void client_get(struct client *client, const char *path)
{
    char request[256];
    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path);
    client_send(client, request);
}

/* Opens `client` and returns the exchange of its GET. */
static struct held *client_hold(struct fixture *f, struct client *client, const char *path)
{
    size_t before = f->held_count;
    client_open(f, client);
    client_get(client, path);
    WAIT(f, f->held_count > before);
    return &f->held[before];
}

static void send_body(struct client *client, const char *headers, size_t len)
{
    char head[512];
    char *body = calloc(1, len + 1);
    assert_non_null(body);
    memset(body, 'b', len);
    (void)snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nHost: test\r\n%s\r\n", headers);
    client_send(client, head);
    assert_true(client_try_send(client, body, len));
    free(body);
}

static void test_whole_reply(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_send(&client, "GET /facts?a=b HTTP/1.1\r\nHost: test\r\nX-Test: yes\r\n\r\n");
    char facts[64], length[64];
    int len = snprintf(facts, sizeof(facts), "GET %s yes -", f->peer);
    (void)snprintf(length, sizeof(length), "Content-Length: %d\r\n", len);
    client_expect(&client, facts);
    assert_true(client_has(&client, "HTTP/1.1 200 OK\r\n"));
    assert_true(client_has(&client, length));
    assert_true(client_has(&client, "Content-Type: text/plain\r\n"));
    WAIT(f, http_server_open_exchanges(f->server) == 0);
    client_close(&client);
}

static void test_white_space_is_no_part_of_a_header(void **state)
{
    static const char *const cases[][2] = {
            {" \t a  b \t ", "a  b"}, {"c\t", "c"}, {"d", "d"}, {"  ", ""}};
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char request[200], facts[HTTP_PEER_MAX + 32];
        (void)snprintf(request, sizeof(request),
                "GET /facts HTTP/1.1\r\nHost: test\r\nX-Other: e \r\nX-Test:%s\r\n\r\n",
                cases[i][0]);
        (void)snprintf(facts, sizeof(facts), "\r\n\r\nGET %s %s -", f->peer, cases[i][1]);
        client_send(&client, request);
        client_expect(&client, facts);
    }
    client_close(&client);
}

static void test_body_comes_back(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\none ");
    client_send(&client, "piece");
    client_expect(&client, "\r\n\r\none piece");
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\ntwo\r\n4\r\n too\r\n0\r\n\r\n");
    client_expect(&client, "\r\n\r\ntwo too");
    client_close(&client);
}

static void test_empty_body(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    client_expect(&client, "Content-Length: 0\r\n");
    client_close(&client);
}

static void test_late_reply(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = client_hold(f, &client, "/wait");
    assert_int_equal(http_server_open_exchanges(f->server), 1);
    http_exchange_reply(held->exchange, 200, "text/plain", "late", 4);
    client_expect(&client, "\r\n\r\nlate");
    client_close(&client);
    WAIT(f, http_server_open_exchanges(f->server) == 0);
    assert_int_equal(held->gone, 0);
}

static void test_pieces_arrive_one_by_one(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = client_hold(f, &client, "/stream");
    client_expect(&client, "Transfer-Encoding: chunked\r\n");
    for (int i = 0; i < 20; i++) {
        char piece[32];
        (void)snprintf(piece, sizeof(piece), "piece %d;", i);
        write_text(held->exchange, piece);
        client_expect(&client, piece);
    }
    assert_false(client_has(&client, "\r\n0\r\n"));
    http_exchange_end(held->exchange);
    client_expect(&client, "\r\n0\r\n\r\n");
    WAIT(f, http_server_open_exchanges(f->server) == 0);
    assert_int_equal(held->gone, 0);
    client_get(&client, "/facts");
    client_expect_facts(&client);
    client_close(&client);
}

static void test_stream_within_request(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_get(&client, "/once");
    client_expect(&client, "3\r\nall\r\n0\r\n\r\n");
    client_close(&client);
}

static void fill(struct held *held, size_t *written)
{
    static const char piece[1024];
    while (http_exchange_room(held->exchange) > 0) {
        assert_int_equal(http_exchange_write(held->exchange, piece, sizeof(piece)), 0);
        *written += sizeof(piece);
    }
}

/* Writes until the client's and the kernel's buffers are full and nothing moves any more. */
static size_t fill_to_the_brim(struct fixture *f, struct held *held)
{
    size_t written = 0, before = SIZE_MAX;
    for (int still = 0; still < STALLED_TURNS; still++) {
        fill(held, &written);
        if (written != before)
            still = 0;
        before = written;
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    }
    return written;
}

static struct held *open_slow_stream(struct fixture *f, struct client *client)
{
    client_open_with(f, client, 4096);
    client_get(client, "/stream");
    WAIT(f, f->held_count == 1);
    return &f->held[0];
}

static void test_slow_reader(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = open_slow_stream(f, &client);
    size_t written = fill_to_the_brim(f, held);
    assert_int_equal(http_exchange_room(held->exchange), 0);
    assert_in_range(written, HTTP_STREAM_BUFFER, 1024 * 1024);

    held->rooms = 0;
    WAIT(f, (client_receive(&client), held->rooms == 1));
    assert_true(http_exchange_room(held->exchange) > 0);
    http_exchange_end(held->exchange);
    client_expect(&client, "\r\n0\r\n\r\n");
    assert_true(client.in.len > written);
    client_close(&client);
}

static void test_large_event(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = client_hold(f, &client, "/stream");
    char *large = calloc(1, HTTP_STREAM_HELD_MAX + 1);
    assert_non_null(large);
    assert_int_equal(
            http_exchange_write(held->exchange, large, HTTP_STREAM_HELD_MAX + 1), -ENOBUFS);
    assert_int_equal(http_exchange_write(held->exchange, large, HTTP_STREAM_HELD_MAX), 0);
    assert_int_equal(http_exchange_room(held->exchange), 0);
    free(large);
    WAIT(f, (client_receive(&client), held->rooms == 1));
    http_exchange_end(held->exchange);
    client_expect(&client, "\r\n0\r\n\r\n");
    assert_true(client.in.len > HTTP_STREAM_HELD_MAX);
    client_close(&client);
}

static void test_client_leaves_while_waiting(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = client_hold(f, &client, "/wait");
    client_close(&client);
    WAIT(f, held->gone == 1);
    WAIT(f, http_server_open_exchanges(f->server) == 0);
    assert_int_equal(held->gone, 1);
}

static void test_client_leaves_while_streaming(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = client_hold(f, &client, "/stream");
    write_text(held->exchange, "piece");
    client_expect(&client, "piece");
    client_close(&client);
    WAIT(f, held->gone == 1);
    WAIT(f, http_server_open_exchanges(f->server) == 0);
    assert_int_equal(held->gone, 1);
}

/* The library waits for room to write, and would wait for ever where the client has only closed its
 * half. */
static void test_slow_reader_leaves(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = open_slow_stream(f, &client);
    fill_to_the_brim(f, held);
    shutdown(client.fd, SHUT_WR);
    WAIT(f, held->gone == 1);
    WAIT(f, http_server_open_exchanges(f->server) == 0);
    assert_int_equal(held->gone, 1);
    client_close(&client);
}

static void test_client_resets(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = client_hold(f, &client, "/wait");
    const struct linger linger = {.l_onoff = 1};
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    client_close(&client);
    WAIT(f, held->gone == 1);
    WAIT(f, http_server_open_exchanges(f->server) == 0);
}

static void test_client_leaves_in_its_body(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_send(&client, "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nfour");
    WAIT(f, http_server_open_exchanges(f->server) == 1);
    client_close(&client);
    WAIT(f, http_server_open_exchanges(f->server) == 0);
    assert_int_equal(f->requests, 0);
}

static void test_too_large_by_length(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    send_body(&client, "Content-Length: 100000\r\n", 100000);
    client_expect(&client, "HTTP/1.1 413 ");
    client_expect(&client, "{\"status\":413,");
    assert_int_equal(f->requests, 0);
    client_get(&client, "/");
    client_expect(&client, "hello");
    client_close(&client);
}

static void test_too_large_to_be_dropped(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    send_body(&client, "Content-Length: 68719476736\r\n", 0);
    client_expect(&client, "{\"status\":413,");
    WAIT(f, client_closed(&client));
    client_close(&client);
}

static void test_too_large_by_chunks(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    send_body(&client, "Transfer-Encoding: chunked\r\n\r\n3E8\r\n", SMALL_BODY_MAX - 2);
    client_send(&client, "\r\n1\r\nx\r\n0\r\n\r\n");
    client_expect(&client, "{\"status\":413,");
    assert_int_equal(f->requests, 0);
    client_close(&client);
}

static void test_endless_upload_is_cut(void **state)
{
    struct fixture *f = *state;
    struct client client;
    char chunk[64 * 1024 + 16];
    int head = snprintf(chunk, sizeof(chunk), "10000\r\n");
    memset(chunk + head, 'c', 64 * 1024);
    memcpy(chunk + head + 64 * 1024, "\r\n", 2);

    client_open(f, &client);
    send_body(&client, "Transfer-Encoding: chunked\r\n", 0);
    size_t sent = 0;
    while (client_try_send(&client, chunk, (size_t)head + 64 * 1024 + 2))
        sent += 64 * 1024;
    assert_in_range(sent, HTTP_DROPPED_MAX - 1024 * 1024, HTTP_DROPPED_MAX + 32 * 1024 * 1024);
    WAIT(f, http_server_open_exchanges(f->server) == 0);
    client_close(&client);
}

static void test_bodies_share_a_limit(void **state)
{
    struct fixture *f = *state;
    struct client first, second;
    client_open(f, &first);
    client_open(f, &second);
    send_body(&first, "Content-Length: 999\r\n", 998);
    WAIT(f, http_server_open_exchanges(f->server) == 1);
    WAIT(f, (client_receive(&first), true));

    send_body(&second, "Content-Length: 10\r\n", 10);
    client_expect(&second, "{\"status\":503,");
    client_send(&first, "!");
    client_expect(&first, "b!");
    send_body(&second, "Content-Length: 11\r\n", 11);
    client_expect(&second, "\r\n\r\nbbbbbbbbbbb");
    client_close(&first);
    client_close(&second);
}

static void test_refused_by_headers(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_send(&client, "POST /refused HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody");
    client_expect(&client, "\r\n\r\nwho?");
    assert_int_equal(f->requests, 0);
    client_get(&client, "/");
    client_expect(&client, "hello");
    client_close(&client);
}

static void test_expect_continue(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    send_body(&client, "Expect: 100-continue\r\nContent-Length: 3\r\n", 0);
    client_expect(&client, "HTTP/1.1 100 Continue\r\n");
    client_send(&client, "yes");
    client_expect(&client, "\r\n\r\nyes");

    send_body(&client, "Expect: 100-continue\r\nContent-Length: 2000\r\n", 0);
    client_expect(&client, "{\"status\":413,");
    WAIT(f, client_closed(&client));
    client_close(&client);
}

static void test_long_path(void **state)
{
    struct fixture *f = *state;
    struct client client;
    char path[HTTP_PATH_MAX + 2], request[HTTP_PATH_MAX + 64];
    memset(path, 'p', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path);
    client_open(f, &client);
    client_send(&client, request);
    client_expect(&client, "{\"status\":414,");
    client_close(&client);
}

static void test_many_streams(void **state)
{
    struct fixture *f = *state;
    static struct client clients[STREAMS];
    for (size_t i = 0; i < STREAMS; i++)
        client_hold(f, &clients[i], "/stream");
    assert_int_equal(http_server_open_exchanges(f->server), STREAMS);
    for (size_t i = 0; i < STREAMS; i++)
        write_text(f->held[i].exchange, "token");
    for (size_t i = 0; i < STREAMS; i++)
        client_expect(&clients[i], "5\r\ntoken\r\n");
    for (size_t i = 0; i < STREAMS; i++)
        http_exchange_end(f->held[i].exchange);
    for (size_t i = 0; i < STREAMS; i++) {
        client_expect(&clients[i], "\r\n0\r\n\r\n");
        client_close(&clients[i]);
    }
    WAIT(f, http_server_open_exchanges(f->server) == 0);
    for (size_t i = 0; i < STREAMS; i++)
        assert_int_equal(f->held[i].gone, 0);
}

static void test_pipelined(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_send(&client, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
                         "GET /wait HTTP/1.1\r\nHost: test\r\n\r\n"
                         "GET /facts HTTP/1.1\r\nHost: test\r\n\r\n");
    client_expect(&client, "hello");
    WAIT(f, f->held_count == 1);
    assert_int_equal(f->requests, 2);
    http_exchange_reply(f->held[0].exchange, 200, "text/plain", "second", 6);
    client_expect_facts(&client);
    assert_true(client_has(&client, "second"));
    assert_int_equal(f->requests, 3);
    client_close(&client);
}

static void test_head(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_send(&client, "HEAD /facts HTTP/1.1\r\nHost: test\r\n\r\n");
    client_expect(&client, "Content-Length: 17\r\n");
    client_get(&client, "/");
    client_expect(&client, "hello");
    assert_false(client_has(&client, "GET 127.0.0.1"));
    client_close(&client);
}

static void test_head_of_a_stream(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_send(&client, "HEAD /stream HTTP/1.1\r\nHost: test\r\n\r\n");
    WAIT(f, f->held_count == 1);
    write_text(f->held[0].exchange, "unseen");
    assert_int_equal(http_exchange_room(f->held[0].exchange), HTTP_STREAM_BUFFER);
    http_exchange_end(f->held[0].exchange);
    client_expect(&client, "text/event-stream");
    client_get(&client, "/");
    client_expect(&client, "hello");
    assert_false(client_has(&client, "unseen"));
    assert_int_equal(f->held[0].gone, 0);
    client_close(&client);
}

static void test_http_1_0(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_send(&client, "GET /stream HTTP/1.0\r\n\r\n");
    WAIT(f, f->held_count == 1);
    write_text(f->held[0].exchange, "one");
    client_expect(&client, "\r\n\r\none");
    write_text(f->held[0].exchange, "two");
    client_expect(&client, "\r\n\r\nonetwo");
    http_exchange_end(f->held[0].exchange);
    WAIT(f, client_closed(&client));
    assert_false(client_has(&client, "chunked"));
    client_close(&client);
}

static void test_abort_looks_incomplete(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = client_hold(f, &client, "/stream");
    write_text(held->exchange, "half an ans");
    http_exchange_abort(held->exchange);
    WAIT(f, client_closed(&client));
    assert_true(client_has(&client, "half an ans"));
    assert_false(client_has(&client, "\r\n0\r\n"));
    WAIT(f, http_server_open_exchanges(f->server) == 0);
    assert_int_equal(held->gone, 0);
    client_close(&client);
}

static void test_abort_before_begin(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = client_hold(f, &client, "/wait");
    http_exchange_abort(held->exchange);
    WAIT(f, client_closed(&client));
    assert_int_equal(client.in.len, 0);
    assert_int_equal(held->gone, 0);
    client_close(&client);
}

static void test_destroy_with_open_exchanges(void **state)
{
    struct fixture *f = *state;
    struct client waiting, streaming, slow, idle, sending;
    client_hold(f, &waiting, "/wait");
    client_hold(f, &streaming, "/stream");
    client_hold(f, &slow, "/stream");
    fill_to_the_brim(f, &f->held[2]);
    client_open(f, &idle);
    client_open(f, &sending);
    client_send(&sending, "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nfour");
    WAIT(f, http_server_open_exchanges(f->server) == 4);

    http_server_destroy(f->server);
    f->server = NULL;
    for (size_t i = 0; i < f->held_count; i++)
        assert_int_equal(f->held[i].gone, 1);
    struct client *all[] = {&waiting, &streaming, &slow, &idle, &sending};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        WAIT(f, client_closed(all[i]));
        client_close(all[i]);
    }
}

static void test_headers_cannot_be_forged(void **state)
{
    struct fixture *f = *state;
    struct client client;
    char longest[HTTP_HEADER_VALUE_MAX + 16] = "X-Long: ";
    client_open(f, &client);
    client_get(&client, "/forged");
    client_expect(&client, "\r\n\r\nok");
    assert_true(client_has(&client, "X-Forged: a??Set-Cookie: b=c?\r\n"));
    assert_true(client_has(&client, "Content-Type: text/plain??X-Other: 1\r\n"));
    memset(longest + strlen(longest), 'v', HTTP_HEADER_VALUE_MAX);
    strcat(longest, "\r\n");
    assert_true(client_has(&client, longest));
    client_close(&client);
}

static void test_bad_http(void **state)
{
    static const char *const bad[] = {
            "GET\r\n\r\n",
            "\1\2\3\4 nonsense nonsense\r\n\r\n",
            "GET / HTTP/9.9\r\nHost: test\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: -5\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: five\r\n\r\nabcde",
            "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct client client;
        client_open(f, &client);
        client_send(&client, bad[i]);
        WAIT(f, client_closed(&client));
        assert_false(client_has(&client, " 200 OK"));
        assert_true(client.in.len == 0 || client_has(&client, "HTTP/1."));
        client_close(&client);
    }
    assert_int_equal(f->requests, 0);
    WAIT(f, http_server_open_exchanges(f->server) == 0);
}

static void test_headers_past_the_pool(void **state)
{
    struct fixture *f = *state;
    struct client client;
    char line[1024];
    (void)snprintf(line, sizeof(line), "X-Filler: %0900d\r\n", 0);
    client_open(f, &client);
    bool open = client_try_send(&client, "GET / HTTP/1.1\r\nHost: test\r\n", 28);
    for (int i = 0; i < 20 && open; i++)
        open = client_try_send(&client, line, strlen(line));
    WAIT(f, client_closed(&client));
    assert_int_equal(f->requests, 0);
    client_close(&client);
}

/* With an answer whose own headers are past 1 KiB. */
static void get_with_headers(struct fixture *f, const char *more, size_t len)
{
    struct client client;
    client_open(f, &client);
    client_send(&client, "GET /forged HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    client_try_send(&client, more, len);
    client_try_send(&client, "\r\n", 2);
    WAIT(f, client_closed(&client));
    if (!client_has(&client, " 200 OK") && !client_has(&client, " 431 "))
        fail_msg("no answer after %zu bytes of headers", len);
    client_close(&client);
}

static void test_large_headers_get_an_answer(void **state)
{
    struct fixture *f = *state;
    char more[7500];
    for (size_t len = 100; len < sizeof(more); len += 200) {
        (void)snprintf(more, sizeof(more), "X-Filler: %0*d\r\n", (int)len - 12, 0);
        get_with_headers(f, more, len);
    }
    assert_true(f->requests > 20);
    for (size_t len = 100; len < 3800; len += 200) { /* the library itself cuts longer ones off */
        (void)snprintf(more, sizeof(more), "Cookie: a=%0*d\r\n", (int)len - 12, 0);
        get_with_headers(f, more, len);
    }
    size_t len = 0;
    for (int i = 0; i < 60; i++) {
        len += (size_t)snprintf(more + len, sizeof(more) - len, "X-%d: %040d\r\n", i, 0);
        get_with_headers(f, more, len);
    }
}

/* Leaves this process one descriptor that it may open; returns the limit that was. */
static struct rlimit leave_one_descriptor(void)
{
    struct rlimit before, limit;
    int fd = dup(STDERR_FILENO);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void test_listens_again_when_there_are_descriptors(void **state)
{
    struct fixture *f = *state;
    struct client client;
    client_open(f, &client);
    client_get(&client, "/");
    struct rlimit before = leave_one_descriptor();
    client_expect(&client, "hello");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    client_close(&client);
    client_open(f, &client);
    client_get(&client, "/");
    client_expect(&client, "hello");
    client_close(&client);
}

static void test_quiesce(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct held *held = client_hold(f, &client, "/stream");
    http_server_quiesce(f->server);
    assert_int_equal(try_connect(f, 0), -1);
    write_text(held->exchange, "still here");
    client_expect(&client, "still here");
    http_exchange_end(held->exchange);
    client_expect(&client, "\r\n0\r\n\r\n");
    client_close(&client);
}

static void test_address_in_use(void **state)
{
    struct fixture *f = *state;
    struct http_server *second = NULL;
    struct err err;
    assert_int_equal(start_server(f, f->port, &second, &err), -EADDRINUSE);
    assert_null(second);
    assert_non_null(strstr(err.text, "127.0.0.1"));
    assert_non_null(strstr(err.text, "another port"));
}

static void test_foreign_address(void **state)
{
    struct fixture *f = *state;
    struct http_server *second = NULL;
    struct err err;
    const struct http_server_config config = {.addr = {.host = "192.0.2.1"}};
    const struct http_server_handler handler = {.on_headers = handle_headers};
    assert_int_equal(
            http_server_create(&f->loop, &config, &handler, &second, &err), -EADDRNOTAVAIL);
    assert_non_null(strstr(err.text, "192.0.2.1"));
    http_server_destroy(NULL);
}

/* --- Unix sockets --- */

static void test_unix_socket(void **state)
{
    struct fixture *f = *state;
    struct http_server *second = NULL;
    struct stat st;
    struct err err;
    assert_string_equal(http_server_address(f->server), f->path);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(start_server(f, 0, &second, &err), -EADDRINUSE);
    assert_null(second);
    http_server_destroy(f->server);
    f->server = NULL;
    assert_int_equal(access(f->path, F_OK), -1);
}

/* --- connections that are there already --- */

static void expect_peer(struct fixture *f, const char *peer, const char *expected)
{
    struct client client;
    char facts[HTTP_PEER_MAX + 16];
    int fd;
    assert_int_equal(try_adopt(f, peer, &fd), 0);
    client_init(f, &client, fd);
    client_get(&client, "/facts");
    (void)snprintf(facts, sizeof(facts), "GET %s - -", expected);
    client_expect(&client, facts);
    client_close(&client);
}

static void test_adopted_peers(void **state)
{
    struct fixture *f = *state;
    char longest[HTTP_PEER_MAX + 2], cut[HTTP_PEER_MAX + 1];
    assert_string_equal(http_server_address(f->server), "");
    memset(longest, 'l', HTTP_PEER_MAX + 1);
    longest[HTTP_PEER_MAX + 1] = '\0';
    memcpy(cut, longest, HTTP_PEER_MAX);
    cut[HTTP_PEER_MAX] = '\0';
    expect_peer(f, "", "");
    expect_peer(f, "one", "one");
    expect_peer(f, cut, cut);
    expect_peer(f, longest, cut);
    memcpy(longest + HTTP_PEER_MAX - 1, "\xc3\xa9", 2);
    cut[HTTP_PEER_MAX - 1] = '\0';
    expect_peer(f, longest, cut);
}

/* Descriptors are used again, names are not. */
static void test_adopted_by_turns(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        char names[2][32];
        int unused;
        (void)snprintf(names[0], sizeof(names[0]), "silent %d", i);
        (void)snprintf(names[1], sizeof(names[1]), "asking %d", i);
        assert_int_equal(try_adopt(f, names[0], &unused), 0);
        expect_peer(f, names[1], names[1]);
        close(unused);
    }
}

static void test_adopted_with_its_request(void **state)
{
    struct fixture *f = *state;
    static const char request[] = "GET /facts HTTP/1.1\r\nHost: test\r\n\r\n";
    struct client client;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(write(fds[0], request, strlen(request)), strlen(request));
    assert_int_equal(http_server_adopt(f->server, fds[1], f->peer), 0);
    client_init(f, &client, fds[0]);
    client_expect_facts(&client);
    client_close(&client);
}

static void test_adopted_and_gone_already(void **state)
{
    struct fixture *f = *state;
    int fd;
    assert_int_equal(try_adopt(f, "hasty", &fd), 0);
    close(fd);
    expect_peer(f, "patient", "patient");
}

static void assert_closed(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    close(fd);
}

static void test_adopted_past_the_limit(void **state)
{
    struct fixture *f = *state;
    int fds[PLACES], fd;
    for (int i = 0; i < PLACES; i++)
        assert_int_equal(try_adopt(f, "one", &fds[i]), 0);
    assert_int_equal(try_adopt(f, "one too many", &fd), -EBUSY);
    assert_closed(fd);
    for (int i = 0; i < PLACES; i++)
        close(fds[i]);
    WAIT(f, try_adopt(f, "later", &fd) == 0 || close(fd) != 0);
    close(fd);
}

static void test_adopted_after_quiesce(void **state)
{
    struct fixture *f = *state;
    int fd;
    http_server_quiesce(f->server);
    assert_int_equal(try_adopt(f, "late", &fd), -ESHUTDOWN);
    assert_closed(fd);
}

/* --- TLS --- */

static int shake_hands_with(struct fixture *f, const char *priorities)
{
    struct client client;
    client_init(f, &client, try_connect(f, 0));
    client_init_tls(&client, priorities);
    int r = client_shake_hands(&client);
    client_close(&client);
    return r;
}

static void test_tls_versions(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(shake_hands_with(f, "NORMAL:-VERS-ALL:+VERS-TLS1.3"), 0);
    assert_int_equal(shake_hands_with(f, "NORMAL:-VERS-ALL:+VERS-TLS1.2"), 0);
    assert_int_not_equal(shake_hands_with(f, "NORMAL:-VERS-ALL:+VERS-TLS1.1"), 0);
    assert_int_not_equal(shake_hands_with(f, "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA"), 0);
}

static void expect_service(struct fixture *f)
{
    struct client client;
    client_open(f, &client);
    client_get(&client, "/");
    client_expect(&client, "hello");
    client_close(&client);
}

static void test_plaintext_on_a_tls_port(void **state)
{
    static const char *const words[] = {
            "GET / HTTP/1.1\r\nHost: test\r\n\r\n", "\x16\x03\x01\xff\xff\x01\xff\xff\xff", "\n"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct client client;
        client_init(f, &client, try_connect(f, 0));
        client_send(&client, words[i]);
        shutdown(client.fd, SHUT_WR);
        WAIT(f, client_closed(&client));
        assert_false(client_has(&client, "HTTP"));
        client_close(&client);
    }
    expect_service(f);
    assert_int_equal(f->requests, 1);
}

static void test_tls_certificate_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct client client;
    struct err err;
    char key[PATH_MAX], before[TLS_FINGERPRINT_LEN + 1];
    struct held *held = client_hold(f, &client, "/stream");
    strcpy(before, tls_server_fingerprint(f->tls));
    strcpy(key, scratch_path(&f->scratch, "tls/server.key"));
    assert_int_equal(unlink(key), 0);
    assert_int_equal(tls_refresh(f->tls, &err), 0);
    assert_string_not_equal(tls_server_fingerprint(f->tls), before);
    expect_service(f);
    write_text(held->exchange, "still here");
    client_expect(&client, "still here");
    http_exchange_end(held->exchange);
    client_expect(&client, "\r\n0\r\n\r\n");
    client_close(&client);
}

/* The oldest give their places to the newest, up to a quarter of all places and one. */
static void test_clients_that_never_shake_hands(void **state)
{
    enum { SILENT = 5, LEFT = PLACES / 4 + 1 };
    struct fixture *f = *state;
    struct client silent[SILENT];
    for (int i = 0; i < SILENT; i++)
        client_init(f, &silent[i], try_connect(f, 0));
    client_send(&silent[SILENT - 1], "\x16\x03\x01");
    for (int i = 0; i < SILENT - LEFT; i++)
        WAIT(f, client_closed(&silent[i]));
    expect_service(f);
    WAIT(f, client_closed(&silent[SILENT - LEFT]));
    assert_false(client_closed(&silent[SILENT - 1]));

    skipped_s += HTTP_IDLE_TIMEOUT_S + 2;
    for (int i = 0; i < SILENT; i++) {
        WAIT(f, client_closed(&silent[i]));
        client_close(&silent[i]);
    }
}

static void test_finished_handshakes_are_kept(void **state)
{
    struct fixture *f = *state;
    struct client clients[PLACES - 1];
    for (int i = 0; i < PLACES - 1; i++)
        client_open(f, &clients[i]);
    for (int i = 0; i < PLACES - 1; i++) {
        client_get(&clients[i], "/");
        client_expect(&clients[i], "hello");
        client_close(&clients[i]);
    }
}

static void count_turn(void *ctx)
{
    (*(unsigned *)ctx)++;
}

/* libmicrohttpd would run without a pause until the client goes on. */
static void test_a_handshake_that_stops_half_way(void **state)
{
    struct fixture *f = *state;
    struct client half;
    struct loop_hook hook;
    unsigned turns = 0;
    client_init(f, &half, try_connect(f, 0));
    client_send(&half, "\x16\x03\x01\x02\x01\x01");
    expect_service(f);
    loop_hook_add(&f->loop, &hook, count_turn, &turns);
    patience_run_for(&f->loop, 100);
    loop_hook_remove(&hook);
    assert_in_range(turns, 1, 1000); /* the tick alone makes 100 */
    client_close(&half);
}

#define ON(setup, where, name)                                                                     \
    {                                                                                              \
#name " (" where ")", name, setup, teardown, NULL                                          \
    }
#define TEST(name)         ON(setup, "tcp", name)
#define TEST_UNIX(name)    ON(setup_unix, "unix", name)
#define TEST_ADOPTED(name) ON(setup_adopted, "adopted", name)
#define TEST_TLS(name)     ON(setup_tls, "tls", name)
#define TEST_ALL(name)     TEST(name), TEST_UNIX(name), TEST_ADOPTED(name), TEST_TLS(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST_ALL(test_whole_reply),
            TEST_ALL(test_white_space_is_no_part_of_a_header),
            TEST_ALL(test_body_comes_back),
            TEST(test_empty_body),
            TEST_ALL(test_late_reply),
            TEST_ALL(test_pieces_arrive_one_by_one),
            TEST(test_stream_within_request),
            TEST_ALL(test_slow_reader),
            TEST_ALL(test_large_event),
            TEST_ALL(test_client_leaves_while_waiting),
            TEST_ALL(test_client_leaves_while_streaming),
            TEST_ALL(test_slow_reader_leaves),
            TEST(test_client_resets),
            TEST_TLS(test_client_resets),
            TEST_ALL(test_client_leaves_in_its_body),
            TEST_ALL(test_too_large_by_length),
            TEST(test_too_large_to_be_dropped),
            TEST(test_too_large_by_chunks),
            TEST(test_endless_upload_is_cut),
            TEST(test_bodies_share_a_limit),
            TEST(test_refused_by_headers),
            TEST(test_expect_continue),
            TEST(test_long_path),
            TEST_ALL(test_many_streams),
            TEST_ALL(test_pipelined),
            TEST(test_head),
            TEST(test_head_of_a_stream),
            TEST_ALL(test_http_1_0),
            TEST_ALL(test_abort_looks_incomplete),
            TEST_ALL(test_abort_before_begin),
            TEST_ALL(test_destroy_with_open_exchanges),
            TEST(test_headers_cannot_be_forged),
            TEST(test_bad_http),
            TEST_ALL(test_headers_past_the_pool),
            TEST_ALL(test_large_headers_get_an_answer),
            TEST(test_listens_again_when_there_are_descriptors),
            TEST_UNIX(test_listens_again_when_there_are_descriptors),
            TEST_ALL(test_quiesce),
            TEST(test_address_in_use),
            TEST(test_foreign_address),
            TEST_UNIX(test_unix_socket),
            TEST_ADOPTED(test_adopted_peers),
            TEST_ADOPTED(test_adopted_by_turns),
            TEST_ADOPTED(test_adopted_with_its_request),
            TEST_ADOPTED(test_adopted_and_gone_already),
            ON(setup_small_adopted, "small", test_adopted_past_the_limit),
            TEST_ADOPTED(test_adopted_after_quiesce),
            TEST_TLS(test_tls_versions),
            TEST_TLS(test_plaintext_on_a_tls_port),
            TEST_TLS(test_tls_certificate_is_replaced),
            ON(setup_small_tls, "small", test_clients_that_never_shake_hands),
            ON(setup_small_tls, "small", test_finished_handshakes_are_kept),
            TEST_TLS(test_a_handshake_that_stops_half_way),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
