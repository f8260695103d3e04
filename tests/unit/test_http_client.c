#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/http_client.h"
#include "tests/lib/patience.h"
#include "tests/lib/toy_http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 20000, /* a test that waits longer has failed */
    BIG_BYTES = 10 * 1024 * 1024,
    FLOOD_BYTES = 8 * 1024 * 1024,
};

struct fixture {
    struct loop loop;
    struct http_client *client;
    struct loop_timer *patience, *timer;
    struct toy_server *server;
    char dir[64], socket[96], url[64];

    struct http_call *call;
    bool inside; /* of a function of http_client: no callback may come */
    int status, done_count, result, pauses;
    char content_type[64];
    struct err err;
    struct buf body;
    void (*body_hook)(struct fixture *f);

    atomic_size_t server_sent;
    atomic_bool server_saw_close, server_go;
    size_t sent_while_paused;
};

static void on_status(void *ctx, int status, const char *content_type)
{
    struct fixture *f = ctx;

    assert_false(f->inside);
    assert_int_equal(f->status, 0);
    f->status = status;
    snprintf(f->content_type, sizeof(f->content_type), "%s", content_type);
}

static void on_body(void *ctx, const char *data, size_t len)
{
    struct fixture *f = ctx;

    assert_false(f->inside);
    assert_int_not_equal(f->status, 0);
    assert_true(len <= 16 * 1024);
    assert_int_equal(buf_append(&f->body, data, len), 0);
    if (f->body_hook)
        f->body_hook(f);
}

static void on_done(void *ctx, int result, const struct err *err)
{
    struct fixture *f = ctx;

    assert_false(f->inside);
    f->done_count++;
    f->result = result;
    f->err = *err;
    loop_stop(&f->loop);
}

static const struct http_events events = {on_status, on_body, on_done};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    strcpy(f->dir, "/tmp/http-client-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->socket, sizeof(f->socket), "%s/s.sock", f->dir);
    assert_int_equal(loop_init(&f->loop), 0);
    f->client = http_client_create(&f->loop);
    assert_non_null(f->client);
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    buf_init(&f->body, 64 * 1024 * 1024);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    http_client_destroy(f->client);
    toy_server_destroy(f->server);
    loop_timer_destroy(f->timer);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    buf_fini(&f->body);
    unlink(f->socket);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void serve_unix(struct fixture *f, toy_handler_fn handler)
{
    f->server = toy_server_create(f->socket, handler, f);
    strcpy(f->url, "http://engine/path");
}

static void serve_tcp(struct fixture *f, toy_handler_fn handler)
{
    f->server = toy_server_create(NULL, handler, f);
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u/path", toy_server_port(f->server));
}

static void start_call(struct fixture *f, const char *method, const void *body, size_t len)
{
    static const char *const headers[] = {"Content-Type: application/json", "X-Test: yes", NULL};
    struct http_request request = {.method = method,
            .url = f->url,
            .unix_socket = strncmp(f->url, "http://engine", 13) == 0 ? f->socket : NULL,
            .headers = headers,
            .body = body,
            .body_len = len,
            .total_timeout_ms = 0};

    f->inside = true;
    assert_int_equal(http_call_start(f->client, &request, &events, f, &f->call, &f->err), 0);
    f->inside = false;
}

static void assert_body(struct fixture *f, const char *text)
{
    assert_int_equal(f->body.len, strlen(text));
    assert_memory_equal(buf_at(&f->body), text, strlen(text));
}

static void hello(void *ctx, int fd, const struct toy_request *request)
{
    (void)ctx;
    if (!strstr(request->head, "X-Test: yes") || strncmp(request->head, "GET /path ", 10) != 0)
        return;
    toy_answer(fd, 418, "text/plain", "hello");
}

static void test_unix_socket_gives_status_and_body(void **state)
{
    struct fixture *f = *state;

    serve_unix(f, hello);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->status, 418);
    assert_string_equal(f->content_type, "text/plain");
    assert_body(f, "hello");
}

static void test_tcp_gives_status_and_body(void **state)
{
    struct fixture *f = *state;

    serve_tcp(f, hello);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->status, 418);
    assert_body(f, "hello");
}

static void test_proxies_of_the_environment_are_not_used(void **state)
{
    struct fixture *f = *state;

    serve_tcp(f, hello);
    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(f->result, 0);
    assert_body(f, "hello");
}

