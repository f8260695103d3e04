#include "coordinator/deploy/tasks.h"

#include "common/log.h"
#include "coordinator/deploy/deploy.h"
#include "coordinator/deploy/plain_order.h"
#include "coordinator/deploy/plan_task.h"
#include "coordinator/deploy/task.h"
#include "proto/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tasks {
    struct tasks_config config;
    struct list list; /* task.link, the newest first */
    size_t count, running;
};

static const char *const kind_names[TASK_KIND_COUNT] = {
        "deploy", "load", "unload", "pin", "drain", "plan"};
static const char *const state_names[TASK_STATE_COUNT] = {"running", "done", "failed"};

const char *task_kind_name(enum task_kind kind)
{
    return kind_names[kind];
}

const char *task_state_name(enum task_state state)
{
    return state_names[state];
}

/* --- what its kinds share --- */

/* Cut at the end of `to`, and there maybe within a character: what is left of it shows as '?'. */
static void copy_text(char *to, const char *text)
{
    snprintf(to, TASK_TEXT_MAX, "%s", text);
    rules_fit_sentence(to, strlen(to));
}

void task_progress(struct task *task, const char *node, const char *text)
{
    char line[TASK_TEXT_MAX];
    snprintf(line, sizeof(line), "%s%s%s", node ? node : "", node ? ": " : "", text);
    copy_text(task->facts.progress, line);
}

void task_end(struct task *task, enum task_state state, const char *message)
{
    struct task_facts *facts = &task->facts;
    facts->state = state;
    facts->ended_ms = env_wall_ms(task->world->env);
    copy_text(facts->message, message);
    round_destroy(task->round);
    task->round = NULL;
    task->tasks->running--;
    log_info("operation ended", LOG_S("operation", facts->id),
            LOG_S("kind", task_kind_name(facts->spec.kind)), LOG_S("state", state_names[state]),
            LOG_S("mode", facts->spec.mode), LOG_S("model", facts->spec.model),
            LOG_S("node", facts->node), LOG_S("rehearsal", facts->spec.rehearse ? "yes" : "no"),
            LOG_S("message", facts->message));
}

static void on_progress(void *ctx, const char *node, const char *text)
{
    task_progress(ctx, node, text);
}

int task_begin_round(
        struct task *task, uint64_t limit_ms, void (*on_end)(void *ctx), struct err *err)
{
    task->round_events = (struct round_events){.on_progress = on_progress, .on_end = on_end};
    struct round *round = round_create(task->world->env, limit_ms, &task->round_events, task);
    if (!round)
        return err_set(err, -ENOMEM, "no memory for an order");
    round_destroy(task->round);
    task->round = round;
    return 0;
}

/* Some sentences name their node themselves. */
static size_t append_answer(char *buf, size_t size, const struct round_answer *answer, bool first)
{
    bool named = strncmp(answer->message, "node \"", strlen("node \"")) == 0;
    int len = snprintf(buf, size, "%s%s%s%s", first ? "" : "; ", named ? "" : answer->node,
            named ? "" : ": ", answer->message);
    return len < 0 || (size_t)len >= size ? size - 1 : (size_t)len;
}

const char *task_gather(const struct task *task, bool failed_only, char *buf, size_t size)
{
    size_t len = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < round_count(task->round); i++) {
        const struct round_answer *answer = round_at(task->round, i);
        if (!failed_only || !answer->ok)
            len += append_answer(buf + len, size - len, answer, len == 0);
    }
    return buf;
}

bool task_all_ok(const struct task *task)
{
    for (size_t i = 0; i < round_count(task->round); i++)
        if (!round_at(task->round, i)->ok)
            return false;
    return true;
}

const char *task_listed_name(const struct task *task, const struct mode *mode, const char *model)
{
    for (size_t i = 0; i < mode->model_count; i++)
        if (strcmp(node_table_model(task->world->nodes, mode->models[i]), model) == 0)
            return mode->models[i];
    return NULL;
}

bool task_means(const struct instance *instance, const char *model, const char *node)
{
    return strcmp(instance->model, model) == 0 && (!*node || strcmp(instance->node, node) == 0);
}

