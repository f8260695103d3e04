#include "coordinator/node_table.h"

#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MEMBERS = 3,
    TOKEN = 10, /* the peer whose key is a join token's */
    NEW = 11,   /* a peer whose key nobody knows */
    DAY_MS = 24 * 60 * 60 * 1000,
};

struct world {
    struct fake_mesh mesh;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_mesh_init(&world->mesh, MEMBERS);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    fake_mesh_fini(&world->mesh);
    free(world);
    return 0;
}

static void hello_as(struct world *world, const struct link_peer *peer, uint32_t version)
{
    fake_mesh_say_as(&world->mesh, peer,
            &(struct msg){.type = MSG_HELLO,
                    .hello = {.name = "own-name",
                            .software = "s",
                            .version_min = version,
                            .version_max = version}});
}

static void say_model(
        struct world *world, const struct link_peer *peer, const char *model, uint32_t context)
{
    struct msg_instance instance = {.model = model,
            .state = INSTANCE_RESIDENT,
            .slots = 1,
            .context = context,
            .engine = "",
            .note = ""};
    fake_mesh_say_as(&world->mesh, peer,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

static void join(struct world *world, size_t number)
{
    struct link_peer peer = fake_link_peer(number);
    hello_as(world, &peer, 1);
}

static bool was_welcomed(struct world *world, size_t number)
{
    struct msg msg;
    return fake_link_next(&world->mesh.link, number, &msg) && msg.type == MSG_WELCOME;
}

static void hello_makes_a_session_with_the_members_name(void **state)
{
    struct world *world = *state;
    join(world, 1);
    assert_true(was_welcomed(world, 1));
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    struct node_session *session = node_table_find_key(world->mesh.nodes, fake_link_peer(1).key);
    assert_string_equal(node_session_name(session), "node1");
    assert_null(node_table_find_key(world->mesh.nodes, fake_link_peer(0).key));
}

/* --- who is refused --- */

/* Nobody has been cut off yet, then exactly that peer is. */
static void is_cut_in_time(struct world *world, size_t number)
{
    assert_int_equal(world->mesh.cuts, 0);
    virtual_env_advance_ms(&world->mesh.env, NODE_TABLE_FAREWELL_MS - 1);
    node_table_tick(world->mesh.nodes);
    assert_int_equal(world->mesh.cuts, 0);
    virtual_env_advance_ms(&world->mesh.env, 1);
    node_table_tick(world->mesh.nodes);
    assert_int_equal(world->mesh.cuts, 1);
    assert_string_equal(world->mesh.last_cut.key, fake_link_peer(number).key);
    node_table_tick(world->mesh.nodes);
    assert_int_equal(world->mesh.cuts, 1);
    world->mesh.cuts = 0;
}

static void is_cut_at_once(struct world *world, size_t number)
{
    struct msg msg;
    assert_int_equal(world->mesh.cuts, 1);
    assert_string_equal(world->mesh.last_cut.key, fake_link_peer(number).key);
    assert_false(fake_link_next(&world->mesh.link, number, &msg));
    world->mesh.cuts = 0;
}

static void was_refused(struct world *world, size_t number, enum refuse_code code)
{
    struct msg msg;
    assert_true(fake_link_next(&world->mesh.link, number, &msg));
    assert_int_equal(msg.type, MSG_REFUSE);
    assert_string_equal(refuse_code_name(msg.refuse.code), refuse_code_name(code));
    assert_true(*msg.refuse.message);
    assert_false(fake_link_next(&world->mesh.link, number, &msg));
}

static uint64_t now_s(const struct world *world)
{
    return (uint64_t)env_wall_ms(&world->mesh.env.env) / 1000;
}

/* What the identity says of a peer's key, until `not_after_s`. */
static struct certificate_bytes certify(const struct world *world, const struct identity *identity,
        size_t number, unsigned roles, uint64_t not_after_s)
{
    struct certificate certificate = {.roles = roles,
            .serial = 1,
            .not_before_s = now_s(world) - 1000,
            .not_after_s = not_after_s};
    struct certificate_bytes bytes;
    snprintf(certificate.name, sizeof(certificate.name), "node%zu", number);
    strcpy(certificate.key, fake_link_peer(number).key);
    certificate_sign(identity, &certificate, &bytes);
    return bytes;
}

static struct certificate_bytes good_certificate(const struct world *world, size_t number)
{
    return certify(world, &world->mesh.identity, number,
            CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE, now_s(world) + FAKE_MESH_MEMBERSHIP_S);
}

static void show(struct world *world, size_t number, const void *certificate, size_t len)
{
    fake_mesh_say(&world->mesh, number,
            &(struct msg){.type = MSG_HELLO,
                    .hello = {.name = "own-name",
                            .software = "s",
                            .version_min = 1,
                            .version_max = 1,
                            .certificate = {.data = certificate, .len = len}}});
}

static void show_certificate(
        struct world *world, size_t number, const struct certificate_bytes *certificate)
{
    show(world, number, certificate->data, certificate->len);
}

static void a_certificate_of_another_mesh_is_refused(void **state)
{
    struct world *world = *state;
    struct identity foreign;
    assert_int_equal(identity_generate(&foreign, NULL), 0);
    struct certificate_bytes bytes =
            certify(world, &foreign, 0, CERTIFICATE_ROLE_NODE, now_s(world) + 1000);
    show_certificate(world, 0, &bytes);
    was_refused(world, 0, REFUSE_FOREIGN_MESH);
    assert_int_equal(door_refused(world->mesh.door, DOOR_FOREIGN_MESH), 1);
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
    is_cut_in_time(world, 0);
    identity_fini(&foreign);
}

static void a_certificate_that_proves_nothing_is_refused(void **state)
{
    struct world *world = *state;
    struct certificate_bytes of_another = good_certificate(world, 1),
                             forged = good_certificate(world, 0),
                             coordinators = certify(world, &world->mesh.identity, 0,
                                     CERTIFICATE_ROLE_COORDINATOR, now_s(world) + 1000);
    forged.data[forged.len - 1] ^= 1;
    show_certificate(world, 0, &of_another);
    was_refused(world, 0, REFUSE_BAD_CERTIFICATE);
    is_cut_in_time(world, 0);
    show_certificate(world, 0, &forged);
    was_refused(world, 0, REFUSE_BAD_CERTIFICATE);
    is_cut_in_time(world, 0);
    show_certificate(world, 0, &coordinators);
    was_refused(world, 0, REFUSE_BAD_CERTIFICATE);
    is_cut_in_time(world, 0);
    show(world, 0, "mmc1", 4);
    was_refused(world, 0, REFUSE_BAD_CERTIFICATE);
    assert_int_equal(door_refused(world->mesh.door, DOOR_BAD_CERTIFICATE), 4);
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
}

/* Changes member 0 as the owner's commands would. */
static struct member member_zero(const struct world *world)
{
    return *members_find_key(world->mesh.members, fake_link_peer(0).key);
}

static void put(struct world *world, const struct member *member)
{
    assert_int_equal(members_put(world->mesh.members, member, NULL), 0);
}

static void a_membership_that_has_ended_is_refused(void **state)
{
    struct world *world = *state;
    struct certificate_bytes bytes = good_certificate(world, 0);
    struct member member = member_zero(world);
    member.not_after_s = now_s(world) - 1;
    put(world, &member);
    show_certificate(world, 0, &bytes);
    was_refused(world, 0, REFUSE_EXPIRED);
    is_cut_in_time(world, 0);
}

static void a_revoked_member_is_refused(void **state)
{
    struct world *world = *state;
    struct certificate_bytes bytes = good_certificate(world, 0);
    assert_int_equal(door_revoke(world->mesh.door, "node0", NULL), 0);
    show_certificate(world, 0, &bytes);
    was_refused(world, 0, REFUSE_REVOKED);
    assert_int_equal(door_refused(world->mesh.door, DOOR_REVOKED), 1);
    is_cut_in_time(world, 0);
}

static void another_members_name_is_refused(void **state)
{
    struct world *world = *state;
    struct certificate_bytes bytes = good_certificate(world, 0);
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_HELLO,
                    .hello = {.name = "node1",
                            .software = "s",
                            .version_min = 1,
                            .version_max = 1,
                            .certificate = {.data = bytes.data, .len = bytes.len}}});
    was_refused(world, 0, REFUSE_NAME_TAKEN);
    is_cut_in_time(world, 0);
}

