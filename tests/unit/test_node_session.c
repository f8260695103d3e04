#include "coordinator/node_session.h"

#include "proto/frame.h"
#include "tests/lib/fake_link.h"
#include "tests/lib/virtual_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One session with peer 0, and what it told its owner. */
struct world {
    struct virtual_env env;
    struct fake_link link;
    struct node_session *session;
    uint32_t epoch;
    unsigned roles;
    const struct session_admission *admission; /* NULL: a plain one */
    unsigned changes, rooms, gones, joins, tunnels;
    uint8_t joined_key[MSG_KEY_BYTES]; /* of the last JOIN */
    enum msg_type tunnel_type;         /* of the last message of a tunnel */
    int tunnel_result;                 /* what the owner says of the next messages of tunnels */
    char reason[200];
};

struct request { /* one stream, and what it told its owner */
    struct node_stream *stream;
    uint64_t id;
    unsigned deltas, ends;
    size_t bytes;
    int fail_code; /* -1: complete */
    bool cancel_in_delta;
};

static void on_change(void *ctx, struct node_session *session)
{
    (void)session;
    ((struct world *)ctx)->changes++;
}

static void on_room(void *ctx, struct node_session *session)
{
    (void)session;
    ((struct world *)ctx)->rooms++;
}

static void on_join(void *ctx, struct node_session *session, const struct msg_join *join)
{
    struct world *world = ctx;
    (void)session;
    memcpy(world->joined_key, join->key.data, join->key.len);
    world->joins++;
}

static int on_tunnel(
        void *ctx, struct node_session *session, const struct msg *msg, struct err *err)
{
    struct world *world = ctx;
    (void)session;
    world->tunnel_type = msg->type;
    world->tunnels++;
    return world->tunnel_result ? err_set(err, world->tunnel_result, "not like this") : 0;
}

static void on_gone(void *ctx, struct node_session *session, const char *reason)
{
    struct world *world = ctx;
    (void)snprintf(world->reason, sizeof(world->reason), "%s", reason);
    world->gones++;
    world->session = NULL;
    node_session_destroy(session);
}

static const struct node_session_events session_events = {.on_change = on_change,
        .on_room = on_room,
        .on_join = on_join,
        .on_tunnel = on_tunnel,
        .on_gone = on_gone};

static void on_delta(void *ctx, const struct msg_delta *delta)
{
    struct request *request = ctx;
    request->deltas++;
    request->bytes += delta->len;
    if (request->cancel_in_delta) {
        node_stream_cancel(request->stream);
        request->stream = NULL;
    }
}

static void on_end(void *ctx, const struct msg_fail *fail)
{
    struct request *request = ctx;
    request->ends++;
    request->stream = NULL;
    request->fail_code = fail ? (int)fail->code : -1;
}

static const struct node_stream_events stream_events = {.on_delta = on_delta, .on_end = on_end};

/* The node says `msg`. */
static void say(struct world *world, const struct msg *msg)
{
    const struct buf *frame = fake_link_frame(&world->link, msg);
    node_session_on_frame(world->session, buf_at(frame), frame->len);
}

static struct msg next(struct world *world, enum msg_type type)
{
    struct msg msg;
    assert_true(fake_link_next(&world->link, 0, &msg));
    assert_string_equal(msg_type_name(msg.type), msg_type_name(type));
    return msg;
}

static void nothing_sent(struct world *world)
{
    struct msg msg;
    assert_false(fake_link_next(&world->link, 0, &msg));
}

static struct msg_instance instance_of(const char *model, enum instance_state state)
{
    return (struct msg_instance){.model = model,
            .state = state,
            .slots = 4,
            .context = 4096,
            .engine = "fake",
            .note = ""};
}

static void say_state(struct world *world, bool full, const char *model, enum instance_state state)
{
    struct msg_instance instance = instance_of(model, state);
    say(world, &(struct msg){.type = MSG_STATE,
                       .state = {.full = full, .instances = &instance, .instance_count = 1}});
}

static int create(struct world *world, uint32_t version_min, uint32_t version_max, struct err *err)
{
    struct link_peer peer = fake_link_peer(0);
    struct msg_hello hello = {.name = "says",
            .software = "modemesh 0.1.0",
            .version_min = version_min,
            .version_max = version_max};
    static const uint8_t mesh[MSG_KEY_BYTES] = {1};
    const struct session_admission admission = {.name = "halo1",
            .roles = world->roles,
            .coordinator_name = "mesh",
            .mesh = {.data = mesh, .len = sizeof(mesh)}};
    return node_session_create(&world->env.env, &world->link.transport, &peer, &hello,
            world->admission ? world->admission : &admission, &session_events, world,
            &world->session, err);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    world->roles = CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE;
    virtual_env_init(&world->env);
    fake_link_init(&world->link);
    assert_int_equal(create(world, 1, 1, NULL), 0);
    struct msg welcome = next(world, MSG_WELCOME);
    world->epoch = welcome.welcome.epoch;
    assert_int_not_equal(world->epoch, 0);
    say_state(world, true, "small", INSTANCE_RESIDENT);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    node_session_destroy(world->session);
    fake_link_fini(&world->link);
    free(world);
    return 0;
}

static int try_open(struct world *world, const void *body, size_t len, struct request *request)
{
    const struct node_work work = {.request_id = "req_1",
            .kind = REQUEST_CHAT,
            .batch = true,
            .needs = CAPABILITY_CHAT | CAPABILITY_TOOLS,
            .body = body,
            .body_len = len};
    return node_session_open(node_session_instance(world->session, 0), &work, &stream_events,
            request, &request->stream, NULL);
}

/* Opens a stream whose START the node gets. */
static void open_request(struct world *world, const void *body, size_t len, struct request *request)
{
    *request = (struct request){0};
    assert_int_equal(try_open(world, body, len, request), 0);
    request->id = next(world, MSG_START).start.stream;
}

static void say_delta(struct world *world, uint64_t stream, size_t len)
{
    static const char text[MSG_CHUNK_MAX] = "";
    struct msg_delta delta = {.stream = stream, .kind = DELTA_TEXT, .data = text, .len = len};
    say(world, &(struct msg){.type = MSG_DELTAS, .deltas = {.deltas = &delta, .count = 1}});
}

static void say_end(struct world *world, uint64_t stream)
{
    say(world, &(struct msg){.type = MSG_END, .end = {.stream = stream}});
}

static void say_credit(struct world *world, uint64_t stream, uint32_t bytes)
{
    struct msg_grant grant = {.stream = stream, .bytes = bytes};
    say(world, &(struct msg){.type = MSG_CREDIT, .credit = {.grants = &grant, .count = 1}});
}

