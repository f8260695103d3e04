#include "coordinator/deploy/tasks.h"

#include "coordinator/dialects/openai/openai.h"

#include "tests/lib/fake_exchange.h"
#include "tests/lib/task_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NODES = 3 };

#define CONFIG "modes:\n  ask:\n    models: [shared]\n  code:\n    models: [old, other]\n"

struct world {
    struct task_bench bench;
    struct http_exchange client;
};

/* node0 runs "old" and has "new" on its disk. */
static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    task_bench_init(&world->bench, NODES, CONFIG);
    fake_exchange_init(&world->client);
    task_bench_say(&world->bench, 0, "old", INSTANCE_RESIDENT);
    task_bench_say(&world->bench, 0, "new", INSTANCE_AVAILABLE);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    task_bench_fini(&world->bench);
    fake_exchange_fini(&world->client);
    free(world);
    return 0;
}

static void call_it(struct world *world, const char *model, const char *alias)
{
    struct msg_instance instance = task_bench_instance(model, INSTANCE_RESIDENT);
    instance.aliases = &alias;
    instance.alias_count = 1;
    task_bench_say_instance(&world->bench, 0, &instance);
}

static const struct task_facts *start(struct world *world, const char *model)
{
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", model);
    return task_bench_start(&world->bench, &spec);
}

static int refused(struct world *world, const struct task_spec *spec, const char *why)
{
    const struct task_facts *task;
    struct err err;
    size_t count = tasks_count(world->bench.tasks);
    int r = tasks_start(world->bench.tasks, spec, &task, &err);
    assert_int_not_equal(r, 0);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    assert_int_equal(tasks_count(world->bench.tasks), count);
    for (size_t i = 0; i < NODES; i++)
        assert_true(task_bench_is_quiet(&world->bench, i));
    return r;
}

static struct msg_load next_load(struct world *world, size_t node)
{
    return task_bench_next(&world->bench, node, MSG_LOAD).load;
}

/* The node rehearses, and would do it so. */
static void rehearses(struct world *world, size_t node, enum order_way way, const char *message)
{
    struct msg_load load = next_load(world, node);
    assert_true(load.rehearse);
    task_bench_done(&world->bench, node, load.order, way != ORDER_WAY_NONE, way, message);
}

static const char *first_of(struct world *world, const char *mode)
{
    return modes_find(mode_moves_modes(world->bench.moves), mode)->models[0];
}

static void ended(const struct task_facts *task, enum task_state state, const char *message)
{
    assert_string_equal(task_state_name(task->state), task_state_name(state));
    assert_string_equal(task->message, message);
    assert_int_not_equal(task->ended_ms, 0);
}

/* --- what is asked of the nodes --- */

static void a_rehearsal_changes_nothing(void **state)
{
    struct world *world = *state;
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", "new");
    spec.rehearse = true;
    spec.context = 8192;
    spec.slots = 2;
    spec.type_k = spec.type_v = "q8_0";
    const struct task_facts *task = task_bench_start(&world->bench, &spec);
    assert_int_equal(task->state, TASK_RUNNING);
    struct msg_load load = next_load(world, 0);
    assert_true(load.rehearse);
    assert_string_equal(load.model, "new");
    assert_string_equal(load.replaces, "old");
    assert_int_equal(load.context, 8192);
    assert_int_equal(load.slots, 2);
    assert_string_equal(load.type_k, "q8_0");
    assert_string_equal(load.type_v, "q8_0");
    assert_false(load.keep);
    task_bench_done(&world->bench, 0, load.order, true, ORDER_WAY_SWAP, "drains old and swaps");
    ended(task, TASK_DONE, "node0: drains old and swaps");
    assert_int_equal(task->way, ORDER_WAY_SWAP);
    assert_string_equal(task->node, "node0");
    assert_string_equal(first_of(world, "code"), "old");
    assert_true(task_bench_is_quiet(&world->bench, 0));
}

