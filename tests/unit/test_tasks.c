#include "coordinator/deploy/tasks.h"

#include "common/text.h"
#include "tests/lib/task_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 6 };

static int setup(void **state)
{
    struct task_bench *bench = calloc(1, sizeof(*bench));
    task_bench_init(bench, NODES, "modes:\n  code:\n    models: [small]\n");
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    task_bench_fini(*state);
    free(*state);
    return 0;
}

static const struct task_facts *start(
        struct task_bench *bench, enum task_kind kind, const char *model, const char *node, bool on)
{
    struct task_spec spec = task_bench_spec(kind, "", model);
    strcpy(spec.node, node);
    spec.on = on;
    return task_bench_start(bench, &spec);
}

static int refused(struct task_bench *bench, enum task_kind kind, const char *model,
        const char *node, bool on, const char *why)
{
    struct task_spec spec = task_bench_spec(kind, "", model);
    const struct task_facts *task;
    struct err err;
    strcpy(spec.node, node);
    spec.on = on;
    int r = tasks_start(bench->tasks, &spec, &task, &err);
    assert_int_not_equal(r, 0);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    return r;
}

static void unloads(struct task_bench *bench, size_t node, bool ok, const char *message)
{
    struct msg_unload unload = task_bench_next(bench, node, MSG_UNLOAD).unload;
    assert_string_equal(unload.model, "small");
    task_bench_done(bench, node, unload.order, ok, ORDER_WAY_NONE, message);
}

static void a_model_is_unloaded_everywhere(void **state)
{
    struct task_bench *bench = *state;
    struct msg_instance pinned = task_bench_instance("small", INSTANCE_AVAILABLE);
    pinned.pinned = true;
    task_bench_say(bench, 0, "small", INSTANCE_RESIDENT);
    task_bench_say(bench, 1, "small", INSTANCE_AVAILABLE);
    task_bench_say_instance(bench, 2, &pinned); /* it would be loaded again */
    const struct task_facts *task = start(bench, TASK_UNLOAD, "small", "", false);
    assert_true(task_bench_is_quiet(bench, 1));
    unloads(bench, 0, true, "gone");
    assert_int_equal(task->state, TASK_RUNNING);
    assert_string_equal(task->node, "");
    unloads(bench, 2, true, "no more pinned");
    assert_int_equal(task->state, TASK_DONE);
    assert_string_equal(task->message, "node0: gone; node2: no more pinned");
}

static void or_on_the_named_node(void **state)
{
    struct task_bench *bench = *state;
    task_bench_say(bench, 0, "small", INSTANCE_RESIDENT);
    task_bench_say(bench, 1, "small", INSTANCE_AVAILABLE);
    const struct task_facts *task = start(bench, TASK_UNLOAD, "small", "node1", false);
    assert_true(task_bench_is_quiet(bench, 0));
    unloads(bench, 1, false, "it is not loaded");
    assert_int_equal(task->state, TASK_FAILED);
    assert_string_equal(task->node, "node1");
    assert_string_equal(task->message, "node1: it is not loaded");
}

static void what_is_loaded_nowhere_is_not_unloaded(void **state)
{
    struct task_bench *bench = *state;
    struct msg_instance foreign = task_bench_instance("small", INSTANCE_RESIDENT);
    foreign.foreign = true;
    task_bench_say(bench, 0, "small", INSTANCE_AVAILABLE);
    assert_int_equal(refused(bench, TASK_UNLOAD, "small", "", false, "loaded on no connected node"),
            -ENOENT);
    task_bench_say_instance(bench, 1, &foreign);
    assert_int_equal(refused(bench, TASK_UNLOAD, "small", "", false,
                             "on an engine that node \"node1\" only uses"),
            -ENOENT);
    assert_int_equal(
            refused(bench, TASK_UNLOAD, "large", "", false, "no connected node has"), -ENOENT);
    assert_int_equal(
            refused(bench, TASK_UNLOAD, "small", "node1", false, "takes no orders"), -ENOENT);
    assert_int_equal(
            refused(bench, TASK_UNLOAD, "small", "node7", false, "no node \"node7\""), -ENOENT);
    assert_int_equal(tasks_count(bench->tasks), 0);
}

static void what_only_others_have_is_not_pinned(void **state)
{
    struct task_bench *bench = *state;
    struct msg_instance foreign = task_bench_instance("small", INSTANCE_AVAILABLE);
    foreign.foreign = true;
    task_bench_say_instance(bench, 0, &foreign);
    assert_int_equal(refused(bench, TASK_PIN, "small", "", true, "takes no orders"), -ENOENT);
    assert_int_equal(
            refused(bench, TASK_PIN, "small", "", false, "pinned on no connected node"), -ENOENT);
}

static bool pins(struct task_bench *bench, size_t node)
{
    struct msg_pin pin = task_bench_next(bench, node, MSG_PIN).pin;
    assert_string_equal(pin.model, "small");
    task_bench_done(bench, node, pin.order, true, ORDER_WAY_NONE, "");
    return pin.pinned;
}

