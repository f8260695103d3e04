#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/trust/pending.h"

#include <stdio.h>
#include <string.h>

#define COORDINATOR_KEY "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"

enum { MINUTE_MS = 60 * 1000, START_MS = 5000 };

static int set_up(void **state)
{
    *state = pending_create(COORDINATOR_KEY);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    pending_destroy(*state);
    return 0;
}

static const char *key(unsigned number)
{
    static char text[KEY_Z85_LEN + 1];
    (void)snprintf(text, sizeof(text), "%040u", number);
    return text;
}

static const char *host(unsigned number)
{
    static char text[LINK_ADDRESS_MAX + 1];
    (void)snprintf(text, sizeof(text), "10.0.%u.%u", number / 256 % 256, number % 256);
    return text;
}

/* Fills the list from different addresses, slowly enough to be taken. The time after the last. */
static uint64_t fill(struct pending *pending, uint64_t gap_ms)
{
    uint64_t now_ms = START_MS;
    for (unsigned i = 0; i < PENDING_MAX; i++, now_ms += gap_ms)
        assert_int_equal(pending_knock(pending, key(i), host(i), now_ms), PENDING_NEW);
    return now_ms;
}

static void a_knock_is_kept(void **state)
{
    struct pending *pending = *state;
    assert_int_equal(pending_knock(pending, key(1), "10.0.0.5", START_MS), PENDING_NEW);
    assert_int_equal(pending_knock(pending, key(1), "10.0.0.5", START_MS + 70), PENDING_KNOWN);
    assert_int_equal(pending_knock(pending, key(2), "fe80::1%eth0", START_MS + 80), PENDING_NEW);
    assert_int_equal(pending_count(pending), 2);
    const struct pending_node *node = pending_at(pending, 0);
    assert_string_equal(node->key, key(1));
    assert_string_equal(node->address, "10.0.0.5");
    assert_string_equal(node->name, "");
    assert_int_equal(node->first_ms, START_MS);
    assert_int_equal(node->last_ms, START_MS + 70);
    assert_int_equal(node->knocks, 2);
    assert_string_equal(pending_at(pending, 1)->address, "fe80::1%eth0");
    assert_null(pending_at(pending, 2));
    assert_ptr_equal(pending_find(pending, key(1)), node);
    assert_null(pending_find(pending, key(3)));
}

static void a_name_comes_before_the_knock_or_after(void **state)
{
    struct pending *pending = *state;
    pending_name(pending, key(1), "early");
    assert_int_equal(pending_count(pending), 0);
    (void)pending_knock(pending, key(1), "10.0.0.5", START_MS);
    assert_string_equal(pending_find(pending, key(1))->name, "early");
    pending_name(pending, key(1), "strix");
    pending_name(pending, key(1), "not a name");
    pending_name(pending, key(1), "");
    assert_string_equal(pending_find(pending, key(1))->name, "strix");
    pending_name(pending, key(1), "halo");
    assert_string_equal(pending_find(pending, key(1))->name, "halo");
    pending_remove(pending, key(1));
    (void)pending_knock(pending, key(1), "10.0.0.5", START_MS);
    assert_string_equal(pending_find(pending, key(1))->name, "halo");
}

static void a_name_that_seems_proven_is_not_taken(void **state)
{
    static const char *const names[] = {
            "dakor-lusab-fitom-ranuk-bizop", "DAKOR_lusab.fitom-ranuk-bizop", "10.0.0.7"};
    struct pending *pending = *state;
    (void)pending_knock(pending, key(1), "10.0.0.5", START_MS);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        pending_name(pending, key(1), names[i]);
    assert_string_equal(pending_find(pending, key(1))->name, "");
}

static void the_oldest_of_too_many_names_is_forgotten(void **state)
{
    struct pending *pending = *state;
    for (unsigned i = 0; i <= PENDING_NAMES_MAX; i++)
        pending_name(pending, key(i), "strix");
    for (unsigned i = 0; i <= PENDING_NAMES_MAX; i += PENDING_NAMES_MAX / 2)
        (void)pending_knock(pending, key(i), "10.0.0.5", START_MS);
    assert_string_equal(pending_find(pending, key(0))->name, "");
    assert_string_equal(pending_find(pending, key(PENDING_NAMES_MAX / 2))->name, "strix");
    assert_string_equal(pending_find(pending, key(PENDING_NAMES_MAX))->name, "strix");
}

