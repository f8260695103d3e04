#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/link/link.h"
#include "common/log.h"
#include "common/trust/identity.h"
#include "common/trust/phrase.h"
#include "node/link/joining.h"
#include "proto/frame.h"
#include "tests/lib/loopback.h"
#include "tests/lib/patience.h"
#include "tests/lib/scratch.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 60000, /* a test that waits longer has failed */
    HUBS = 2,
    KEYS_MAX = 8,
    MSG_TYPE_MAX = 32,
    LOG_MAX = 256 * 1024,
    YEAR_S = 365 * 24 * 3600,
    BOTH_ROLES = CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE,
};

/* What a coordinator answers, where it is not the truth. All zero: the truth. */
struct lies {
    const struct identity *mesh;   /* names this identity as the mesh's … */
    const struct identity *signer; /* … and has certificates from that one */
    bool no_proof;                 /* no certificates of coordinators */
    const char *proven_key;        /* certificate of another link key */
    unsigned proven_roles;
    int64_t proof_ends_s; /* from now */
    bool no_certificate;  /* none for the node … */
    const char *own_key;  /* … or for another key */
    bool silent;
    const char *refusal; /* REFUSE with this text … */
    enum refuse_code refusal_code;
};

/* A coordinator. The test lets keys in and says what it answers. */
struct hub {
    struct fixture *f;
    struct key_pair keys;
    const char *next_key; /* that it tells beside its own; NULL: none */
    char endpoint[128];
    struct link_server *server;
    char let_in[KEYS_MAX][KEY_Z85_LEN + 1];
    size_t let_in_count;
    unsigned refusals; /* of handshakes … */
    char refused_key[KEYS_MAX][KEY_Z85_LEN + 1];
    unsigned refused_times[KEYS_MAX]; /* … of each key */
    struct lies lies;
    unsigned got[MSG_TYPE_MAX];
    struct link_peer peer;    /* of the last frame */
    size_t shown_len;         /* of the certificate in the last HELLO */
    struct certificate shown; /* … where it was one */
};

struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    struct scratch scratch;
    struct virtual_env world;
    struct identity mesh, other_mesh;
    struct hub hubs[HUBS];
    struct join_token token;
    int saved_stderr; /* while the log is caught; else -1 */

    /* The node. */
    struct key_pair pair;
    struct joining_config config;
    struct joining *joining;
    unsigned ups, downs, memberships, joined; /* joined: as a member */
    unsigned roles;
    int welcome_result;
    struct err err; /* of the last WELCOME */
    char reason[ERR_TEXT_MAX];
};

static void run_turn(struct fixture *f)
{
    uv_run(&f->loop.uv, UV_RUN_ONCE);
}

#define RUN_UNTIL(f, condition)                                                                    \
    while (!(condition))                                                                           \
    run_turn(f)

static uint64_t now_s(const struct fixture *f)
{
    return (uint64_t)(env_wall_ms(&f->world.env) / 1000);
}

/* --- coordinators --- */

static struct msg_bytes bytes_of(const struct certificate_bytes *bytes)
{
    return (struct msg_bytes){.data = bytes->data, .len = bytes->len};
}

static void certify(const struct fixture *f, const struct identity *signer, const char *key,
        unsigned roles, int64_t ends_s, struct certificate_bytes *ret_bytes)
{
    struct certificate certificate = {.name = "halo1",
            .roles = roles,
            .serial = 7,
            .not_before_s = now_s(f) - YEAR_S,
            .not_after_s = (uint64_t)((int64_t)now_s(f) + ends_s)};

    strcpy(certificate.key, key);
    certificate_sign(signer, &certificate, ret_bytes);
}

/* What a coordinator says of itself and the node, and the bytes behind it. */
struct speech {
    struct certificate_bytes own, proofs[2];
    struct msg_bytes coordinators[2], mesh, certificate;
    size_t count;
};

static void add_proof(const struct hub *hub, const char *key, struct speech *speech)
{
    const struct lies *lies = &hub->lies;
    struct certificate_bytes *proof = &speech->proofs[speech->count];

    certify(hub->f, lies->signer != NULL ? lies->signer : &hub->f->mesh,
            lies->proven_key != NULL ? lies->proven_key : key,
            lies->proven_roles != 0 ? lies->proven_roles : CERTIFICATE_ROLE_COORDINATOR,
            lies->proof_ends_s != 0 ? lies->proof_ends_s : YEAR_S, proof);
    speech->coordinators[speech->count++] = bytes_of(proof);
}

static void make_speech(const struct hub *hub, const char *node_key, struct speech *speech)
{
    const struct lies *lies = &hub->lies;
    const struct identity *mesh = lies->mesh != NULL ? lies->mesh : &hub->f->mesh;

    *speech = (struct speech){.count = 0};
    speech->mesh = (struct msg_bytes){.data = mesh->public_key, .len = IDENTITY_BYTES};
    if (!lies->no_proof)
        add_proof(hub, hub->keys.public_z85, speech);
    if (hub->next_key != NULL)
        add_proof(hub, hub->next_key, speech);
    certify(hub->f, lies->signer != NULL ? lies->signer : &hub->f->mesh,
            lies->own_key != NULL ? lies->own_key : node_key, BOTH_ROLES, YEAR_S, &speech->own);
    if (!lies->no_certificate)
        speech->certificate = bytes_of(&speech->own);
}