static void a_version_that_we_do_not_speak_is_refused(void **state)
{
    struct world *world = *state;
    struct link_peer peer = fake_link_peer(0);
    hello_as(world, &peer, 9);
    was_refused(world, 0, REFUSE_VERSION);
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
    is_cut_in_time(world, 0);
}

static void a_stranger_is_refused(void **state)
{
    struct world *world = *state;
    join(world, NEW);
    was_refused(world, NEW, REFUSE_OTHER);
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
    is_cut_in_time(world, NEW);
}

static void who_was_refused_is_not_heard_again(void **state)
{
    struct world *world = *state;
    struct link_peer peer = fake_link_peer(NEW);
    struct msg msg;
    join(world, NEW);
    was_refused(world, NEW, REFUSE_OTHER);
    join(world, NEW);
    say_model(world, &peer, "small", 1);
    node_table_on_frame(world->mesh.nodes, &peer, "garbage", 7);
    assert_false(fake_link_next(&world->mesh.link, NEW, &msg));
    assert_int_equal(door_refused(world->mesh.door, DOOR_STRANGER), 1);
    is_cut_in_time(world, NEW);
}

static void other_first_words_get_no_answer(void **state)
{
    struct world *world = *state;
    struct link_peer peer = fake_link_peer(0);
    say_model(world, &peer, "small", 1);
    is_cut_at_once(world, 0);
    node_table_on_frame(world->mesh.nodes, &peer, "garbage", 7);
    is_cut_at_once(world, 0);
    node_table_on_frame(world->mesh.nodes, &peer, "", 0);
    is_cut_at_once(world, 0);
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
    assert_int_equal(door_refused(world->mesh.door, DOOR_NOT_HELLO), 3);
}