static void the_order_of_coming_stays(void **state)
{
    struct pending *pending = *state;
    for (unsigned i = 0; i < 4; i++)
        (void)pending_knock(pending, key(i), host(i), START_MS);
    pending_remove(pending, key(1));
    pending_remove(pending, key(9));
    (void)pending_knock(pending, key(0), host(0), START_MS + 1);
    assert_int_equal(pending_count(pending), 3);
    assert_string_equal(pending_at(pending, 0)->key, key(0));
    assert_string_equal(pending_at(pending, 1)->key, key(2));
    assert_string_equal(pending_at(pending, 2)->key, key(3));
    assert_null(pending_find(pending, key(1)));
}

static void who_stays_away_expires(void **state)
{
    struct pending *pending = *state;
    (void)pending_knock(pending, key(1), host(1), START_MS);
    (void)pending_knock(pending, key(2), host(2), START_MS);
    (void)pending_knock(pending, key(3), host(3), START_MS);
    (void)pending_knock(pending, key(2), host(2), START_MS + 1);
    pending_tick(pending, START_MS + PENDING_EXPIRES_MS - 1);
    assert_int_equal(pending_count(pending), 3);
    pending_tick(pending, START_MS + PENDING_EXPIRES_MS);
    assert_int_equal(pending_count(pending), 1);
    assert_string_equal(pending_at(pending, 0)->key, key(2));
}

static void a_flood_is_bounded_in_a_minute(void **state)
{
    struct pending *pending = *state;
    unsigned taken = 0;
    for (unsigned i = 0; i < 10000; i++)
        taken += pending_knock(pending, key(i), host(i), START_MS + i) == PENDING_NEW;
    assert_int_equal(taken, PENDING_NEW_PER_MINUTE);
    assert_int_equal(pending_count(pending), PENDING_NEW_PER_MINUTE);
    assert_int_equal(
            pending_knock(pending, key(0), host(0), START_MS + MINUTE_MS - 1), PENDING_KNOWN);
    assert_int_equal(
            pending_knock(pending, key(99999), host(9), START_MS + MINUTE_MS), PENDING_NEW);
}

/* Else the keys of one host would leave no minute for anybody else. */
static void who_finds_no_place_takes_nothing_of_the_minute(void **state)
{
    struct pending *pending = *state;
    for (unsigned i = 0; i < 1000; i++)
        (void)pending_knock(pending, key(i), "10.0.0.5", START_MS);
    assert_int_equal(pending_knock(pending, key(5000), "10.0.0.6", START_MS), PENDING_NEW);
}

static void one_address_has_few_places(void **state)
{
    struct pending *pending = *state;
    for (unsigned i = 0; i < PENDING_PER_ADDRESS_MAX; i++)
        assert_int_equal(pending_knock(pending, key(i), "10.0.0.5", START_MS), PENDING_NEW);
    assert_int_equal(pending_knock(pending, key(50), "10.0.0.5", START_MS), PENDING_REFUSED);
    assert_int_equal(pending_knock(pending, key(50), "::ffff:10.0.0.5", START_MS), PENDING_REFUSED);
    assert_int_equal(pending_knock(pending, key(51), "10.0.0.6", START_MS), PENDING_NEW);
    assert_int_equal(pending_count(pending), PENDING_PER_ADDRESS_MAX + 1);
}

static void an_ipv6_network_counts_as_one_address(void **state)
{
    struct pending *pending = *state;
    for (unsigned i = 0; i < PENDING_PER_ADDRESS_MAX; i++) {
        char address[LINK_ADDRESS_MAX + 1];
        (void)snprintf(address, sizeof(address), "2001:db8:0:1:%x::1", i + 1);
        assert_int_equal(pending_knock(pending, key(i), address, START_MS), PENDING_NEW);
    }
    assert_int_equal(
            pending_knock(pending, key(50), "2001:db8:0:1:ffff::9", START_MS), PENDING_REFUSED);
    assert_int_equal(
            pending_knock(pending, key(50), "2001:db8:0:2:ffff::9", START_MS), PENDING_NEW);
}

static void an_address_gives_its_own_quiet_place_only(void **state)
{
    struct pending *pending = *state;
    (void)pending_knock(pending, key(99), "10.0.0.6", START_MS);
    for (unsigned i = 0; i < PENDING_PER_ADDRESS_MAX; i++)
        (void)pending_knock(pending, key(i), "10.0.0.5", START_MS + 1 + i);
    uint64_t later_ms = START_MS + 1 + PENDING_QUIET_MS;
    assert_int_equal(pending_knock(pending, key(50), "10.0.0.5", later_ms - 1), PENDING_REFUSED);
    assert_int_equal(pending_knock(pending, key(50), "10.0.0.5", later_ms), PENDING_NEW);
    assert_null(pending_find(pending, key(0)));
    assert_non_null(pending_find(pending, key(1)));
    assert_non_null(pending_find(pending, key(99)));
}

