#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/discovery/dnssd_client.h"
#include "tests/lib/fake_avahi.h"
#include "tests/lib/patience.h"

#include <avahi-common/error.h>
#include <stdlib.h>
#include <string.h>

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

enum { PATIENCE_MS = 60000, SOON_MS = 20 };

struct scene {
    struct loop loop;
    struct loop_timer *patience;
    struct dnssd_client *client;
    unsigned found, lost, available, unavailable;
};

#define RUN_UNTIL(s, condition)                                                                    \
    while (!(condition))                                                                           \
    uv_run(&(s)->loop.uv, UV_RUN_ONCE)

static void on_found(void *ctx, const struct discovered *found)
{
    struct scene *s = ctx;
    assert_string_equal(found->announcement.name, "strix");
    s->found++;
}

static void on_lost(void *ctx, const char *label, const char *address)
{
    struct scene *s = ctx;
    (void)label, (void)address;
    s->lost++;
}

static void on_available(void *ctx, bool available)
{
    struct scene *s = ctx;
    *(available ? &s->available : &s->unavailable) += 1;
    loop_stop(&s->loop); /* it comes at the begin of a turn, which would else go on to sleep */
}

static const struct discovery_events events = {
        .on_found = on_found,
        .on_lost = on_lost,
        .on_available = on_available,
};

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    *state = s;
    fake_avahi_reset();
    if (!s || loop_init(&s->loop) < 0)
        return -1;
    s->patience = patience_start(&s->loop, PATIENCE_MS);
    s->client = dnssd_client_create(&s->loop, ANNOUNCEMENT_NODE, &events, s);
    return s->client ? 0 : -1;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    dnssd_client_destroy(s->client);
    assert_int_equal(fake_avahi.clients, 0);
    loop_timer_destroy(s->patience);
    loop_fini(&s->loop);
    free(s);
    return 0;
}

static void announce(struct scene *s)
{
    const struct announcement announcement = {.name = "boss", .key = KEY};
    dnssd_client_announce(
            s->client, dnssd_type_index(ANNOUNCEMENT_COORDINATOR), 8421, &announcement);
}

static void find_one(struct scene *s)
{
    unsigned found = s->found;
    fake_avahi_browse(AVAHI_BROWSER_NEW, 1, AVAHI_PROTO_INET, "strix");
    fake_avahi_resolve(1, AVAHI_PROTO_INET, "strix", "10.0.0.7", 9000,
            avahi_string_list_new("name=strix", "key=" KEY, NULL));
    assert_int_equal(s->found, found + 1);
}

/* --- coming up --- */

static void nothing_is_asked_before_the_loop_runs(void **state)
{
    struct scene *s = *state;
    announce(s);
    assert_int_equal(fake_avahi.clients_made, 0);
    assert_int_equal(s->available + s->unavailable, 0);
}

static void all_is_told_when_avahi_runs(void **state)
{
    struct scene *s = *state;
    announce(s);
    RUN_UNTIL(s, s->available == 1);
    assert_string_equal(fake_avahi.browsed, "_modemesh-node._tcp");
    assert_true(fake_avahi.announced);
    assert_string_equal(fake_avahi.type, "_modemesh._tcp");
    find_one(s);
    fake_avahi_browse(AVAHI_BROWSER_REMOVE, 1, AVAHI_PROTO_INET, "strix");
    assert_int_equal(s->lost, 1);
    assert_int_equal(s->unavailable, 0);
}

static void a_daemon_that_is_not_there_yet_is_waited_for(void **state)
{
    struct scene *s = *state;
    fake_avahi.state = AVAHI_CLIENT_CONNECTING;
    announce(s);
    RUN_UNTIL(s, s->unavailable == 1);
    patience_run_for(&s->loop, DISCOVERY_RETRY_MS + SOON_MS);
    assert_int_equal(fake_avahi.clients_made, 1);
    assert_int_equal(fake_avahi.calls, 0);
    fake_avahi_set_state(AVAHI_CLIENT_S_RUNNING);
    assert_int_equal(s->available, 1);
    assert_true(fake_avahi.announced);
    find_one(s);
}

