#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/config/config.h"
#include "node/hardware/hardware.h"
#include "node/settings.h"

#include <errno.h>
#include <stdio.h>
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
    assert_false(config_is_set(config, "reserve"));
    assert_string_equal(config_str(config, "memory-pool"), "auto");
    assert_int_equal(config_list_len(config, "resident"), 0);
    assert_int_equal(config_list_len(config, "engines"), 1);
    assert_string_equal(config_list_at(config, "engines", 0), "none");
}

/* An address and its key are one entry. */
static void test_engines_that_run_already(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(load("engines: [auto, \"http://box:8000 /etc/box.key\"]\n", &err), 0);
    assert_int_equal(config_list_len(config, "engines"), 2);
    assert_string_equal(config_list_at(config, "engines", 1), "http://box:8000 /etc/box.key");
    assert_int_equal(load("engines: none\n", &err), 0);
    assert_int_equal(config_list_len(config, "engines"), 1);
}

/* Inside, 0 stands for the default, which nobody means by 0. */
static void test_a_memory_limit_of_nothing_is_refused(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(load("memory-limit: 0\n", &err), -EINVAL);
    assert_non_null(strstr(err.text, "memory-limit"));
    assert_int_equal(load("memory-limit: 90G\n", &err), 0);
    assert_int_equal(config_uint(config, "memory-limit"), UINT64_C(90) << 30);
}

/* Unlike a limit, a reserve of nothing means something: the default may be more. */
static void test_what_is_kept_for_people(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(load("reserve: 0\n", &err), 0);
    assert_true(config_is_set(config, "reserve"));
    assert_int_equal(config_uint(config, "reserve"), 0);
    assert_int_equal(load("reserve: 24G\n", &err), 0);
    assert_int_equal(config_uint(config, "reserve"), UINT64_C(24) << 30);
    assert_int_equal(load("reserve: some\n", &err), -EINVAL);
}

/* Each word of the setting is one that hardware.h knows. */
static void test_the_pool_of_memory(void **state)
{
    static const char *const words[] = {"auto", "host", "gpu"};
    enum pool_choice choice;
    char text[64];
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        (void)snprintf(text, sizeof text, "memory-pool: %s\n", words[i]);
        assert_int_equal(load(text, &err), 0);
        assert_int_equal(pool_choice_parse(config_str(config, "memory-pool"), &choice), 0);
    }
    assert_int_equal(load("memory-pool: vram\n", &err), -EINVAL);
}

static void test_folders_of_models(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(config_list_len(config, "models"), 0);
    assert_int_equal(load("models: /srv/models\n", &err), 0);
    assert_int_equal(config_list_len(config, "models"), 1);
    assert_int_equal(load("models: [/srv/models, /mnt/more models]\n", &err), 0);
    assert_string_equal(config_list_at(config, "models", 1), "/mnt/more models");
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

static void test_settings_of_models(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(
            load("model-settings: {a/b c:d+e: {context: 1}, '*-?': {context: 2}}\n", &err), 0);
    assert_string_equal(config_name_at(config, "model-settings", 0), "a/b c:d+e");
    assert_int_equal(config_uint(config, "model-settings.a/b c:d+e.context"), 1);
    assert_int_equal(config_uint(config, "model-settings.*-?.context"), 2);
    assert_false(config_is_set(config, "model-settings.a/b c:d+e.slots"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            TEST(test_defaults),
            TEST(test_engines_that_run_already),
            TEST(test_settings_of_models),
            TEST(test_a_memory_limit_of_nothing_is_refused),
            TEST(test_what_is_kept_for_people),
            TEST(test_the_pool_of_memory),
            TEST(test_folders_of_models),
            TEST(test_bounds_of_the_engine),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("node_settings", tests, NULL, NULL);
}