static void a_full_list_takes_the_place_of_who_is_quiet(void **state)
{
    struct pending *pending = *state;
    uint64_t now_ms = fill(pending, 600);
    for (unsigned i = 0; i < PENDING_MAX; i++)
        if (i != 7 && i != 3)
            (void)pending_knock(pending, key(i), host(i), now_ms);
    (void)pending_knock(pending, key(3), host(3), now_ms - 2 * PENDING_QUIET_MS);
    assert_int_equal(pending_knock(pending, key(900), host(900), now_ms), PENDING_NEW);
    assert_null(pending_find(pending, key(7)));
    assert_int_equal(pending_knock(pending, key(901), host(901), now_ms), PENDING_NEW);
    assert_null(pending_find(pending, key(3)));
    assert_int_equal(pending_knock(pending, key(902), host(902), now_ms), PENDING_REFUSED);
    assert_int_equal(pending_count(pending), PENDING_MAX);
    assert_string_equal(pending_at(pending, PENDING_MAX - 1)->key, key(901));
}

static void who_keeps_knocking_is_never_pushed_out(void **state)
{
    struct pending *pending = *state;
    (void)pending_knock(pending, key(1), "10.9.9.9", START_MS);
    for (unsigned i = 1; i < 20000; i++) {
        uint64_t now_ms = START_MS + i * 50;
        (void)pending_knock(pending, key(100 + i), host(i), now_ms);
        if (i % 20 == 0)
            assert_int_equal(pending_knock(pending, key(1), "10.9.9.9", now_ms), PENDING_KNOWN);
        pending_tick(pending, now_ms);
    }
    assert_string_equal(pending_at(pending, 0)->key, key(1));
    assert_int_equal(pending_count(pending), PENDING_MAX);
}

static void a_node_may_change_its_address(void **state)
{
    struct pending *pending = *state;
    (void)pending_knock(pending, key(1), "10.0.0.5", START_MS);
    (void)pending_knock(pending, key(1), "10.0.1.5", START_MS);
    assert_string_equal(pending_find(pending, key(1))->address, "10.0.1.5");
}

static void wandering_takes_no_more_than_the_places_of_an_address(void **state)
{
    struct pending *pending = *state;
    for (unsigned i = 0; i < 2 * PENDING_PER_ADDRESS_MAX; i++)
        (void)pending_knock(pending, key(i), host(i), START_MS);
    unsigned there = 0;
    for (unsigned i = 0; i < 2 * PENDING_PER_ADDRESS_MAX; i++) {
        (void)pending_knock(pending, key(i), "10.5.5.5", START_MS);
        there += strcmp(pending_find(pending, key(i))->address, "10.5.5.5") == 0;
    }
    assert_int_equal(there, PENDING_PER_ADDRESS_MAX);
    assert_int_equal(pending_knock(pending, key(99), "10.5.5.5", START_MS), PENDING_REFUSED);
}

static void what_is_no_address_is_bounded_too(void **state)
{
    struct pending *pending = *state;
    char endless[200];
    memset(endless, 'x', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    for (unsigned i = 0; i < PENDING_PER_ADDRESS_MAX; i++)
        assert_int_equal(
                pending_knock(pending, key(i), i % 2 ? endless : "", START_MS), PENDING_NEW);
    assert_int_equal(pending_knock(pending, key(50), "nonsense", START_MS), PENDING_REFUSED);
    assert_int_equal(strlen(pending_find(pending, key(1))->address), LINK_ADDRESS_MAX);
}

#define PENDING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            PENDING_TEST(a_knock_is_kept),
            PENDING_TEST(a_name_comes_before_the_knock_or_after),
            PENDING_TEST(a_name_that_seems_proven_is_not_taken),
            PENDING_TEST(the_oldest_of_too_many_names_is_forgotten),
            PENDING_TEST(the_order_of_coming_stays),
            PENDING_TEST(who_stays_away_expires),
            PENDING_TEST(a_flood_is_bounded_in_a_minute),
            PENDING_TEST(who_finds_no_place_takes_nothing_of_the_minute),
            PENDING_TEST(one_address_has_few_places),
            PENDING_TEST(an_ipv6_network_counts_as_one_address),
            PENDING_TEST(an_address_gives_its_own_quiet_place_only),
            PENDING_TEST(a_full_list_takes_the_place_of_who_is_quiet),
            PENDING_TEST(who_keeps_knocking_is_never_pushed_out),
            PENDING_TEST(a_node_may_change_its_address),
            PENDING_TEST(wandering_takes_no_more_than_the_places_of_an_address),
            PENDING_TEST(what_is_no_address_is_bounded_too),
    };
    return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
