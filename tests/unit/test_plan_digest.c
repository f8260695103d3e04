#include "coordinator/plan/plan_digest.h"

#include "tests/lib/plan_setup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

struct scene {
    struct plan_setup *setup;
    struct plan_host *halo1, *halo2;
    struct instance *big;
    uint64_t before;
};

static uint64_t digest(const struct scene *scene)
{
    size_t count;
    const struct plan_host *hosts = plan_setup_hosts(scene->setup, &count);
    return plan_digest(hosts, count, plan_setup_all_modes(scene->setup));
}

static int set_up(void **state)
{
    static struct scene scene;
    scene = (struct scene){.setup = plan_setup_create()};
    scene.halo1 = plan_setup_node(scene.setup, "halo1", 100, 200);
    scene.halo2 = plan_setup_node(scene.setup, "halo2", 100, 200);
    scene.big = plan_setup_plain_model(scene.halo1, "big", 60, 64);
    plan_setup_reside(scene.big, 8192, 1);
    plan_setup_modes(scene.setup, "modes:\n  ask:\n    models: [big]\n");
    scene.before = digest(&scene);
    *state = &scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    plan_setup_destroy(scene->setup);
    return 0;
}

static void stays(struct scene *scene)
{
    assert_true(digest(scene) == scene->before);
}

static void changes(struct scene *scene)
{
    uint64_t now = digest(scene);
    assert_true(now != scene->before);
    scene->before = now;
}

static void work_changes_nothing(void **state)
{
    struct scene *scene = *state;
    scene->big->busy = scene->big->running = 1;
    scene->big->decode_tok_s = 12;
    scene->halo1->facts.memory_available_bytes = 1;
    scene->halo1->facts.running = 7;
    stays(scene);
}

static void the_order_of_nodes_changes_nothing(void **state)
{
    struct scene *scene = *state;
    struct plan_host first = *scene->halo1;
    *scene->halo1 = *scene->halo2;
    *scene->halo2 = first;
    stays(scene);
}

static void models_and_nodes_change_it(void **state)
{
    struct scene *scene = *state;
    scene->big->slots = 2;
    changes(scene);
    scene->big->state = INSTANCE_AVAILABLE;
    changes(scene);
    scene->big->run_context = 4096;
    changes(scene);
    scene->big->pinned = true;
    changes(scene);
    plan_setup_plain_model(scene->halo2, "big", 60, 64);
    changes(scene);
    scene->halo1->facts.draining = true;
    changes(scene);
    scene->halo1->facts.memory_limit_bytes /= 2;
    changes(scene);
    scene->halo1->facts.swap_allowance_bytes = 1;
    changes(scene);
}

/* A plan that was made while others held the memory is made again when they give it back. */
static void what_others_hold_changes_it_where_it_is_much(void **state)
{
    struct scene *scene = *state;
    struct node_facts *facts = &scene->halo1->facts;
    uint64_t whole = scene->before, limit = facts->memory_limit_bytes;
    facts->memory_room_bytes = limit;
    stays(scene);
    facts->memory_room_bytes = limit - limit / 10;
    stays(scene);
    facts->memory_room_bytes = limit / 2;
    changes(scene);
    facts->memory_room_bytes = limit / 2 - limit / 100;
    stays(scene);
    facts->memory_room_bytes = 2 * limit;
    assert_true(digest(scene) == whole);
    facts->memory_limit_bytes = 0; /* not told yet */
    changes(scene);
}

static void modes_change_it(void **state)
{
    struct scene *scene = *state;
    static const char *const configs[] = {"modes:\n  ask:\n    models: [big, small]\n",
            "modes:\n  ask:\n    models: [small, big]\n",
            "modes:\n  ask:\n    models: [small, big]\n    weight: 11\n",
            "modes:\n  ask:\n    models: [small, big]\n    copies: 2\n",
            "modes:\n  ask:\n    models: [small, big]\n    quality: {big: 80}\n", ""};
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        plan_setup_modes(scene->setup, configs[i]);
        changes(scene);
    }
}

#define DIGEST_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            DIGEST_TEST(work_changes_nothing),
            DIGEST_TEST(the_order_of_nodes_changes_nothing),
            DIGEST_TEST(models_and_nodes_change_it),
            DIGEST_TEST(what_others_hold_changes_it_where_it_is_much),
            DIGEST_TEST(modes_change_it),
    };
    return cmocka_run_group_tests_name("plan_digest", tests, NULL, NULL);
}