/* Connections of the same stranger. */
static struct link_peer connection(size_t number)
{
    struct link_peer peer = fake_link_peer(NEW);
    peer.routing_id[2] = (uint8_t)(number + 1);
    return peer;
}

static void where_many_were_refused_the_next_is_cut_at_once(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < NODE_TABLE_FAREWELLS_MAX; i++) {
        struct link_peer peer = connection(i);
        hello_as(world, &peer, 1);
    }
    assert_int_equal(world->mesh.cuts, 0);
    fake_link_forget(&world->mesh.link, NEW);
    struct link_peer last = connection(NODE_TABLE_FAREWELLS_MAX);
    hello_as(world, &last, 1);
    was_refused(world, NEW, REFUSE_OTHER); /* as far as it gets */
    assert_int_equal(world->mesh.cuts, 1);
    assert_memory_equal(world->mesh.last_cut.routing_id, last.routing_id, LINK_ROUTING_ID_BYTES);
    virtual_env_advance_ms(&world->mesh.env, NODE_TABLE_FAREWELL_MS);
    node_table_tick(world->mesh.nodes);
    assert_int_equal(world->mesh.cuts, NODE_TABLE_FAREWELLS_MAX + 1);
    hello_as(world, &last, 1);
    assert_int_equal(world->mesh.cuts, NODE_TABLE_FAREWELLS_MAX + 1); /* there is room again */
}

static void a_refusal_that_cannot_be_sent_ends_the_connection_all_the_same(void **state)
{
    struct world *world = *state;
    world->mesh.link.result[NEW] = -EAGAIN;
    join(world, NEW);
    is_cut_in_time(world, NEW);
}

/* --- what a node is told to believe --- */

static struct msg next(struct world *world, size_t number, enum msg_type type)
{
    struct msg msg;
    do
        assert_true(fake_link_next(&world->mesh.link, number, &msg));
    while (msg.type == MSG_HEARTBEAT && type != MSG_HEARTBEAT);
    assert_string_equal(msg_type_name(msg.type), msg_type_name(type));
    return msg;
}

static void proves(const struct world *world, const struct msg_bytes *bytes, const char *key,
        enum certificate_role role, struct certificate *ret_certificate)
{
    assert_int_equal(certificate_parse(bytes->data, bytes->len, ret_certificate, NULL), 0);
    assert_int_equal(certificate_check(ret_certificate, world->mesh.identity.public_key, key, role,
                             now_s(world)),
            CERTIFICATE_FINE);
}

static void proves_membership(
        const struct world *world, const struct msg_bytes *bytes, size_t number, const char *name)
{
    struct certificate certificate;
    const char *key = fake_link_peer(number).key;
    proves(world, bytes, key, CERTIFICATE_ROLE_NODE, &certificate);
    assert_string_equal(certificate.name, name);
    assert_int_equal(certificate.not_after_s, now_s(world) + FAKE_MESH_MEMBERSHIP_S);
}

static void welcome_certifies(struct world *world, size_t number, const char *name)
{
    struct msg_welcome welcome = next(world, number, MSG_WELCOME).welcome;
    proves_membership(world, &welcome.certificate, number, name);
}

static void proves_coordinator(
        const struct world *world, const struct msg_bytes *bytes, const char *key)
{
    struct certificate certificate;
    proves(world, bytes, key, CERTIFICATE_ROLE_COORDINATOR, &certificate);
    assert_int_equal(certificate.roles, CERTIFICATE_ROLE_COORDINATOR);
}

static void is_our_mesh(const struct world *world, const struct msg_bytes *mesh)
{
    assert_int_equal(mesh->len, IDENTITY_BYTES);
    assert_memory_equal(mesh->data, world->mesh.identity.public_key, IDENTITY_BYTES);
}

static void nobody_is_cut(void *ctx, const struct link_peer *peer)
{
    (void)ctx;
    (void)peer;
    fail();
}

static void nothing_changes(void *ctx)
{
    (void)ctx;
}

static void welcome_proves_the_coordinator_and_its_next_key(void **state)
{
    struct world *world = *state;
    struct key_pair next_keys;
    assert_int_equal(keys_generate(&next_keys, NULL), 0);
    node_table_destroy(world->mesh.nodes);
    world->mesh.nodes = node_table_create(&(struct node_table_config){.env = &world->mesh.env.env,
            .transport = world->mesh.link.transport,
            .cut = nobody_is_cut,
            .door = world->mesh.door,
            .coordinator_name = "a name that a certificate does not take",
            .coordinator_keys = {world->mesh.keys.public_z85, next_keys.public_z85},
            .on_change = nothing_changes});
    join(world, 0);
    struct msg_welcome welcome = next(world, 0, MSG_WELCOME).welcome;
    is_our_mesh(world, &welcome.mesh);
    assert_int_equal(welcome.coordinator_count, 2);
    proves_coordinator(world, &welcome.coordinators[0], world->mesh.keys.public_z85);
    proves_coordinator(world, &welcome.coordinators[1], next_keys.public_z85);
    keys_fini(&next_keys);
}

