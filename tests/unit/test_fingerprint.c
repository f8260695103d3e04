#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/fingerprint.h"
#include "tests/lib/gguf_maker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DATA_BYTES = 1024 * 1024, PARTS = 3, BUFFER_BYTES = 64 * 1024 };

#define HUGE_BYTES (100ull << 30)

static void make(struct buf *file, const char *name)
{
    buf_init(file, 4 * 1024 * 1024);
    gguf_put_head(file, 3, 1, 2);
    gguf_put_key_text(file, "general.name", name);
    gguf_put_key_texts(file, "tokenizer.ggml.tokens", 10000);
    gguf_put_matrix(file, "x", 1024, DATA_BYTES / 1024, 24, 0);
    gguf_put_data(file, DATA_BYTES);
}

static char *byte_at(const struct buf *file, size_t offset)
{
    assert_true(offset < file->len);
    return (char *)buf_at(file) + offset;
}

static struct fingerprint read_parts(struct gguf_memory *memory, size_t count)
{
    struct gguf_source parts[PARTS];
    struct fingerprint fingerprint;
    struct err err;

    for (size_t i = 0; i < count; i++)
        parts[i] = gguf_memory_source(&memory[i]);
    assert_int_equal(fingerprint_read(parts, count, &fingerprint, &err), 0);
    return fingerprint;
}

static struct fingerprint read_one(const struct buf *file)
{
    struct gguf_memory memory = {.file = file};

    return read_parts(&memory, 1);
}

static void assert_same(struct fingerprint a, struct fingerprint b)
{
    assert_memory_equal(a.bytes, b.bytes, sizeof a.bytes);
}

static void assert_other(struct fingerprint a, struct fingerprint b)
{
    assert_memory_not_equal(a.bytes, b.bytes, sizeof a.bytes);
}

static void test_same_content(void **state)
{
    struct buf a, b;

    (void)state;
    make(&a, "a");
    make(&b, "a");
    assert_same(read_one(&a), read_one(&b));
    buf_fini(&b);
    make(&b, "b");
    assert_other(read_one(&a), read_one(&b));
    buf_fini(&a);
    buf_fini(&b);
}

/* What every host must come to: changes only with FINGERPRINT_… or the order of what is hashed. */
static void test_known_value(void **state)
{
    char text[FINGERPRINT_TEXT_MAX];
    struct fingerprint fingerprint;
    struct buf file;

    (void)state;
    make(&file, "a");
    fingerprint = read_one(&file);
    assert_string_equal(fingerprint_format(&fingerprint, text),
            "fbe7324d85db556ab8aac65fcf30e03a00da68527018e7295677a52df67cf234");
    buf_fini(&file);
}

static void test_size_and_samples_count(void **state)
{
    struct fingerprint before;
    struct buf file;
    char *token;

    (void)state;
    make(&file, "a");
    before = read_one(&file);
    *byte_at(&file, file.len - 1) = 1;
    assert_other(before, read_one(&file));
    *byte_at(&file, file.len - 1) = 0;
    assert_same(before, read_one(&file));
    token = memmem(byte_at(&file, 20000), 100, "token", 5); /* far from any sample */
    assert_non_null(token);
    *token = 'T';
    assert_other(before, read_one(&file));
    *token = 't';
    assert_int_equal(buf_append(&file, "", 1), 0);
    assert_other(before, read_one(&file));
    buf_fini(&file);
}

static void test_samples_lie_over_the_whole(void **state)
{
    struct fingerprint before;
    struct buf file;
    size_t seen = 0;

    (void)state;
    make(&file, "a");
    before = read_one(&file);
    for (size_t i = 0; i < 64; i++) {
        char *byte = byte_at(&file, file.len - DATA_BYTES + i * (DATA_BYTES / 64));
        struct fingerprint now;
        *byte = 1;
        now = read_one(&file);
        seen += memcmp(now.bytes, before.bytes, sizeof now.bytes) != 0;
        *byte = 0;
    }
    assert_in_range(seen, 8, 32); /* a quarter of the bytes is read here */
    buf_fini(&file);
}

