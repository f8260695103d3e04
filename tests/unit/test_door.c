#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/log.h"
#include "common/trust/phrase.h"
#include "coordinator/trust/door.h"
#include "coordinator/trust/told.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MEMBERSHIP_S = 90 * 24 * 3600,
    HOUR_MS = 3600 * 1000,
    LOG_MAX = 1024 * 1024,
    COORDINATOR = 900000, /* numbers of keys */
    TOKEN = 800000,
};

#define WALL_MS INT64_C(1700000000000)
#define WALL_S  UINT64_C(1700000000)
#define HOME    "10.0.0.5"

struct fixture {
    struct scratch scratch;
    struct env env;
    uint64_t now_ms;
    int64_t wall_ms;
    struct identity identity;
    char coordinator_key[KEY_Z85_LEN + 1];
    struct members *members;
    struct tokens *tokens;
    struct door *door;
    struct err err;
    enum door_refusal refusal;
    const struct member *member;
    struct certificate_bytes bytes;
    int saved_stderr; /* while the log is caught; else -1 */
};

/* --- the world --- */

static uint64_t now_us(void *ctx)
{
    return ((struct fixture *)ctx)->now_ms * 1000;
}

static int64_t wall_ms(void *ctx)
{
    return ((struct fixture *)ctx)->wall_ms;
}

static void pass_ms(struct fixture *f, uint64_t ms)
{
    f->now_ms += ms;
    f->wall_ms += (int64_t)ms;
}

static void pass_s(struct fixture *f, uint64_t s)
{
    pass_ms(f, s * 1000);
}

/* Valid until the fourth call after this one. */
static const char *key(unsigned number)
{
    static char texts[4][KEY_Z85_LEN + 1];
    static unsigned turn;
    char *text = texts[turn++ % 4];
    uint8_t raw[KEY_BYTES] = {3};
    memcpy(raw + 1, &number, sizeof(number));
    key_from_raw(raw, text);
    return text;
}

static const char *members_path(struct fixture *f)
{
    return scratch_path(&f->scratch, "members.json");
}

static const char *tokens_path(struct fixture *f)
{
    return scratch_path(&f->scratch, "tokens.json");
}

static void open_door(struct fixture *f)
{
    const struct door_config config = {.env = &f->env,
            .identity = &f->identity,
            .coordinator_key = f->coordinator_key,
            .members = f->members,
            .tokens = f->tokens,
            .membership_s = MEMBERSHIP_S};
    f->door = door_create(&config);
    assert_non_null(f->door);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f)
        return -1;
    scratch_init(&f->scratch);
    log_init("test", LOG_LEVEL_ERROR);
    f->saved_stderr = -1;
    f->now_ms = 5000;
    f->wall_ms = WALL_MS;
    f->env = (struct env){.now_us = now_us, .wall_ms = wall_ms, .ctx = f};
    strcpy(f->coordinator_key, key(COORDINATOR));
    assert_int_equal(identity_generate(&f->identity, &f->err), 0);
    assert_int_equal(members_open(members_path(f), &f->members, &f->err), 0);
    assert_int_equal(tokens_open(tokens_path(f), &f->tokens, &f->err), 0);
    open_door(f);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->saved_stderr >= 0)
        dup2(f->saved_stderr, STDERR_FILENO);
    door_destroy(f->door);
    tokens_close(f->tokens);
    members_close(f->members);
    identity_fini(&f->identity);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

static void block(const char *path)
{
    (void)unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void unblock(const char *path)
{
    assert_int_equal(rmdir(path), 0);
}

/* --- what is done in many tests --- */

static bool allow(struct fixture *f, unsigned number)
{
    return door_allow(f->door, key(number), HOME);
}

static int approve(struct fixture *f, unsigned number, const char *name)
{
    return door_approve(f->door, key(number), name, 0, &f->err);
}

/* The node knocks and is approved. */
static void let_in(struct fixture *f, unsigned number, const char *name)
{
    assert_false(allow(f, number));
    assert_int_equal(approve(f, number, name), 0);
    assert_true(allow(f, number));
}

static const struct member *member_of(struct fixture *f, unsigned number)
{
    return members_find_key(f->members, key(number));
}

static int hello_with(struct fixture *f, unsigned number, const char *says)
{
    f->refusal = DOOR_REFUSAL_COUNT;
    return door_hello(f->door, key(number), says, f->bytes.data, f->bytes.len, HOME, &f->member,
            &f->refusal, &f->err);
}

static int hello(struct fixture *f, unsigned number, const char *says)
{
    f->bytes.len = 0;
    return hello_with(f, number, says);
}

static void add_token(struct fixture *f, unsigned number, uint64_t uses)
{
    struct token token = {.roles = CERTIFICATE_ROLE_EDGE,
            .uses_left = uses,
            .created_ms = f->wall_ms,
            .expires_ms = f->wall_ms + HOUR_MS};
    strcpy(token.key, key(number));
    assert_int_equal(tokens_add(f->tokens, &token, &f->err), 0);
}

static int join(struct fixture *f, unsigned via, unsigned number, const char *says)
{
    f->refusal = DOOR_REFUSAL_COUNT;
    return door_join(f->door, key(via), key(number), says, HOME, &f->bytes, &f->refusal, &f->err);
}

static struct certificate read_certificate(struct fixture *f)
{
    struct certificate certificate = {.roles = 0};
    assert_int_equal(certificate_parse(f->bytes.data, f->bytes.len, &certificate, &f->err), 0);
    return certificate;
}

static void assert_certified(struct fixture *f, unsigned number, const char *name, unsigned roles)
{
    struct certificate certificate = read_certificate(f);
    assert_string_equal(certificate.name, name);
    assert_int_equal(certificate.roles, roles);
    assert_int_equal(certificate.not_after_s, (uint64_t)f->wall_ms / 1000 + MEMBERSHIP_S);
    assert_int_equal(certificate_check(&certificate, f->identity.public_key, key(number),
                             (enum certificate_role)(roles & -roles), (uint64_t)f->wall_ms / 1000),
            CERTIFICATE_FINE);
}

static int renew(struct fixture *f, unsigned number, uint64_t shown_s)
{
    f->bytes.len = 0;
    return door_renew(f->door, key(number), shown_s, &f->bytes, &f->err);
}

static uint64_t refused(struct fixture *f, enum door_refusal refusal)
{
    return door_refused(f->door, refusal);
}

static size_t pending_now(struct fixture *f)
{
    return pending_count(door_pending(f->door));
}

/* --- the handshake --- */

static void a_stranger_is_pending(void **state)
{
    struct fixture *f = *state;
    assert_false(allow(f, 1));
    assert_false(allow(f, 1));
    assert_int_equal(refused(f, DOOR_STRANGER), 2);
    assert_int_equal(pending_now(f), 1);
    const struct pending_node *node = pending_at(door_pending(f->door), 0);
    assert_string_equal(node->key, key(1));
    assert_string_equal(node->address, HOME);
    assert_int_equal(node->knocks, 2);
    assert_int_equal(members_count(f->members), 0);
}

static void strangers_without_a_place_are_counted_apart(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < PENDING_PER_ADDRESS_MAX + 3; i++)
        assert_false(allow(f, i));
    assert_int_equal(refused(f, DOOR_STRANGER), PENDING_PER_ADDRESS_MAX);
    assert_int_equal(refused(f, DOOR_CROWDED), 3);
}