static void welcome_brings_a_certificate_where_none_was_shown(void **state)
{
    struct world *world = *state;
    join(world, 0);
    welcome_certifies(world, 0, "node0");
    struct certificate_bytes bytes = good_certificate(world, 1);
    show_certificate(world, 1, &bytes);
    assert_int_equal(next(world, 1, MSG_WELCOME).welcome.certificate.len, 0);
}

/* A member that was approved again comes with what it had before. */
static void an_old_certificate_of_a_member_is_renewed(void **state)
{
    struct world *world = *state;
    struct certificate_bytes old =
            certify(world, &world->mesh.identity, 0, CERTIFICATE_ROLE_NODE, now_s(world) - 1);
    show_certificate(world, 0, &old);
    welcome_certifies(world, 0, "node0");
}

/* Forgotten, and approved with other roles or under another name. */
static void who_was_approved_anew_gets_what_was_decided(void **state)
{
    struct world *world = *state;
    struct certificate_bytes bytes = good_certificate(world, 0);
    struct member member = member_zero(world);
    struct certificate certificate;
    member.roles = CERTIFICATE_ROLE_NODE;
    put(world, &member);
    show_certificate(world, 0, &bytes);
    struct msg_welcome welcome = next(world, 0, MSG_WELCOME).welcome;
    proves(world, &welcome.certificate, member.key, CERTIFICATE_ROLE_NODE, &certificate);
    assert_int_equal(certificate.roles, CERTIFICATE_ROLE_NODE);
    member.roles |= CERTIFICATE_ROLE_EDGE;
    strcpy(member.name, "another");
    put(world, &member);
    node_session_end(node_table_find_key(world->mesh.nodes, member.key), "away");
    show_certificate(world, 0, &bytes);
    welcome_certifies(world, 0, "another");
}

