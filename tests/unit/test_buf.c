#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

/* Lets malloc refuse under AddressSanitizer as it does without. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void assert_holds(const struct buf *buf, const char *text)
{
    assert_int_equal(buf->len, strlen(text));
    assert_memory_equal(buf_at(buf), text, buf->len);
}

static void appends_and_consumes_in_order(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_null(buf.data);
    assert_string_equal(buf_at(&buf), "");
    assert_int_equal(buf_append(&buf, "abc", 3), 0);
    assert_int_equal(buf_append_str(&buf, "def"), 0);
    assert_int_equal(buf_appendf(&buf, "%d-%s", 42, "x"), 0);
    assert_holds(&buf, "abcdef42-x");
    buf_consume(&buf, 4);
    assert_holds(&buf, "ef42-x");
    buf_consume(&buf, 6);
    assert_holds(&buf, "");
    assert_int_equal(buf.start, 0);
    buf_fini(&buf);
}

static void empty_appends_need_no_memory(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    assert_int_equal(buf_append(&buf, NULL, 0), 0);
    assert_int_equal(buf_append_str(&buf, ""), 0);
    assert_null(buf.data);
    assert_int_equal(buf_append(&buf, "a", 1), -ENOBUFS);
    buf_consume(&buf, 0);
    buf_fini(&buf);
}

static void maximum_holds_and_a_failure_changes_nothing(void **state)
{
    (void)state;
    struct buf buf;
    void *room = NULL;
    buf_init(&buf, 8);
    assert_int_equal(buf_append_str(&buf, "abcdef"), 0);
    assert_int_equal(buf_append_str(&buf, "ghi"), -ENOBUFS);
    assert_int_equal(buf_appendf(&buf, "%d", 123), -ENOBUFS);
    assert_int_equal(buf_reserve(&buf, 3, &room), -ENOBUFS);
    assert_int_equal(buf_append(&buf, "x", SIZE_MAX), -ENOBUFS);
    assert_null(room);
    assert_holds(&buf, "abcdef");
    assert_int_equal(buf_appendf(&buf, "%d", 78), 0);
    assert_holds(&buf, "abcdef78");
    buf_consume(&buf, 3);
    assert_int_equal(buf_append_str(&buf, "ghi"), 0);
    assert_holds(&buf, "def78ghi");
    assert_true(buf.cap <= 9);
    buf_fini(&buf);
}

static void refused_memory_changes_nothing(void **state)
{
    (void)state;
    struct buf buf;
    void *room = NULL;
    buf_init(&buf, SIZE_MAX);
    assert_int_equal(buf_append_str(&buf, "kept"), 0);
    buf_consume(&buf, 1);
    const char *at = buf_at(&buf);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX / 2, &room), -ENOMEM);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX - 4, &room), -ENOMEM);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX - 3, &room), -ENOBUFS);
    assert_null(room);
    assert_ptr_equal(buf_at(&buf), at);
    assert_holds(&buf, "ept");
    buf_fini(&buf);
}

static void terminator_fits_a_full_buffer(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 4);
    assert_int_equal(buf_terminate(&buf), 0);
    assert_string_equal(buf_at(&buf), "");
    assert_int_equal(buf_append_str(&buf, "full"), 0);
    assert_int_equal(buf_terminate(&buf), 0);
    assert_string_equal(buf_at(&buf), "full");
    assert_int_equal(buf.len, 4);
    buf_consume(&buf, 1);
    assert_int_equal(buf_append_str(&buf, "y"), 0);
    assert_int_equal(buf_terminate(&buf), 0);
    assert_string_equal(buf_at(&buf), "ully");
    buf_fini(&buf);
}

static void reserve_then_commit(void **state)
{
    (void)state;
    struct buf buf;
    void *room;
    buf_init(&buf, 1000);
    assert_int_equal(buf_reserve(&buf, 300, &room), 0);
    memset(room, 'r', 300);
    buf_commit(&buf, 2);
    assert_holds(&buf, "rr");
    assert_int_equal(buf_reserve(&buf, 998, &room), 0);
    memset(room, 's', 998);
    buf_commit(&buf, 998);
    assert_int_equal(buf.len, 1000);
    assert_int_equal(buf_reserve(&buf, 0, &room), 0);
    assert_int_equal(buf_at(&buf)[999], 's');
    buf_fini(&buf);
}

static void clear_keeps_the_allocation(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(buf_append_str(&buf, "abc"), 0);
    const char *data = buf.data;
    buf_consume(&buf, 1);
    buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf_append_str(&buf, "xyz"), 0);
    assert_ptr_equal(buf_at(&buf), data);
    buf_fini(&buf);
    buf_fini(&buf);
}

/* A counter goes in at the back and comes out at the front, in pieces of all sizes. */
static void long_queue_keeps_its_bytes(void **state)
{
    (void)state;
    struct buf buf;
    unsigned char in = 0, out = 0;
    buf_init(&buf, 500);
    for (size_t step = 0; step < 20000; step++) {
        unsigned char piece[97];
        size_t len = step * 31 % sizeof(piece);
        for (size_t i = 0; i < len; i++)
            piece[i] = (unsigned char)(in + i);
        if (buf_append(&buf, piece, len) == 0)
            in = (unsigned char)(in + len);
        size_t drop = step * 17 % 101;
        for (size_t i = 0; i < drop && buf.len > 0; i++) {
            assert_int_equal((unsigned char)*buf_at(&buf), out++);
            buf_consume(&buf, 1);
        }
        assert_true(buf.len <= 500 && buf.cap <= 501);
    }
    assert_int_equal((unsigned char)(in - out), buf.len & 0xff);
    buf_fini(&buf);
}