static void a_pin_is_where_the_model_is_loaded(void **state)
{
    struct task_bench *bench = *state;
    task_bench_say(bench, 0, "small", INSTANCE_RESIDENT);
    task_bench_say(bench, 1, "small", INSTANCE_AVAILABLE);
    task_bench_say(bench, 2, "small", INSTANCE_LOADING);
    start(bench, TASK_PIN, "small", "", true);
    assert_true(pins(bench, 0));
    assert_true(task_bench_is_quiet(bench, 1));
    assert_true(pins(bench, 2));
    assert_int_equal(
            refused(bench, TASK_PIN, "small", "", false, "pinned on no connected node"), -ENOENT);
    struct msg_instance pinned = task_bench_instance("small", INSTANCE_AVAILABLE);
    pinned.pinned = true;
    task_bench_say_instance(bench, 1, &pinned);
    start(bench, TASK_PIN, "small", "", false);
    assert_true(task_bench_is_quiet(bench, 0));
    assert_false(pins(bench, 1));
}

static void else_on_the_one_node_that_has_it(void **state)
{
    struct task_bench *bench = *state;
    task_bench_say(bench, 0, "small", INSTANCE_AVAILABLE);
    start(bench, TASK_PIN, "small", "", true);
    assert_true(pins(bench, 0));
    task_bench_say(bench, 1, "small", INSTANCE_AVAILABLE);
    assert_int_equal(refused(bench, TASK_PIN, "small", "", true, "name one"), -EINVAL);
    start(bench, TASK_PIN, "small", "node1", true);
    assert_true(pins(bench, 1));
}

static void a_node_is_drained_and_taken_back(void **state)
{
    struct task_bench *bench = *state;
    task_bench_say(bench, 0, "small", INSTANCE_RESIDENT);
    const struct task_facts *task = start(bench, TASK_DRAIN, "", "node0", true);
    struct msg_drain drain = task_bench_next(bench, 0, MSG_DRAIN).drain;
    assert_true(drain.draining);
    task_bench_done(bench, 0, drain.order, true, ORDER_WAY_NONE, "takes no new work");
    assert_int_equal(task->state, TASK_DONE);
    fake_mesh_say(&bench->mesh, 0, &(struct msg){.type = MSG_STATE, .state = {.draining = true}});
    start(bench, TASK_DRAIN, "", "node0", false); /* a draining node takes orders */
    assert_false(task_bench_next(bench, 0, MSG_DRAIN).drain.draining);
    assert_int_equal(refused(bench, TASK_DRAIN, "", "node1", true, "no node \"node1\""), -ENOENT);
}

static void a_model_is_loaded_where_it_suits_best(void **state)
{
    struct task_bench *bench = *state;
    struct task_spec spec = task_bench_spec(TASK_LOAD, "", "small");
    task_bench_say(bench, 0, "small", INSTANCE_AVAILABLE);
    task_bench_say(bench, 1, "small", INSTANCE_AVAILABLE);
    spec.keep = true;
    spec.context = 512;
    const struct task_facts *task = task_bench_start(bench, &spec);
    for (size_t i = 0; i < 2; i++) {
        struct msg_load load = task_bench_next(bench, i, MSG_LOAD).load;
        assert_true(load.rehearse);
        task_bench_done(bench, i, load.order, true, i ? ORDER_WAY_BESIDE : ORDER_WAY_SWAP, "so");
    }
    struct msg_load load = task_bench_next(bench, 1, MSG_LOAD).load;
    assert_false(load.rehearse);
    assert_true(load.keep);
    assert_int_equal(load.context, 512);
    assert_string_equal(load.replaces, "");
    task_bench_done(bench, 1, load.order, true, ORDER_WAY_BESIDE, "loaded");
    assert_int_equal(task->state, TASK_DONE);
    assert_string_equal(task->message, "node1: loaded");
    assert_true(task_bench_is_quiet(bench, 0));
    assert_string_equal(mode_moves_modes(bench->moves)->list[0].models[0], "small");
}

static void an_alias_is_ordered_by_the_models_own_name(void **state)
{
    static const char *const aliases[] = {"nick"};
    struct task_bench *bench = *state;
    struct msg_instance instance = task_bench_instance("small", INSTANCE_RESIDENT);
    instance.aliases = aliases;
    instance.alias_count = 1;
    task_bench_say_instance(bench, 0, &instance);
    task_bench_say(bench, 1, "small", INSTANCE_RESIDENT); /* not called so there */
    const struct task_facts *task = start(bench, TASK_UNLOAD, "nick", "", false);
    assert_string_equal(task->spec.model, "small");
    unloads(bench, 0, true, "gone");
    unloads(bench, 1, true, "gone");
    assert_int_equal(task->state, TASK_DONE);
    start(bench, TASK_PIN, "nick", "node1", true);
    assert_string_equal(task_bench_next(bench, 1, MSG_PIN).pin.model, "small");
    start(bench, TASK_LOAD, "nick", "node0", false);
    assert_string_equal(task_bench_next(bench, 0, MSG_LOAD).load.model, "small");
}