static void redirect(void *ctx, int fd, const struct toy_request *request)
{
    (void)ctx;
    (void)request;
    toy_send_text(
            fd, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
}

static void test_redirects_are_not_followed(void **state)
{
    struct fixture *f = *state;

    serve_tcp(f, redirect);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->status, 302);
}

static void test_other_protocols_are_refused(void **state)
{
    struct fixture *f = *state;

    strcpy(f->url, "file:///etc/hostname");
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, -EINVAL);
    assert_int_equal(f->body.len, 0);
}

/* Each piece waits until the client has taken the one before it. */
static void stream_of_three(void *ctx, int fd, const struct toy_request *request)
{
    struct fixture *f = ctx;

    (void)request;
    toy_send_text(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    toy_send_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        toy_send_text(fd, "4\r\nabc\n\r\n");
        while (!atomic_exchange(&f->server_go, false))
            usleep(100);
    }
    toy_send_text(fd, "0\r\nX-Trailer: 1\r\n\r\n");
}

static void let_server_go(struct fixture *f)
{
    atomic_store(&f->server_go, true);
}

static void test_chunks_come_as_they_are_sent(void **state)
{
    struct fixture *f = *state;

    f->body_hook = let_server_go;
    serve_unix(f, stream_of_three);
    start_call(f, "POST", "{}", 2);
    loop_run(&f->loop);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->status, 200);
    assert_string_equal(f->content_type, "text/event-stream");
    assert_body(f, "abc\nabc\nabc\n");
}

static void flood(void *ctx, int fd, const struct toy_request *request)
{
    struct fixture *f = ctx;
    static char piece[4096];

    (void)request;
    memset(piece, 'x', sizeof(piece));
    toy_send_text(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    while (atomic_load(&f->server_sent) < FLOOD_BYTES && toy_send(fd, piece, sizeof(piece)))
        atomic_fetch_add(&f->server_sent, sizeof(piece));
}

/* Resumes once the server has stood still for two ticks. */
static void resume_when_still(void *ctx)
{
    struct fixture *f = ctx;
    size_t sent = atomic_load(&f->server_sent);

    if (sent != f->sent_while_paused) {
        f->sent_while_paused = sent;
        return;
    }
    loop_timer_stop(f->timer);
    f->inside = true;
    http_call_resume(f->call);
    f->inside = false;
}

static void pause_once(struct fixture *f)
{
    if (f->pauses++ == 0) {
        f->inside = true;
        http_call_pause(f->call);
        f->inside = false;
        loop_timer_start(f->timer, 50, 50);
    } else {
        assert_false(loop_timer_active(f->timer));
    }
}

static void test_pause_blocks_the_server(void **state)
{
    struct fixture *f = *state;

    f->timer = loop_timer_create(&f->loop, resume_when_still, f);
    f->body_hook = pause_once;
    serve_unix(f, flood);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, 0);
    assert_true(f->sent_while_paused < FLOOD_BYTES);
    assert_int_equal(f->body.len, FLOOD_BYTES);
}

static void many_chunks_at_once(void *ctx, int fd, const struct toy_request *request)
{
    char text[4096] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    (void)ctx;
    (void)request;
    for (int i = 0; i < 100; i++)
        strcat(text, "4\r\nabc\n\r\n");
    strcat(text, "0\r\n\r\n");
    toy_send_text(fd, text);
}

static void resume_now(void *ctx)
{
    struct fixture *f = ctx;

    f->inside = true;
    http_call_resume(f->call);
    f->inside = false;
}

static void pause_always(struct fixture *f)
{
    assert_false(loop_timer_active(f->timer));
    http_call_pause(f->call);
    loop_timer_start(f->timer, 1, 0);
}

static void test_nothing_is_lost_when_each_piece_pauses(void **state)
{
    struct fixture *f = *state;

    f->timer = loop_timer_create(&f->loop, resume_now, f);
    f->body_hook = pause_always;
    serve_unix(f, many_chunks_at_once);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->body.len, 400);
}

static void wait_for_close(void *ctx, int fd, const struct toy_request *request)
{
    struct fixture *f = ctx;

    (void)request;
    toy_send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabc\n\r\n");
    atomic_store(&f->server_saw_close, toy_wait_closed(fd, PATIENCE_MS));
}

static void stop_when_server_saw_close(void *ctx)
{
    struct fixture *f = ctx;

    if (atomic_load(&f->server_saw_close))
        loop_stop(&f->loop);
}

