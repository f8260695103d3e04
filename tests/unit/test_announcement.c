#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/discovery/announcement.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEY  "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define MESH "k3vqz7m2a5tdh4ef"

/* Records from strings; the last one is NULL. */
static struct txt_records records_of(const char *const *texts)
{
    struct txt_records records = {.count = 0};
    for (; *texts; texts++) {
        assert_true(records.count < TXT_RECORDS_MAX && strlen(*texts) <= TXT_RECORD_MAX);
        (void)snprintf(records.at[records.count++], TXT_RECORD_MAX + 1, "%s", *texts);
    }
    return records;
}

#define RECORDS(...) records_of((const char *const[]){__VA_ARGS__, NULL})

static struct announcement parse(struct txt_records records)
{
    struct announcement announcement;
    struct err err = {.text = ""};
    if (announcement_from_txt(&records, &announcement, &err) < 0)
        fail_msg("%s", err.text);
    return announcement;
}

static void assert_refused(struct txt_records records, const char *record)
{
    struct announcement announcement, untouched;
    struct err err;
    memset(&announcement, 0x5a, sizeof(announcement));
    memcpy(&untouched, &announcement, sizeof(untouched));
    assert_int_equal(announcement_from_txt(&records, &announcement, &err), -EINVAL);
    assert_non_null(strstr(err.text, record));
    assert_memory_equal(&announcement, &untouched, sizeof(untouched));
}

static void assert_record(const struct txt_records *records, const char *text)
{
    for (size_t i = 0; i < records->count; i++) {
        if (strcmp(records->at[i], text) == 0)
            return;
    }
    fail_msg("there is no record %s", text);
}

static void add_addr(struct announcement *announcement, const char *addr)
{
    struct host_addrs *addrs = &announcement->addrs;
    (void)snprintf(addrs->at[addrs->count++], HOST_ADDR_LEN + 1, "%s", addr);
}

/* --- what is said --- */

static void a_coordinator_says_mesh_and_addresses(void **state)
{
    (void)state;
    struct announcement announcement = {.name = "boss", .key = KEY, .mesh = MESH};
    struct txt_records records;
    add_addr(&announcement, "10.0.0.5");
    add_addr(&announcement, "2001:db8::5");
    announcement_to_txt(&announcement, &records);
    assert_int_equal(records.count, 5);
    assert_string_equal(records.at[0], "txtvers=1"); /* first: RFC 6763, section 6.7 */
    assert_record(&records, "name=boss");
    assert_record(&records, "key=" KEY);
    assert_record(&records, "mesh=" MESH);
    assert_record(&records, "addrs=10.0.0.5,2001:db8::5");
}

static void a_node_says_models_and_memory(void **state)
{
    (void)state;
    struct announcement announcement = {.name = "strix-1",
            .key = KEY,
            .memory_available_bytes = 5,
            .memory_total_bytes = UINT64_MAX};
    struct txt_records records;
    assert_true(announcement_add_model(&announcement, "qwen3-coder-30b"));
    assert_true(announcement_add_model(&announcement, "modèle"));
    announcement_to_txt(&announcement, &records);
    assert_int_equal(records.count, 6);
    assert_record(&records, "models=qwen3-coder-30b,modèle");
    assert_record(&records, "free=5");
    assert_record(&records, "total=18446744073709551615");
}

static void models_that_do_not_fit_whole_are_left_out(void **state)
{
    (void)state;
    struct announcement announcement = {.name = "n"};
    char model[ANNOUNCEMENT_MODELS_MAX + 2];
    memset(model, 'm', sizeof(model));
    model[sizeof(model) - 1] = '\0';
    assert_false(announcement_add_model(&announcement, model));
    model[ANNOUNCEMENT_MODELS_MAX] = '\0';
    assert_true(announcement_add_model(&announcement, model));
    assert_false(announcement_add_model(&announcement, "a"));

    announcement.models[0] = '\0';
    model[ANNOUNCEMENT_MODELS_MAX - 3] = '\0';
    assert_true(announcement_add_model(&announcement, model));
    assert_false(announcement_add_model(&announcement, "abc"));
    assert_true(announcement_add_model(&announcement, "ab"));
    assert_int_equal(strlen(announcement.models), ANNOUNCEMENT_MODELS_MAX);
}

