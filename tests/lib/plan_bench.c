#include "tests/lib/plan_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#define GIB_BYTES (UINT64_C(1) << 30)

static const char config[] = "modes:\n  code:\n    models: [coder]\n    context: 8192\n";

int plan_bench_set_up(void **state)
{
    struct plan_bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    task_bench_init(&bench->bench, 2, config);
    assert_int_equal(loop_init(&bench->loop), 0);
    bench->planner = planner_create(&(struct planner_config){.loop = &bench->loop,
            .nodes = bench->bench.mesh.nodes,
            .modes = mode_moves_modes(bench->bench.moves)});
    bench->tasks = tasks_create(&(struct tasks_config){.env = &bench->bench.mesh.env.env,
            .nodes = bench->bench.mesh.nodes,
            .moves = bench->bench.moves,
            .jobs = bench->bench.jobs,
            .planner = bench->planner});
    bench->keeper = plan_keeper_create(&(struct plan_keeper_config){
            .env = &bench->bench.mesh.env.env, .planner = bench->planner, .tasks = bench->tasks});
    assert_true(bench->planner && bench->tasks && bench->keeper);
    *state = bench;
    return 0;
}

int plan_bench_tear_down(void **state)
{
    struct plan_bench *bench = *state;
    plan_keeper_destroy(bench->keeper);
    tasks_destroy(bench->tasks);
    planner_destroy(bench->planner);
    loop_fini(&bench->loop);
    task_bench_fini(&bench->bench);
    free(bench);
    return 0;
}

static struct msg_instance instance_of(const char *model, enum instance_state model_state)
{
    return (struct msg_instance){.model = model,
            .state = model_state,
            .memory_bytes = GIB_BYTES,
            .context = 8192,
            .slots = model_state == INSTANCE_RESIDENT ? 1 : 0,
            .run_context = 8192,
            .run_slots = 1,
            .engine = "",
            .note = ""};
}

static void say(
        struct plan_bench *bench, size_t node, const struct msg_instance *instances, size_t count)
{
    struct fake_mesh *mesh = &bench->bench.mesh;
    if (node_table_count(mesh->nodes) <= node)
        fake_mesh_hello(mesh, node, "s");
    fake_mesh_say(mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.full = true,
                            .instances = instances,
                            .instance_count = count,
                            .memory_limit_bytes = 4 * GIB_BYTES}});
    fake_link_forget(&mesh->link, node);
}

void plan_bench_say(struct plan_bench *bench, size_t node, enum instance_state model_state)
{
    const struct msg_instance coder = instance_of("coder", model_state);
    say(bench, node, &coder, 1);
}

void plan_bench_say_filled(struct plan_bench *bench, size_t node, bool busy)
{
    struct msg_instance instances[] = {
            instance_of("coder", INSTANCE_AVAILABLE), instance_of("other", INSTANCE_RESIDENT)};
    instances[1].memory_bytes = 4 * GIB_BYTES;
    instances[1].busy = busy;
    say(bench, node, instances, 2);
}

void plan_bench_make_plan(struct plan_bench *bench)
{
    (void)uv_run(&bench->loop.uv, UV_RUN_ONCE);
}

uint64_t plan_bench_load(struct plan_bench *bench, size_t node)
{
    return task_bench_next(&bench->bench, node, MSG_LOAD).load.order;
}

void plan_bench_done(
        struct plan_bench *bench, size_t node, uint64_t order, bool ok, const char *message)
{
    task_bench_done(&bench->bench, node, order, ok, ORDER_WAY_BESIDE, message);
}
