#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/link/dialer.h"
#include "node/link/contact.h"
#include "tests/lib/loopback.h"
#include "tests/lib/patience.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 60000, /* a test that waits longer has failed */
    SOCKETS_MAX = 16,
};

/* Link keys: 40 times one letter. */
#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define KEY_C "cccccccccccccccccccccccccccccccccccccccc"

/* All of 127.0.0.0/8 is this host; nobody listens on this one. */
#define SILENT_HOST "127.8.4.21"

struct fixture {
    struct loop loop;
    struct loop_timer *patience;
    struct contact *contact;
    struct membership membership;
    struct err err;
    int sockets[SOCKETS_MAX]; /* closed at the end */
    size_t socket_count;

    unsigned targets, nones;
    struct contact_target target;
    char reason[ERR_TEXT_MAX];
};

static void on_target(void *ctx, const struct contact_target *target)
{
    struct fixture *f = ctx;
    f->targets++;
    f->target = *target;
    loop_stop(&f->loop); /* as below */
}

static void on_none(void *ctx, const char *reason)
{
    struct fixture *f = ctx;
    f->nones++;
    snprintf(f->reason, sizeof(f->reason), "%s", reason);
    loop_stop(&f->loop); /* this may come from a timer, after which the turn would go on to sleep */
}

static const struct contact_events events = {.on_target = on_target, .on_none = on_none};

/* --- the world --- */

static void keep(struct fixture *f, int fd)
{
    assert_true(f->socket_count < SOCKETS_MAX);
    f->sockets[f->socket_count++] = fd;
}

/* A free port of this host, on which somebody listens, or nobody can. */
static uint16_t take_port(struct fixture *f, bool listens)
{
    uint16_t port;
    keep(f, listens ? loopback_listen(&port) : loopback_bind(&port));
    return port;
}

/* Nobody listens there any more. */
static void fall_silent(struct fixture *f, size_t socket_index)
{
    assert_int_equal(shutdown(f->sockets[socket_index], SHUT_RDWR), 0);
}

static const char *addr_text(char buf[64], const char *host, uint16_t port)
{
    snprintf(buf, 64, "%s:%u", host, port);
    return buf;
}

static void add_static(struct fixture *f, uint16_t port)
{
    char text[64];
    assert_int_equal(
            contact_add_static(f->contact, addr_text(text, "127.0.0.1", port), &f->err), 0);
}

static struct discovered service(
        const char *label, const char *key, const char *mesh, const char *host, uint16_t port)
{
    struct discovered what = {.port = port};
    snprintf(what.label, sizeof(what.label), "%s", label);
    snprintf(what.address, sizeof(what.address), "%s", host);
    snprintf(what.announcement.name, sizeof(what.announcement.name), "%s", label);
    snprintf(what.announcement.key, sizeof(what.announcement.key), "%s", key);
    snprintf(what.announcement.mesh, sizeof(what.announcement.mesh), "%s", mesh);
    return what;
}

static void discover(
        struct fixture *f, const char *label, const char *key, const char *mesh, uint16_t port)
{
    struct discovered what = service(label, key, mesh, "127.0.0.1", port);
    contact_found(f->contact, &what);
}

/* A coordinator that says nothing: who dials it has time. */
static void discover_mute(struct fixture *f)
{
    uint16_t port;
    keep(f, loopback_mute(&port));
    discover(f, "mute", KEY_A, "", port);
}

static const char *mesh_id(const struct fixture *f)
{
    static char id[IDENTITY_ID_LEN + 1];
    identity_id(f->membership.mesh, id);
    return id;
}

static void add_member_key(struct fixture *f, const char *key)
{
    f->membership.pinned = true;
    snprintf(f->membership.keys[f->membership.key_count++], KEY_Z85_LEN + 1, "%s", key);
    contact_set_membership(f->contact, &f->membership);
}

