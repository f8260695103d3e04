#include "coordinator/dialects/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench {
    cJSON *body;
    const char *param;
    struct err err;
    struct fields fields;
};

static void open_body(struct bench *bench, const char *text)
{
    struct dialect_input input = {.body = text, .len = strlen(text)};
    *bench = (struct bench){.param = NULL};
    if (fields_parse_body(&input, &bench->body, &bench->err))
        fail_msg("%s", bench->err.text);
    bench->fields =
            (struct fields){.object = bench->body, .ret_param = &bench->param, .err = &bench->err};
}

static void close_body(struct bench *bench)
{
    cJSON_Delete(bench->body);
}

/* The last read failed because of `param`. */
static void blames(struct bench *bench, const char *param)
{
    assert_string_equal(bench->param, param);
    assert_non_null(strstr(bench->err.text, param));
    bench->param = NULL;
}

static void a_body_is_an_object(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{", "[]", "1", "null", "{\"a\":1,\"a\":2}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct dialect_input input = {.body = bodies[i], .len = strlen(bodies[i])};
        struct err err = {.text = ""};
        cJSON *body;
        assert_int_equal(fields_parse_body(&input, &body, &err), -EINVAL);
        assert_non_null(strstr(err.text, "the body"));
    }
}

static void what_is_null_is_not_given(void **state)
{
    (void)state;
    struct bench bench;
    bool flag, given;
    double number = 7;
    const char *text;
    const cJSON *array;
    open_body(&bench, "{\"x\":null}");
    static const char *const keys[] = {"x", "y"};
    for (size_t i = 0; i < 2; i++) {
        assert_null(fields_given(&bench.fields, keys[i]));
        assert_int_equal(fields_bool(&bench.fields, keys[i], true, &flag), 0);
        assert_true(flag);
        assert_int_equal(fields_text(&bench.fields, keys[i], "def", &text), 0);
        assert_string_equal(text, "def");
        assert_int_equal(fields_number(&bench.fields, keys[i], 0, 1, &number, &given), 0);
        assert_false(given);
        assert_true(number == 7);
        assert_int_equal(fields_array(&bench.fields, keys[i], &array), 0);
        assert_null(array);
    }
    close_body(&bench);
}

static void what_is_given_is_read(void **state)
{
    (void)state;
    struct bench bench;
    bool flag, given;
    double number;
    const char *text;
    const cJSON *array;
    open_body(&bench, "{\"b\":false,\"t\":\"\",\"n\":1.5,\"a\":[]}");
    assert_int_equal(fields_bool(&bench.fields, "b", true, &flag), 0);
    assert_false(flag);
    assert_int_equal(fields_text(&bench.fields, "t", "def", &text), 0);
    assert_string_equal(text, "");
    assert_int_equal(fields_number(&bench.fields, "n", 1.5, 1.5, &number, &given), 0);
    assert_true(given && number == 1.5);
    assert_int_equal(fields_array(&bench.fields, "a", &array), 0);
    assert_true(cJSON_IsArray(array));
    close_body(&bench);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    struct bench bench;
    bool flag, given;
    double number;
    const char *text;
    const cJSON *array;
    open_body(&bench, "{\"bad\":{},\"high\":2,\"low\":-1}");
    assert_int_equal(fields_bool(&bench.fields, "bad", true, &flag), -EINVAL);
    blames(&bench, "bad");
    assert_int_equal(fields_text(&bench.fields, "bad", "", &text), -EINVAL);
    blames(&bench, "bad");
    assert_int_equal(fields_array(&bench.fields, "bad", &array), -EINVAL);
    blames(&bench, "bad");
    assert_int_equal(fields_number(&bench.fields, "bad", 0, 1, &number, &given), -EINVAL);
    blames(&bench, "bad");
    assert_int_equal(fields_number(&bench.fields, "high", 0, 1, &number, &given), -EINVAL);
    blames(&bench, "high");
    assert_int_equal(fields_number(&bench.fields, "low", 0, 1, &number, &given), -EINVAL);
    blames(&bench, "low");
    close_body(&bench);
}

static void the_type_that_came_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *value, *name;
    } cases[] = {{"true", "not a boolean"}, {"1", "not a number"}, {"[]", "not an array"},
            {"{}", "not an object"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench bench;
        char body[40];
        snprintf(body, sizeof(body), "{\"x\":%s}", cases[i].value);
        open_body(&bench, body);
        assert_int_equal(fields_check_str(&bench.fields, "x"), -EINVAL);
        assert_non_null(strstr(bench.err.text, cases[i].name));
        close_body(&bench);
    }
}

static void a_whole_number_has_no_fraction(void **state)
{
    (void)state;
    struct bench bench;
    open_body(&bench, "{\"half\":1.5,\"one\":1.0,\"text\":\"1\"}");
    assert_int_equal(fields_check_number(&bench.fields, "half", 0, 2), 0);
    assert_int_equal(fields_check_whole(&bench.fields, "half", 0, 2), -EINVAL);
    blames(&bench, "half");
    assert_int_equal(fields_check_whole(&bench.fields, "one", 0, 2), 0);
    assert_int_equal(fields_check_whole(&bench.fields, "one", 2, 3), -EINVAL);
    assert_int_equal(fields_check_whole(&bench.fields, "text", 0, 2), -EINVAL);
    assert_int_equal(fields_check_whole(&bench.fields, "none", 0, 2), 0);
    assert_int_equal(fields_check_object(&bench.fields, "text"), -EINVAL);
    close_body(&bench);
}

/* What was translated may have grown. */
static void a_body_without_room_is_the_clients_fault(void **state)
{
    (void)state;
    struct bench bench;
    struct request request;
    open_body(&bench, "{\"x\":\"0123456789\"}");
    request_init(&request);
    assert_int_equal(fields_write_body(&bench.fields, bench.body, &request), 0);
    assert_int_equal(request.body.len, strlen("{\"x\":\"0123456789\"}"));
    buf_fini(&request.body);
    buf_init(&request.body, 4);
    assert_int_equal(fields_write_body(&bench.fields, bench.body, &request), -EINVAL);
    assert_non_null(strstr(bench.err.text, "too large"));
    request_fini(&request);
    close_body(&bench);
}

static void the_name_is_bounded(void **state)
{
    (void)state;
    for (int len = MSG_NAME_MAX; len <= MSG_NAME_MAX + 1; len++) {
        struct bench bench;
        struct request request;
        char body[300];
        (void)snprintf(body, sizeof(body), "{\"model\":\"%0*d\"}", len, 0);
        open_body(&bench, body);
        request_init(&request);
        assert_int_equal(fields_model(&bench.fields, &request), len == MSG_NAME_MAX ? 0 : -EINVAL);
        assert_int_equal(strlen(request.asked), len == MSG_NAME_MAX ? MSG_NAME_MAX : 0);
        request_fini(&request);
        close_body(&bench);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(a_body_is_an_object),
            cmocka_unit_test(what_is_null_is_not_given),
            cmocka_unit_test(what_is_given_is_read),
            cmocka_unit_test(what_is_wrong_is_named),
            cmocka_unit_test(the_type_that_came_is_told),
            cmocka_unit_test(a_whole_number_has_no_fraction),
            cmocka_unit_test(a_body_without_room_is_the_clients_fault),
            cmocka_unit_test(the_name_is_bounded),
    };
    return cmocka_run_group_tests_name("fields", tests, NULL, NULL);
}
