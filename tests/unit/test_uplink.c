#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/stream.h"
#include "node/link/uplink.h"
#include "proto/frame.h"
#include "tests/lib/node_bench.h"
#include "tests/lib/settings_maker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { EPOCH = 9, FRAMES_MAX = 256, MSG_TYPE_MAX = 32 };
static const uint8_t mesh[MSG_KEY_BYTES] = {7};
static const struct msg_bytes no_certificate;
static const uint64_t s1 = (uint64_t)EPOCH << 32 | 1;

/* The coordinator's end: every frame that came, decoded. */
struct coordinator {
    struct msg frames[FRAMES_MAX];
    size_t count;
    struct arena arena;
    bool blocked; /* the link takes nothing */
    int error;    /* what the link says instead */
};

static struct node_bench bench;
static struct coordinator c;
static struct uplink *uplink;
static unsigned welcomes, breaks, tunnels, ordered, rooms, memberships[MSG_TYPE_MAX];
static bool disbelieve; /* what the owner thinks of what it is told */
static char reason[512];

static int on_send(void *ctx, const void *peer, const void *frame, size_t len)
{
    struct err err;

    (void)ctx;
    assert_null(peer);
    if (c.blocked || c.error < 0)
        return c.blocked ? -EAGAIN : c.error;
    assert_true(c.count < FRAMES_MAX);
    assert_int_equal(codec_decode(frame, len, &c.arena, &c.frames[c.count], &err), 0);
    c.count++;
    return 0;
}

static int on_welcome(void *ctx, const struct msg_welcome *said, struct err *err)
{
    (void)ctx;
    assert_string_equal(said->coordinator, "hub");
    welcomes++;
    return disbelieve ? err_set(err, -EPERM, "not of our mesh") : 0;
}

static void on_membership(void *ctx, const struct msg *msg)
{
    (void)ctx;
    memberships[msg->type]++;
}

static void on_order(void *ctx, const struct msg *msg)
{
    (void)ctx;
    (void)msg;
    ordered++;
}

static int on_tunnel(void *ctx, const struct msg *msg, struct err *err)
{
    (void)ctx;
    (void)msg;
    tunnels++;
    return disbelieve ? err_set(err, -EPROTO, "too much") : 0;
}

static void on_room(void *ctx)
{
    (void)ctx;
    rooms++;
}

static void on_broken(void *ctx, const char *why)
{
    (void)ctx;
    breaks++;
    (void)snprintf(reason, sizeof reason, "%s", why);
}

static void on_change(void *ctx, const char *model)
{
    (void)ctx;
    if (uplink != NULL)
        uplink_model_changed(uplink, model);
}

static int setup(void **state)
{
    static const struct uplink_events events = {.on_welcome = on_welcome,
            .on_membership = on_membership,
            .on_tunnel = on_tunnel,
            .on_order = on_order,
            .on_room = on_room,
            .on_broken = on_broken};
    const struct uplink_config config = {.name = "halo1", .software = "modemesh test"};
    const struct transport transport = {.send = on_send};

    (void)state;
    node_bench_init(&bench);
    bench.on_change = on_change;
    c = (struct coordinator){0};
    arena_init(&c.arena, 64 * 1024 * 1024);
    welcomes = breaks = ordered = tunnels = rooms = 0;
    memset(memberships, 0, sizeof memberships);
    disbelieve = false;
    uplink = uplink_create(&bench.world.env, &transport, bench.supervisor, &config, &events, NULL);
    return uplink == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    uplink_destroy(uplink);
    uplink = NULL;
    node_bench_fini(&bench);
    arena_fini(&c.arena);
    return 0;
}

static void give(const struct msg *msg)
{
    struct buf out;
    struct err err;

    buf_init(&out, FRAME_MAX);
    assert_int_equal(codec_encode(msg, &out, &err), 0);
    uplink_on_frame(uplink, buf_at(&out), out.len);
    buf_fini(&out);
}