static void add_member_address(struct fixture *f, uint16_t port)
{
    addr_text(f->membership.addresses[f->membership.address_count++], "127.0.0.1", port);
    contact_set_membership(f->contact, &f->membership);
}

/* --- what comes of a seek --- */

static void seek(struct fixture *f)
{
    unsigned before = f->targets + f->nones;
    contact_seek(f->contact);
    assert_int_equal(f->targets + f->nones, before); /* not from inside the call */
    while (f->targets + f->nones == before)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
}

static void assert_finds(struct fixture *f, const char *key, uint16_t port)
{
    char endpoint[64];
    unsigned before = f->targets;
    seek(f);
    if (f->targets == before)
        fail_msg("found nobody: %s", f->reason);
    snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%u", port);
    assert_string_equal(f->target.key, key);
    assert_string_equal(f->target.endpoint, endpoint);
}

static void assert_finds_nobody(struct fixture *f, const char *words)
{
    unsigned before = f->nones;
    seek(f);
    assert_int_equal(f->nones, before + 1);
    if (!strstr(f->reason, words))
        fail_msg("\"%s\" does not say \"%s\"", f->reason, words);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f || loop_init(&f->loop))
        return -1;
    f->patience = patience_start(&f->loop, PATIENCE_MS);
    f->membership.mesh[0] = 7;
    f->contact = contact_create(&f->loop, &events, f);
    return f->contact ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    contact_destroy(f->contact);
    loop_timer_destroy(f->patience);
    loop_fini(&f->loop);
    for (size_t i = 0; i < f->socket_count; i++)
        close(f->sockets[i]);
    free(f);
    return 0;
}

/* --- addresses of the settings --- */

static void a_static_address_is_dialled_for_the_expected_key(void **state)
{
    struct fixture *f = *state;
    add_static(f, take_port(f, false));
    uint16_t port = take_port(f, true);
    add_static(f, port);
    contact_expect_key(f->contact, KEY_A);
    assert_finds(f, KEY_A, port);
    assert_string_equal(f->target.mesh, "");
}

static void without_its_key_it_says_what_would_help(void **state)
{
    struct fixture *f = *state;
    add_static(f, take_port(f, true));
    assert_finds_nobody(f, "--join");
    assert_finds_nobody(f, "--coordinator-key");
    assert_finds_nobody(f, "discovery");
}

static void with_nothing_at_all_it_says_what_would_help(void **state)
{
    struct fixture *f = *state;
    assert_finds_nobody(f, "no coordinator was found on the local network");
    contact_expect_key(f->contact, KEY_A);
    assert_finds_nobody(f, "no address of the coordinator is known");
}

static void who_does_not_answer_is_told(void **state)
{
    struct fixture *f = *state;
    add_static(f, take_port(f, false));
    contact_expect_key(f->contact, KEY_A);
    assert_finds_nobody(f, "no coordinator answers: 127.0.0.1 port");
    assert_finds_nobody(f, "connection refused");
}

static void addresses_may_lack_scheme_port_and_brackets(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
            {"box.local", "box.local port 8421:"},
            {"tcp://box.local", "box.local port 8421:"},
            {"10.0.0.5:1234", "10.0.0.5 port 1234:"},
            {"tcp://10.0.0.5:1234", "10.0.0.5 port 1234:"},
            {"fe80::1%lo", "fe80::1%lo port 8421:"},
            {"[fe80::1]", "fe80::1 port 8421:"},
            {"tcp://[fe80::1]:1234", "fe80::1 port 1234:"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char words[64];
        snprintf(words, sizeof(words), "%.*s is not known", (int)strlen(cases[i].said) - 1,
                cases[i].said);
        contact_destroy(f->contact);
        f->contact = contact_create(&f->loop, &events, f);
        assert_int_equal(contact_add_static(f->contact, cases[i].text, &f->err), 0);
        assert_finds_nobody(f, words); /* its key is not known, so that nobody is dialled */
    }
}

