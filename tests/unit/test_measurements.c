#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/residency/measurements.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct measurements *table;

static int setup(void **state)
{
    (void)state;
    table = measurements_create();
    assert_non_null(table);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    measurements_destroy(table);
    return 0;
}

static struct measurement_key key_of(unsigned number)
{
    struct measurement_key key = {.bytes = {0xab}};

    memcpy(key.bytes + 1, &number, sizeof number);
    return key;
}

static bool put(unsigned number, uint64_t device_bytes, uint64_t host_bytes)
{
    const struct measurement measurement = {.device_bytes = device_bytes, .host_bytes = host_bytes};
    const struct measurement_key key = key_of(number);

    return measurements_put(table, &key, &measurement);
}

/* The sum of both; 0: there is none. */
static uint64_t found(unsigned number)
{
    const struct measurement_key key = key_of(number);
    struct measurement measurement;

    if (!measurements_find(table, &key, &measurement))
        return 0;
    return measurement.device_bytes + measurement.host_bytes;
}

static bool put_rows(unsigned number, uint32_t rows)
{
    const struct measurement_key key = key_of(number);

    return measurements_put_rows(table, &key, rows);
}

/* -1: not known. */
static int64_t found_rows(unsigned number)
{
    const struct measurement_key key = key_of(number);
    uint32_t rows;

    return measurements_find_rows(table, &key, &rows) ? (int64_t)rows : -1;
}

static void test_what_was_put_is_found(void **state)
{
    (void)state;
    assert_int_equal(found(1), 0);
    assert_true(put(1, 10, 5));
    assert_false(put(1, 10, 5));
    assert_true(put(2, 0, 7));
    assert_int_equal(found(1), 15);
    assert_int_equal(found(2), 7);
    assert_true(put(1, 11, 5));
    assert_int_equal(found(1), 16);
    assert_int_equal(found(3), 0);
}

static void test_what_no_engine_takes(void **state)
{
    (void)state;
    assert_false(put(1, 0, 0));
    assert_false(put(1, MEASUREMENT_BYTES_MAX + 1, 0));
    assert_false(put(1, 0, UINT64_MAX));
    assert_int_equal(found(1), 0);
    assert_true(put(1, MEASUREMENT_BYTES_MAX, MEASUREMENT_BYTES_MAX));
    assert_false(put_rows(1, MEASUREMENT_ROWS_MAX + 1));
    assert_int_equal(found_rows(1), -1);
}

/* What was put again lately is not old. */
static void test_the_oldest_goes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MEASUREMENTS_MAX; i++)
        assert_true(put(i, i + 1, 0));
    assert_false(put(0, 1, 0));
    assert_true(put(MEASUREMENTS_MAX, 9, 0));
    assert_int_equal(found(0), 1);
    assert_int_equal(found(1), 0);
    assert_int_equal(found(2), 3);
    assert_int_equal(found(MEASUREMENTS_MAX), 9);
}

static void test_rows(void **state)
{
    (void)state;
    assert_int_equal(found_rows(1), -1);
    assert_true(put_rows(1, 0)); /* known to be of the older kind */
    assert_int_equal(found_rows(1), 0);
    assert_true(put_rows(1, 1));
    assert_false(put_rows(1, 1));
    assert_int_equal(found_rows(1), 1);
    assert_int_equal(found(1), 0);
    for (unsigned i = 2; i < 2 + MEASUREMENTS_ENGINES_MAX; i++)
        assert_true(put_rows(i, 1));
    assert_int_equal(found_rows(1), -1);
    assert_int_equal(found_rows(2), 1);
}

static void test_what_counts_in_a_pool(void **state)
{
    static const struct measurement both = {.device_bytes = 10, .host_bytes = 3},
                                    host = {.host_bytes = 3}, most = {UINT64_MAX, UINT64_MAX};

    (void)state;
    assert_int_equal(measurement_bytes(&both, POOL_GPU), 10);
    assert_int_equal(measurement_bytes(&both, POOL_UNIFIED), 13);
    assert_int_equal(measurement_bytes(&both, POOL_HOST), 13);
    assert_int_equal(measurement_bytes(&host, POOL_GPU), 0);
    assert_int_equal(measurement_bytes(&most, POOL_HOST), UINT64_MAX);
}

