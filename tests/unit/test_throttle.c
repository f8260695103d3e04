#include "coordinator/api/throttle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

enum { START_MS = 5000 };

static int set_up(void **state)
{
    *state = throttle_create();
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    throttle_destroy(*state);
    return 0;
}

static void fail_times(struct throttle *throttle, const char *address, unsigned times, uint64_t ms)
{
    while (times-- > 0)
        throttle_failed(throttle, address, ms);
}

static void the_first_failures_cost_nothing(void **state)
{
    struct throttle *throttle = *state;
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS), 0);
    fail_times(throttle, "192.0.2.1", THROTTLE_FREE, START_MS);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS), 0);
    throttle_failed(throttle, "192.0.2.1", START_MS);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS), 1);
}

static void each_more_doubles_the_wait_up_to_its_limit(void **state)
{
    struct throttle *throttle = *state;
    static const uint32_t waits[] = {1, 2, 4, 8, 16, 32, THROTTLE_MAX_S, THROTTLE_MAX_S};
    fail_times(throttle, "192.0.2.1", THROTTLE_FREE, START_MS);
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        throttle_failed(throttle, "192.0.2.1", START_MS);
        assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS), waits[i]);
    }
    fail_times(throttle, "192.0.2.1", 100, START_MS);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS), THROTTLE_MAX_S);
}

static void a_wait_is_rounded_up_and_ends(void **state)
{
    struct throttle *throttle = *state;
    fail_times(throttle, "192.0.2.1", THROTTLE_FREE + 2, START_MS);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS + 1), 2);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS + 1000), 1);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS + 1999), 1);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS + 2000), 0);
    throttle_failed(throttle, "192.0.2.1", START_MS + 2000);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS + 2000), 4);
}

static void a_success_clears_one_address(void **state)
{
    struct throttle *throttle = *state;
    static const char *const addresses[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3"};
    for (size_t i = 0; i < 3; i++)
        fail_times(throttle, addresses[i], THROTTLE_FREE + 1, START_MS);
    throttle_succeeded(throttle, "192.0.2.1");
    throttle_succeeded(throttle, "192.0.2.9");
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS), 0);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.2", START_MS), 1);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.3", START_MS), 1);
    fail_times(throttle, "192.0.2.1", THROTTLE_FREE, START_MS);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", START_MS), 0);
}

static void an_hour_without_a_try_forgets(void **state)
{
    struct throttle *throttle = *state;
    const uint64_t late = START_MS + THROTTLE_FORGET_MS;
    fail_times(throttle, "192.0.2.1", 20, START_MS);
    fail_times(throttle, "192.0.2.2", 20, START_MS);
    throttle_failed(throttle, "192.0.2.1", late - 1);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", late - 1), THROTTLE_MAX_S);
    throttle_failed(throttle, "192.0.2.2", late);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.2", late), 0);
}

/* Both addresses count as one. */
static void assert_same(struct throttle *throttle, const char *a, const char *b)
{
    fail_times(throttle, a, THROTTLE_FREE + 1, START_MS);
    if (throttle_wait_s(throttle, b, START_MS) == 0)
        fail_msg("%s and %s are two", a, b);
    throttle_succeeded(throttle, b);
    assert_int_equal(throttle_wait_s(throttle, a, START_MS), 0);
}

static void assert_differ(struct throttle *throttle, const char *a, const char *b)
{
    fail_times(throttle, a, THROTTLE_FREE + 1, START_MS);
    if (throttle_wait_s(throttle, b, START_MS) != 0)
        fail_msg("%s and %s are one", a, b);
    throttle_succeeded(throttle, a);
}

static void ipv6_counts_by_network(void **state)
{
    struct throttle *throttle = *state;
    assert_same(throttle, "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff");
    assert_same(throttle, "fe80::1%eth0", "fe80::2");
    assert_differ(throttle, "2001:db8:1:2::1", "2001:db8:1:3::1");
    assert_differ(throttle, "2001:db8:1:2::1", "2001:db8:2:2::1");
}

static void ipv4_counts_by_address_however_it_is_written(void **state)
{
    struct throttle *throttle = *state;
    assert_same(throttle, "192.0.2.1", "::ffff:192.0.2.1");
    assert_same(throttle, "::ffff:c000:201", "192.0.2.1");
    assert_differ(throttle, "::ffff:192.0.2.1", "::ffff:192.0.2.2");
    assert_differ(throttle, "192.0.2.1", "192.0.2.2");
    assert_differ(throttle, "192.0.2.1", "::");
}

static void other_names_count_too(void **state)
{
    struct throttle *throttle = *state;
    assert_same(throttle, "unix", "unix");
    assert_same(throttle, "", "");
    assert_differ(throttle, "unix", "box");
    assert_differ(throttle, "", "::");
    assert_differ(throttle, "192.0.2.1 ", "192.0.2.1");
    assert_differ(throttle,
            "a-name-that-is-longer-than-any-address-can-be-and-than-the-room-for-one",
            "a-name-that-is-longer-than-any-address-can-be-and-than-the-room-for-two");
}

static void fill(struct throttle *throttle, unsigned from, unsigned count, unsigned times)
{
    char address[32];
    for (unsigned i = from; i < from + count; i++) {
        snprintf(address, sizeof(address), "10.0.%u.%u", i / 256, i % 256);
        fail_times(throttle, address, times, START_MS + i);
    }
}

static void a_full_table_forgets_the_quietest(void **state)
{
    struct throttle *throttle = *state;
    const uint64_t now = START_MS + THROTTLE_ADDRESSES_MAX;
    fill(throttle, 0, THROTTLE_ADDRESSES_MAX, THROTTLE_FREE + 4);
    throttle_failed(throttle, "10.0.0.0", now);
    fail_times(throttle, "192.0.2.1", THROTTLE_FREE + 4, now);
    assert_true(throttle_wait_s(throttle, "10.0.0.0", now) > 0);
    assert_int_equal(throttle_wait_s(throttle, "10.0.0.1", now), 0);
    assert_true(throttle_wait_s(throttle, "10.0.0.2", now) > 0);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", now), 8);
}

static void a_clock_that_stands_still_does_no_harm(void **state)
{
    struct throttle *throttle = *state;
    fail_times(throttle, "192.0.2.1", THROTTLE_FREE + 1, START_MS);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", 0), 1);
    throttle_failed(throttle, "192.0.2.1", 0);
    assert_int_equal(throttle_wait_s(throttle, "192.0.2.1", 0), 2);
    throttle_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(the_first_failures_cost_nothing),
            TEST(each_more_doubles_the_wait_up_to_its_limit),
            TEST(a_wait_is_rounded_up_and_ends),
            TEST(a_success_clears_one_address),
            TEST(an_hour_without_a_try_forgets),
            TEST(ipv6_counts_by_network),
            TEST(ipv4_counts_by_address_however_it_is_written),
            TEST(other_names_count_too),
            TEST(a_full_table_forgets_the_quietest),
            TEST(a_clock_that_stands_still_does_no_harm),
    };
    return cmocka_run_group_tests_name("throttle", tests, NULL, NULL);
}