static void who_is_approved_comes_in(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(pending_now(f), 0);
    const struct member *member = member_of(f, 1);
    assert_string_equal(member->name, "strix");
    assert_string_equal(member->source, "approved");
    assert_int_equal(member->roles, CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
    assert_int_equal(member->not_after_s, WALL_S + MEMBERSHIP_S);
    assert_int_equal(member->added_ms, WALL_MS);
    assert_int_not_equal(member->serial, 0);
}

static void who_is_revoked_stays_out(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(door_revoke(f->door, "strix", &f->err), 0);
    assert_false(allow(f, 1));
    assert_int_equal(refused(f, DOOR_REVOKED), 1);
    assert_int_equal(pending_now(f), 0);
    assert_int_equal(door_open_window(f->door, 1000, &f->err), 0);
    assert_false(allow(f, 1));
}

static void who_has_expired_is_pending_under_its_name(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    pass_s(f, MEMBERSHIP_S);
    assert_true(allow(f, 1));
    pass_s(f, 1);
    assert_false(allow(f, 1));
    assert_int_equal(refused(f, DOOR_EXPIRED), 1);
    assert_int_equal(refused(f, DOOR_STRANGER), 1); /* before it was approved */
    assert_string_equal(pending_at(door_pending(f->door), 0)->name, "strix");
}

static void approving_again_keeps_name_and_roles(void **state)
{
    struct fixture *f = *state;
    assert_false(allow(f, 1));
    assert_int_equal(door_approve(f->door, key(1), "strix", CERTIFICATE_ROLE_EDGE, &f->err), 0);
    uint64_t serial = member_of(f, 1)->serial;
    pass_s(f, MEMBERSHIP_S + 1);
    assert_false(allow(f, 1));
    door_announced(f->door, key(1), "somebody");
    assert_int_equal(approve(f, 1, NULL), 0);
    const struct member *member = member_of(f, 1);
    assert_string_equal(member->name, "strix");
    assert_int_equal(member->roles, CERTIFICATE_ROLE_EDGE);
    assert_int_equal(member->added_ms, WALL_MS);
    assert_true(member->serial > serial);
    assert_int_equal(members_count(f->members), 1);
    assert_true(allow(f, 1));
}

static void who_expired_while_it_changed_its_key_is_approved_by_either(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(join(f, 1, 2, "strix"), 0);
    pass_s(f, MEMBERSHIP_S + 1);
    let_in(f, 2, NULL);
    assert_int_equal(pending_now(f), 0);
    assert_true(allow(f, 1));
    assert_int_equal(hello(f, 2, "strix"), 0);
    assert_int_equal(members_count(f->members), 1);
}

static void who_is_revoked_is_not_pending_any_more(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(join(f, 1, 2, "strix"), 0);
    pass_s(f, MEMBERSHIP_S + 1);
    assert_false(allow(f, 1));
    assert_false(allow(f, 2));
    assert_int_equal(pending_now(f), 2);
    assert_int_equal(door_revoke(f->door, "strix", &f->err), 0);
    assert_int_equal(pending_now(f), 0);
}

static void a_token_opens_the_door_while_it_is_good(void **state)
{
    struct fixture *f = *state;
    add_token(f, TOKEN, 1);
    assert_true(allow(f, TOKEN));
    assert_true(door_is_token(f->door, key(TOKEN)));
    assert_false(door_is_token(f->door, key(1)));
    pass_ms(f, HOUR_MS);
    for (int i = 0; i < 2; i++) {
        assert_false(allow(f, TOKEN));
        assert_true(door_is_token(f->door, key(TOKEN)));
        door_tick(f->door);
    }
    assert_int_equal(tokens_count(f->tokens), 0);
    assert_int_equal(refused(f, DOOR_BAD_TOKEN), 2);
    assert_int_equal(pending_now(f), 0);
}

static void a_spent_token_is_no_stranger_for_the_window(void **state)
{
    struct fixture *f = *state;
    add_token(f, TOKEN, 1);
    assert_int_equal(join(f, TOKEN, 1, "strix"), 0);
    assert_int_equal(door_open_window(f->door, 1000, &f->err), 0);
    assert_false(allow(f, TOKEN));
    assert_int_equal(members_count(f->members), 1);
}

static void a_wall_clock_that_jumps_pushes_nobody_out_of_pending(void **state)
{
    struct fixture *f = *state;
    assert_false(allow(f, 1));
    assert_int_equal(door_open_window(f->door, 60000, &f->err), 0);
    f->wall_ms += INT64_C(1000) * 24 * HOUR_MS;
    door_tick(f->door);
    assert_int_equal(pending_now(f), 1);
    assert_int_equal(door_window_left_ms(f->door), 60000);
    f->wall_ms = -5;
    door_tick(f->door);
    assert_true(allow(f, 2));
    assert_int_equal(member_of(f, 2)->added_ms, 0);
}

/* --- the window --- */

static void an_open_window_takes_whoever_comes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(door_window_left_ms(f->door), 0);
    assert_int_equal(door_open_window(f->door, 60000, &f->err), 0);
    pass_ms(f, 20000);
    assert_int_equal(door_window_left_ms(f->door), 40000);
    assert_true(allow(f, 1));
    assert_true(allow(f, 1));
    assert_string_equal(member_of(f, 1)->source, "window");
    assert_string_equal(member_of(f, 1)->name, "");
    assert_int_equal(member_of(f, 1)->serial, 0);
    pass_ms(f, 40000);
    assert_int_equal(door_window_left_ms(f->door), 0);
    assert_false(allow(f, 2));
    assert_true(allow(f, 1));
    door_tick(f->door);
    assert_false(allow(f, 2));
}

