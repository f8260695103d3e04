#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/link.h"
#include "tests/lib/patience.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

enum {
    PATIENCE_MS = 60000, /* a test that waits longer has failed */
    GREETING_BYTES = 64,
    CURVE_OVERHEAD = 33, /* bytes that CURVE puts around one message, RFC 26 */
    FLOOD_FRAMES = 20000,
    FLOOD_FRAME_BYTES = 300,
    LISTED_MAX = 4,
    MEMBERS = 3,
    SEEKS_TIMED = 8,
    FDS_SCANNED = 1024,
};

#define ANY_PORT "tcp://127.0.0.1:*"

/* One end of the flood: sends frames numbered from 0, checks those of the other end. */
struct flow {
    unsigned sent, received, refusals;
};

/* One of several clients, and who it is to the server. */
struct member {
    struct fixture *f;
    struct key_pair keys;
    struct link_client *client;
    struct link_peer peer;
    unsigned frames, downs;
    enum link_failure failure;
};

/* A server and a client on one loop, and what they told. */
struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    struct loop_hook hook;
    struct key_pair server_keys, node_keys, other_keys;
    const char *listed[LISTED_MAX];
    char endpoint[128];
    struct err err;

    struct link_server *server;
    unsigned asked, server_frames, hints, bad_handshakes;
    struct link_peer peer; /* of the last frame */
    char server_got[64];
    size_t server_got_len;
    bool echo;

    struct link_client *client;
    const char *expected_key; /* of the server */
    unsigned seeks, ups, downs, client_frames;
    enum link_failure failure;
    char reason[256], client_got[64];
    uint64_t down_ms[8], seek_ms[SEEKS_TIMED];

    void (*at_seek)(struct fixture *f);
    void (*at_up)(struct fixture *f), (*at_down)(struct fixture *f);
    void (*at_client_frame)(struct fixture *f), (*at_server_frame)(struct fixture *f);
    void (*at_hint)(struct fixture *f);
    struct flow up_flow, down_flow;
    struct member members[MEMBERS];
};

static void run_turn(struct fixture *f)
{
    uv_run(&f->loop.uv, UV_RUN_ONCE);
}

#define RUN_UNTIL(f, condition)                                                                    \
    while (!(condition))                                                                           \
    run_turn(f)

/* --- what the link tells --- */

static void list_key(struct fixture *f, const char *key)
{
    for (unsigned i = 0; i < LISTED_MAX; i++) {
        if (f->listed[i])
            continue;
        f->listed[i] = key;
        return;
    }
    fail();
}

static bool on_allow(void *ctx, const char *key, const char *address)
{
    struct fixture *f = ctx;
    f->asked++;
    assert_string_equal(address, "127.0.0.1");
    for (unsigned i = 0; i < LISTED_MAX; i++)
        if (f->listed[i] && strcmp(f->listed[i], key) == 0)
            return true;
    return false;
}

static void keep_text(char buf[64], const void *data, size_t len)
{
    size_t kept = len < 63 ? len : 63;
    memcpy(buf, data, kept);
    buf[kept] = '\0';
}

static int server_send(struct fixture *f, const void *data, size_t len)
{
    struct transport transport = link_server_transport(f->server);
    return transport_send(&transport, &f->peer, data, len);
}

static int client_send(struct fixture *f, const void *data, size_t len)
{
    struct transport transport = link_client_transport(f->client);
    return transport_send(&transport, NULL, data, len);
}

static void on_server_frame(void *ctx, const struct link_peer *peer, const void *data, size_t len)
{
    struct fixture *f = ctx;
    f->server_frames++;
    f->peer = *peer;
    for (unsigned i = 0; i < MEMBERS; i++)
        if (strcmp(peer->key, f->members[i].keys.public_z85) == 0)
            f->members[i].peer = *peer;
    f->server_got_len = len;
    keep_text(f->server_got, data, len);
    if (f->echo)
        (void)server_send(f, data, len);
    if (f->at_server_frame)
        f->at_server_frame(f);
}

static void on_hint(void *ctx, int fd)
{
    struct fixture *f = ctx;
    assert_true(fd >= 0);
    f->hints++;
    if (f->at_hint)
        f->at_hint(f);
}

static void on_bad_handshake(void *ctx, const char *address)
{
    struct fixture *f = ctx;
    if (address)
        assert_string_equal(address, "127.0.0.1");
    f->bad_handshakes++;
}

static void connect_client(struct fixture *f)
{
    link_client_connect(f->client, f->endpoint, f->expected_key);
}

static void on_seek(void *ctx)
{
    struct fixture *f = ctx;
    if (f->seeks < SEEKS_TIMED)
        f->seek_ms[f->seeks] = uv_hrtime() / 1000000;
    f->seeks++;
    loop_stop(&f->loop); /* this came from a timer, after which the turn would go on to sleep */
    if (f->at_seek)
        f->at_seek(f);
}

static void on_up(void *ctx)
{
    struct fixture *f = ctx;
    f->ups++;
    if (f->at_up)
        f->at_up(f);
}

static void on_client_frame(void *ctx, const void *data, size_t len)
{
    struct fixture *f = ctx;
    f->client_frames++;
    keep_text(f->client_got, data, len);
    if (f->at_client_frame)
        f->at_client_frame(f);
}

