#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/gguf_reader.h"
#include "tests/lib/gguf_maker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was heard, as text; arrays are wanted where their key begins with "want". */
struct heard {
    char text[4096];
    size_t len, pieces, bytes;
};

static void __attribute__((format(printf, 2, 3))) note(struct heard *heard, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    heard->len +=
            (size_t)vsnprintf(heard->text + heard->len, sizeof heard->text - heard->len, fmt, args);
    va_end(args);
    assert_true(heard->len < sizeof heard->text);
}

static void on_text(void *ctx, const char *key, const char *piece, size_t len, uint64_t at)
{
    struct heard *heard = ctx;

    assert_int_equal(at, strcmp(key, "long") == 0 ? heard->bytes : 0);
    heard->pieces++;
    heard->bytes += strcmp(key, "long") == 0 ? len : 0;
    if (strcmp(key, "long") != 0)
        note(heard, "%s='%.*s' ", key, (int)len, piece);
}

static void on_number(void *ctx, const char *key, uint64_t value)
{
    note(ctx, "%s=%llu ", key, (unsigned long long)value);
}

static bool on_array(void *ctx, const char *key, enum gguf_type type, uint64_t count)
{
    note(ctx, "%s[%d:%llu] ", key, (int)type, (unsigned long long)count);
    return strncmp(key, "want", 4) == 0;
}

static void on_number_element(void *ctx, uint64_t index, uint64_t value)
{
    note(ctx, "%llu:%llu ", (unsigned long long)index, (unsigned long long)value);
}

static void on_text_element(void *ctx, uint64_t index, const char *text)
{
    note(ctx, "%llu:'%s' ", (unsigned long long)index, text);
}

static void on_tensor(void *ctx, const struct gguf_tensor *tensor)
{
    note(ctx, "(%s %llu %llu%s) ", tensor->name, (unsigned long long)tensor->elements,
            (unsigned long long)tensor->bytes, tensor->type_known ? "" : "?");
}

static const struct gguf_events events = {.on_text = on_text,
        .on_number = on_number,
        .on_array = on_array,
        .on_number_element = on_number_element,
        .on_text_element = on_text_element,
        .on_tensor = on_tensor};

static int read_file(const struct buf *file, struct heard *heard, struct gguf_layout *ret_layout)
{
    struct gguf_memory memory = {.file = file};
    struct gguf_source source = gguf_memory_source(&memory);
    struct err err;

    memset(heard, 0, sizeof *heard);
    return gguf_read(&source, &events, heard, ret_layout, &err);
}

static int setup(void **state)
{
    static struct buf file;

    buf_init(&file, 4 * 1024 * 1024);
    *state = &file;
    return 0;
}

static int teardown(void **state)
{
    buf_fini(*state);
    return 0;
}

static void put_number(struct buf *file, const char *key, enum gguf_type type, uint64_t value)
{
    static const size_t bytes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

    gguf_put_text(file, key);
    gguf_put_u32(file, type);
    assert_int_equal(buf_append(file, &value, bytes[type]), 0);
}

static void test_keys_in_their_order(void **state)
{
    struct buf *file = *state;
    struct gguf_layout layout;
    struct heard heard;

    gguf_put_head(file, 3, 2, 7);
    gguf_put_key_text(file, "name", "a b");
    put_number(file, "u8", GGUF_U8, 255);
    put_number(file, "minus", GGUF_I64, (uint64_t)-1);
    put_number(file, "i16", GGUF_I16, 0x7fff);
    put_number(file, "float", GGUF_F32, 0);
    put_number(file, "yes", GGUF_BOOL, 1);
    gguf_put_key_text(file, "empty", "");
    gguf_put_matrix(file, "m", 33, 2, 8, 0);
    gguf_put_matrix(file, "n", 3, 5, 999, 136);
    gguf_put_data(file, 137);
    assert_int_equal(read_file(file, &heard, &layout), 0);
    assert_string_equal(
            heard.text, "name='a b' u8=255 i16=32767 yes=1 empty='' (m 66 136) (n 15 0?) ");
    assert_int_equal(layout.version, 3);
    assert_int_equal(layout.tensor_count, 2);
    assert_int_equal(layout.data_offset, file->len - 137);
    assert_in_range(layout.header_bytes, layout.data_offset - 31, layout.data_offset);
}