static void without_a_key_it_says_what_would_give_one(void **state)
{
    struct fixture *f = *state;
    add_static(f, take_port(f, false));
    assert_finds_nobody(f, "(--join)");
    assert_finds_nobody(f, "(--coordinator-key)");
    assert_finds_nobody(f, "of the same user on this host");
    assert_finds_nobody(f, "(--local-token)");
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const bad[] = {"", "tcp://", "box.local:", "box.local:0", "box.local:port",
            "box local", "[::1", "[::1]8421", "udp://box.local", "tcp://*:8421", "1.2.3.4.5"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (contact_add_static(f->contact, bad[i], &f->err) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(f->err.text, "HOST:PORT"));
    }
    assert_finds_nobody(f, "no coordinator was found");
}

static void addresses_of_the_settings_are_bounded(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < CONTACT_STATIC_MAX; i++)
        add_static(f, (uint16_t)(1 + i));
    assert_int_equal(contact_add_static(f->contact, "box.local", &f->err), -E2BIG);
}

/* --- without a membership --- */

static void an_announced_coordinator_is_dialled(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true);
    discover(f, "desk", KEY_A, "k3vqz7m2a5tdh4ef", port);
    assert_finds(f, KEY_A, port);
    assert_string_equal(f->target.mesh, "k3vqz7m2a5tdh4ef");
}

static void the_addresses_it_announces_are_dialled_too(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true);
    struct discovered what = service("desk", KEY_A, "", SILENT_HOST, port);
    what.announcement.addrs.count = 2;
    snprintf(what.announcement.addrs.at[0], HOST_ADDR_LEN + 1, "127.8.4.22");
    snprintf(what.announcement.addrs.at[1], HOST_ADDR_LEN + 1, "127.0.0.1");
    contact_found(f->contact, &what);
    assert_finds(f, KEY_A, port);
}

/* Whichever let the node in first would have it. */
static void of_several_meshes_none_is_dialled_before_one_is_named(void **state)
{
    struct fixture *f = *state;
    uint16_t a = take_port(f, true), b = take_port(f, true);
    discover(f, "desk", KEY_A, "k3vqz7m2a5tdh4ef", a);
    discover(f, "evil", KEY_B, "aaaaaaaaaaaaaaaa", b);
    assert_finds_nobody(f, "k3vqz7m2a5tdh4ef");
    assert_non_null(strstr(f->reason, "aaaaaaaaaaaaaaaa"));
    assert_non_null(strstr(f->reason, "--mesh"));
    contact_name_mesh(f->contact, "k3vqz7m2a5tdh4ef");
    assert_finds(f, KEY_A, a);
    contact_failed(f->contact, false);
    assert_finds(f, KEY_A, a);
}

static void each_announced_coordinator_has_its_turn(void **state)
{
    struct fixture *f = *state;
    uint16_t a = take_port(f, true), b = take_port(f, true);
    discover(f, "desk", KEY_A, "", a);
    discover(f, "shelf", KEY_B, "", b);
    for (int round = 0; round < 2; round++) {
        assert_finds(f, KEY_A, a);
        contact_failed(f->contact, false);
        assert_finds(f, KEY_B, b);
        contact_failed(f->contact, false);
    }
    assert_finds(f, KEY_A, a);
    assert_finds(f, KEY_A, a); /* nobody said that it did not do */
}

static void the_one_that_worked_is_dialled_first(void **state)
{
    struct fixture *f = *state;
    uint16_t a = take_port(f, true), b = take_port(f, true);
    discover(f, "desk", KEY_A, "", a);
    discover(f, "shelf", KEY_B, "", b);
    assert_finds(f, KEY_A, a);
    contact_failed(f->contact, false);
    assert_finds(f, KEY_B, b);
    contact_worked(f->contact);
    assert_finds(f, KEY_B, b);
    contact_failed(f->contact, false);
    assert_finds(f, KEY_A, a);
}

