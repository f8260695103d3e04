#include "common/link/tunnel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/list.h"
#include "tests/lib/patience.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EPOCH = 9,
    PATIENCE_MS = 30 * 1000,
    KI = 1024,
    MI = 1024 * KI,
    SMALL_BUFFER = 4 * KI, /* of a socket that is to be full soon; the kernel makes more of it */
    QUIET_TURNS = 50,
    TALKS_MAX = 100,
};

/* The two ends of a link: the node's set makes tunnels, the coordinator's follows. */
enum side_name { NODE, COORDINATOR, SIDES };

enum kind { OPEN, DATA, CREDIT, CLOSE, KINDS };

struct message {
    struct list link;
    enum side_name to;
    enum kind kind;
    uint64_t id;
    uint32_t amount;
    size_t len;
    char data[TUNNEL_PIECE_MAX];
};

struct side {
    struct scene *scene;
    enum side_name name;
    struct tunnel_set *set;
    bool choked;
    int asked;        /* how often it was asked for room */
    int sent[KINDS];  /* messages */
    uint64_t last_id; /* of what it was told or told last */
};

/* What each side may still send in the tunnel of one index. */
struct account {
    uint64_t id;
    uint64_t may[SIDES];
};

struct scene {
    struct loop loop;
    struct loop_timer *patience, *delivery;
    struct side sides[SIDES];
    struct list wire;
    bool holds[KINDS]; /* messages of this kind stay on the wire */
    bool small;        /* small buffers in the sockets */
    struct account accounts[TUNNELS_MAX + 1];
    int servers[TALKS_MAX]; /* the far ends of the coordinator's sockets */
    size_t server_count;
};

/* --- the link --- */

static struct account *account_of(struct scene *s, uint64_t id)
{
    size_t index = id & UINT16_MAX;
    assert_true(index <= TUNNELS_MAX);
    struct account *account = &s->accounts[index];
    assert_int_equal(account->id, id);
    return account;
}

static void set_buffers(int fd)
{
    const int size = SMALL_BUFFER;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
}

static void make_pair(const struct scene *s, int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (s->small) {
        set_buffers(fds[0]);
        set_buffers(fds[1]);
    }
}

static void take_open(struct side *side, const struct message *message)
{
    struct scene *s = side->scene;
    int fds[2];
    make_pair(s, fds);
    assert_true(s->server_count < TALKS_MAX);
    s->servers[s->server_count++] = fds[1];
    assert_int_equal(tunnel_set_accept(side->set, message->id, message->amount, fds[0]), 0);
}

static void deliver(struct side *side, const struct message *message)
{
    switch (message->kind) {
    case OPEN:
        take_open(side, message);
        break;
    case DATA:
        assert_int_equal(
                tunnel_set_on_data(side->set, message->id, message->data, message->len), 0);
        break;
    case CREDIT:
        assert_int_equal(tunnel_set_on_credit(side->set, message->id, message->amount), 0);
        break;
    default:
        tunnel_set_on_close(side->set, message->id);
        break;
    }
}

static void on_delivery(void *ctx)
{
    struct scene *s = ctx;
    list_for_each_safe (it, &s->wire) {
        struct message *message = list_entry(it, struct message, link);
        if (s->holds[message->kind])
            continue;
        list_del(&message->link);
        deliver(&s->sides[message->to], message);
        free(message);
    }
}

static void drop_wire(struct scene *s)
{
    list_for_each_safe (it, &s->wire)
        free(list_entry(it, struct message, link));
    list_init(&s->wire);
}

static struct message *put_on_wire(struct side *side, enum kind kind, uint64_t id)
{
    struct message *message = calloc(1, sizeof(*message));
    assert_non_null(message);
    message->to = side->name == NODE ? COORDINATOR : NODE;
    message->kind = kind;
    message->id = id;
    list_push_back(&side->scene->wire, &message->link);
    loop_timer_start(side->scene->delivery, 0, 0);
    side->sent[kind]++;
    side->last_id = id;
    return message;
}