static void on_down(void *ctx, enum link_failure failure, const char *reason)
{
    struct fixture *f = ctx;
    if (f->downs < 8)
        f->down_ms[f->downs] = uv_hrtime() / 1000000;
    f->downs++;
    f->failure = failure;
    snprintf(f->reason, sizeof(f->reason), "%s", reason);
    if (f->at_down)
        f->at_down(f);
    loop_stop(&f->loop); /* as on_seek() */
}

static const struct link_server_events server_events = {.allow = on_allow,
        .on_frame = on_server_frame,
        .on_disconnect_hint = on_hint,
        .on_bad_handshake = on_bad_handshake};
static const struct link_client_events client_events = {
        .on_seek = on_seek, .on_up = on_up, .on_frame = on_client_frame, .on_down = on_down};

/* --- set up --- */

static int start_server_at(struct fixture *f, const char *endpoint)
{
    return link_server_create(
            &f->loop, endpoint, &f->server_keys, &server_events, f, &f->server, &f->err);
}

static void start_server(struct fixture *f)
{
    assert_int_equal(start_server_at(f, *f->endpoint ? f->endpoint : ANY_PORT), 0);
    snprintf(f->endpoint, sizeof(f->endpoint), "%s", link_server_endpoint(f->server));
}

static void stop_server(struct fixture *f)
{
    link_server_destroy(f->server);
    f->server = NULL;
}

static void create_client(struct fixture *f)
{
    assert_int_equal(link_client_create(&f->loop, &env_system, &f->node_keys, &client_events, f,
                             &f->client, &f->err),
            0);
}

static void start_client_for(struct fixture *f, const char *server_key)
{
    f->expected_key = server_key;
    f->at_seek = connect_client;
    create_client(f);
}

static void start_client(struct fixture *f)
{
    start_client_for(f, f->server_keys.public_z85);
}

static void stop_client(struct fixture *f)
{
    link_client_destroy(f->client);
    f->client = NULL;
}

static void start_pair(struct fixture *f)
{
    list_key(f, f->node_keys.public_z85);
    start_server(f);
    start_client(f);
    RUN_UNTIL(f, f->ups == 1);
}

/* The server knows the client from its first frame on. */
static void introduce(struct fixture *f)
{
    unsigned before = f->server_frames;
    assert_int_equal(client_send(f, "hello", 5), 0);
    RUN_UNTIL(f, f->server_frames > before);
}

/* All that came in before the call has been read by the server after it. */
static void round_trip(struct fixture *f)
{
    unsigned before = f->client_frames;
    f->echo = true;
    assert_int_equal(client_send(f, "echo", 4), 0);
    RUN_UNTIL(f, f->client_frames > before);
    f->echo = false;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f || loop_init(&f->loop) || keys_generate(&f->server_keys, NULL) ||
            keys_generate(&f->node_keys, NULL) || keys_generate(&f->other_keys, NULL))
        return -1;
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    link_client_destroy(f->client);
    for (unsigned i = 0; i < MEMBERS; i++) {
        link_client_destroy(f->members[i].client);
        keys_fini(&f->members[i].keys);
    }
    link_server_destroy(f->server);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    keys_fini(&f->server_keys);
    keys_fini(&f->node_keys);
    keys_fini(&f->other_keys);
    free(f);
    return 0;
}

/* --- a peer that is not ours --- */

struct stranger {
    void *zmq_context, *zsock;
};

static void stranger_init(struct stranger *s)
{
    s->zmq_context = zmq_ctx_new();
    s->zsock = zmq_socket(s->zmq_context, ZMQ_DEALER);
    assert_non_null(s->zsock);
}

static void stranger_use_keys(
        struct stranger *s, const struct key_pair *own, const char *server_key)
{
    assert_int_equal(
            zmq_setsockopt(s->zsock, ZMQ_CURVE_SECRETKEY, own->secret_z85, KEY_Z85_LEN + 1), 0);
    assert_int_equal(
            zmq_setsockopt(s->zsock, ZMQ_CURVE_PUBLICKEY, own->public_z85, KEY_Z85_LEN + 1), 0);
    assert_int_equal(zmq_setsockopt(s->zsock, ZMQ_CURVE_SERVERKEY, server_key, KEY_Z85_LEN + 1), 0);
}

static void stranger_say(struct stranger *s, const char *text, int flags)
{
    assert_true(zmq_send(s->zsock, text, strlen(text), flags) >= 0);
}

/* What was said has gone out when the server hears that the connection is over. */
static void stranger_leave(struct stranger *s, struct fixture *f)
{
    unsigned before = f->hints;
    zmq_close(s->zsock);
    RUN_UNTIL(f, f->hints > before);
    zmq_ctx_term(s->zmq_context);
}

/* --- coming in --- */

static void say_hello(struct fixture *f)
{
    assert_int_equal(client_send(f, "hello", 5), 0);
}

static void a_listed_key_gets_in_and_frames_go_both_ways(void **state)
{
    struct fixture *f = *state;
    f->at_up = say_hello;
    start_pair(f);
    RUN_UNTIL(f, f->server_frames == 1);
    assert_string_equal(f->server_got, "hello");
    assert_string_equal(f->peer.key, f->node_keys.public_z85);
    assert_string_equal(f->peer.address, "127.0.0.1");
    assert_int_equal(f->peer.routing_id[0], 0);
    assert_true(f->peer.fd >= 0);
    assert_int_equal(server_send(f, "welcome", 7), 0);
    RUN_UNTIL(f, f->client_frames == 1);
    assert_string_equal(f->client_got, "welcome");
    assert_int_equal(f->downs, 0);
    assert_int_equal(f->asked, 1);
}