static void the_best_of_several_nodes_does_it(void **state)
{
    struct world *world = *state;
    task_bench_say(&world->bench, 1, "new", INSTANCE_AVAILABLE);
    task_bench_say(&world->bench, 2, "other", INSTANCE_AVAILABLE);
    const struct task_facts *task = start(world, "new");
    struct msg_load load = next_load(world, 1);
    assert_string_equal(load.replaces, ""); /* "old" is not there */
    rehearses(world, 0, ORDER_WAY_SWAP, "swaps");
    assert_int_equal(task->way, ORDER_WAY_NONE);
    task_bench_done(&world->bench, 1, load.order, true, ORDER_WAY_BESIDE, "fits");
    assert_int_equal(task->way, ORDER_WAY_BESIDE);
    assert_string_equal(task->node, "node1");
    assert_string_equal(task->progress, "node1: fits");
    assert_false(next_load(world, 1).rehearse);
    assert_true(task_bench_is_quiet(&world->bench, 0));
    assert_true(task_bench_is_quiet(&world->bench, 2));
}

static void a_named_node_is_asked_alone(void **state)
{
    struct world *world = *state;
    task_bench_say(&world->bench, 1, "new", INSTANCE_AVAILABLE);
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", "new");
    strcpy(spec.node, "node1");
    task_bench_start(&world->bench, &spec);
    assert_true(next_load(world, 1).rehearse);
    assert_true(task_bench_is_quiet(&world->bench, 0));
}

static void a_node_that_does_not_answer_is_left_out(void **state)
{
    struct world *world = *state;
    task_bench_say(&world->bench, 1, "new", INSTANCE_AVAILABLE);
    start(world, "new");
    next_load(world, 1);
    rehearses(world, 0, ORDER_WAY_BESIDE, "fits");
    task_bench_tick(&world->bench, TASK_REHEARSAL_MS - 1);
    assert_true(task_bench_is_quiet(&world->bench, 0));
    task_bench_tick(&world->bench, 1);
    assert_false(next_load(world, 0).rehearse);
}

static void where_none_can_all_say_why(void **state)
{
    struct world *world = *state;
    task_bench_say(&world->bench, 1, "new", INSTANCE_AVAILABLE);
    const struct task_facts *task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_NONE, "needs 40 GiB, has 20 GiB");
    rehearses(world, 1, ORDER_WAY_NONE, "needs 40 GiB, has 8 GiB");
    ended(task, TASK_FAILED, "node0: needs 40 GiB, has 20 GiB; node1: needs 40 GiB, has 8 GiB");
    assert_string_equal(first_of(world, "code"), "old");
}

/* --- beside --- */

static void beside_the_mode_moves_when_it_is_loaded(void **state)
{
    struct world *world = *state;
    const struct task_facts *task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_BESIDE, "loads it beside old");
    struct msg_load load = next_load(world, 0);
    assert_string_equal(load.replaces, "old"); /* so that it is counted as in the rehearsal */
    assert_string_equal(first_of(world, "code"), "old");
    fake_mesh_say(&world->bench.mesh, 0,
            &(struct msg){.type = MSG_PROGRESS,
                    .progress = {.order = load.order, .text = "loading, 3 s"}});
    assert_string_equal(task->progress, "node0: loading, 3 s");
    task_bench_say(&world->bench, 0, "new", INSTANCE_RESIDENT);
    task_bench_done(&world->bench, 0, load.order, true, ORDER_WAY_BESIDE, "loaded in 9 s");
    assert_string_equal(first_of(world, "code"), "new");
    assert_int_equal(task->state, TASK_RUNNING);
    assert_string_equal(task->progress, "old finishes its requests and goes");
    struct msg_unload unload = task_bench_next(&world->bench, 0, MSG_UNLOAD).unload;
    assert_string_equal(unload.model, "old");
    task_bench_done(&world->bench, 0, unload.order, true, ORDER_WAY_NONE, "it is gone");
    ended(task, TASK_DONE, "node0: loaded in 9 s");
}

static void an_alias_in_a_list_is_the_model_that_it_means(void **state)
{
    static const char yaml[] =
            "modes:\n  ask:\n    models: [nick]\n  code:\n    models: [nick, other]\n";
    struct world *world = *state;
    task_bench_reopen(&world->bench, yaml);
    call_it(world, "old", "nick");
    call_it(world, "new", "fresh");
    const struct task_facts *task = start(world, "fresh");
    assert_string_equal(task->spec.model, "new");
    rehearses(world, 0, ORDER_WAY_THERE, "there");
    struct msg_load load = next_load(world, 0);
    assert_string_equal(load.model, "new");
    assert_string_equal(load.replaces, ""); /* "ask" lists it too */
    task_bench_done(&world->bench, 0, load.order, true, ORDER_WAY_THERE, "there");
    ended(task, TASK_DONE, "node0: there; old stays: mode \"ask\" lists it too");
    assert_string_equal(first_of(world, "code"), "new");
    (void)start(world, "old"); /* and back, as the config has it */
    rehearses(world, 0, ORDER_WAY_THERE, "there");
    task_bench_done(&world->bench, 0, next_load(world, 0).order, true, ORDER_WAY_THERE, "there");
    assert_string_equal(first_of(world, "code"), "nick");
    struct mode_moves_saved moved;
    mode_moves_save(world->bench.moves, "code", &moved);
    assert_int_equal(moved.count, 0);
}