static void welcome(void)
{
    const struct msg msg = {.type = MSG_WELCOME,
            .welcome = {.epoch = EPOCH,
                    .version = 1,
                    .heartbeat_ms = 250,
                    .coordinator = "hub",
                    .mesh = {mesh, sizeof mesh}}};

    give(&msg);
}

/* Up, greeted, and with nothing unread. */
static void join(void)
{
    uplink_up(uplink, &no_certificate);
    welcome();
    c.count = 0;
}

static void request(uint64_t stream)
{
    const struct msg start = {.type = MSG_START,
            .start = {.stream = stream,
                    .request_id = "r",
                    .model = "m",
                    .window = STREAM_WINDOW,
                    .body_bytes = 2}};
    const struct msg body = {
            .type = MSG_BODY, .body = {.stream = stream, .data = "{}", .len = 2, .last = true}};

    give(&start);
    give(&body);
}

static void tick(uint64_t ms)
{
    virtual_env_advance_ms(&bench.world, ms);
    uplink_tick(uplink);
}

static void assert_type(size_t index, enum msg_type type)
{
    assert_true(index < c.count);
    assert_string_equal(msg_type_name(c.frames[index].type), msg_type_name(type));
}

static void test_join(void **state)
{
    (void)state;
    uplink_up(uplink, &no_certificate);
    assert_int_equal(c.count, 1);
    assert_type(0, MSG_HELLO);
    assert_string_equal(c.frames[0].hello.name, "halo1");
    assert_int_equal(c.frames[0].hello.version_max, FRAME_VERSION);
    /* Nothing but HELLO before WELCOME. */
    tick(1000);
    uplink_flush(uplink);
    assert_int_equal(c.count, 1);
    assert_false(uplink_is_up(uplink));
    welcome();
    assert_true(uplink_is_up(uplink));
    assert_int_equal(welcomes, 1);
    assert_int_equal(c.count, 2);
    assert_type(1, MSG_STATE);
    assert_true(c.frames[1].state.full);
    assert_false(c.frames[1].state.draining);
    assert_int_equal(c.frames[1].state.instance_count, 2);
    assert_string_equal(c.frames[1].state.instances[0].model, "m");
    assert_int_equal(c.frames[1].state.instances[0].state, INSTANCE_AVAILABLE);
    assert_true(c.frames[1].state.memory_total_bytes == 8ull << 30);
    assert_true(c.frames[1].state.memory_limit_bytes > 5ull << 30);
    welcome();
    assert_int_equal(breaks, 1);
}

static void test_the_certificate_is_shown(void **state)
{
    static const uint8_t data[] = {1, 0, 2};
    const struct msg_bytes certificate = {data, sizeof data};

    (void)state;
    uplink_up(uplink, &no_certificate);
    assert_int_equal(c.frames[0].hello.certificate.len, 0);
    uplink_up(uplink, &certificate);
    assert_int_equal(c.count, 2);
    assert_type(1, MSG_HELLO);
    assert_int_equal(c.frames[1].hello.certificate.len, sizeof data);
    assert_memory_equal(c.frames[1].hello.certificate.data, data, sizeof data);
}

static void test_a_disbelieved_welcome(void **state)
{
    (void)state;
    disbelieve = true;
    uplink_up(uplink, &no_certificate);
    welcome();
    assert_int_equal(welcomes, 1);
    assert_int_equal(breaks, 1);
    assert_string_equal(reason, "not of our mesh");
    assert_int_equal(c.count, 1); /* HELLO: whoever that is learns no more */
    tick(1000);
    uplink_flush(uplink);
    assert_int_equal(c.count, 1);
    assert_int_equal(rooms, 0);
    disbelieve = false;
    join();
    assert_true(uplink_is_up(uplink));
}