static void the_endpoint_names_the_port(void **state)
{
    struct fixture *f = *state;
    int port = 0;
    start_server(f);
    assert_int_equal(sscanf(link_server_endpoint(f->server), "tcp://127.0.0.1:%d", &port), 1);
    assert_true(port > 0);
}

/* What link_server_cut() builds on. */
static uint32_t count_in_id(const struct link_peer *peer)
{
    uint32_t count;
    memcpy(&count, peer->routing_id + 1, sizeof(count));
    return ntohl(count);
}

static void two_connections_of_one_key_are_told_apart(void **state)
{
    struct fixture *f = *state;
    start_pair(f);
    introduce(f);
    struct link_peer first = f->peer;
    stop_client(f);
    start_client(f);
    RUN_UNTIL(f, f->ups == 2);
    introduce(f);
    assert_string_equal(f->peer.key, first.key);
    assert_int_equal(count_in_id(&f->peer), (uint32_t)(count_in_id(&first) + 1));
}

static void an_unlisted_key_is_refused_until_it_is_listed(void **state)
{
    struct fixture *f = *state;
    list_key(f, f->other_keys.public_z85);
    start_server(f);
    start_client(f);
    RUN_UNTIL(f, f->downs == 2);
    assert_int_equal(f->failure, LINK_REFUSED);
    assert_non_null(strstr(f->reason, "does not know this node's key"));
    assert_int_equal(f->ups, 0);
    assert_int_equal(f->asked, 2);
    assert_int_equal(client_send(f, "hello", 5), -EAGAIN);
    list_key(f, f->node_keys.public_z85);
    RUN_UNTIL(f, f->ups == 1);
    round_trip(f);
    assert_int_equal(f->downs, 2);
}

static void a_server_with_another_key_is_not_believed(void **state)
{
    struct fixture *f = *state;
    list_key(f, f->node_keys.public_z85);
    start_server(f);
    start_client_for(f, f->other_keys.public_z85);
    RUN_UNTIL(f, f->downs == 2);
    assert_int_equal(f->failure, LINK_HANDSHAKE);
    assert_non_null(strstr(f->reason, "another key than expected"));
    assert_int_equal(f->ups, 0);
    assert_int_equal(f->asked, 0);
}

static void where_nobody_listens_the_waits_grow_until_somebody_does(void **state)
{
    struct fixture *f = *state;
    list_key(f, f->node_keys.public_z85);
    start_server(f); /* for a port that is free */
    stop_server(f);
    start_client(f);
    RUN_UNTIL(f, f->downs == 4);
    assert_int_equal(f->failure, LINK_UNREACHABLE);
    assert_non_null(strstr(f->reason, "nobody answers"));
    assert_int_equal(f->ups, 0);
    for (unsigned i = 1; i < 4; i++)
        assert_true(
                f->down_ms[i] - f->down_ms[i - 1] + 1 >= (uint64_t)LINK_RETRY_MIN_MS << (i - 1));
    start_server(f);
    RUN_UNTIL(f, f->ups == 1);
    round_trip(f);
}