static void what_comes_first_as_an_alias_replaces_nothing(void **state)
{
    struct world *world = *state;
    task_bench_reopen(&world->bench, "modes:\n  code:\n    models: [nick, other]\n");
    call_it(world, "old", "nick");
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", "old");
    spec.context = 512;
    task_bench_start(&world->bench, &spec);
    rehearses(world, 0, ORDER_WAY_SWAP, "ends it and loads it again");
    struct msg_load load = next_load(world, 0);
    assert_string_equal(load.model, "old");
    assert_string_equal(load.replaces, "");
    assert_string_equal(first_of(world, "code"), "nick");
    task_bench_done(&world->bench, 0, load.order, true, ORDER_WAY_SWAP, "loaded");
    assert_true(task_bench_is_quiet(&world->bench, 0)); /* nothing is told to go */
}

static void beside_a_failure_leaves_all_as_it_was(void **state)
{
    struct world *world = *state;
    const struct task_facts *task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_BESIDE, "fits");
    task_bench_done(&world->bench, 0, next_load(world, 0).order, false, ORDER_WAY_NONE,
            "the engine ended: bad file");
    ended(task, TASK_FAILED, "node0: the engine ended: bad file");
    assert_string_equal(first_of(world, "code"), "old");
    assert_true(task_bench_is_quiet(&world->bench, 0));
}

static void the_old_one_goes_everywhere_but_where_it_is_pinned(void **state)
{
    struct world *world = *state;
    struct msg_instance pinned = task_bench_instance("old", INSTANCE_RESIDENT);
    pinned.pinned = true;
    task_bench_say(&world->bench, 1, "old", INSTANCE_RESIDENT);
    task_bench_say_instance(&world->bench, 2, &pinned);
    const struct task_facts *task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_THERE, "it is loaded so");
    task_bench_done(
            &world->bench, 0, next_load(world, 0).order, true, ORDER_WAY_THERE, "as it was");
    uint64_t here = task_bench_next(&world->bench, 0, MSG_UNLOAD).unload.order;
    uint64_t there = task_bench_next(&world->bench, 1, MSG_UNLOAD).unload.order;
    assert_true(task_bench_is_quiet(&world->bench, 2));
    task_bench_done(&world->bench, 0, here, true, ORDER_WAY_NONE, "gone");
    assert_int_equal(task->state, TASK_RUNNING);
    task_bench_done(&world->bench, 1, there, false, ORDER_WAY_NONE, "its engine is not ours");
    ended(task, TASK_DONE, "node0: as it was; old stays: node1: its engine is not ours");
}

static void what_another_mode_lists_stays(void **state)
{
    struct world *world = *state;
    task_bench_say(&world->bench, 0, "shared", INSTANCE_RESIDENT);
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", "shared");
    task_bench_start(&world->bench, &spec);
    rehearses(world, 0, ORDER_WAY_THERE, "there");
    task_bench_done(&world->bench, 0, next_load(world, 0).order, true, ORDER_WAY_THERE, "there");
    task_bench_done(&world->bench, 0, task_bench_next(&world->bench, 0, MSG_UNLOAD).unload.order,
            true, ORDER_WAY_NONE, "");
    const struct task_facts *task = start(world, "new"); /* "shared" may not go for it */
    struct msg_load load = next_load(world, 0);
    assert_string_equal(load.replaces, "");
    task_bench_done(&world->bench, 0, load.order, false, ORDER_WAY_NONE, "does not fit");
    ended(task, TASK_FAILED, "node0: does not fit; shared stays: mode \"ask\" lists it too");
}

static void what_another_mode_has_come_to_list_stays(void **state)
{
    struct world *world = *state;
    const struct task_facts *task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_BESIDE, "fits beside");
    uint64_t order = next_load(world, 0).order;
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "ask", "old");
    task_bench_start(&world->bench, &spec);
    rehearses(world, 0, ORDER_WAY_THERE, "there");
    task_bench_done(&world->bench, 0, next_load(world, 0).order, true, ORDER_WAY_THERE, "there");
    assert_string_equal(first_of(world, "ask"), "old");
    task_bench_done(&world->bench, 0, order, true, ORDER_WAY_BESIDE, "loaded");
    assert_true(task_bench_is_quiet(&world->bench, 0));
    ended(task, TASK_DONE, "node0: loaded; old stays: mode \"ask\" lists it too");
}