/* --- limits --- */

static void so_many_run_and_no_more(void **state)
{
    struct task_bench *bench = *state;
    uint64_t order = 0;
    task_bench_say(bench, 0, "small", INSTANCE_RESIDENT);
    for (size_t i = 0; i < TASKS_RUNNING_MAX; i++) {
        start(bench, TASK_DRAIN, "", "node0", true);
        order = task_bench_next(bench, 0, MSG_DRAIN).drain.order;
    }
    assert_int_equal(refused(bench, TASK_UNLOAD, "small", "", false, "8 operations"), -ENOSPC);
    assert_true(task_bench_is_quiet(bench, 0));
    task_bench_done(bench, 0, order, true, ORDER_WAY_NONE, "");
    start(bench, TASK_UNLOAD, "small", "", false);
    /* What has ended at once, or was refused, counts no more. */
    unloads(bench, 0, true, "");
    refused(bench, TASK_UNLOAD, "large", "", false, "no connected node has");
    start(bench, TASK_UNLOAD, "small", "", false);
}

static void the_oldest_that_has_ended_is_forgotten(void **state)
{
    struct task_bench *bench = *state;
    char first[TASK_ID_LEN + 1], second[TASK_ID_LEN + 1];
    task_bench_say(bench, 0, "small", INSTANCE_RESIDENT);
    strcpy(first, start(bench, TASK_DRAIN, "", "node0", true)->id); /* runs all the while */
    strcpy(second, start(bench, TASK_UNLOAD, "small", "", false)->id);
    assert_int_equal(strlen(second), TASK_ID_LEN);
    assert_string_not_equal(first, second);
    task_bench_next(bench, 0, MSG_DRAIN);
    unloads(bench, 0, true, "");
    for (size_t i = 2; i < TASKS_MAX; i++) {
        start(bench, TASK_UNLOAD, "small", "", false);
        unloads(bench, 0, true, "");
    }
    assert_int_equal(tasks_count(bench->tasks), TASKS_MAX);
    assert_string_equal(tasks_at(bench->tasks, TASKS_MAX - 1)->id, first);
    assert_string_equal(tasks_at(bench->tasks, TASKS_MAX - 2)->id, second);
    const struct task_facts *newest = start(bench, TASK_UNLOAD, "small", "", false);
    assert_int_equal(tasks_count(bench->tasks), TASKS_MAX);
    assert_ptr_equal(tasks_at(bench->tasks, 0), newest);
    assert_string_equal(tasks_at(bench->tasks, TASKS_MAX - 1)->id, first);
    assert_string_not_equal(tasks_at(bench->tasks, TASKS_MAX - 2)->id, second);
}

static void long_words_of_nodes_are_cut(void **state)
{
    struct task_bench *bench = *state;
    char text[MSG_TEXT_MAX + 1];
    uint64_t orders[NODES];
    for (size_t i = 0; i + 1 < MSG_TEXT_MAX; i += 2)
        memcpy(text + i, "é", 2);
    text[MSG_TEXT_MAX] = '\0';
    for (size_t i = 0; i < NODES; i++)
        task_bench_say(bench, i, "small", INSTANCE_RESIDENT);
    const struct task_facts *task = start(bench, TASK_UNLOAD, "small", "", false);
    for (size_t i = 0; i < NODES; i++)
        orders[i] = task_bench_next(bench, i, MSG_UNLOAD).unload.order;
    for (size_t i = 0; i < NODES; i++)
        task_bench_done(bench, i, orders[i], true, ORDER_WAY_NONE, text);
    assert_int_equal(task->state, TASK_DONE);
    assert_int_equal(strlen(task->message), TASK_TEXT_MAX - 1);
    for (size_t i = 0, len; i < TASK_TEXT_MAX - 1; i += len) {
        len = text_utf8_seq(task->message + i, TASK_TEXT_MAX - 1 - i);
        assert_int_not_equal(len, 0);
    }
}

#define TASKS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TASKS_TEST(a_model_is_unloaded_everywhere),
            TASKS_TEST(or_on_the_named_node),
            TASKS_TEST(what_is_loaded_nowhere_is_not_unloaded),
            TASKS_TEST(what_only_others_have_is_not_pinned),
            TASKS_TEST(a_pin_is_where_the_model_is_loaded),
            TASKS_TEST(else_on_the_one_node_that_has_it),
            TASKS_TEST(a_node_is_drained_and_taken_back),
            TASKS_TEST(a_model_is_loaded_where_it_suits_best),
            TASKS_TEST(an_alias_is_ordered_by_the_models_own_name),
            TASKS_TEST(so_many_run_and_no_more),
            TASKS_TEST(the_oldest_that_has_ended_is_forgotten),
            TASKS_TEST(long_words_of_nodes_are_cut),
    };
    return cmocka_run_group_tests_name("tasks", tests, NULL, NULL);
}