/* Listens, and answers with `text`, or not at all. */
static int start_listener(struct fixture *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(f->endpoint, sizeof(f->endpoint), "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static void a_listener_that_never_speaks_is_given_up(void **state)
{
    struct fixture *f = *state;
    int fd = start_listener(f);
    uint64_t begin_ms = uv_hrtime() / 1000000;
    start_client(f);
    RUN_UNTIL(f, f->downs == 1);
    assert_true(f->down_ms[0] - begin_ms + 100 >= LINK_HANDSHAKE_MS);
    assert_int_equal(f->failure, LINK_HANDSHAKE);
    assert_non_null(strstr(f->reason, "handshake failed"));
    close(fd);
}

static void a_listener_that_speaks_something_else_is_no_link(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    int fd = start_listener(f);
    start_client(f);
    RUN_UNTIL(f, f->seeks == 1);
    int connection = accept(fd, NULL, NULL);
    assert_true(connection >= 0);
    assert_true(write(connection, text, strlen(text)) > 0);
    close(connection);
    RUN_UNTIL(f, f->downs == 1);
    assert_int_equal(f->failure, LINK_HANDSHAKE);
    assert_non_null(strstr(f->reason, "not a modemesh link"));
    assert_int_equal(f->ups, 0);
    close(fd);
}

/* --- where to connect --- */

static void wait_on(struct fixture *f)
{
    link_client_wait(f->client);
}

static void wait_in_vain(struct fixture *f)
{
    link_client_wait(f->client);
    link_client_hurry(f->client);
}

static void told_to_wait_it_asks_again_after_longer_and_longer(void **state)
{
    struct fixture *f = *state;
    f->at_seek = wait_on;
    create_client(f);
    assert_int_equal(f->seeks, 0); /* not from inside the call */
    RUN_UNTIL(f, f->seeks == 4);
    for (unsigned i = 1; i < 4; i++)
        assert_true(
                f->seek_ms[i] - f->seek_ms[i - 1] + 1 >= (uint64_t)LINK_RETRY_MIN_MS << (i - 1));
    assert_int_equal(f->downs, 0);
}

static void in_a_hurry_it_does_not_wait(void **state)
{
    enum { SEEKS = 50 };
    struct fixture *f = *state;
    uint64_t begin_ms = uv_hrtime() / 1000000;
    f->at_seek = wait_in_vain;
    create_client(f);
    RUN_UNTIL(f, f->seeks == SEEKS);
    assert_true(uv_hrtime() / 1000000 - begin_ms < (uint64_t)LINK_RETRY_MAX_MS * (SEEKS - 10));
}

static void the_answer_may_come_later(void **state)
{
    struct fixture *f = *state;
    list_key(f, f->node_keys.public_z85);
    start_server(f);
    create_client(f);
    RUN_UNTIL(f, f->seeks == 1);
    link_client_hurry(f->client);
    link_client_reset(f->client, "there is no connection");
    patience_run_for(&f->loop, 2 * LINK_RETRY_MIN_MS);
    assert_int_equal(f->seeks, 1);
    link_client_connect(f->client, f->endpoint, f->server_keys.public_z85);
    RUN_UNTIL(f, f->ups == 1);
    link_client_hurry(f->client);
    round_trip(f);
    assert_int_equal(f->seeks, 1);
    assert_int_equal(f->downs, 0);
}

static void another_key_pair_holds_from_the_next_connection_on(void **state)
{
    struct fixture *f = *state;
    start_pair(f);
    list_key(f, f->other_keys.public_z85);
    link_client_set_pair(f->client, &f->other_keys);
    introduce(f);
    assert_string_equal(f->peer.key, f->node_keys.public_z85);
    link_client_reset(f->client, "the key has changed");
    RUN_UNTIL(f, f->ups == 2);
    introduce(f);
    assert_string_equal(f->peer.key, f->other_keys.public_z85);
}

/* --- what is dropped --- */

static void an_empty_frame_is_not_told(void **state)
{
    struct fixture *f = *state;
    start_pair(f);
    introduce(f);
    assert_int_equal(server_send(f, "", 0), 0);
    assert_int_equal(server_send(f, "word", 4), 0);
    RUN_UNTIL(f, f->client_frames > 0);
    assert_int_equal(f->client_frames, 1);
    assert_string_equal(f->client_got, "word");
}

static void a_peer_that_chose_its_routing_id_is_dropped(void **state)
{
    struct fixture *f = *state;
    start_pair(f);
    for (int own_id = 1; own_id >= 0; own_id--) {
        struct stranger s;
        stranger_init(&s);
        stranger_use_keys(&s, &f->node_keys, f->server_keys.public_z85);
        if (own_id)
            assert_int_equal(zmq_setsockopt(s.zsock, ZMQ_ROUTING_ID, "node1", 5), 0);
        assert_int_equal(zmq_connect(s.zsock, f->endpoint), 0);
        stranger_say(&s, "intruder", 0);
        stranger_leave(&s, f);
        round_trip(f);
        assert_int_equal(f->server_frames, own_id ? 1 : 3);
    }
}

static void a_message_of_two_parts_is_dropped_and_the_next_is_not(void **state)
{
    struct fixture *f = *state;
    struct stranger s;
    start_pair(f);
    stranger_init(&s);
    stranger_use_keys(&s, &f->node_keys, f->server_keys.public_z85);
    assert_int_equal(zmq_connect(s.zsock, f->endpoint), 0);
    stranger_say(&s, "one", ZMQ_SNDMORE);
    stranger_say(&s, "two", 0);
    stranger_say(&s, "whole", 0);
    RUN_UNTIL(f, f->server_frames == 1);
    assert_string_equal(f->server_got, "whole");
    stranger_leave(&s, f);
}

static void a_peer_without_encryption_is_refused(void **state)
{
    struct fixture *f = *state;
    struct stranger s;
    start_pair(f);
    stranger_init(&s);
    assert_int_equal(zmq_connect(s.zsock, f->endpoint), 0);
    stranger_say(&s, "plain", ZMQ_DONTWAIT);
    RUN_UNTIL(f, f->hints == 1);
    round_trip(f);
    assert_int_equal(f->server_frames, 1);
    assert_int_equal(f->asked, 1);
    static const int zero = 0;
    zmq_setsockopt(s.zsock, ZMQ_LINGER, &zero, sizeof(zero));
    zmq_close(s.zsock);
    zmq_ctx_term(s.zmq_context);
}

/* --- handshakes that prove no key --- */

static void connect_raw(struct fixture *f, int fd)
{
    unsigned port = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(sscanf(f->endpoint, "tcp://127.0.0.1:%u", &port), 1);
    address.sin_port = htons((in_port_t)port);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* A TCP connection to the server that no libzmq speaks on. */
static int open_raw(struct fixture *f)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    connect_raw(f, fd);
    return fd;
}

/* Says these bytes, and waits until the server hangs up. */
static void say_raw(struct fixture *f, const void *bytes, size_t len)
{
    unsigned before = f->hints;
    int fd = open_raw(f);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    RUN_UNTIL(f, f->hints > before);
    close(fd);
}

/* ZMTP 3.1, RFC 37 "Greeting". */
static void make_greeting(const char *mechanism, uint8_t ret_greeting[GREETING_BYTES])
{
    static const uint8_t signature[] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1};
    memset(ret_greeting, 0, GREETING_BYTES);
    memcpy(ret_greeting, signature, sizeof(signature));
    memcpy(ret_greeting + sizeof(signature), mechanism, strlen(mechanism));
}

static void a_handshake_without_curve_is_told(void **state)
{
    struct fixture *f = *state;
    uint8_t greeting[GREETING_BYTES];
    start_server(f);
    make_greeting("NULL", greeting);
    say_raw(f, greeting, sizeof(greeting));
    assert_int_equal(f->bad_handshakes, 1);
    assert_int_equal(f->asked, 0);
}

static void a_garbled_handshake_is_told(void **state)
{
    struct fixture *f = *state;
    uint8_t said[GREETING_BYTES + 200] = {0};
    start_server(f);
    make_greeting("CURVE", said);
    memcpy(said + GREETING_BYTES, "\x04\xc6\x05HELLO\x01", 9); /* and nothing right after that */
    say_raw(f, said, sizeof(said));
    assert_int_equal(f->bad_handshakes, 1);
    assert_int_equal(f->asked, 0);
}

static void what_speaks_something_else_is_told(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct fixture *f = *state;
    start_pair(f);
    introduce(f);
    say_raw(f, request, strlen(request));
    say_raw(f, request, strlen(request));
    assert_int_equal(f->bad_handshakes, 2);
    round_trip(f);
}

static void a_handshake_that_is_never_done_is_told(void **state)
{
    struct fixture *f = *state;
    start_server(f);
    say_raw(f, "\xff", 1);
    assert_int_equal(f->bad_handshakes, 1);
}

/* As a dialer does that looks for an address. */
static void who_hangs_up_by_itself_is_not_told(void **state)
{
    struct fixture *f = *state;
    start_server(f);
    for (unsigned i = 1; i <= 20; i++) {
        close(open_raw(f));
        RUN_UNTIL(f, f->hints == i);
    }
    assert_int_equal(f->bad_handshakes, 0);
}

static void who_proved_a_key_is_not_told(void **state)
{
    struct fixture *f = *state;
    start_server(f);
    start_client(f);
    RUN_UNTIL(f, f->downs == 2 && f->hints >= 2); /* refused */
    list_key(f, f->node_keys.public_z85);
    RUN_UNTIL(f, f->ups == 1);
    unsigned before = f->hints;
    stop_client(f);
    RUN_UNTIL(f, f->hints > before);
    assert_int_equal(f->bad_handshakes, 0);
}

static void a_message_past_the_limit_cuts_the_peer_off(void **state)
{
    struct fixture *f = *state;
    char *frame = calloc(1, LINK_MESSAGE_MAX + 1);
    start_pair(f);
    assert_int_equal(client_send(f, frame, LINK_MESSAGE_MAX - CURVE_OVERHEAD), 0);
    RUN_UNTIL(f, f->server_frames == 1);
    assert_int_equal(f->server_got_len, LINK_MESSAGE_MAX - CURVE_OVERHEAD);
    assert_int_equal(client_send(f, frame, LINK_MESSAGE_MAX - CURVE_OVERHEAD + 1), 0);
    RUN_UNTIL(f, f->downs == 1);
    assert_int_equal(f->hints, 1);
    RUN_UNTIL(f, f->ups == 2);
    round_trip(f);
    assert_int_equal(f->server_frames, 2);
    free(frame);
}

/* --- losing each other --- */

static void after_the_hint_the_peer_is_unreachable(void **state)
{
    struct fixture *f = *state;
    start_pair(f);
    introduce(f);
    assert_int_equal(server_send(f, "still there", 11), 0);
    stop_client(f);
    RUN_UNTIL(f, f->hints == 1);
    int r;
    while ((r = server_send(f, "?", 1)) == 0) /* libzmq's own thread may be a moment behind */
        patience_run_for(&f->loop, 1);
    assert_int_equal(r, -EHOSTUNREACH);
}

static void a_server_that_comes_back_is_found_again(void **state)
{
    struct fixture *f = *state;
    start_pair(f);
    for (unsigned life = 2; life < 5; life++) {
        introduce(f);
        stop_server(f);
        RUN_UNTIL(f, f->downs >= life - 1);
        assert_int_equal(f->failure, LINK_LOST);
        assert_int_equal(client_send(f, "lost", 4), -EAGAIN);
        link_client_settled(f->client);
        start_server(f);
        RUN_UNTIL(f, f->ups == life);
    }
    round_trip(f);
    assert_string_equal(f->client_got, "echo");
}

/* May be told of a connection that is over by now, on which the word is lost or refused. */
static void try_to_speak(struct fixture *f)
{
    int r = client_send(f, "echo", 4);
    assert_true(r == 0 || r == -EAGAIN);
}

/* Each life of the server ends at another point of the handshake; none may hang or crash. */
static void a_server_may_go_in_the_middle_of_a_handshake(void **state)
{
    struct fixture *f = *state;
    f->echo = true;
    f->at_up = try_to_speak;
    list_key(f, f->node_keys.public_z85);
    start_server(f);
    start_client(f);
    for (unsigned turns = 0; turns < 8; turns++) {
        for (unsigned i = 0; i < turns; i++)
            run_turn(f);
        link_client_settled(f->client);
        stop_server(f);
        start_server(f);
    }
    unsigned before = f->client_frames;
    RUN_UNTIL(f, f->client_frames > before);
}

static void reset_and_try_to_send(struct fixture *f)
{
    link_client_reset(f->client, "it broke the protocol");
    link_client_reset(f->client, "told twice");
    assert_int_equal(client_send(f, "too late", 8), -EAGAIN);
}

static void a_reset_ends_the_connection_and_a_new_one_follows(void **state)
{
    struct fixture *f = *state;
    start_pair(f);
    introduce(f);
    f->at_client_frame = reset_and_try_to_send;
    for (int i = 0; i < 3; i++)
        assert_int_equal(server_send(f, "spoilt", 6), 0);
    RUN_UNTIL(f, f->downs == 1);
    assert_int_equal(f->failure, LINK_LOST);
    assert_string_equal(f->reason, "it broke the protocol");
    assert_int_equal(f->client_frames, 1);
    link_client_reset(f->client, "between two connections");
    RUN_UNTIL(f, f->ups == 2);
    assert_int_equal(f->downs, 1);
    f->at_client_frame = NULL;
    round_trip(f);
}

/* --- being cut off --- */

static void member_seek(void *ctx)
{
    struct member *member = ctx;
    if (member->downs)
        return; /* gone for good, unless the test says otherwise */
    link_client_connect(member->client, member->f->endpoint, member->f->server_keys.public_z85);
}

static void member_up(void *ctx)
{
    struct member *member = ctx;
    struct transport transport = link_client_transport(member->client);
    assert_int_equal(transport_send(&transport, NULL, "hello", 5), 0);
}

static void member_frame(void *ctx, const void *data, size_t len)
{
    struct member *member = ctx;
    (void)data;
    (void)len;
    member->frames++;
}

static void member_down(void *ctx, enum link_failure failure, const char *reason)
{
    struct member *member = ctx;
    (void)reason;
    member->downs++;
    member->failure = failure;
    loop_stop(&member->f->loop); /* as on_seek() */
}

static const struct link_client_events member_events = {.on_seek = member_seek,
        .on_up = member_up,
        .on_frame = member_frame,
        .on_down = member_down};

static void start_member(struct fixture *f, struct member *member)
{
    member->f = f;
    assert_int_equal(keys_generate(&member->keys, NULL), 0);
    list_key(f, member->keys.public_z85);
    assert_int_equal(link_client_create(&f->loop, &env_system, &member->keys, &member_events,
                             member, &member->client, &f->err),
            0);
    RUN_UNTIL(f, member->frames == 1);
}

static void start_members(struct fixture *f)
{
    f->echo = true;
    start_server(f);
    for (unsigned i = 0; i < MEMBERS; i++)
        start_member(f, &f->members[i]);
}

/* All that came in before the call has been read by the server after it. */
static void assert_member_is_well(struct fixture *f, struct member *member)
{
    unsigned before = member->frames;
    struct transport transport = link_client_transport(member->client);
    assert_int_equal(transport_send(&transport, NULL, "echo", 4), 0);
    RUN_UNTIL(f, member->frames > before);
    assert_int_equal(member->downs, 0);
}

static void one_of_three_is_cut_and_the_others_speak_on(void **state)
{
    struct fixture *f = *state;
    start_members(f);
    link_server_cut(f->server, &f->members[1].peer);
    RUN_UNTIL(f, f->members[1].downs == 1 && f->hints == 1);
    assert_int_equal(f->members[1].failure, LINK_LOST);
    assert_int_equal(f->members[1].frames, 1); /* the frame that asked was empty */
    assert_member_is_well(f, &f->members[0]);
    assert_member_is_well(f, &f->members[2]);
    link_server_cut(f->server, &f->members[1].peer); /* gone already */
    assert_member_is_well(f, &f->members[0]);
    assert_member_is_well(f, &f->members[2]);
    assert_int_equal(f->hints, 1);
}

/* The first test client says nothing by itself; whoever has spoken may be silent. */
static void who_never_says_a_word_is_cut(void **state)
{
    struct fixture *f = *state;
    list_key(f, f->node_keys.public_z85);
    start_server(f);
    start_client(f);
    RUN_UNTIL(f, f->ups == 1);
    uint64_t begin_ms = uv_hrtime() / 1000000;
    RUN_UNTIL(f, f->downs == 1);
    assert_int_equal(f->failure, LINK_LOST);
    assert_true(uv_hrtime() / 1000000 - begin_ms + 1000 >= LINK_SPEAK_MS);
}

static void out_of_descriptors_a_peer_is_cut_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit, none;
    start_members(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = STDERR_FILENO + 1, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    link_server_cut(f->server, &f->members[1].peer);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    RUN_UNTIL(f, f->members[1].downs == 1);
    assert_member_is_well(f, &f->members[0]);
}

/* The descriptor of a peer that has gone is another's by now. */
static void a_descriptor_that_another_speaks_on_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct link_peer gone;
    start_members(f);
    gone = f->members[1].peer;
    link_client_destroy(f->members[1].client);
    f->members[1].client = NULL;
    RUN_UNTIL(f, f->hints == 1);
    gone.fd = f->members[0].peer.fd;
    link_server_cut(f->server, &gone);
    assert_member_is_well(f, &f->members[0]);
    gone.fd = -1;
    link_server_cut(f->server, &gone);
    gone.fd = FDS_SCANNED; /* nobody was ever seen there */
    link_server_cut(f->server, &gone);
    assert_member_is_well(f, &f->members[0]);
    assert_member_is_well(f, &f->members[2]);
}