static void test_membership_is_the_owners(void **state)
{
    static const uint8_t bytes[MSG_KEY_BYTES] = {1};
    const struct msg certificate = {.type = MSG_CERTIFICATE};
    const struct msg joined = {.type = MSG_JOINED,
            .joined = {.mesh = {bytes, sizeof bytes}, .certificate = {bytes, 1}}};
    const struct msg refuse = {.type = MSG_REFUSE, .refuse = {.message = "no"}};

    (void)state;
    join();
    give(&certificate);
    give(&joined);
    give(&refuse);
    assert_int_equal(memberships[MSG_CERTIFICATE], 1);
    assert_int_equal(memberships[MSG_JOINED], 1);
    assert_int_equal(memberships[MSG_REFUSE], 1);
    assert_int_equal(breaks, 0);
}

static void test_a_refusal_instead_of_welcome(void **state)
{
    const struct msg refuse = {
            .type = MSG_REFUSE, .refuse = {.code = REFUSE_NAME_TAKEN, .message = "taken"}};

    (void)state;
    uplink_up(uplink, &no_certificate);
    give(&refuse);
    assert_int_equal(memberships[MSG_REFUSE], 1);
    assert_int_equal(breaks, 0);
    assert_false(uplink_is_up(uplink));
}

static void assert_breaks_before_welcome(const struct msg *msg)
{
    unsigned before = breaks;

    uplink_up(uplink, &no_certificate);
    give(msg);
    assert_int_equal(breaks, before + 1);
    assert_int_equal(memberships[msg->type], 0);
    assert_int_equal(tunnels, 0);
    uplink_down(uplink);
}

static void test_nothing_else_comes_before_welcome(void **state)
{
    static const uint8_t bytes[MSG_KEY_BYTES] = {1};
    const struct msg certificate = {.type = MSG_CERTIFICATE};
    const struct msg joined = {.type = MSG_JOINED,
            .joined = {.mesh = {bytes, sizeof bytes}, .certificate = {bytes, 1}}};
    const struct msg close = {.type = MSG_TUNNEL_CLOSE, .tunnel_close = {.tunnel = 1}};
    const struct msg drain = {.type = MSG_DRAIN, .drain = {.order = 1, .draining = true}};

    (void)state;
    assert_breaks_before_welcome(&certificate);
    assert_breaks_before_welcome(&joined);
    assert_breaks_before_welcome(&close);
    assert_breaks_before_welcome(&drain);
}

static void test_what_only_a_node_says(void **state)
{
    static const uint8_t bytes[MSG_KEY_BYTES] = {1};
    const struct msg open = {.type = MSG_TUNNEL_OPEN, .tunnel_open = {.tunnel = 1, .window = 1}};
    const struct msg asks = {.type = MSG_JOIN,
            .join = {
                    .name = "n", .version_min = 1, .version_max = 1, .key = {bytes, sizeof bytes}}};

    (void)state;
    join();
    give(&open);
    assert_int_equal(breaks, 1);
    uplink_down(uplink);
    join();
    give(&asks);
    assert_int_equal(breaks, 2);
    assert_int_equal(tunnels, 0);
}

static void test_what_only_a_node_answers_to_orders(void **state)
{
    const struct msg progress = {.type = MSG_PROGRESS, .progress = {.order = 1}};
    const struct msg done = {.type = MSG_DONE, .done = {.order = 1, .ok = true}};

    (void)state;
    join();
    give(&progress);
    assert_int_equal(breaks, 1);
    assert_string_equal(reason, "progress, which only a node may send");
    uplink_down(uplink);
    join();
    give(&done);
    assert_int_equal(breaks, 2);
}

static void test_orders_are_the_owners(void **state)
{
    const struct msg orders[] = {{.type = MSG_LOAD, .load = {.order = 1, .model = "m"}},
            {.type = MSG_UNLOAD, .unload = {.order = 2, .model = "m"}},
            {.type = MSG_PIN, .pin = {.order = 3, .model = "m", .pinned = true}},
            {.type = MSG_DRAIN, .drain = {.order = 4, .draining = true}}};

    (void)state;
    join();
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        give(&orders[i]);
    assert_int_equal(ordered, 4);
    assert_int_equal(c.count, 0);
    assert_int_equal(breaks, 0);
}