static void one_seek_goes_on_until_somebody_answers(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true);
    discover(f, "desk", KEY_A, "", take_port(f, false));
    discover(f, "shelf", KEY_B, "", take_port(f, false));
    discover(f, "rack", KEY_C, "", port);
    assert_finds(f, KEY_C, port);
    assert_int_equal(f->nones, 0);
}

static void who_names_a_key_is_not_taken_in_by_another(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true);
    contact_expect_key(f->contact, KEY_A);
    discover(f, "desk", KEY_B, "", take_port(f, true));
    assert_false(contact_has_news(f->contact));
    assert_finds_nobody(f, "no address of the coordinator is known");
    discover(f, "shelf", KEY_A, "", port);
    assert_true(contact_has_news(f->contact));
    assert_finds(f, KEY_A, port);
}

/* --- with a membership --- */

static void a_member_key_is_looked_for_in_three_places(void **state)
{
    struct fixture *f = *state;
    uint16_t found = take_port(f, true), member = take_port(f, true), fixed = take_port(f, true);
    add_member_key(f, KEY_A);
    add_member_address(f, member);
    add_static(f, fixed);
    discover(f, "desk", KEY_A, "", found);
    assert_finds(f, KEY_A, member);
    assert_false(f->target.announced);
    fall_silent(f, 1);
    assert_finds(f, KEY_A, fixed);
    assert_false(f->target.announced);
    fall_silent(f, 2);
    assert_finds(f, KEY_A, found);
    assert_true(f->target.announced);
    contact_worked(f->contact);
    assert_finds(f, KEY_A, found);
    assert_false(f->target.announced);
    fall_silent(f, 0);
    assert_finds_nobody(f, "no coordinator answers");
}

static void only_coordinators_of_the_mesh_are_dialled(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true);
    contact_expect_key(f->contact, KEY_C);
    add_static(f, take_port(f, true));
    f->membership.pinned = true;
    contact_set_membership(f->contact, &f->membership);
    discover(f, "evil", KEY_B, "k3vqz7m2a5tdh4ef", take_port(f, true));
    discover(f, "mute", KEY_B, "", take_port(f, true));
    assert_false(contact_has_news(f->contact));
    assert_finds_nobody(f, mesh_id(f));
    discover(f, "desk", KEY_A, mesh_id(f), port);
    assert_true(contact_has_news(f->contact));
    assert_finds(f, KEY_A, port);
    assert_string_equal(f->target.mesh, mesh_id(f));
}

static void keys_of_the_membership_go_before_announced_ones(void **state)
{
    struct fixture *f = *state;
    uint16_t announced = take_port(f, true), member = take_port(f, true);
    discover(f, "desk", KEY_B, mesh_id(f), announced);
    add_member_key(f, KEY_A);
    add_member_address(f, member);
    assert_finds(f, KEY_A, member);
    contact_failed(f->contact, false);
    assert_finds(f, KEY_B, announced);
    contact_failed(f->contact, false);
    assert_finds(f, KEY_A, member);
}

/* Each of the others may take its time, and there may be many. */
static void a_known_key_waits_for_one_announced_one_at_a_time(void **state)
{
    struct fixture *f = *state;
    uint16_t b = take_port(f, true), c = take_port(f, true), member = take_port(f, true);
    discover(f, "evil", KEY_B, mesh_id(f), b);
    discover(f, "worse", KEY_C, mesh_id(f), c);
    add_member_key(f, KEY_A);
    add_member_address(f, member);
    assert_finds(f, KEY_A, member);
    contact_failed(f->contact, false);
    assert_finds(f, KEY_B, b);
    contact_failed(f->contact, false);
    assert_finds(f, KEY_A, member);
    contact_failed(f->contact, false);
    assert_finds(f, KEY_C, c);
    contact_failed(f->contact, false);
    assert_finds(f, KEY_A, member);
}