static void send_open(void *ctx, uint64_t id, uint32_t window)
{
    struct side *side = ctx;
    assert_int_equal(side->name, NODE);
    assert_int_equal(window, TUNNEL_WINDOW);
    assert_int_equal(id >> 32, EPOCH);
    side->scene->accounts[id & UINT16_MAX] =
            (struct account){.id = id, .may = {TUNNEL_WINDOW, window}};
    put_on_wire(side, OPEN, id)->amount = window;
}

static void send_data(void *ctx, uint64_t id, const void *data, size_t len)
{
    struct side *side = ctx;
    struct account *account = account_of(side->scene, id);
    assert_false(side->choked);
    assert_in_range(len, 1, TUNNEL_PIECE_MAX);
    assert_true(len <= account->may[side->name]);
    account->may[side->name] -= len;
    struct message *message = put_on_wire(side, DATA, id);
    message->len = len;
    memcpy(message->data, data, len);
}

static void send_credit(void *ctx, uint64_t id, uint32_t bytes)
{
    struct side *side = ctx;
    struct account *account = account_of(side->scene, id);
    enum side_name other = side->name == NODE ? COORDINATOR : NODE;
    account->may[other] += bytes;
    assert_in_range(bytes, 1, TUNNEL_WINDOW);
    assert_true(account->may[other] <= TUNNEL_WINDOW);
    put_on_wire(side, CREDIT, id)->amount = bytes;
}

static void send_close(void *ctx, uint64_t id)
{
    (void)put_on_wire(ctx, CLOSE, id);
}

static bool has_room(void *ctx)
{
    struct side *side = ctx;
    side->asked++;
    return !side->choked;
}

static const struct tunnel_events events = {
        send_open, send_data, send_credit, send_close, has_room};

/* --- the scene --- */

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    if (!s || loop_init(&s->loop) < 0)
        return -1;
    *state = s;
    list_init(&s->wire);
    s->patience = patience_start(&s->loop, PATIENCE_MS);
    s->delivery = loop_timer_create(&s->loop, on_delivery, s);
    for (int i = 0; i < SIDES; i++) {
        struct side *side = &s->sides[i];
        side->scene = s;
        side->name = (enum side_name)i;
        side->set = tunnel_set_create(&s->loop, EPOCH, &events, side);
        if (!side->set)
            return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < SIDES; i++)
        tunnel_set_destroy(s->sides[i].set);
    for (size_t i = 0; i < s->server_count; i++) {
        if (s->servers[i] >= 0)
            close(s->servers[i]);
    }
    drop_wire(s);
    loop_timer_destroy(s->delivery);
    loop_timer_destroy(s->patience);
    loop_fini(&s->loop);
    free(s);
    return 0;
}

static void turn(struct scene *s)
{
    uv_run(&s->loop.uv, UV_RUN_NOWAIT);
}

static void turns(struct scene *s, int count)
{
    for (int i = 0; i < count; i++)
        turn(s);
}

static size_t count_of(const struct scene *s, enum side_name name)
{
    return tunnel_set_count(s->sides[name].set);
}

static int listen_on_loopback(struct sockaddr_in *ret_addr)
{
    socklen_t size = sizeof(*ret_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret_addr =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (const struct sockaddr *)ret_addr, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_addr, &size), 0);
    return fd;
}

/* An editor's connection: the first is the node's end. */
static void make_connection(const struct scene *s, int fds[2])
{
    struct sockaddr_in addr;
    int listener = listen_on_loopback(&addr);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->small) { /* before the connection, so that its window is small */
        set_buffers(listener);
        set_buffers(fds[1]);
    }
    assert_int_equal(connect(fds[1], (const struct sockaddr *)&addr, sizeof(addr)), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[0] >= 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    close(listener);
}

/* --- who talks through a tunnel --- */

/* One end: says `to_say` bytes that depend on its seed, and hears those of the other's. */
struct mouth {
    int fd;
    size_t seed, other_seed;
    size_t to_say, said, heard;
    bool ended;
    int failure; /* errno of the last read or write, 0 */
};

struct talk {
    struct mouth editor, server;
};

static char byte_at(size_t seed, size_t offset)
{
    return (char)(offset * 31 + offset / 256 * 7 + seed * 13);
}

