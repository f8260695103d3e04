#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/discovery/dnssd_browser.h"
#include "tests/lib/fake_avahi.h"

#include <avahi-common/error.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

enum { SOME_INTERFACE = 7777 }; /* that nobody has */

struct scene {
    struct dnssd_browser *browser;
    AvahiClient *client;
    unsigned found, lost, broken;
    struct discovered last;
    char lost_label[DISCOVERY_LABEL_MAX + 1], lost_address[64];
    char order[8]; /* 'f' and 'l' as they came */
};

static void note(struct scene *s, char what)
{
    size_t used = strlen(s->order);
    if (used + 1 < sizeof(s->order))
        s->order[used] = what;
}

static void on_found(void *ctx, const struct discovered *found)
{
    struct scene *s = ctx;
    s->found++;
    s->last = *found;
    note(s, 'f');
}

static void on_lost(void *ctx, const char *label, const char *address)
{
    struct scene *s = ctx;
    s->lost++;
    (void)snprintf(s->lost_label, sizeof(s->lost_label), "%s", label);
    (void)snprintf(s->lost_address, sizeof(s->lost_address), "%s", address);
    note(s, 'l');
}

static void on_broken(void *ctx)
{
    struct scene *s = ctx;
    s->broken++;
}

static const struct dnssd_browser_events events = {
        .on_found = on_found,
        .on_lost = on_lost,
        .on_broken = on_broken,
};

static void on_state(AvahiClient *client, AvahiClientState state, void *ctx)
{
    (void)client, (void)state, (void)ctx;
}

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    *state = s;
    fake_avahi_reset();
    if (!s)
        return -1;
    s->client = avahi_client_new(NULL, AVAHI_CLIENT_NO_FAIL, on_state, NULL, NULL);
    s->browser = dnssd_browser_create(ANNOUNCEMENT_COORDINATOR, &events, s);
    if (!s->browser)
        return -1;
    dnssd_browser_start(s->browser, s->client);
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    avahi_client_free(s->client);
    dnssd_browser_destroy(s->browser);
    free(s);
    return 0;
}

static void appear(const char *name)
{
    fake_avahi_browse(AVAHI_BROWSER_NEW, SOME_INTERFACE, AVAHI_PROTO_INET, name);
}

static void disappear(const char *name)
{
    fake_avahi_browse(AVAHI_BROWSER_REMOVE, SOME_INTERFACE, AVAHI_PROTO_INET, name);
}

static AvahiStringList *txt_of(const char *name)
{
    AvahiStringList *txt = avahi_string_list_new("key=" KEY, NULL);
    return avahi_string_list_add_pair(txt, "name", name);
}

static void resolve(const char *label, const char *address, AvahiStringList *txt)
{
    fake_avahi_resolve(SOME_INTERFACE, AVAHI_PROTO_INET, label, address, 8421, txt);
}

/* --- found --- */

static void a_service_is_told_when_it_is_resolved(void **state)
{
    struct scene *s = *state;
    assert_string_equal(fake_avahi.browsed, "_modemesh._tcp");
    appear("boss's box");
    assert_int_equal(fake_avahi.resolvers, 1);
    assert_int_equal(s->found, 0);
    resolve("boss's box", "10.0.0.5", txt_of("boss"));
    assert_int_equal(s->found, 1);
    assert_string_equal(s->last.label, "boss's box");
    assert_string_equal(s->last.address, "10.0.0.5");
    assert_int_equal(s->last.port, 8421);
    assert_string_equal(s->last.announcement.name, "boss");
    assert_string_equal(s->last.announcement.key, KEY);
}

static void each_interface_and_protocol_is_told(void **state)
{
    struct scene *s = *state;
    appear("boss");
    fake_avahi_browse(AVAHI_BROWSER_NEW, SOME_INTERFACE, AVAHI_PROTO_INET6, "boss");
    fake_avahi_browse(AVAHI_BROWSER_NEW, SOME_INTERFACE + 1, AVAHI_PROTO_INET, "boss");
    appear("boss"); /* as before: nothing new */
    assert_int_equal(fake_avahi.resolvers, 3);
    resolve("boss", "10.0.0.5", txt_of("boss"));
    fake_avahi_resolve(
            SOME_INTERFACE, AVAHI_PROTO_INET6, "boss", "2001:db8::5", 8421, txt_of("boss"));
    assert_int_equal(s->found, 2);
    assert_string_equal(s->last.address, "2001:db8::5");
}