static void discover_silent(struct fixture *f, int count)
{
    uint16_t port = take_port(f, false);
    for (int i = 0; i < count; i++) {
        char label[32], key[KEY_Z85_LEN + 1];
        snprintf(label, sizeof(label), "desk %d", i);
        memset(key, 'D' + i, KEY_Z85_LEN);
        key[KEY_Z85_LEN] = '\0';
        discover(f, label, key, "", port);
    }
}

/* The seek ends, so that what has come meanwhile is looked at; the others' turn comes. */
static void one_seek_dials_a_few_announced_keys(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true);
    discover_silent(f, 6);
    discover(f, "shelf", KEY_B, "", port);
    assert_finds_nobody(f, "no coordinator answers");
    assert_finds(f, KEY_B, port);
}

static void a_membership_that_is_gone_binds_nobody(void **state)
{
    struct fixture *f = *state;
    const struct membership none = {.pinned = false};
    uint16_t port = take_port(f, true);
    discover(f, "desk", KEY_B, "", port);
    add_member_key(f, KEY_A);
    assert_finds_nobody(f, "no address");
    contact_set_membership(f->contact, &none);
    assert_finds(f, KEY_B, port);
}

static void addresses_of_the_membership_that_are_none_are_skipped(void **state)
{
    struct fixture *f = *state;
    snprintf(f->membership.addresses[0], MEMBERSHIP_ADDRESS_MAX, "no address at all");
    snprintf(f->membership.addresses[1], MEMBERSHIP_ADDRESS_MAX, "127.0.0.1:0");
    f->membership.address_count = 2;
    add_member_key(f, KEY_A);
    assert_finds_nobody(f, "no address of the coordinator is known");
}

static void however_much_is_announced_the_membership_is_dialled(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true), silent = take_port(f, false);
    for (int i = 0; i < 4; i++) {
        char label[32];
        snprintf(label, sizeof(label), "evil%d", i);
        struct discovered what = service(label, KEY_A, "", "127.0.0.1", silent);
        what.announcement.addrs.count = HOST_ADDRS_MAX;
        for (int j = 0; j < HOST_ADDRS_MAX; j++)
            snprintf(what.announcement.addrs.at[j], HOST_ADDR_LEN + 1, "127.8.%d.%d", i, j + 1);
        contact_found(f->contact, &what);
    }
    add_member_key(f, KEY_A);
    add_member_address(f, port);
    assert_finds(f, KEY_A, port);
}

/* --- an address where somebody else is --- */

static void an_address_with_another_key_comes_last(void **state)
{
    struct fixture *f = *state;
    uint16_t wrong = take_port(f, true), right = take_port(f, true);
    add_member_key(f, KEY_A);
    add_member_address(f, wrong);
    add_member_address(f, right);
    assert_finds(f, KEY_A, wrong);
    contact_failed(f->contact, true);
    for (int i = 0; i < 3; i++) {
        assert_finds(f, KEY_A, right);
        contact_failed(f->contact, false);
    }
    fall_silent(f, 1);
    assert_finds(f, KEY_A, wrong);
}

/* Whoever answers sooner than the coordinator does, at ever new addresses, wins every other time.
 */
static void after_an_announced_address_the_known_ones_are_dialled_alone(void **state)
{
    struct fixture *f = *state;
    uint16_t evil = take_port(f, true), worse = take_port(f, true), slow;
    keep(f, loopback_mute(&slow));
    add_member_key(f, KEY_A);
    add_member_address(f, slow);
    discover(f, "evil", KEY_A, mesh_id(f), evil);
    discover(f, "worse", KEY_A, mesh_id(f), worse);
    assert_finds(f, KEY_A, evil);
    contact_failed(f->contact, true);
    contact_seek(f->contact);
    patience_run_for(&f->loop, DIALER_TIMEOUT_MS / 2);
    assert_int_equal(f->targets, 1);
    assert_finds(f, KEY_A, worse); /* better than nobody */
}