static void a_member_in_its_last_third_is_renewed_at_hello(void **state)
{
    struct world *world = *state;
    struct certificate_bytes bytes = good_certificate(world, 0);
    virtual_env_advance_ms(&world->mesh.env, UINT64_C(61) * DAY_MS);
    show_certificate(world, 0, &bytes);
    welcome_certifies(world, 0, "node0");
    struct node_session *session = node_table_find_key(world->mesh.nodes, fake_link_peer(0).key);
    assert_string_equal(node_session_name(session), "node0");
    assert_int_equal(node_session_roles(session), CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
}

/* Long enough for certificates to be looked at, and no longer than the node may be silent. */
static void pass(struct world *world, uint64_t ms)
{
    virtual_env_advance_ms(&world->mesh.env, ms);
    node_table_tick(world->mesh.nodes);
}

static bool gets_certificate(struct world *world, size_t number)
{
    struct msg msg;
    while (fake_link_next(&world->mesh.link, number, &msg))
        if (msg.type == MSG_CERTIFICATE)
            return true;
    return false;
}

static void a_session_gets_its_new_certificate_in_the_last_third(void **state)
{
    struct world *world = *state;
    struct certificate_bytes bytes = good_certificate(world, 0);
    show_certificate(world, 0, &bytes);
    pass(world, UINT64_C(59) * DAY_MS);
    assert_false(gets_certificate(world, 0));
    pass(world, UINT64_C(2) * DAY_MS);
    struct msg_certificate renewed = next(world, 0, MSG_CERTIFICATE).certificate;
    proves_membership(world, &renewed.certificate, 0, "node0");
    assert_int_equal(renewed.coordinator_count, 1);
    proves_coordinator(world, &renewed.coordinators[0], world->mesh.keys.public_z85);
    pass(world, NODE_TABLE_RENEW_MS);
    assert_false(gets_certificate(world, 0));
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
}

static void a_short_membership_is_renewed_in_time(void **state)
{
    struct world *world = *state;
    unsigned certificates = 0;
    fake_mesh_fini(&world->mesh);
    fake_mesh_init_for(&world->mesh, MEMBERS, 15);
    join(world, 0);
    for (int s = 0; s < 60; s++) {
        pass(world, 1000);
        assert_int_equal(node_table_count(world->mesh.nodes), 1);
        certificates += gets_certificate(world, 0);
    }
    assert_in_range(certificates, 60 / 15, 60 / 10);
}

/* No book can be written while its folder has another name. */
static void lose_books(struct world *world, bool lost)
{
    char away[sizeof(world->mesh.scratch.path) + 8];
    const char *path = world->mesh.scratch.path;
    (void)snprintf(away, sizeof(away), "%s.away", path);
    assert_int_equal(lost ? rename(path, away) : rename(away, path), 0);
}

static void where_no_certificate_can_be_made_the_session_goes_on(void **state)
{
    struct world *world = *state;
    struct certificate_bytes bytes = good_certificate(world, 0);
    virtual_env_advance_ms(&world->mesh.env, UINT64_C(61) * DAY_MS);
    lose_books(world, true);
    show_certificate(world, 0, &bytes);
    assert_int_equal(next(world, 0, MSG_WELCOME).welcome.certificate.len, 0);
    pass(world, NODE_TABLE_RENEW_MS);
    assert_false(gets_certificate(world, 0));
    lose_books(world, false);
    pass(world, NODE_TABLE_RENEW_MS);
    assert_true(gets_certificate(world, 0));
}

/* --- joining --- */

static void add_token(struct world *world, uint64_t uses)
{
    struct token token = {.roles = CERTIFICATE_ROLE_EDGE,
            .uses_left = uses,
            .created_ms = env_wall_ms(&world->mesh.env.env),
            .expires_ms = env_wall_ms(&world->mesh.env.env) + DAY_MS};
    strcpy(token.key, fake_link_peer(TOKEN).key);
    assert_int_equal(tokens_add(world->mesh.tokens, &token, NULL), 0);
}

/* On the connection of peer `number`, for the key of peer `own`. */
static void say_join(struct world *world, size_t number, size_t own)
{
    uint8_t key[KEY_BYTES];
    assert_true(key_to_raw(fake_link_peer(own).key, key));
    fake_mesh_say(&world->mesh, number,
            &(struct msg){.type = MSG_JOIN,
                    .join = {.name = "laptop",
                            .software = "s",
                            .version_min = 1,
                            .version_max = 1,
                            .key = {.data = key, .len = sizeof(key)}}});
}

static void a_token_makes_a_member(void **state)
{
    struct world *world = *state;
    struct certificate certificate;
    struct certificate_bytes bytes;
    add_token(world, 1);
    say_join(world, TOKEN, NEW);
    struct msg_joined joined = next(world, TOKEN, MSG_JOINED).joined;
    is_our_mesh(world, &joined.mesh);
    assert_int_equal(joined.coordinator_count, 1);
    proves_coordinator(world, &joined.coordinators[0], world->mesh.keys.public_z85);
    proves(world, &joined.certificate, fake_link_peer(NEW).key, CERTIFICATE_ROLE_EDGE,
            &certificate);
    assert_string_equal(certificate.name, "laptop");
    assert_int_equal(certificate.roles, CERTIFICATE_ROLE_EDGE);
    bytes.len = joined.certificate.len;
    memcpy(bytes.data, joined.certificate.data, bytes.len);
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
    is_cut_in_time(world, TOKEN);

    show_certificate(world, NEW, &bytes);
    assert_true(was_welcomed(world, NEW));
    struct node_session *session = node_table_find_key(world->mesh.nodes, fake_link_peer(NEW).key);
    assert_string_equal(node_session_name(session), "laptop");
    assert_int_equal(node_session_roles(session), CERTIFICATE_ROLE_EDGE);
}

static void a_token_that_is_used_up_is_refused(void **state)
{
    struct world *world = *state;
    add_token(world, 1);
    say_join(world, TOKEN, NEW);
    next(world, TOKEN, MSG_JOINED);
    is_cut_in_time(world, TOKEN);
    say_join(world, TOKEN, NEW + 1);
    was_refused(world, TOKEN, REFUSE_TOKEN);
    assert_null(members_find_key(world->mesh.members, fake_link_peer(NEW + 1).key));
    is_cut_in_time(world, TOKEN);
}

static void a_token_may_say_nothing_else(void **state)
{
    struct world *world = *state;
    struct link_peer peer = fake_link_peer(TOKEN);
    add_token(world, 5);
    join(world, TOKEN);
    is_cut_at_once(world, TOKEN);
    say_model(world, &peer, "small", 1);
    is_cut_at_once(world, TOKEN);
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
    assert_int_equal(tokens_at(world->mesh.tokens, 0)->uses_left, 5);
}

static void a_token_does_not_bring_back_a_revoked_key(void **state)
{
    struct world *world = *state;
    add_token(world, 5);
    assert_int_equal(door_revoke(world->mesh.door, "node0", NULL), 0);
    say_join(world, TOKEN, 0);
    was_refused(world, TOKEN, REFUSE_REVOKED);
    is_cut_in_time(world, TOKEN);
}

static void a_member_says_hello_before_join(void **state)
{
    struct world *world = *state;
    say_join(world, 0, NEW);
    is_cut_at_once(world, 0);
    assert_null(members_find_key(world->mesh.members, fake_link_peer(NEW).key));
}

static void a_session_may_change_its_key(void **state)
{
    struct world *world = *state;
    struct certificate_bytes bytes;
    join(world, 0);
    next(world, 0, MSG_WELCOME);
    say_join(world, 0, NEW);
    struct msg_joined joined = next(world, 0, MSG_JOINED).joined;
    is_our_mesh(world, &joined.mesh);
    assert_int_equal(joined.coordinator_count, 1);
    proves_membership(world, &joined.certificate, NEW, "node0");
    bytes.len = joined.certificate.len;
    memcpy(bytes.data, joined.certificate.data, bytes.len);
    pass(world, 100);
    assert_non_null(node_table_find_key(world->mesh.nodes, fake_link_peer(0).key));

    show_certificate(world, NEW, &bytes);
    assert_true(was_welcomed(world, NEW));
    struct node_session *session = node_table_find_key(world->mesh.nodes, fake_link_peer(NEW).key);
    assert_string_equal(node_session_name(session), "node0");
    pass(world, 100);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    is_cut_at_once(world, 0);
}

static void a_session_does_not_get_anothers_key(void **state)
{
    struct world *world = *state;
    join(world, 0);
    next(world, 0, MSG_WELCOME);
    say_join(world, 0, 1);
    was_refused(world, 0, REFUSE_OTHER);
    node_table_flush(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), 1); /* it goes on as it was */
    assert_int_equal(world->mesh.cuts, 0);
}