static void say(struct mouth *mouth)
{
    char piece[4 * KI];
    while (mouth->said < mouth->to_say) {
        size_t len = mouth->to_say - mouth->said;
        len = len < sizeof(piece) ? len : sizeof(piece);
        for (size_t i = 0; i < len; i++)
            piece[i] = byte_at(mouth->seed, mouth->said + i);
        ssize_t n = send(mouth->fd, piece, len, MSG_NOSIGNAL);
        if (n < 0) {
            mouth->failure = errno == EAGAIN ? mouth->failure : errno;
            return;
        }
        mouth->said += (size_t)n;
    }
}

static void hear_at_most(struct mouth *mouth, size_t max)
{
    char piece[4 * KI];
    ssize_t n;
    for (; max > 0; max -= (size_t)n) {
        n = recv(mouth->fd, piece, max < sizeof(piece) ? max : sizeof(piece), 0);
        if (n < 0 && errno != EAGAIN)
            mouth->failure = errno;
        mouth->ended |= n == 0;
        if (n <= 0)
            return;
        for (size_t i = 0; i < (size_t)n; i++) {
            if (piece[i] != byte_at(mouth->other_seed, mouth->heard + i))
                fail_msg("byte %zu of seed %zu is wrong", mouth->heard + i, mouth->other_seed);
        }
        mouth->heard += (size_t)n;
    }
}

static void hear(struct mouth *mouth)
{
    hear_at_most(mouth, SIZE_MAX);
}

static void shut(struct scene *s, struct mouth *mouth)
{
    for (size_t i = 0; i < s->server_count; i++) {
        if (s->servers[i] == mouth->fd)
            s->servers[i] = -1;
    }
    close(mouth->fd);
    mouth->fd = -1;
}

static void begin(struct scene *s, struct talk *talk, size_t seed)
{
    int fds[2];
    size_t before = s->server_count;
    make_connection(s, fds);
    assert_int_equal(tunnel_set_open(s->sides[NODE].set, fds[0]), 0);
    while (s->server_count == before)
        turn(s);
    *talk = (struct talk){.editor = {.fd = fds[1], .seed = seed, .other_seed = seed + 1},
            .server = {.fd = s->servers[before], .seed = seed + 1, .other_seed = seed}};
}

static void speak_all(struct scene *s, struct talk *talk)
{
    say(&talk->editor);
    say(&talk->server);
    hear(&talk->editor);
    hear(&talk->server);
    turn(s);
}

static bool is_said(const struct talk *talk)
{
    return talk->editor.heard == talk->server.to_say && talk->server.heard == talk->editor.to_say;
}

static void finish(struct scene *s, struct talk *talk)
{
    shut(s, &talk->editor);
    while (!talk->server.ended) {
        hear(&talk->server);
        turn(s);
    }
    shut(s, &talk->server);
    while (count_of(s, NODE) + count_of(s, COORDINATOR) > 0)
        turn(s);
}

/* --- tests: flow --- */

static void bytes_go_both_ways(void **state)
{
    struct scene *s = *state;
    struct talk talk;
    begin(s, &talk, 1);
    assert_int_equal(count_of(s, NODE), 1);
    assert_int_equal(count_of(s, COORDINATOR), 1);
    talk.editor.to_say = 3 * MI + 1;
    talk.server.to_say = 4 * MI + 77;
    while (!is_said(&talk))
        speak_all(s, &talk);
    finish(s, &talk);
    assert_int_equal(s->sides[NODE].sent[CLOSE] + s->sides[COORDINATOR].sent[CLOSE], 1);
}

static void many_tunnels_at_once(void **state)
{
    static struct talk talks[TALKS_MAX];
    struct scene *s = *state;
    size_t left = TALKS_MAX;
    for (size_t i = 0; i < TALKS_MAX; i++) {
        begin(s, &talks[i], 2 * i);
        talks[i].editor.to_say = 1 + i * 1001 % (96 * KI);
        talks[i].server.to_say = 1 + i * 7919 % (160 * KI);
    }
    while (left > 0) {
        left = 0;
        for (size_t i = 0; i < TALKS_MAX; i++) {
            speak_all(s, &talks[i]);
            left += !is_said(&talks[i]);
        }
    }
    for (size_t i = 0; i < TALKS_MAX; i++)
        shut(s, &talks[i].editor);
    while (count_of(s, NODE) + count_of(s, COORDINATOR) > 0)
        turn(s);
    for (size_t i = 0; i < TALKS_MAX; i++) {
        hear(&talks[i].server);
        assert_true(talks[i].server.ended);
    }
}

