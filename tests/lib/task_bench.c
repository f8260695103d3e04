#include "tests/lib/task_bench.h"

#include "common/config/config.h"
#include "coordinator/modes/mode_config.h"
#include "coordinator/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int r)
{
    if (r)
        abort();
}

struct modes task_bench_modes(const char *yaml)
{
    struct config *config = config_create(coordinator_keys);
    struct modes modes;
    must(config_load_text(config, "test.yaml", yaml, strlen(yaml), NULL));
    must(modes_from_config(config, &modes, NULL));
    config_destroy(config);
    return modes;
}

static void open_modes(struct task_bench *bench, const char *yaml)
{
    struct modes modes = task_bench_modes(yaml);
    must(mode_moves_open(
            scratch_path(&bench->mesh.scratch, "mode-moves.json"), &modes, &bench->moves, NULL));
    bench->tasks = tasks_create(&(struct tasks_config){.env = &bench->mesh.env.env,
            .nodes = bench->mesh.nodes,
            .moves = bench->moves,
            .jobs = bench->jobs});
    if (!bench->tasks)
        abort();
}

void task_bench_init(struct task_bench *bench, size_t nodes, const char *yaml)
{
    fake_mesh_init(&bench->mesh, nodes);
    bench->jobs = jobs_create(
            &(struct jobs_config){.env = &bench->mesh.env.env, .router = bench->mesh.router});
    open_modes(bench, yaml);
}

void task_bench_fini(struct task_bench *bench)
{
    tasks_destroy(bench->tasks);
    jobs_destroy(bench->jobs);
    mode_moves_close(bench->moves);
    fake_mesh_fini(&bench->mesh);
}

void task_bench_reopen(struct task_bench *bench, const char *yaml)
{
    tasks_destroy(bench->tasks);
    mode_moves_close(bench->moves);
    open_modes(bench, yaml);
}

struct msg_instance task_bench_instance(const char *model, enum instance_state state)
{
    return (struct msg_instance){.model = model,
            .state = state,
            .slots = 1,
            .context = 4096,
            .type_k = CACHE_TYPE_Q8_0,
            .engine = "fake",
            .note = ""};
}

void task_bench_say_instance(
        struct task_bench *bench, size_t node, const struct msg_instance *instance)
{
    char name[MSG_NODE_NAME_MAX + 1];
    (void)snprintf(name, sizeof(name), "node%zu", node);
    if (!node_table_find_name(bench->mesh.nodes, name)) {
        fake_mesh_hello(&bench->mesh, node, "modemesh 1");
        fake_link_forget(&bench->mesh.link, node);
    }
    fake_mesh_say(&bench->mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.memory_limit_bytes = 100,
                            .instances = instance,
                            .instance_count = 1}});
}

void task_bench_say(
        struct task_bench *bench, size_t node, const char *model, enum instance_state state)
{
    struct msg_instance instance = task_bench_instance(model, state);
    task_bench_say_instance(bench, node, &instance);
}

struct task_spec task_bench_spec(enum task_kind kind, const char *mode, const char *model)
{
    struct task_spec spec = {.kind = kind, .type_k = "", .type_v = ""};
    (void)snprintf(spec.mode, sizeof(spec.mode), "%s", mode);
    (void)snprintf(spec.model, sizeof(spec.model), "%s", model);
    return spec;
}

const struct task_facts *task_bench_start(struct task_bench *bench, const struct task_spec *spec)
{
    const struct task_facts *task;
    struct err err;
    if (tasks_start(bench->tasks, spec, &task, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return task;
}

struct msg task_bench_next(struct task_bench *bench, size_t node, enum msg_type type)
{
    struct msg msg;
    node_table_flush(bench->mesh.nodes);
    if (!fake_link_next(&bench->mesh.link, node, &msg)) {
        fprintf(stderr, "nothing was sent to node%zu\n", node);
        abort();
    }
    if (msg.type != type) {
        fprintf(stderr, "node%zu got %s, not %s\n", node, msg_type_name(msg.type),
                msg_type_name(type));
        abort();
    }
    return msg;
}

bool task_bench_is_quiet(struct task_bench *bench, size_t node)
{
    struct msg msg;
    node_table_flush(bench->mesh.nodes);
    return !fake_link_next(&bench->mesh.link, node, &msg);
}

void task_bench_done(struct task_bench *bench, size_t node, uint64_t order, bool ok,
        enum order_way way, const char *message)
{
    fake_mesh_say(&bench->mesh, node,
            &(struct msg){.type = MSG_DONE,
                    .done = {.order = order,
                            .ok = ok,
                            .code = ok ? 0 : FAIL_NO_MEMORY,
                            .way = way,
                            .message = message}});
}

void task_bench_tick(struct task_bench *bench, uint64_t ms)
{
    virtual_env_advance_ms(&bench->mesh.env, ms);
    tasks_tick(bench->tasks);
}