/* --- sessions --- */

static void a_key_has_one_session(void **state)
{
    struct world *world = *state;
    struct link_peer again = fake_link_peer(0);
    join(world, 0);
    again.routing_id[3] = 7;
    hello_as(world, &again, 1);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    struct node_session *session = node_table_find_key(world->mesh.nodes, again.key);
    assert_memory_equal(
            node_session_peer(session)->routing_id, again.routing_id, LINK_ROUTING_ID_BYTES);
    /* What the older connection still says changes nothing. */
    struct link_peer old = fake_link_peer(0);
    say_model(world, &old, "small", 1);
    assert_int_equal(node_session_instance_count(session), 0);
}

static void a_wrong_key_for_a_routing_id_is_not_heard(void **state)
{
    struct world *world = *state;
    join(world, 0);
    struct link_peer thief = fake_link_peer(0);
    memcpy(thief.key, fake_link_peer(1).key, sizeof(thief.key));
    say_model(world, &thief, "small", 1);
    size_t count;
    node_table_instances(world->mesh.nodes, &count);
    assert_int_equal(count, 0);
}

static void instances_follow_the_sessions(void **state)
{
    struct world *world = *state;
    struct link_peer zero = fake_link_peer(0), one = fake_link_peer(1);
    size_t count;
    node_table_instances(world->mesh.nodes, &count);
    assert_int_equal(count, 0);
    join(world, 0);
    join(world, 1);
    unsigned before = world->mesh.changes;
    say_model(world, &zero, "small", 1);
    say_model(world, &one, "small", 1);
    say_model(world, &one, "large", 1);
    assert_int_equal(world->mesh.changes, before + 3);
    struct instance *const *instances = node_table_instances(world->mesh.nodes, &count);
    assert_int_equal(count, 3);
    assert_string_equal(instances[0]->node, "node0");
    assert_string_equal(instances[2]->model, "large");
    node_session_end(node_table_find_key(world->mesh.nodes, one.key), "test");
    instances = node_table_instances(world->mesh.nodes, &count);
    assert_int_equal(count, 1);
    assert_string_equal(instances[0]->node, "node0");
}

static void models_are_named_once_and_in_order(void **state)
{
    struct world *world = *state;
    struct link_peer zero = fake_link_peer(0), one = fake_link_peer(1);
    size_t count;
    join(world, 0);
    join(world, 1);
    say_model(world, &zero, "zebra", 1);
    say_model(world, &zero, "ant", 4096);
    say_model(world, &one, "ant", 8192);
    struct instance *const *models = node_table_models(world->mesh.nodes, &count);
    assert_int_equal(count, 2);
    assert_string_equal(models[0]->model, "ant");
    assert_int_equal(models[0]->context, 8192);
    assert_string_equal(models[1]->model, "zebra");
    say_model(world, &one, "bee", 1);
    node_table_models(world->mesh.nodes, &count);
    assert_int_equal(count, 3);
}