static void a_link_local_address_names_its_interface(void **state)
{
    struct scene *s = *state;
    AvahiIfIndex loopback = (AvahiIfIndex)if_nametoindex("lo");
    fake_avahi_browse(AVAHI_BROWSER_NEW, loopback, AVAHI_PROTO_INET6, "boss");
    fake_avahi_resolve(loopback, AVAHI_PROTO_INET6, "boss", "fe80::1", 8421, txt_of("boss"));
    assert_string_equal(s->last.address, "fe80::1%lo");
    fake_avahi_browse(AVAHI_BROWSER_NEW, SOME_INTERFACE, AVAHI_PROTO_INET6, "boss");
    fake_avahi_resolve(SOME_INTERFACE, AVAHI_PROTO_INET6, "boss", "fe80::1", 8421, txt_of("boss"));
    assert_int_equal(s->found, 1);
}

static void changed_records_are_told_again(void **state)
{
    struct scene *s = *state;
    appear("boss");
    resolve("boss", "10.0.0.5", txt_of("boss"));
    resolve("boss", "10.0.0.5", txt_of("chief"));
    assert_int_equal(s->found, 2);
    assert_int_equal(s->lost, 0);
    assert_string_equal(s->last.announcement.name, "chief");
}

static void a_new_address_takes_the_place_of_the_old_one(void **state)
{
    struct scene *s = *state;
    appear("boss");
    resolve("boss", "10.0.0.5", txt_of("boss"));
    resolve("boss", "10.0.0.6", txt_of("boss"));
    assert_string_equal(s->order, "flf");
    assert_string_equal(s->lost_address, "10.0.0.5");
    assert_string_equal(s->last.address, "10.0.0.6");
}

static void a_label_is_told_without_control_characters(void **state)
{
    struct scene *s = *state;
    const char label[] = "a\x1b[2J\n\x7f caf\xc3\xa9 \xc2\x9b \xff";
    appear(label);
    resolve(label, "10.0.0.5", txt_of("boss"));
    assert_string_equal(s->last.label, "a?[2J?? caf\xc3\xa9 ?? ?");
    disappear(label);
    assert_string_equal(s->lost_label, s->last.label);
}

/* --- records --- */

static void the_first_record_of_a_key_counts(void **state)
{
    struct scene *s = *state;
    AvahiStringList *txt = avahi_string_list_new("name=first", "name=second", NULL);
    appear("boss");
    resolve("boss", "10.0.0.5", avahi_string_list_add(txt, "key=" KEY));
    assert_string_equal(s->last.announcement.name, "first");
}

static void records_that_cannot_be_ours_are_skipped(void **state)
{
    struct scene *s = *state;
    uint8_t bytes[TXT_RECORD_MAX + 1];
    AvahiStringList *txt = avahi_string_list_new("name=boss", NULL);
    memset(bytes, 'x', sizeof(bytes));
    txt = avahi_string_list_add_arbitrary(txt, bytes, sizeof(bytes));
    txt = avahi_string_list_add_arbitrary(txt, (const uint8_t *)"mesh=a\0b", 8);
    txt = avahi_string_list_add_arbitrary(txt, bytes, 0);
    txt = avahi_string_list_add(txt, "key=" KEY);
    appear("boss");
    resolve("boss", "10.0.0.5", txt);
    assert_int_equal(s->found, 1);
    assert_string_equal(s->last.announcement.mesh, "");
}

static void records_past_the_limit_are_left_out(void **state)
{
    struct scene *s = *state;
    AvahiStringList *txt = txt_of("boss");
    for (int i = 0; i < 100; i++)
        txt = avahi_string_list_add(txt, "free=7");
    appear("boss");
    resolve("boss", "10.0.0.5", txt);
    assert_int_equal(s->last.announcement.memory_available_bytes, 7);

    txt = NULL;
    for (int i = 0; i < TXT_RECORDS_MAX - 1; i++)
        txt = avahi_string_list_add(txt, "free=8");
    txt = avahi_string_list_add_many(txt, "name=late", "key=" KEY, NULL);
    resolve("boss", "10.0.0.5", txt);
    assert_int_equal(s->found, 1);
}

/* --- lost --- */

static void a_service_that_leaves_is_lost(void **state)
{
    struct scene *s = *state;
    appear("boss");
    resolve("boss", "10.0.0.5", txt_of("boss"));
    disappear("boss");
    assert_int_equal(s->lost, 1);
    assert_string_equal(s->lost_label, "boss");
    assert_string_equal(s->lost_address, "10.0.0.5");
    assert_int_equal(fake_avahi.resolvers, 0);
    disappear("boss");
    assert_int_equal(s->lost, 1);
}

static void what_was_not_told_is_not_lost(void **state)
{
    struct scene *s = *state;
    appear("boss");
    disappear("boss");
    appear("silent");
    resolve("silent", "10.0.0.5", avahi_string_list_new("nothing=ours", NULL));
    disappear("silent");
    assert_int_equal(s->found + s->lost, 0);
}

static void one_that_cannot_be_read_any_more_is_lost(void **state)
{
    struct scene *s = *state;
    appear("boss");
    resolve("boss", "10.0.0.5", txt_of("boss"));
    resolve("boss", "10.0.0.5", NULL);
    assert_int_equal(s->lost, 1);
    resolve("boss", "10.0.0.5", txt_of("boss"));
    assert_string_equal(s->order, "flf");
}

