#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/discovery/dnssd_announcer.h"
#include "tests/lib/fake_avahi.h"
#include "tests/lib/patience.h"

#include <avahi-common/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 60000, INTERVAL_MS = 200, SOON_MS = 20 };

struct scene {
    struct loop loop;
    struct loop_timer *patience;
    struct dnssd_announcer *announcer;
    AvahiClient *client;
    struct announcement announcement;
    unsigned broken;
};

#define RUN_UNTIL(s, condition)                                                                    \
    while (!(condition))                                                                           \
    uv_run(&(s)->loop.uv, UV_RUN_ONCE)

static void on_broken(void *ctx)
{
    struct scene *s = ctx;
    s->broken++;
}

static void on_state(AvahiClient *client, AvahiClientState state, void *ctx)
{
    (void)client, (void)state, (void)ctx;
}

static void connect_client(struct scene *s)
{
    s->client = avahi_client_new(NULL, AVAHI_CLIENT_NO_FAIL, on_state, NULL, NULL);
    assert_non_null(s->client);
}

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    *state = s;
    fake_avahi_reset();
    if (!s || loop_init(&s->loop) < 0)
        return -1;
    s->patience = patience_start(&s->loop, PATIENCE_MS);
    s->announcer =
            dnssd_announcer_create(&s->loop, ANNOUNCEMENT_COORDINATOR, INTERVAL_MS, on_broken, s);
    s->announcement = (struct announcement){.name = "boss", .key = "k"};
    connect_client(s);
    return s->announcer ? 0 : -1;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    avahi_client_free(s->client);
    dnssd_announcer_destroy(s->announcer);
    loop_timer_destroy(s->patience);
    loop_fini(&s->loop);
    free(s);
    return 0;
}

static void say(struct scene *s, uint16_t port, const char *mesh)
{
    (void)snprintf(s->announcement.mesh, sizeof(s->announcement.mesh), "%s", mesh);
    dnssd_announcer_say(s->announcer, port, &s->announcement);
}

static void say_and_start(struct scene *s)
{
    say(s, 8421, "one");
    dnssd_announcer_start(s->announcer, s->client);
    assert_int_equal(fake_avahi.registered, 1);
}

/* --- registering --- */

static void what_was_said_is_registered_at_the_start(void **state)
{
    struct scene *s = *state;
    say(s, 8421, "one");
    assert_int_equal(fake_avahi.calls, 0);
    dnssd_announcer_start(s->announcer, s->client);
    assert_true(fake_avahi.announced);
    assert_string_equal(fake_avahi.type, "_modemesh._tcp");
    assert_string_equal(fake_avahi.label, "boss");
    assert_int_equal(fake_avahi.port, 8421);
    assert_string_equal(fake_avahi.txt, "txtvers=1 name=boss key=k mesh=one");
}

static void what_is_said_after_the_start_is_registered_at_once(void **state)
{
    struct scene *s = *state;
    dnssd_announcer_start(s->announcer, s->client);
    assert_int_equal(fake_avahi.calls, 0);
    say(s, 8421, "one");
    assert_true(fake_avahi.announced);
    dnssd_announcer_start(s->announcer, s->client);
    assert_int_equal(fake_avahi.registered, 1);
}

/* --- changes --- */

static void changes_go_out_once_an_interval_and_the_last_one_counts(void **state)
{
    struct scene *s = *state;
    say_and_start(s);
    uint64_t begin = uv_hrtime();
    say(s, 8421, "two");
    say(s, 8421, "three");
    assert_int_equal(fake_avahi.updated, 0);
    RUN_UNTIL(s, fake_avahi.updated == 1);
    assert_true(uv_hrtime() - begin >= UINT64_C(1000000) * (INTERVAL_MS - SOON_MS));
    assert_string_equal(fake_avahi.txt, "txtvers=1 name=boss key=k mesh=three");
    say(s, 8421, "four");
    patience_run_for(&s->loop, SOON_MS);
    assert_int_equal(fake_avahi.updated, 1);
    RUN_UNTIL(s, fake_avahi.updated == 2);
    assert_string_equal(fake_avahi.txt, "txtvers=1 name=boss key=k mesh=four");
    assert_int_equal(fake_avahi.registered, 1);
}

static void a_change_after_a_quiet_interval_goes_out_at_once(void **state)
{
    struct scene *s = *state;
    say_and_start(s);
    patience_run_for(&s->loop, INTERVAL_MS + SOON_MS);
    say(s, 8421, "two");
    assert_int_equal(fake_avahi.updated, 1);
}

static void what_has_not_changed_is_not_said_again(void **state)
{
    struct scene *s = *state;
    say_and_start(s);
    say(s, 8421, "one");
    patience_run_for(&s->loop, INTERVAL_MS + SOON_MS);
    say(s, 8421, "one");
    assert_int_equal(fake_avahi.updated, 0);
    assert_int_equal(fake_avahi.registered, 1);
}

static void another_port_is_registered_anew_in_the_same_group(void **state)
{
    struct scene *s = *state;
    say_and_start(s);
    say(s, 9000, "one");
    RUN_UNTIL(s, fake_avahi.registered == 2);
    assert_int_equal(fake_avahi.port, 9000);
    assert_int_equal(fake_avahi.groups, 1);
    assert_int_equal(fake_avahi.emptied, 1);
}

/* --- collisions --- */

