#include "coordinator/deploy/deploy.h"

#include "common/log.h"
#include "common/sm.h"
#include "coordinator/deploy/candidate.h"
#include "coordinator/modes/mode_needs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum deploy_state {
    DEPLOY_REHEARSING,
    DEPLOY_LOADING,
    DEPLOY_SWAPPING,
    DEPLOY_RESTORING,
    DEPLOY_CLEARING,
    DEPLOY_ENDED,
    DEPLOY_STATE_COUNT,
};

struct run {                      /* how a model is loaded on a node */
    char model[MSG_NAME_MAX + 1]; /* "": it is not */
    uint32_t context, slots;
    const char *type_k, *type_v;
    bool pinned;
};

struct deploy {
    struct sm sm;
    char model[MSG_NAME_MAX + 1];
    char old[MSG_NAME_MAX + 1];      /* what is first in the mode's list until the move; "": nothing
                                        moves */
    char kept_for[MSG_NAME_MAX + 1]; /* a mode that will list the old one; "": none, it may go */
    char node[MSG_NODE_NAME_MAX + 1]; /* the chosen one … */
    uint32_t epoch;                   /* … in its session */
    struct run before;                /* what a swap ends there, to be put back should it fail */
    struct mode_moves_saved saved;
    bool loses_tools;           /* the old one took tools, the new one does not */
    char result[TASK_TEXT_MAX]; /* what the task's message will be */
};

static const char *const state_names[DEPLOY_STATE_COUNT] = {
        "rehearsing", "loading", "swapping", "restoring", "clearing", "ended"};
static const uint32_t next_states[DEPLOY_STATE_COUNT] = {
        [DEPLOY_REHEARSING] =
                SM_BIT(DEPLOY_LOADING) | SM_BIT(DEPLOY_SWAPPING) | SM_BIT(DEPLOY_ENDED),
        [DEPLOY_LOADING] = SM_BIT(DEPLOY_CLEARING) | SM_BIT(DEPLOY_ENDED),
        [DEPLOY_SWAPPING] =
                SM_BIT(DEPLOY_CLEARING) | SM_BIT(DEPLOY_RESTORING) | SM_BIT(DEPLOY_ENDED),
        [DEPLOY_RESTORING] = SM_BIT(DEPLOY_ENDED),
        [DEPLOY_CLEARING] = SM_BIT(DEPLOY_ENDED),
};
static const struct sm_def deploy_sm = {.name = "deploy",
        .state_names = state_names,
        .state_count = DEPLOY_STATE_COUNT,
        .next = next_states};

static void deploy_set_state(struct task *task, enum deploy_state state)
{
    sm_set(&task->deploy->sm, state);
    log_debug("deploy", LOG_S("operation", task->facts.id), LOG_S("state", state_names[state]));
}

