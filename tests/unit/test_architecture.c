#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/model/architecture.h"

static void test_known(void **state)
{
    (void)state;
    assert_int_equal(architecture_find("llama")->plan, PLAN_ATTENTION);
    assert_int_equal(architecture_find("llama")->window, WINDOW_NOWHERE);
    assert_int_equal(architecture_find("bert")->plan, PLAN_NOTHING);
    assert_int_equal(architecture_find("gemma3")->period, 6);
    assert_int_equal(architecture_find("qwen35moe")->plan, PLAN_INTERVAL);
    assert_true(architecture_find("deepseek2")->latent);
}

/* A name is a whole name, and one that is not known is not taken for a relative. */
static void test_unknown(void **state)
{
    (void)state;
    assert_null(architecture_find(""));
    assert_null(architecture_find("gemma3x"));
    assert_null(architecture_find("lla"));
    assert_null(architecture_find("LLAMA"));
    assert_null(architecture_find("deepseek4"));
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_known),
            cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests_name("architecture", tests, NULL, NULL);
}
