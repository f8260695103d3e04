#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/config/config.h"
#include "coordinator/modes/mode_config.h"
#include "coordinator/settings.h"
#include "node/models/model_settings.h"
#include "node/settings.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 512, DESCRIPTORS = 8 };

/* configs/`name`, found from where this file was compiled. */
static void path_of(const char *name, char path[PATH_BYTES])
{
    const char *slash = strrchr(__FILE__, '/');
    snprintf(path, PATH_BYTES, "%.*s/../../configs/%s", (int)(slash - __FILE__), __FILE__, name);
}

/* The caller destroys. */
static struct config *load_path(const struct config_key *keys, const char *path)
{
    struct config *config = config_create(keys);
    struct err err = {0};

    assert_non_null(config);
    if (config_load_file(config, path, &err) < 0)
        fail_msg("%s", err.text);
    return config;
}

static struct config *load(const struct config_key *keys, const char *name)
{
    char path[PATH_BYTES];
    path_of(name, path);
    return load_path(keys, path);
}

static void check_modes(const char *name)
{
    static const char *const editor_modes[] = {"ask", "code", "architect", "debug", "auto"};
    struct config *config = load(coordinator_keys, name);
    struct modes modes;
    struct err err = {0};

    if (modes_from_config(config, &modes, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < sizeof(editor_modes) / sizeof(editor_modes[0]); i++)
        assert_non_null(modes_find(&modes, editor_modes[i]));
    modes_fini(&modes);
    config_destroy(config);
}

static void the_coordinators_example_loads(void **state)
{
    (void)state;
    check_modes("coordinator.yaml");
    check_modes("demo/coordinator.yaml");
}

static void the_nodes_example_loads(void **state)
{
    struct config *config = load(node_keys, "node.yaml");
    struct model_rules *rules;
    struct err err;

    (void)state;
    assert_int_equal(config_list_len(config, "coordinator"), 0);
    assert_int_equal(config_list_len(config, "models"), 2);
    assert_int_equal(config_uint(config, "memory-limit"), UINT64_C(90) << 30);
    assert_int_equal(config_list_len(config, "engine.extra-args"), 4);
    if (model_rules_create(config, &rules, &err) < 0)
        fail_msg("%s", err.text);
    model_rules_destroy(rules);
    config_destroy(config);
}

static void the_demos_nodes_load(void **state)
{
    static const char *const names[] = {
            "demo/halo1.yaml", "demo/halo2.yaml", "demo/workstation.yaml"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct config *config = load(node_keys, names[i]);

        assert_true(config_list_len(config, "resident") > 0);
        config_destroy(config);
    }
}

/* An editor that asks for "auto" gets `ask`, so each has it. */
static void check_coordinator(const char *path)
{
    struct config *config = load_path(coordinator_keys, path);
    struct modes modes;
    struct err err = {0};

    if (modes_from_config(config, &modes, &err) < 0)
        fail_msg("%s: %s", path, err.text);
    assert_non_null(modes_find(&modes, MODE_AUTO));
    modes_fini(&modes);
    config_destroy(config);
}

static void check_node(const char *path)
{
    struct config *config = load_path(node_keys, path);
    struct model_rules *rules;
    struct err err = {0};

    if (model_rules_create(config, &rules, &err) < 0)
        fail_msg("%s: %s", path, err.text);
    model_rules_destroy(rules);
    config_destroy(config);
}

static size_t coordinators, nodes;

/* A coordinator's file is called coordinator.yaml; all others are of nodes. */
static int check_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    const char *dot = strrchr(path, '.');

    (void)st;
    if (type != FTW_F || dot == NULL || strcmp(dot, ".yaml") != 0)
        return 0;
    bool coordinator = strcmp(path + at->base, "coordinator.yaml") == 0;
    coordinators += coordinator;
    nodes += !coordinator;
    (coordinator ? check_coordinator : check_node)(path);
    return 0;
}

static void all_that_are_shipped_load(void **state)
{
    char path[PATH_BYTES];

    (void)state;
    path_of("", path);
    coordinators = nodes = 0;
    assert_int_equal(nftw(path, check_file, DESCRIPTORS, FTW_PHYS), 0);
    assert_true(coordinators >= 12);
    assert_true(nodes >= 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_coordinators_example_loads),
            cmocka_unit_test(the_nodes_example_loads),
            cmocka_unit_test(the_demos_nodes_load),
            cmocka_unit_test(all_that_are_shipped_load),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("configs", tests, NULL, NULL);
}
