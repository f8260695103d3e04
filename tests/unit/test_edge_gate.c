#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/http/edge_gate.h"

#include "common/link/tunnel.h"
#include "common/log.h"
#include "tests/lib/fake_link.h"
#include "tests/lib/patience.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 30 * 1000,
    QUIET_MS = 30,
    HEARD_MAX = 16 * 1024 * 1024,
    BIG_BYTES = 6 * 1024 * 1024, /* of the large answer: more than any outbox holds */
    UPLOAD_BYTES = 1024 * 1024,
    WINDOW = 32 * 1024,
    CONNECTIONS = 4,
    FLOOD = 100, /* pieces, of which some must be too many */
};

/* The HTTP server and one node's session; the test is the node. */
struct world {
    struct loop loop;
    struct loop_timer *patience;
    struct virtual_env env;
    struct fake_link link;
    struct http_server *http;
    struct node_session *session;
    struct edge_gate *gate;
    uint32_t epoch;
    char gone[200]; /* why the session has ended */
    /* What the HTTP server was asked. */
    char peer[HTTP_PEER_MAX + 1];
    unsigned requests, held, left;
    size_t body_len;
    /* What came to the node. */
    struct buf heard;
    uint64_t heard_of; /* the tunnel that it came through */
    uint64_t credit;
    unsigned closes;
};

/* --- the HTTP server's handler --- */

static void on_room(void *ctx)
{
    (void)ctx;
}

static void on_gone(void *ctx)
{
    struct world *world = ctx;
    world->left++;
}

static const struct http_exchange_events exchange_events = {.on_room = on_room, .on_gone = on_gone};

static int on_headers(void *ctx, struct http_exchange *exchange)
{
    (void)ctx;
    (void)exchange;
    return 0;
}

static void reply_big(struct http_exchange *exchange)
{
    char *body = malloc(BIG_BYTES);
    assert_non_null(body);
    memset(body, 'b', BIG_BYTES);
    http_exchange_reply(exchange, 200, "text/plain", body, BIG_BYTES);
    free(body);
}

static void on_request(void *ctx, struct http_exchange *exchange)
{
    struct world *world = ctx;
    world->requests++;
    (void)snprintf(world->peer, sizeof(world->peer), "%s", http_exchange_peer(exchange));
    (void)http_exchange_body(exchange, &world->body_len);
    if (strcmp(http_exchange_path(exchange), "/hold") == 0) {
        world->held++;
        http_exchange_watch(exchange, &exchange_events, world);
    } else if (strcmp(http_exchange_path(exchange), "/big") == 0) {
        reply_big(exchange);
    } else {
        http_exchange_reply(exchange, 200, "text/plain", "hello", 5);
    }
}

static void on_refusal(void *ctx, struct http_exchange *exchange, int status, const char *message)
{
    (void)ctx;
    http_exchange_reply(exchange, status, "text/plain", message, strlen(message));
}

/* --- the session --- */

static void on_session_change(void *ctx, struct node_session *session)
{
    (void)ctx;
    (void)session;
}

static void on_session_join(void *ctx, struct node_session *session, const struct msg_join *join)
{
    (void)ctx;
    (void)session;
    (void)join;
}

static int on_session_tunnel(
        void *ctx, struct node_session *session, const struct msg *msg, struct err *err)
{
    struct world *world = ctx;
    assert_ptr_equal(session, world->session);
    return edge_gate_on_msg(world->gate, msg, err);
}

static void end_gate(struct world *world)
{
    edge_gate_destroy(world->gate);
    world->gate = NULL;
}

static void on_session_gone(void *ctx, struct node_session *session, const char *reason)
{
    struct world *world = ctx;
    (void)snprintf(world->gone, sizeof(world->gone), "%s", reason);
    end_gate(world);
    world->session = NULL;
    node_session_destroy(session);
}

static const struct node_session_events session_events = {.on_change = on_session_change,
        .on_room = on_session_change,
        .on_join = on_session_join,
        .on_tunnel = on_session_tunnel,
        .on_gone = on_session_gone};

