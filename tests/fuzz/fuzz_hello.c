/* Peers at the coordinator's door, played from the bytes: members whose time is over or not,
 * revoked ones, holders of join tokens and strangers come past the handshake all the same and say
 * HELLO, JOIN or anything, with certificates that are signed here (by the mesh, or by another one),
 * bent, or made of the bytes. Meanwhile people decide and time passes. Whatever they do, only
 * members get a session, and only members and tokens a certificate, which then proves what it
 * should; who gets neither is counted, told nothing more, and cut off. */
#include "common/file.h"
#include "common/log.h"
#include "common/trust/certificate.h"
#include "coordinator/node_table.h"
#include "coordinator/trust/door.h"
#include "proto/codec.h"
#include "proto/frame.h"

#include <assert.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MEMBER,  /* serves models and carries editors */
    EDGE,    /* a member that only carries editors */
    ENDED,   /* a member whose time is over */
    REVOKED, /* … whom somebody has sent away */
    TOKEN,   /* the key of a join token, good for two */
    BRIEF,   /* … of one that soon expires */
    STRANGER,
    OTHER, /* another stranger */
    PEERS,
};

enum {
    STEPS_MAX = 48, /* of one input: each may write a small file */
    BYTES_MAX = 255,
    BOOK_MAX = 64 * 1024,
    MEMBERSHIP_S = 90 * 24 * 60 * 60,
    BRIEF_MS = 1000,
    WINDOW_MS = 1000,
    PASS_BITS = 34, /* of the longest step of time: 198 days */
};

struct peer {
    struct link_peer link;                /* its connection */
    bool told;                            /* … on which it was told that it ends */
    bool over;                            /* … which was cut */
    bool answered;                        /* … on which something came in this step */
    enum refuse_code code;                /* of the last REFUSE */
    struct certificate_bytes certificate; /* the newest that it was given */
};

struct game {
    struct env env;
    uint64_t now_us, random;
    struct members *members;
    struct tokens *tokens;
    struct door *door;
    struct node_table *nodes;
    struct peer peers[PEERS];
    const uint8_t *bytes; /* that are left */
    size_t len;
};

static uint8_t ours_secret[crypto_sign_SECRETKEYBYTES], theirs_secret[crypto_sign_SECRETKEYBYTES];
static struct identity ours = {.secret = ours_secret}, theirs = {.secret = theirs_secret};
static char coordinator_key[KEY_Z85_LEN + 1];
static char dir[PATH_MAX], members_path[PATH_MAX], tokens_path[PATH_MAX];
static char *members_text, *tokens_text; /* of the books that every input begins with */

static void must(int r)
{
    if (r)
        abort();
}

/* --- the world --- */

static uint64_t now_us(void *ctx)
{
    return ((struct game *)ctx)->now_us;
}

static int64_t wall_ms(void *ctx)
{
    return 1700000000000 + (int64_t)(((struct game *)ctx)->now_us / 1000);
}

static void random_bytes(void *ctx, void *ret_bytes, size_t len)
{
    struct game *game = ctx;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)ret_bytes)[i] = (uint8_t)((game->random += 0x9e3779b97f4a7c15u) >> 56);
}

static uint64_t now_s(const struct game *game)
{
    return (uint64_t)env_wall_ms(&game->env) / 1000;
}

/* Connection `number` of the peer. */
static void make_connection(struct peer *peer, size_t index, unsigned number)
{
    struct link_peer *link = &peer->link;
    *link = (struct link_peer){.fd = (int)index, .address = "10.0.0.1"};
    link->routing_id[2] = (uint8_t)number;
    link->routing_id[4] = (uint8_t)index;
    memset(link->key, 'a' + (int)index, KEY_Z85_LEN);
    peer->told = peer->over = false;
}

static struct peer *peer_on(struct game *game, const struct link_peer *link)
{
    struct peer *peer = &game->peers[link->routing_id[4]];
    return peer->link.routing_id[2] == link->routing_id[2] ? peer : NULL;
}

static bool has_session(const struct game *game, const struct peer *peer)
{
    const struct node_session *session = node_table_find_key(game->nodes, peer->link.key);
    return session && memcmp(node_session_peer(session)->routing_id, peer->link.routing_id,
                              LINK_ROUTING_ID_BYTES) == 0;
}