static void slow_reader_stops_only_its_own_tunnel(void **state)
{
    struct scene *s = *state;
    struct talk slow, swift;
    s->small = true;
    begin(s, &slow, 1);
    begin(s, &swift, 3);
    slow.server.to_say = swift.server.to_say = 2 * MI;
    while (swift.editor.heard < swift.server.to_say) {
        say(&slow.server);
        speak_all(s, &swift);
    }
    /* A window, and what four small buffers hold. */
    assert_in_range(slow.server.said, TUNNEL_WINDOW, 6 * TUNNEL_WINDOW);
    while (slow.editor.heard < slow.server.to_say) {
        say(&slow.server);
        hear_at_most(&slow.editor, 3000);
        turn(s);
    }
    close(slow.editor.fd);
    close(swift.editor.fd);
}

static void nothing_is_read_without_credit(void **state)
{
    struct scene *s = *state;
    struct talk talk;
    begin(s, &talk, 1);
    s->holds[CREDIT] = true;
    talk.editor.to_say = MI;
    for (int i = 0; i < QUIET_TURNS; i++) {
        say(&talk.editor);
        hear(&talk.server);
        turn(s);
    }
    assert_int_equal(talk.server.heard, TUNNEL_WINDOW);
    s->holds[CREDIT] = false;
    loop_timer_start(s->delivery, 0, 0);
    while (!is_said(&talk))
        speak_all(s, &talk);
    close(talk.editor.fd);
}

static void without_room_sockets_rest_until_the_pump(void **state)
{
    struct scene *s = *state;
    struct side *node = &s->sides[NODE];
    struct talk talks[2];
    begin(s, &talks[0], 1);
    begin(s, &talks[1], 3);
    tunnel_set_pump(node->set);
    node->choked = true;
    for (int i = 0; i < 2; i++) {
        talks[i].editor.to_say = 20000;
        say(&talks[i].editor);
    }
    turns(s, QUIET_TURNS);
    assert_int_equal(node->asked, 1);
    assert_int_equal(node->sent[DATA], 0);

    tunnel_set_pump(node->set); /* too early: it asks once more and rests again */
    turns(s, QUIET_TURNS);
    assert_int_equal(node->asked, 2);
    talks[0].server.to_say = 5000; /* the other direction goes on */
    while (talks[0].editor.heard < 5000)
        speak_all(s, &talks[0]);

    node->choked = false;
    turns(s, QUIET_TURNS);
    assert_int_equal(node->sent[DATA], 0);
    tunnel_set_pump(node->set);
    for (int i = 0; i < 2; i++) {
        while (!is_said(&talks[i]))
            speak_all(s, &talks[i]);
        close(talks[i].editor.fd);
    }
}

static void tunnel_made_without_room_rests_too(void **state)
{
    struct scene *s = *state;
    struct side *node = &s->sides[NODE];
    struct talk first, second;
    begin(s, &first, 1);
    node->choked = true;
    first.editor.to_say = 1;
    say(&first.editor);
    turns(s, QUIET_TURNS);
    begin(s, &second, 3);
    second.editor.to_say = 1;
    say(&second.editor);
    turns(s, QUIET_TURNS);
    assert_int_equal(node->asked, 1);
    node->choked = false;
    tunnel_set_pump(node->set);
    while (!is_said(&first) || !is_said(&second)) {
        speak_all(s, &first);
        speak_all(s, &second);
    }
    close(first.editor.fd);
    close(second.editor.fd);
}

/* --- tests: the end of a tunnel --- */

static void close_of_an_editor_delivers_what_it_sent(void **state)
{
    struct scene *s = *state;
    struct talk talk;
    s->small = true;
    begin(s, &talk, 1);
    talk.editor.to_say = 200 * KI;
    while (talk.editor.said < talk.editor.to_say) {
        say(&talk.editor);
        hear_at_most(&talk.server, 1000);
        turn(s);
    }
    assert_true(talk.server.heard < talk.editor.to_say);
    shut(s, &talk.editor);
    while (!talk.server.ended) {
        hear_at_most(&talk.server, 1000);
        turn(s);
    }
    assert_int_equal(talk.server.heard, talk.editor.to_say);
    assert_int_equal(count_of(s, NODE) + count_of(s, COORDINATOR), 0);
}