static void reader_is_little_endian(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff};
    struct reader reader;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    reader_init(&reader, bytes, sizeof(bytes));
    assert_int_equal(reader_u16(&reader, &u16), 0);
    assert_int_equal(u16, 0x0201);
    assert_int_equal(reader_u32(&reader, &u32), 0);
    assert_int_equal(u32, 0x06050403);
    assert_int_equal(reader_u64(&reader, &u64), 0);
    assert_int_equal(u64, UINT64_C(0x0e0d0c0b0a090807));
    assert_int_equal(reader_u8(&reader, &u8), 0);
    assert_int_equal(u8, 0xff);
    assert_int_equal(reader.left, 0);
}

static void failed_read_changes_nothing(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
    struct reader reader;
    uint8_t u8 = 77;
    uint16_t u16 = 77;
    uint32_t u32 = 77;
    uint64_t u64 = 77;
    const void *data = NULL;
    reader_init(&reader, bytes, sizeof(bytes));
    assert_int_equal(reader_u64(&reader, &u64), -EBADMSG);
    assert_int_equal(reader_bytes(&reader, 8, &data), -EBADMSG);
    assert_int_equal(reader_skip(&reader, UINT64_MAX), -EBADMSG);
    assert_int_equal(reader_skip(&reader, 4), 0);
    assert_int_equal(reader_u32(&reader, &u32), -EBADMSG);
    assert_int_equal(reader_skip(&reader, 2), 0);
    assert_int_equal(reader_u16(&reader, &u16), -EBADMSG);
    assert_int_equal(reader.left, 1);
    assert_ptr_equal(reader.at, bytes + 6);
    assert_int_equal(reader_skip(&reader, 1), 0);
    assert_int_equal(reader_u8(&reader, &u8), -EBADMSG);
    assert_true(u8 == 77 && u16 == 77 && u32 == 77 && u64 == 77 && !data);
}

static void reader_lends_bytes(void **state)
{
    (void)state;
    static const char text[] = "abcdef";
    struct reader reader;
    const void *data;
    reader_init(&reader, text, 6);
    assert_int_equal(reader_bytes(&reader, 2, &data), 0);
    assert_ptr_equal(data, text);
    assert_int_equal(reader_bytes(&reader, 0, &data), 0);
    assert_int_equal(reader_bytes(&reader, 4, &data), 0);
    assert_ptr_equal(data, text + 2);

    reader_init(&reader, NULL, 0);
    assert_int_equal(reader_bytes(&reader, 0, &data), 0);
    assert_int_equal(reader_skip(&reader, 0), 0);
    assert_int_equal(reader_skip(&reader, 1), -EBADMSG);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(appends_and_consumes_in_order),
            cmocka_unit_test(empty_appends_need_no_memory),
            cmocka_unit_test(maximum_holds_and_a_failure_changes_nothing),
            cmocka_unit_test(refused_memory_changes_nothing),
            cmocka_unit_test(terminator_fits_a_full_buffer),
            cmocka_unit_test(reserve_then_commit),
            cmocka_unit_test(clear_keeps_the_allocation),
            cmocka_unit_test(long_queue_keeps_its_bytes),
            cmocka_unit_test(reader_is_little_endian),
            cmocka_unit_test(failed_read_changes_nothing),
            cmocka_unit_test(reader_lends_bytes),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