static void what_no_mode_lists_any_more_goes(void **state)
{
    struct world *world = *state;
    task_bench_say(&world->bench, 0, "shared", INSTANCE_RESIDENT);
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "ask", "old");
    task_bench_start(&world->bench, &spec); /* both list "old" now */
    rehearses(world, 0, ORDER_WAY_THERE, "there");
    task_bench_done(&world->bench, 0, next_load(world, 0).order, true, ORDER_WAY_THERE, "there");
    task_bench_done(&world->bench, 0, task_bench_next(&world->bench, 0, MSG_UNLOAD).unload.order,
            true, ORDER_WAY_NONE, "");
    const struct task_facts *code = start(world, "new");
    rehearses(world, 0, ORDER_WAY_BESIDE, "fits beside");
    uint64_t order = next_load(world, 0).order;
    spec.undo = true;
    spec.model[0] = '\0';
    task_bench_start(&world->bench, &spec);
    rehearses(world, 0, ORDER_WAY_BESIDE, "fits beside");
    task_bench_done(&world->bench, 0, next_load(world, 0).order, true, ORDER_WAY_BESIDE, "loaded");
    assert_true(task_bench_is_quiet(&world->bench, 0)); /* "code" lists it as yet */
    task_bench_done(&world->bench, 0, order, true, ORDER_WAY_BESIDE, "loaded");
    task_bench_done(&world->bench, 0, task_bench_next(&world->bench, 0, MSG_UNLOAD).unload.order,
            true, ORDER_WAY_NONE, "gone");
    ended(code, TASK_DONE, "node0: loaded");
}

static void a_pin_goes_over_to_the_new_one(void **state)
{
    struct world *world = *state;
    struct msg_instance pinned = task_bench_instance("old", INSTANCE_RESIDENT);
    pinned.pinned = true;
    task_bench_say_instance(&world->bench, 0, &pinned);
    start(world, "new");
    struct msg_load load = next_load(world, 0);
    assert_true(load.keep);
    task_bench_done(&world->bench, 0, load.order, true, ORDER_WAY_BESIDE, "fits");
    assert_true(next_load(world, 0).keep);
}

/* --- swap --- */

static void in_a_swap_the_mode_moves_first(void **state)
{
    struct world *world = *state;
    const struct task_facts *task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_SWAP, "drains old and swaps");
    assert_string_equal(first_of(world, "code"), "new");
    struct msg_load load = next_load(world, 0);
    assert_string_equal(load.replaces, "old");
    task_bench_say(&world->bench, 0, "old", INSTANCE_AVAILABLE);
    task_bench_say(&world->bench, 0, "new", INSTANCE_RESIDENT);
    task_bench_done(&world->bench, 0, load.order, true, ORDER_WAY_SWAP, "swapped in 40 s");
    assert_true(task_bench_is_quiet(&world->bench, 0)); /* nothing is left of the old one */
    ended(task, TASK_DONE, "node0: swapped in 40 s");
    assert_int_equal(task->way, ORDER_WAY_SWAP);
}

static void a_failed_swap_goes_back(void **state)
{
    struct world *world = *state;
    struct msg_instance pinned = task_bench_instance("old", INSTANCE_RESIDENT);
    pinned.pinned = true;
    pinned.context = 16384;
    pinned.slots = 3;
    task_bench_say_instance(&world->bench, 0, &pinned);
    const struct task_facts *task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_SWAP, "swaps");
    task_bench_done(&world->bench, 0, next_load(world, 0).order, false, ORDER_WAY_NONE,
            "the engine ended: bad file");
    assert_string_equal(first_of(world, "code"), "old");
    assert_int_equal(task->state, TASK_RUNNING);
    assert_string_equal(task->progress, "loads old again");
    struct msg_load load = next_load(world, 0);
    assert_string_equal(load.model, "old");
    assert_string_equal(load.replaces, "");
    assert_int_equal(load.context, 16384);
    assert_int_equal(load.slots, 3);
    assert_string_equal(load.type_k, "q8_0");
    assert_true(load.keep);
    task_bench_done(&world->bench, 0, load.order, true, ORDER_WAY_BESIDE, "loaded");
    ended(task, TASK_FAILED, "node0: the engine ended: bad file; old is back: node0: loaded");
}