static void close_of_a_server_delivers_what_it_sent(void **state)
{
    struct scene *s = *state;
    struct talk talk;
    s->small = true;
    begin(s, &talk, 1);
    talk.server.to_say = 200 * KI;
    while (talk.server.said < talk.server.to_say) {
        say(&talk.server);
        hear_at_most(&talk.editor, 1000);
        turn(s);
    }
    shut(s, &talk.server);
    while (!talk.editor.ended) {
        hear_at_most(&talk.editor, 1000);
        turn(s);
    }
    assert_int_equal(talk.editor.heard, talk.server.to_say);
    assert_int_equal(count_of(s, NODE) + count_of(s, COORDINATOR), 0);
    close(talk.editor.fd);
}

static void reset_by_an_editor_closes_the_tunnel(void **state)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct scene *s = *state;
    struct talk talk;
    begin(s, &talk, 1);
    talk.editor.to_say = talk.server.to_say = 100;
    while (!is_said(&talk))
        speak_all(s, &talk);
    assert_int_equal(setsockopt(talk.editor.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    finish(s, &talk);
    assert_int_equal(s->sides[NODE].sent[CLOSE], 1);
    assert_int_equal(s->sides[COORDINATOR].sent[CLOSE], 0);
}

static void close_of_both_at_once(void **state)
{
    struct scene *s = *state;
    struct talk talk;
    begin(s, &talk, 1);
    s->holds[CLOSE] = true;
    shut(s, &talk.editor);
    shut(s, &talk.server);
    while (count_of(s, NODE) + count_of(s, COORDINATOR) > 0)
        turn(s);
    s->holds[CLOSE] = false;
    loop_timer_start(s->delivery, 0, 0);
    while (!list_empty(&s->wire))
        turn(s);
    assert_int_equal(s->sides[NODE].sent[CLOSE], 1);
    assert_int_equal(s->sides[COORDINATOR].sent[CLOSE], 1);
}

static void late_data_for_a_closed_tunnel_is_dropped(void **state)
{
    struct scene *s = *state;
    struct talk talk, next;
    begin(s, &talk, 1);
    s->holds[CLOSE] = true; /* the editor does not yet know */
    shut(s, &talk.server);
    while (count_of(s, COORDINATOR) > 0)
        turn(s);
    talk.editor.to_say = 30000;
    say(&talk.editor);
    while (s->sides[NODE].sent[DATA] * TUNNEL_PIECE_MAX < 30000)
        turn(s);
    turns(s, QUIET_TURNS);
    assert_int_equal(s->sides[COORDINATOR].sent[CREDIT], 0);
    s->holds[CLOSE] = false;
    loop_timer_start(s->delivery, 0, 0);
    while (count_of(s, NODE) > 0)
        turn(s);
    close(talk.editor.fd);

    begin(s, &next, 5); /* in the same place of the table */
    next.editor.to_say = next.server.to_say = 1000;
    while (!is_said(&next))
        speak_all(s, &next);
    close(next.editor.fd);
}

/* The server answers without having read all, and leaves while the editor still sends: the answer
 * arrives whole, although nothing can be written to the server any more. */
static void last_words_of_a_server_that_hears_no_more(void **state)
{
    struct scene *s = *state;
    struct side *coordinator = &s->sides[COORDINATOR];
    struct talk talk;
    begin(s, &talk, 1);
    coordinator->choked = true;
    talk.server.to_say = 20000;
    talk.editor.to_say = TUNNEL_WINDOW / 2;
    say(&talk.server);
    assert_int_equal(talk.server.said, 20000);
    while (s->sides[NODE].sent[DATA] == 0) {
        say(&talk.editor);
        turn(s);
    }
    turns(s, QUIET_TURNS);
    shut(s, &talk.server);
    talk.editor.to_say = 3 * TUNNEL_WINDOW;
    while (talk.editor.said < talk.editor.to_say) { /* credit comes for what is dropped */
        say(&talk.editor);
        turn(s);
    }
    coordinator->choked = false;
    tunnel_set_pump(coordinator->set);
    while (!talk.editor.ended && !talk.editor.failure) {
        hear(&talk.editor);
        turn(s);
    }
    assert_int_equal(talk.editor.heard, 20000);
    assert_int_equal(count_of(s, NODE) + count_of(s, COORDINATOR), 0);
    close(talk.editor.fd);
}

/* --- tests: what a peer may do --- */

/* A tunnel of the coordinator's set whose peer is the test; returns the far end of its socket. */
static int follow(struct scene *s, uint64_t id, uint32_t window)
{
    int fds[2];
    make_pair(s, fds);
    s->accounts[id & UINT16_MAX] = (struct account){.id = id, .may = {TUNNEL_WINDOW, window}};
    assert_int_equal(tunnel_set_accept(s->sides[COORDINATOR].set, id, window, fds[0]), 0);
    s->holds[DATA] = s->holds[CREDIT] = s->holds[CLOSE] = true;
    s->servers[s->server_count++] = fds[1];
    return fds[1];
}

static uint64_t id_of(uint64_t generation, uint64_t index)
{
    return (uint64_t)EPOCH << 32 | generation << 16 | index;
}

/* Sends to the set, as the peer, until its socket and its window are full. Returns how much. */
static size_t fill(struct scene *s, uint64_t id)
{
    static const char piece[KI];
    struct account *account = account_of(s, id);
    size_t sum = 0;
    while (account->may[NODE] > 0) {
        size_t len = account->may[NODE] < sizeof(piece) ? account->may[NODE] : sizeof(piece);
        account->may[NODE] -= len;
        sum += len;
        assert_int_equal(tunnel_set_on_data(s->sides[COORDINATOR].set, id, piece, len), 0);
        turn(s);
    }
    return sum;
}

static size_t drain(int fd)
{
    char piece[KI];
    size_t sum = 0;
    ssize_t n;
    while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
        sum += (size_t)n;
    return sum;
}

static void overspending_is_noticed(void **state)
{
    static const char piece[TUNNEL_WINDOW + 1];
    struct scene *s = *state;
    struct tunnel_set *set = s->sides[COORDINATOR].set;
    uint64_t id = id_of(0, 3);
    s->small = true;
    int fd = follow(s, id, 0);
    assert_int_equal(tunnel_set_on_data(set, id, piece, sizeof(piece)), -EPROTO);
    assert_int_equal(tunnel_set_on_data(set, id, piece, 0), 0);
    assert_in_range(fill(s, id), TUNNEL_WINDOW, 2 * TUNNEL_WINDOW);
    assert_int_equal(tunnel_set_on_data(set, id, piece, 1), -EPROTO);
    while (account_of(s, id)->may[NODE] == 0) { /* what the socket takes comes back as credit */
        drain(fd);
        turn(s);
    }
    assert_true(fill(s, id) > 0);
    assert_int_equal(tunnel_set_on_data(set, id, piece, 1), -EPROTO);
}

static void hostile_grants_are_noticed(void **state)
{
    struct scene *s = *state;
    struct tunnel_set *set = s->sides[COORDINATOR].set;
    uint64_t id = id_of(0, 3);
    (void)follow(s, id, 1);
    assert_int_equal(tunnel_set_on_credit(set, id, UINT32_MAX), -EPROTO);
    assert_int_equal(tunnel_set_on_credit(set, id, UINT32_MAX - 1), 0);
    assert_int_equal(tunnel_set_on_credit(set, id, 1), -EPROTO);
    assert_int_equal(tunnel_set_on_credit(set, id, 0), 0);
}

static void only_what_was_granted_is_sent(void **state)
{
    struct scene *s = *state;
    struct side *coordinator = &s->sides[COORDINATOR];
    uint64_t id = id_of(0, 3);
    int fd = follow(s, id, 0);
    assert_int_equal(send(fd, "0123456789", 10, MSG_NOSIGNAL), 10);
    turns(s, QUIET_TURNS);
    assert_int_equal(coordinator->sent[DATA], 0);
    s->accounts[3].may[COORDINATOR] = 7;
    assert_int_equal(tunnel_set_on_credit(coordinator->set, id, 7), 0);
    turns(s, QUIET_TURNS);
    assert_int_equal(s->accounts[3].may[COORDINATOR], 0);
    assert_int_equal(coordinator->sent[DATA], 1);
    /* The close waits for credit too, since it comes after all data. */
    shutdown(fd, SHUT_RDWR);
    turns(s, QUIET_TURNS);
    assert_int_equal(coordinator->sent[CLOSE], 0);
    s->accounts[3].may[COORDINATOR] = 100;
    assert_int_equal(tunnel_set_on_credit(coordinator->set, id, 100), 0);
    while (coordinator->sent[CLOSE] == 0)
        turn(s);
    assert_int_equal(s->accounts[3].may[COORDINATOR], 97);
}

static void unknown_ids_do_nothing(void **state)
{
    static const uint64_t strange[] = {0, UINT64_MAX, (uint64_t)EPOCH << 32 | 4,
            (uint64_t)EPOCH << 32 | 1 << 16 | 3, (uint64_t)(EPOCH + 1) << 32 | 3};
    struct scene *s = *state;
    struct tunnel_set *set = s->sides[COORDINATOR].set;
    int fd = follow(s, id_of(0, 3), 0);
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        assert_int_equal(tunnel_set_on_data(set, strange[i], "x", 1), 0);
        assert_int_equal(tunnel_set_on_credit(set, strange[i], UINT32_MAX), 0);
        tunnel_set_on_close(set, strange[i]);
    }
    turns(s, QUIET_TURNS);
    assert_int_equal(tunnel_set_count(set), 1);
    assert_int_equal(drain(fd), 0);
    assert_true(list_empty(&s->wire));
}