static void hub_say(struct hub *hub, const struct msg *msg)
{
    struct transport transport = link_server_transport(hub->server);
    struct buf frame;
    struct err err;

    buf_init(&frame, FRAME_MAX);
    if (codec_encode(msg, &frame, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(transport_send(&transport, &hub->peer, buf_at(&frame), frame.len), 0);
    buf_fini(&frame);
}

static void hub_refuse(struct hub *hub)
{
    const struct msg msg = {.type = MSG_REFUSE,
            .refuse = {.code = hub->lies.refusal_code, .message = hub->lies.refusal}};

    hub_say(hub, &msg);
}

static void hub_welcome(struct hub *hub)
{
    struct speech speech;

    make_speech(hub, hub->peer.key, &speech);
    const struct msg msg = {.type = MSG_WELCOME,
            .welcome = {.epoch = 9,
                    .version = 1,
                    .heartbeat_ms = 250,
                    .coordinator = "hub",
                    .mesh = speech.mesh,
                    .certificate = speech.certificate,
                    .coordinators = speech.coordinators,
                    .coordinator_count = speech.count}};
    hub_say(hub, &msg);
}

static void hub_joined(struct hub *hub, const char *key)
{
    struct speech speech;

    make_speech(hub, key, &speech);
    const struct msg msg = {.type = MSG_JOINED,
            .joined = {.mesh = speech.mesh,
                    .certificate = speech.certificate,
                    .coordinators = speech.coordinators,
                    .coordinator_count = speech.count}};
    hub_say(hub, &msg);
}

static void hub_certificate(struct hub *hub, const struct certificate_bytes *certificate)
{
    struct speech speech;

    make_speech(hub, hub->peer.key, &speech);
    const struct msg msg = {.type = MSG_CERTIFICATE,
            .certificate = {.certificate = bytes_of(certificate),
                    .coordinators = speech.coordinators,
                    .coordinator_count = speech.count}};
    hub_say(hub, &msg);
}

static void let_in(struct hub *hub, const char *key)
{
    assert_true(hub->let_in_count < KEYS_MAX);
    strcpy(hub->let_in[hub->let_in_count++], key);
}

static void lock_out(struct hub *hub)
{
    hub->let_in_count = 0;
}

static void on_hello(struct hub *hub, const struct msg_hello *hello)
{
    struct err err;

    hub->shown_len = hello->certificate.len;
    if (hub->shown_len > 0)
        assert_int_equal(certificate_parse(hello->certificate.data, hello->certificate.len,
                                 &hub->shown, &err),
                0);
    if (hub->lies.refusal != NULL)
        hub_refuse(hub);
    else
        hub_welcome(hub);
}

static void on_join(struct hub *hub, const struct msg_join *join)
{
    char key[KEY_Z85_LEN + 1];

    key_from_raw(join->key.data, key);
    if (hub->lies.refusal != NULL) {
        hub_refuse(hub);
        return;
    }
    hub_joined(hub, key);
    if (hub->lies.mesh == NULL)
        let_in(hub, key);
}

static void on_server_frame(void *ctx, const struct link_peer *peer, const void *data, size_t len)
{
    struct hub *hub = ctx;
    struct arena arena;
    struct msg msg;
    struct err err;

    arena_init(&arena, MSG_ARENA_BYTES);
    assert_int_equal(codec_decode(data, len, &arena, &msg, &err), 0);
    hub->peer = *peer;
    hub->got[msg.type]++;
    if (msg.type == MSG_HELLO && !hub->lies.silent)
        on_hello(hub, &msg.hello);
    else if (msg.type == MSG_JOIN && !hub->lies.silent)
        on_join(hub, &msg.join);
    arena_fini(&arena);
}

/* How often this key was refused. */
static unsigned *refusals_of(struct hub *hub, const char *key)
{
    for (size_t i = 0; i < KEYS_MAX; i++) {
        if (hub->refused_key[i][0] == '\0')
            strcpy(hub->refused_key[i], key);
        if (strcmp(hub->refused_key[i], key) == 0)
            return &hub->refused_times[i];
    }
    fail();
    return NULL;
}

static bool on_allow(void *ctx, const char *key, const char *address)
{
    struct hub *hub = ctx;

    (void)address;
    for (size_t i = 0; i < hub->let_in_count; i++)
        if (strcmp(hub->let_in[i], key) == 0)
            return true;
    hub->refusals++;
    (*refusals_of(hub, key))++;
    return false;
}

static void on_hint(void *ctx, int fd)
{
    (void)ctx;
    (void)fd;
}

static void on_bad_handshake(void *ctx, const char *address)
{
    (void)ctx;
    (void)address;
}

static void open_hub(struct hub *hub)
{
    static const struct link_server_events events = {.allow = on_allow,
            .on_frame = on_server_frame,
            .on_disconnect_hint = on_hint,
            .on_bad_handshake = on_bad_handshake};
    const char *endpoint = hub->endpoint[0] != '\0' ? hub->endpoint : "tcp://127.0.0.1:*";
    struct err err;

    if (link_server_create(&hub->f->loop, endpoint, &hub->keys, &events, hub, &hub->server, &err) <
            0)
        fail_msg("%s", err.text);
    (void)snprintf(hub->endpoint, sizeof hub->endpoint, "%s", link_server_endpoint(hub->server));
}

static void close_hub(struct hub *hub)
{
    link_server_destroy(hub->server);
    hub->server = NULL;
}

/* "127.0.0.1:PORT" */
static const char *address_of(const struct hub *hub)
{
    return hub->endpoint + strlen("tcp://");
}

static uint16_t port_of(const struct hub *hub)
{
    return (uint16_t)atoi(strrchr(hub->endpoint, ':') + 1);
}

/* --- somebody without a key, who says that the node's is refused --- */

struct liar {
    uv_thread_t thread;
    int fd;
    uint16_t port;
};

enum { ZMTP_GREETING = 64, CURVE_HELLO = 202 };

/* CurveZMQ's ERROR comes in the clear, to whoever has said HELLO. */
static void lie(int fd)
{
    static const char greeting[ZMTP_GREETING] = {
            '\xff', [9] = '\x7f', 3, 0, 'C', 'U', 'R', 'V', 'E', [32] = 1};
    static const char error[] = {4, 10, 5, 'E', 'R', 'R', 'O', 'R', 3, '4', '0', '0'};
    char heard[ZMTP_GREETING + CURVE_HELLO];

    (void)!send(fd, greeting, sizeof greeting, MSG_NOSIGNAL);
    if (recv(fd, heard, sizeof heard, MSG_WAITALL) == sizeof heard)
        (void)!send(fd, error, sizeof error, MSG_NOSIGNAL);
}

static void run_liar(void *arg)
{
    struct liar *liar = arg;
    int fd;

    while ((fd = accept(liar->fd, NULL, NULL)) >= 0) {
        lie(fd);
        (void)!recv(fd, &(char){0}, 1, 0); /* until the node hangs up */
        close(fd);
    }
}

static void start_liar(struct liar *liar)
{
    liar->fd = loopback_listen(&liar->port);
    assert_int_equal(uv_thread_create(&liar->thread, run_liar, liar), 0);
}

static void stop_liar(struct liar *liar)
{
    shutdown(liar->fd, SHUT_RDWR);
    uv_thread_join(&liar->thread);
    close(liar->fd);
}

/* --- the node: joining with the least of an uplink --- */

static void node_say(struct fixture *f, const struct msg *msg)
{
    struct transport transport = joining_transport(f->joining);
    struct buf frame;
    struct err err;

    buf_init(&frame, FRAME_MAX);
    assert_int_equal(codec_encode(msg, &frame, &err), 0);
    assert_int_equal(transport_send(&transport, NULL, buf_at(&frame), frame.len), 0);
    buf_fini(&frame);
}

static void on_up(void *ctx, const struct msg_bytes *certificate)
{
    struct fixture *f = ctx;
    const struct msg hello = {.type = MSG_HELLO,
            .hello = {.name = f->config.name,
                    .software = f->config.software,
                    .version_min = 1,
                    .version_max = 1,
                    .certificate = *certificate}};

    f->ups++;
    node_say(f, &hello);
}

static void take(struct fixture *f, const struct msg *msg)
{
    if (msg->type != MSG_WELCOME) {
        f->memberships++;
        joining_on_membership(f->joining, msg);
        return;
    }
    f->welcome_result = joining_on_welcome(f->joining, &msg->welcome, &f->err);
    if (f->welcome_result < 0)
        joining_reset(f->joining, f->err.text);
}

static void on_frame(void *ctx, const void *data, size_t len)
{
    struct fixture *f = ctx;
    struct arena arena;
    struct msg msg;
    struct err err;

    arena_init(&arena, MSG_ARENA_BYTES);
    assert_int_equal(codec_decode(data, len, &arena, &msg, &err), 0);
    take(f, &msg);
    arena_fini(&arena);
}

/* It came from a timer, after which the turn would go on to sleep. */
static void on_down(void *ctx, const char *reason)
{
    struct fixture *f = ctx;

    f->downs++;
    (void)snprintf(f->reason, sizeof f->reason, "%s", reason);
    loop_stop(&f->loop);
}

static void on_member(void *ctx, const char *coordinator, unsigned roles)
{
    struct fixture *f = ctx;

    assert_string_equal(coordinator, "hub");
    f->joined++;
    f->roles = roles;
}

static const char *state_path(struct fixture *f, const char *name)
{
    static char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/%s", f->config.state, name);
    return path;
}

static void start(struct fixture *f)
{
    static const struct joining_events events = {
            .on_up = on_up, .on_frame = on_frame, .on_down = on_down, .on_member = on_member};
    struct err err;

    if (joining_create(&f->config, &events, f, &f->joining, &err) < 0)
        fail_msg("%s", err.text);
}

static void stop(struct fixture *f)
{
    joining_destroy(f->joining);
    f->joining = NULL;
}

/* Without a membership it dials what is set. */
static void start_at(struct fixture *f, struct hub *hub)
{
    struct err err;

    f->config.coordinator_key = hub->keys.public_z85;
    start(f);
    assert_int_equal(joining_add_address(f->joining, address_of(hub), &err), 0);
}

/* A member in its first session. */
static void start_joined(struct fixture *f, struct hub *hub)
{
    let_in(hub, f->pair.public_z85);
    start_at(f, hub);
    RUN_UNTIL(f, f->joined == 1);
}

static struct membership written(struct fixture *f)
{
    struct membership membership;
    struct err err;

    if (membership_read(state_path(f, "membership.json"), &membership, &err) < 0)
        fail_msg("%s", err.text);
    return membership;
}

static struct certificate written_certificate(struct fixture *f)
{
    struct membership membership = written(f);
    struct certificate certificate;
    struct err err;

    assert_int_equal(certificate_parse(membership.certificate.data, membership.certificate.len,
                             &certificate, &err),
            0);
    return certificate;
}

/* A token of the first hub's mesh at its address, whose key it lets in or not. */
static void make_token(struct fixture *f, struct join_token *ret_token)
{
    *ret_token = (struct join_token){.address_count = 1};
    memcpy(ret_token->mesh, f->mesh.public_key, IDENTITY_BYTES);
    strcpy(ret_token->coordinator_key, f->hubs[0].keys.public_z85);
    strcpy(ret_token->addresses[0], address_of(&f->hubs[0]));
    assert_int_equal(keys_generate(&ret_token->pair, NULL), 0);
}

static void write_token(struct fixture *f, const struct join_token *token)
{
    struct buf line;
    struct err err;

    buf_init(&line, JOIN_TOKEN_TEXT_MAX);
    assert_int_equal(join_token_append(&line, token, &err), 0);
    assert_int_equal(file_write_private(f->config.local_token, buf_at(&line), line.len, &err), 0);
    buf_fini(&line);
}

static struct discovered announcement_of(const struct hub *hub, const struct identity *mesh)
{
    struct discovered found = {.label = "hub",
            .address = "127.0.0.1",
            .port = port_of(hub),
            .announcement.name = "hub"};

    strcpy(found.announcement.key, hub->keys.public_z85);
    identity_id(mesh->public_key, found.announcement.mesh);
    return found;
}

/* The liar announces that this coordinator is where it listens itself. */
static void announce_liar(struct fixture *f, const struct hub *hub, const struct liar *liar)
{
    struct discovered found = announcement_of(hub, &f->mesh);

    strcpy(found.label, "liar");
    found.port = liar->port;
    joining_found(f->joining, &found);
}

/* --- the log --- */

static void catch_log(struct fixture *f)
{
    int fd =
            open(scratch_path(&f->scratch, "log"), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    log_init("test", LOG_LEVEL_INFO);
    f->saved_stderr = dup(STDERR_FILENO);
    assert_true(f->saved_stderr >= 0);
    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    close(fd);
}

static void release_log(struct fixture *f)
{
    if (f->saved_stderr < 0)
        return;
    dup2(f->saved_stderr, STDERR_FILENO);
    close(f->saved_stderr);
    f->saved_stderr = -1;
}

static unsigned times_logged(struct fixture *f, const char *text)
{
    unsigned times = 0;
    struct err err;
    char *log;
    size_t len;

    assert_int_equal(file_read(scratch_path(&f->scratch, "log"), LOG_MAX, &log, &len, &err), 0);
    for (const char *at = log; (at = strstr(at, text)) != NULL; at += strlen(text))
        times++;
    free(log);
    return times;
}

/* --- set up --- */

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    *state = f;
    if (f == NULL || loop_init(&f->loop) < 0 || identity_generate(&f->mesh, NULL) < 0 ||
            identity_generate(&f->other_mesh, NULL) < 0)
        return -1;
    log_init("test", LOG_LEVEL_ERROR);
    f->saved_stderr = -1;
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    virtual_env_init(&f->world);
    scratch_init(&f->scratch);
    for (size_t i = 0; i < HUBS; i++) {
        f->hubs[i].f = f;
        assert_int_equal(keys_generate(&f->hubs[i].keys, NULL), 0);
        open_hub(&f->hubs[i]);
    }
    make_token(f, &f->token);
    f->config = (struct joining_config){.loop = &f->loop,
            .env = &f->world.env,
            .name = "halo1",
            .software = "modemesh test",
            .state = f->scratch.path,
            .pair = &f->pair};
    return keys_load_or_create(state_path(f, "link.key"), &f->pair, NULL);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    release_log(f);
    joining_destroy(f->joining);
    for (size_t i = 0; i < HUBS; i++) {
        link_server_destroy(f->hubs[i].server);
        keys_fini(&f->hubs[i].keys);
    }
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    join_token_fini(&f->token);
    keys_fini(&f->pair);
    identity_fini(&f->mesh);
    identity_fini(&f->other_mesh);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

/* --- a join token --- */

static void a_token_makes_a_member(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    char mesh[IDENTITY_ID_LEN + 1];
    uint16_t port;
    int fd = loopback_bind(&port);

    let_in(hub, f->token.pair.public_z85);
    (void)snprintf(f->token.addresses[1], sizeof f->token.addresses[1], "127.0.0.1:%u", port);
    f->token.address_count = 2;
    f->config.token = &f->token;
    start(f);
    assert_false(joining_is_member(f->joining));
    assert_string_equal(joining_mesh(f->joining), "");
    RUN_UNTIL(f, f->joined == 1);
    assert_int_equal(hub->got[MSG_JOIN], 1);
    assert_int_equal(hub->got[MSG_HELLO], 1);
    assert_string_equal(hub->peer.key, f->pair.public_z85);
    assert_string_equal(hub->shown.key, f->pair.public_z85);
    assert_int_equal(f->roles, BOTH_ROLES);
    assert_int_equal(f->ups, 1); /* the token's connection is nobody's business */
    assert_int_equal(f->downs, 0);
    assert_true(joining_is_member(f->joining));
    identity_id(f->mesh.public_key, mesh);
    assert_string_equal(joining_mesh(f->joining), mesh);
    assert_string_equal(joining_endpoint(f->joining), hub->endpoint);

    struct membership membership = written(f);
    assert_true(membership.pinned);
    assert_memory_equal(membership.mesh, f->mesh.public_key, IDENTITY_BYTES);
    assert_string_equal(membership.keys[0], hub->keys.public_z85);
    assert_int_equal(membership.address_count, 2);
    assert_string_equal(membership.addresses[0], address_of(hub));
    assert_string_equal(membership.addresses[1], f->token.addresses[1]);
    close(fd);
}

static void a_member_does_not_use_its_token_again(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    let_in(hub, f->token.pair.public_z85);
    f->config.token = &f->token;
    start(f);
    RUN_UNTIL(f, f->joined == 1);
    stop(f);
    start(f);
    RUN_UNTIL(f, f->joined == 2);
    assert_int_equal(hub->got[MSG_JOIN], 1);
    assert_int_equal(hub->got[MSG_HELLO], 2);
}

/* Refused in the handshake; the node knocks as itself then. */
static void a_token_that_is_not_known(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    catch_log(f);
    f->config.token = &f->token;
    start_at(f, hub);
    RUN_UNTIL(f, *refusals_of(hub, f->pair.public_z85) == 2);
    release_log(f);
    assert_int_equal(*refusals_of(hub, f->token.pair.public_z85), 1);
    assert_int_equal(times_logged(f, "join token refused"), 1);
    assert_int_equal(times_logged(f, "waits for approval"), 1);
    let_in(hub, f->pair.public_z85);
    RUN_UNTIL(f, f->joined == 1);
    assert_int_equal(hub->got[MSG_JOIN], 0);
    assert_int_equal(hub->shown_len, 0);
}

static void a_token_that_is_refused_by_a_message(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    catch_log(f);
    let_in(hub, f->token.pair.public_z85);
    hub->lies.refusal = "it was used up a moment ago";
    hub->lies.refusal_code = REFUSE_TOKEN;
    f->config.token = &f->token;
    start_at(f, hub);
    RUN_UNTIL(f, *refusals_of(hub, f->pair.public_z85) == 2);
    release_log(f);
    assert_int_equal(hub->got[MSG_JOIN], 1);
    assert_int_equal(times_logged(f, "join token refused"), 1);
    assert_int_equal(times_logged(f, "used up a moment ago"), 1);
    assert_int_equal(times_logged(f, "no link"), 0);
    assert_false(joining_is_member(f->joining));
}

/* Its disk is full, say. Meanwhile the node knocks as itself too. */
static void a_coordinator_that_fails_is_shown_the_token_again(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    let_in(hub, f->token.pair.public_z85);
    hub->lies.refusal = "the coordinator could not do that now; its log says why";
    f->config.token = &f->token;
    catch_log(f);
    start_at(f, hub);
    RUN_UNTIL(f, hub->got[MSG_JOIN] == 2);
    assert_int_equal(*refusals_of(hub, f->pair.public_z85), 1);
    assert_int_equal(times_logged(f, "could not do that"), 1);
    hub->lies.refusal = NULL;
    RUN_UNTIL(f, f->joined == 1);
    release_log(f);
}

/* It was spent for this node, and the answer was lost: the node is a member by its own key. */
static void a_token_that_is_spent_says_where_to_knock(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    const struct identity *other = &f->other_mesh;

    let_in(hub, f->pair.public_z85);
    hub->lies = (struct lies){.mesh = other, .signer = other};
    f->config.token = &f->token;
    start(f);
    RUN_UNTIL(f, f->downs == 1);
    assert_int_equal(*refusals_of(hub, f->token.pair.public_z85), 1);
    assert_int_equal(f->welcome_result, -EPERM); /* the token names the mesh */
    hub->lies = (struct lies){.silent = false};
    RUN_UNTIL(f, f->joined == 1);
    assert_int_equal(hub->got[MSG_JOIN], 0);
}

/* Nothing of what it says is kept, and the token is not shown to it again. */
static void check_disbelieved_joined(struct fixture *f, const struct lies *lies)
{
    struct hub *hub = &f->hubs[0];
    unsigned joins = hub->got[MSG_JOIN], refusals = *refusals_of(hub, f->pair.public_z85);

    hub->lies = *lies;
    lock_out(hub);
    let_in(hub, f->token.pair.public_z85);
    start_at(f, hub);
    RUN_UNTIL(f, *refusals_of(hub, f->pair.public_z85) == refusals + 1 || f->ups > 0);
    assert_int_equal(f->ups, 0);
    assert_int_equal(hub->got[MSG_JOIN], joins + 1);
    assert_false(joining_is_member(f->joining));
    assert_string_equal(joining_mesh(f->joining), "");
    assert_int_equal(access(state_path(f, "membership.json"), F_OK), -1);
    stop(f);
}

/* Whom the token's coordinator lets in as itself would be believed on first use: so it does not. */
static void joined_that_is_not_to_be_believed(void **state)
{
    struct fixture *f = *state;
    const struct identity *mesh = &f->mesh, *other = &f->other_mesh;
    const char *stranger = f->hubs[1].keys.public_z85;
    const struct lies lies[] = {
            {.mesh = other, .signer = other},
            {.mesh = mesh, .signer = other},
            {.mesh = mesh, .no_proof = true},
            {.mesh = mesh, .proven_key = stranger},
            {.mesh = mesh, .proven_roles = BOTH_ROLES},
            {.mesh = mesh, .proof_ends_s = -1},
            {.mesh = mesh, .own_key = stranger},
    };

    f->config.token = &f->token;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        check_disbelieved_joined(f, &lies[i]);
}

static void a_token_of_another_mesh_is_not_shown(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    start_joined(f, hub);
    stop(f);
    lock_out(hub);
    memcpy(f->token.mesh, f->other_mesh.public_key, IDENTITY_BYTES);
    let_in(hub, f->token.pair.public_z85);
    f->config.token = &f->token;
    catch_log(f);
    start(f);
    RUN_UNTIL(f, *refusals_of(hub, f->pair.public_z85) == 3);
    release_log(f);
    assert_int_equal(hub->got[MSG_JOIN], 0);
    assert_int_equal(times_logged(f, "--leave"), 1);
}

/* --- a token of a coordinator on this host --- */

static void use_local_token(struct fixture *f)
{
    static char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/local.token", f->scratch.path);
    f->config.local_token = path;
}

static void a_local_token_may_come_later(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    use_local_token(f);
    start_at(f, hub);
    RUN_UNTIL(f, *refusals_of(hub, f->pair.public_z85) == 1);
    let_in(hub, f->token.pair.public_z85);
    write_token(f, &f->token);
    joining_hurry(f->joining);
    RUN_UNTIL(f, f->joined == 1);
    assert_int_equal(hub->got[MSG_JOIN], 1);
    assert_string_equal(hub->shown.key, f->pair.public_z85);
}

/* Its coordinator ended without removing it: the other ways in have their turns. */
static void a_stale_local_token_holds_nothing_up(void **state)
{
    struct fixture *f = *state;
    struct join_token stale;
    uint16_t port;
    int fd = loopback_bind(&port);

    make_token(f, &stale);
    (void)snprintf(stale.addresses[0], sizeof stale.addresses[0], "127.0.0.1:%u", port);
    use_local_token(f);
    write_token(f, &stale);
    let_in(&f->hubs[0], f->pair.public_z85);
    catch_log(f);
    start_at(f, &f->hubs[0]);
    RUN_UNTIL(f, f->joined == 1);
    release_log(f);
    assert_int_equal(times_logged(f, "no link"), 0);
    assert_int_equal(f->hubs[0].got[MSG_JOIN], 0);
    join_token_fini(&stale);
    close(fd);
}

static void a_local_token_that_is_refused_is_tried_once(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    struct join_token stale;

    make_token(f, &stale);
    use_local_token(f);
    write_token(f, &stale);
    start_at(f, hub);
    RUN_UNTIL(f, *refusals_of(hub, f->pair.public_z85) == 3);
    assert_int_equal(*refusals_of(hub, stale.pair.public_z85), 1);
    /* The coordinator has started anew. */
    let_in(hub, f->token.pair.public_z85);
    write_token(f, &f->token);
    RUN_UNTIL(f, f->joined == 1);
    assert_int_equal(hub->got[MSG_JOIN], 1);
    join_token_fini(&stale);
}

static void a_local_token_that_is_refused_by_a_message_is_tried_once(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    let_in(hub, f->token.pair.public_z85);
    hub->lies.refusal = "revoked";
    hub->lies.refusal_code = REFUSE_TOKEN;
    use_local_token(f);
    write_token(f, &f->token);
    start_at(f, hub);
    RUN_UNTIL(f, *refusals_of(hub, f->pair.public_z85) == 3);
    assert_int_equal(hub->got[MSG_JOIN], 1);
}

static void a_membership_that_has_ended_begins_anew_by_token(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    use_local_token(f);
    start_joined(f, hub);
    stop(f);
    lock_out(hub);
    let_in(hub, f->token.pair.public_z85);
    write_token(f, &f->token);
    start(f);
    RUN_UNTIL(f, f->joined == 2);
    assert_int_equal(*refusals_of(hub, f->pair.public_z85), 1);
    assert_int_equal(hub->got[MSG_JOIN], 1);
    joining_reset(f->joining, "once more");
    RUN_UNTIL(f, f->joined == 3);
    assert_int_equal(hub->got[MSG_JOIN], 1);
}

/* --- approval --- */

static void a_pending_node_shows_its_phrase(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    char phrase[PHRASE_LEN + 1], command[128];

    phrase_make(hub->keys.public_z85, f->pair.public_z85, phrase);
    (void)snprintf(command, sizeof command, "modemesh nodes approve halo1 --phrase %s", phrase);
    catch_log(f);
    start_at(f, hub);
    RUN_UNTIL(f, f->downs == 3);
    assert_int_equal(times_logged(f, "this node waits for approval"), 1);
    assert_int_equal(times_logged(f, command), 1);
    virtual_env_advance_ms(&f->world, JOINING_REMIND_MS - 1);
    RUN_UNTIL(f, f->downs == 4);
    assert_int_equal(times_logged(f, command), 1);
    virtual_env_advance_ms(&f->world, 1);
    RUN_UNTIL(f, f->downs == 5);
    assert_int_equal(times_logged(f, command), 2);
    release_log(f);
}

static void approval_pins_the_mesh(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    start_at(f, hub);
    RUN_UNTIL(f, f->downs == 1);
    let_in(hub, f->pair.public_z85);
    RUN_UNTIL(f, f->joined == 1);
    assert_int_equal(f->welcome_result, 0);
    assert_int_equal(hub->shown_len, 0);
    assert_int_equal(f->roles, BOTH_ROLES);
    assert_memory_equal(written(f).mesh, f->mesh.public_key, IDENTITY_BYTES);
    assert_string_equal(written_certificate(f).key, f->pair.public_z85);
    /* The next time it shows what it got, and needs no new one. */
    hub->lies.no_certificate = true;
    joining_reset(f->joining, "once more");
    RUN_UNTIL(f, f->joined == 2);
    assert_string_equal(f->reason, "once more");
    assert_string_equal(hub->shown.key, f->pair.public_z85);
}

/* Each coordinator that keeps the node waiting is told of once, however they alternate. */
static void two_coordinators_are_waited_for(void **state)
{
    struct fixture *f = *state;

    catch_log(f);
    start(f);
    for (size_t i = 0; i < HUBS; i++) {
        struct discovered found = announcement_of(&f->hubs[i], &f->mesh);
        (void)snprintf(found.label, sizeof found.label, "hub %zu", i);
        joining_found(f->joining, &found);
    }
    RUN_UNTIL(f, f->hubs[0].refusals >= 2 && f->hubs[1].refusals >= 2);
    release_log(f);
    assert_int_equal(times_logged(f, "this node waits for approval"), 2);
}

static void a_refusal_is_logged_once(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    let_in(hub, f->pair.public_z85);
    hub->lies.refusal = "\"halo1\" is another member's name";
    catch_log(f);
    start_at(f, hub);
    RUN_UNTIL(f, f->downs == 3);
    release_log(f);
    assert_int_equal(hub->got[MSG_HELLO], 3);
    assert_int_equal(times_logged(f, "another member's name"), 1);
    assert_int_equal(times_logged(f, "no link"), 0);
    assert_string_equal(f->reason, hub->lies.refusal);
    assert_int_equal(f->joined, 0);
}

/* Within a session it only says that something was not granted. */
static void a_refusal_in_a_session_does_not_end_it(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    start_joined(f, hub);
    hub->lies.refusal = "too many keys change";
    hub_refuse(hub);
    RUN_UNTIL(f, f->memberships == 1);
    hub->lies.refusal = NULL;
    struct certificate_bytes fresh;
    certify(f, &f->mesh, f->pair.public_z85, BOTH_ROLES, 2 * YEAR_S, &fresh);
    hub_certificate(hub, &fresh);
    RUN_UNTIL(f, f->memberships == 2);
    assert_int_equal(f->downs, 0);
}

/* --- whom to believe --- */

static void check_disbelieved_welcome(
        struct fixture *f, struct hub *hub, const struct lies *lies, int want)
{
    unsigned hellos = hub->got[MSG_HELLO], downs = f->downs;

    hub->lies = *lies;
    joining_hurry(f->joining);
    RUN_UNTIL(f, f->downs == downs + 1);
    assert_int_equal(hub->got[MSG_HELLO], hellos + 1);
    assert_int_equal(f->welcome_result, want);
    assert_string_equal(f->reason, f->err.text);
}

static void a_coordinator_of_another_mesh_than_the_named_one_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    f->config.mesh = "aaaaaaaaaaaaaaaa";
    let_in(hub, f->pair.public_z85);
    start_at(f, hub);
    check_disbelieved_welcome(f, hub, &(struct lies){.silent = false}, -EPERM);
    assert_non_null(strstr(f->err.text, "aaaaaaaaaaaaaaaa"));
    assert_string_equal(joining_mesh(f->joining), "");
}

static void a_first_welcome_that_is_not_to_be_believed(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    const char *stranger = f->hubs[1].keys.public_z85;

    let_in(hub, f->pair.public_z85);
    start_at(f, hub);
    check_disbelieved_welcome(f, hub, &(struct lies){.no_proof = true}, -EPERM);
    assert_non_null(strstr(f->err.text, "does not prove"));
    check_disbelieved_welcome(f, hub, &(struct lies){.signer = &f->other_mesh}, -EPERM);
    check_disbelieved_welcome(f, hub, &(struct lies){.proven_key = stranger}, -EPERM);
    check_disbelieved_welcome(f, hub, &(struct lies){.proven_roles = BOTH_ROLES}, -EPERM);
    check_disbelieved_welcome(f, hub, &(struct lies){.proof_ends_s = -1}, -EPERM);
    check_disbelieved_welcome(f, hub, &(struct lies){.own_key = stranger}, -EPERM);
    check_disbelieved_welcome(f, hub, &(struct lies){.no_certificate = true}, -EPROTO);
    assert_string_equal(joining_mesh(f->joining), "");
    assert_int_equal(access(state_path(f, "membership.json"), F_OK), -1);
    hub->lies = (struct lies){.silent = false};
    RUN_UNTIL(f, f->joined == 1);
}

static void a_pinned_mesh_stays(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    const struct identity *other = &f->other_mesh;
    unsigned downs;

    start_joined(f, hub);
    downs = f->downs;
    joining_reset(f->joining, "once more");
    hub->lies = (struct lies){.mesh = other, .signer = other};
    RUN_UNTIL(f, f->downs == downs + 2);
    assert_int_equal(f->welcome_result, -EPERM);
    assert_non_null(strstr(f->err.text, "another mesh"));
    assert_non_null(strstr(f->err.text, "--leave"));
    assert_memory_equal(written(f).mesh, f->mesh.public_key, IDENTITY_BYTES);
    check_disbelieved_welcome(f, hub, &(struct lies){.no_proof = true}, -EPERM);
    check_disbelieved_welcome(f, hub, &(struct lies){.proof_ends_s = -1}, -EPERM);
    assert_int_equal(f->joined, 1);
    /* A restart does not make it forget. */
    stop(f);
    start(f);
    check_disbelieved_welcome(f, hub, &(struct lies){.mesh = other, .signer = other}, -EPERM);
    hub->lies = (struct lies){.silent = false};
    RUN_UNTIL(f, f->joined == 2);
}

/* One who lets everybody in and proves nothing may not keep the others from their turn. */
static void an_impostor_does_not_hold_the_node(void **state)
{
    struct fixture *f = *state;
    struct discovered impostor = announcement_of(&f->hubs[0], &f->mesh);
    struct discovered coordinator = announcement_of(&f->hubs[1], &f->mesh);

    strcpy(impostor.label, "impostor");
    f->hubs[0].lies.no_proof = true;
    let_in(&f->hubs[0], f->pair.public_z85);
    let_in(&f->hubs[1], f->pair.public_z85);
    start(f);
    joining_found(f->joining, &impostor);
    joining_found(f->joining, &coordinator);
    RUN_UNTIL(f, f->joined == 1);
    assert_string_equal(joining_endpoint(f->joining), f->hubs[1].endpoint);
    assert_int_equal(f->hubs[0].got[MSG_HELLO], 1);
}

/* Anybody may announce the id of a mesh, and refuse its members. */
static void only_a_known_coordinator_ends_a_membership(void **state)
{
    struct fixture *f = *state;
    struct hub *impostor = &f->hubs[1];

    use_local_token(f);
    start_joined(f, &f->hubs[0]);
    close_hub(&f->hubs[0]);
    write_token(f, &f->token);
    struct discovered found = announcement_of(impostor, &f->mesh);
    catch_log(f);
    joining_found(f->joining, &found);
    RUN_UNTIL(f, impostor->refusals == 2);
    release_log(f);
    assert_int_equal(times_logged(f, "membership has ended"), 0);
    open_hub(&f->hubs[0]);
    RUN_UNTIL(f, f->joined == 2);
    assert_int_equal(f->hubs[0].got[MSG_JOIN], 0);
}

static void a_refusal_that_nobody_proves_ends_no_membership(void **state)
{
    struct fixture *f = *state;
    struct liar liar;

    start_liar(&liar);
    start_joined(f, &f->hubs[0]);
    close_hub(&f->hubs[0]);
    catch_log(f);
    announce_liar(f, &f->hubs[0], &liar);
    RUN_UNTIL(f, times_logged(f, "approval") > 0);
    release_log(f);
    assert_int_equal(times_logged(f, "membership has ended"), 0);
    open_hub(&f->hubs[0]);
    RUN_UNTIL(f, f->joined == 2);
    stop(f);
    stop_liar(&liar);
}

static void a_refusal_that_nobody_proves_ends_no_token(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    struct liar liar;

    start_liar(&liar);
    close_hub(hub);
    let_in(hub, f->token.pair.public_z85);
    f->config.token = &f->token;
    catch_log(f);
    start(f);
    announce_liar(f, hub, &liar);
    RUN_UNTIL(f, times_logged(f, "approval") > 0); /* it has been shown the token before */
    open_hub(hub);
    RUN_UNTIL(f, f->joined == 1);
    release_log(f);
    assert_int_equal(times_logged(f, "join token refused"), 0);
    assert_int_equal(hub->got[MSG_JOIN], 1);
    stop(f);
    stop_liar(&liar);
}

/* --- what changes --- */

static void a_renewed_certificate_is_kept(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    struct certificate_bytes fresh;

    start_joined(f, hub);
    certify(f, &f->mesh, f->pair.public_z85, CERTIFICATE_ROLE_NODE, 2 * YEAR_S, &fresh);
    hub->next_key = f->hubs[1].keys.public_z85;
    hub_certificate(hub, &fresh);
    RUN_UNTIL(f, f->memberships == 1);
    assert_int_equal(written_certificate(f).not_after_s, now_s(f) + 2 * YEAR_S);
    assert_int_equal(written_certificate(f).roles, CERTIFICATE_ROLE_NODE);
    struct membership membership = written(f);
    assert_true(membership_has_key(&membership, hub->next_key));
    assert_string_equal(membership.keys[0], hub->keys.public_z85);
}

static void a_certificate_that_is_no_good_is_not_kept(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    struct certificate_bytes bytes;

    start_joined(f, hub);
    certify(f, &f->mesh, hub->keys.public_z85, BOTH_ROLES, 2 * YEAR_S, &bytes);
    hub_certificate(hub, &bytes);
    certify(f, &f->other_mesh, f->pair.public_z85, BOTH_ROLES, 2 * YEAR_S, &bytes);
    hub_certificate(hub, &bytes);
    certify(f, &f->mesh, f->pair.public_z85, BOTH_ROLES, -1, &bytes);
    hub_certificate(hub, &bytes);
    certify(f, &f->mesh, f->pair.public_z85, BOTH_ROLES, 2 * YEAR_S, &bytes);
    hub->lies.no_proof = true;
    hub_certificate(hub, &bytes);
    RUN_UNTIL(f, f->memberships == 4);
    assert_int_equal(written_certificate(f).not_after_s, now_s(f) + YEAR_S);
    assert_int_equal(f->downs, 0);
}

/* It was told of in WELCOME, so that the coordinator can change keys with no second round. */
static void the_coordinators_next_key_is_dialled(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    hub->next_key = f->hubs[1].keys.public_z85;
    start_joined(f, hub);
    close_hub(hub);
    struct key_pair first = hub->keys;
    hub->keys = f->hubs[1].keys;
    f->hubs[1].keys = first;
    hub->next_key = NULL;
    open_hub(hub);
    RUN_UNTIL(f, f->joined == 2);
    assert_string_equal(written(f).keys[0], hub->keys.public_z85);
}

static void a_change_of_the_nodes_key(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    struct key_pair next;
    struct msg join;
    char old[KEY_Z85_LEN + 1];

    start_joined(f, hub);
    strcpy(old, f->pair.public_z85);
    assert_false(joining_wants_key(f->joining, &join));
    assert_int_equal(keys_load_or_create(state_path(f, "link.key.next"), &next, NULL), 0);
    assert_true(joining_wants_key(f->joining, &join));
    assert_string_equal(join.join.name, "halo1");
    node_say(f, &join);
    RUN_UNTIL(f, f->joined == 2);
    assert_int_equal(hub->got[MSG_JOIN], 1);
    assert_string_equal(hub->peer.key, next.public_z85);
    assert_string_equal(hub->shown.key, next.public_z85);
    assert_string_equal(f->pair.public_z85, next.public_z85);
    assert_string_not_equal(f->pair.public_z85, old);
    assert_false(joining_wants_key(f->joining, &join));
    keys_fini(&next);
    assert_int_equal(keys_load_or_create(state_path(f, "link.key"), &next, NULL), 0);
    assert_string_equal(f->pair.public_z85, next.public_z85);
    keys_fini(&next);
    assert_int_equal(access(state_path(f, "link.key.next"), F_OK), -1);
}

/* Before and after it was asked for. */
static void joined_for_another_key_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];
    struct key_pair next;
    struct msg join;

    start_joined(f, hub);
    assert_int_equal(keys_load_or_create(state_path(f, "link.key.next"), &next, NULL), 0);
    hub_joined(hub, next.public_z85);
    RUN_UNTIL(f, f->memberships == 1);
    assert_true(joining_wants_key(f->joining, &join));
    assert_memory_equal(written_certificate(f).key, f->pair.public_z85, KEY_Z85_LEN);
    catch_log(f);
    hub_joined(hub, hub->keys.public_z85);
    RUN_UNTIL(f, f->memberships == 2);
    release_log(f);
    assert_int_equal(times_logged(f, "link key not changed"), 1);
    assert_string_not_equal(f->pair.public_z85, next.public_z85);
    assert_int_equal(access(state_path(f, "link.key.next"), F_OK), 0);
    assert_int_equal(f->downs, 0);
    keys_fini(&next);
}