static void a_node_that_goes_in_a_swap_gives_the_mode_back(void **state)
{
    struct world *world = *state;
    struct link_peer peer = fake_link_peer(0);
    const struct task_facts *task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_SWAP, "swaps");
    next_load(world, 0);
    node_session_end(node_table_find_key(world->bench.mesh.nodes, peer.key), "unreachable");
    assert_string_equal(first_of(world, "code"), "old");
    assert_int_equal(task->state, TASK_FAILED);
    assert_non_null(strstr(task->message, "node \"node0\" is gone: unreachable; old is not back"));
    task_bench_tick(&world->bench, TASK_ORDER_MS);
}

static void other_settings_swap_a_model_for_itself(void **state)
{
    struct world *world = *state;
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", "old");
    spec.context = 65536;
    const struct task_facts *task = task_bench_start(&world->bench, &spec);
    rehearses(world, 0, ORDER_WAY_SWAP, "drains it and loads it anew");
    struct msg_load load = next_load(world, 0);
    assert_string_equal(load.replaces, "");
    assert_int_equal(load.context, 65536);
    task_bench_done(&world->bench, 0, load.order, false, ORDER_WAY_NONE, "no room");
    load = next_load(world, 0); /* as it was before */
    assert_string_equal(load.model, "old");
    assert_int_equal(load.context, 4096);
    task_bench_done(&world->bench, 0, load.order, false, ORDER_WAY_NONE, "no luck");
    ended(task, TASK_FAILED, "node0: no room; old is not back: node0: no luck");
    assert_string_equal(first_of(world, "code"), "old");
}

static void an_order_takes_an_hour_at_most(void **state)
{
    struct world *world = *state;
    const struct task_facts *task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_BESIDE, "fits");
    next_load(world, 0);
    task_bench_tick(&world->bench, TASK_ORDER_MS - 1);
    assert_int_equal(task->state, TASK_RUNNING);
    task_bench_tick(&world->bench, 1);
    ended(task, TASK_FAILED, "node0: it has not answered within 1 h");
}

static void a_mode_that_cannot_be_written_does_not_move(void **state)
{
    struct world *world = *state;
    scratch_mkdir(&world->bench.mesh.scratch, "mode-moves.json/x");
    const struct task_facts *task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_SWAP, "swaps");
    assert_int_equal(task->state, TASK_FAILED);
    assert_true(task_bench_is_quiet(&world->bench, 0)); /* nothing was drained for it */
    assert_string_equal(first_of(world, "code"), "old");
    task = start(world, "new");
    rehearses(world, 0, ORDER_WAY_BESIDE, "fits");
    task_bench_done(&world->bench, 0, next_load(world, 0).order, true, ORDER_WAY_BESIDE, "ok");
    assert_int_equal(task->state, TASK_FAILED);
    assert_non_null(strstr(task->message, "new is loaded on node0, but the mode stays: "));
}

/* --- undo --- */

static void deploy_new(struct world *world)
{
    start(world, "new");
    rehearses(world, 0, ORDER_WAY_THERE, "there");
    task_bench_done(&world->bench, 0, next_load(world, 0).order, true, ORDER_WAY_THERE, "there");
    task_bench_done(&world->bench, 0, task_bench_next(&world->bench, 0, MSG_UNLOAD).unload.order,
            true, ORDER_WAY_NONE, "");
    task_bench_say(&world->bench, 0, "old", INSTANCE_AVAILABLE);
    task_bench_say(&world->bench, 0, "new", INSTANCE_RESIDENT);
}

static void undo_deploys_what_the_config_has(void **state)
{
    struct world *world = *state;
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", "");
    spec.undo = true;
    assert_int_equal(refused(world, &spec, "no deploy has moved mode \"code\""), -ENOENT);
    deploy_new(world);
    task_bench_reopen(&world->bench, CONFIG); /* it is remembered */
    assert_string_equal(first_of(world, "code"), "new");
    const struct task_facts *task = task_bench_start(&world->bench, &spec);
    struct msg_load load = next_load(world, 0);
    assert_string_equal(task->spec.model, "old");
    assert_string_equal(load.model, "old");
    assert_string_equal(load.replaces, "new");
    task_bench_done(&world->bench, 0, load.order, true, ORDER_WAY_SWAP, "swaps");
    assert_string_equal(first_of(world, "code"), "old");
    task_bench_say(&world->bench, 0, "new", INSTANCE_AVAILABLE);
    task_bench_done(&world->bench, 0, next_load(world, 0).order, true, ORDER_WAY_SWAP, "done");
    ended(task, TASK_DONE, "node0: done");
    struct mode_moves_saved saved;
    mode_moves_save(world->bench.moves, "code", &saved);
    assert_int_equal(saved.count, 0);
}