/* --- keys --- */

static struct fingerprint fingerprint;

static struct measurement_key key_with(
        const struct backend_model *model, const char *const *command)
{
    const struct backend_host host = {.command = command};
    struct measurement_key key;

    measurement_key_of_start(&host, model, &fingerprint, &key);
    return key;
}

static void test_each_fact_of_a_start_counts(void **state)
{
    static const char *const command[] = {"llama-server", NULL}, *const other[] = {"other", NULL};
    static const char *const words[] = {"-ngl", "99", NULL}, *const joined[] = {"-ngl99", NULL};
    static const char *const empty[] = {"", NULL};
    const struct backend_model models[] = {{.context = 4096, .slots = 1},
            {.context = 2048, .slots = 1}, {.context = 4096, .slots = 2},
            {.context = 4096, .slots = 1, .type_k = "q8_0"},
            {.context = 4096, .slots = 1, .type_v = "q8_0"},
            {.context = 4096, .slots = 1, .projector = "p"},
            {.context = 4096, .slots = 1, .draft = "p"}, {.context = 4096, .slots = 1, .draft = ""},
            {.context = 4096, .slots = 1, .extra_args = words},
            {.context = 4096, .slots = 1, .extra_args = joined},
            {.context = 4096, .slots = 1, .extra_args = empty}};
    const size_t count = sizeof models / sizeof models[0];
    struct measurement_key first = key_with(&models[0], command), one, two;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        one = key_with(&models[i], command);
        for (size_t j = 0; j < count; j++) {
            two = key_with(&models[j], command);
            assert_int_equal(memcmp(&one, &two, sizeof one) == 0, i == j);
        }
    }
    one = key_with(&models[0], other);
    assert_memory_not_equal(&one, &first, sizeof one);
    fingerprint.bytes[31] ^= 1;
    one = key_with(&models[0], command);
    fingerprint.bytes[31] ^= 1;
    assert_memory_not_equal(&one, &first, sizeof one);
}

/* Names and paths may change. */
static void test_what_does_not_count(void **state)
{
    static const char *const command[] = {"llama-server", NULL}, *const none[] = {NULL};
    const struct backend_model one = {.name = "a", .path = "/a", .context = 1},
                               other = {
                                       .name = "b", .path = "/b", .context = 1, .extra_args = none};
    struct measurement_key a = key_with(&one, command), b = key_with(&other, command);

    (void)state;
    assert_memory_equal(&a, &b, sizeof a);
}

static void test_other_keys(void **state)
{
    static const char *const command[] = {"llama-server", NULL};
    const struct backend_host host = {.command = command}, silent = {.command = NULL};
    struct measurement_key keys[5];

    (void)state;
    measurement_key_of_engine(&host, &keys[0]);
    measurement_key_of_engine(&silent, &keys[1]);
    measurement_key_of_adopted("http://a", "b", "c", &keys[2]);
    measurement_key_of_adopted("http://a", "b", "", &keys[3]);
    measurement_key_of_adopted("http://a", "bc", "", &keys[4]);
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&keys[i], &keys[j], sizeof keys[i]);
}

/* --- the text --- */

static void test_text_and_back(void **state)
{
    struct buf first, second;

    (void)state;
    for (unsigned i = 0; i < MEASUREMENTS_MAX; i++)
        assert_true(put(i, MEASUREMENT_BYTES_MAX - i, i));
    for (unsigned i = 0; i < MEASUREMENTS_ENGINES_MAX; i++)
        assert_true(put_rows(i, MEASUREMENT_ROWS_MAX - i));
    buf_init(&first, MEASUREMENTS_TEXT_MAX);
    buf_init(&second, MEASUREMENTS_TEXT_MAX);
    assert_int_equal(measurements_print(table, &first), 0);
    measurements_destroy(table);
    table = measurements_create();
    assert_int_equal(measurements_parse(table, buf_at(&first), first.len, NULL), 0);
    assert_int_equal(found(7), MEASUREMENT_BYTES_MAX);
    assert_int_equal(found_rows(3), MEASUREMENT_ROWS_MAX - 3);
    assert_int_equal(measurements_print(table, &second), 0);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(buf_at(&first), buf_at(&second), first.len);
    assert_true(put(MEASUREMENTS_MAX, 1, 1)); /* the order was kept too */
    assert_int_equal(found(0), 0);
    buf_fini(&first);
    buf_fini(&second);
}