static void test_tunnels_are_the_owners(void **state)
{
    const struct msg data = {
            .type = MSG_TUNNEL_DATA, .tunnel_data = {.tunnel = 1, .data = "x", .len = 1}};
    const struct msg credit = {
            .type = MSG_TUNNEL_CREDIT, .tunnel_credit = {.tunnel = 1, .bytes = 1}};
    const struct msg close = {.type = MSG_TUNNEL_CLOSE, .tunnel_close = {.tunnel = 1}};

    (void)state;
    join();
    give(&data);
    give(&credit);
    give(&close);
    assert_int_equal(tunnels, 3);
    assert_int_equal(breaks, 0);
    disbelieve = true;
    give(&data);
    assert_int_equal(breaks, 1);
    assert_string_equal(reason, "too much");
    give(&data);
    assert_int_equal(tunnels, 4);
}

static void send_tunnel(size_t len)
{
    static const char data[MSG_CHUNK_MAX];
    const struct msg msg = {
            .type = MSG_TUNNEL_DATA, .tunnel_data = {.tunnel = 1, .data = data, .len = len}};

    uplink_send(uplink, &msg);
}

static void test_send_only_while_up(void **state)
{
    (void)state;
    send_tunnel(1);
    assert_int_equal(c.count, 0);
    uplink_up(uplink, &no_certificate);
    send_tunnel(1);
    assert_int_equal(c.count, 1);
    welcome();
    assert_int_equal(uplink_epoch(uplink), EPOCH);
    c.count = 0;
    send_tunnel(5);
    assert_int_equal(c.count, 1);
    assert_type(0, MSG_TUNNEL_DATA);
    assert_int_equal(c.frames[0].tunnel_data.len, 5);
    uplink_down(uplink);
    send_tunnel(1);
    assert_int_equal(c.count, 1);
    assert_true(uplink_idle(uplink));
}

static void test_room_for_tunnels(void **state)
{
    size_t sent = 0;

    (void)state;
    uplink_up(uplink, &no_certificate);
    uplink_flush(uplink);
    assert_int_equal(rooms, 0);
    welcome();
    c.count = 0;
    uplink_flush(uplink);
    assert_int_equal(rooms, 1);
    c.blocked = true;
    for (; uplink_tunnel_room(uplink); sent += MSG_CHUNK_MAX)
        send_tunnel(MSG_CHUNK_MAX);
    assert_in_range(sent, UPLINK_TUNNEL_MAX - MSG_CHUNK_MAX, UPLINK_TUNNEL_MAX);
    uplink_flush(uplink);
    assert_int_equal(rooms, 1);
    c.blocked = false;
    uplink_flush(uplink);
    assert_int_equal(rooms, 2);
    assert_true(uplink_tunnel_room(uplink));
    assert_int_equal(c.count, sent / MSG_CHUNK_MAX);
    assert_int_equal(breaks, 0);
}

static void test_state_changes_are_throttled(void **state)
{
    (void)state;
    join();
    node_bench_load(&bench);
    uplink_flush(uplink);
    assert_int_equal(c.count, 0);
    tick(UPLINK_STATE_MS);
    assert_int_equal(c.count, 1);
    assert_type(0, MSG_STATE);
    assert_false(c.frames[0].state.full);
    assert_int_equal(c.frames[0].state.instance_count, 1);
    assert_int_equal(c.frames[0].state.instances[0].state, INSTANCE_RESIDENT);
    assert_true(c.frames[0].state.memory_used_bytes > 0);
    tick(UPLINK_STATE_MS);
    assert_int_equal(c.count, 1);
}

static void set_memory(uint64_t total, uint64_t available)
{
    char text[128];

    (void)snprintf(text, sizeof text, "MemTotal: %" PRIu64 " kB\nMemAvailable: %" PRIu64 " kB\n",
            total / 1024, available / 1024);
    scratch_write(&bench.scratch, "proc/meminfo", text);
}