static void begin_session(struct world *world, unsigned roles)
{
    struct link_peer peer = fake_link_peer(0);
    static const uint8_t mesh[MSG_KEY_BYTES] = {1};
    const struct msg_hello hello = {
            .name = "says", .software = "s", .version_min = 1, .version_max = 1};
    const struct session_admission admission = {.name = "laptop",
            .roles = roles,
            .coordinator_name = "mesh",
            .mesh = {.data = mesh, .len = sizeof(mesh)}};
    assert_int_equal(node_session_create(&world->env.env, &world->link.transport, &peer, &hello,
                             &admission, &session_events, world, &world->session, NULL),
            0);
    world->epoch = node_session_epoch(world->session);
    world->gate = edge_gate_create(&world->loop, world->http, world->session);
    assert_non_null(world->gate);
    fake_link_forget(&world->link, 0);
}

static int set_up_with(void **state, unsigned roles)
{
    struct world *world = calloc(1, sizeof(*world));
    const struct http_server_config config = {
            .listen = HTTP_LISTEN_NONE, .connections_max = CONNECTIONS};
    const struct http_server_handler handler = {.on_headers = on_headers,
            .on_request = on_request,
            .on_refusal = on_refusal,
            .ctx = world};
    log_init("test", LOG_LEVEL_ERROR);
    assert_int_equal(loop_init(&world->loop), 0);
    world->patience = patience_start(&world->loop, PATIENCE_MS);
    virtual_env_init(&world->env);
    fake_link_init(&world->link);
    buf_init(&world->heard, HEARD_MAX);
    assert_int_equal(http_server_create(&world->loop, &config, &handler, &world->http, NULL), 0);
    begin_session(world, roles);
    *state = world;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
}

static int set_up_without_role(void **state)
{
    return set_up_with(state, CERTIFICATE_ROLE_NODE);
}

static int tear_down(void **state)
{
    struct world *world = *state;
    end_gate(world);
    node_session_destroy(world->session);
    http_server_destroy(world->http);
    buf_fini(&world->heard);
    fake_link_fini(&world->link);
    loop_timer_destroy(world->patience);
    loop_fini(&world->loop);
    free(world);
    return 0;
}

/* --- the node --- */

static uint64_t id_of(const struct world *world, uint16_t generation, uint16_t index)
{
    return (uint64_t)world->epoch << 32 | (uint64_t)generation << 16 | index;
}

static void say(struct world *world, const struct msg *msg)
{
    const struct buf *frame = fake_link_frame(&world->link, msg);
    node_session_on_frame(world->session, buf_at(frame), frame->len);
}

static void say_open(struct world *world, uint64_t id, uint32_t window)
{
    say(world, &(struct msg){
                       .type = MSG_TUNNEL_OPEN, .tunnel_open = {.tunnel = id, .window = window}});
}

static void say_data(struct world *world, uint64_t id, const char *data, size_t len)
{
    say(world, &(struct msg){.type = MSG_TUNNEL_DATA,
                       .tunnel_data = {.tunnel = id, .data = data, .len = len}});
}

static void say_text(struct world *world, uint64_t id, const char *text)
{
    say_data(world, id, text, strlen(text));
}

static void say_credit(struct world *world, uint64_t id, uint32_t bytes)
{
    say(world, &(struct msg){
                       .type = MSG_TUNNEL_CREDIT, .tunnel_credit = {.tunnel = id, .bytes = bytes}});
}

static void say_close(struct world *world, uint64_t id)
{
    say(world, &(struct msg){.type = MSG_TUNNEL_CLOSE, .tunnel_close = {.tunnel = id}});
}