static void models_that_cannot_be_said_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
            "", "a,b", "a\nb", "a\x7f", "\xc2\x9b", "caf\xe9", "\xe2\x82"};
    struct announcement announcement = {.name = "n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(announcement_add_model(&announcement, bad[i]));
    assert_string_equal(announcement.models, "");
    assert_true(announcement_add_model(&announcement, "\xc2\xa0"));
}

static void addresses_fill_two_records_and_no_more(void **state)
{
    (void)state;
    struct announcement announcement = {.name = "boss", .key = KEY, .mesh = MESH};
    struct txt_records records;
    for (unsigned i = 0; i < HOST_ADDRS_MAX; i++) {
        char addr[HOST_ADDR_LEN + 1];
        (void)snprintf(addr, sizeof(addr), "2001:db8:1111:2222:3333:4444:5555:%x", 0x1000 + i);
        add_addr(&announcement, addr);
    }
    announcement_to_txt(&announcement, &records);
    struct announcement back = parse(records);
    assert_int_equal(back.addrs.count, 12); /* of 38 letters: six in a record */
    for (size_t i = 0; i < back.addrs.count; i++)
        assert_string_equal(back.addrs.at[i], announcement.addrs.at[i]);
}

/* --- what is heard --- */

static void what_was_said_is_heard(void **state)
{
    (void)state;
    struct announcement said = {.name = "Box_1.lan",
            .key = KEY,
            .mesh = MESH,
            .models = "a,b",
            .memory_available_bytes = 1,
            .memory_total_bytes = 2};
    struct txt_records records;
    add_addr(&said, "10.0.0.5");
    announcement_to_txt(&said, &records);
    struct announcement heard = parse(records);
    assert_memory_equal(&heard, &said, sizeof(said));
}

static void name_and_key_are_enough(void **state)
{
    (void)state;
    struct announcement announcement = parse(RECORDS("key=" KEY, "name=box"));
    assert_string_equal(announcement.name, "box");
    assert_string_equal(announcement.key, KEY);
    assert_string_equal(announcement.mesh, "");
    assert_string_equal(announcement.models, "");
    assert_int_equal(announcement.addrs.count, 0);
    assert_int_equal(announcement.memory_total_bytes, 0);
}

static void keys_are_the_same_in_both_cases_and_count_once(void **state)
{
    (void)state;
    struct announcement announcement =
            parse(RECORDS("NAME=first", "name=second", "Key=" KEY, "free=7", "free=8"));
    assert_string_equal(announcement.name, "first");
    assert_int_equal(announcement.memory_available_bytes, 7);
    /* "mesh" without a value is the first one, too */
    announcement = parse(RECORDS("name=a", "key=" KEY, "mesh", "mesh=" MESH));
    assert_string_equal(announcement.mesh, "");
}

static void unknown_records_are_skipped(void **state)
{
    (void)state;
    struct announcement announcement = parse(RECORDS("", "=", "=x", "named=x", "nam=y", "color=red",
            "org.freedesktop.Avahi.cookie=1", "name=box", "key=" KEY));
    assert_string_equal(announcement.name, "box");
}

static void a_missing_or_wrong_name_is_refused(void **state)
{
    (void)state;
    assert_refused(RECORDS("key=" KEY), "\"name\"");
    assert_refused(RECORDS("key=" KEY, "name"), "\"name\"");
    assert_refused(RECORDS("key=" KEY, "name="), "\"name\"");
    assert_refused(RECORDS("key=" KEY, "name=a b"), "\"name\"");
    assert_refused(RECORDS("key=" KEY, "name=a\nb"), "\"name\"");
    assert_refused(RECORDS("key=" KEY,
                           "name=0123456789012345678901234567890123456789012345678901234567890123"),
            "\"name\"");
}