static void say_content(struct world *world, size_t node, const char *model, uint32_t context,
        const uint8_t *fingerprint)
{
    struct link_peer peer = fake_link_peer(node);
    struct msg_instance instance = {.model = model,
            .context = context,
            .fingerprint = {.data = fingerprint, .len = fingerprint ? MSG_FINGERPRINT_BYTES : 0},
            .engine = "",
            .note = ""};
    fake_mesh_say_as(&world->mesh, &peer,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

static const struct instance *only_instance(struct world *world, size_t node)
{
    return node_session_instance(
            node_table_find_key(world->mesh.nodes, fake_link_peer(node).key), 0);
}

static void content_that_differs_is_found(void **state)
{
    static const uint8_t one[MSG_FINGERPRINT_BYTES] = {1}, two[MSG_FINGERPRINT_BYTES] = {2};
    struct world *world = *state;
    struct node_table *nodes = world->mesh.nodes;
    for (size_t i = 0; i < 3; i++)
        join(world, i);
    say_content(world, 0, "glm", 4096, one);
    say_content(world, 1, "glm", 2048, two);
    say_content(world, 2, "glm", 8192, NULL); /* not known: differs from nobody */
    assert_null(node_table_differing(nodes, only_instance(world, 0)));
    assert_ptr_equal(node_table_differing(nodes, only_instance(world, 1)), only_instance(world, 0));
    assert_null(node_table_differing(nodes, only_instance(world, 2)));
    say_content(world, 1, "glm", 2048, one);
    assert_null(node_table_differing(nodes, only_instance(world, 1)));
    say_content(world, 2, "other", 2048, two);
    assert_null(node_table_differing(nodes, only_instance(world, 1)));
}

static void say_alias(struct world *world, size_t node, const char *model, const char *alias)
{
    struct link_peer peer = fake_link_peer(node);
    struct msg_instance instance = {.model = model,
            .aliases = &alias,
            .alias_count = alias ? 1 : 0,
            .engine = "",
            .note = ""};
    fake_mesh_say_as(&world->mesh, &peer,
            &(struct msg){
                    .type = MSG_STATE, .state = {.instances = &instance, .instance_count = 1}});
}

static void means(struct world *world, const char *name, const char *model)
{
    assert_string_equal(node_table_model(world->mesh.nodes, name), model);
}

static void aliases_follow_what_the_nodes_say(void **state)
{
    struct world *world = *state;
    struct node_table *nodes = world->mesh.nodes;
    size_t count;
    means(world, "coder", "coder");
    join(world, 0);
    join(world, 1);
    say_alias(world, 0, "qwen", "coder");
    means(world, "coder", "qwen");
    say_alias(world, 0, "qwen", "coder"); /* again: what was read stays */
    say_alias(world, 1, "glm", "coder");
    means(world, "coder", "glm");
    assert_string_equal(node_table_aliases(nodes, &count)->name, "coder");
    assert_int_equal(count, 1);
    say_alias(world, 1, "glm", "best");
    means(world, "coder", "qwen");
    means(world, "best", "glm");
    say_alias(world, 1, "coder", NULL);
    means(world, "coder", "coder");
    node_session_end(node_table_find_key(nodes, fake_link_peer(1).key), "test");
    means(world, "coder", "qwen");
    means(world, "best", "glm"); /* which is away */
    assert_string_equal(node_table_aliases(nodes, &count)->name, "coder");
    assert_int_equal(count, 1);
    struct link_peer peer = fake_link_peer(0);
    fake_mesh_say_as(
            &world->mesh, &peer, &(struct msg){.type = MSG_STATE, .state = {.full = true}});
    means(world, "coder", "coder");
    node_table_aliases(nodes, &count);
    assert_int_equal(count, 0);
}

static void sessions_come_one_after_another(void **state)
{
    struct world *world = *state;
    struct node_table *nodes = world->mesh.nodes;
    assert_null(node_table_next(nodes, NULL));
    join(world, 1);
    join(world, 0);
    struct node_session *first = node_table_next(nodes, NULL);
    assert_string_equal(node_session_name(first), "node1");
    struct node_session *second = node_table_next(nodes, first);
    assert_string_equal(node_session_name(second), "node0");
    assert_null(node_table_next(nodes, second));
}

static void several_end_in_one_flush(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < MEMBERS; i++) {
        join(world, i);
        struct link_peer peer = fake_link_peer(i);
        if (i != 1)
            node_table_on_frame(world->mesh.nodes, &peer, "garbage", 7);
    }
    node_table_flush(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    assert_non_null(node_table_find_key(world->mesh.nodes, fake_link_peer(1).key));
}

static void all_end_in_one_tick_but_not_after_a_stall(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < MEMBERS; i++)
        join(world, i);
    virtual_env_advance_ms(&world->mesh.env, 60000); /* our own loop stood still */
    node_table_tick(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), MEMBERS);
    for (unsigned ms = 0; ms <= SESSION_GONE_MS; ms += 100) {
        assert_int_equal(node_table_count(world->mesh.nodes), MEMBERS);
        virtual_env_advance_ms(&world->mesh.env, 100);
        node_table_tick(world->mesh.nodes);
    }
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
}

static void who_is_no_member_any_more_loses_its_session(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < MEMBERS; i++)
        join(world, i);
    node_table_tick(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), MEMBERS);
    assert_int_equal(world->mesh.cuts, 0);

    assert_int_equal(door_revoke(world->mesh.door, "node1", NULL), 0);
    node_table_tick(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), MEMBERS - 1);
    assert_int_equal(world->mesh.cuts, 1);
    assert_string_equal(world->mesh.last_cut.key, fake_link_peer(1).key);
    assert_int_equal(world->mesh.last_cut.fd, fake_link_peer(1).fd);

    assert_int_equal(door_forget(world->mesh.door, "node2", NULL), 0);
    node_table_tick(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    assert_int_equal(world->mesh.cuts, 2);
    assert_string_equal(world->mesh.last_cut.key, fake_link_peer(2).key);
    assert_non_null(node_table_find_key(world->mesh.nodes, fake_link_peer(0).key));
}

