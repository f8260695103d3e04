/* A coordinator's tasks over a mesh without sockets: modes from a config text, nodes that the test
 * plays. What fails that should not aborts or fails the test. */
#pragma once

#include "coordinator/deploy/tasks.h"
#include "tests/lib/fake_mesh.h"

#include <stddef.h>
#include <stdint.h>

struct task_bench {
    struct fake_mesh mesh;
    struct mode_moves *moves;
    struct jobs *jobs;
    struct tasks *tasks;
};

/* `yaml`: "modes:\n  code:\n    models: [a, b]\n" */
void task_bench_init(struct task_bench *bench, size_t nodes, const char *yaml);
void task_bench_fini(struct task_bench *bench);
/* The modes of that config text. */
struct modes task_bench_modes(const char *yaml);
/* As after a restart of the coordinator: the modes are read from its state directory again. */
void task_bench_reopen(struct task_bench *bench, const char *yaml);

/* An instance as nodes tell of them. */
struct msg_instance task_bench_instance(const char *model, enum instance_state state);
/* The node comes in, if it is not there, and tells of one model, or of a change to it. */
void task_bench_say(
        struct task_bench *bench, size_t node, const char *model, enum instance_state state);
void task_bench_say_instance(
        struct task_bench *bench, size_t node, const struct msg_instance *instance);

struct task_spec task_bench_spec(enum task_kind kind, const char *mode, const char *model);
/* Begins it; aborts where it is refused. */
const struct task_facts *task_bench_start(struct task_bench *bench, const struct task_spec *spec);

/* The next message to the node, which must be of that type. */
struct msg task_bench_next(struct task_bench *bench, size_t node, enum msg_type type);
/* True where nothing waits for the node. */
bool task_bench_is_quiet(struct task_bench *bench, size_t node);
void task_bench_done(struct task_bench *bench, size_t node, uint64_t order, bool ok,
        enum order_way way, const char *message);
void task_bench_tick(struct task_bench *bench, uint64_t ms);