/* Hears the coordinator all the while, so that heartbeats are all that goes else. */
static size_t states_within(uint64_t ms)
{
    size_t states = 0;

    for (c.count = 0; ms > 0; ms -= UPLINK_TICK_MS) {
        const struct msg beat = {.type = MSG_HEARTBEAT};
        give(&beat);
        tick(UPLINK_TICK_MS);
    }
    for (size_t i = 0; i < c.count; i++)
        states += c.frames[i].type == MSG_STATE;
    return states;
}

/* What other programs take is seen within a second, and what moves by no more than a hundredth is
 * no news. */
static void test_memory_that_others_take(void **state)
{
    const uint64_t total = 8ull << 30, part = total / 100 / 1024 * 1024;

    (void)state;
    join();
    assert_int_equal(states_within(3000), 0);
    set_memory(total, total - part);
    assert_int_equal(states_within(3000), 0);
    set_memory(total, total - 2 * part);
    assert_int_equal(states_within(1000), 1);
    assert_int_equal(states_within(3000), 0);
    set_memory(total, total);
    assert_int_equal(states_within(1000), 1);
    set_memory(total / 2, total / 2);
    assert_int_equal(states_within(2 * MEMORY_LOOK_MS), 1);
    assert_int_equal(states_within(3000), 0);
}

static void test_state_says_what_models_can_do(void **state)
{
    const struct msg_instance *instance;

    (void)state;
    join();
    node_bench_load(&bench);
    tick(UPLINK_STATE_MS);
    assert_type(0, MSG_STATE);
    instance = &c.frames[0].state.instances[0];
    assert_int_equal(instance->capabilities, CAPABILITY_CHAT | CAPABILITY_EXACT);
    assert_int_equal(instance->context_trained, 4096);
    assert_int_equal(instance->parameters, 1000000);
    assert_int_equal(instance->modified_s, 1700000000);
    assert_string_equal(instance->architecture, "llama");
    assert_string_equal(instance->quantisation, "Q8_0");
}

static void test_a_removed_model(void **state)
{
    (void)state;
    join();
    supervisor_model_gone(bench.supervisor, "other");
    node_bench_tick(&bench, 0);
    tick(UPLINK_STATE_MS);
    assert_int_equal(c.count, 1);
    assert_int_equal(c.frames[0].state.instance_count, 0);
    assert_int_equal(c.frames[0].state.removed_count, 1);
    assert_string_equal(c.frames[0].state.removed[0], "other");
}

static void test_many_models_take_several_frames(void **state)
{
    char name[CATALOGUE_NAME_MAX + 1];
    size_t told = 0;

    (void)state;
    for (int i = 0; i < 700; i++) {
        (void)snprintf(name, sizeof name, "a-model-with-the-longest-name-%097d", i);
        const struct catalogue_model model = {.name = name,
                .path = name,
                .file_bytes = 1,
                .context = UINT32_MAX,
                .architecture = "an-architecture-of-thirty-one-b",
                .quantisation = "a-quantisation-of-thirty-one-by",
                .modified_ns = INT64_MAX,
                .parameters = UINT64_MAX,
                .capabilities = CAPABILITY_ALL};
        supervisor_model_put(bench.supervisor, &model, settings_make(0, 2, false));
    }
    uplink_up(uplink, &no_certificate);
    welcome();
    assert_true(c.count > 3);
    for (size_t i = 1; i < c.count; i++) {
        assert_type(i, MSG_STATE);
        assert_int_equal(c.frames[i].state.full, i == 1);
        told += c.frames[i].state.instance_count;
    }
    assert_int_equal(told, 702);
}