static void hear_msg(struct world *world, const struct msg *msg)
{
    switch (msg->type) {
    case MSG_TUNNEL_DATA:
        assert_in_range(msg->tunnel_data.len, 1, MSG_CHUNK_MAX);
        world->heard_of = msg->tunnel_data.tunnel;
        assert_int_equal(buf_append(&world->heard, msg->tunnel_data.data, msg->tunnel_data.len), 0);
        break;
    case MSG_TUNNEL_CREDIT:
        world->credit += msg->tunnel_credit.bytes;
        break;
    case MSG_TUNNEL_CLOSE:
        world->closes++;
        break;
    default:
        fail_msg("the node got %s", msg_type_name(msg->type));
    }
}

static void hear(struct world *world)
{
    struct msg msg;
    while (fake_link_next(&world->link, 0, &msg))
        hear_msg(world, &msg);
}

/* One turn of the coordinator's loop, as the node table does its part of it. */
static void turn(struct world *world)
{
    uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    if (world->gate && node_session_tunnel_room(world->session))
        edge_gate_pump(world->gate);
    if (world->session)
        node_session_flush(world->session);
    hear(world);
}

#define WAIT(world, cond)                                                                          \
    do                                                                                             \
        turn(world);                                                                               \
    while (!(cond))

static bool has_heard(struct world *world, const char *text)
{
    assert_int_equal(buf_terminate(&world->heard), 0);
    return strstr(buf_at(&world->heard), text) != NULL;
}

/* Nothing more comes to the node, however long it waits. */
static void stays_quiet(struct world *world)
{
    size_t before = world->heard.len;
    patience_run_for(&world->loop, QUIET_MS);
    turn(world);
    assert_int_equal(world->heard.len, before);
}

static void ended_with(struct world *world, const char *reason)
{
    turn(world);
    assert_null(world->session);
    assert_non_null(strstr(world->gone, reason));
}