static void a_window_knows_the_names_of_who_is_pending(void **state)
{
    struct fixture *f = *state;
    let_in(f, 9, "tower");
    assert_false(allow(f, 1));
    assert_false(allow(f, 2));
    door_announced(f->door, key(1), "strix");
    door_announced(f->door, key(2), "tower");
    assert_int_equal(door_open_window(f->door, 60000, &f->err), 0);
    assert_true(allow(f, 1));
    assert_true(allow(f, 2));
    assert_string_equal(member_of(f, 1)->name, "strix");
    assert_string_equal(member_of(f, 2)->name, "");
    assert_int_equal(pending_now(f), 0);
}

static void a_window_takes_back_who_has_expired(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    pass_s(f, MEMBERSHIP_S + 1);
    assert_int_equal(door_open_window(f->door, 60000, &f->err), 0);
    assert_true(allow(f, 1));
    assert_string_equal(member_of(f, 1)->name, "strix");
    assert_string_equal(member_of(f, 1)->source, "approved");
    assert_int_equal(refused(f, DOOR_EXPIRED), 0);
}

static void a_window_takes_only_so_many(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(door_open_window(f->door, 60000, &f->err), 0);
    for (unsigned i = 0; i < DOOR_WINDOW_NODES_MAX; i++)
        assert_true(allow(f, i));
    assert_int_equal(door_window_left_ms(f->door), 0);
    assert_false(allow(f, DOOR_WINDOW_NODES_MAX));
    assert_int_equal(door_open_window(f->door, 60000, &f->err), 0);
    assert_true(allow(f, DOOR_WINDOW_NODES_MAX));
}

static void a_window_can_be_closed_and_is_never_too_long(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(door_open_window(f->door, DOOR_WINDOW_MAX_MS, &f->err), 0);
    assert_int_equal(door_open_window(f->door, DOOR_WINDOW_MAX_MS + 1, &f->err), -ERANGE);
    assert_int_equal(door_window_left_ms(f->door), DOOR_WINDOW_MAX_MS);
    assert_int_equal(door_open_window(f->door, 0, &f->err), 0);
    assert_int_equal(door_window_left_ms(f->door), 0);
    assert_false(allow(f, 1));
}

static void a_window_that_cannot_write_leaves_them_pending(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(door_open_window(f->door, 60000, &f->err), 0);
    block(members_path(f));
    assert_false(allow(f, 1));
    assert_int_equal(members_count(f->members), 0);
    assert_int_equal(pending_now(f), 1);
    unblock(members_path(f));
    assert_true(allow(f, 1));
}

/* --- HELLO --- */

static void assert_refused(struct fixture *f, int r, enum door_refusal refusal, const char *word)
{
    assert_true(r < 0);
    if (f->refusal != refusal)
        fail_msg("refused as %d, not %s: %s", f->refusal, door_refusal_name(refusal), f->err.text);
    assert_int_equal(refused(f, refusal), 1);
    assert_non_null(strstr(f->err.text, word));
}

/* A certificate for the key that `identity` signs, into `f->bytes`. */
static void sign(
        struct fixture *f, const struct identity *identity, unsigned number, unsigned roles)
{
    struct certificate certificate = {.roles = roles,
            .serial = 77,
            .name = "strix",
            .not_before_s = WALL_S,
            .not_after_s = WALL_S + 1000};
    strcpy(certificate.key, key(number));
    certificate_sign(identity, &certificate, &f->bytes);
}

static void a_member_says_hello(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(hello(f, 1, "strix"), 0);
    assert_ptr_equal(f->member, member_of(f, 1));
    sign(f, &f->identity, 1, CERTIFICATE_ROLE_NODE);
    assert_int_equal(hello_with(f, 1, "strix"), 0);
    sign(f, &f->identity, 1, CERTIFICATE_ROLE_EDGE);
    assert_int_equal(hello_with(f, 1, "strix"), 0);
}

static void a_certificate_of_another_mesh_is_refused(void **state)
{
    struct fixture *f = *state;
    struct identity other;
    let_in(f, 1, "strix");
    assert_int_equal(identity_generate(&other, &f->err), 0);
    sign(f, &other, 1, CERTIFICATE_ROLE_NODE);
    identity_fini(&other);
    assert_refused(f, hello_with(f, 1, "strix"), DOOR_FOREIGN_MESH, "another mesh");
    assert_null(f->member);
}

static void a_certificate_of_another_key_is_refused(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    sign(f, &f->identity, 2, CERTIFICATE_ROLE_NODE);
    assert_refused(f, hello_with(f, 1, "strix"), DOOR_BAD_CERTIFICATE, "another link key");
}

static void a_certificate_of_a_coordinator_is_refused(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    sign(f, &f->identity, 1, CERTIFICATE_ROLE_COORDINATOR);
    assert_refused(f, hello_with(f, 1, "strix"), DOOR_BAD_CERTIFICATE, "role");
}

static void a_broken_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    sign(f, &f->identity, 1, CERTIFICATE_ROLE_NODE);
    f->bytes.data[20] ^= 1;
    assert_refused(f, hello_with(f, 1, "strix"), DOOR_BAD_CERTIFICATE, "signature");
}

static void who_is_no_member_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, hello(f, 1, "strix"), DOOR_STRANGER, "not a member");
}

static void who_was_revoked_since_is_refused(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(door_revoke(f->door, key(1), &f->err), 0);
    assert_refused(f, hello(f, 1, "strix"), DOOR_REVOKED, "revoked");
}

static void who_has_expired_since_is_refused(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(renew(f, 1, 0), 1);
    pass_s(f, MEMBERSHIP_S + 1);
    assert_refused(f, hello_with(f, 1, "strix"), DOOR_EXPIRED, "has ended");
}