#define KEY        "\"key\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\""
#define NO_ENGINES ",\"engines\":[]}"

static void test_texts_that_are_taken(void **state)
{
    static const char *const texts[] = {"{\"version\":1,\"starts\":[]" NO_ENGINES,
            "{\"version\":1,\"later\":{},\"engines\":[{" KEY ",\"output_rows\":0}],\"starts\":[]}",
            "{\"version\":1,\"starts\":[{" KEY ",\"device_bytes\":1,\"host_bytes\":0}]" NO_ENGINES};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct measurements *read = measurements_create();
        struct err err = {""};
        if (measurements_parse(read, texts[i], strlen(texts[i]), &err) != 0)
            fail_msg("%s: %s", texts[i], err.text);
        measurements_destroy(read);
    }
}

static void test_texts_that_are_refused(void **state)
{
    static const char *const texts[] = {"", "{", "[]", "{}", "null", "{\"version\":1}",
            "{\"version\":2,\"starts\":[]" NO_ENGINES, "{\"version\":1,\"starts\":{}" NO_ENGINES,
            "{\"version\":1,\"starts\":[]}", "{\"version\":1,\"starts\":[7]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{}]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{" KEY "}]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{" KEY ",\"device_bytes\":1}]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{" KEY ",\"device_bytes\":0,\"host_bytes\":0}]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{" KEY ",\"device_bytes\":-1,\"host_bytes\":1}]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{" KEY
            ",\"device_bytes\":1e30,\"host_bytes\":1}]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{" KEY
            ",\"device_bytes\":1.5,\"host_bytes\":1}]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{" KEY
            ",\"device_bytes\":\"1\",\"host_bytes\":1}]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{\"key\":\"00\",\"device_bytes\":1,\"host_bytes\":1}"
            "]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{\"key\":"
            "\"0011223344556677zz99aabbccddeeff00112233445566778899aabbccddeeff\","
            "\"device_bytes\":1,\"host_bytes\":1}]" NO_ENGINES,
            "{\"version\":1,\"starts\":[{" KEY ",\"device_bytes\":1,\"host_bytes\":1},{" KEY
            ",\"device_bytes\":1,\"host_bytes\":1}]" NO_ENGINES,
            "{\"version\":1,\"starts\":[],\"engines\":[{" KEY "}]}",
            "{\"version\":1,\"starts\":[],\"engines\":[{" KEY ",\"output_rows\":65537}]}"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct measurements *read = measurements_create();
        struct err err = {""};
        if (measurements_parse(read, texts[i], strlen(texts[i]), &err) != -EINVAL)
            fail_msg("%s was taken", texts[i]);
        assert_true(err.text[0] != '\0');
        measurements_destroy(read);
    }
}

static void test_a_list_that_is_too_long(void **state)
{
    struct buf text;
    struct err err;

    (void)state;
    buf_init(&text, 1 << 20);
    assert_int_equal(buf_append_str(&text, "{\"version\":1,\"starts\":[],\"engines\":["), 0);
    for (unsigned i = 0; i <= MEASUREMENTS_ENGINES_MAX; i++)
        assert_int_equal(
                buf_appendf(&text, "%s{\"key\":\"%064x\",\"output_rows\":1}", i ? "," : "", i), 0);
    assert_int_equal(buf_append_str(&text, "]}"), 0);
    assert_int_equal(measurements_parse(table, buf_at(&text), text.len, &err), -EINVAL);
    assert_non_null(strstr(err.text, "more than 64"));
    buf_fini(&text);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_what_was_put_is_found),
            TEST(test_what_no_engine_takes),
            TEST(test_the_oldest_goes),
            TEST(test_rows),
            TEST(test_what_counts_in_a_pool),
            TEST(test_each_fact_of_a_start_counts),
            TEST(test_what_does_not_count),
            TEST(test_other_keys),
            TEST(test_text_and_back),
            TEST(test_texts_that_are_taken),
            TEST(test_texts_that_are_refused),
            TEST(test_a_list_that_is_too_long),
    };
    return cmocka_run_group_tests_name("measurements", tests, NULL, NULL);
}