static void test_a_turn_is_one_frame(void **state)
{
    const struct msg_fail fail = {.code = FAIL_ENGINE_ERROR, .http_status = 500, .message = "x"};

    (void)state;
    node_bench_load(&bench);
    join();
    request(s1);
    request(s1 + 1);
    c.count = 0;
    puppet_run_delta(0, DELTA_TEXT, "one ", 4);
    puppet_run_delta(1, DELTA_TEXT, "two", 3);
    puppet_run_delta(0, DELTA_TEXT, "more", 4);
    puppet_run_end(1, &fail);
    puppet_run_end(0, NULL);
    assert_int_equal(c.count, 0);
    uplink_flush(uplink);
    assert_int_equal(c.count, 3);
    assert_type(0, MSG_DELTAS);
    assert_int_equal(c.frames[0].deltas.count, 3);
    assert_int_equal(c.frames[0].deltas.deltas[2].stream, s1);
    assert_memory_equal(c.frames[0].deltas.deltas[2].data, "more", 4);
    assert_type(1, MSG_FAIL);
    assert_int_equal(c.frames[1].fail.stream, s1 + 1);
    assert_type(2, MSG_END);
    assert_true(uplink_idle(uplink));
}

static void test_a_large_turn_is_few_frames(void **state)
{
    static char data[8000];
    size_t deltas = 0;

    (void)state;
    memset(data, 'x', sizeof data);
    node_bench_load(&bench);
    join();
    for (unsigned i = 0; i < 20; i++)
        request(s1 + i);
    c.count = 0;
    for (unsigned i = 0; i < 20; i++)
        puppet_run_delta(i, DELTA_TEXT, data, sizeof data);
    uplink_flush(uplink);
    for (size_t i = 0; i < c.count; i++)
        deltas += c.frames[i].type == MSG_DELTAS ? c.frames[i].deltas.count : 0;
    assert_int_equal(deltas, 20);
    assert_true(c.count <= 4);
    uplink_down(uplink);
}

static void test_outbox_keeps_the_order(void **state)
{
    (void)state;
    node_bench_load(&bench);
    join();
    request(s1);
    c.blocked = true;
    puppet_run_delta(0, DELTA_TEXT, "a", 1);
    uplink_flush(uplink);
    puppet_run_delta(0, DELTA_TEXT, "b", 1);
    puppet_run_end(0, NULL);
    uplink_flush(uplink);
    assert_int_equal(c.count, 0);
    assert_false(uplink_idle(uplink));
    c.blocked = false;
    tick(1);
    assert_true(c.count >= 3);
    assert_memory_equal(c.frames[0].deltas.deltas[0].data, "a", 1);
    assert_memory_equal(c.frames[1].deltas.deltas[0].data, "b", 1);
    assert_type(2, MSG_END);
    assert_true(uplink_idle(uplink));
    assert_int_equal(breaks, 0);
}

static void test_heartbeats(void **state)
{
    const struct msg ask = {.type = MSG_HEARTBEAT, .heartbeat = {.sent_us = 777}};
    const struct msg answer = {.type = MSG_HEARTBEAT, .heartbeat = {.echo_us = 5}};

    (void)state;
    join();
    give(&ask);
    assert_int_equal(c.count, 1);
    assert_int_equal(c.frames[0].heartbeat.echo_us, 777);
    assert_int_equal(c.frames[0].heartbeat.sent_us, 0);
    give(&answer);
    assert_int_equal(c.count, 1);
    for (int i = 0; i < 5; i++)
        tick(UPLINK_TICK_MS);
    assert_int_equal(c.count, 2);
    assert_type(1, MSG_HEARTBEAT);
    assert_true(c.frames[1].heartbeat.sent_us > 0);
}

static void test_silence(void **state)
{
    const struct msg answer = {.type = MSG_HEARTBEAT, .heartbeat = {.echo_us = 5}};

    (void)state;
    node_bench_load(&bench);
    join();
    request(s1);
    for (int i = 0; i < 29; i++)
        tick(100);
    assert_int_equal(breaks, 0);
    give(&answer);
    for (int i = 0; i < 29; i++)
        tick(100);
    assert_int_equal(breaks, 0);
    tick(100);
    assert_int_equal(breaks, 1);
    assert_non_null(strstr(reason, "silent"));
    tick(100);
    assert_int_equal(breaks, 1);
    uplink_down(uplink);
    assert_true(puppet_run_cancelled(0));
    assert_int_equal(uplink_stream_count(uplink), 0);
}