static void undo_needs_no_model_on_a_disk(void **state)
{
    struct world *world = *state;
    const char *removed[] = {"old"};
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", "");
    deploy_new(world);
    fake_mesh_say(&world->bench.mesh, 0,
            &(struct msg){.type = MSG_STATE, .state = {.removed = removed, .removed_count = 1}});
    spec.undo = spec.rehearse = true;
    const struct task_facts *task = task_bench_start(&world->bench, &spec);
    assert_int_equal(task->state, TASK_DONE);
    assert_string_equal(first_of(world, "code"), "new");
    spec.rehearse = false;
    task = task_bench_start(&world->bench, &spec);
    ended(task, TASK_DONE, "the mode is as the config has it; no connected node can load old now");
    assert_string_equal(first_of(world, "code"), "old");
}

/* --- what is refused at once --- */

static void what_is_not_there_is_named(void **state)
{
    struct world *world = *state;
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "debug", "new");
    assert_int_equal(refused(world, &spec, "the config has no mode \"debug\""), -ENOENT);
    strcpy(spec.mode, "auto");
    assert_int_equal(refused(world, &spec, "the config has no mode \"auto\""), -ENOENT);
    spec = task_bench_spec(TASK_DEPLOY, "code", "nobody's");
    assert_int_equal(refused(world, &spec, "no connected node has a model"), -ENOENT);
    spec = task_bench_spec(TASK_DEPLOY, "code", "new");
    strcpy(spec.node, "node2");
    assert_int_equal(refused(world, &spec, "no node \"node2\" is connected"), -ENOENT);
    task_bench_say(&world->bench, 2, "other", INSTANCE_AVAILABLE);
    assert_int_equal(refused(world, &spec, "node \"node2\" has no model \"new\""), -ENOENT);
    struct msg_instance foreign = task_bench_instance("theirs", INSTANCE_RESIDENT);
    foreign.foreign = true;
    task_bench_say_instance(&world->bench, 0, &foreign);
    spec = task_bench_spec(TASK_DEPLOY, "code", "theirs");
    assert_int_equal(refused(world, &spec, "takes no orders for it"), -ENOENT);
    fake_mesh_say(&world->bench.mesh, 0,
            &(struct msg){
                    .type = MSG_STATE, .state = {.draining = true, .memory_limit_bytes = 100}});
    spec = task_bench_spec(TASK_DEPLOY, "code", "new");
    assert_int_equal(refused(world, &spec, "drains or is not heard of"), -ENOENT);
}

static void say_able(struct world *world, size_t node, const char *model, uint32_t capabilities)
{
    struct msg_instance instance = task_bench_instance(model, INSTANCE_AVAILABLE);
    instance.capabilities = capabilities;
    task_bench_say_instance(&world->bench, node, &instance);
}

static void a_model_that_cannot_do_it_is_refused(void **state)
{
    struct world *world = *state;
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", "new");
    say_able(world, 0, "old", CAPABILITY_CHAT);
    say_able(world, 0, "new", CAPABILITY_EMBEDDINGS);
    assert_int_equal(
            refused(world, &spec,
                    "new cannot chat, which the mode \"code\" is for; name a model that can "
                    "(`modemesh models`), or another mode"),
            -EINVAL);
    say_able(world, 0, "old", CAPABILITY_EMBEDDINGS); /* then that is what the mode is for */
    task_bench_start(&world->bench, &spec);
    assert_true(next_load(world, 0).rehearse);
}

static void less_than_the_old_one_can_is_told(void **state)
{
    struct world *world = *state;
    const uint32_t talks = CAPABILITY_CHAT | CAPABILITY_EXACT;
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", "new");
    say_able(world, 0, "old", talks | CAPABILITY_TOOLS);
    say_able(world, 0, "new", talks);
    spec.rehearse = true;
    const struct task_facts *task = task_bench_start(&world->bench, &spec);
    rehearses(world, 0, ORDER_WAY_BESIDE, "fits");
    ended(task, TASK_DONE,
            "node0: fits; new takes no tools, and old does: requests that offer some find less in "
            "mode \"code\"");
}