static void test_parts_in_order(void **state)
{
    struct gguf_memory memory[PARTS], swapped[PARTS];
    struct fingerprint all;
    struct buf files[PARTS];

    (void)state;
    for (int i = 0; i < PARTS; i++) {
        make(&files[i], i == 0 ? "a" : i == 1 ? "b" : "c");
        memory[i] = (struct gguf_memory){.file = &files[i]};
    }
    memcpy(swapped, memory, sizeof memory);
    swapped[1].file = &files[2];
    swapped[2].file = &files[1];
    all = read_parts(memory, PARTS);
    assert_other(all, read_parts(swapped, PARTS));
    assert_other(all, read_parts(memory, PARTS - 1));
    *byte_at(&files[2], files[2].len - 1) = 1;
    assert_other(all, read_parts(memory, PARTS));
    for (int i = 0; i < PARTS; i++)
        buf_fini(&files[i]);
}

static void test_little_is_read_of_a_large_split(void **state)
{
    struct gguf_memory memory[PARTS];
    struct buf files[PARTS];
    uint64_t served = 0, headers = 0;

    (void)state;
    for (int i = 0; i < PARTS; i++) {
        make(&files[i], "a");
        memory[i] = (struct gguf_memory){.file = &files[i], .size_bytes = HUGE_BYTES};
        headers += files[i].len - DATA_BYTES;
    }
    read_parts(memory, PARTS);
    for (int i = 0; i < PARTS; i++)
        served += memory[i].served;
    /* Each header once to find its end and once to be hashed. */
    assert_true(served <= 2 * headers + PARTS * BUFFER_BYTES +
                                  FINGERPRINT_SAMPLES * FINGERPRINT_SAMPLE_BYTES);
    assert_true(memory[2].end == HUGE_BYTES);
    for (int i = 0; i < PARTS; i++)
        buf_fini(&files[i]);
}

static void test_small_files(void **state)
{
    struct buf file;

    (void)state;
    buf_init(&file, 4096);
    gguf_put_head(&file, 3, 0, 0);
    read_one(&file);
    buf_fini(&file);
}

static ssize_t read_nothing(void *ctx, uint64_t offset, void *ret_data, size_t len)
{
    (void)offset;
    (void)ret_data;
    (void)len;
    return *(int *)ctx;
}

static void test_what_cannot_be_read(void **state)
{
    struct fingerprint fingerprint;
    struct buf file;
    struct err err;
    int result = -EIO;
    struct gguf_source source = {.read_at = read_nothing, .ctx = &result, .size_bytes = 4096};

    (void)state;
    assert_int_equal(fingerprint_read(&source, 0, &fingerprint, &err), -EINVAL);
    assert_int_equal(fingerprint_read(&source, 1, &fingerprint, &err), -EIO);
    result = 0;
    assert_int_equal(fingerprint_read(&source, 1, &fingerprint, &err), -ENODATA);
    buf_init(&file, 4096);
    assert_int_equal(buf_append_str(&file, "<html>not what you asked for</html>"), 0);
    source = gguf_memory_source(&(struct gguf_memory){.file = &file});
    assert_int_equal(fingerprint_read(&source, 1, &fingerprint, &err), -EBADMSG);
    buf_fini(&file);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_same_content),
            cmocka_unit_test(test_known_value),
            cmocka_unit_test(test_size_and_samples_count),
            cmocka_unit_test(test_samples_lie_over_the_whole),
            cmocka_unit_test(test_parts_in_order),
            cmocka_unit_test(test_little_is_read_of_a_large_split),
            cmocka_unit_test(test_small_files),
            cmocka_unit_test(test_what_cannot_be_read),
    };
    return cmocka_run_group_tests_name("fingerprint", tests, NULL, NULL);
}
