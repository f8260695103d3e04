#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/link/advertise.h"
#include "tests/lib/node_bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char key[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
static const char other_key[] = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";

static struct node_bench bench;
static struct advertise advertise;
static unsigned times;
static struct announcement said;

/* In discovery.c's place. */
void discovery_announce(struct discovery *discovery, const char *type, uint16_t port,
        const struct announcement *announcement)
{
    assert_null(discovery);
    assert_string_equal(type, ANNOUNCEMENT_NODE);
    assert_int_equal(port, 0);
    said = *announcement;
    times++;
}

static void tick(struct supervisor *supervisor, const char *link_key, uint64_t ms)
{
    virtual_env_advance_ms(&bench.world, ms);
    advertise_tick(&advertise, NULL, supervisor, "halo1", link_key, env_now_ms(&bench.world.env));
}

static void set_free(uint64_t bytes)
{
    char text[128];

    (void)snprintf(text, sizeof text, "MemTotal: 8388608 kB\nMemAvailable: %" PRIu64 " kB\n",
            bytes / 1024);
    scratch_write(&bench.scratch, "proc/meminfo", text);
}

static int set_up(void **state)
{
    (void)state;
    node_bench_init(&bench);
    advertise = (struct advertise){.said_ms = 0};
    times = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    node_bench_fini(&bench);
    return 0;
}

static void the_first_tick_says_all(void **state)
{
    (void)state;
    tick(bench.supervisor, key, 0);
    assert_int_equal(times, 1);
    assert_string_equal(said.name, "halo1");
    assert_string_equal(said.key, key);
    assert_string_equal(said.mesh, "");
    assert_string_equal(said.models, "");
    assert_int_equal(said.addrs.count, 0);
    assert_true(said.memory_total_bytes == 8ull << 30);
    assert_true(said.memory_available_bytes == 8ull << 30);
}

static void what_has_not_changed_is_not_said_again(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        tick(bench.supervisor, key, ADVERTISE_MIN_MS);
    assert_int_equal(times, 1);
}

static void resident_models_are_said(void **state)
{
    (void)state;
    tick(bench.supervisor, key, 0);
    node_bench_load(&bench);
    tick(bench.supervisor, key, ADVERTISE_MIN_MS - 1);
    assert_int_equal(times, 1);
    tick(bench.supervisor, key, 1);
    assert_int_equal(times, 2);
    assert_string_equal(said.models, "m");
    puppet_exit("m", "killed");
    node_bench_tick(&bench, 0);
    tick(bench.supervisor, key, ADVERTISE_MIN_MS);
    assert_int_equal(times, 3);
    assert_string_equal(said.models, "");
}

static void memory_is_said_when_it_has_moved(void **state)
{
    const uint64_t total = 8ull << 30, part = total / ADVERTISE_MEMORY_PARTS;

    (void)state;
    tick(bench.supervisor, key, 0);
    set_free(total - part + (1 << 20));
    tick(bench.supervisor, key, ADVERTISE_MIN_MS);
    assert_int_equal(times, 1);
    /* Small steps add up. */
    set_free(total - part - (1 << 20));
    tick(bench.supervisor, key, ADVERTISE_MIN_MS);
    assert_int_equal(times, 2);
    assert_true(said.memory_available_bytes == (total - part - (1 << 20)) / 1024 * 1024);
    set_free(total);
    tick(bench.supervisor, key, ADVERTISE_MIN_MS);
    assert_int_equal(times, 3);
}

static void a_new_link_key_is_said(void **state)
{
    (void)state;
    tick(bench.supervisor, key, 0);
    tick(bench.supervisor, other_key, ADVERTISE_MIN_MS);
    assert_int_equal(times, 2);
    assert_string_equal(said.key, other_key);
}

static void an_edge_has_nothing_to_say_of_memory(void **state)
{
    (void)state;
    tick(NULL, key, 0);
    tick(NULL, key, ADVERTISE_MIN_MS);
    assert_int_equal(times, 1);
    assert_string_equal(said.key, key);
    assert_string_equal(said.models, "");
    assert_true(said.memory_total_bytes == 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(the_first_tick_says_all),
            TEST(what_has_not_changed_is_not_said_again),
            TEST(resident_models_are_said),
            TEST(memory_is_said_when_it_has_moved),
            TEST(a_new_link_key_is_said),
            TEST(an_edge_has_nothing_to_say_of_memory),
    };
    return cmocka_run_group_tests_name("advertise", tests, NULL, NULL);
}