static void one_whose_records_ran_out_is_lost_until_they_come_back(void **state)
{
    struct scene *s = *state;
    appear("boss");
    resolve("boss", "10.0.0.5", txt_of("boss"));
    fake_avahi_fail_to_resolve(SOME_INTERFACE, AVAHI_PROTO_INET, "boss");
    fake_avahi_fail_to_resolve(SOME_INTERFACE, AVAHI_PROTO_INET, "boss");
    assert_int_equal(s->lost, 1);
    resolve("boss", "10.0.0.5", txt_of("boss"));
    assert_string_equal(s->order, "flf");
}

/* --- limits, and avahi-daemon's own state --- */

static void services_past_the_limit_are_left_out(void **state)
{
    struct scene *s = *state;
    char name[16];
    for (unsigned i = 0; i < DISCOVERY_FOUND_MAX + 10; i++) {
        (void)snprintf(name, sizeof(name), "box %u", i);
        appear(name);
    }
    assert_int_equal(fake_avahi.resolvers, DISCOVERY_FOUND_MAX);
    disappear("box 0");
    appear("box new");
    resolve("box new", "10.0.0.5", txt_of("boss"));
    assert_int_equal(fake_avahi.resolvers, DISCOVERY_FOUND_MAX);
    assert_int_equal(s->found, 1);
}

static void one_that_avahi_has_no_room_for_is_left_out(void **state)
{
    struct scene *s = *state;
    fake_avahi.error = AVAHI_ERR_TOO_MANY_OBJECTS;
    appear("boss");
    assert_int_equal(s->broken, 0);
    fake_avahi.error = 0;
    disappear("boss");
    appear("boss");
    assert_int_equal(fake_avahi.resolvers, 1);
}

static void no_answer_breaks_the_connection(void **state)
{
    struct scene *s = *state;
    appear("chief");
    fake_avahi.error = AVAHI_ERR_DBUS_ERROR;
    appear("boss");
    assert_int_equal(s->broken, 1);
    disappear("chief");
    assert_int_equal(s->broken, 2);
    fake_avahi_browse(AVAHI_BROWSER_FAILURE, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, NULL);
    assert_int_equal(s->broken, 3);
    fake_avahi_browse(AVAHI_BROWSER_ALL_FOR_NOW, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, NULL);
    assert_int_equal(s->broken, 3);
}

static void a_browser_that_cannot_be_made_breaks_the_connection(void **state)
{
    struct scene *s = *state;
    dnssd_browser_forget(s->browser);
    avahi_client_free(s->client);
    s->client = avahi_client_new(NULL, AVAHI_CLIENT_NO_FAIL, on_state, NULL, NULL);
    fake_avahi.error = AVAHI_ERR_TOO_MANY_OBJECTS;
    dnssd_browser_start(s->browser, s->client);
    assert_int_equal(s->broken, 1);
}

static void a_new_connection_tells_again_and_says_nothing_of_the_old(void **state)
{
    struct scene *s = *state;
    appear("boss");
    resolve("boss", "10.0.0.5", txt_of("boss"));
    avahi_client_free(s->client);
    dnssd_browser_forget(s->browser);
    s->client = avahi_client_new(NULL, AVAHI_CLIENT_NO_FAIL, on_state, NULL, NULL);
    dnssd_browser_start(s->browser, s->client);
    dnssd_browser_start(s->browser, s->client);
    assert_int_equal(fake_avahi.browsers_made, 2);
    appear("boss");
    resolve("boss", "10.0.0.6", txt_of("boss"));
    assert_string_equal(s->order, "ff");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(a_service_is_told_when_it_is_resolved),
            TEST(each_interface_and_protocol_is_told),
            TEST(a_link_local_address_names_its_interface),
            TEST(changed_records_are_told_again),
            TEST(a_new_address_takes_the_place_of_the_old_one),
            TEST(a_label_is_told_without_control_characters),
            TEST(the_first_record_of_a_key_counts),
            TEST(records_that_cannot_be_ours_are_skipped),
            TEST(records_past_the_limit_are_left_out),
            TEST(a_service_that_leaves_is_lost),
            TEST(what_was_not_told_is_not_lost),
            TEST(one_that_cannot_be_read_any_more_is_lost),
            TEST(one_whose_records_ran_out_is_lost_until_they_come_back),
            TEST(services_past_the_limit_are_left_out),
            TEST(one_that_avahi_has_no_room_for_is_left_out),
            TEST(no_answer_breaks_the_connection),
            TEST(a_browser_that_cannot_be_made_breaks_the_connection),
            TEST(a_new_connection_tells_again_and_says_nothing_of_the_old),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dnssd_browser", tests, NULL, NULL);
}