static void a_missing_or_wrong_key_is_refused(void **state)
{
    (void)state;
    assert_refused(RECORDS("name=box"), "\"key\"");
    assert_refused(RECORDS("name=box", "key=short"), "\"key\"");
    assert_refused(RECORDS("name=box", "key=" KEY "0"), "\"key\"");
    assert_refused(RECORDS("name=box", "key=~~:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"), "\"key\"");
}

static void another_version_is_refused(void **state)
{
    (void)state;
    assert_refused(RECORDS("txtvers=2", "name=box", "key=" KEY), "\"txtvers\"");
    assert_string_equal(parse(RECORDS("txtvers=1", "name=box", "key=" KEY)).name, "box");
}

static void addresses_that_are_none_are_skipped(void **state)
{
    (void)state;
    struct announcement announcement = parse(RECORDS("name=box", "key=" KEY, "addrs2=2001:db8::1",
            "addrs=127.0.0.1,,10.0.0.5,evil.example,fe80::1,10.0.0.6,"));
    assert_int_equal(announcement.addrs.count, 3);
    assert_string_equal(announcement.addrs.at[0], "10.0.0.5");
    assert_string_equal(announcement.addrs.at[1], "10.0.0.6");
    assert_string_equal(announcement.addrs.at[2], "2001:db8::1");
}

static void no_more_addresses_than_fit_are_taken(void **state)
{
    (void)state;
    char first[TXT_RECORD_MAX + 1] = "addrs=1.1.1.1", second[TXT_RECORD_MAX + 1] = "addrs2=2.2.2.2";
    for (int i = 0; i < 20; i++) {
        strcat(first, ",1.1.1.1");
        strcat(second, ",2.2.2.2");
    }
    struct announcement announcement = parse(RECORDS("name=box", "key=" KEY, first, second));
    assert_int_equal(announcement.addrs.count, HOST_ADDRS_MAX);
    assert_string_equal(announcement.addrs.at[20], "1.1.1.1");
    assert_string_equal(announcement.addrs.at[21], "2.2.2.2");
}

static void what_else_is_wrong_is_skipped(void **state)
{
    (void)state;
    struct announcement announcement =
            parse(RECORDS("name=box", "key=" KEY, "mesh=K3VQZ7M2A5TDH4EF",
                    "models=,good,\x1b[31mred,caf\xe9,fine", "free=-1", "total=12x"));
    assert_string_equal(announcement.mesh, "");
    assert_string_equal(announcement.models, "good,fine");
    assert_int_equal(announcement.memory_available_bytes, 0);
    assert_int_equal(announcement.memory_total_bytes, 0);
    announcement = parse(RECORDS(
            "name=box", "key=" KEY, "mesh=" MESH "a", "total=99999999999999999999", "free=10"));
    assert_string_equal(announcement.mesh, "");
    assert_int_equal(announcement.memory_total_bytes, 0);
    assert_int_equal(announcement.memory_available_bytes, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_coordinator_says_mesh_and_addresses),
            cmocka_unit_test(a_node_says_models_and_memory),
            cmocka_unit_test(models_that_do_not_fit_whole_are_left_out),
            cmocka_unit_test(models_that_cannot_be_said_are_refused),
            cmocka_unit_test(addresses_fill_two_records_and_no_more),
            cmocka_unit_test(what_was_said_is_heard),
            cmocka_unit_test(name_and_key_are_enough),
            cmocka_unit_test(keys_are_the_same_in_both_cases_and_count_once),
            cmocka_unit_test(unknown_records_are_skipped),
            cmocka_unit_test(a_missing_or_wrong_name_is_refused),
            cmocka_unit_test(a_missing_or_wrong_key_is_refused),
            cmocka_unit_test(another_version_is_refused),
            cmocka_unit_test(addresses_that_are_none_are_skipped),
            cmocka_unit_test(no_more_addresses_than_fit_are_taken),
            cmocka_unit_test(what_else_is_wrong_is_skipped),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("announcement", tests, NULL, NULL);
}