static void who_was_approved_again_comes_with_its_old_certificate(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(renew(f, 1, 0), 1);
    struct certificate old = read_certificate(f);
    struct certificate_bytes shown = f->bytes;
    pass_s(f, MEMBERSHIP_S + 1);
    let_in(f, 1, NULL);
    assert_int_equal(hello_with(f, 1, "strix"), 0);
    assert_memory_equal(&shown, &f->bytes, sizeof(shown));
    assert_int_equal(renew(f, 1, old.not_after_s), 1);
    assert_certified(f, 1, "strix", CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
}

static void another_members_name_is_refused(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    let_in(f, 2, "tower");
    assert_int_equal(hello(f, 1, "strix"), 0);
    assert_int_equal(hello(f, 1, "nobodys"), 0);
    assert_string_equal(f->member->name, "strix");
    assert_int_equal(hello(f, 1, ""), 0);
    sign(f, &f->identity, 1, CERTIFICATE_ROLE_NODE);
    assert_refused(f, hello_with(f, 1, "tower"), DOOR_OTHERS_NAME, "\"tower\"");
}

/* It was approved under another name than its own, which is a member's already. */
static void who_has_no_certificate_does_not_know_its_name_here(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix-2");
    let_in(f, 2, "strix");
    assert_int_equal(hello(f, 1, "strix"), 0);
    assert_string_equal(f->member->name, "strix-2");
}

/* Its old name has gone to another node meanwhile. */
static void who_was_approved_anew_knows_its_old_name_only(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    sign(f, &f->identity, 1, CERTIFICATE_ROLE_NODE);
    assert_int_equal(door_forget(f->door, "strix", &f->err), 0);
    let_in(f, 2, "strix");
    let_in(f, 1, "halo");
    assert_int_equal(hello_with(f, 1, "strix"), 0);
    assert_string_equal(f->member->name, "halo");
}

static void who_has_no_name_gets_one(void **state)
{
    static const struct {
        const char *says, *gets;
    } cases[] = {
            {"strix", "strix"},
            {"strix", "strix-2"},
            {"strix", "strix-3"},
            {"my box", "my-box"},
            {"b\xc3\xbcro", "b--ro"},
            {"", "node"},
            {"", "node-2"},
            {"a2345678901234567890123456789012345678901234567890123456789012345678",
                    "a23456789012345678901234567890123456789012345678901234567890123"},
            {"a2345678901234567890123456789012345678901234567890123456789012345678",
                    "a234567890123456789012345678901234567890123456789012-2"},
    };
    struct fixture *f = *state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        let_in(f, i, NULL);
        assert_int_equal(hello(f, i, cases[i].says), 0);
        assert_string_equal(f->member->name, cases[i].gets);
        assert_string_equal(member_of(f, i)->name, cases[i].gets);
        assert_int_not_equal(f->member->serial, 0);
        assert_int_equal(hello(f, i, cases[i].gets), 0);
    }
}

static void a_name_that_cannot_be_written_is_not_given(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, NULL);
    block(members_path(f));
    assert_true(hello(f, 1, "strix") < 0);
    assert_int_equal(f->refusal, DOOR_REFUSAL_COUNT);
    assert_null(strstr(f->err.text, "members.json"));
    assert_string_equal(member_of(f, 1)->name, "");
    unblock(members_path(f));
    assert_int_equal(hello(f, 1, "strix"), 0);
}

/* --- JOIN with a token --- */

static void a_token_makes_a_member(void **state)
{
    struct fixture *f = *state;
    char source[32];
    add_token(f, TOKEN, 2);
    (void)snprintf(source, sizeof(source), "token %s", tokens_at(f->tokens, 0)->id);
    assert_false(allow(f, 1));
    assert_int_equal(join(f, TOKEN, 1, "strix"), 0);
    assert_certified(f, 1, "strix", CERTIFICATE_ROLE_EDGE);
    assert_string_equal(member_of(f, 1)->source, source);
    assert_int_equal(tokens_at(f->tokens, 0)->uses_left, 1);
    assert_int_equal(pending_now(f), 0);
    assert_true(allow(f, 1));
    assert_int_equal(hello_with(f, 1, "strix"), 0);
}

static void joining_again_costs_nothing(void **state)
{
    struct fixture *f = *state;
    add_token(f, TOKEN, 2);
    assert_int_equal(join(f, TOKEN, 1, "strix"), 0);
    assert_int_equal(join(f, TOKEN, 1, "strix"), 0);
    assert_certified(f, 1, "strix", CERTIFICATE_ROLE_EDGE);
    assert_int_equal(tokens_at(f->tokens, 0)->uses_left, 1);
    assert_int_equal(join(f, TOKEN, 2, "strix"), 0);
    assert_certified(f, 2, "strix-2", CERTIFICATE_ROLE_EDGE);
    assert_int_equal(tokens_count(f->tokens), 0);
    assert_refused(f, join(f, TOKEN, 3, "late"), DOOR_BAD_TOKEN, "used up");
    assert_null(member_of(f, 3));
}

