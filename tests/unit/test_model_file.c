#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/gguf.h"
#include "common/model/model_file.h"
#include "tests/lib/gguf_maker.h"
#include "tests/lib/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HUGE_BYTES (100ll << 30)

static struct scratch scratch;

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_fini(&scratch);
    return 0;
}

static void put_part(const char *name, uint32_t no, uint32_t count)
{
    struct buf out;
    FILE *file;

    buf_init(&out, 64 * 1024);
    gguf_put_head(&out, 3, 1, 3);
    gguf_put_key_text(&out, "general.architecture", "llama");
    gguf_put_key_u32(&out, "split.no", no);
    gguf_put_key_u32(&out, "split.count", count);
    gguf_put_matrix(&out, "x", 256, 4, 1, 0);
    gguf_put_data(&out, 2048);
    file = fopen(scratch_path(&scratch, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(buf_at(&out), 1, out.len, file), out.len);
    assert_int_equal(fclose(file), 0);
    buf_fini(&out);
}

static struct model_file *open_named(const char *name)
{
    struct model_file *file = NULL;
    struct err err;

    assert_int_equal(model_file_open(scratch_path(&scratch, name), &file, &err), 0);
    return file;
}

static int open_error(const char *name, struct err *err)
{
    struct model_file *file = NULL;
    int rc = model_file_open(scratch_path(&scratch, name), &file, err);

    assert_null(file);
    return rc;
}

static uint64_t tensor_bytes(const struct model_file *file)
{
    struct gguf_facts *facts = malloc(sizeof *facts);
    struct err err;
    uint64_t bytes;

    assert_int_equal(
            gguf_parse_facts(model_file_parts(file), model_file_part_count(file), facts, &err), 0);
    bytes = facts->tensor_bytes;
    free(facts);
    return bytes;
}

static void test_one_file(void **state)
{
    struct model_file *file;

    (void)state;
    put_part("a.gguf", 0, 1);
    file = open_named("a.gguf");
    assert_int_equal(model_file_part_count(file), 1);
    assert_int_equal(tensor_bytes(file), 2048);
    assert_true(model_file_bytes(file) > 2048);
    model_file_close(file);
    model_file_close(NULL);
}

/* Where nothing is read but the headers, the size is no matter. */
static void test_parts_of_100_gb(void **state)
{
    struct model_file *file;

    (void)state;
    put_part("big-00001-of-00003.gguf", 0, 3);
    put_part("big-00002-of-00003.gguf", 1, 3);
    put_part("big-00003-of-00003.gguf", 2, 3);
    assert_int_equal(truncate(scratch_path(&scratch, "big-00002-of-00003.gguf"), HUGE_BYTES), 0);
    file = open_named("big-00001-of-00003.gguf");
    assert_int_equal(model_file_part_count(file), 3);
    assert_int_equal(tensor_bytes(file), 3 * 2048);
    assert_true(model_file_bytes(file) > (uint64_t)HUGE_BYTES);
    model_file_close(file);
}

static size_t open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void test_missing_part(void **state)
{
    struct err err;
    size_t before = open_descriptors();

    (void)state;
    put_part("big-00001-of-00003.gguf", 0, 3);
    put_part("big-00002-of-00003.gguf", 1, 3);
    assert_int_equal(open_error("big-00001-of-00003.gguf", &err), -ENOENT);
    assert_non_null(strstr(err.text, "big-00003-of-00003.gguf"));
    assert_int_equal(open_descriptors(), before);
}

static void test_what_cannot_be_opened(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(open_error("none.gguf", &err), -ENOENT);
    put_part("big-00002-of-00003.gguf", 1, 3);
    assert_int_equal(open_error("big-00002-of-00003.gguf", &err), -EINVAL);
    assert_non_null(strstr(err.text, "name the first"));
    put_part("many-00001-of-99999.gguf", 0, 3);
    assert_int_equal(open_error("many-00001-of-99999.gguf", &err), -EMSGSIZE);
    scratch_mkdir(&scratch, "folder.gguf");
    assert_int_equal(open_error("folder.gguf", &err), -EINVAL);
    assert_non_null(strstr(err.text, "no regular file"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(test_one_file),
            TEST(test_parts_of_100_gb),
            TEST(test_missing_part),
            TEST(test_what_cannot_be_opened),
    };
    return cmocka_run_group_tests_name("model_file", tests, NULL, NULL);
}
