/* What goes between discovery's thread and the daemon's loop. libavahi-client is played
 * (tests/lib/fake_avahi.h); its script runs on discovery's thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/discovery/discovery.h"
#include "tests/lib/fake_avahi.h"
#include "tests/lib/patience.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

enum { PATIENCE_MS = 60000, FLOOD = 200, QUIET_MS = 50 };

struct scene {
    struct loop loop;
    struct loop_timer *patience;
    struct discovery *discovery;
    struct err err;
    unsigned found, lost, available;
    char label[DISCOVERY_LABEL_MAX + 1], address[64];
    bool leaves; /* with the first service */
};

/* Discovery's thread posts `reached`, waits for `gate`, and posts `passed`. */
static uv_sem_t gate, reached, passed;

#define RUN_UNTIL(s, condition)                                                                    \
    while (!(condition))                                                                           \
    uv_run(&(s)->loop.uv, UV_RUN_ONCE)

static void on_found(void *ctx, const struct discovered *found)
{
    struct scene *s = ctx;
    char expected[DISCOVERY_LABEL_MAX + 1];
    (void)snprintf(expected, sizeof(expected), "box %u", s->found++);
    assert_string_equal(found->label, expected);
    assert_string_equal(found->announcement.name, "boss");
    assert_int_equal(found->port, 8421);
    if (s->leaves) {
        discovery_destroy(s->discovery);
        s->discovery = NULL;
    }
}

static void on_lost(void *ctx, const char *label, const char *address)
{
    struct scene *s = ctx;
    s->lost++;
    (void)snprintf(s->label, sizeof(s->label), "%s", label);
    (void)snprintf(s->address, sizeof(s->address), "%s", address);
}

static void on_available(void *ctx, bool available)
{
    struct scene *s = ctx;
    s->available += available;
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
    if (!s || loop_init(&s->loop) < 0 || uv_sem_init(&gate, 0) < 0 ||
            uv_sem_init(&reached, 0) < 0 || uv_sem_init(&passed, 0) < 0)
        return -1;
    s->patience = patience_start(&s->loop, PATIENCE_MS);
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    discovery_destroy(s->discovery);
    loop_timer_destroy(s->patience);
    loop_fini(&s->loop);
    uv_sem_destroy(&gate);
    uv_sem_destroy(&reached);
    uv_sem_destroy(&passed);
    free(s);
    return 0;
}

static void create(struct scene *s)
{
    if (discovery_create(&s->loop, ANNOUNCEMENT_COORDINATOR, &events, s, &s->discovery, &s->err) <
            0)
        fail_msg("%s", s->err.text);
}

/* --- on discovery's thread --- */

static void find_box(unsigned number)
{
    char label[DISCOVERY_LABEL_MAX + 1];
    (void)snprintf(label, sizeof(label), "box %u", number);
    fake_avahi_browse(AVAHI_BROWSER_NEW, 1, AVAHI_PROTO_INET, label);
    fake_avahi_resolve(1, AVAHI_PROTO_INET, label, "10.0.0.5", 8421,
            avahi_string_list_new("name=boss", "key=" KEY, NULL));
}

static void find_one_and_lose_it(void)
{
    find_box(0);
    fake_avahi_browse(AVAHI_BROWSER_REMOVE, 1, AVAHI_PROTO_INET, "box 0");
}

static void find_many(void)
{
    for (unsigned i = 0; i < FLOOD; i++)
        find_box(i);
    uv_sem_post(&passed);
}

static void hang_until_the_gate_opens(void)
{
    uv_sem_post(&reached);
    uv_sem_wait(&gate);
}

static void tell_passed(void)
{
    uv_sem_post(&passed);
}

/* --- events --- */

static void what_the_thread_tells_comes_on_the_daemons_loop(void **state)
{
    struct scene *s = *state;
    fake_avahi.script = find_one_and_lose_it;
    create(s);
    RUN_UNTIL(s, s->lost == 1);
    assert_int_equal(s->available, 1);
    assert_int_equal(s->found, 1);
    assert_string_equal(s->label, "box 0");
    assert_string_equal(s->address, "10.0.0.5");
}

static void a_flood_is_told_whole_and_in_order(void **state)
{
    struct scene *s = *state;
    fake_avahi.script = find_many;
    create(s);
    RUN_UNTIL(s, s->found == FLOOD);
    uv_sem_wait(&passed);
}

static void a_thread_that_waits_for_room_can_be_ended(void **state)
{
    struct scene *s = *state;
    fake_avahi.script = find_many;
    create(s);
    RUN_UNTIL(s, s->found > 0);
    unsigned found = s->found;
    discovery_destroy(s->discovery);
    s->discovery = NULL;
    uv_sem_wait(&passed);
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(s->found, found);
    assert_int_equal(fake_avahi.clients, 0);
}

static void nothing_comes_after_an_end_in_a_callback(void **state)
{
    struct scene *s = *state;
    s->leaves = true;
    fake_avahi.script = find_many;
    create(s);
    RUN_UNTIL(s, !s->discovery);
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(s->found, 1);
}

/* --- announcements --- */

static void announce(struct scene *s, const char *name)
{
    struct announcement announcement = {.key = KEY};
    (void)snprintf(announcement.name, sizeof(announcement.name), "%s", name);
    discovery_announce(s->discovery, ANNOUNCEMENT_COORDINATOR, 8421, &announcement);
}

static void the_last_announcement_before_avahi_answers_counts(void **state)
{
    struct scene *s = *state;
    fake_avahi.on_connect = hang_until_the_gate_opens;
    create(s);
    uv_sem_wait(&reached);
    announce(s, "first");
    announce(s, "last");
    fake_avahi.on_register = tell_passed;
    uv_sem_post(&gate);
    uv_sem_wait(&passed);
    discovery_destroy(s->discovery);
    s->discovery = NULL;
    assert_string_equal(fake_avahi.type, "_modemesh._tcp");
    assert_string_equal(fake_avahi.label, "last");
    assert_int_equal(fake_avahi.registered, 1);
}

/* --- the end --- */

static void a_thread_that_hangs_is_left_and_ends_by_itself(void **state)
{
    struct scene *s = *state;
    fake_avahi.on_connect = hang_until_the_gate_opens;
    fake_avahi.on_free = tell_passed;
    create(s);
    uv_sem_wait(&reached);
    announce(s, "boss");
    discovery_destroy(s->discovery);
    s->discovery = NULL;
    patience_run_for(&s->loop, QUIET_MS);
    uv_sem_post(&gate);
    uv_sem_wait(&passed);
    assert_int_equal(s->available + s->found, 0);
    assert_int_equal(fake_avahi.clients_made, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(what_the_thread_tells_comes_on_the_daemons_loop),
            TEST(a_flood_is_told_whole_and_in_order),
            TEST(a_thread_that_waits_for_room_can_be_ended),
            TEST(nothing_comes_after_an_end_in_a_callback),
            TEST(the_last_announcement_before_avahi_answers_counts),
            TEST(a_thread_that_hangs_is_left_and_ends_by_itself),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("discovery_mail", tests, NULL, NULL);
}