static in_port_t port_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_in address = {.sin_family = AF_UNSPEC};
    socklen_t size = sizeof(address);
    if (name(fd, (struct sockaddr *)&address, &size) || address.sin_family != AF_INET)
        return 0;
    return address.sin_port;
}

/* The server's end of the one connection it has; our own end is in this process too. */
static int server_side_fd(struct fixture *f)
{
    unsigned port = 0;
    assert_int_equal(sscanf(f->endpoint, "tcp://127.0.0.1:%u", &port), 1);
    for (int fd = 0; fd < FDS_SCANNED; fd++)
        if (ntohs(port_of(fd, getsockname)) == port && port_of(fd, getpeername))
            return fd;
    fail();
    return -1;
}

/* Takes every number below `wanted`, so that the next descriptor gets that one. */
static void fill_up_to(int wanted)
{
    int fd;
    do
        assert_true((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    while (fd < wanted);
    assert_int_equal(fd, wanted);
    close(fd);
}

static void free_below(int wanted, const bool was_open[FDS_SCANNED])
{
    for (int fd = 0; fd < wanted; fd++)
        if (!was_open[fd])
            close(fd);
}

/* A peer says one thing and goes; another comes, and gets its descriptor, before the server has
 * read what the first one said. */
static void a_peer_that_goes_before_it_is_heard_costs_nobody_a_connection(void **state)
{
    struct fixture *f = *state;
    struct stranger s;
    bool was_open[FDS_SCANNED];
    char greeting[10]; /* with which libzmq begins */
    list_key(f, f->node_keys.public_z85);
    start_server(f);
    int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    stranger_init(&s);
    stranger_use_keys(&s, &f->node_keys, f->server_keys.public_z85);
    int immediate = 1;
    assert_int_equal(zmq_setsockopt(s.zsock, ZMQ_IMMEDIATE, &immediate, sizeof(immediate)), 0);
    assert_int_equal(zmq_connect(s.zsock, f->endpoint), 0);
    while (zmq_send(s.zsock, "bye", 3, ZMQ_DONTWAIT) < 0) /* no room before the handshake is over */
        patience_run_for(&f->loop, 1);
    int fd = server_side_fd(f);
    zmq_close(s.zsock);
    zmq_ctx_term(s.zmq_context);
    while (fcntl(fd, F_GETFD) >= 0)
        sched_yield();
    for (int i = 0; i < FDS_SCANNED; i++)
        was_open[i] = fcntl(i, F_GETFD) >= 0;
    fill_up_to(fd);
    connect_raw(f, raw);
    assert_int_equal(recv(raw, greeting, sizeof(greeting), MSG_WAITALL), sizeof(greeting));
    assert_int_equal(server_side_fd(f), fd);
    RUN_UNTIL(f, f->server_frames == 1);
    assert_int_equal(f->peer.fd, fd);
    link_server_cut(f->server, &f->peer);
    assert_int_equal(recv(raw, greeting, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    free_below(fd, was_open);
    close(raw);
}

/* --- many frames --- */

static void write_numbered(
        struct flow *flow, struct fixture *f, int (*send)(struct fixture *, const void *, size_t))
{
    unsigned char frame[FLOOD_FRAME_BYTES] = {0};
    for (; flow->sent < FLOOD_FRAMES; flow->sent++) {
        memcpy(frame, &flow->sent, sizeof(flow->sent));
        int r = send(f, frame, sizeof(frame));
        if (r) {
            assert_int_equal(r, -EAGAIN);
            flow->refusals++;
            return;
        }
    }
}

static void check_number(struct flow *flow, const char *got)
{
    unsigned number;
    memcpy(&number, got, sizeof(number));
    assert_int_equal(number, flow->received);
    flow->received++;
}

static void check_at_server(struct fixture *f)
{
    check_number(&f->up_flow, f->server_got);
}

static void check_at_client(struct fixture *f)
{
    check_number(&f->down_flow, f->client_got);
}

/* Sends from the hook, as daemons do, so that sending eats wake-ups right before the wait. */
static void flood(void *ctx)
{
    struct fixture *f = ctx;
    write_numbered(&f->up_flow, f, client_send);
    write_numbered(&f->down_flow, f, server_send);
}

/* Nothing but frames may wake the loop: a wake-up that is lost shows as a test that hangs. */
static void thousands_of_frames_each_way_arrive_in_order(void **state)
{
    struct fixture *f = *state;
    start_pair(f);
    introduce(f);
    f->at_server_frame = check_at_server;
    f->at_client_frame = check_at_client;
    loop_hook_add(&f->loop, &f->hook, flood, f);
    RUN_UNTIL(f, f->up_flow.received == FLOOD_FRAMES && f->down_flow.received == FLOOD_FRAMES);
    loop_hook_remove(&f->hook);
    assert_true(f->up_flow.refusals > 0);
    assert_true(f->down_flow.refusals > 0);
    assert_int_equal(f->downs, 0);
}

/* --- destroying from callbacks --- */

static void client_may_be_destroyed_when_it_seeks(void **state)
{
    struct fixture *f = *state;
    f->at_seek = stop_client;
    create_client(f);
    RUN_UNTIL(f, f->seeks == 1);
    patience_run_for(&f->loop, 2 * LINK_RETRY_MIN_MS);
    assert_int_equal(f->seeks, 1);
}

static void client_may_be_destroyed_when_it_comes_up(void **state)
{
    struct fixture *f = *state;
    f->at_up = stop_client;
    start_pair(f);
    RUN_UNTIL(f, f->hints == 1);
    assert_null(f->client);
}

static void client_may_be_destroyed_at_a_frame(void **state)
{
    struct fixture *f = *state;
    f->at_client_frame = stop_client;
    start_pair(f);
    introduce(f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(server_send(f, "bye", 3), 0);
    RUN_UNTIL(f, f->hints == 1);
    assert_int_equal(f->client_frames, 1);
    assert_int_equal(f->downs, 0);
}

static void client_may_be_destroyed_when_it_goes_down(void **state)
{
    struct fixture *f = *state;
    f->at_down = stop_client;
    start_server(f);
    start_client(f);
    RUN_UNTIL(f, f->downs == 1);
    patience_run_for(&f->loop, 2 * LINK_RETRY_MIN_MS);
    assert_int_equal(f->downs, 1);
    assert_int_equal(f->asked, 1);
}

static void server_may_be_destroyed_at_a_frame(void **state)
{
    struct fixture *f = *state;
    f->at_server_frame = stop_server;
    start_pair(f);
    assert_int_equal(client_send(f, "one", 3), 0);
    assert_int_equal(client_send(f, "two", 3), 0);
    RUN_UNTIL(f, f->downs == 1);
    assert_int_equal(f->server_frames, 1);
}

static void server_may_be_destroyed_at_a_hint(void **state)
{
    struct fixture *f = *state;
    f->at_hint = stop_server;
    start_pair(f);
    stop_client(f);
    RUN_UNTIL(f, f->hints == 1);
    assert_null(f->server);
}

/* --- what cannot be --- */

static void a_bad_address_is_told(void **state)
{
    struct fixture *f = *state;
    static const char *const endpoints[] = {
            "", "nonsense", "tcp://", "tcp://127.0.0.1:port", "udp://127.0.0.1:1"};
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        assert_int_equal(start_server_at(f, endpoints[i]), -EINVAL);
        assert_non_null(strstr(f->err.text, endpoints[i]));
        snprintf(f->endpoint, sizeof(f->endpoint), "%s", endpoints[i]);
        f->at_down = stop_client;
        start_client(f);
        RUN_UNTIL(f, f->downs == i + 1);
        assert_int_equal(f->failure, LINK_UNREACHABLE);
        assert_non_null(strstr(f->reason, endpoints[i]));
    }
    assert_null(f->server);
    assert_null(f->client);
}

static void a_port_in_use_is_told(void **state)
{
    struct fixture *f = *state;
    int fd = start_listener(f);
    assert_int_equal(start_server_at(f, f->endpoint), -EADDRINUSE);
    assert_non_null(strstr(f->err.text, f->endpoint));
    close(fd);
    start_server(f);
}

static void connect_in_vain(struct fixture *f)
{
    connect_client(f);
    assert_int_equal(f->downs, 0); /* not from inside the call */
}

static void a_server_key_that_is_none_is_told_and_may_be_mended(void **state)
{
    struct fixture *f = *state;
    list_key(f, f->node_keys.public_z85);
    start_server(f);
    f->expected_key = "short";
    f->at_seek = connect_in_vain;
    create_client(f);
    RUN_UNTIL(f, f->downs == 1);
    f->at_seek = connect_client;
    assert_int_equal(f->failure, LINK_UNREACHABLE);
    assert_non_null(strstr(f->reason, "short"));
    f->expected_key = f->server_keys.public_z85;
    RUN_UNTIL(f, f->ups == 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(a_listed_key_gets_in_and_frames_go_both_ways),
            TEST(the_endpoint_names_the_port),
            TEST(two_connections_of_one_key_are_told_apart),
            TEST(an_unlisted_key_is_refused_until_it_is_listed),
            TEST(a_server_with_another_key_is_not_believed),
            TEST(where_nobody_listens_the_waits_grow_until_somebody_does),
            TEST(a_listener_that_never_speaks_is_given_up),
            TEST(a_listener_that_speaks_something_else_is_no_link),
            TEST(told_to_wait_it_asks_again_after_longer_and_longer),
            TEST(in_a_hurry_it_does_not_wait),
            TEST(the_answer_may_come_later),
            TEST(another_key_pair_holds_from_the_next_connection_on),
            TEST(an_empty_frame_is_not_told),
            TEST(a_peer_that_chose_its_routing_id_is_dropped),
            TEST(a_message_of_two_parts_is_dropped_and_the_next_is_not),
            TEST(a_peer_without_encryption_is_refused),
            TEST(a_handshake_without_curve_is_told),
            TEST(a_garbled_handshake_is_told),
            TEST(what_speaks_something_else_is_told),
            TEST(a_handshake_that_is_never_done_is_told),
            TEST(who_hangs_up_by_itself_is_not_told),
            TEST(who_proved_a_key_is_not_told),
            TEST(a_message_past_the_limit_cuts_the_peer_off),
            TEST(after_the_hint_the_peer_is_unreachable),
            TEST(a_server_that_comes_back_is_found_again),
            TEST(a_server_may_go_in_the_middle_of_a_handshake),
            TEST(a_reset_ends_the_connection_and_a_new_one_follows),
            TEST(one_of_three_is_cut_and_the_others_speak_on),
            TEST(who_never_says_a_word_is_cut),
            TEST(out_of_descriptors_a_peer_is_cut_all_the_same),
            TEST(a_descriptor_that_another_speaks_on_is_left_alone),
            TEST(a_peer_that_goes_before_it_is_heard_costs_nobody_a_connection),
            TEST(thousands_of_frames_each_way_arrive_in_order),
            TEST(client_may_be_destroyed_when_it_seeks),
            TEST(client_may_be_destroyed_when_it_comes_up),
            TEST(client_may_be_destroyed_at_a_frame),
            TEST(client_may_be_destroyed_when_it_goes_down),
            TEST(server_may_be_destroyed_at_a_frame),
            TEST(server_may_be_destroyed_at_a_hint),
            TEST(a_bad_address_is_told),
            TEST(a_port_in_use_is_told),
            TEST(a_server_key_that_is_none_is_told_and_may_be_mended),
    };
    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