/* --- what peers are told --- */

static void proves(const struct game *game, const struct msg_bytes *bytes, const char *key,
        enum certificate_role role)
{
    struct certificate certificate;
    int r = certificate_parse(bytes->data, bytes->len, &certificate, NULL);
    assert(r == 0);
    enum certificate_fault fault =
            certificate_check(&certificate, ours.public_key, key, role, now_s(game));
    if (fault == CERTIFICATE_WRONG_ROLE && role == CERTIFICATE_ROLE_NODE)
        fault = certificate_check(
                &certificate, ours.public_key, key, CERTIFICATE_ROLE_EDGE, now_s(game));
    assert(fault == CERTIFICATE_FINE);
}

static void check_proof(const struct game *game, const struct msg_bytes *mesh,
        const struct msg_bytes *coordinators, size_t count)
{
    assert(mesh->len == IDENTITY_BYTES && memcmp(mesh->data, ours.public_key, mesh->len) == 0);
    assert(count == 1);
    proves(game, coordinators, coordinator_key, CERTIFICATE_ROLE_COORDINATOR);
}

static void keep_certificate(struct peer *peer, const struct msg_bytes *bytes)
{
    peer->certificate.len = bytes->len;
    memcpy(peer->certificate.data, bytes->data, bytes->len);
}

static void on_welcome(struct game *game, struct peer *peer, const struct msg_welcome *welcome)
{
    const struct member *member = members_find_key(game->members, peer->link.key);
    assert(member && !member->revoked && *member->name);
    assert(member->not_after_s >= now_s(game));
    assert(!peer->told);
    check_proof(game, &welcome->mesh, welcome->coordinators, welcome->coordinator_count);
    if (welcome->certificate.len == 0)
        return;
    proves(game, &welcome->certificate, peer->link.key, CERTIFICATE_ROLE_NODE);
    keep_certificate(peer, &welcome->certificate);
}

/* The certificate is of the key that was named in JOIN. */
static void on_joined(struct game *game, struct peer *peer, const struct msg_joined *joined)
{
    struct certificate certificate;
    check_proof(game, &joined->mesh, joined->coordinators, joined->coordinator_count);
    int r = certificate_parse(
            joined->certificate.data, joined->certificate.len, &certificate, NULL);
    assert(r == 0);
    proves(game, &joined->certificate, certificate.key, CERTIFICATE_ROLE_NODE);
    const struct member *member = members_find_key(game->members, certificate.key);
    assert(member && !member->revoked);
    assert(has_session(game, peer) || door_is_token(game->door, peer->link.key));
    peer->told = !has_session(game, peer);
    for (size_t i = 0; i < PEERS; i++)
        if (strcmp(game->peers[i].link.key, certificate.key) == 0)
            keep_certificate(&game->peers[i], &joined->certificate);
}

static void on_told(struct game *game, struct peer *peer, const struct msg *msg)
{
    peer->answered = true;
    switch (msg->type) {
    case MSG_WELCOME:
        on_welcome(game, peer, &msg->welcome);
        break;
    case MSG_JOINED:
        on_joined(game, peer, &msg->joined);
        break;
    case MSG_REFUSE:
        assert(*msg->refuse.message);
        peer->code = msg->refuse.code;
        peer->told = !has_session(game, peer);
        break;
    case MSG_CERTIFICATE:
        proves(game, &msg->certificate.certificate, peer->link.key, CERTIFICATE_ROLE_NODE);
        break;
    default:
        assert(has_session(game, peer));
    }
}

static int take_frame(void *ctx, const void *to, const void *frame, size_t len)
{
    struct game *game = ctx;
    struct peer *peer = peer_on(game, to);
    struct arena arena;
    struct msg msg;
    arena_init(&arena, MSG_ARENA_BYTES);
    int r = codec_decode(frame, len, &arena, &msg, NULL);
    assert(r == 0);
    if (peer) {
        assert(!peer->over);
        on_told(game, peer, &msg);
    }
    arena_fini(&arena);
    return 0;
}