/* One more thing to tell at the end; what is too long is cut. */
static void add_result(struct deploy *deploy, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
static void add_result(struct deploy *deploy, const char *fmt, ...)
{
    size_t len = strlen(deploy->result);
    va_list args;
    va_start(args, fmt);
    vsnprintf(deploy->result + len, sizeof(deploy->result) - len, fmt, args);
    va_end(args);
}

static void end(struct task *task, enum task_state state, const char *message)
{
    deploy_set_state(task, DEPLOY_ENDED);
    task_end(task, state, message);
}

/* --- what is there --- */

static struct instance *find_instance(const struct task *task, uint32_t epoch, const char *model)
{
    size_t count;
    struct instance *const *instances = node_table_instances(task->world->nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (instances[i]->epoch == epoch && strcmp(instances[i]->model, model) == 0)
            return instances[i];
    return NULL;
}

static bool is_loaded(const struct instance *instance)
{
    return instance->state != INSTANCE_AVAILABLE || instance->ordered;
}

static bool may_be_loaded(const struct task *task, const struct instance *instance)
{
    return instance->usable && !instance->foreign &&
           task_means(instance, task->deploy->model, task->facts.spec.node);
}

/* The model that may end on that node for the new one; "": none. */
static const char *replaced_on(const struct task *task, uint32_t epoch)
{
    const struct deploy *deploy = task->deploy;
    const struct instance *old =
            *deploy->old && !*deploy->kept_for ? find_instance(task, epoch, deploy->old) : NULL;
    return old && is_loaded(old) && !old->foreign ? deploy->old : "";
}

static struct run run_of(const struct instance *instance)
{
    struct run run = {.context = instance->context,
            .slots = instance->slots,
            .type_k = cache_type_name(instance->type_k),
            .type_v = cache_type_name(instance->type_v),
            .pinned = instance->pinned};
    snprintf(run.model, sizeof(run.model), "%s", instance->model);
    return run;
}

static struct msg load_order(const struct task *task, uint32_t epoch)
{
    const struct task_spec *spec = &task->facts.spec;
    const struct instance *old = find_instance(task, epoch, task->deploy->old);
    return (struct msg){.type = MSG_LOAD,
            .load = {.model = task->deploy->model,
                    .replaces = replaced_on(task, epoch),
                    .context = spec->context,
                    .slots = spec->slots,
                    .type_k = spec->type_k,
                    .type_v = spec->type_v,
                    .keep = spec->keep || (old && old->pinned)}};
}

/* One order to the node that was chosen. */
static int tell_node(struct task *task, const struct instance *instance, const struct msg *order,
        void (*on_end)(void *ctx), struct err *err)
{
    int r = task_begin_round(task, TASK_ORDER_MS, on_end, err);
    return r ? r : round_add(task->round, instance->session, order, err);
}

/* --- the mode --- */

/* Its requests follow, those that wait too. */
static void mode_has_moved(struct task *task, const char *from, const char *to)
{
    const char *mode = task->facts.spec.mode;
    jobs_move_mode(task->world->jobs, mode, from, to);
    log_info("mode moved", LOG_S("mode", mode), LOG_S("from", from), LOG_S("to", to),
            LOG_S("operation", task->facts.id));
}

/* What to write into the mode's list: as the config names it. */
static const char *name_to_list(const struct task *task)
{
    const char *model = task->deploy->model;
    const struct mode *mode = mode_moves_config(task->world->moves, task->facts.spec.mode);
    const char *listed = mode ? task_listed_name(task, mode, model) : NULL;
    return listed ? listed : model;
}

static int move_mode(struct task *task, struct err *err)
{
    struct deploy *deploy = task->deploy;
    const struct task_spec *spec = &task->facts.spec;
    struct mode_moves *moves = task->world->moves;
    if (spec->kind != TASK_DEPLOY)
        return 0;
    mode_moves_save(moves, spec->mode, &deploy->saved);
    int r = spec->undo ? mode_moves_undo(moves, spec->mode, err)
                       : mode_moves_put(moves, spec->mode, name_to_list(task),
                                 env_wall_ms(task->world->env), err);
    if (!r && *deploy->old)
        mode_has_moved(task, deploy->old, deploy->model);
    return r;
}

static void move_back(struct task *task)
{
    struct deploy *deploy = task->deploy;
    struct err err;
    if (task->facts.spec.kind != TASK_DEPLOY)
        return;
    if (mode_moves_restore(task->world->moves, &deploy->saved, &err))
        log_error("mode not moved back", LOG_S("mode", task->facts.spec.mode),
                LOG_S("reason", err.text));
    else if (*deploy->old)
        mode_has_moved(task, deploy->model, deploy->old);
}

/* --- the old model goes --- */

/* On another node what is pinned stays: somebody wants it there. */
static bool should_go(const struct task *task, const struct instance *instance)
{
    const struct deploy *deploy = task->deploy;
    bool here = instance->epoch == deploy->epoch;
    return strcmp(instance->model, deploy->old) == 0 && !instance->foreign &&
           (here ? is_loaded(instance) || instance->pinned
                 : is_loaded(instance) && !instance->pinned);
}

static void on_cleared(void *ctx)
{
    struct task *task = ctx;
    struct deploy *deploy = task->deploy;
    char text[TASK_TEXT_MAX];
    if (!task_all_ok(task))
        add_result(
                deploy, "; %s stays: %s", deploy->old, task_gather(task, true, text, sizeof(text)));
    end(task, TASK_DONE, deploy->result);
}

static int tell_to_let_go(struct task *task, struct err *err)
{
    const struct msg order = {.type = MSG_UNLOAD, .unload = {.model = task->deploy->old}};
    size_t count;
    struct instance *const *instances = node_table_instances(task->world->nodes, &count);
    int r = task_begin_round(task, TASK_ORDER_MS, on_cleared, err);
    for (size_t i = 0; !r && i < count; i++)
        if (should_go(task, instances[i]))
            r = round_add(task->round, instances[i]->session, &order, err);
    return r;
}

static const char *mode_that_lists(const struct task *task, const char *model, const char *but)
{
    const struct modes *modes = mode_moves_modes(task->world->moves);
    for (size_t i = 0; i < modes->count; i++)
        if (strcmp(modes->list[i].name, but) != 0 && task_listed_name(task, &modes->list[i], model))
            return modes->list[i].name;
    return NULL;
}

/* While this one loaded, other modes may have been deployed, or the config read again. */
static void note_who_lists_old_now(struct task *task)
{
    struct deploy *deploy = task->deploy;
    const char *mode = *deploy->old ? mode_that_lists(task, deploy->old, "") : NULL;
    snprintf(deploy->kept_for, sizeof(deploy->kept_for), "%s", mode ? mode : "");
}

static void note_kept(struct deploy *deploy)
{
    if (*deploy->old && *deploy->kept_for)
        add_result(deploy, "; %s stays: mode \"%s\" lists it too", deploy->old, deploy->kept_for);
}

static void note_tools(const struct task *task)
{
    if (task->deploy->loses_tools)
        add_result(task->deploy,
                "; %s takes no tools, and %s does: requests that offer some find less in mode "
                "\"%s\"",
                task->deploy->model, task->deploy->old, task->facts.spec.mode);
}

/* The new one answers: what is left is to make room. */
static void clear(struct task *task)
{
    struct deploy *deploy = task->deploy;
    char text[MSG_NAME_MAX + 64];
    struct err err;
    note_tools(task);
    note_who_lists_old_now(task);
    note_kept(deploy);
    if (!*deploy->old || *deploy->kept_for) {
        end(task, TASK_DONE, deploy->result);
        return;
    }
    deploy_set_state(task, DEPLOY_CLEARING);
    snprintf(text, sizeof(text), "%s finishes its requests and goes", deploy->old);
    task_progress(task, NULL, text);
    if (tell_to_let_go(task, &err) == 0) {
        round_tick(task->round);
        return;
    }
    add_result(deploy, "; %s stays: %s", deploy->old, err.text);
    end(task, TASK_DONE, deploy->result);
}

/* --- carrying it out --- */

static void on_loaded(void *ctx)
{
    struct task *task = ctx;
    struct deploy *deploy = task->deploy;
    const struct round_answer *answer = round_at(task->round, 0);
    struct err err;
    task_gather(task, false, deploy->result, sizeof(deploy->result));
    if (!answer->ok) {
        end(task, TASK_FAILED, deploy->result);
        return;
    }
    task->facts.way = answer->way;
    if (move_mode(task, &err) == 0) {
        clear(task);
        return;
    }
    snprintf(deploy->result, sizeof(deploy->result), "%s is loaded on %s, but the mode stays: %s",
            deploy->model, deploy->node, err.text);
    end(task, TASK_FAILED, deploy->result);
}

static void on_restored(void *ctx)
{
    struct task *task = ctx;
    struct deploy *deploy = task->deploy;
    char text[TASK_TEXT_MAX];
    add_result(deploy, task_all_ok(task) ? "; %s is back: %s" : "; %s is not back: %s",
            deploy->before.model, task_gather(task, false, text, sizeof(text)));
    end(task, TASK_FAILED, deploy->result);
}

static int tell_to_restore(struct task *task, struct err *err)
{
    const struct run *before = &task->deploy->before;
    const struct msg order = {.type = MSG_LOAD,
            .load = {.model = before->model,
                    .replaces = "",
                    .context = before->context,
                    .slots = before->slots,
                    .type_k = before->type_k,
                    .type_v = before->type_v,
                    .keep = before->pinned}};
    const struct instance *instance = find_instance(task, task->deploy->epoch, before->model);
    if (!instance)
        return err_set(err, -ENOENT, "it is gone from there");
    return tell_node(task, instance, &order, on_restored, err);
}

/* The node has gone back as far as it could; the mode does, and what was loaded before is loaded
 * again. */
static void restore(struct task *task)
{
    struct deploy *deploy = task->deploy;
    char text[MSG_NAME_MAX + 64];
    struct err err;
    move_back(task);
    if (!*deploy->before.model) {
        end(task, TASK_FAILED, deploy->result);
        return;
    }
    deploy_set_state(task, DEPLOY_RESTORING);
    snprintf(text, sizeof(text), "loads %s again", deploy->before.model);
    task_progress(task, NULL, text);
    if (tell_to_restore(task, &err)) {
        add_result(deploy, "; %s is not back: %s", deploy->before.model, err.text);
        end(task, TASK_FAILED, deploy->result);
        return;
    }
    round_tick(task->round);
}

static void on_swapped(void *ctx)
{
    struct task *task = ctx;
    const struct round_answer *answer = round_at(task->round, 0);
    task_gather(task, false, task->deploy->result, sizeof(task->deploy->result));
    if (!answer->ok) {
        restore(task);
        return;
    }
    task->facts.way = answer->way;
    clear(task);
}

/* Into room that the node has: nobody waits, so the mode stays where it is until that is done. */
static int load(struct task *task, const struct instance *instance, struct err *err)
{
    const struct msg order = load_order(task, task->deploy->epoch);
    deploy_set_state(task, DEPLOY_LOADING);
    return tell_node(task, instance, &order, on_loaded, err);
}

/* In the place of another: the mode moves first, so that its requests wait for the new one and do
 * not keep the old one busy. */
static int swap(struct task *task, const struct instance *instance, struct err *err)
{
    struct deploy *deploy = task->deploy;
    const struct msg order = load_order(task, deploy->epoch);
    const struct instance *ends =
            *order.load.replaces ? find_instance(task, deploy->epoch, deploy->old) : instance;
    if (is_loaded(ends))
        deploy->before = run_of(ends);
    int r = move_mode(task, err);
    if (r)
        return r;
    deploy_set_state(task, DEPLOY_SWAPPING);
    return tell_node(task, instance, &order, on_swapped, err);
}

static void carry_out(struct task *task)
{
    const struct deploy *deploy = task->deploy;
    const struct instance *instance = find_instance(task, deploy->epoch, deploy->model);
    struct err err;
    int r;
    if (!instance)
        r = err_set(&err, -ENOENT, "%s: the model is gone from there", deploy->node);
    else if (task->facts.way == ORDER_WAY_SWAP)
        r = swap(task, instance, &err);
    else
        r = load(task, instance, &err);
    if (!r) {
        round_tick(task->round);
        return;
    }
    if (deploy->sm.state == DEPLOY_SWAPPING)
        move_back(task);
    end(task, TASK_FAILED, err.text);
}

/* --- who does it --- */

static struct candidate candidate_of(const struct task *task, const struct round_answer *answer)
{
    const struct instance *instance = find_instance(task, answer->epoch, task->deploy->model);
    struct candidate candidate = {.node = answer->node, .way = ORDER_WAY_NONE};
    if (!answer->ok || !instance || !instance->usable)
        return candidate;
    struct node_facts facts = node_session_facts(instance->session);
    candidate.way = answer->way;
    candidate.bandwidth_bytes = facts.memory_bandwidth_bytes;
    candidate.decode_tok_s = instance->decode_tok_s;
    if (facts.memory_limit_bytes > facts.memory_used_bytes)
        candidate.free_bytes = facts.memory_limit_bytes - facts.memory_used_bytes;
    return candidate;
}

static const struct round_answer *choose(const struct task *task)
{
    struct candidate candidates[ROUND_NODES_MAX];
    size_t count = round_count(task->round);
    for (size_t i = 0; i < count; i++)
        candidates[i] = candidate_of(task, round_at(task->round, i));
    size_t best = candidate_choose(candidates, count);
    return best < count ? round_at(task->round, best) : NULL;
}

/* Where the old one may not go, that may be why nothing fits. */
static void refuse(struct task *task)
{
    struct deploy *deploy = task->deploy;
    task_gather(task, false, deploy->result, sizeof(deploy->result));
    note_kept(deploy);
    end(task, TASK_FAILED, deploy->result);
}

static void on_rehearsed(void *ctx)
{
    struct task *task = ctx;
    struct deploy *deploy = task->deploy;
    const struct round_answer *best = choose(task);
    if (!best) {
        refuse(task);
        return;
    }
    deploy->epoch = best->epoch;
    memcpy(deploy->node, best->node, sizeof(deploy->node));
    memcpy(task->facts.node, best->node, sizeof(task->facts.node));
    task->facts.way = best->way;
    if (task->facts.spec.rehearse) {
        snprintf(deploy->result, sizeof(deploy->result), "%s: %s", best->node, best->message);
        note_tools(task);
        note_kept(deploy);
        end(task, TASK_DONE, deploy->result);
        return;
    }
    task_progress(task, best->node, best->message);
    carry_out(task);
}

/* Where more nodes have the model than are asked at once, those that were here first are. */
static int ask_candidates(struct task *task, struct err *err)
{
    size_t count;
    struct instance *const *instances = node_table_instances(task->world->nodes, &count);
    int r = task_begin_round(task, TASK_REHEARSAL_MS, on_rehearsed, err);
    for (size_t i = 0; !r && i < count && round_count(task->round) < ROUND_NODES_MAX; i++) {
        if (!may_be_loaded(task, instances[i]))
            continue;
        struct msg order = load_order(task, instances[i]->epoch);
        order.load.rehearse = true;
        r = round_add(task->round, instances[i]->session, &order, err);
    }
    return r;
}

/* --- what is asked --- */

static const struct mode *find_mode(const struct task *task)
{
    const struct modes *modes = mode_moves_modes(task->world->moves);
    const char *name = task->facts.spec.mode;
    return strcmp(name, MODE_AUTO) == 0 ? NULL : modes_find(modes, name);
}

/* Which mode will list the model when all is done: another one, or this one where the config brings
 * it back. */
static void note_who_keeps_old(struct task *task)
{
    struct deploy *deploy = task->deploy;
    const struct task_spec *spec = &task->facts.spec;
    const struct mode *config = mode_moves_config(task->world->moves, spec->mode);
    const char *mode = mode_that_lists(task, deploy->old, spec->mode);
    if (!mode && spec->undo && config && task_listed_name(task, config, deploy->old))
        mode = spec->mode;
    if (mode)
        snprintf(deploy->kept_for, sizeof(deploy->kept_for), "%s", mode);
}

static int read_undo(struct task *task, struct err *err)
{
    const char *name = task->facts.spec.mode;
    struct mode_moves_saved saved;
    mode_moves_save(task->world->moves, name, &saved);
    if (saved.count == 0)
        return err_set(err, -ENOENT, "no deploy has moved mode \"%s\"", name);
    const char *listed = mode_moves_config(task->world->moves, name)->models[0];
    const char *model = node_table_model(task->world->nodes, listed);
    snprintf(task->deploy->model, sizeof(task->deploy->model), "%s", model);
    snprintf(task->facts.spec.model, sizeof(task->facts.spec.model), "%s", model);
    return 0;
}

/* What nodes tell of a model, CAPABILITY_…; 0: nothing. Of `ret_lacks` stays what none of them can.
 */
static uint32_t capabilities_of(const struct task *task, const char *model, uint32_t *ret_lacks)
{
    size_t count;
    struct instance *const *instances = node_table_instances(task->world->nodes, &count);
    const char *own = node_table_model(task->world->nodes, model);
    uint32_t told = 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(instances[i]->model, own) == 0 && instances[i]->capabilities) {
            told |= instances[i]->capabilities;
            *ret_lacks = instance_lacks(instances[i], *ret_lacks);
        }
    return told;
}

/* Every node that tells of it knows so. */
static bool is_unable(const struct task *task, const char *model, uint32_t needs)
{
    return capabilities_of(task, model, &needs) && needs;
}

static bool is_able(const struct task *task, const char *model, uint32_t needs)
{
    return capabilities_of(task, model, &needs) && !needs;
}

/* A mode whose first model cannot either is for something else than its name says; of one with a
 * name of the owner's own that is all that tells. */
static int check_model(const struct task *task, const char *first, struct err *err)
{
    const char *mode = task->facts.spec.mode, *model = task->deploy->model;
    uint32_t needs = mode_needs(mode);
    bool is_for_it =
            needs == CAPABILITY_CHAT ? is_able(task, first, needs) : !is_unable(task, first, needs);
    if (!is_for_it || !is_unable(task, model, needs))
        return 0;
    return err_set(err, -EINVAL,
            "%s cannot %s, which the mode \"%s\" is for; name a model that can (`modemesh "
            "models`), "
            "or another mode",
            model, mode_needs_words(needs), mode);
}

static int read_mode(struct task *task, struct err *err)
{
    struct deploy *deploy = task->deploy;
    const struct mode *mode = find_mode(task);
    int r = 0;
    if (!mode)
        return err_set(err, -ENOENT,
                "the config has no mode \"%s\"; `modemesh modes` lists those that it has",
                task->facts.spec.mode);
    if (task->facts.spec.undo)
        r = read_undo(task, err);
    const char *first = node_table_model(task->world->nodes, mode->models[0]);
    if (!r && !task->facts.spec.undo)
        r = check_model(task, first, err);
    if (r || strcmp(first, deploy->model) == 0)
        return r;
    deploy->loses_tools = mode_needs(mode->name) == CAPABILITY_CHAT &&
                          is_able(task, first, CAPABILITY_TOOLS) &&
                          is_unable(task, deploy->model, CAPABILITY_TOOLS);
    snprintf(deploy->old, sizeof(deploy->old), "%s", first);
    note_who_keeps_old(task);
    return 0;
}

static bool has_candidates(const struct task *task)
{
    size_t count;
    struct instance *const *instances = node_table_instances(task->world->nodes, &count);
    for (size_t i = 0; i < count; i++)
        if (may_be_loaded(task, instances[i]))
            return true;
    return false;
}

/* Nobody has what the config lists: the list goes back all the same. */
static int undo_alone(struct task *task, struct err *err)
{
    struct deploy *deploy = task->deploy;
    bool rehearse = task->facts.spec.rehearse;
    int r = rehearse ? 0 : move_mode(task, err);
    if (r)
        return r;
    snprintf(deploy->result, sizeof(deploy->result),
            "the mode %s as the config has it; no connected node can load %s now",
            rehearse ? "would be" : "is", deploy->model);
    end(task, TASK_DONE, deploy->result);
    return 0;
}

int deploy_begin(struct task *task, struct err *err)
{
    struct deploy *deploy = calloc(1, sizeof(*deploy));
    if (!deploy)
        return err_set(err, -ENOMEM, "no memory for a deploy");
    task->deploy = deploy;
    sm_init(&deploy->sm, &deploy_sm, DEPLOY_REHEARSING);
    snprintf(deploy->model, sizeof(deploy->model), "%s", task->facts.spec.model);
    int r = task->facts.spec.kind == TASK_DEPLOY ? read_mode(task, err) : 0;
    if (r)
        return r;
    if (!has_candidates(task))
        return task->facts.spec.undo && !*task->facts.spec.node
                       ? undo_alone(task, err)
                       : task_refuse_nobody(task, deploy->model, err);
    task_progress(task, NULL, "asks the nodes how they would do it");
    r = ask_candidates(task, err);
    if (!r)
        round_tick(task->round);
    return r;
}

void deploy_destroy(struct deploy *deploy)
{
    free(deploy);
}
