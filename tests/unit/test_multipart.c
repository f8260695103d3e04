#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/multipart.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct fixture {
    struct virtual_env world;
    struct buf out;
    struct multipart form;
};

static void begin(struct fixture *f, size_t max)
{
    virtual_env_init(&f->world);
    buf_init(&f->out, max);
    multipart_init(&f->form, &f->world.env, &f->out);
}

static void test_a_form(void **state)
{
    struct fixture f;
    char expected[1024], type[MULTIPART_TYPE_MAX];
    const char *mark = f.form.boundary;
    int len;

    (void)state;
    begin(&f, 4096);
    assert_int_equal(strlen(mark), 2 * MULTIPART_BOUNDARY_BYTES);
    assert_int_equal(multipart_field(&f.form, "language", "de\r\nfr"), 0);
    assert_int_equal(multipart_file(&f.form, "file", "a.wav", "R\0F", 3), 0);
    assert_int_equal(multipart_end(&f.form), 0);
    len = snprintf(expected, sizeof(expected),
            "--%s\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\nde\r\nfr\r\n"
            "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
            "Content-Type: application/octet-stream\r\n\r\nR%cF\r\n--%s--\r\n",
            mark, mark, '\0', mark);
    assert_int_equal(f.out.len, len);
    assert_memory_equal(buf_at(&f.out), expected, (size_t)len);
    multipart_type(&f.form, type);
    assert_int_equal(strncmp(type, "multipart/form-data; boundary=", 30), 0);
    assert_string_equal(type + 30, mark);
    buf_fini(&f.out);
}

static void test_a_filename_stays_in_its_quotes(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 4096);
    assert_int_equal(multipart_file(&f.form, "file", "a\"\r\nX: y\x7f\xc3\xa9", "", 0), 0);
    assert_int_equal(buf_terminate(&f.out), 0);
    assert_non_null(strstr(buf_at(&f.out), "; filename=\"a%22%0D%0AX: y%7F\xc3\xa9\"\r\n"));
    buf_fini(&f.out);
}

static void test_boundaries_differ(void **state)
{
    struct fixture f;
    char first[sizeof(f.form.boundary)];

    (void)state;
    begin(&f, 16);
    strcpy(first, f.form.boundary);
    multipart_init(&f.form, &f.world.env, &f.out);
    assert_string_not_equal(first, f.form.boundary);
    buf_fini(&f.out);
}

static void test_no_room(void **state)
{
    (void)state;
    for (size_t max = 0; max < 270; max += 7) {
        struct fixture f;
        int r;

        begin(&f, max);
        r = multipart_field(&f.form, "language", "de");
        if (r == 0)
            r = multipart_file(&f.form, "file", "a.wav", "abc", 3);
        if (r == 0)
            r = multipart_end(&f.form);
        assert_int_equal(r, -ENOBUFS);
        buf_fini(&f.out);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_a_form),
            cmocka_unit_test(test_a_filename_stays_in_its_quotes),
            cmocka_unit_test(test_boundaries_differ),
            cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests_name("multipart", tests, NULL, NULL);
}
