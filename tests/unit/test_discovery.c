/* The real libavahi-client, on a D-Bus that is not there, or accepts and never answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/discovery/discovery.h"
#include "tests/lib/patience.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

enum {
    PATIENCE_MS = 60000,
    QUIET_MS = 100,
    PROMPT_MS = 10000, /* far less than D-Bus waits, far more than any host needs */
};

struct scene {
    struct loop loop;
    struct loop_timer *patience, *ticker;
    struct discovery *discovery;
    struct err err;
    int bus; /* listens, and nobody answers; -1: there is no bus */
    unsigned services, available, unavailable, ticks;
    bool leaves; /* with the first callback */
};

static struct scratch scratch;
static char bus_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

#define RUN_UNTIL(s, condition)                                                                    \
    while (!(condition))                                                                           \
    uv_run(&(s)->loop.uv, UV_RUN_ONCE)

static void on_found(void *ctx, const struct discovered *found)
{
    struct scene *s = ctx;
    (void)found;
    s->services++;
}

static void on_lost(void *ctx, const char *label, const char *address)
{
    struct scene *s = ctx;
    (void)label, (void)address;
    s->services++;
}

static void on_available(void *ctx, bool available)
{
    struct scene *s = ctx;
    *(available ? &s->available : &s->unavailable) += 1;
    if (s->leaves) {
        discovery_destroy(s->discovery);
        s->discovery = NULL;
    }
}

static const struct discovery_events events = {
        .on_found = on_found,
        .on_lost = on_lost,
        .on_available = on_available,
};

/* libdbus reads the variable once in a process: one address serves all tests. */
static int name_the_bus(void **state)
{
    char address[sizeof(bus_path) + 16];
    (void)state;
    scratch_init(&scratch);
    int len = snprintf(bus_path, sizeof(bus_path), "%s/bus", scratch.path);
    if (len < 0 || (size_t)len >= sizeof(bus_path))
        return -1;
    (void)snprintf(address, sizeof(address), "unix:path=%s", bus_path);
    return setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
}

static int remove_scratch(void **state)
{
    (void)state;
    scratch_fini(&scratch);
    return 0;
}

static void be_a_hung_bus(struct scene *s)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", bus_path);
    s->bus = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s->bus >= 0);
    assert_int_equal(bind(s->bus, (const struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(s->bus, 8), 0);
}

static void wait_for_a_client(struct scene *s)
{
    struct pollfd waiting = {.fd = s->bus, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, PATIENCE_MS), 1);
}

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    *state = s;
    if (!s || loop_init(&s->loop) < 0)
        return -1;
    s->bus = -1;
    s->patience = patience_start(&s->loop, PATIENCE_MS);
    return 0;
}

/* A thread that was left behind ends when its bus does. */
static int tear_down(void **state)
{
    struct scene *s = *state;
    discovery_destroy(s->discovery);
    if (s->bus >= 0) {
        close(s->bus);
        unlink(bus_path);
    }
    loop_timer_destroy(s->ticker);
    loop_timer_destroy(s->patience);
    loop_fini(&s->loop);
    free(s);
    return 0;
}

static void create(struct scene *s)
{
    if (discovery_create(&s->loop, ANNOUNCEMENT_COORDINATOR, &events, s, &s->discovery, &s->err) <
            0)
        fail_msg("%s", s->err.text);
}

static void announce(struct scene *s)
{
    const struct announcement announcement = {.name = "boss", .key = KEY};
    discovery_announce(s->discovery, ANNOUNCEMENT_COORDINATOR, 8421, &announcement);
    discovery_announce(s->discovery, ANNOUNCEMENT_NODE, 9000, &announcement);
}

/* Milliseconds that it took. */
static uint64_t destroy(struct scene *s)
{
    uint64_t begin = uv_hrtime();
    discovery_destroy(s->discovery);
    s->discovery = NULL;
    return (uv_hrtime() - begin) / 1000000;
}

static void assert_silent(struct scene *s)
{
    unsigned told = s->services + s->available + s->unavailable;
    patience_run_for(&s->loop, QUIET_MS);
    assert_int_equal(s->services + s->available + s->unavailable, told);
}

/* --- no D-Bus --- */

static void without_a_bus_it_is_unavailable_and_says_so_once(void **state)
{
    struct scene *s = *state;
    create(s);
    announce(s);
    RUN_UNTIL(s, s->unavailable == 1);
    patience_run_for(&s->loop, DISCOVERY_RETRY_MS + QUIET_MS);
    assert_int_equal(s->unavailable, 1);
    assert_int_equal(s->available + s->services, 0);
    announce(s);
    assert_true(destroy(s) < PROMPT_MS);
    assert_silent(s);
}

static void it_may_end_right_after_its_begin(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < 10; i++) {
        create(s);
        announce(s);
        assert_true(destroy(s) < PROMPT_MS);
    }
    assert_silent(s);
    discovery_destroy(NULL);
}

static void it_may_end_in_its_own_callback(void **state)
{
    struct scene *s = *state;
    s->leaves = true;
    create(s);
    RUN_UNTIL(s, s->unavailable == 1);
    assert_null(s->discovery);
    assert_silent(s);
}

static void several_live_side_by_side(void **state)
{
    struct scene *s = *state;
    struct discovery *other;
    create(s);
    assert_int_equal(discovery_create(&s->loop, NULL, &events, s, &other, &s->err), 0);
    RUN_UNTIL(s, s->unavailable == 2);
    discovery_destroy(other);
}

static void without_descriptors_it_does_not_begin(void **state)
{
    struct scene *s = *state;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int r = discovery_create(&s->loop, NULL, &events, s, &s->discovery, &s->err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(r, -EMFILE);
    assert_non_null(strstr(s->err.text, "discovery"));
    assert_null(s->discovery);
}

/* --- a D-Bus that hangs --- */

static void count_tick(void *ctx)
{
    struct scene *s = ctx;
    s->ticks++;
}

static void a_hung_bus_keeps_nobody_but_its_thread(void **state)
{
    struct scene *s = *state;
    be_a_hung_bus(s);
    s->ticker = loop_timer_create(&s->loop, count_tick, s);
    loop_timer_start(s->ticker, 1, 1);
    create(s);
    wait_for_a_client(s);
    announce(s);
    RUN_UNTIL(s, s->ticks >= 50);
    announce(s);
    assert_true(destroy(s) < PROMPT_MS);
    assert_silent(s);
    assert_int_equal(s->available + s->unavailable + s->services, 0);
}

static void a_thread_left_behind_is_no_hindrance_to_the_next(void **state)
{
    struct scene *s = *state;
    be_a_hung_bus(s);
    create(s);
    wait_for_a_client(s);
    assert_true(destroy(s) < PROMPT_MS);
    create(s);
    announce(s);
    assert_true(destroy(s) < PROMPT_MS);
    assert_silent(s);
    assert_int_equal(s->available + s->unavailable + s->services, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(without_a_bus_it_is_unavailable_and_says_so_once),
            TEST(it_may_end_right_after_its_begin),
            TEST(it_may_end_in_its_own_callback),
            TEST(several_live_side_by_side),
            TEST(without_descriptors_it_does_not_begin),
            TEST(a_hung_bus_keeps_nobody_but_its_thread),
            TEST(a_thread_left_behind_is_no_hindrance_to_the_next),
            TEST(without_a_bus_it_is_unavailable_and_says_so_once),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("discovery", tests, name_the_bus, remove_scratch);
}
