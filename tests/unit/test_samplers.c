#include "coordinator/dialects/samplers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Returns samplers_check() of {KEY: VALUE}; a refusal must blame the key. */
static int check(const char *key, const char *value)
{
    const char *param = NULL;
    char text[128];
    struct err err;
    (void)snprintf(text, sizeof(text), "{\"%s\":%s}", key, value);
    cJSON *body = cJSON_Parse(text);
    assert_non_null(body);
    const struct fields fields = {.object = body, .ret_param = &param, .err = &err};
    int r = samplers_check(&fields);
    if (r) {
        assert_string_equal(param, key);
        assert_non_null(strstr(err.text, key));
    }
    cJSON_Delete(body);
    return r;
}

static void what_an_engine_can_hold_is_let_through(void **state)
{
    (void)state;
    static const char *const values[] = {"0", "-0", "1", "-1", "40.5", "1e-300", "null"};
    for (size_t i = 0; i < SAMPLER_COUNT; i++)
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
            assert_int_equal(check(samplers[i].name, values[v]), 0);
    assert_int_equal(check("top_k", "2147483647"), 0);
    assert_int_equal(check("repeat_last_n", "-1"), 0);
    assert_int_equal(check("min_p", "1000000"), 0);
}

static void what_it_cannot_is_refused(void **state)
{
    (void)state;
    static const char *const values[] = {
            "1e308", "-1e308", "2147483648", "\"1\"", "true", "[]", "{}", "[1]"};
    for (size_t i = 0; i < SAMPLER_COUNT; i++)
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
            assert_int_equal(check(samplers[i].name, values[v]), -EINVAL);
    assert_int_equal(check("min_p", "1000001"), -EINVAL);
}

static void what_is_no_sampler_is_not_looked_at(void **state)
{
    (void)state;
    assert_int_equal(check("dry_multiplier", "\"x\""), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_an_engine_can_hold_is_let_through),
            cmocka_unit_test(what_it_cannot_is_refused),
            cmocka_unit_test(what_is_no_sampler_is_not_looked_at),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("samplers", tests, NULL, NULL);
}