/* Its certificate is for another key: of no use, so none is shown. */
static void a_lost_link_key_needs_a_new_certificate(void **state)
{
    struct fixture *f = *state;
    struct hub *hub = &f->hubs[0];

    start_joined(f, hub);
    stop(f);
    keys_fini(&f->pair);
    assert_int_equal(unlink(state_path(f, "link.key")), 0);
    assert_int_equal(keys_load_or_create(state_path(f, "link.key"), &f->pair, NULL), 0);
    let_in(hub, f->pair.public_z85);
    start(f);
    RUN_UNTIL(f, f->joined == 2);
    assert_int_equal(hub->shown_len, 0);
    assert_string_equal(written_certificate(f).key, f->pair.public_z85);
}

/* --- start --- */

static void what_cannot_be_read_is_said(void **state)
{
    static const struct joining_events events = {.on_up = on_up};
    struct fixture *f = *state;
    struct err err;

    start(f);
    assert_int_equal(joining_add_address(f->joining, "no:such:address:", &err), -EINVAL);
    stop(f);
    scratch_write(&f->scratch, "membership.json", "{");
    assert_int_equal(chmod(state_path(f, "membership.json"), 0600), 0);
    assert_int_equal(joining_create(&f->config, &events, f, &f->joining, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--leave"));
    assert_null(f->joining);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(a_token_makes_a_member),
            TEST(a_member_does_not_use_its_token_again),
            TEST(a_token_that_is_not_known),
            TEST(a_token_that_is_refused_by_a_message),
            TEST(a_coordinator_that_fails_is_shown_the_token_again),
            TEST(a_token_that_is_spent_says_where_to_knock),
            TEST(joined_that_is_not_to_be_believed),
            TEST(a_token_of_another_mesh_is_not_shown),
            TEST(a_local_token_may_come_later),
            TEST(a_stale_local_token_holds_nothing_up),
            TEST(a_local_token_that_is_refused_is_tried_once),
            TEST(a_local_token_that_is_refused_by_a_message_is_tried_once),
            TEST(a_membership_that_has_ended_begins_anew_by_token),
            TEST(a_pending_node_shows_its_phrase),
            TEST(approval_pins_the_mesh),
            TEST(two_coordinators_are_waited_for),
            TEST(a_refusal_is_logged_once),
            TEST(a_refusal_in_a_session_does_not_end_it),
            TEST(a_coordinator_of_another_mesh_than_the_named_one_is_not_believed),
            TEST(a_first_welcome_that_is_not_to_be_believed),
            TEST(a_pinned_mesh_stays),
            TEST(an_impostor_does_not_hold_the_node),
            TEST(only_a_known_coordinator_ends_a_membership),
            TEST(a_refusal_that_nobody_proves_ends_no_membership),
            TEST(a_refusal_that_nobody_proves_ends_no_token),
            TEST(a_renewed_certificate_is_kept),
            TEST(a_certificate_that_is_no_good_is_not_kept),
            TEST(the_coordinators_next_key_is_dialled),
            TEST(a_change_of_the_nodes_key),
            TEST(joined_for_another_key_changes_nothing),
            TEST(a_lost_link_key_needs_a_new_certificate),
            TEST(what_cannot_be_read_is_said),
    };
    return cmocka_run_group_tests_name("joining", tests, NULL, NULL);
}