static void cancel_now(struct fixture *f)
{
    http_call_cancel(f->call);
    loop_timer_start(f->timer, 1, 1);
}

static void test_cancel_in_on_body_closes_the_connection(void **state)
{
    struct fixture *f = *state;

    f->timer = loop_timer_create(&f->loop, stop_when_server_saw_close, f);
    f->body_hook = cancel_now;
    serve_unix(f, wait_for_close);
    start_call(f, "POST", "{}", 2);
    loop_run(&f->loop);
    assert_true(atomic_load(&f->server_saw_close));
    assert_int_equal(f->done_count, 0);
    assert_body(f, "abc\n");
}

static void cancel_from_status(void *ctx, int status, const char *content_type)
{
    struct fixture *f = ctx;

    (void)content_type;
    assert_int_equal(status, 200);
    cancel_now(f);
}

static void test_cancel_in_on_status_closes_the_connection(void **state)
{
    static const struct http_events cancelling = {cancel_from_status, on_body, on_done};
    struct fixture *f = *state;
    struct http_request request = {
            .method = "GET", .url = "http://engine/", .unix_socket = f->socket};

    f->timer = loop_timer_create(&f->loop, stop_when_server_saw_close, f);
    serve_unix(f, wait_for_close);
    assert_int_equal(http_call_start(f->client, &request, &cancelling, f, &f->call, NULL), 0);
    loop_run(&f->loop);
    assert_true(atomic_load(&f->server_saw_close));
    assert_int_equal(f->done_count, 0);
    assert_int_equal(f->body.len, 0);
}

static void cancel_later(void *ctx)
{
    struct fixture *f = ctx;

    if (f->call)
        http_call_cancel(f->call);
    f->call = NULL;
    stop_when_server_saw_close(f);
}

static void test_cancel_before_the_answer_closes_the_connection(void **state)
{
    struct fixture *f = *state;

    f->timer = loop_timer_create(&f->loop, cancel_later, f);
    serve_unix(f, wait_for_close);
    start_call(f, "POST", "{}", 2);
    loop_timer_start(f->timer, 20, 1);
    loop_run(&f->loop);
    assert_true(atomic_load(&f->server_saw_close));
    assert_int_equal(f->done_count, 0);
}

static void test_cancel_at_once_and_of_null(void **state)
{
    struct fixture *f = *state;

    serve_unix(f, hello);
    start_call(f, "GET", NULL, 0);
    http_call_cancel(f->call);
    http_call_cancel(NULL);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->done_count, 1);
    assert_body(f, "hello");
}

static void test_destroy_cancels_open_calls(void **state)
{
    static const struct http_events unexpected = {NULL, NULL, NULL};
    struct fixture *f = *state;
    struct http_request request = {
            .method = "GET", .url = "http://engine/", .unix_socket = f->socket};

    f->body_hook = let_server_go;
    f->timer = loop_timer_create(&f->loop, stop_when_server_saw_close, f);
    serve_unix(f, wait_for_close);
    start_call(f, "GET", NULL, 0);
    while (!atomic_load(&f->server_go))
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_int_equal(http_call_start(f->client, &request, &unexpected, f, &f->call, NULL), 0);
    http_client_destroy(f->client);
    f->client = NULL;
    loop_timer_start(f->timer, 1, 1);
    loop_run(&f->loop);
    assert_int_equal(f->done_count, 0);
}

static void test_connection_refused(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound and not listening: refused for sure */

    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u/", ntohs(addr.sin_port));
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    close(fd);
    assert_int_equal(f->result, -ECONNREFUSED);
    assert_string_not_equal(f->err.text, "");
    assert_int_equal(f->status, 0);
}

static void test_missing_unix_socket(void **state)
{
    struct fixture *f = *state;

    strcpy(f->url, "http://engine/");
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, -ECONNREFUSED);
}

static void die_in_the_middle(void *ctx, int fd, const struct toy_request *request)
{
    (void)ctx;
    (void)request;
    toy_send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabc\n\r\n");
}

static void test_server_that_dies_is_an_error(void **state)
{
    struct fixture *f = *state;

    serve_unix(f, die_in_the_middle);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, -ECONNRESET);
    assert_body(f, "abc\n");
    assert_int_equal(f->done_count, 1);
}