/* Whoever lets the node in and keeps it waiting would keep it for ever. */
static void test_chatter_instead_of_welcome_is_silence(void **state)
{
    static const char unknown[] = {FRAME_MAGIC, FRAME_VERSION, 99, 0};
    const struct msg heartbeat = {.type = MSG_HEARTBEAT, .heartbeat = {.sent_us = 5}};

    (void)state;
    uplink_up(uplink, &no_certificate);
    for (int i = 0; i < 29; i++) {
        tick(100);
        give(&heartbeat);
        uplink_on_frame(uplink, unknown, sizeof unknown);
    }
    assert_int_equal(breaks, 0);
    tick(100);
    assert_int_equal(breaks, 1);
    assert_non_null(strstr(reason, "silent"));
    uplink_down(uplink);
    /* One that comes late has all the time from there on. */
    uplink_up(uplink, &no_certificate);
    for (int i = 0; i < 29; i++)
        tick(100);
    welcome();
    for (int i = 0; i < 29; i++)
        tick(100);
    assert_int_equal(breaks, 1);
}

static void test_our_own_standstill_is_not_silence(void **state)
{
    (void)state;
    join();
    tick(10000);
    assert_int_equal(breaks, 0);
}

static void test_a_doubt_that_nothing_dispels(void **state)
{
    (void)state;
    uplink_doubt(uplink); /* without a session there is nothing to doubt */
    join();
    tick(400);
    tick(400);
    tick(400);
    uplink_doubt(uplink);
    tick(400);
    assert_int_equal(breaks, 0);
    uplink_doubt(uplink); /* counts from the first one */
    tick(UPLINK_DOUBT_MS - 401);
    assert_int_equal(breaks, 0);
    tick(1);
    assert_int_equal(breaks, 1);
    assert_non_null(strstr(reason, "silent"));
}

static void test_a_doubt_that_is_dispelled(void **state)
{
    const struct msg answer = {.type = MSG_HEARTBEAT, .heartbeat = {.echo_us = 5}};

    (void)state;
    join();
    uplink_doubt(uplink);
    tick(UPLINK_DOUBT_MS - 1);
    give(&answer);
    for (int i = 0; i < 4; i++)
        tick(500);
    assert_int_equal(breaks, 0);
    /* The next session begins without one. */
    uplink_doubt(uplink);
    uplink_down(uplink);
    join();
    tick(UPLINK_DOUBT_MS);
    assert_int_equal(breaks, 0);
}

static void test_our_own_standstill_dispels_a_doubt(void **state)
{
    (void)state;
    join();
    uplink_doubt(uplink);
    tick(10000);
    tick(UPLINK_DOUBT_MS);
    assert_int_equal(breaks, 0);
}

static void test_broken_frames(void **state)
{
    static const char unknown[] = {FRAME_MAGIC, FRAME_VERSION, 99, 0};

    (void)state;
    join();
    uplink_on_frame(uplink, unknown, sizeof unknown);
    assert_int_equal(c.count, 1);
    assert_type(0, MSG_UNSUPPORTED);
    assert_int_equal(c.frames[0].unsupported.type, 99);
    assert_int_equal(breaks, 0);
    uplink_on_frame(uplink, "garbage", 7);
    assert_int_equal(breaks, 1);
    /* Deaf and dumb until the connection is a new one. */
    uplink_on_frame(uplink, unknown, sizeof unknown);
    tick(1000);
    assert_int_equal(c.count, 1);
    uplink_down(uplink);
    join();
    assert_true(uplink_is_up(uplink));
}

static void test_start_before_welcome(void **state)
{
    const struct msg start = {.type = MSG_START,
            .start = {.stream = s1,
                    .request_id = "r",
                    .model = "m",
                    .window = STREAM_WINDOW,
                    .body_bytes = 2}};

    (void)state;
    uplink_up(uplink, &no_certificate);
    give(&start);
    assert_int_equal(breaks, 1);
}

