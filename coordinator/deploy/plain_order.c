#include "coordinator/deploy/plain_order.h"

#include <errno.h>
#include <string.h>

static bool is_loaded(const struct instance *instance)
{
    return instance->state != INSTANCE_AVAILABLE || instance->ordered;
}

/* True where the order is for this one, no node being named. */
static bool is_meant(const struct task_spec *spec, const struct instance *instance)
{
    if (spec->kind == TASK_UNLOAD)
        return is_loaded(instance) || instance->pinned;
    return spec->on ? is_loaded(instance) : instance->pinned;
}

static bool is_target(const struct task_spec *spec, const struct instance *instance)
{
    return task_means(instance, spec->model, spec->node) && !instance->foreign &&
           (*spec->node || is_meant(spec, instance));
}

struct targets {
    struct instance *at[ROUND_NODES_MAX];
    size_t count;
};

static int add_target(struct targets *targets, struct instance *instance, struct err *err)
{
    if (targets->count == ROUND_NODES_MAX)
        return err_set(err, -E2BIG, "more than %d nodes have \"%s\"; name one (--node, \"node\")",
                ROUND_NODES_MAX, instance->model);
    targets->at[targets->count++] = instance;
    return 0;
}

static int find_targets(const struct task *task, struct targets *ret_targets, struct err *err)
{
    size_t count;
    struct instance *const *instances = node_table_instances(task->world->nodes, &count);
    int r = 0;
    ret_targets->count = 0;
    for (size_t i = 0; !r && i < count; i++)
        if (is_target(&task->facts.spec, instances[i]))
            r = add_target(ret_targets, instances[i], err);
    return r;
}

/* To pin what is loaded nowhere: where only one node has it, that is meant. */
static int find_owner(const struct task *task, struct targets *ret_targets, struct err *err)
{
    const struct task_spec *spec = &task->facts.spec;
    size_t count;
    struct instance *const *instances = node_table_instances(task->world->nodes, &count);
    int r = 0;
    for (size_t i = 0; !r && i < count; i++)
        if (task_means(instances[i], spec->model, spec->node) && !instances[i]->foreign)
            r = add_target(ret_targets, instances[i], err);
    if (!r && ret_targets->count > 1)
        return err_set(err, -EINVAL,
                "%zu nodes have \"%s\", and it is loaded on none: name one (--node, \"node\")",
                ret_targets->count, spec->model);
    return r;
}

static bool is_known(const struct task *task)
{
    const struct task_spec *spec = &task->facts.spec;
    size_t count;
    struct instance *const *instances = node_table_instances(task->world->nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (task_means(instances[i], spec->model, spec->node))
            return true;
    return false;
}

/* What would be meant if it were the mesh's. */
static const struct instance *find_foreign(const struct task *task)
{
    const struct task_spec *spec = &task->facts.spec;
    bool any = spec->kind == TASK_PIN && spec->on; /* wherever it is: none is ours */
    size_t count;
    struct instance *const *instances = node_table_instances(task->world->nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (instances[i]->foreign && task_means(instances[i], spec->model, spec->node) &&
                (any || is_meant(spec, instances[i])))
            return instances[i];
    return NULL;
}

static int refuse(const struct task *task, struct err *err)
{
    const struct task_spec *spec = &task->facts.spec;
    const struct instance *foreign = find_foreign(task);
    if (*spec->node || !is_known(task))
        return task_refuse_nobody(task, spec->model, err);
    if (foreign)
        return task_refuse_foreign(foreign, err);
    return err_set(err, -ENOENT, "\"%s\" is %s on no connected node", spec->model,
            spec->kind == TASK_UNLOAD ? "loaded" : "pinned");
}

static void on_end(void *ctx)
{
    struct task *task = ctx;
    char text[TASK_TEXT_MAX];
    task_gather(task, false, text, sizeof(text));
    task_end(task, task_all_ok(task) ? TASK_DONE : TASK_FAILED, text);
}

static struct msg order_of(const struct task_spec *spec)
{
    if (spec->kind == TASK_UNLOAD)
        return (struct msg){.type = MSG_UNLOAD, .unload = {.model = spec->model}};
    return (struct msg){.type = MSG_PIN, .pin = {.model = spec->model, .pinned = spec->on}};
}

static int begin_on_models(struct task *task, struct err *err)
{
    const struct task_spec *spec = &task->facts.spec;
    const struct msg order = order_of(spec);
    struct targets targets;
    int r = find_targets(task, &targets, err);
    if (!r && targets.count == 0 && spec->kind == TASK_PIN && spec->on)
        r = find_owner(task, &targets, err);
    if (!r && targets.count == 0)
        r = refuse(task, err);
    if (!r)
        r = task_begin_round(task, TASK_ORDER_MS, on_end, err);
    for (size_t i = 0; !r && i < targets.count; i++)
        r = round_add(task->round, targets.at[i]->session, &order, err);
    return r;
}

static int begin_on_node(struct task *task, struct err *err)
{
    const struct task_spec *spec = &task->facts.spec;
    struct node_session *session = node_table_find_name(task->world->nodes, spec->node);
    const struct msg order = {.type = MSG_DRAIN, .drain = {.draining = spec->on}};
    if (!session)
        return err_set(err, -ENOENT, "no node \"%s\" is connected", spec->node);
    int r = task_begin_round(task, TASK_ORDER_MS, on_end, err);
    return r ? r : round_add(task->round, session, &order, err);
}

int plain_order_begin(struct task *task, struct err *err)
{
    int r = task->facts.spec.kind == TASK_DRAIN ? begin_on_node(task, err)
                                                : begin_on_models(task, err);
    if (!r && round_count(task->round) == 1)
        memcpy(task->facts.node, round_at(task->round, 0)->node, sizeof(task->facts.node));
    if (!r)
        round_tick(task->round);
    return r;
}