static void on_cut(void *ctx, const struct link_peer *link)
{
    struct peer *peer = peer_on(ctx, link);
    if (!peer)
        return;
    assert(!peer->over && !has_session(ctx, peer));
    peer->over = true;
}

static void on_change(void *ctx)
{
    (void)ctx;
}

/* --- the books --- */

static void add_member(struct game *game, size_t index, const char *name, unsigned roles)
{
    struct member member = {.roles = roles,
            .serial = members_next_serial(game->members),
            .not_after_s = index == ENDED ? 1 : now_s(game) + MEMBERSHIP_S,
            .revoked = index == REVOKED,
            .source = "approved"};
    strcpy(member.key, game->peers[index].link.key);
    strcpy(member.name, name);
    must(members_put(game->members, &member, NULL));
}

static void add_token(struct game *game, size_t index, int64_t lasts_ms)
{
    struct token token = {.roles = CERTIFICATE_ROLE_NODE,
            .uses_left = 2,
            .created_ms = env_wall_ms(&game->env),
            .expires_ms = env_wall_ms(&game->env) + lasts_ms};
    strcpy(token.key, game->peers[index].link.key);
    must(tokens_add(game->tokens, &token, NULL));
}

static void fill_books(struct game *game)
{
    size_t len;
    add_member(game, MEMBER, "alpha", CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
    add_member(game, EDGE, "beta", CERTIFICATE_ROLE_EDGE);
    add_member(game, ENDED, "gamma", CERTIFICATE_ROLE_NODE);
    add_member(game, REVOKED, "delta", CERTIFICATE_ROLE_NODE);
    add_token(game, TOKEN, INT64_C(24) * 60 * 60 * 1000);
    add_token(game, BRIEF, BRIEF_MS);
    must(file_read(members_path, BOOK_MAX, &members_text, &len, NULL));
    must(file_read(tokens_path, BOOK_MAX, &tokens_text, &len, NULL));
}

static void write_books(void)
{
    if (!members_text)
        return;
    must(file_write_private(members_path, members_text, strlen(members_text), NULL));
    must(file_write_private(tokens_path, tokens_text, strlen(tokens_text), NULL));
}

static void remove_dir(void)
{
    (void)unlink(members_path);
    (void)unlink(tokens_path);
    (void)rmdir(dir);
    free(members_text);
    free(tokens_text);
}

/* In memory where that can be. */
static void make_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    if (access("/dev/shm", W_OK) == 0)
        tmp = "/dev/shm";
    (void)snprintf(dir, sizeof(dir), "%s/fuzz-hello-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        abort();
    must(file_join(members_path, sizeof(members_path), dir, "members.json"));
    must(file_join(tokens_path, sizeof(tokens_path), dir, "tokens.json"));
    must(atexit(remove_dir));
}

static void make_keys(void)
{
    static const uint8_t seeds[2][crypto_sign_SEEDBYTES] = {{1}, {2}};
    crypto_sign_seed_keypair(ours.public_key, ours_secret, seeds[0]);
    crypto_sign_seed_keypair(theirs.public_key, theirs_secret, seeds[1]);
    memset(coordinator_key, 'A', KEY_Z85_LEN);
}

static void begin_all(void)
{
    static bool begun;
    if (begun)
        return;
    begun = true;
    log_init("fuzz", LOG_LEVEL_ERROR);
    make_keys();
    make_dir();
}

static void begin(struct game *game)
{
    game->env =
            (struct env){.now_us = now_us, .wall_ms = wall_ms, .random = random_bytes, .ctx = game};
    game->now_us = 1000000;
    for (size_t i = 0; i < PEERS; i++)
        make_connection(&game->peers[i], i, 1);
    write_books();
    must(members_open(members_path, &game->members, NULL));
    must(tokens_open(tokens_path, &game->tokens, NULL));
    if (!members_text)
        fill_books(game);
    game->door = door_create(&(struct door_config){.env = &game->env,
            .identity = &ours,
            .coordinator_key = coordinator_key,
            .members = game->members,
            .tokens = game->tokens,
            .membership_s = MEMBERSHIP_S});
    game->nodes = node_table_create(&(struct node_table_config){.env = &game->env,
            .transport = {.send = take_frame, .ctx = game},
            .cut = on_cut,
            .door = game->door,
            .coordinator_name = "mesh",
            .coordinator_keys = {coordinator_key},
            .on_change = on_change,
            .ctx = game});
    if (!game->door || !game->nodes)
        abort();
}

static void end(struct game *game)
{
    node_table_destroy(game->nodes);
    door_destroy(game->door);
    members_close(game->members);
    tokens_close(game->tokens);
}

/* --- what happens --- */

static uint8_t take_byte(struct game *game)
{
    if (game->len == 0)
        return 0;
    game->len--;
    return *game->bytes++;
}

static size_t take_bytes(struct game *game, const uint8_t **ret_bytes)
{
    size_t len = take_byte(game);
    if (len > game->len)
        len = game->len;
    *ret_bytes = game->bytes;
    game->bytes += len;
    game->len -= len;
    return len;
}

static uint64_t refusals(const struct game *game)
{
    uint64_t sum = 0;
    for (enum door_refusal i = 0; i < DOOR_REFUSAL_COUNT; i++)
        sum += door_refused(game->door, i);
    return sum;
}

/* Of a connection that had no session before. A version that is too old is no matter of trust. */
static void check_first_frame(
        const struct game *game, const struct peer *peer, bool was_told, uint64_t refused_before)
{
    if (was_told) {
        assert(!peer->answered && refusals(game) == refused_before);
        return;
    }
    if (has_session(game, peer)) {
        assert(peer->answered && !peer->told && !peer->over);
        return;
    }
    assert(peer->told || peer->over);
    bool is_free = peer->told && (peer->code == REFUSE_VERSION || peer->code == REFUSE_CODE_COUNT);
    assert(is_free || refusals(game) == refused_before + 1);
}

static void say(struct game *game, size_t index, const void *frame, size_t len)
{
    struct peer *peer = &game->peers[index];
    if (peer->over)
        make_connection(peer, index, peer->link.routing_id[2] + 1u);
    bool had_session = has_session(game, peer), was_told = peer->told;
    uint64_t before = refusals(game);
    peer->answered = false;
    peer->code = REFUSE_CODE_COUNT;
    struct link_peer link = peer->link;
    node_table_on_frame(game->nodes, &link, frame, len);
    if (!had_session)
        check_first_frame(game, peer, was_told, before);
}

static void say_msg(struct game *game, size_t index, const struct msg *msg)
{
    struct buf frame;
    buf_init(&frame, FRAME_MAX);
    if (codec_encode(msg, &frame, NULL) == 0) /* not what a node of ours would refuse to send */
        say(game, index, buf_at(&frame), frame.len);
    buf_fini(&frame);
}

static void say_bytes(struct game *game, size_t index, bool with_header)
{
    uint8_t frame[FRAME_HEADER_BYTES + BYTES_MAX];
    const uint8_t *bytes;
    size_t header = with_header ? FRAME_HEADER_BYTES : 0;
    if (with_header)
        frame_header(take_byte(game), frame);
    size_t len = take_bytes(game, &bytes);
    memcpy(frame + header, bytes, len);
    say(game, index, frame, header + len);
}

static void sign(
        const struct game *game, size_t index, uint8_t kind, struct certificate_bytes *ret_bytes)
{
    struct certificate certificate = {.name = "alpha",
            .roles = kind & 4 ? CERTIFICATE_ROLE_COORDINATOR : CERTIFICATE_ROLE_NODE,
            .serial = 1,
            .not_before_s = 1,
            .not_after_s = kind & 8 ? 2 : now_s(game) + MEMBERSHIP_S / (kind & 16 ? 4 : 1)};
    strcpy(certificate.key, game->peers[kind & 2 ? (index + 1) % PEERS : index].link.key);
    certificate_sign(kind & 1 ? &theirs : &ours, &certificate, ret_bytes);
}

/* By a byte: none, the newest that it was given, any bytes, or one that is signed here, of which
 * another byte may bend a byte. */
static void choose_certificate(struct game *game, size_t index, struct certificate_bytes *ret_bytes)
{
    uint8_t kind = take_byte(game);
    const uint8_t *bytes;
    ret_bytes->len = 0;
    if (kind >= 128)
        sign(game, index, kind, ret_bytes);
    else if (kind == 1)
        *ret_bytes = game->peers[index].certificate;
    else if (kind == 2 && (ret_bytes->len = take_bytes(game, &bytes)) > 0)
        memcpy(ret_bytes->data, bytes, ret_bytes->len);
    if ((kind & 64) && ret_bytes->len > 0)
        ret_bytes->data[take_byte(game) % ret_bytes->len] ^= 1;
}

static void say_hello(struct game *game, size_t index)
{
    static const char *const names[] = {"alpha", "beta", "gamma", "own"};
    struct certificate_bytes certificate;
    choose_certificate(game, index, &certificate);
    uint8_t how = take_byte(game);
    say_msg(game, index,
            &(struct msg){.type = MSG_HELLO,
                    .hello = {.name = names[how % 4],
                            .software = "fuzz",
                            .version_min = 1 + (how == 255),
                            .version_max = 1 + (how == 255),
                            .certificate = {.data = certificate.data, .len = certificate.len}}});
}

static void say_join(struct game *game, size_t index)
{
    static const char *const names[] = {"alpha", "beta", "own", "other"};
    uint8_t raw[KEY_BYTES], how = take_byte(game);
    if (!key_to_raw(game->peers[how % PEERS].link.key, raw))
        abort();
    say_msg(game, index,
            &(struct msg){.type = MSG_JOIN,
                    .join = {.name = names[how / PEERS % 4],
                            .software = "fuzz",
                            .version_min = 1,
                            .version_max = 1,
                            .key = {.data = raw, .len = sizeof(raw)}}});
}

/* Members alone have sessions, each but one. */
static void check_sessions(const struct game *game)
{
    size_t count = 0;
    for (size_t i = 0; i < PEERS; i++) {
        if (!node_table_find_key(game->nodes, game->peers[i].link.key))
            continue;
        const struct member *member = members_find_key(game->members, game->peers[i].link.key);
        assert(member && !member->revoked);
        count++;
    }
    assert(node_table_count(game->nodes) == count);
}

static void pass(struct game *game, uint64_t ms)
{
    game->now_us += ms * 1000;
    door_tick(game->door);
    node_table_tick(game->nodes);
    check_sessions(game);
}

/* What people do; whether it can be done does not matter. */
static void decide(struct game *game, size_t index)
{
    const char *key = game->peers[index].link.key;
    int r = 0;
    switch (take_byte(game) % 5) {
    case 0:
        r = door_revoke(game->door, key, NULL);
        break;
    case 1:
        r = door_forget(game->door, key, NULL);
        break;
    case 2:
        r = door_approve(game->door, key, NULL, 0, NULL);
        break;
    case 3:
        r = door_open_window(game->door, WINDOW_MS, NULL);
        break;
    default:
        (void)door_allow(game->door, key, game->peers[index].link.address);
    }
    (void)r;
    pass(game, 0);
}

static void play(struct game *game)
{
    uint8_t what = take_byte(game);
    size_t index = what / 8 % PEERS;
    switch (what % 8) {
    case 0:
        say_bytes(game, index, false);
        break;
    case 1:
        say_bytes(game, index, true);
        break;
    case 2:
    case 3:
        say_hello(game, index);
        break;
    case 4:
        say_join(game, index);
        break;
    case 5:
        make_connection(&game->peers[index], index, game->peers[index].link.routing_id[2] + 1u);
        break;
    case 6:
        decide(game, index);
        break;
    default:
        pass(game, UINT64_C(1) << take_byte(game) % PASS_BITS);
        node_table_flush(game->nodes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct game game = {.bytes = data, .len = size};
    begin_all();
    begin(&game);
    for (size_t i = 0; i < STEPS_MAX && game.len > 0; i++)
        play(&game);
    pass(&game, NODE_TABLE_FAREWELL_MS);
    for (size_t i = 0; i < PEERS; i++)
        assert(!game.peers[i].told || game.peers[i].over);
    end(&game);
    return 0;
}