static const char get[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char get_once[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
static const char get_big[] = "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char get_hold[] = "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n";

/* --- the good way --- */

static void an_editor_is_answered_through_the_tunnel(void **state)
{
    struct world *world = *state;
    uint64_t id = id_of(world, 0, 0);
    say_open(world, id, WINDOW);
    assert_int_equal(edge_gate_count(world->gate), 1);
    say_text(world, id, get);
    WAIT(world, has_heard(world, "hello"));
    assert_int_equal(world->heard_of, id);
    assert_true(has_heard(world, "HTTP/1.1 200"));
    assert_string_equal(world->peer, "laptop"); /* whose node carries it */
    buf_clear(&world->heard);
    say_text(world, id, "GET / HT"); /* the connection stays, and pieces may be cut anywhere */
    say_text(world, id, get + 8);
    WAIT(world, has_heard(world, "hello"));
    assert_int_equal(world->requests, 2);
    assert_int_equal(world->closes, 0);
}

static void editors_do_not_mix(void **state)
{
    struct world *world = *state;
    uint64_t slow = id_of(world, 0, 0), other = id_of(world, 0, 1);
    say_open(world, slow, WINDOW);
    say_open(world, other, WINDOW);
    assert_int_equal(edge_gate_count(world->gate), 2);
    say_text(world, slow, get_hold);
    say_text(world, other, get);
    WAIT(world, has_heard(world, "hello"));
    assert_int_equal(world->heard_of, other);
    WAIT(world, world->held == 1);
    assert_int_equal(world->left, 0);
}

static void the_server_may_close(void **state)
{
    struct world *world = *state;
    uint64_t id = id_of(world, 0, 0);
    say_open(world, id, WINDOW);
    say_text(world, id, get_once);
    WAIT(world, world->closes == 1);
    assert_true(has_heard(world, "hello")); /* before the close */
    assert_int_equal(edge_gate_count(world->gate), 0);
    say_text(world, id, "too late");
    say_close(world, id);
    say_open(world, id_of(world, 1, 0), WINDOW); /* its place is free */
    turn(world);
    assert_non_null(world->session);
    assert_int_equal(edge_gate_count(world->gate), 1);
}

static void the_editor_may_leave(void **state)
{
    struct world *world = *state;
    uint64_t id = id_of(world, 0, 0);
    say_open(world, id, WINDOW);
    say_text(world, id, get_hold);
    WAIT(world, world->held == 1);
    say_close(world, id);
    WAIT(world, world->left == 1);
    assert_int_equal(edge_gate_count(world->gate), 0);
    assert_int_equal(world->closes, 0); /* the node has said so itself */
}

static void the_end_of_the_gate_closes_every_connection(void **state)
{
    struct world *world = *state;
    for (uint16_t i = 0; i < 2; i++) {
        say_open(world, id_of(world, 0, i), WINDOW);
        say_text(world, id_of(world, 0, i), get_hold);
    }
    WAIT(world, world->held == 2);
    end_gate(world);
    WAIT(world, world->left == 2);
    assert_int_equal(world->closes, 0);
    edge_gate_destroy(NULL);
}

/* --- credit, and a link that is slow --- */

static void no_more_is_sent_than_the_node_takes(void **state)
{
    struct world *world = *state;
    uint64_t id = id_of(world, 0, 0);
    say_open(world, id, 1000);
    say_text(world, id, get_big);
    WAIT(world, world->heard.len == 1000);
    stays_quiet(world);
    say_credit(world, id, 500);
    WAIT(world, world->heard.len == 1500);
    stays_quiet(world);
    say_credit(world, id, 2 * BIG_BYTES);
    WAIT(world, world->heard.len > BIG_BYTES);
    assert_non_null(world->session);
}

static void what_the_server_takes_is_granted_again(void **state)
{
    struct world *world = *state;
    static char piece[TUNNEL_WINDOW / 4];
    uint64_t id = id_of(world, 0, 0), sent = 0, may = TUNNEL_WINDOW;
    char head[100];
    (void)snprintf(head, sizeof(head),
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", UPLOAD_BYTES);
    memset(piece, 'p', sizeof(piece));
    say_open(world, id, WINDOW);
    say_text(world, id, head);
    uint64_t spent = strlen(head);
    while (sent < UPLOAD_BYTES) {
        size_t left = UPLOAD_BYTES - (size_t)sent;
        size_t len = left < sizeof(piece) ? left : sizeof(piece);
        WAIT(world, may + world->credit - spent >= len);
        say_data(world, id, piece, len);
        sent += len;
        spent += len;
    }
    WAIT(world, world->requests == 1);
    assert_int_equal(world->body_len, UPLOAD_BYTES);
    assert_in_range(world->credit, spent - TUNNEL_WINDOW, spent);
}

static void a_link_that_is_stuck_holds_little(void **state)
{
    struct world *world = *state;
    uint64_t id = id_of(world, 0, 0);
    say_open(world, id, 2 * BIG_BYTES);
    world->link.result[0] = -EAGAIN;
    say_text(world, id, get_big);
    WAIT(world, !node_session_tunnel_room(world->session));
    stays_quiet(world);
    assert_int_equal(world->heard.len, 0);
    assert_non_null(world->session);
    world->link.result[0] = 0;
    WAIT(world, world->heard.len > BIG_BYTES);
    assert_true(has_heard(world, "bbbb"));
}

/* --- where there is no room --- */

static void past_the_limit_an_editor_is_closed_and_the_session_goes_on(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i <= CONNECTIONS; i++)
        say_open(world, id_of(world, 0, (uint16_t)i), WINDOW);
    turn(world);
    assert_in_range(world->closes, 1, CONNECTIONS);
    assert_int_equal(edge_gate_count(world->gate), CONNECTIONS + 1 - world->closes);
    say_text(world, id_of(world, 0, CONNECTIONS), get); /* on its way when it was closed */
    say_text(world, id_of(world, 0, 0), get);
    WAIT(world, has_heard(world, "hello"));
    assert_int_equal(world->heard_of, id_of(world, 0, 0));
}

/* Past the limit, `log` has what was logged of it. */
static void open_too_many(struct world *world, char *log, size_t size)
{
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(saved >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    log_init("test", LOG_LEVEL_WARN);
    for (unsigned i = 0; i < CONNECTIONS + FLOOD; i++)
        say_open(world, id_of(world, 0, (uint16_t)i), WINDOW);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    close(ends[1]);
    ssize_t n = read(ends[0], log, size - 1);
    log[n > 0 ? n : 0] = '\0';
    close(ends[0]);
}

static void a_lack_of_room_is_told_once(void **state)
{
    struct world *world = *state;
    char log[16 * 1024];
    open_too_many(world, log, sizeof(log));
    const char *first = strstr(log, "no room");
    assert_non_null(first);
    assert_null(strstr(first + 1, "no room"));
}

static void a_server_that_is_stopping_takes_no_editor(void **state)
{
    struct world *world = *state;
    http_server_quiesce(world->http);
    say_open(world, id_of(world, 0, 0), WINDOW);
    turn(world);
    assert_int_equal(world->closes, 1);
    assert_int_equal(edge_gate_count(world->gate), 0);
    assert_non_null(world->session);
}

/* --- nodes that do wrong --- */

static void without_the_role_no_editor_is_carried(void **state)
{
    struct world *world = *state;
    say_open(world, id_of(world, 0, 0), WINDOW);
    ended_with(world, "certificate does not allow");
    assert_int_equal(world->requests, 0);
}

static void an_id_that_cannot_be_ends_the_session(void **state)
{
    struct world *world = *state;
    static const struct {
        uint32_t epoch; /* past the session's own */
        uint16_t generation, index;
    } wrong[] = {{1, 0, 0}, {0, 0, STREAM_TABLE_MAX}, {0, 1, 0 /* whose place is taken */}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (!world->session)
            begin_session(world, CERTIFICATE_ROLE_EDGE);
        uint64_t id = id_of(world, wrong[i].generation, wrong[i].index);
        say_open(world, id_of(world, 0, 0), WINDOW);
        say_open(world, id + ((uint64_t)wrong[i].epoch << 32), WINDOW);
        ended_with(world, "an id that cannot be");
    }
}

static void overspending_ends_the_session(void **state)
{
    struct world *world = *state;
    static char piece[MSG_CHUNK_MAX];
    uint64_t id = id_of(world, 0, 0);
    say_open(world, id, WINDOW);
    for (size_t i = 0; i < FLOOD; i++) /* and the server never comes to read */
        say_data(world, id, piece, sizeof(piece));
    ended_with(world, "overspent");
}

static void granting_too_much_ends_the_session(void **state)
{
    struct world *world = *state;
    uint64_t id = id_of(world, 0, 0);
    say_open(world, id, UINT32_MAX);
    say_credit(world, id, 1);
    ended_with(world, "granted too much");
}

static void what_is_said_of_no_tunnel_does_nothing(void **state)
{
    struct world *world = *state;
    uint64_t id = id_of(world, 0, 3);
    say_text(world, id, "hello?");
    say_credit(world, id, UINT32_MAX);
    say_close(world, id);
    stays_quiet(world);
    assert_non_null(world->session);
    assert_int_equal(world->closes, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(an_editor_is_answered_through_the_tunnel),
            TEST(editors_do_not_mix),
            TEST(the_server_may_close),
            TEST(the_editor_may_leave),
            TEST(the_end_of_the_gate_closes_every_connection),
            TEST(no_more_is_sent_than_the_node_takes),
            TEST(what_the_server_takes_is_granted_again),
            TEST(a_link_that_is_stuck_holds_little),
            TEST(past_the_limit_an_editor_is_closed_and_the_session_goes_on),
            TEST(a_lack_of_room_is_told_once),
            TEST(a_server_that_is_stopping_takes_no_editor),
            cmocka_unit_test_setup_teardown(
                    without_the_role_no_editor_is_carried, set_up_without_role, tear_down),
            TEST(an_id_that_cannot_be_ends_the_session),
            TEST(overspending_ends_the_session),
            TEST(granting_too_much_ends_the_session),
            TEST(what_is_said_of_no_tunnel_does_nothing),
    };
    return cmocka_run_group_tests_name("edge_gate", tests, NULL, NULL);
}