/* --- hello --- */

static void versions_are_agreed_on(void **state)
{
    struct world *world = *state;
    struct err err;
    node_session_destroy(world->session);
    world->session = NULL;
    assert_int_equal(create(world, 2, 3, &err), -EPROTONOSUPPORT);
    assert_non_null(strstr(err.text, "halo1"));
    nothing_sent(world);
    assert_int_equal(create(world, 1, 2, &err), 0);
    struct msg msg = next(world, MSG_WELCOME);
    assert_int_equal(msg.welcome.version, 1);
    assert_int_equal(msg.welcome.heartbeat_ms, SESSION_HEARTBEAT_MS);
    assert_string_equal(msg.welcome.coordinator, "mesh");
}

static void assert_bytes(const struct msg_bytes *got, const char *want)
{
    assert_int_equal(got->len, strlen(want));
    assert_memory_equal(got->data, want, got->len);
}

static struct msg_bytes bytes_of(const char *text)
{
    return (struct msg_bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void welcome_proves_who_we_are(void **state)
{
    struct world *world = *state;
    const struct msg_bytes coordinators[] = {bytes_of("this key"), bytes_of("the next")};
    const struct session_admission admission = {.name = "halo2",
            .roles = CERTIFICATE_ROLE_EDGE,
            .coordinator_name = "mesh",
            .mesh = bytes_of("0123456789abcdef0123456789abcdef"),
            .certificate = bytes_of("node's new one"),
            .coordinators = coordinators,
            .coordinator_count = 2};
    node_session_destroy(world->session);
    world->admission = &admission;
    assert_int_equal(create(world, 1, 1, NULL), 0);
    struct msg msg = next(world, MSG_WELCOME);
    assert_bytes(&msg.welcome.mesh, "0123456789abcdef0123456789abcdef");
    assert_bytes(&msg.welcome.certificate, "node's new one");
    assert_int_equal(msg.welcome.coordinator_count, 2);
    assert_bytes(&msg.welcome.coordinators[0], "this key");
    assert_bytes(&msg.welcome.coordinators[1], "the next");
    assert_string_equal(node_session_name(world->session), "halo2");
    assert_int_equal(node_session_roles(world->session), CERTIFICATE_ROLE_EDGE);
}

static void what_only_a_coordinator_says_breaks_the_session(void **state)
{
    struct world *world = *state;
    say(world, &(struct msg){.type = MSG_CANCEL, .cancel = {.stream = 1}});
    assert_int_equal(world->gones, 0);
    node_session_flush(world->session);
    assert_int_equal(world->gones, 1);
    assert_non_null(strstr(world->reason, "only a coordinator"));
}

static void an_order_from_a_node_breaks_the_session(void **state)
{
    struct world *world = *state;
    say(world, &(struct msg){.type = MSG_LOAD, .load = {.order = 1, .model = "small"}});
    node_session_flush(world->session);
    assert_int_equal(world->gones, 1);
    assert_non_null(strstr(world->reason, "only a coordinator"));
}

static void the_answer_to_no_order_changes_nothing(void **state)
{
    struct world *world = *state;
    say(world, &(struct msg){.type = MSG_PROGRESS, .progress = {.order = 1, .text = "loading"}});
    say(world, &(struct msg){.type = MSG_DONE, .done = {.order = 1, .ok = true}});
    node_session_flush(world->session);
    nothing_sent(world);
    assert_int_equal(world->gones, 0);
}

static void a_second_hello_breaks_the_session(void **state)
{
    struct world *world = *state;
    say(world, &(struct msg){.type = MSG_HELLO,
                       .hello = {.name = "x", .software = "", .version_min = 1, .version_max = 1}});
    node_session_flush(world->session);
    assert_int_equal(world->gones, 1);
    assert_non_null(strstr(world->reason, "HELLO"));
}

static void garbage_breaks_the_session(void **state)
{
    struct world *world = *state;
    node_session_on_frame(world->session, "garbage", 7);
    node_session_tick(world->session, false);
    assert_int_equal(world->gones, 1);
}

static void an_unknown_type_is_answered(void **state)
{
    struct world *world = *state;
    uint8_t frame[FRAME_HEADER_BYTES];
    frame_header(200, frame);
    node_session_on_frame(world->session, frame, sizeof(frame));
    assert_int_equal(next(world, MSG_UNSUPPORTED).unsupported.type, 200);
    say(world, &(struct msg){.type = MSG_UNSUPPORTED, .unsupported = {.type = 7}});
    node_session_flush(world->session);
    nothing_sent(world);
    assert_int_equal(world->gones, 0);
}

/* --- state --- */

static void models_of_an_edge_do_not_count(void **state)
{
    struct world *world = *state;
    node_session_destroy(world->session);
    world->roles = CERTIFICATE_ROLE_EDGE;
    assert_int_equal(create(world, 1, 1, NULL), 0);
    struct msg_instance instance = instance_of("small", INSTANCE_RESIDENT);
    say(world, &(struct msg){.type = MSG_STATE,
                       .state = {.full = true,
                               .draining = true,
                               .memory_total_bytes = 7,
                               .instances = &instance,
                               .instance_count = 1}});
    assert_int_equal(node_session_instance_count(world->session), 0);
    assert_int_equal(node_session_facts(world->session).memory_total_bytes, 7);
    assert_true(node_session_facts(world->session).draining);
    node_session_flush(world->session);
    assert_int_equal(world->gones, 0);
}

static void state_changes_and_replaces(void **state)
{
    struct world *world = *state;
    say_state(world, false, "large", INSTANCE_AVAILABLE);
    assert_int_equal(node_session_instance_count(world->session), 2);
    say_state(world, false, "small", INSTANCE_FAILED);
    assert_int_equal(node_session_instance(world->session, 0)->state, INSTANCE_FAILED);
    const char *removed[] = {"small", "never seen"};
    say(world, &(struct msg){.type = MSG_STATE, .state = {.removed = removed, .removed_count = 2}});
    assert_int_equal(node_session_instance_count(world->session), 1);
    say_state(world, true, "other", INSTANCE_RESIDENT);
    assert_int_equal(node_session_instance_count(world->session), 1);
    assert_string_equal(node_session_instance(world->session, 0)->model, "other");
    assert_int_equal(world->changes, 5);
}

static void what_a_model_can_do_is_kept(void **state)
{
    struct world *world = *state;
    struct msg_instance said = instance_of("small", INSTANCE_RESIDENT);
    said.capabilities = CAPABILITY_CHAT | CAPABILITY_FIM | CAPABILITY_EXACT;
    said.context_trained = 32768;
    said.parameters = 30532122624;
    said.modified_s = 1732190000;
    said.architecture = "qwen3moe";
    said.quantisation = "Q4_K_M and more than there is room for";
    say(world,
            &(struct msg){.type = MSG_STATE, .state = {.instances = &said, .instance_count = 1}});
    const struct instance *instance = node_session_instance(world->session, 0);
    assert_int_equal(instance->capabilities, said.capabilities);
    assert_int_equal(instance->context_trained, 32768);
    assert_int_equal(instance->parameters, 30532122624);
    assert_int_equal(instance->modified_s, 1732190000);
    assert_string_equal(instance->architecture, "qwen3moe");
    assert_string_equal(instance->quantisation, "Q4_K_M and more");
    /* An older node says none of it. */
    say_state(world, false, "small", INSTANCE_RESIDENT);
    assert_int_equal(instance->capabilities | instance->context_trained, 0);
    assert_string_equal(instance->architecture, "");
}

static void a_long_note_is_cut_between_characters(void **state)
{
    struct world *world = *state;
    char note[600];
    for (size_t i = 0; i + 1 < sizeof(note); i += 2)
        memcpy(note + i, "é", 2);
    note[598] = '\0';
    struct msg_instance instance = instance_of("small", INSTANCE_FAILED);
    instance.note = note;
    say(world, &(struct msg){
                       .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
    assert_int_equal(strlen(node_session_instance(world->session, 0)->note), 254);
}

static void too_many_models_break_the_session(void **state)
{
    struct world *world = *state;
    char names[MSG_INSTANCES_MAX][32];
    struct msg_instance instances[MSG_INSTANCES_MAX];
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < MSG_INSTANCES_MAX; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "m%d-%zu", round, i);
            instances[i] = instance_of(names[i], INSTANCE_AVAILABLE);
        }
        say(world, &(struct msg){.type = MSG_STATE,
                           .state = {.instances = instances, .instance_count = MSG_INSTANCES_MAX}});
    }
    node_session_flush(world->session);
    assert_int_equal(world->gones, 1);
    assert_non_null(strstr(world->reason, "more models"));
}

static void what_a_plan_needs_is_kept(void **state)
{
    struct world *world = *state;
    static const char *const aliases[] = {"glm", "the big one"};
    static const uint8_t fingerprint[MSG_FINGERPRINT_BYTES] = {1, 2, 3};
    struct msg_instance said = instance_of("small", INSTANCE_RESIDENT);
    said.aliases = aliases;
    said.alias_count = 2;
    said.fingerprint = (struct msg_bytes){.data = fingerprint, .len = sizeof(fingerprint)};
    said.quality = 70;
    said.foreign = said.batch_only = true;
    said.load_ms = 4321;
    said.cache_tokens = 131072;
    said.cache_swaps = true;
    said.shape = (struct model_shape){.tensor_bytes = 9, .full = {.layers = 3}};
    said.run_context = 512;
    said.run_slots = 2;
    said.type_k = CACHE_TYPE_Q8_0;
    said.measured_bytes = 77;
    say(world, &(struct msg){.type = MSG_STATE,
                       .state = {.instances = &said,
                               .instance_count = 1,
                               .swap_allowance_bytes = 5,
                               .memory_bandwidth_bytes = 6}});
    const struct instance *instance = node_session_instance(world->session, 0);
    assert_int_equal(instance->alias_count, 2);
    assert_string_equal(instance->aliases[1], "the big one");
    assert_true(instance->has_fingerprint);
    assert_memory_equal(instance->fingerprint, fingerprint, sizeof(fingerprint));
    assert_int_equal(instance->quality, 70);
    assert_true(instance->foreign && instance->batch_only);
    assert_int_equal(instance->load_ms, 4321);
    assert_int_equal(instance->cache_tokens, 131072);
    assert_true(instance->cache_swaps);
    assert_int_equal(instance->shape.tensor_bytes, 9);
    assert_int_equal(instance->shape.full.layers, 3);
    assert_int_equal(instance->run_context, 512);
    assert_int_equal(instance->run_slots, 2);
    assert_int_equal(instance->type_k, CACHE_TYPE_Q8_0);
    assert_int_equal(instance->measured_bytes, 77);
    struct node_facts facts = node_session_facts(world->session);
    assert_int_equal(facts.swap_allowance_bytes, 5);
    assert_int_equal(facts.memory_bandwidth_bytes, 6);
    say_state(world, false, "small", INSTANCE_RESIDENT); /* as an older node tells it */
    assert_int_equal(instance->alias_count, 0);
    assert_null(instance->aliases);
    assert_false(instance->has_fingerprint);
    assert_int_equal(instance->shape.tensor_bytes, 0);
}

static void a_draining_node_is_not_usable(void **state)
{
    struct world *world = *state;
    assert_true(node_session_instance(world->session, 0)->usable);
    say(world, &(struct msg){.type = MSG_STATE, .state = {.draining = true}});
    assert_false(node_session_instance(world->session, 0)->usable);
    assert_true(node_session_facts(world->session).draining);
    say(world, &(struct msg){.type = MSG_STATE});
    assert_true(node_session_instance(world->session, 0)->usable);
}

static void the_nodes_limit_says_what_fits(void **state)
{
    struct world *world = *state;
    struct msg_instance said = {.model = "small",
            .state = INSTANCE_AVAILABLE,
            .memory_bytes = 100,
            .engine = "",
            .note = ""};
    struct msg msg = {
            .type = MSG_STATE, .state = {.full = true, .instances = &said, .instance_count = 1}};
    say(world, &msg); /* no limit is known */
    assert_true(node_session_instance(world->session, 0)->fits);
    msg.state.memory_limit_bytes = 99;
    say(world, &msg);
    assert_false(node_session_instance(world->session, 0)->fits);
    msg.state.memory_limit_bytes = 100;
    say(world, &msg);
    assert_true(node_session_instance(world->session, 0)->fits);
}

static void what_is_for_batch_alone_may_pass_the_limit(void **state)
{
    struct world *world = *state;
    struct msg_instance said = {.model = "small",
            .state = INSTANCE_AVAILABLE,
            .memory_bytes = 150,
            .batch_only = true,
            .engine = "",
            .note = ""};
    struct msg msg = {.type = MSG_STATE,
            .state = {.full = true,
                    .instances = &said,
                    .instance_count = 1,
                    .memory_limit_bytes = 100,
                    .swap_allowance_bytes = 50}};
    say(world, &msg);
    assert_true(node_session_instance(world->session, 0)->fits);
    assert_true(node_session_instance(world->session, 0)->batch_only);
    msg.state.swap_allowance_bytes = 49;
    say(world, &msg);
    assert_false(node_session_instance(world->session, 0)->fits);
    msg.state.swap_allowance_bytes = UINT64_MAX;
    say(world, &msg);
    assert_true(node_session_instance(world->session, 0)->fits);
    said.batch_only = false; /* the allowance is not for it */
    say(world, &msg);
    assert_false(node_session_instance(world->session, 0)->fits);
}

static void a_node_that_drained_has_shut_down(void **state)
{
    struct world *world = *state;
    say(world, &(struct msg){.type = MSG_STATE, .state = {.draining = true}});
    node_session_end(world->session, "unreachable");
    assert_int_equal(world->gones, 1);
    assert_string_equal(world->reason, "it has shut down");
}

static void a_removed_model_leaves_its_streams_alone(void **state)
{
    struct world *world = *state;
    static struct request request;
    const char *removed[] = {"small"};
    open_request(world, "{}", 2, &request);
    say(world, &(struct msg){.type = MSG_STATE, .state = {.removed = removed, .removed_count = 1}});
    say_delta(world, request.id, 10);
    say_end(world, request.id);
    assert_int_equal(request.deltas, 1);
    assert_int_equal(request.fail_code, -1);
    assert_int_equal(node_session_facts(world->session).done, 1);
}

/* --- streams --- */

static void a_body_goes_out_under_credit(void **state)
{
    struct world *world = *state;
    static char body[40000];
    static struct request request;
    memset(body, 'b', sizeof(body));
    assert_int_equal(try_open(world, body, sizeof(body), &request), 0);
    struct msg start = next(world, MSG_START);
    uint64_t id = start.start.stream;
    assert_int_equal(id >> 32, world->epoch);
    assert_int_equal(start.start.body_bytes, sizeof(body));
    assert_int_equal(start.start.window, STREAM_WINDOW);
    assert_true(start.start.batch);
    assert_int_equal(start.start.needs, CAPABILITY_CHAT | CAPABILITY_TOOLS);
    assert_string_equal(start.start.model, "small");
    node_session_flush(world->session);
    assert_int_equal(next(world, MSG_BODY).body.len, STREAM_WINDOW);
    nothing_sent(world);
    assert_false(node_stream_body_sent(request.stream));

    say_credit(world, id, 100);
    node_session_flush(world->session);
    struct msg piece = next(world, MSG_BODY);
    assert_int_equal(piece.body.len, 100);
    assert_false(piece.body.last);

    say_credit(world, id, 100000);
    node_session_flush(world->session);
    assert_int_equal(next(world, MSG_BODY).body.len, MSG_CHUNK_MAX);
    piece = next(world, MSG_BODY);
    assert_true(piece.body.last);
    assert_int_equal(piece.body.len, sizeof(body) - STREAM_WINDOW - 100 - MSG_CHUNK_MAX);
    nothing_sent(world);
    assert_true(node_stream_body_sent(request.stream));
}

static void bodies_take_turns(void **state)
{
    struct world *world = *state;
    static char body[60000];
    static struct request first, second;
    memset(body, 'b', sizeof(body));
    open_request(world, body, sizeof(body), &first);
    open_request(world, "{}", 2, &second);
    say_credit(world, first.id, 100000);
    node_session_flush(world->session);
    assert_int_equal(next(world, MSG_BODY).body.stream, first.id);
    assert_int_equal(next(world, MSG_BODY).body.stream, second.id);
    assert_int_equal(next(world, MSG_BODY).body.stream, first.id);
}

static void no_body_is_no_message(void **state)
{
    struct world *world = *state;
    static struct request request;
    open_request(world, "", 0, &request);
    node_session_flush(world->session);
    nothing_sent(world);
    assert_true(node_stream_body_sent(request.stream));
}

static void too_much_credit_breaks_the_session(void **state)
{
    struct world *world = *state;
    static struct request request;
    open_request(world, "{}", 2, &request);
    say_credit(world, request.id, UINT32_MAX);
    node_session_flush(world->session);
    assert_int_equal(world->gones, 1);
    assert_int_equal(request.fail_code, FAIL_ENGINE_DIED);
}

static void overspending_ends_only_that_stream(void **state)
{
    struct world *world = *state;
    static struct request greedy, modest;
    open_request(world, "", 0, &greedy);
    open_request(world, "", 0, &modest);
    say_delta(world, greedy.id, STREAM_WINDOW - MSG_DELTA_OVERHEAD);
    assert_int_equal(greedy.deltas, 1);
    say_delta(world, greedy.id, 1);
    assert_int_equal(greedy.deltas, 1);
    assert_int_equal(greedy.fail_code, FAIL_PROTOCOL);
    assert_int_equal(next(world, MSG_CANCEL).cancel.stream, greedy.id);
    say_delta(world, greedy.id, 1); /* on its way still */
    say_delta(world, modest.id, 5);
    assert_int_equal(modest.deltas, 1);
    node_session_flush(world->session);
    assert_int_equal(world->gones, 0);
    assert_int_equal(node_session_facts(world->session).running, 1);
    assert_int_equal(node_session_facts(world->session).failed, 1);
}

static void credit_returns_at_half_the_window(void **state)
{
    struct world *world = *state;
    static struct request one, two;
    open_request(world, "", 0, &one);
    open_request(world, "", 0, &two);
    say_delta(world, one.id, 8000);
    say_delta(world, two.id, 8000);
    node_stream_took(one.stream, 8016);
    node_session_flush(world->session);
    nothing_sent(world);
    say_delta(world, one.id, 200);
    say_delta(world, two.id, 200);
    node_stream_took(one.stream, 216);
    node_stream_took(two.stream, 8232);
    node_session_flush(world->session);
    struct msg msg = next(world, MSG_CREDIT);
    assert_int_equal(msg.credit.count, 2);
    assert_int_equal(msg.credit.grants[0].stream, one.id);
    assert_int_equal(msg.credit.grants[0].bytes, 8232);
    assert_int_equal(msg.credit.grants[1].bytes, 8232);
    node_session_flush(world->session);
    nothing_sent(world);
}

static void a_stream_may_be_cancelled_in_its_delta(void **state)
{
    struct world *world = *state;
    static struct request request;
    open_request(world, "", 0, &request);
    request.cancel_in_delta = true;
    struct msg_delta deltas[] = {
            {.stream = request.id, .kind = DELTA_TEXT, .data = "a", .len = 1},
            {.stream = request.id, .kind = DELTA_TEXT, .data = "b", .len = 1},
    };
    say(world, &(struct msg){.type = MSG_DELTAS, .deltas = {.deltas = deltas, .count = 2}});
    assert_int_equal(request.deltas, 1);
    assert_int_equal(request.ends, 0);
    assert_int_equal(next(world, MSG_CANCEL).cancel.stream, request.id);
    assert_int_equal(node_session_instance(world->session, 0)->running, 0);
    assert_int_equal(world->rooms, 1);
}

static void ends_and_fails_reach_their_stream(void **state)
{
    struct world *world = *state;
    static struct request complete, failed;
    open_request(world, "", 0, &complete);
    open_request(world, "", 0, &failed);
    assert_int_equal(node_session_instance(world->session, 0)->running, 2);
    say_end(world, complete.id);
    say_end(world, complete.id);
    say(world, &(struct msg){.type = MSG_FAIL,
                       .fail = {.stream = failed.id, .code = FAIL_NO_MEMORY, .message = "m"}});
    assert_int_equal(complete.ends, 1);
    assert_int_equal(failed.fail_code, FAIL_NO_MEMORY);
    struct node_facts facts = node_session_facts(world->session);
    assert_int_equal(facts.running, 0);
    assert_int_equal(facts.done, 1);
    assert_int_equal(facts.failed, 1);
    assert_int_equal(world->rooms, 2);
}

/* --- membership and tunnels --- */

static void a_new_key_goes_to_the_owner(void **state)
{
    struct world *world = *state;
    static const uint8_t key[MSG_KEY_BYTES] = {9, 8, 7};
    struct msg join = {.type = MSG_JOIN,
            .join = {.name = "halo1",
                    .software = "",
                    .version_min = 1,
                    .version_max = 1,
                    .key = {.data = key, .len = sizeof(key)}}};
    say(world, &join);
    assert_int_equal(world->joins, 1);
    assert_memory_equal(world->joined_key, key, sizeof(key));
    node_session_send(world->session,
            &(struct msg){.type = MSG_JOINED,
                    .joined = {.mesh = join.join.key, .certificate = bytes_of("c")}});
    struct msg msg = next(world, MSG_JOINED);
    assert_bytes(&msg.joined.certificate, "c");
    node_session_flush(world->session);
    assert_int_equal(world->gones, 0);
}

static void tunnels_go_to_the_owner(void **state)
{
    struct world *world = *state;
    const struct msg said[] = {
            {.type = MSG_TUNNEL_OPEN, .tunnel_open = {.tunnel = 1, .window = 5}},
            {.type = MSG_TUNNEL_DATA, .tunnel_data = {.tunnel = 1, .data = "GET", .len = 3}},
            {.type = MSG_TUNNEL_CREDIT, .tunnel_credit = {.tunnel = 1, .bytes = 5}},
            {.type = MSG_TUNNEL_CLOSE, .tunnel_close = {.tunnel = 1}},
    };
    for (unsigned i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        say(world, &said[i]);
        assert_int_equal(world->tunnels, i + 1);
        assert_int_equal(world->tunnel_type, said[i].type);
    }
    node_session_flush(world->session);
    assert_int_equal(world->gones, 0);
}

static void what_the_owner_refuses_of_a_tunnel_ends_the_session(void **state)
{
    struct world *world = *state;
    world->tunnel_result = -EPROTO;
    say(world, &(struct msg){.type = MSG_TUNNEL_CLOSE, .tunnel_close = {.tunnel = 1}});
    assert_int_equal(world->gones, 0);
    node_session_flush(world->session);
    assert_int_equal(world->gones, 1);
    assert_string_equal(world->reason, "not like this");
}

static void send_tunnel(struct world *world, size_t len)
{
    static const char data[MSG_CHUNK_MAX] = "";
    node_session_send(
            world->session, &(struct msg){.type = MSG_TUNNEL_DATA,
                                    .tunnel_data = {.tunnel = 1, .data = data, .len = len}});
}

static void tunnels_wait_behind_all_else(void **state)
{
    struct world *world = *state;
    static struct request first, second;
    open_request(world, "", 0, &first);
    world->link.result[0] = -EAGAIN;
    send_tunnel(world, 100);
    node_session_send(
            world->session, &(struct msg){.type = MSG_TUNNEL_CLOSE, .tunnel_close = {.tunnel = 1}});
    node_session_send(world->session, &(struct msg){.type = MSG_TUNNEL_CREDIT,
                                              .tunnel_credit = {.tunnel = 2, .bytes = 8192}});
    assert_int_equal(try_open(world, "{}", 2, &second), 0);
    node_stream_cancel(first.stream);
    world->link.result[0] = 0;
    node_session_flush(world->session);
    assert_int_equal(next(world, MSG_TUNNEL_CREDIT).tunnel_credit.tunnel, 2);
    next(world, MSG_CANCEL);
    next(world, MSG_START);
    next(world, MSG_BODY);
    assert_int_equal(next(world, MSG_TUNNEL_DATA).tunnel_data.len, 100);
    next(world, MSG_TUNNEL_CLOSE);
    nothing_sent(world);
}

static void a_tunnel_never_passes_a_waiting_request(void **state)
{
    struct world *world = *state;
    static struct request request;
    world->link.result[0] = -EAGAIN;
    assert_int_equal(try_open(world, "", 0, &request), 0);
    world->link.result[0] = 0;
    send_tunnel(world, 1);
    nothing_sent(world);
    node_session_flush(world->session);
    next(world, MSG_START);
    next(world, MSG_TUNNEL_DATA);
}

static void a_slow_link_takes_no_more_of_tunnels(void **state)
{
    struct world *world = *state;
    static struct request request;
    assert_true(node_session_tunnel_room(world->session));
    world->link.result[0] = -EAGAIN;
    assert_int_equal(
            try_open(world, "{}", 2, &request), 0); /* what waits of others is no hindrance */
    size_t sent = 0;
    for (; node_session_tunnel_room(world->session); sent += MSG_CHUNK_MAX)
        send_tunnel(world, MSG_CHUNK_MAX);
    assert_in_range(sent, SESSION_OUTBOX_TUNNEL_MAX - MSG_CHUNK_MAX, SESSION_OUTBOX_TUNNEL_MAX);
    world->link.result[0] = 0;
    node_session_flush(world->session);
    assert_true(node_session_tunnel_room(world->session));
    assert_int_equal(world->gones, 0);
}

static void tunnels_that_overflow_end_the_session(void **state)
{
    struct world *world = *state;
    world->link.result[0] = -EAGAIN;
    for (size_t sent = 0; sent <= SESSION_OUTBOX_MAX; sent += MSG_CHUNK_MAX)
        send_tunnel(world, MSG_CHUNK_MAX);
    node_session_flush(world->session);
    assert_int_equal(world->gones, 1);
    assert_non_null(strstr(world->reason, "too slow"));
}

/* A link that has no room for a large frame. */
struct narrow {
    struct transport behind;
    size_t max;
};

static int take_small(void *ctx, const void *peer, const void *frame, size_t len)
{
    struct narrow *narrow = ctx;
    return len > narrow->max ? -EAGAIN : transport_send(&narrow->behind, peer, frame, len);
}

static void a_body_that_waits_again_holds_tunnels_up(void **state)
{
    struct world *world = *state;
    static char body[STREAM_WINDOW];
    static struct request request;
    struct narrow narrow = {.behind = world->link.transport, .max = FRAME_MAX};
    node_session_destroy(world->session);
    world->link.transport = (struct transport){.send = take_small, .ctx = &narrow};
    assert_int_equal(create(world, 1, 1, NULL), 0);
    next(world, MSG_WELCOME);
    say_state(world, true, "small", INSTANCE_RESIDENT);
    narrow.max = 0;
    assert_int_equal(try_open(world, body, sizeof(body), &request), 0);
    send_tunnel(world, 1);
    narrow.max = sizeof(body) / 2;
    node_session_flush(world->session);
    next(world, MSG_START);
    nothing_sent(world);
    narrow.max = FRAME_MAX;
    node_session_flush(world->session);
    next(world, MSG_BODY);
    next(world, MSG_TUNNEL_DATA);
    node_session_destroy(world->session); /* it knows the narrow link */
    world->session = NULL;
}

/* --- a slow link --- */

static void cancel_overtakes_and_its_start_is_never_sent(void **state)
{
    struct world *world = *state;
    static struct request kept, dropped;
    world->link.result[0] = -EAGAIN;
    assert_int_equal(try_open(world, "{}", 2, &dropped), 0);
    assert_int_equal(try_open(world, "{}", 2, &kept), 0);
    node_stream_cancel(dropped.stream);
    world->link.result[0] = 0;
    node_session_flush(world->session);
    next(world, MSG_CANCEL);
    uint64_t id = next(world, MSG_START).start.stream;
    assert_int_equal(next(world, MSG_BODY).body.stream, id);
    nothing_sent(world);
}

static void data_never_passes_waiting_control(void **state)
{
    struct world *world = *state;
    static struct request first, second;
    open_request(world, "", 0, &first);
    world->link.result[0] = -EAGAIN;
    node_stream_cancel(first.stream);
    world->link.result[0] = 0;
    assert_int_equal(try_open(world, "", 0, &second), 0); /* with the same index */
    nothing_sent(world);
    node_session_flush(world->session);
    assert_int_equal(next(world, MSG_CANCEL).cancel.stream, first.id);
    next(world, MSG_START);
}

static void a_busy_link_keeps_the_order(void **state)
{
    struct world *world = *state;
    static char body[STREAM_WINDOW];
    static struct request first, second;
    memset(body, 'b', sizeof(body));
    world->link.result[0] = -EAGAIN;
    assert_int_equal(try_open(world, body, sizeof(body), &first), 0);
    node_session_flush(world->session);
    world->link.result[0] = 0;
    assert_int_equal(try_open(world, body, sizeof(body), &second), 0);
    nothing_sent(world);
    node_session_flush(world->session);
    uint64_t id = next(world, MSG_START).start.stream;
    uint64_t second_id = next(world, MSG_START).start.stream;
    assert_int_not_equal(id, second_id);
    assert_int_equal(next(world, MSG_BODY).body.stream, id);
    assert_int_equal(next(world, MSG_BODY).body.stream, second_id);
}

static void a_link_that_takes_nothing_ends_the_session(void **state)
{
    struct world *world = *state;
    static struct request request;
    world->link.result[0] = -EAGAIN;
    for (unsigned i = 0; i < 200000 && world->session; i++) {
        if (try_open(world, "", 0, &request) == 0)
            node_stream_cancel(request.stream);
        node_session_flush(world->session);
    }
    assert_int_equal(world->gones, 1);
    assert_non_null(strstr(world->reason, "too slow"));
}

static void bodies_stop_before_the_outbox_is_full(void **state)
{
    struct world *world = *state;
    enum { STREAMS = 64 };
    static char body[STREAM_WINDOW];
    static struct request requests[STREAMS];
    memset(body, 'b', sizeof(body));
    for (size_t i = 0; i < STREAMS; i++)
        assert_int_equal(try_open(world, body, sizeof(body), &requests[i]), 0);
    world->link.result[0] = -EAGAIN;
    node_session_flush(world->session);
    size_t sent = 0;
    for (size_t i = 0; i < STREAMS; i++)
        sent += node_stream_body_sent(requests[i].stream);
    assert_in_range(sent, 1, SESSION_OUTBOX_BODY_MAX / STREAM_WINDOW + 1);
    world->link.result[0] = 0;
    node_session_flush(world->session);
    for (size_t i = 0; i < STREAMS; i++)
        assert_true(node_stream_body_sent(requests[i].stream));
}

static void an_unreachable_node_is_gone(void **state)
{
    struct world *world = *state;
    static struct request request;
    open_request(world, "", 0, &request);
    world->link.result[0] = -EHOSTUNREACH;
    node_session_probe(world->session);
    assert_int_equal(world->gones, 1);
    assert_string_equal(world->reason, "unreachable");
    assert_int_equal(request.fail_code, FAIL_ENGINE_DIED);
}

static void a_probe_of_a_living_node_changes_nothing(void **state)
{
    struct world *world = *state;
    node_session_probe(world->session);
    next(world, MSG_HEARTBEAT);
    assert_int_equal(world->gones, 0);
}

/* --- limits --- */

static void streams_of_one_node_are_limited(void **state)
{
    struct world *world = *state;
    static struct request requests[2];
    for (size_t i = 0; i < STREAM_TABLE_MAX; i++)
        assert_int_equal(try_open(world, "", 0, &requests[0]), 0);
    assert_int_equal(try_open(world, "", 0, &requests[1]), -ENFILE);
    node_stream_cancel(requests[0].stream);
    assert_int_equal(try_open(world, "", 0, &requests[1]), 0);
}

/* --- life --- */

static void heartbeats_come_when_nothing_else_does(void **state)
{
    struct world *world = *state;
    virtual_env_advance_ms(&world->env, SESSION_HEARTBEAT_MS - 1);
    node_session_tick(world->session, false);
    nothing_sent(world);
    virtual_env_advance_ms(&world->env, 1);
    node_session_tick(world->session, false);
    struct msg msg = next(world, MSG_HEARTBEAT);
    assert_int_equal(msg.heartbeat.sent_us, world->env.now_us);
    assert_int_equal(msg.heartbeat.echo_us, 0);
    node_session_tick(world->session, false);
    nothing_sent(world);
}

static void heartbeats_do_not_pile_up(void **state)
{
    struct world *world = *state;
    world->link.result[0] = -EAGAIN;
    for (int i = 0; i < 8; i++) {
        virtual_env_advance_ms(&world->env, SESSION_HEARTBEAT_MS);
        node_session_tick(world->session, false);
    }
    world->link.result[0] = 0;
    node_session_flush(world->session);
    next(world, MSG_HEARTBEAT);
    nothing_sent(world);
}

static void an_echo_gives_the_round_trip_and_no_answer(void **state)
{
    struct world *world = *state;
    uint64_t sent_us = world->env.now_us;
    world->env.now_us += 210;
    say(world, &(struct msg){.type = MSG_HEARTBEAT, .heartbeat = {.echo_us = sent_us}});
    assert_int_equal(node_session_facts(world->session).rtt_us, 210);
    nothing_sent(world);
    say(world,
            &(struct msg){.type = MSG_HEARTBEAT, .heartbeat = {.echo_us = world->env.now_us + 5}});
    assert_int_equal(node_session_facts(world->session).rtt_us, 210);
    say(world, &(struct msg){.type = MSG_HEARTBEAT, .heartbeat = {.sent_us = 77}});
    struct msg msg = next(world, MSG_HEARTBEAT);
    assert_int_equal(msg.heartbeat.echo_us, 77);
    assert_int_equal(msg.heartbeat.sent_us, 0);
}

static void silence_makes_suspect_then_gone(void **state)
{
    struct world *world = *state;
    static struct request request;
    open_request(world, "", 0, &request);
    virtual_env_advance_ms(&world->env, SESSION_SUSPECT_MS + 1);
    node_session_tick(world->session, false);
    assert_int_equal(node_session_state(world->session), SESSION_SUSPECT);
    assert_false(node_session_instance(world->session, 0)->usable);
    assert_true(node_session_instance(world->session, 0)->silent);
    static struct request refused;
    assert_int_equal(try_open(world, "", 0, &refused), -EAGAIN);
    assert_int_equal(request.ends, 0);

    say_delta(world, request.id, 1);
    assert_int_equal(node_session_state(world->session), SESSION_UP);
    assert_true(node_session_instance(world->session, 0)->usable);
    assert_false(node_session_instance(world->session, 0)->silent);

    virtual_env_advance_ms(&world->env, SESSION_GONE_MS);
    node_session_tick(world->session, false);
    assert_int_equal(world->gones, 0);
    virtual_env_advance_ms(&world->env, 1);
    node_session_tick(world->session, false);
    assert_int_equal(world->gones, 1);
    assert_int_equal(request.fail_code, FAIL_ENGINE_DIED);
}

static void a_stall_of_our_own_proves_nothing(void **state)
{
    struct world *world = *state;
    virtual_env_advance_ms(&world->env, 60000);
    node_session_tick(world->session, true);
    assert_int_equal(world->gones, 0);
    assert_int_equal(node_session_state(world->session), SESSION_UP);
    virtual_env_advance_ms(&world->env, SESSION_GONE_MS + 1);
    node_session_tick(world->session, false);
    assert_int_equal(world->gones, 1);
}

static void destroying_fails_what_is_open(void **state)
{
    struct world *world = *state;
    static struct request request;
    open_request(world, "{}", 2, &request);
    node_session_destroy(world->session);
    world->session = NULL;
    assert_int_equal(request.ends, 1);
    assert_int_equal(world->gones, 0);
}

/* --- orders --- */

struct ordered { /* what one order told its owner */
    struct node_order *order;
    unsigned progresses, dones;
    bool ok;
    char text[MSG_TEXT_MAX + 1];
};

static void on_order_progress(void *ctx, const char *text)
{
    struct ordered *ordered = ctx;
    ordered->progresses++;
    (void)snprintf(ordered->text, sizeof(ordered->text), "%s", text);
}

static void on_order_done(void *ctx, const struct msg_done *done)
{
    struct ordered *ordered = ctx;
    ordered->dones++;
    ordered->ok = done->ok;
    (void)snprintf(ordered->text, sizeof(ordered->text), "%s", done->message);
}

static const struct node_order_events order_events = {
        .on_progress = on_order_progress, .on_done = on_order_done};

static int order_load(struct world *world, struct ordered *ordered)
{
    const struct msg msg = {.type = MSG_LOAD,
            .load = {.model = "small",
                    .replaces = "large",
                    .context = 8192,
                    .slots = 2,
                    .type_k = "q8_0",
                    .type_v = ""}};
    *ordered = (struct ordered){0};
    return node_session_order(world->session, &msg, &order_events, ordered, &ordered->order, NULL);
}

static void an_order_is_carried_out(void **state)
{
    struct world *world = *state;
    struct ordered ordered;
    assert_int_equal(order_load(world, &ordered), 0);
    struct msg msg = next(world, MSG_LOAD);
    assert_string_equal(msg.load.model, "small");
    assert_string_equal(msg.load.replaces, "large");
    assert_int_equal(msg.load.context, 8192);
    assert_int_equal(msg.load.order >> 32, world->epoch);
    uint64_t id = msg.load.order;
    say(world, &(struct msg){.type = MSG_PROGRESS, .progress = {.order = id, .text = "drains"}});
    assert_string_equal(ordered.text, "drains");
    say(world, &(struct msg){
                       .type = MSG_DONE, .done = {.order = id, .ok = true, .message = "loaded"}});
    say(world,
            &(struct msg){.type = MSG_DONE, .done = {.order = id, .ok = false, .message = "late"}});
    assert_int_equal(ordered.dones, 1);
    assert_true(ordered.ok);
    assert_string_equal(ordered.text, "loaded");
    node_session_flush(world->session);
    assert_int_equal(world->gones, 0);
}

static void what_is_ordered_is_waited_for(void **state)
{
    struct world *world = *state;
    const struct instance *instance = node_session_instance(world->session, 0);
    struct ordered ordered;
    unsigned rooms = world->rooms;
    assert_int_equal(order_load(world, &ordered), 0);
    assert_true(instance->ordered);
    assert_true(world->rooms > rooms);
    uint64_t id = next(world, MSG_LOAD).load.order;
    say_state(world, false, "small", INSTANCE_LOADING);
    assert_true(instance->ordered);
    rooms = world->rooms;
    say(world, &(struct msg){
                       .type = MSG_DONE, .done = {.order = id, .ok = true, .message = "loaded"}});
    assert_false(instance->ordered);
    assert_true(world->rooms > rooms);
}

static void an_order_goes_behind_the_requests_before_it(void **state)
{
    struct world *world = *state;
    static struct request request;
    struct ordered ordered;
    request = (struct request){0};
    world->link.result[0] = -EAGAIN;
    assert_int_equal(try_open(world, "{}", 2, &request), 0);
    assert_int_equal(order_load(world, &ordered), 0);
    world->link.result[0] = 0;
    node_session_flush(world->session);
    next(world, MSG_START);
    next(world, MSG_LOAD);
    next(world, MSG_BODY);
}

static void an_older_node_refuses_orders(void **state)
{
    struct world *world = *state;
    struct ordered ordered;
    assert_int_equal(order_load(world, &ordered), 0);
    say(world, &(struct msg){.type = MSG_UNSUPPORTED, .unsupported = {.type = MSG_LOAD}});
    assert_int_equal(ordered.dones, 1);
    assert_false(ordered.ok);
    assert_non_null(strstr(ordered.text, "node \"halo1\" runs an older modemesh"));
    node_session_flush(world->session);
    assert_int_equal(world->gones, 0);
}

static void a_node_that_goes_fails_its_orders(void **state)
{
    struct world *world = *state;
    struct ordered ordered;
    assert_int_equal(order_load(world, &ordered), 0);
    node_session_end(world->session, "unreachable");
    assert_int_equal(ordered.dones, 1);
    assert_string_equal(ordered.text, "node \"halo1\" is gone: unreachable");
}

static void a_node_that_is_not_heard_of_takes_no_order(void **state)
{
    struct world *world = *state;
    struct ordered ordered;
    virtual_env_advance_ms(&world->env, SESSION_SUSPECT_MS + 1);
    node_session_tick(world->session, false);
    assert_int_equal(order_load(world, &ordered), -EAGAIN);
    say(world, &(struct msg){.type = MSG_HEARTBEAT, .heartbeat = {.sent_us = 1}});
    assert_int_equal(order_load(world, &ordered), 0);
}

#define SESSION_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            SESSION_TEST(versions_are_agreed_on),
            SESSION_TEST(welcome_proves_who_we_are),
            SESSION_TEST(what_only_a_coordinator_says_breaks_the_session),
            SESSION_TEST(an_order_from_a_node_breaks_the_session),
            SESSION_TEST(the_answer_to_no_order_changes_nothing),
            SESSION_TEST(a_second_hello_breaks_the_session),
            SESSION_TEST(garbage_breaks_the_session),
            SESSION_TEST(an_unknown_type_is_answered),
            SESSION_TEST(models_of_an_edge_do_not_count),
            SESSION_TEST(state_changes_and_replaces),
            SESSION_TEST(what_a_model_can_do_is_kept),
            SESSION_TEST(a_long_note_is_cut_between_characters),
            SESSION_TEST(too_many_models_break_the_session),
            SESSION_TEST(what_a_plan_needs_is_kept),
            SESSION_TEST(a_draining_node_is_not_usable),
            SESSION_TEST(the_nodes_limit_says_what_fits),
            SESSION_TEST(what_is_for_batch_alone_may_pass_the_limit),
            SESSION_TEST(a_node_that_drained_has_shut_down),
            SESSION_TEST(a_removed_model_leaves_its_streams_alone),
            SESSION_TEST(a_body_goes_out_under_credit),
            SESSION_TEST(bodies_take_turns),
            SESSION_TEST(no_body_is_no_message),
            SESSION_TEST(too_much_credit_breaks_the_session),
            SESSION_TEST(overspending_ends_only_that_stream),
            SESSION_TEST(credit_returns_at_half_the_window),
            SESSION_TEST(a_stream_may_be_cancelled_in_its_delta),
            SESSION_TEST(ends_and_fails_reach_their_stream),
            SESSION_TEST(a_new_key_goes_to_the_owner),
            SESSION_TEST(tunnels_go_to_the_owner),
            SESSION_TEST(what_the_owner_refuses_of_a_tunnel_ends_the_session),
            SESSION_TEST(tunnels_wait_behind_all_else),
            SESSION_TEST(a_tunnel_never_passes_a_waiting_request),
            SESSION_TEST(a_slow_link_takes_no_more_of_tunnels),
            SESSION_TEST(tunnels_that_overflow_end_the_session),
            SESSION_TEST(a_body_that_waits_again_holds_tunnels_up),
            SESSION_TEST(cancel_overtakes_and_its_start_is_never_sent),
            SESSION_TEST(data_never_passes_waiting_control),
            SESSION_TEST(a_busy_link_keeps_the_order),
            SESSION_TEST(a_link_that_takes_nothing_ends_the_session),
            SESSION_TEST(bodies_stop_before_the_outbox_is_full),
            SESSION_TEST(an_unreachable_node_is_gone),
            SESSION_TEST(a_probe_of_a_living_node_changes_nothing),
            SESSION_TEST(streams_of_one_node_are_limited),
            SESSION_TEST(heartbeats_come_when_nothing_else_does),
            SESSION_TEST(heartbeats_do_not_pile_up),
            SESSION_TEST(an_echo_gives_the_round_trip_and_no_answer),
            SESSION_TEST(silence_makes_suspect_then_gone),
            SESSION_TEST(a_stall_of_our_own_proves_nothing),
            SESSION_TEST(destroying_fails_what_is_open),
            SESSION_TEST(an_order_is_carried_out),
            SESSION_TEST(what_is_ordered_is_waited_for),
            SESSION_TEST(an_order_goes_behind_the_requests_before_it),
            SESSION_TEST(an_older_node_refuses_orders),
            SESSION_TEST(a_node_that_goes_fails_its_orders),
            SESSION_TEST(a_node_that_is_not_heard_of_takes_no_order),
    };
    return cmocka_run_group_tests_name("node_session", tests, NULL, NULL);
}