static void say_nothing(void *ctx, int fd, const struct toy_request *request)
{
    (void)ctx;
    (void)request;
    toy_wait_closed(fd, PATIENCE_MS);
}

static void test_timeout(void **state)
{
    struct fixture *f = *state;
    struct http_request request = {.method = "GET",
            .url = "http://engine/",
            .unix_socket = f->socket,
            .total_timeout_ms = 50};

    serve_unix(f, say_nothing);
    assert_int_equal(http_call_start(f->client, &request, &events, f, &f->call, NULL), 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, -ETIMEDOUT);
}

static void endless_headers(void *ctx, int fd, const struct toy_request *request)
{
    char line[1024];

    (void)ctx;
    (void)request;
    memset(line, 'h', sizeof(line));
    memcpy(line, "X-Long: ", 8);
    memcpy(line + sizeof(line) - 2, "\r\n", 2);
    toy_send_text(fd, "HTTP/1.1 200 OK\r\n");
    while (toy_send(fd, line, sizeof(line)))
        ;
}

static void test_headers_without_end_are_cut_off(void **state)
{
    struct fixture *f = *state;

    serve_unix(f, endless_headers);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, -EPROTO);
    assert_non_null(strstr(f->err.text, "headers"));
    assert_int_equal(f->status, 0);
}

static void not_http(void *ctx, int fd, const struct toy_request *request)
{
    (void)ctx;
    (void)request;
    toy_send_text(fd, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
}

static void test_answer_that_is_not_http(void **state)
{
    struct fixture *f = *state;

    serve_unix(f, not_http);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_true(f->result < 0);
    assert_int_equal(f->status, 0);
}

static void echo_length(void *ctx, int fd, const struct toy_request *request)
{
    char text[64];
    size_t letters = 0;

    (void)ctx;
    for (size_t i = 0; i < request->body_len; i++)
        letters += request->body[i] == 'b';
    snprintf(
            text, sizeof(text), "%zu%s", letters, strstr(request->head, "Expect") ? " Expect" : "");
    toy_answer(fd, 200, "text/plain", text);
}

static void test_ten_mebibytes_are_posted(void **state)
{
    struct fixture *f = *state;
    char *body = malloc(BIG_BYTES);

    assert_non_null(body);
    memset(body, 'b', BIG_BYTES);
    serve_unix(f, echo_length);
    start_call(f, "POST", body, BIG_BYTES);
    free(body); /* the call has its own copy */
    loop_run(&f->loop);
    assert_int_equal(f->result, 0);
    assert_body(f, "10485760");
}

static void test_empty_post(void **state)
{
    struct fixture *f = *state;

    serve_unix(f, echo_length);
    start_call(f, "POST", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->result, 0);
    assert_body(f, "0");
}

static void start_again_in_body(struct fixture *f)
{
    f->body_hook = NULL;
    buf_clear(&f->body);
    f->status = 0;
    http_call_cancel(f->call);
    start_call(f, "GET", NULL, 0);
}

static void test_start_from_inside_on_body(void **state)
{
    struct fixture *f = *state;

    f->body_hook = start_again_in_body;
    serve_unix(f, hello);
    start_call(f, "GET", NULL, 0);
    loop_run(&f->loop);
    assert_int_equal(f->done_count, 1);
    assert_body(f, "hello");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_unix_socket_gives_status_and_body),
            TEST(test_tcp_gives_status_and_body),
            TEST(test_proxies_of_the_environment_are_not_used),
            TEST(test_redirects_are_not_followed),
            TEST(test_other_protocols_are_refused),
            TEST(test_chunks_come_as_they_are_sent),
            TEST(test_pause_blocks_the_server),
            TEST(test_nothing_is_lost_when_each_piece_pauses),
            TEST(test_cancel_in_on_body_closes_the_connection),
            TEST(test_cancel_in_on_status_closes_the_connection),
            TEST(test_cancel_before_the_answer_closes_the_connection),
            TEST(test_cancel_at_once_and_of_null),
            TEST(test_destroy_cancels_open_calls),
            TEST(test_connection_refused),
            TEST(test_missing_unix_socket),
            TEST(test_server_that_dies_is_an_error),
            TEST(test_timeout),
            TEST(test_headers_without_end_are_cut_off),
            TEST(test_answer_that_is_not_http),
            TEST(test_ten_mebibytes_are_posted),
            TEST(test_empty_post),
            TEST(test_start_from_inside_on_body),
    };
    return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