static bool is_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) == 0;
}

static void refuses(struct scene *s, uint64_t id, int code)
{
    int fds[2];
    make_pair(s, fds);
    size_t before = count_of(s, COORDINATOR);
    assert_int_equal(tunnel_set_accept(s->sides[COORDINATOR].set, id, 1, fds[0]), code);
    assert_true(is_closed(fds[1]));
    close(fds[1]);
    assert_int_equal(count_of(s, COORDINATOR), before);
}

static void ids_that_cannot_be_are_refused(void **state)
{
    struct scene *s = *state;
    (void)follow(s, id_of(0, 3), 0);
    refuses(s, (uint64_t)(EPOCH + 1) << 32 | 4, -EPROTO);
    refuses(s, 4, -EPROTO);
    refuses(s, id_of(0, STREAM_TABLE_MAX), -EPROTO);
    refuses(s, id_of(0, 3), -EEXIST);
    refuses(s, id_of(1, 3), -EEXIST);
    assert_true(list_empty(&s->wire));
}

static void refuses_what_is_no_socket(void **state)
{
    struct scene *s = *state;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(tunnel_set_open(s->sides[NODE].set, fd), -ENOMEM);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(count_of(s, NODE), 0);
    assert_true(list_empty(&s->wire));
}

/* The far ends are closed at once: the loop does not run here, so that nobody notices. */
static void tunnels_have_a_limit(void **state)
{
    struct scene *s = *state;
    int fds[2];
    for (uint64_t i = 0; i < TUNNELS_MAX; i++) {
        make_pair(s, fds);
        close(fds[1]);
        assert_int_equal(tunnel_set_accept(s->sides[COORDINATOR].set, id_of(0, i), 1, fds[0]), 0);
    }
    assert_int_equal(count_of(s, COORDINATOR), TUNNELS_MAX);
    refuses(s, id_of(0, TUNNELS_MAX), -ENFILE);
    tunnel_set_on_close(s->sides[COORDINATOR].set, id_of(0, 5));
    (void)follow(s, id_of(1, 5), 0);
    make_pair(s, fds);
    assert_int_equal(tunnel_set_open(s->sides[COORDINATOR].set, fds[0]), -ENFILE);
    assert_true(is_closed(fds[1]));
    close(fds[1]);
}