static void who_was_approved_meanwhile_joins_for_nothing(void **state)
{
    struct fixture *f = *state;
    add_token(f, TOKEN, 1);
    let_in(f, 1, NULL);
    assert_int_equal(join(f, TOKEN, 1, "strix"), 0);
    assert_certified(f, 1, "strix", CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
    assert_string_equal(member_of(f, 1)->source, "approved");
    assert_int_equal(tokens_at(f->tokens, 0)->uses_left, 1);
}

static void who_has_expired_joins_again_for_a_use(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    pass_s(f, MEMBERSHIP_S + 1);
    add_token(f, TOKEN, 1);
    assert_int_equal(join(f, TOKEN, 1, "other"), 0);
    assert_certified(f, 1, "strix", CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
    assert_int_equal(tokens_count(f->tokens), 0);
    assert_int_equal(members_count(f->members), 1);
}

static void a_token_brings_back_nobody_who_was_revoked(void **state)
{
    struct fixture *f = *state;
    add_token(f, TOKEN, 1);
    let_in(f, 1, "strix");
    assert_int_equal(door_revoke(f->door, "strix", &f->err), 0);
    assert_refused(f, join(f, TOKEN, 1, "strix"), DOOR_REVOKED, "revoked");
    assert_int_equal(tokens_at(f->tokens, 0)->uses_left, 1);
}

static void a_token_expires(void **state)
{
    struct fixture *f = *state;
    add_token(f, TOKEN, 1);
    pass_ms(f, HOUR_MS);
    assert_refused(f, join(f, TOKEN, 1, "strix"), DOOR_BAD_TOKEN, "expired");
    assert_int_equal(members_count(f->members), 0);
}

static void a_tokens_key_is_never_a_members(void **state)
{
    struct fixture *f = *state;
    add_token(f, TOKEN, 5);
    assert_refused(f, join(f, TOKEN, TOKEN, "strix"), DOOR_BAD_TOKEN, "token's key");
    assert_int_equal(members_count(f->members), 0);
}

static void what_is_no_key_does_not_join(void **state)
{
    struct fixture *f = *state;
    add_token(f, TOKEN, 5);
    int r = door_join(f->door, key(TOKEN), "short", "strix", HOME, &f->bytes, &f->refusal, &f->err);
    assert_refused(f, r, DOOR_NOT_HELLO, "link key");
    assert_int_equal(tokens_at(f->tokens, 0)->uses_left, 5);
}

static void a_join_is_written_to_both_books_or_to_none(void **state)
{
    struct fixture *f = *state;
    add_token(f, TOKEN, 1);
    block(members_path(f));
    assert_true(join(f, TOKEN, 1, "strix") < 0);
    assert_int_equal(f->refusal, DOOR_REFUSAL_COUNT);
    assert_int_equal(tokens_at(f->tokens, 0)->uses_left, 1);
    assert_null(member_of(f, 1));
    unblock(members_path(f));

    block(tokens_path(f));
    assert_true(join(f, TOKEN, 1, "strix") < 0);
    assert_int_equal(tokens_at(f->tokens, 0)->uses_left, 1);
    assert_null(member_of(f, 1));
    unblock(tokens_path(f));
    assert_int_equal(join(f, TOKEN, 1, "strix"), 0);
}

static void who_could_not_pay_stays_expired(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    struct member before = *member_of(f, 1);
    pass_s(f, MEMBERSHIP_S + 1);
    add_token(f, TOKEN, 1);
    block(tokens_path(f));
    assert_true(join(f, TOKEN, 1, "strix") < 0);
    assert_memory_equal(member_of(f, 1), &before, sizeof(before));
    assert_false(allow(f, 1));
    unblock(tokens_path(f));
}

/* --- JOIN within a session: another link key --- */

static void a_member_changes_its_key(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    uint64_t serial = member_of(f, 1)->serial;
    assert_int_equal(join(f, 1, 2, "strix"), 0);
    assert_certified(f, 2, "strix", CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
    assert_true(read_certificate(f).serial > serial);
    assert_string_equal(member_of(f, 1)->next_key, key(2));
    assert_true(allow(f, 1));
    assert_true(allow(f, 2));
    assert_int_equal(hello(f, 1, "strix"), 0);

    assert_int_equal(join(f, 1, 2, "strix"), 0);
    assert_int_equal(hello_with(f, 2, "strix"), 0);
    assert_string_equal(f->member->key, key(2));
    assert_string_equal(f->member->next_key, "");
    assert_null(member_of(f, 1));
    assert_false(allow(f, 1));
    assert_int_equal(members_count(f->members), 1);
}

static void only_the_last_new_key_counts(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(join(f, 1, 2, "strix"), 0);
    assert_int_equal(join(f, 1, 3, "strix"), 0);
    assert_false(allow(f, 2));
    assert_true(allow(f, 3));
}

static void a_member_cannot_take_anothers_key(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    let_in(f, 2, "tower");
    assert_refused(f, join(f, 1, 2, "strix"), DOOR_NOT_HELLO, "another member's");
    assert_string_equal(member_of(f, 1)->next_key, "");
}

static void a_member_that_keeps_its_key_gets_its_certificate(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    unsigned edition = members_edition(f->members);
    assert_int_equal(join(f, 1, 1, "strix"), 0);
    assert_certified(f, 1, "strix", CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
    assert_int_equal(members_edition(f->members), edition);
}

static void a_new_key_says_hello_before_it_changes_again(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(join(f, 1, 2, "strix"), 0);
    assert_refused(f, join(f, 2, 3, "strix"), DOOR_NOT_HELLO, "HELLO");
    assert_string_equal(member_of(f, 1)->next_key, key(2));
}

static void a_revoked_member_changes_no_key(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(join(f, 1, 2, "strix"), 0);
    assert_int_equal(door_revoke(f->door, "strix", &f->err), 0);
    assert_refused(f, join(f, 1, 3, "strix"), DOOR_REVOKED, "revoked");
    assert_false(allow(f, 1));
    assert_false(allow(f, 2));
}

static void keys_change_only_so_often(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    for (unsigned i = 0; i < DOOR_KEY_CHANGES_PER_MINUTE; i++)
        assert_int_equal(join(f, 1, 100 + i, "strix"), 0);
    assert_int_equal(join(f, 1, 99, "strix"), -EAGAIN);
    assert_int_equal(f->refusal, DOOR_REFUSAL_COUNT);
    pass_s(f, 60);
    assert_int_equal(join(f, 1, 99, "strix"), 0);
}

static void a_key_change_that_cannot_be_written_is_none(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    block(members_path(f));
    assert_true(join(f, 1, 2, "strix") < 0);
    unblock(members_path(f));
    assert_false(allow(f, 2));
    assert_int_equal(join(f, 1, 2, "strix"), 0);
    block(members_path(f));
    assert_true(hello(f, 2, "strix") < 0);
    unblock(members_path(f));
    assert_true(allow(f, 1));
    assert_int_equal(hello(f, 2, "strix"), 0);
}

/* --- certificates --- */

static void who_shows_none_gets_the_one_it_has(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    unsigned edition = members_edition(f->members);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(renew(f, 1, 0), 1);
        assert_certified(f, 1, "strix", CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
    }
    assert_int_equal(members_edition(f->members), edition);
}

static void the_last_third_brings_a_new_one(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    uint64_t serial = member_of(f, 1)->serial, end_s = WALL_S + MEMBERSHIP_S;
    pass_s(f, MEMBERSHIP_S / 3 * 2);
    assert_int_equal(renew(f, 1, end_s), 0);
    pass_s(f, 1);
    assert_int_equal(renew(f, 1, end_s), 1);
    assert_certified(f, 1, "strix", CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE);
    assert_true(member_of(f, 1)->serial > serial);
    assert_int_equal(member_of(f, 1)->serial, read_certificate(f).serial);
    assert_int_equal(renew(f, 1, member_of(f, 1)->not_after_s), 0);
    assert_int_equal(renew(f, 1, end_s), 1);
}

static void only_members_get_certificates(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(renew(f, 1, 0), -ENOENT);
    let_in(f, 1, NULL);
    assert_int_equal(renew(f, 1, 0), -ENOENT);
    assert_int_equal(hello(f, 1, "strix"), 0);
    assert_int_equal(renew(f, 1, 0), 1);
    assert_int_equal(door_revoke(f->door, "strix", &f->err), 0);
    assert_int_equal(renew(f, 1, 0), -ENOENT);
    assert_int_equal(f->bytes.len, 0);
}

static void a_renewal_that_cannot_be_written_is_none(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    struct member before = *member_of(f, 1);
    pass_s(f, MEMBERSHIP_S - 1);
    block(members_path(f));
    assert_true(renew(f, 1, before.not_after_s) < 0);
    assert_int_equal(f->bytes.len, 0);
    assert_memory_equal(member_of(f, 1), &before, sizeof(before));
    unblock(members_path(f));
    assert_int_equal(renew(f, 1, before.not_after_s), 1);
}

static void a_coordinator_has_a_certificate_too(void **state)
{
    struct fixture *f = *state;
    door_own_certificate(f->door, f->coordinator_key, "the tower", &f->bytes);
    assert_certified(f, COORDINATOR, "the-tower", CERTIFICATE_ROLE_COORDINATOR);
}

/* --- finding who is pending --- */

static const struct pending_node *find_pending(struct fixture *f, const char *what)
{
    const struct pending_node *node = NULL;
    assert_int_equal(door_find_pending(f->door, what, &node, &f->err), 0);
    return node;
}

static void a_pending_node_is_found_by_all_that_is_known_of_it(void **state)
{
    struct fixture *f = *state;
    char phrase[PHRASE_LEN + 1];
    assert_false(door_allow(f->door, key(1), "10.0.0.7"));
    assert_false(door_allow(f->door, key(2), "10.0.0.8"));
    door_announced(f->door, key(1), "strix");
    const struct pending_node *strix = pending_find(door_pending(f->door), key(1));
    phrase_make(f->coordinator_key, key(1), phrase);
    assert_ptr_equal(find_pending(f, "strix"), strix);
    assert_ptr_equal(find_pending(f, "10.0.0.7"), strix);
    assert_ptr_equal(find_pending(f, key(1)), strix);
    assert_ptr_equal(find_pending(f, phrase), strix);
    phrase[5] = ' ';
    assert_ptr_equal(find_pending(f, phrase), strix);
}

static void several_of_a_kind_are_not_guessed_at(void **state)
{
    struct fixture *f = *state;
    const struct pending_node *node = NULL;
    char phrase[PHRASE_LEN + 1];
    assert_false(door_allow(f->door, key(1), "10.0.0.7"));
    assert_false(door_allow(f->door, key(2), "10.0.0.7"));
    assert_false(door_allow(f->door, key(3), "10.0.0.9"));
    door_announced(f->door, key(1), "strix");
    door_announced(f->door, key(2), "strix");
    assert_int_equal(door_find_pending(f->door, "10.0.0.7", &node, &f->err), -EEXIST);
    assert_non_null(strstr(f->err.text, "phrase"));
    assert_int_equal(door_find_pending(f->door, "strix", &node, &f->err), -EEXIST);
    phrase_make(f->coordinator_key, key(1), phrase);
    assert_string_equal(find_pending(f, phrase)->key, key(1));
    assert_null(node);
}

/* Everybody can make the phrase of two public keys, and the node that it is of may not knock now.
 */
static void who_announces_a_phrase_is_not_found_by_it(void **state)
{
    struct fixture *f = *state;
    const struct pending_node *node = NULL;
    char phrase[PHRASE_LEN + 1];
    assert_false(door_allow(f->door, key(2), "10.0.0.7"));
    phrase_make(f->coordinator_key, key(1), phrase);
    door_announced(f->door, key(2), phrase);
    assert_int_equal(door_find_pending(f->door, phrase, &node, &f->err), -ENOENT);
    door_announced(f->door, key(2), "10.0.0.9");
    assert_int_equal(door_find_pending(f->door, "10.0.0.9", &node, &f->err), -ENOENT);
    assert_null(node);
}

static void who_is_not_pending_is_not_found(void **state)
{
    struct fixture *f = *state;
    const struct pending_node *node = NULL;
    assert_int_equal(door_find_pending(f->door, "strix", &node, &f->err), -ENOENT);
    assert_non_null(strstr(f->err.text, "no node is pending"));
    assert_false(allow(f, 1));
    assert_int_equal(door_find_pending(f->door, "", &node, &f->err), -ENOENT);
    door_announced(f->door, key(1), "strix");
    assert_int_equal(door_find_pending(f->door, "stryx", &node, &f->err), -ENOENT);
    assert_non_null(strstr(f->err.text, "did you mean \"strix\""));
    assert_null(node);
}

/* --- deciding --- */

static void an_announced_name_is_taken_unless_another_is_given(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 1; i <= 4; i++)
        assert_false(allow(f, i));
    door_announced(f->door, key(1), "strix");
    door_announced(f->door, key(2), "tower");
    door_announced(f->door, key(4), "strix");
    assert_int_equal(approve(f, 1, NULL), 0);
    assert_int_equal(approve(f, 2, "halo"), 0);
    assert_int_equal(approve(f, 3, NULL), 0);
    assert_int_equal(approve(f, 4, NULL), 0);
    assert_string_equal(member_of(f, 1)->name, "strix");
    assert_string_equal(member_of(f, 2)->name, "halo");
    assert_string_equal(member_of(f, 3)->name, "");
    assert_string_equal(member_of(f, 4)->name, "strix-2");
}

static void who_cannot_be_approved_stays_pending(void **state)
{
    struct fixture *f = *state;
    let_in(f, 9, "tower");
    assert_int_equal(approve(f, 1, "strix"), -ENOENT);
    assert_false(allow(f, 1));
    assert_int_equal(approve(f, 1, "two words"), -EINVAL);
    assert_int_equal(approve(f, 1, ""), -EINVAL);
    assert_int_equal(approve(f, 1, "tower"), -EEXIST);
    assert_int_equal(
            door_approve(f->door, key(1), "strix", CERTIFICATE_ROLE_COORDINATOR, &f->err), -EINVAL);
    block(members_path(f));
    assert_true(approve(f, 1, "strix") < 0);
    unblock(members_path(f));
    assert_int_equal(pending_now(f), 1);
    assert_null(member_of(f, 1));
    assert_int_equal(approve(f, 1, "strix"), 0);
    assert_int_equal(approve(f, 1, "strix"), -ENOENT);
}

/* Whoever approves hands in what the list of pending nodes lent it. */
static void a_borrowed_key_can_be_approved(void **state)
{
    struct fixture *f = *state;
    assert_false(allow(f, 1));
    assert_false(allow(f, 2));
    const struct pending_node *node = pending_at(door_pending(f->door), 0);
    assert_int_equal(door_approve(f->door, node->key, NULL, 0, &f->err), 0);
    assert_non_null(member_of(f, 1));
    assert_int_equal(pending_now(f), 1);
    assert_string_equal(pending_at(door_pending(f->door), 0)->key, key(2));
}

static void who_is_forgotten_is_a_stranger(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(door_revoke(f->door, "strix", &f->err), 0);
    unsigned edition = members_edition(f->members);
    assert_int_equal(door_revoke(f->door, "strix", &f->err), 0);
    assert_int_equal(members_edition(f->members), edition);
    assert_int_equal(door_forget(f->door, "strix", &f->err), 0);
    assert_int_equal(door_forget(f->door, "strix", &f->err), -ENOENT);
    assert_false(allow(f, 1));
    assert_int_equal(refused(f, DOOR_STRANGER), 2);
    assert_int_equal(approve(f, 1, "strix"), 0);
}

static void members_are_revoked_by_name_or_key(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    let_in(f, 2, NULL);
    assert_int_equal(door_revoke(f->door, "stryx", &f->err), -ENOENT);
    assert_non_null(strstr(f->err.text, "did you mean \"strix\""));
    assert_int_equal(door_revoke(f->door, "", &f->err), -ENOENT);
    assert_int_equal(door_revoke(f->door, key(2), &f->err), 0);
    assert_true(member_of(f, 2)->revoked);
    assert_false(member_of(f, 1)->revoked);
    assert_int_equal(door_forget(f->door, key(2), &f->err), 0);
}

static void a_decision_that_cannot_be_written_is_none(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    block(members_path(f));
    assert_true(door_revoke(f->door, "strix", &f->err) < 0);
    assert_true(door_forget(f->door, "strix", &f->err) < 0);
    unblock(members_path(f));
    assert_true(allow(f, 1));
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

/* How many lines hold the word. */
static unsigned lines_with(struct fixture *f, const char *word)
{
    char *text;
    size_t len;
    unsigned count = 0;
    assert_int_equal(file_read(scratch_path(&f->scratch, "log"), LOG_MAX, &text, &len, &f->err), 0);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        count += strstr(line, word) != NULL;
    free(text);
    return count;
}

static void a_node_that_keeps_trying_is_one_line_an_hour(void **state)
{
    struct fixture *f = *state;
    char advice[128], phrase[PHRASE_LEN + 1];
    catch_log(f);
    for (unsigned i = 0; i < 600; i++, pass_ms(f, 1000))
        assert_false(allow(f, 1));
    assert_int_equal(lines_with(f, "node refused"), 1);
    assert_int_equal(lines_with(f, "kind=stranger"), 1);
    phrase_make(f->coordinator_key, key(1), phrase);
    (void)snprintf(
            advice, sizeof(advice), "phrase=%s do=\"modemesh nodes approve " HOME "\"", phrase);
    assert_int_equal(lines_with(f, advice), 1);

    door_announced(f->door, key(1), "strix");
    pass_ms(f, TOLD_REPEAT_MS);
    assert_false(allow(f, 1));
    assert_int_equal(lines_with(f, "node refused"), 2);
    assert_int_equal(lines_with(f, "do=\"modemesh nodes approve strix\""), 1);
}

static void ten_thousand_strangers_are_few_lines(void **state)
{
    struct fixture *f = *state;
    catch_log(f);
    for (unsigned i = 0; i < 10000; i++, pass_ms(f, 5)) {
        char address[64];
        (void)snprintf(address, sizeof(address), "10.1.%u.%u", i / 256, i % 256);
        assert_false(door_allow(f->door, key(i), address));
    }
    assert_int_equal(lines_with(f, "node refused"), TOLD_LINES_PER_MINUTE);
    pass_ms(f, 60000);
    assert_false(allow(f, 10000));
    assert_int_equal(lines_with(f, "node refused"), TOLD_LINES_PER_MINUTE + 1);
    assert_int_equal(refused(f, DOOR_STRANGER) + refused(f, DOOR_CROWDED), 10001);
    assert_true(pending_now(f) <= PENDING_MAX);
    assert_int_equal(members_count(f->members), 0);
}

static void bad_handshakes_are_one_line_per_address(void **state)
{
    static const char long_address[] = "fe80:1111:2222:3333:4444:5555:6666:7777%enp0s31f6";
    struct fixture *f = *state;
    catch_log(f);
    for (unsigned i = 0; i < 50; i++, pass_ms(f, 1000)) {
        door_bad_handshake(f->door, HOME);
        door_bad_handshake(f->door, long_address);
        door_bad_handshake(f->door, NULL);
    }
    assert_int_equal(lines_with(f, "kind=bad_handshake"), 3);
    assert_int_equal(lines_with(f, "address=" HOME), 1);
    assert_int_equal(lines_with(f, long_address), 1);
    assert_int_equal(refused(f, DOOR_BAD_HANDSHAKE), 150);
    assert_int_equal(pending_now(f), 0);
}

static void each_kind_has_its_line(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    catch_log(f);
    for (int i = 0; i < 3; i++) {
        f->bytes.len = 10;
        assert_true(hello_with(f, 1, "strix") < 0);
        door_refuse_frame(f->door, key(1), HOME, "a \"HEARTBEAT\"");
    }
    assert_int_equal(lines_with(f, "node refused"), 2);
    assert_int_equal(lines_with(f, "kind=bad_certificate"), 1);
    assert_int_equal(lines_with(f, "kind=not_hello"), 1);
    assert_int_equal(refused(f, DOOR_BAD_CERTIFICATE), 3);
    assert_int_equal(refused(f, DOOR_NOT_HELLO), 3);
}

static void decisions_are_logged_once(void **state)
{
    struct fixture *f = *state;
    catch_log(f);
    add_token(f, TOKEN, 1);
    let_in(f, 1, "strix");
    assert_int_equal(join(f, TOKEN, 2, "tower"), 0);
    assert_int_equal(door_open_window(f->door, 1000, &f->err), 0);
    assert_true(allow(f, 3));
    pass_ms(f, 1000);
    for (int i = 0; i < 3; i++)
        door_tick(f->door);
    assert_int_equal(door_revoke(f->door, "strix", &f->err), 0);
    assert_int_equal(door_forget(f->door, "strix", &f->err), 0);
    assert_int_equal(lines_with(f, "member approved"), 1);
    assert_int_equal(lines_with(f, "member added"), 2);
    assert_int_equal(lines_with(f, "source=window"), 1);
    assert_int_equal(lines_with(f, "window open"), 1);
    assert_int_equal(lines_with(f, "window closed"), 1);
    assert_int_equal(lines_with(f, "member revoked"), 1);
    assert_int_equal(lines_with(f, "member forgotten"), 1);
}

static void a_broken_disk_is_told_once(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, NULL);
    catch_log(f);
    block(members_path(f));
    for (int i = 0; i < 5; i++)
        assert_true(hello(f, 1, "strix") < 0);
    assert_int_equal(lines_with(f, "members.json"), 1);
    unblock(members_path(f));
}

static void every_refusal_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DOOR_REFUSAL_COUNT; i++) {
        assert_non_null(door_refusal_name(i));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(door_refusal_name(i), door_refusal_name(j));
    }
}

/* --- the rest --- */

static void a_door_lends_what_it_was_given(void **state)
{
    struct fixture *f = *state;
    assert_ptr_equal(door_members(f->door), f->members);
    assert_ptr_equal(door_tokens(f->door), f->tokens);
    assert_ptr_equal(door_identity(f->door), &f->identity);
    assert_ptr_equal(door_coordinator_key(f->door), f->coordinator_key);
    door_destroy(NULL);
}

static void all_lasts_over_a_restart(void **state)
{
    struct fixture *f = *state;
    let_in(f, 1, "strix");
    assert_int_equal(join(f, 1, 2, "strix"), 0);
    struct certificate certificate = read_certificate(f);
    door_destroy(f->door);
    members_close(f->members);
    assert_int_equal(members_open(members_path(f), &f->members, &f->err), 0);
    open_door(f);
    assert_true(allow(f, 1));
    assert_true(allow(f, 2));
    assert_int_equal(hello_with(f, 2, "strix"), 0);
    assert_true(members_next_serial(f->members) > certificate.serial);
}

#define DOOR_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            DOOR_TEST(a_stranger_is_pending),
            DOOR_TEST(strangers_without_a_place_are_counted_apart),
            DOOR_TEST(who_is_approved_comes_in),
            DOOR_TEST(who_is_revoked_stays_out),
            DOOR_TEST(who_has_expired_is_pending_under_its_name),
            DOOR_TEST(approving_again_keeps_name_and_roles),
            DOOR_TEST(who_expired_while_it_changed_its_key_is_approved_by_either),
            DOOR_TEST(who_is_revoked_is_not_pending_any_more),
            DOOR_TEST(a_token_opens_the_door_while_it_is_good),
            DOOR_TEST(a_spent_token_is_no_stranger_for_the_window),
            DOOR_TEST(a_wall_clock_that_jumps_pushes_nobody_out_of_pending),
            DOOR_TEST(an_open_window_takes_whoever_comes),
            DOOR_TEST(a_window_knows_the_names_of_who_is_pending),
            DOOR_TEST(a_window_takes_back_who_has_expired),
            DOOR_TEST(a_window_takes_only_so_many),
            DOOR_TEST(a_window_can_be_closed_and_is_never_too_long),
            DOOR_TEST(a_window_that_cannot_write_leaves_them_pending),
            DOOR_TEST(a_member_says_hello),
            DOOR_TEST(a_certificate_of_another_mesh_is_refused),
            DOOR_TEST(a_certificate_of_another_key_is_refused),
            DOOR_TEST(a_certificate_of_a_coordinator_is_refused),
            DOOR_TEST(a_broken_certificate_is_refused),
            DOOR_TEST(who_is_no_member_is_refused),
            DOOR_TEST(who_was_revoked_since_is_refused),
            DOOR_TEST(who_has_expired_since_is_refused),
            DOOR_TEST(who_was_approved_again_comes_with_its_old_certificate),
            DOOR_TEST(another_members_name_is_refused),
            DOOR_TEST(who_has_no_certificate_does_not_know_its_name_here),
            DOOR_TEST(who_was_approved_anew_knows_its_old_name_only),
            DOOR_TEST(who_has_no_name_gets_one),
            DOOR_TEST(a_name_that_cannot_be_written_is_not_given),
            DOOR_TEST(a_token_makes_a_member),
            DOOR_TEST(joining_again_costs_nothing),
            DOOR_TEST(who_was_approved_meanwhile_joins_for_nothing),
            DOOR_TEST(who_has_expired_joins_again_for_a_use),
            DOOR_TEST(a_token_brings_back_nobody_who_was_revoked),
            DOOR_TEST(a_token_expires),
            DOOR_TEST(a_tokens_key_is_never_a_members),
            DOOR_TEST(what_is_no_key_does_not_join),
            DOOR_TEST(a_join_is_written_to_both_books_or_to_none),
            DOOR_TEST(who_could_not_pay_stays_expired),
            DOOR_TEST(a_member_changes_its_key),
            DOOR_TEST(only_the_last_new_key_counts),
            DOOR_TEST(a_member_cannot_take_anothers_key),
            DOOR_TEST(a_member_that_keeps_its_key_gets_its_certificate),
            DOOR_TEST(a_new_key_says_hello_before_it_changes_again),
            DOOR_TEST(a_revoked_member_changes_no_key),
            DOOR_TEST(keys_change_only_so_often),
            DOOR_TEST(a_key_change_that_cannot_be_written_is_none),
            DOOR_TEST(who_shows_none_gets_the_one_it_has),
            DOOR_TEST(the_last_third_brings_a_new_one),
            DOOR_TEST(only_members_get_certificates),
            DOOR_TEST(a_renewal_that_cannot_be_written_is_none),
            DOOR_TEST(a_coordinator_has_a_certificate_too),
            DOOR_TEST(a_pending_node_is_found_by_all_that_is_known_of_it),
            DOOR_TEST(several_of_a_kind_are_not_guessed_at),
            DOOR_TEST(who_announces_a_phrase_is_not_found_by_it),
            DOOR_TEST(who_is_not_pending_is_not_found),
            DOOR_TEST(an_announced_name_is_taken_unless_another_is_given),
            DOOR_TEST(who_cannot_be_approved_stays_pending),
            DOOR_TEST(a_borrowed_key_can_be_approved),
            DOOR_TEST(who_is_forgotten_is_a_stranger),
            DOOR_TEST(members_are_revoked_by_name_or_key),
            DOOR_TEST(a_decision_that_cannot_be_written_is_none),
            DOOR_TEST(a_node_that_keeps_trying_is_one_line_an_hour),
            DOOR_TEST(ten_thousand_strangers_are_few_lines),
            DOOR_TEST(bad_handshakes_are_one_line_per_address),
            DOOR_TEST(each_kind_has_its_line),
            DOOR_TEST(decisions_are_logged_once),
            DOOR_TEST(a_broken_disk_is_told_once),
            DOOR_TEST(every_refusal_has_a_name_of_its_own),
            DOOR_TEST(a_door_lends_what_it_was_given),
            DOOR_TEST(all_lasts_over_a_restart),
    };
    return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
