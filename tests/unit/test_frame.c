#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct frame untouched = {.version = 77, .type = 77, .flags = 77, .body_len = 77};

static void assert_refused(int want, const void *data, size_t len)
{
    struct frame frame = untouched;

    assert_int_equal(frame_parse(data, len, &frame), want);
    assert_memory_equal(&frame, &untouched, sizeof frame);
}

static void test_header_is_read_back(void **state)
{
    uint8_t bytes[FRAME_HEADER_BYTES + 3] = {[FRAME_HEADER_BYTES] = 'a', 'b', 'c'};
    struct frame frame;

    (void)state;
    frame_header(200, bytes);
    assert_int_equal(bytes[0], 'm');
    assert_int_equal(frame_parse(bytes, sizeof bytes, &frame), 0);
    assert_int_equal(frame.version, FRAME_VERSION);
    assert_int_equal(frame.type, 200);
    assert_int_equal(frame.flags, 0);
    assert_int_equal(frame.body_len, 3);
    assert_ptr_equal(frame.body, bytes + FRAME_HEADER_BYTES);
}

static void test_empty_body(void **state)
{
    uint8_t bytes[FRAME_HEADER_BYTES];
    struct frame frame;

    (void)state;
    frame_header(1, bytes);
    assert_int_equal(frame_parse(bytes, sizeof bytes, &frame), 0);
    assert_int_equal(frame.body_len, 0);
}

static void test_too_short(void **state)
{
    uint8_t bytes[FRAME_HEADER_BYTES];

    (void)state;
    frame_header(1, bytes);
    assert_refused(-EBADMSG, NULL, 0);
    for (size_t len = 0; len < FRAME_HEADER_BYTES; len++) {
        uint8_t *exact = malloc(len ? len : 1);

        assert_non_null(exact);
        memcpy(exact, bytes, len);
        assert_refused(-EBADMSG, exact, len);
        free(exact);
    }
}

static void test_magic(void **state)
{
    uint8_t bytes[FRAME_HEADER_BYTES];

    (void)state;
    frame_header(1, bytes);
    for (unsigned magic = 0; magic <= UINT8_MAX; magic++) {
        bytes[0] = (uint8_t)magic;
        if (magic != FRAME_MAGIC)
            assert_refused(-EBADMSG, bytes, sizeof bytes);
    }
}

static void test_versions(void **state)
{
    uint8_t bytes[FRAME_HEADER_BYTES];
    struct frame frame;

    (void)state;
    frame_header(1, bytes);
    for (unsigned version = 0; version <= UINT8_MAX; version++) {
        bytes[1] = (uint8_t)version;
        if (version < FRAME_VERSION_MIN || version > FRAME_VERSION + 1) {
            assert_refused(-EPROTONOSUPPORT, bytes, sizeof bytes);
            continue;
        }
        assert_int_equal(frame_parse(bytes, sizeof bytes, &frame), 0);
        assert_int_equal(frame.version, version);
    }
}

static void test_flags_are_handed_on(void **state)
{
    uint8_t bytes[FRAME_HEADER_BYTES];
    struct frame frame;

    (void)state;
    frame_header(1, bytes);
    bytes[3] = 0xff;
    assert_int_equal(frame_parse(bytes, sizeof bytes, &frame), 0);
    assert_int_equal(frame.flags, 0xff);
}

static void test_largest_body(void **state)
{
    uint8_t *bytes = calloc(1, FRAME_MAX + 1);
    struct frame frame;

    (void)state;
    assert_non_null(bytes);
    frame_header(1, bytes);
    assert_int_equal(frame_parse(bytes, FRAME_MAX, &frame), 0);
    assert_int_equal(frame.body_len, FRAME_BODY_MAX);
    assert_refused(-EMSGSIZE, bytes, FRAME_MAX + 1);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_header_is_read_back),
            cmocka_unit_test(test_empty_body),
            cmocka_unit_test(test_too_short),
            cmocka_unit_test(test_magic),
            cmocka_unit_test(test_versions),
            cmocka_unit_test(test_flags_are_handed_on),
            cmocka_unit_test(test_largest_body),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