static void it_may_still_be_right_for_another_key(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true);
    add_member_key(f, KEY_A);
    add_member_key(f, KEY_B);
    add_member_address(f, port);
    assert_finds(f, KEY_A, port);
    contact_failed(f->contact, true);
    assert_finds(f, KEY_B, port);
    contact_worked(f->contact);
    assert_finds(f, KEY_B, port);
}

/* --- join tokens --- */

static void with_a_token_only_its_key_is_dialled(void **state)
{
    struct fixture *f = *state;
    struct text_addr addrs[] = {{"127.0.0.1", take_port(f, false)}, {"127.0.0.1", 0}};
    uint16_t member = take_port(f, true), token = take_port(f, true), found = take_port(f, true);
    addrs[1].port = token;
    add_member_key(f, KEY_A);
    add_member_address(f, member);
    discover(f, "desk", KEY_B, mesh_id(f), take_port(f, true));
    assert_int_equal(contact_set_token(f->contact, KEY_C, addrs, 2, &f->err), 0);
    assert_finds(f, KEY_C, token);
    contact_failed(f->contact, true);
    assert_finds(f, KEY_C, token);
    contact_failed(f->contact, true);
    discover(f, "shelf", KEY_C, "", found);
    assert_finds(f, KEY_C, found);
    assert_int_equal(contact_set_token(f->contact, NULL, NULL, 0, &f->err), 0);
    assert_finds(f, KEY_A, member);
}

static void a_token_that_cannot_be_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct text_addr no_port[] = {{"127.0.0.1", 0}};
    static const struct text_addr many[CONTACT_STATIC_MAX + 1];
    assert_int_equal(contact_set_token(f->contact, "short", NULL, 0, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.text, "short"));
    assert_int_equal(contact_set_token(f->contact, KEY_A, no_port, 1, &f->err), -EINVAL);
    assert_int_equal(
            contact_set_token(f->contact, KEY_A, many, CONTACT_STATIC_MAX + 1, &f->err), -E2BIG);
    assert_finds_nobody(f, "no coordinator was found");
}

/* --- discovery --- */

static void news_are_told_once(void **state)
{
    struct fixture *f = *state;
    assert_false(contact_has_news(f->contact));
    discover(f, "desk", KEY_A, "", 1);
    assert_true(contact_has_news(f->contact));
    assert_false(contact_has_news(f->contact));
    discover(f, "desk", KEY_A, "", 1); /* again: its load has changed, say */
    assert_false(contact_has_news(f->contact));
    discover(f, "desk", KEY_A, "", 2);
    assert_true(contact_has_news(f->contact));
    discover(f, "desk", KEY_B, "", 2);
    assert_true(contact_has_news(f->contact));
}

static void what_was_lost_is_not_dialled(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true);
    discover(f, "desk", KEY_A, "", port);
    contact_lost(f->contact, "desk", SILENT_HOST);
    contact_lost(f->contact, "shelf", "127.0.0.1");
    assert_finds(f, KEY_A, port);
    contact_lost(f->contact, "desk", "127.0.0.1");
    assert_finds_nobody(f, "no coordinator was found");
}

static void what_is_found_is_bounded(void **state)
{
    struct fixture *f = *state;
    uint16_t silent = take_port(f, false), port = take_port(f, true);
    for (int i = 0; i < CONTACT_DISCOVERED_MAX; i++) {
        char label[32];
        snprintf(label, sizeof(label), "desk %d", i);
        discover(f, label, KEY_A, "", silent);
    }
    assert_true(contact_has_news(f->contact));
    discover(f, "shelf", KEY_B, "", port);
    assert_false(contact_has_news(f->contact));
    assert_finds_nobody(f, "no coordinator answers");
    contact_lost(f->contact, "desk 5", "127.0.0.1");
    discover(f, "shelf", KEY_B, "", port);
    assert_finds(f, KEY_B, port);
}

