#include "coordinator/dialects/form_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "multipart/form-data; boundary=xyz"
#define PART(name, data)                                                                           \
    "--xyz\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" data "\r\n"
#define END "--xyz--\r\n"

struct seen {
    char text[400]; /* "name/filename=data;" of each part */
    int answer;
};

static int see(void *ctx, const struct form_part *part)
{
    struct seen *seen = ctx;
    size_t len = strlen(seen->text);
    snprintf(seen->text + len, sizeof(seen->text) - len, "%s/%s=%.*s;", part->name, part->filename,
            (int)part->len, part->data);
    return seen->answer;
}

static void reads(const char *type, const char *body, const char *text)
{
    struct seen seen = {.text = ""};
    struct err err = {.text = ""};
    if (form_data_each(type, body, strlen(body), see, &seen, &err))
        fail_msg("%s: %s", body, err.text);
    assert_string_equal(seen.text, text);
}

static void parts_are_read_in_order(void **state)
{
    (void)state;
    reads(TYPE, PART("a", "1") PART("b", "") PART("a", "x\r\n--xy\r\ny") END,
            "a/=1;b/=;a/=x\r\n--xy\r\ny;");
    reads(TYPE, END, "");
    reads(TYPE, "preamble\r\n" PART("a", "1") "--xyz--epilogue", "a/=1;");
    reads(TYPE, "--xyz \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--xyz--", "a/=1;");
}

static void the_type_is_read_as_clients_write_it(void **state)
{
    (void)state;
    static const char *const types[] = {"multipart/form-data; boundary=\"xyz\"",
            "Multipart/Form-Data;charset=utf-8;BOUNDARY=xyz",
            "multipart/form-data ; charset=\"a;\\\"b\"; boundary=xyz; x"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        reads(types[i], PART("a", "1") END, "a/=1;");
}

static void headers_are_read_as_clients_write_them(void **state)
{
    (void)state;
    reads(TYPE,
            "--xyz\r\nContent-Type: audio/wav\r\ncontent-disposition: form-data; filename=\"a b;"
            ".wav\" ;name=\"file\"\r\nX: y\r\n\r\ndata\r\n" END,
            "file/a b;.wav=data;");
    reads(TYPE,
            "--xyz\r\nContent-Disposition: form-data; name=\"f\"; "
            "filename=\"a\\\"b\"\r\n\r\n\r\n" END,
            "f/a\\\"b=;");
}

static void what_is_no_form_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *type, *body, *text;
    } cases[] = {
            {"", END, "Content-Type"},
            {"application/json", END, "Content-Type"},
            {"multipart/form-data", END, "boundary"},
            {"multipart/form-data; boundary=", END, "boundary"},
            {"multipart/form-data; boundary=\"", END, "boundary"},
            {"multipart/form-data; boundary="
             "01234567890123456789012345678901234567890123456789012345678901234567890",
                    END, "1 to 70"},
            {TYPE, "", "does not occur"},
            {TYPE, "--xy", "does not occur"},
            {TYPE, "x--xyz--", "does not occur"},
            {TYPE, "--xyz", "alone on its line"},
            {TYPE, "--xyzz\r\n", "alone on its line"},
            {TYPE, "--xyz\r\n", "headers"},
            {TYPE, "--xyz\r\nContent-Disposition: form-data; name=a\r\n", "headers"},
            {TYPE, "--xyz\r\nX: y\r\n\r\n\r\n" END, "no Content-Disposition"},
            {TYPE, "--xyz\r\nContent-Disposition\r\n\r\n\r\n" END, "no Content-Disposition"},
            {TYPE, "--xyz\r\nContent-Disposition: form-data\r\n\r\n\r\n" END, "name"},
            {TYPE, PART("", "1") END, "name"},
            {TYPE,
                    PART("01234567890123456789012345678901234567890123456789012345678901234", "1")
                            END,
                    "1 to 64"},
            {TYPE, PART("a", "1"), "middle"},
            {TYPE, "--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n12", "middle"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen seen = {.text = ""};
        struct err err = {.text = ""};
        int r = form_data_each(
                cases[i].type, cases[i].body, strlen(cases[i].body), see, &seen, &err);
        if (r != -EINVAL || !strstr(err.text, cases[i].text))
            fail_msg("case %zu: %d, \"%s\" does not say \"%s\"", i, r, err.text, cases[i].text);
    }
}

static void a_refusal_of_the_reader_ends_the_walk(void **state)
{
    (void)state;
    static const char body[] = PART("a", "1") PART("b", "2") END;
    struct seen seen = {.answer = -ENOMEM};
    assert_int_equal(form_data_each(TYPE, body, strlen(body), see, &seen, NULL), -ENOMEM);
    assert_string_equal(seen.text, "a/=1;");
}

static int count(void *ctx, const struct form_part *part)
{
    size_t *parts = ctx;
    (void)part;
    ++*parts;
    return 0;
}

static void parts_have_a_limit(void **state)
{
    (void)state;
    static const char part[] = PART("a", "1");
    char body[(FORM_PARTS_MAX + 1) * sizeof(part) + sizeof(END)] = "";
    for (int i = 0; i < FORM_PARTS_MAX; i++)
        strcat(body, part);
    size_t len = strlen(body), parts = 0;
    strcat(body, END);
    assert_int_equal(form_data_each(TYPE, body, strlen(body), count, &parts, NULL), 0);
    assert_int_equal(parts, FORM_PARTS_MAX);
    strcpy(body + len, part);
    strcat(body, END);
    assert_int_equal(form_data_each(TYPE, body, strlen(body), count, &parts, NULL), -EINVAL);
}

static void headers_have_a_limit(void **state)
{
    (void)state;
    char body[FORM_HEADERS_MAX + 200], filler[FORM_HEADERS_MAX];
    struct seen seen = {.text = ""};
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    snprintf(body, sizeof(body),
            "--xyz\r\nX: %s\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" END, filler);
    assert_int_equal(form_data_each(TYPE, body, strlen(body), see, &seen, NULL), -EINVAL);
}

static void a_long_filename_is_cut(void **state)
{
    (void)state;
    char body[600], name[FORM_FILENAME_MAX + 20];
    struct seen seen = {.text = ""};
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    snprintf(body, sizeof(body),
            "--xyz\r\nContent-Disposition: form-data; name=a; filename=\"%s\"\r\n\r\n1\r\n" END,
            name);
    assert_int_equal(form_data_each(TYPE, body, strlen(body), see, &seen, NULL), 0);
    assert_int_equal(strlen(seen.text), strlen("a/=1;") + FORM_FILENAME_MAX);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(parts_are_read_in_order),
            cmocka_unit_test(the_type_is_read_as_clients_write_it),
            cmocka_unit_test(headers_are_read_as_clients_write_them),
            cmocka_unit_test(what_is_no_form_is_refused),
            cmocka_unit_test(a_refusal_of_the_reader_ends_the_walk),
            cmocka_unit_test(parts_have_a_limit),
            cmocka_unit_test(headers_have_a_limit),
            cmocka_unit_test(a_long_filename_is_cut),
    };
    return cmocka_run_group_tests_name("form_data", tests, NULL, NULL);
}