static void a_mode_is_deployed_once_at_a_time(void **state)
{
    struct world *world = *state;
    struct task_spec spec = task_bench_spec(TASK_DEPLOY, "code", "new");
    const struct task_facts *task = start(world, "new");
    struct msg_load load = next_load(world, 0);
    assert_int_equal(refused(world, &spec, task->id), -EEXIST);
    spec.rehearse = true; /* to ask is free */
    task_bench_start(&world->bench, &spec);
    next_load(world, 0);
    task_bench_done(&world->bench, 0, load.order, false, ORDER_WAY_NONE, "no");
    start(world, "new");
    assert_true(next_load(world, 0).rehearse);
}

static void an_older_node_says_so(void **state)
{
    struct world *world = *state;
    const struct task_facts *task = start(world, "new");
    next_load(world, 0);
    fake_mesh_say(&world->bench.mesh, 0,
            &(struct msg){.type = MSG_UNSUPPORTED, .unsupported = {.type = MSG_LOAD}});
    ended(task, TASK_FAILED,
            "node \"node0\" runs an older modemesh, which takes no such orders; update it");
}

/* --- the requests of the mode --- */

static const char *no_header(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

static void ask_code(struct world *world)
{
    static const char body[] = "{\"model\":\"code\",\"stream\":true,\"messages\":[{\"role\":"
                               "\"user\",\"content\":\"hi\"}]}";
    const struct mode *mode = modes_find(mode_moves_modes(world->bench.moves), "code");
    const struct dialect_input input = {
            .body = body, .len = strlen(body), .content_type = "", .header = no_header};
    const struct reply reply = reply_to_exchange(&world->client);
    const char *param;
    struct request request;
    request_init(&request);
    strcpy(request.id, "req_1");
    assert_int_equal(dialect_openai_chat.parse(&input, &request, &param, NULL), 0);
    request.follows_mode = true;
    jobs_start(world->bench.jobs, &reply, &dialect_openai_chat, &request,
            job_terms_of_models("code", (const char *const *)mode->models, mode->model_count));
    request_fini(&request);
}

static void answer(struct world *world, uint64_t stream)
{
    const struct msg_delta deltas[] = {
            {.stream = stream, .kind = DELTA_TEXT, .data = "whole", .len = 5},
            {.stream = stream, .kind = DELTA_FINISH, .data = "stop", .len = 4}};
    fake_mesh_say(&world->bench.mesh, 0,
            &(struct msg){.type = MSG_DELTAS, .deltas = {.deltas = deltas, .count = 2}});
    fake_mesh_say(&world->bench.mesh, 0, &(struct msg){.type = MSG_END, .end = {.stream = stream}});
    assert_true(fake_exchange_has(&world->client, "whole"));
    assert_true(fake_exchange_has(&world->client, "[DONE]"));
}

static uint64_t gets_request(struct world *world, const char *model)
{
    jobs_dispatch(world->bench.jobs);
    struct msg_start start = task_bench_next(&world->bench, 0, MSG_START).start;
    assert_string_equal(start.model, model);
    uint64_t stream = start.stream;
    assert_true(task_bench_next(&world->bench, 0, MSG_BODY).body.last);
    return stream;
}

/* Another node could load the model too, and is not to. */
static void in_a_swap_new_requests_wait_for_the_new_model(void **state)
{
    struct world *world = *state;
    task_bench_say(&world->bench, 1, "new", INSTANCE_AVAILABLE);
    start(world, "new");
    rehearses(world, 1, ORDER_WAY_NONE, "no room");
    rehearses(world, 0, ORDER_WAY_SWAP, "swaps");
    uint64_t order = next_load(world, 0).order;
    ask_code(world); /* "old" still runs: it has requests to finish */
    uint64_t stream = gets_request(world, "new");
    task_bench_say(&world->bench, 0, "old", INSTANCE_STOPPING);
    task_bench_say(&world->bench, 0, "old", INSTANCE_AVAILABLE);
    task_bench_say(&world->bench, 0, "new", INSTANCE_LOADING);
    task_bench_say(&world->bench, 0, "new", INSTANCE_RESIDENT);
    task_bench_done(&world->bench, 0, order, true, ORDER_WAY_SWAP, "done");
    answer(world, stream);
    assert_true(task_bench_is_quiet(&world->bench, 1));
}

static void a_request_that_waited_for_the_old_model_follows(void **state)
{
    struct world *world = *state;
    task_bench_say(&world->bench, 0, "old", INSTANCE_STOPPING);
    ask_code(world);
    assert_int_equal(jobs_waiting(world->bench.jobs), 1);
    start(world, "new");
    rehearses(world, 0, ORDER_WAY_BESIDE, "fits");
    uint64_t order = next_load(world, 0).order;
    task_bench_say(&world->bench, 0, "new", INSTANCE_RESIDENT);
    jobs_dispatch(world->bench.jobs);
    assert_int_equal(jobs_waiting(world->bench.jobs), 1);
    task_bench_done(&world->bench, 0, order, true, ORDER_WAY_BESIDE, "done");
    task_bench_next(&world->bench, 0, MSG_UNLOAD);
    answer(world, gets_request(world, "new"));
}

static void in_a_failed_swap_requests_go_back_to_the_old_model(void **state)
{
    struct world *world = *state;
    start(world, "new");
    rehearses(world, 0, ORDER_WAY_SWAP, "swaps");
    uint64_t order = next_load(world, 0).order;
    ask_code(world);
    uint64_t stream = gets_request(world, "new");
    task_bench_say(&world->bench, 0, "old", INSTANCE_AVAILABLE);
    task_bench_done(&world->bench, 0, order, false, ORDER_WAY_NONE, "the engine ended");
    order = next_load(world, 0).order;
    fake_mesh_say(&world->bench.mesh, 0,
            &(struct msg){.type = MSG_FAIL,
                    .fail = {.stream = stream,
                            .code = FAIL_ENGINE_DIED,
                            .message = "the engine ended"}});
    answer(world, gets_request(world, "old"));
    task_bench_done(&world->bench, 0, order, true, ORDER_WAY_BESIDE, "loaded");
    assert_int_equal(world->client.status, 200);
}

#define DEPLOY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            DEPLOY_TEST(a_rehearsal_changes_nothing),
            DEPLOY_TEST(the_best_of_several_nodes_does_it),
            DEPLOY_TEST(a_named_node_is_asked_alone),
            DEPLOY_TEST(a_node_that_does_not_answer_is_left_out),
            DEPLOY_TEST(where_none_can_all_say_why),
            DEPLOY_TEST(beside_the_mode_moves_when_it_is_loaded),
            DEPLOY_TEST(an_alias_in_a_list_is_the_model_that_it_means),
            DEPLOY_TEST(what_comes_first_as_an_alias_replaces_nothing),
            DEPLOY_TEST(beside_a_failure_leaves_all_as_it_was),
            DEPLOY_TEST(the_old_one_goes_everywhere_but_where_it_is_pinned),
            DEPLOY_TEST(what_another_mode_lists_stays),
            DEPLOY_TEST(what_another_mode_has_come_to_list_stays),
            DEPLOY_TEST(what_no_mode_lists_any_more_goes),
            DEPLOY_TEST(a_pin_goes_over_to_the_new_one),
            DEPLOY_TEST(in_a_swap_the_mode_moves_first),
            DEPLOY_TEST(a_failed_swap_goes_back),
            DEPLOY_TEST(a_node_that_goes_in_a_swap_gives_the_mode_back),
            DEPLOY_TEST(other_settings_swap_a_model_for_itself),
            DEPLOY_TEST(an_order_takes_an_hour_at_most),
            DEPLOY_TEST(a_mode_that_cannot_be_written_does_not_move),
            DEPLOY_TEST(undo_deploys_what_the_config_has),
            DEPLOY_TEST(undo_needs_no_model_on_a_disk),
            DEPLOY_TEST(what_is_not_there_is_named),
            DEPLOY_TEST(a_model_that_cannot_do_it_is_refused),
            DEPLOY_TEST(less_than_the_old_one_can_is_told),
            DEPLOY_TEST(a_mode_is_deployed_once_at_a_time),
            DEPLOY_TEST(an_older_node_says_so),
            DEPLOY_TEST(in_a_swap_new_requests_wait_for_the_new_model),
            DEPLOY_TEST(a_request_that_waited_for_the_old_model_follows),
            DEPLOY_TEST(in_a_failed_swap_requests_go_back_to_the_old_model),
    };
    return cmocka_run_group_tests_name("deploy", tests, NULL, NULL);
}
