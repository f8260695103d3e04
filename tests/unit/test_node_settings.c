#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/config.h"
#include "node/settings.h"

#include <errno.h>
#include <string.h>

static struct config *config;

static int setup(void **state)
{
    (void)state;
    config = config_create(node_keys);
    return config == NULL;
}

static int teardown(void **state)
{
    (void)state;
    config_destroy(config);
    return 0;
}

static int load(const char *text, struct err *err)
{
    return config_load_text(config, "node.yaml", text, strlen(text), err);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(config_list_len(config, "coordinator"), 0);
    assert_string_equal(config_addr(config, "edge").host, "127.0.0.1");
    assert_int_equal(config_addr(config, "edge").port, 8420);
    assert_string_equal(config_str(config, "engine.backend"), "llama-server");
    assert_string_equal(config_list_at(config, "engine.command", 0), "llama-server");
    assert_int_equal(config_uint(config, "engine.slots"), 4);
    assert_int_equal(config_uint(config, "memory-limit"), 0);
    assert_int_equal(config_list_len(config, "resident"), 0);
}

/* Inside, 0 stands for the default of three quarters of the host, which nobody means by 0. */
static void test_a_memory_limit_of_nothing_is_refused(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(load("memory-limit: 0\n", &err), -EINVAL);
    assert_non_null(strstr(err.text, "memory-limit"));
    assert_int_equal(load("memory-limit: 90G\n", &err), 0);
    assert_int_equal(config_uint(config, "memory-limit"), UINT64_C(90) << 30);
}

static void test_bounds_of_the_engine(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(load("engine: {slots: 0}\n", &err), -EINVAL);
    assert_int_equal(load("engine: {backend: faked}\n", &err), -EINVAL);
    assert_int_equal(load("engine: {stop-timeout: 11m}\n", &err), -EINVAL);
    assert_int_equal(load("engine: {start-timeout: 24h, slots: 1}\n", &err), 0);
    assert_int_equal(config_uint(config, "engine.start-timeout"), 86400000);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_defaults),
            TEST(test_a_memory_limit_of_nothing_is_refused),
            TEST(test_bounds_of_the_engine),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("node_settings", tests, NULL, NULL);
}