static void test_arrays_that_are_wanted(void **state)
{
    static const uint32_t values[] = {7, UINT32_MAX, 9};
    struct buf *file = *state;
    struct gguf_layout layout;
    struct heard heard;

    gguf_put_head(file, 3, 0, 4);
    gguf_put_key_u32s(file, "want numbers", values, 3);
    gguf_put_key_u32s(file, "pass", values, 3);
    gguf_put_key_texts(file, "want texts", 2);
    gguf_put_text(file, "want signed");
    gguf_put_u32(file, GGUF_ARRAY);
    gguf_put_u32(file, GGUF_I32);
    gguf_put_u64(file, 2);
    gguf_put_u32(file, 5);
    gguf_put_u32(file, (uint32_t)-5);
    assert_int_equal(read_file(file, &heard, &layout), 0);
    assert_string_equal(heard.text, "want numbers[4:3] 0:7 1:4294967295 2:9 pass[4:3] "
                                    "want texts[8:2] 0:'token' 1:'token' "
                                    "want signed[5:2] 0:5 1:0 ");
    assert_int_equal(layout.header_bytes, file->len);
    assert_int_equal(layout.data_offset, file->len);
}

/* Nested arrays and those of floating-point numbers are nobody's. */
static void test_arrays_that_are_not_shown(void **state)
{
    struct buf *file = *state;
    struct gguf_layout layout;
    struct heard heard;

    gguf_put_head(file, 3, 0, 3);
    gguf_put_text(file, "want floats");
    gguf_put_u32(file, GGUF_ARRAY);
    gguf_put_u32(file, GGUF_F64);
    gguf_put_u64(file, 1);
    gguf_put_u64(file, 0);
    gguf_put_text(file, "want nested");
    gguf_put_u32(file, GGUF_ARRAY);
    gguf_put_u32(file, GGUF_ARRAY);
    gguf_put_u64(file, 1);
    gguf_put_u32(file, GGUF_U32);
    gguf_put_u64(file, 1);
    gguf_put_u32(file, 3);
    gguf_put_key_u32(file, "then", 4);
    assert_int_equal(read_file(file, &heard, &layout), 0);
    assert_string_equal(heard.text, "then=4 ");
}

static void put_long(struct buf *file, size_t bytes)
{
    char *text = malloc(bytes + 1);

    assert_non_null(text);
    memset(text, 'x', bytes);
    text[bytes] = '\0';
    buf_clear(file);
    gguf_put_head(file, 3, 0, 2);
    gguf_put_key_text(file, "long", text);
    gguf_put_key_u32(file, "then", 4);
    free(text);
}

static void test_long_texts_come_in_pieces(void **state)
{
    struct gguf_layout layout;
    struct heard heard;

    put_long(*state, 2 * GGUF_PIECE_MAX + 1);
    assert_int_equal(read_file(*state, &heard, &layout), 0);
    assert_int_equal(heard.pieces, 3);
    assert_int_equal(heard.bytes, 2 * GGUF_PIECE_MAX + 1);
    put_long(*state, GGUF_TEXT_READ_MAX + 5000);
    assert_int_equal(read_file(*state, &heard, &layout), 0);
    assert_int_equal(heard.bytes, GGUF_TEXT_READ_MAX);
    assert_string_equal(heard.text, "then=4 ");
}

static void test_nobody_listens(void **state)
{
    struct buf *file = *state;
    struct gguf_memory memory = {.file = file};
    struct gguf_source source;
    struct gguf_layout layout;
    struct err err;

    gguf_put_model(file, 64);
    source = gguf_memory_source(&memory);
    assert_int_equal(gguf_read(&source, NULL, NULL, &layout, &err), 0);
    assert_int_equal(layout.data_offset, file->len - 64);
    assert_int_equal(layout.tensor_count, 1);
}

static void test_nothing_is_said_of_a_broken_file(void **state)
{
    struct buf *file = *state;
    struct gguf_layout layout = {.version = 77};
    struct heard heard;

    gguf_put_model(file, 31);
    assert_int_equal(read_file(file, &heard, &layout), -ENODATA);
    assert_int_equal(layout.version, 77);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_keys_in_their_order),
            TEST(test_arrays_that_are_wanted),
            TEST(test_arrays_that_are_not_shown),
            TEST(test_long_texts_come_in_pieces),
            TEST(test_nobody_listens),
            TEST(test_nothing_is_said_of_a_broken_file),
    };
    return cmocka_run_group_tests_name("gguf_reader", tests, NULL, NULL);
}