/* One that was never renewed in time: the coordinator itself was asleep for longer. */
static void a_membership_that_ends_takes_its_session_along(void **state)
{
    struct world *world = *state;
    join(world, 0);
    pass(world, UINT64_C(90) * DAY_MS);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    pass(world, UINT64_C(91) * DAY_MS);
    assert_int_equal(node_table_count(world->mesh.nodes), 0);
    assert_int_equal(world->mesh.cuts, 1);
}

static void where_no_editors_are_taken_their_tunnels_are_closed(void **state)
{
    struct world *world = *state;
    join(world, 0);
    uint64_t tunnel = (uint64_t)next(world, 0, MSG_WELCOME).welcome.epoch << 32;
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){
                    .type = MSG_TUNNEL_OPEN, .tunnel_open = {.tunnel = tunnel, .window = 1024}});
    assert_int_equal(next(world, 0, MSG_TUNNEL_CLOSE).tunnel_close.tunnel, tunnel);
    fake_mesh_say(&world->mesh, 0,
            &(struct msg){.type = MSG_TUNNEL_DATA,
                    .tunnel_data = {.tunnel = tunnel, .data = "x", .len = 1}});
    node_table_flush(world->mesh.nodes);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    struct node_session *session = node_table_find_key(world->mesh.nodes, fake_link_peer(0).key);
    assert_int_equal(node_table_editors(world->mesh.nodes, session), 0);
}

static void a_hint_probes_only_that_descriptor(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 2; i++) {
        join(world, i);
        assert_true(was_welcomed(world, i));
        world->mesh.link.result[i] = -EHOSTUNREACH;
    }
    node_table_on_disconnect_hint(world->mesh.nodes, fake_link_peer(0).fd);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
    node_table_on_disconnect_hint(world->mesh.nodes, 4711);
    assert_int_equal(node_table_count(world->mesh.nodes), 1);
}

#define TABLE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TABLE_TEST(hello_makes_a_session_with_the_members_name),
            TABLE_TEST(a_certificate_of_another_mesh_is_refused),
            TABLE_TEST(a_certificate_that_proves_nothing_is_refused),
            TABLE_TEST(a_membership_that_has_ended_is_refused),
            TABLE_TEST(a_revoked_member_is_refused),
            TABLE_TEST(another_members_name_is_refused),
            TABLE_TEST(a_version_that_we_do_not_speak_is_refused),
            TABLE_TEST(a_stranger_is_refused),
            TABLE_TEST(who_was_refused_is_not_heard_again),
            TABLE_TEST(other_first_words_get_no_answer),
            TABLE_TEST(where_many_were_refused_the_next_is_cut_at_once),
            TABLE_TEST(a_refusal_that_cannot_be_sent_ends_the_connection_all_the_same),
            TABLE_TEST(welcome_proves_the_coordinator_and_its_next_key),
            TABLE_TEST(welcome_brings_a_certificate_where_none_was_shown),
            TABLE_TEST(an_old_certificate_of_a_member_is_renewed),
            TABLE_TEST(who_was_approved_anew_gets_what_was_decided),
            TABLE_TEST(a_member_in_its_last_third_is_renewed_at_hello),
            TABLE_TEST(a_session_gets_its_new_certificate_in_the_last_third),
            TABLE_TEST(a_short_membership_is_renewed_in_time),
            TABLE_TEST(where_no_certificate_can_be_made_the_session_goes_on),
            TABLE_TEST(a_token_makes_a_member),
            TABLE_TEST(a_token_that_is_used_up_is_refused),
            TABLE_TEST(a_token_may_say_nothing_else),
            TABLE_TEST(a_token_does_not_bring_back_a_revoked_key),
            TABLE_TEST(a_member_says_hello_before_join),
            TABLE_TEST(a_session_may_change_its_key),
            TABLE_TEST(a_session_does_not_get_anothers_key),
            TABLE_TEST(a_key_has_one_session),
            TABLE_TEST(a_wrong_key_for_a_routing_id_is_not_heard),
            TABLE_TEST(instances_follow_the_sessions),
            TABLE_TEST(models_are_named_once_and_in_order),
            TABLE_TEST(content_that_differs_is_found),
            TABLE_TEST(aliases_follow_what_the_nodes_say),
            TABLE_TEST(sessions_come_one_after_another),
            TABLE_TEST(several_end_in_one_flush),
            TABLE_TEST(all_end_in_one_tick_but_not_after_a_stall),
            TABLE_TEST(who_is_no_member_any_more_loses_its_session),
            TABLE_TEST(a_membership_that_ends_takes_its_session_along),
            TABLE_TEST(where_no_editors_are_taken_their_tunnels_are_closed),
            TABLE_TEST(a_hint_probes_only_that_descriptor),
    };
    return cmocka_run_group_tests_name("node_table", tests, NULL, NULL);
}