static const struct instance *find_instance(
        const struct task *task, const char *model, const char *node)
{
    size_t count;
    struct instance *const *instances = node_table_instances(task->world->nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (task_means(instances[i], model, node))
            return instances[i];
    return NULL;
}

int task_refuse_foreign(const struct instance *instance, struct err *err)
{
    return err_set(err, -ENOENT,
            "\"%s\" is on an engine that node \"%s\" only uses: it takes no orders for it",
            instance->model, instance->node);
}

int task_refuse_nobody(const struct task *task, const char *model, struct err *err)
{
    const char *node = task->facts.spec.node;
    const struct instance *instance = find_instance(task, model, node);
    if (*node && !node_table_find_name(task->world->nodes, node))
        return err_set(err, -ENOENT, "no node \"%s\" is connected", node);
    if (instance && instance->foreign)
        return task_refuse_foreign(instance, err);
    if (instance)
        return err_set(err, -ENOENT,
                "node \"%s\" has \"%s\", but drains or is not heard of: see `modemesh status`",
                instance->node, model);
    if (*node)
        return err_set(err, -ENOENT, "node \"%s\" has no model \"%s\"", node, model);
    return err_set(err, -ENOENT,
            "no connected node has a model \"%s\"; `modemesh models` lists what there is", model);
}

/* --- all of them --- */

struct tasks *tasks_create(const struct tasks_config *config)
{
    struct tasks *tasks = calloc(1, sizeof(*tasks));
    if (!tasks)
        return NULL;
    tasks->config = *config;
    list_init(&tasks->list);
    return tasks;
}

static void task_free(struct task *task)
{
    list_del(&task->link);
    round_destroy(task->round);
    deploy_destroy(task->deploy);
    plan_task_destroy(task->plan);
    free(task);
}

void tasks_destroy(struct tasks *tasks)
{
    if (!tasks)
        return;
    while (!list_empty(&tasks->list))
        task_free(list_entry(tasks->list.next, struct task, link));
    free(tasks);
}

/* Fewer run than are remembered: one of these has ended. */
static void forget_oldest(struct tasks *tasks)
{
    struct list *it = tasks->list.prev;
    while (list_entry(it, struct task, link)->facts.state == TASK_RUNNING)
        it = it->prev;
    task_free(list_entry(it, struct task, link));
    tasks->count--;
}

static bool is_same_deploy(const struct task_spec *a, const struct task_spec *b)
{
    return a->kind == TASK_DEPLOY && b->kind == TASK_DEPLOY && !a->rehearse && !b->rehearse &&
           strcmp(a->mode, b->mode) == 0;
}

static int check_room(const struct tasks *tasks, const struct task_spec *spec, struct err *err)
{
    if (tasks->running >= TASKS_RUNNING_MAX)
        return err_set(err, -ENOSPC, "%d operations are running; wait until one has ended",
                TASKS_RUNNING_MAX);
    list_for_each (it, &tasks->list) {
        const struct task_facts *other = &list_entry(it, struct task, link)->facts;
        if (other->state != TASK_RUNNING)
            continue;
        if (spec->kind == TASK_PLAN && other->spec.kind == TASK_PLAN)
            return err_set(
                    err, -EEXIST, "a plan is being carried out already: operation %s", other->id);
        if (is_same_deploy(spec, &other->spec))
            return err_set(err, -EEXIST, "mode \"%s\" is being deployed already: operation %s",
                    spec->mode, other->id);
    }
    return 0;
}

static struct task *task_create(struct tasks *tasks, const struct task_spec *spec)
{
    struct task *task = calloc(1, sizeof(*task));
    if (!task)
        return NULL;
    list_init(&task->link);
    task->tasks = tasks;
    task->world = &tasks->config;
    task->facts.spec = *spec;
    snprintf(task->facts.spec.model, sizeof(task->facts.spec.model), "%s",
            node_table_model(tasks->config.nodes, spec->model));
    task->facts.started_ms = env_wall_ms(tasks->config.env);
    snprintf(task->facts.node, sizeof(task->facts.node), "%s", spec->node);
    env_random_hex(tasks->config.env, task->facts.id, TASK_ID_LEN / 2);
    return task;
}

static int begin(struct task *task, struct err *err)
{
    switch (task->facts.spec.kind) {
    case TASK_DEPLOY:
    case TASK_LOAD:
        return deploy_begin(task, err);
    case TASK_PLAN:
        return plan_task_begin(task, err);
    default:
        return plain_order_begin(task, err);
    }
}

/* What people ask for comes before a plan that nobody asked for. */
static void have_plans_give_way(const struct tasks *tasks, const struct task_spec *spec)
{
    if (spec->kind == TASK_PLAN || spec->rehearse)
        return;
    list_for_each (it, &tasks->list) {
        const struct task *task = list_entry(it, struct task, link);
        if (task->facts.state == TASK_RUNNING && task->plan && task->facts.spec.automatic)
            plan_task_give_way(task->plan);
    }
}

int tasks_start(struct tasks *tasks, const struct task_spec *spec,
        const struct task_facts **ret_task, struct err *err)
{
    int r = check_room(tasks, spec, err);
    if (r)
        return r;
    struct task *task = task_create(tasks, spec);
    if (!task)
        return err_set(err, -ENOMEM, "no memory for an operation");
    tasks->running++; /* it may end at once */
    r = begin(task, err);
    if (r) {
        tasks->running--;
        task_free(task);
        return r;
    }
    have_plans_give_way(tasks, spec);
    if (tasks->count == TASKS_MAX)
        forget_oldest(tasks);
    list_push_front(&tasks->list, &task->link);
    tasks->count++;
    *ret_task = &task->facts;
    return 0;
}

void tasks_tick(struct tasks *tasks)
{
    list_for_each (it, &tasks->list) {
        struct task *task = list_entry(it, struct task, link);
        if (task->facts.state != TASK_RUNNING)
            continue;
        if (task->plan)
            plan_task_tick(task->plan);
        else
            round_tick(task->round);
    }
}

size_t tasks_count(const struct tasks *tasks)
{
    return tasks->count;
}

const struct task_facts *tasks_at(const struct tasks *tasks, size_t index)
{
    const struct list *it = tasks->list.next;
    while (index-- > 0)
        it = it->next;
    return &list_entry(it, struct task, link)->facts;
}