static void a_service_without_a_port_is_not_dialled(void **state)
{
    struct fixture *f = *state;
    discover(f, "desk", KEY_A, "", 0);
    assert_finds_nobody(f, "no address");
}

/* --- seeking again --- */

static void a_second_seek_takes_the_place_of_the_first(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true);
    discover_mute(f);
    contact_seek(f->contact);
    patience_run_for(&f->loop, DIALER_STAGGER_MS); /* it dials */
    contact_lost(f->contact, "mute", "127.0.0.1");
    discover(f, "desk", KEY_B, "", port);
    assert_finds(f, KEY_B, port);
    patience_run_for(&f->loop, DIALER_TIMEOUT_MS + DIALER_STAGGER_MS);
    assert_int_equal(f->targets, 1);
    assert_int_equal(f->nones, 0);
}

static void it_may_be_destroyed_while_it_seeks(void **state)
{
    struct fixture *f = *state;
    discover_mute(f);
    contact_seek(f->contact);
    patience_run_for(&f->loop, DIALER_STAGGER_MS);
    contact_destroy(f->contact);
    f->contact = NULL;
    patience_run_for(&f->loop, DIALER_STAGGER_MS);
    assert_int_equal(f->targets + f->nones, 0);
}

static void before_the_first_target_nothing_has_failed_or_worked(void **state)
{
    struct fixture *f = *state;
    uint16_t port = take_port(f, true);
    contact_failed(f->contact, true);
    contact_worked(f->contact);
    discover(f, "desk", KEY_A, "", port);
    assert_finds(f, KEY_A, port);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(a_static_address_is_dialled_for_the_expected_key),
            TEST(without_its_key_it_says_what_would_help),
            TEST(with_nothing_at_all_it_says_what_would_help),
            TEST(who_does_not_answer_is_told),
            TEST(addresses_may_lack_scheme_port_and_brackets),
            TEST(without_a_key_it_says_what_would_give_one),
            TEST(what_is_no_address_is_refused),
            TEST(addresses_of_the_settings_are_bounded),
            TEST(an_announced_coordinator_is_dialled),
            TEST(the_addresses_it_announces_are_dialled_too),
            TEST(of_several_meshes_none_is_dialled_before_one_is_named),
            TEST(each_announced_coordinator_has_its_turn),
            TEST(the_one_that_worked_is_dialled_first),
            TEST(one_seek_goes_on_until_somebody_answers),
            TEST(who_names_a_key_is_not_taken_in_by_another),
            TEST(a_member_key_is_looked_for_in_three_places),
            TEST(only_coordinators_of_the_mesh_are_dialled),
            TEST(keys_of_the_membership_go_before_announced_ones),
            TEST(a_known_key_waits_for_one_announced_one_at_a_time),
            TEST(one_seek_dials_a_few_announced_keys),
            TEST(a_membership_that_is_gone_binds_nobody),
            TEST(addresses_of_the_membership_that_are_none_are_skipped),
            TEST(however_much_is_announced_the_membership_is_dialled),
            TEST(an_address_with_another_key_comes_last),
            TEST(after_an_announced_address_the_known_ones_are_dialled_alone),
            TEST(it_may_still_be_right_for_another_key),
            TEST(with_a_token_only_its_key_is_dialled),
            TEST(a_token_that_cannot_be_is_refused),
            TEST(news_are_told_once),
            TEST(what_was_lost_is_not_dialled),
            TEST(what_is_found_is_bounded),
            TEST(a_service_without_a_port_is_not_dialled),
            TEST(a_second_seek_takes_the_place_of_the_first),
            TEST(it_may_be_destroyed_while_it_seeks),
            TEST(before_the_first_target_nothing_has_failed_or_worked),
    };
    return cmocka_run_group_tests_name("contact", tests, NULL, NULL);
}