static void a_missing_bus_is_tried_again(void **state)
{
    struct scene *s = *state;
    fake_avahi.no_bus = true;
    announce(s);
    RUN_UNTIL(s, s->unavailable == 1);
    RUN_UNTIL(s, fake_avahi.clients_made == 2);
    assert_int_equal(s->unavailable, 1);
    fake_avahi.no_bus = false;
    RUN_UNTIL(s, s->available == 1);
    assert_true(fake_avahi.announced);
    assert_int_equal(fake_avahi.clients_made, 3);
}

/* --- the host's name --- */

static void nothing_is_announced_before_the_host_has_its_name(void **state)
{
    struct scene *s = *state;
    fake_avahi.state = AVAHI_CLIENT_S_REGISTERING;
    announce(s);
    RUN_UNTIL(s, s->available == 1);
    assert_false(fake_avahi.announced);
    find_one(s);
    fake_avahi_set_state(AVAHI_CLIENT_S_RUNNING);
    assert_true(fake_avahi.announced);
    fake_avahi_set_state(AVAHI_CLIENT_S_COLLISION);
    assert_false(fake_avahi.announced);
    fake_avahi_set_state(AVAHI_CLIENT_S_REGISTERING);
    fake_avahi_set_state(AVAHI_CLIENT_S_RUNNING);
    RUN_UNTIL(s, fake_avahi.announced);
    assert_int_equal(s->available, 1);
    assert_int_equal(fake_avahi.browsers_made, 1);
    assert_int_equal(s->lost + s->unavailable, 0);
}

/* --- avahi-daemon goes --- */

static void a_restarted_daemon_gets_all_anew(void **state)
{
    struct scene *s = *state;
    announce(s);
    RUN_UNTIL(s, s->available == 1);
    find_one(s);
    uint64_t begin = uv_hrtime();
    fake_avahi_set_state(AVAHI_CLIENT_FAILURE);
    assert_int_equal(s->unavailable, 1);
    assert_int_equal(s->lost, 0);
    RUN_UNTIL(s, s->available == 2);
    assert_true(uv_hrtime() - begin >= UINT64_C(1000000) * (DISCOVERY_RETRY_MS - SOON_MS));
    RUN_UNTIL(s, fake_avahi.announced);
    find_one(s);
    assert_int_equal(fake_avahi.clients_made, 2);
    assert_int_equal(s->lost, 0);
}

static void a_daemon_that_does_not_answer_is_left(void **state)
{
    struct scene *s = *state;
    RUN_UNTIL(s, s->available == 1);
    fake_avahi.error = AVAHI_ERR_DBUS_ERROR;
    fake_avahi_browse(AVAHI_BROWSER_NEW, 1, AVAHI_PROTO_INET, "strix");
    assert_int_equal(s->unavailable, 1);
    patience_run_for(&s->loop, SOON_MS);
    assert_int_equal(fake_avahi.clients, 0);
    fake_avahi.error = 0;
    RUN_UNTIL(s, s->available == 2);
    find_one(s);
}

/* --- the end --- */

static void it_may_end_between_two_tries(void **state)
{
    struct scene *s = *state;
    fake_avahi.no_bus = true;
    RUN_UNTIL(s, s->unavailable == 1);
    dnssd_client_destroy(s->client);
    s->client = NULL;
    patience_run_for(&s->loop, DISCOVERY_RETRY_MS + SOON_MS);
    assert_int_equal(fake_avahi.clients_made, 1);
}

static void it_may_look_for_nothing(void **state)
{
    struct scene *s = *state;
    dnssd_client_destroy(s->client);
    s->client = dnssd_client_create(&s->loop, NULL, &events, s);
    assert_non_null(s->client);
    announce(s);
    RUN_UNTIL(s, s->available == 1);
    assert_true(fake_avahi.announced);
    assert_int_equal(fake_avahi.browsers_made, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(nothing_is_asked_before_the_loop_runs),
            TEST(all_is_told_when_avahi_runs),
            TEST(a_daemon_that_is_not_there_yet_is_waited_for),
            TEST(a_missing_bus_is_tried_again),
            TEST(nothing_is_announced_before_the_host_has_its_name),
            TEST(a_restarted_daemon_gets_all_anew),
            TEST(a_daemon_that_does_not_answer_is_left),
            TEST(it_may_end_between_two_tries),
            TEST(it_may_look_for_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dnssd_client", tests, NULL, NULL);
}