static void a_label_of_this_host_is_left_to_its_owner(void **state)
{
    struct scene *s = *state;
    fake_avahi.taken = "boss";
    say(s, 8421, "one");
    dnssd_announcer_start(s->announcer, s->client);
    assert_false(fake_avahi.announced);
    RUN_UNTIL(s, fake_avahi.announced);
    assert_string_equal(fake_avahi.label, "boss #2");
    assert_string_equal(fake_avahi.txt, "txtvers=1 name=boss key=k mesh=one");
    assert_int_equal(s->broken, 0);
}

static void a_label_of_another_host_is_left_to_its_owner(void **state)
{
    struct scene *s = *state;
    say_and_start(s);
    fake_avahi_set_group_state(AVAHI_ENTRY_GROUP_REGISTERING);
    fake_avahi_set_group_state(AVAHI_ENTRY_GROUP_COLLISION);
    RUN_UNTIL(s, fake_avahi.registered == 2);
    assert_string_equal(fake_avahi.label, "boss #2");
    fake_avahi_set_group_state(AVAHI_ENTRY_GROUP_COLLISION);
    RUN_UNTIL(s, fake_avahi.registered == 3);
    assert_string_equal(fake_avahi.label, "boss #3");
    fake_avahi_set_group_state(AVAHI_ENTRY_GROUP_ESTABLISHED);
    say(s, 8421, "two");
    RUN_UNTIL(s, fake_avahi.updated == 1);
    assert_int_equal(fake_avahi.registered, 3);
}

static void a_new_name_is_tried_as_it_is(void **state)
{
    struct scene *s = *state;
    say_and_start(s);
    fake_avahi_set_group_state(AVAHI_ENTRY_GROUP_COLLISION);
    (void)snprintf(s->announcement.name, sizeof(s->announcement.name), "chief");
    say(s, 8421, "one");
    RUN_UNTIL(s, fake_avahi.registered == 2);
    assert_string_equal(fake_avahi.label, "chief");
}

/* --- avahi-daemon comes and goes --- */

static void a_pause_takes_it_back_until_the_next_start(void **state)
{
    struct scene *s = *state;
    say_and_start(s);
    dnssd_announcer_pause(s->announcer);
    assert_false(fake_avahi.announced);
    dnssd_announcer_pause(s->announcer);
    say(s, 8421, "two");
    patience_run_for(&s->loop, INTERVAL_MS + SOON_MS);
    assert_false(fake_avahi.announced);
    dnssd_announcer_start(s->announcer, s->client);
    assert_true(fake_avahi.announced);
    assert_string_equal(fake_avahi.txt, "txtvers=1 name=boss key=k mesh=two");
    assert_int_equal(fake_avahi.groups, 1);
}

static void a_new_connection_gets_it_anew(void **state)
{
    struct scene *s = *state;
    say_and_start(s);
    avahi_client_free(s->client);
    dnssd_announcer_forget(s->announcer);
    connect_client(s);
    dnssd_announcer_start(s->announcer, s->client);
    RUN_UNTIL(s, fake_avahi.registered == 2);
    assert_true(fake_avahi.announced);
    assert_int_equal(s->broken, 0);
}

static void no_answer_breaks_the_connection(void **state)
{
    struct scene *s = *state;
    fake_avahi.error = AVAHI_ERR_DBUS_ERROR;
    say(s, 8421, "one");
    dnssd_announcer_start(s->announcer, s->client);
    assert_int_equal(s->broken, 1);
    dnssd_announcer_forget(s->announcer);
    fake_avahi.error = 0;
    dnssd_announcer_start(s->announcer, s->client);
    RUN_UNTIL(s, fake_avahi.announced);
    fake_avahi_set_group_state(AVAHI_ENTRY_GROUP_FAILURE);
    assert_int_equal(s->broken, 2);
    fake_avahi.error = AVAHI_ERR_DISCONNECTED;
    dnssd_announcer_pause(s->announcer);
    assert_int_equal(s->broken, 3);
}

static void a_refusal_does_not_break_the_connection(void **state)
{
    struct scene *s = *state;
    fake_avahi.error = AVAHI_ERR_NOT_PERMITTED;
    say(s, 8421, "one");
    dnssd_announcer_start(s->announcer, s->client);
    assert_int_equal(s->broken, 0);
    fake_avahi.error = 0;
    say(s, 8421, "two");
    RUN_UNTIL(s, fake_avahi.announced);
}

static void nothing_comes_after_its_end(void **state)
{
    struct scene *s = *state;
    say_and_start(s);
    say(s, 8421, "two");
    avahi_client_free(s->client);
    dnssd_announcer_destroy(s->announcer);
    s->announcer = NULL;
    patience_run_for(&s->loop, INTERVAL_MS + SOON_MS);
    assert_int_equal(fake_avahi.updated, 0);
    connect_client(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(what_was_said_is_registered_at_the_start),
            TEST(what_is_said_after_the_start_is_registered_at_once),
            TEST(changes_go_out_once_an_interval_and_the_last_one_counts),
            TEST(a_change_after_a_quiet_interval_goes_out_at_once),
            TEST(what_has_not_changed_is_not_said_again),
            TEST(another_port_is_registered_anew_in_the_same_group),
            TEST(a_label_of_this_host_is_left_to_its_owner),
            TEST(a_label_of_another_host_is_left_to_its_owner),
            TEST(a_new_name_is_tried_as_it_is),
            TEST(a_pause_takes_it_back_until_the_next_start),
            TEST(a_new_connection_gets_it_anew),
            TEST(no_answer_breaks_the_connection),
            TEST(a_refusal_does_not_break_the_connection),
            TEST(nothing_comes_after_its_end),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dnssd_announcer", tests, NULL, NULL);
}