static void test_dead_link(void **state)
{
    (void)state;
    join();
    c.error = -EHOSTUNREACH;
    tick(300);
    assert_int_equal(breaks, 1);
}

static void test_new_session_tells_all(void **state)
{
    (void)state;
    node_bench_load(&bench);
    join();
    request(s1);
    uplink_down(uplink);
    uplink_down(uplink);
    assert_true(puppet_run_cancelled(0));
    uplink_up(uplink, &no_certificate);
    welcome();
    assert_true(c.count >= 2);
    assert_true(c.frames[c.count - 1].state.full);
    assert_int_equal(c.frames[c.count - 1].state.instances[0].busy, 0);
}

static void test_draining(void **state)
{
    (void)state;
    join();
    supervisor_drain(bench.supervisor);
    uplink_draining(uplink);
    assert_int_equal(c.count, 1);
    assert_true(c.frames[0].state.draining);
}

/* What runs goes on; nothing new is taken until it is over. */
static void test_pause(void **state)
{
    (void)state;
    join();
    uplink_pause(uplink, true);
    assert_int_equal(c.count, 1);
    assert_true(c.frames[0].state.draining);
    request(s1);
    uplink_flush(uplink);
    assert_type(1, MSG_FAIL);
    assert_int_equal(c.frames[1].fail.code, FAIL_DRAINING);
    uplink_pause(uplink, false);
    assert_type(2, MSG_STATE);
    assert_false(c.frames[2].state.draining);
}

static void test_draining_while_the_link_is_full(void **state)
{
    (void)state;
    join();
    c.error = -EAGAIN;
    supervisor_drain(bench.supervisor);
    uplink_draining(uplink);
    assert_int_equal(c.count, 0);
    c.error = 0;
    tick(UPLINK_TICK_MS);
    assert_type(0, MSG_STATE);
    assert_true(c.frames[0].state.draining);
}

static void test_draining_before_the_welcome(void **state)
{
    (void)state;
    uplink_up(uplink, &no_certificate);
    supervisor_drain(bench.supervisor);
    uplink_draining(uplink);
    assert_int_equal(c.count, 1);
    welcome();
    assert_type(1, MSG_STATE);
    assert_true(c.frames[1].state.draining);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_join),
            TEST(test_the_certificate_is_shown),
            TEST(test_a_disbelieved_welcome),
            TEST(test_membership_is_the_owners),
            TEST(test_a_refusal_instead_of_welcome),
            TEST(test_nothing_else_comes_before_welcome),
            TEST(test_what_only_a_node_says),
            TEST(test_what_only_a_node_answers_to_orders),
            TEST(test_orders_are_the_owners),
            TEST(test_tunnels_are_the_owners),
            TEST(test_send_only_while_up),
            TEST(test_room_for_tunnels),
            TEST(test_state_changes_are_throttled),
            TEST(test_memory_that_others_take),
            TEST(test_state_says_what_models_can_do),
            TEST(test_a_removed_model),
            TEST(test_many_models_take_several_frames),
            TEST(test_a_turn_is_one_frame),
            TEST(test_a_large_turn_is_few_frames),
            TEST(test_outbox_keeps_the_order),
            TEST(test_heartbeats),
            TEST(test_silence),
            TEST(test_chatter_instead_of_welcome_is_silence),
            TEST(test_our_own_standstill_is_not_silence),
            TEST(test_a_doubt_that_nothing_dispels),
            TEST(test_a_doubt_that_is_dispelled),
            TEST(test_our_own_standstill_dispels_a_doubt),
            TEST(test_broken_frames),
            TEST(test_start_before_welcome),
            TEST(test_dead_link),
            TEST(test_new_session_tells_all),
            TEST(test_draining),
            TEST(test_pause),
            TEST(test_draining_while_the_link_is_full),
            TEST(test_draining_before_the_welcome),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("uplink", tests, NULL, NULL);
}