static void id_is_free_while_the_rest_is_delivered(void **state)
{
    struct scene *s = *state;
    struct side *coordinator = &s->sides[COORDINATOR];
    s->small = true;
    int old = follow(s, id_of(0, 3), 0);
    size_t sent = fill(s, id_of(0, 3));
    tunnel_set_on_close(coordinator->set, id_of(0, 3));
    tunnel_set_on_close(coordinator->set, id_of(0, 3));
    int new = follow(s, id_of(1, 3), 0);
    assert_int_equal(count_of(s, COORDINATOR), 2);
    int credits = coordinator->sent[CREDIT];
    assert_int_equal(tunnel_set_on_data(coordinator->set, id_of(1, 3), "new", 3), 0);
    assert_int_equal(drain(new), 3);

    size_t got = 0;
    while (count_of(s, COORDINATOR) == 2) {
        got += drain(old);
        turn(s);
    }
    got += drain(old);
    assert_int_equal(got, sent);
    assert_true(is_closed(old));
    assert_int_equal(coordinator->sent[CREDIT], credits);
    assert_int_equal(coordinator->sent[CLOSE], 0);
}

static void writer_to_a_leaving_tunnel_learns_of_it(void **state)
{
    struct scene *s = *state;
    s->small = true;
    int fd = follow(s, id_of(0, 3), TUNNEL_WINDOW);
    (void)fill(s, id_of(0, 3));
    tunnel_set_on_close(s->sides[COORDINATOR].set, id_of(0, 3));
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(count_of(s, COORDINATOR), 1);
    shutdown(fd, SHUT_RDWR);
    while (count_of(s, COORDINATOR) > 0)
        turn(s);
    assert_int_equal(s->sides[COORDINATOR].sent[CLOSE], 0);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void destroy_closes_every_socket(void **state)
{
    struct scene *s = *state;
    struct side *coordinator = &s->sides[COORDINATOR];
    int fds[2];
    s->small = true;
    int before = open_descriptors();
    int full = follow(s, id_of(0, 3), 0);
    (void)fill(s, id_of(0, 3));
    int leaving = follow(s, id_of(0, 4), 0);
    (void)fill(s, id_of(0, 4));
    tunnel_set_on_close(coordinator->set, id_of(0, 4));
    make_connection(s, fds);
    assert_int_equal(tunnel_set_open(s->sides[NODE].set, fds[0]), 0);
    assert_int_equal(open_descriptors(), before + 6);

    for (int i = 0; i < SIDES; i++) {
        tunnel_set_destroy(s->sides[i].set);
        s->sides[i].set = NULL;
        assert_int_equal(s->sides[i].sent[CLOSE], 0);
    }
    tunnel_set_destroy(NULL);
    assert_int_equal(open_descriptors(), before + 3);
    assert_true(drain(full) > 0 && is_closed(full));
    assert_true(drain(leaving) > 0 && is_closed(leaving));
    assert_true(is_closed(fds[1]));
    close(fds[1]);
    drop_wire(s);
}

#define SCENE_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            SCENE_TEST(bytes_go_both_ways),
            SCENE_TEST(many_tunnels_at_once),
            SCENE_TEST(slow_reader_stops_only_its_own_tunnel),
            SCENE_TEST(nothing_is_read_without_credit),
            SCENE_TEST(without_room_sockets_rest_until_the_pump),
            SCENE_TEST(tunnel_made_without_room_rests_too),
            SCENE_TEST(close_of_an_editor_delivers_what_it_sent),
            SCENE_TEST(close_of_a_server_delivers_what_it_sent),
            SCENE_TEST(reset_by_an_editor_closes_the_tunnel),
            SCENE_TEST(close_of_both_at_once),
            SCENE_TEST(late_data_for_a_closed_tunnel_is_dropped),
            SCENE_TEST(last_words_of_a_server_that_hears_no_more),
            SCENE_TEST(overspending_is_noticed),
            SCENE_TEST(hostile_grants_are_noticed),
            SCENE_TEST(only_what_was_granted_is_sent),
            SCENE_TEST(unknown_ids_do_nothing),
            SCENE_TEST(ids_that_cannot_be_are_refused),
            SCENE_TEST(refuses_what_is_no_socket),
            SCENE_TEST(tunnels_have_a_limit),
            SCENE_TEST(id_is_free_while_the_rest_is_delivered),
            SCENE_TEST(writer_to_a_leaving_tunnel_learns_of_it),
            SCENE_TEST(destroy_closes_every_socket),
    };
    return cmocka_run_group_tests_name("tunnel", tests, NULL, NULL);
}
