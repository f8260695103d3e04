#include "coordinator/auto/auto_sessions.h"

#include "tests/lib/virtual_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct virtual_env env;
    struct affinities *affinities;
    struct auto_sessions *sessions;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    virtual_env_init(&world->env);
    world->affinities = affinities_create(16, 1);
    world->sessions = auto_sessions_create(&world->env.env, world->affinities);
    assert_non_null(world->sessions);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    auto_sessions_destroy(world->sessions);
    affinities_destroy(world->affinities);
    free(world);
    return 0;
}

static void note(struct world *world, const char *tenant, const char *id, const char *mode)
{
    struct auto_session session = {.marked = true, .level = 3};
    strcpy(session.mode, mode);
    auto_sessions_note(world->sessions, tenant, id, &session);
}

static void is(struct world *world, const char *tenant, const char *id, const char *mode)
{
    struct auto_session session = auto_sessions_find(world->sessions, tenant, id);
    assert_string_equal(session.mode, mode);
    assert_int_equal(session.marked, *mode != '\0');
    assert_int_equal(session.level, *mode ? 3 : 0);
}

static void each_conversation_has_its_mode(void **state)
{
    struct world *world = *state;
    is(world, "key a", "1", "");
    note(world, "key a", "1", "code");
    note(world, "key a", "2", "ask");
    note(world, "key b", "1", "debug");
    is(world, "key a", "1", "code");
    is(world, "key a", "2", "ask");
    is(world, "key b", "1", "debug");
    note(world, "key a", "1", "ask");
    is(world, "key a", "1", "ask");
    is(world, "key c", "1", "");
}

static void what_has_no_name_or_no_mode_is_not_remembered(void **state)
{
    struct world *world = *state;
    note(world, "key a", "", "code");
    is(world, "key a", "", "");
    note(world, "key a", "1", "");
    is(world, "key a", "1", "");
    assert_int_equal(affinities_count(world->affinities), 0);
}

static void it_ends_with_the_conversation(void **state)
{
    struct world *world = *state;
    note(world, "key a", "1", "code");
    virtual_env_advance_ms(&world->env, (uint64_t)AFFINITY_IDLE_S * 1000 + 1000);
    is(world, "key a", "1", "");
}

static void others_may_know_a_conversation_without_a_mode(void **state)
{
    struct world *world = *state;
    double now_s = (double)env_now_us(&world->env.env) / 1e6;
    struct affinity *affinity = affinities_touch(
            world->affinities, affinity_id(world->affinities, "key a", "1"), now_s);
    assert_int_equal(affinity->mode, UINT16_MAX);
    is(world, "key a", "1", "");
}

static void names_of_modes_are_bounded(void **state)
{
    struct world *world = *state;
    char mode[32];
    for (unsigned i = 0; i <= AUTO_SESSIONS_MODES_MAX; i++) {
        (void)snprintf(mode, sizeof(mode), "mode%u", i);
        note(world, "key a", "1", mode);
        is(world, "key a", "1", i < AUTO_SESSIONS_MODES_MAX ? mode : "");
    }
    note(world, "key a", "1", "mode7");
    is(world, "key a", "1", "mode7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(each_conversation_has_its_mode, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    what_has_no_name_or_no_mode_is_not_remembered, setup, teardown),
            cmocka_unit_test_setup_teardown(it_ends_with_the_conversation, setup, teardown),
            cmocka_unit_test_setup_teardown(
                    others_may_know_a_conversation_without_a_mode, setup, teardown),
            cmocka_unit_test_setup_teardown(names_of_modes_are_bounded, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("auto_sessions", tests, NULL, NULL);
}
