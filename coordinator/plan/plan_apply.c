#include "coordinator/plan/plan_apply.h"

#include "common/log.h"
#include "common/text.h"
#include "coordinator/placement/placement_explain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct step {
    char model[MSG_NAME_MAX + 1];
    enum placement_action action;
    uint32_t context, slots;
    enum cache_type type_k, type_v;
    int rank; /* lower ones first */
    char why[PLACEMENT_TEXT_MAX];
};

struct lane { /* the steps of one node */
    struct plan_apply *apply;
    char node[MSG_NODE_NAME_MAX + 1];
    char key[KEY_Z85_LEN + 1];
    struct step *steps;
    size_t count, done;
    struct node_order *order; /* for step `done`; NULL: none is open */
    uint64_t begun_ms;
    bool ended;
};

struct plan_apply {
    struct plan_apply_config config;
    struct lane *lanes;
    size_t lane_count, running; /* lanes that have not ended */
    size_t step_count, done;
    size_t failures;
    char failure[PLAN_APPLY_TEXT_MAX]; /* the first */
    const char *stopped;               /* why no other step begins; NULL: they do */
    bool ended;
};

/* ---- the steps of a plan */

static bool changes(const struct placement_fleet *fleet, const struct placement_engine *engine)
{
    bool action = engine->action == PLACEMENT_LOAD || engine->action == PLACEMENT_RELOAD ||
                  engine->action == PLACEMENT_UNLOAD;
    return action && !fleet->files[engine->file].pinned;
}

static bool is_step(
        const struct plan *plan, const struct placement_engine *engine, bool settled_only)
{
    const struct placement_fleet *fleet = plan_fleet(plan);
    size_t node = fleet->files[engine->file].node;
    return changes(fleet, engine) && plan_key(plan, node) &&
           !(settled_only && plan_is_unsettled(plan, node));
}

size_t plan_apply_count(const struct plan *plan, bool settled_only)
{
    const struct placement *placement = plan_placement(plan);
    size_t count = 0;
    for (size_t i = 0; i < placement->engine_count; i++)
        count += is_step(plan, &placement->engines[i], settled_only);
    return count;
}

static int rank_of(const struct placement_fleet *fleet, const struct placement_engine *engine)
{
    if (engine->action == PLACEMENT_UNLOAD)
        return 0;
    bool shrinks = engine->action == PLACEMENT_RELOAD &&
                   engine->memory_bytes <= fleet->files[engine->file].resident_bytes;
    return shrinks ? 1 : 2;
}

static void fill_step(struct step *step, const struct plan *plan, size_t index)
{
    const struct placement_fleet *fleet = plan_fleet(plan);
    const struct placement_engine *engine = &plan_placement(plan)->engines[index];
    snprintf(step->model, sizeof(step->model), "%s",
            fleet->models[fleet->files[engine->file].model]);
    step->action = engine->action;
    step->context = engine->context;
    step->slots = engine->slots;
    plan_cache_types(plan, engine->file, &step->type_k, &step->type_v);
    step->rank = rank_of(fleet, engine);
    placement_explain_engine(fleet, plan_placement(plan), index, step->why);
}

/* Stable: the plan's own order within a rank. */
static void insert_step(struct lane *lane, const struct plan *plan, size_t index)
{
    struct step step = {.rank = 0};
    size_t at = lane->count++;
    fill_step(&step, plan, index);
    for (; at > 0 && lane->steps[at - 1].rank > step.rank; at--)
        lane->steps[at] = lane->steps[at - 1];
    lane->steps[at] = step;
}

static size_t steps_on(const struct plan *plan, size_t node, bool settled_only)
{
    const struct placement *placement = plan_placement(plan);
    size_t count = 0;
    for (size_t i = 0; i < placement->engine_count; i++)
        count += plan_fleet(plan)->files[placement->engines[i].file].node == node &&
                 is_step(plan, &placement->engines[i], settled_only);
    return count;
}

static int add_lane(struct plan_apply *apply, const struct plan *plan, size_t node)
{
    const struct placement *placement = plan_placement(plan);
    bool settled_only = apply->config.settled_only;
    size_t count = steps_on(plan, node, settled_only);
    if (count == 0)
        return 0;
    struct lane *lane = &apply->lanes[apply->lane_count];
    lane->steps = calloc(count, sizeof(*lane->steps));
    if (!lane->steps)
        return -ENOMEM;
    apply->lane_count++;
    apply->step_count += count;
    lane->apply = apply;
    snprintf(lane->node, sizeof(lane->node), "%s", plan_fleet(plan)->nodes[node].name);
    snprintf(lane->key, sizeof(lane->key), "%s", plan_key(plan, node));
    for (size_t i = 0; i < placement->engine_count; i++)
        if (plan_fleet(plan)->files[placement->engines[i].file].node == node &&
                is_step(plan, &placement->engines[i], settled_only))
            insert_step(lane, plan, i);
    return 0;
}

int plan_apply_create(const struct plan_apply_config *config, const struct plan *plan,
        struct plan_apply **ret_apply, struct err *err)
{
    size_t nodes = plan_fleet(plan)->node_count;
    struct plan_apply *apply = calloc(1, sizeof(*apply));
    int r = apply ? 0 : -ENOMEM;
    if (r == 0) {
        apply->config = *config;
        apply->lanes = calloc(nodes + 1, sizeof(*apply->lanes));
        r = apply->lanes ? 0 : -ENOMEM;
    }
    for (size_t i = 0; r == 0 && i < nodes; i++)
        r = add_lane(apply, plan, i);
    if (r == 0) {
        *ret_apply = apply;
        return 0;
    }
    plan_apply_destroy(apply);
    return err_set(err, r, "no memory to carry out the plan");
}

void plan_apply_destroy(struct plan_apply *apply)
{
    if (!apply)
        return;
    for (size_t i = 0; i < apply->lane_count; i++) {
        node_order_forget(apply->lanes[i].order);
        free(apply->lanes[i].steps);
    }
    free(apply->lanes);
    free(apply);
}

/* ---- the way of a lane */

static void go_on(struct lane *lane);

static void tell(struct lane *lane, const char *text)
{
    const struct plan_apply_config *config = &lane->apply->config;
    config->events->on_progress(config->ctx, lane->node, text);
}

/* "halo1: "glm" is not loaded: …; 3 of 5 steps done" */
static const char *outcome(const struct plan_apply *apply, char *buf, size_t size)
{
    if (apply->failures == 0 && apply->step_count == 0)
        snprintf(buf, size, "nothing was to be done");
    else if (apply->failures == 0)
        snprintf(
                buf, size, "%zu step%s done", apply->step_count, apply->step_count == 1 ? "" : "s");
    else
        snprintf(buf, size, "%s; %zu of %zu steps done", apply->failure, apply->done,
                apply->step_count);
    return buf;
}

static void end_if_done(struct plan_apply *apply)
{
    char text[PLAN_APPLY_TEXT_MAX + 64];
    if (apply->running > 0 || apply->ended)
        return;
    apply->ended = true;
    apply->config.events->on_done(
            apply->config.ctx, apply->failures == 0, outcome(apply, text, sizeof(text)));
}

static const char *verb_of(const struct step *step)
{
    return step->action == PLACEMENT_UNLOAD ? "let go" : "loaded";
}

static void fail_lane(struct lane *lane, const char *reason)
{
    struct plan_apply *apply = lane->apply;
    const struct step *step = &lane->steps[lane->done];
    if (apply->failures++ == 0)
        snprintf(apply->failure, sizeof(apply->failure), "%s: \"%s\" is not %s: %s", lane->node,
                step->model, verb_of(step), reason);
    log_warn("planned step failed", LOG_S("node", lane->node), LOG_S("model", step->model),
            LOG_S("action", placement_action_name(step->action)), LOG_S("reason", reason));
    lane->ended = true;
    apply->running--;
}

static void on_progress(void *ctx, const char *text)
{
    tell(ctx, text);
}

static void on_done(void *ctx, const struct msg_done *done)
{
    struct lane *lane = ctx;
    struct plan_apply *apply = lane->apply;
    lane->order = NULL;
    if (done->ok) {
        lane->done++;
        apply->done++;
        go_on(lane);
    } else {
        fail_lane(lane, done->message);
    }
    end_if_done(apply);
}

static const struct node_order_events order_events = {
        .on_progress = on_progress, .on_done = on_done};

static struct msg order_of(const struct step *step)
{
    if (step->action == PLACEMENT_UNLOAD)
        return (struct msg){.type = MSG_UNLOAD, .unload = {.model = step->model}};
    return (struct msg){.type = MSG_LOAD,
            .load = {.model = step->model,
                    .replaces = "",
                    .context = step->context,
                    .slots = step->slots,
                    .type_k = cache_type_name(step->type_k),
                    .type_v = cache_type_name(step->type_v)}};
}

static void say_step(struct lane *lane, const struct step *step)
{
    char text[PLACEMENT_TEXT_MAX + MSG_NAME_MAX + 64];
    snprintf(text, sizeof(text), "%s \"%s\" (step %zu of %zu): %s",
            placement_action_name(step->action), step->model, lane->done + 1, lane->count,
            step->why);
    log_info("planned step", LOG_S("node", lane->node), LOG_S("model", step->model),
            LOG_S("action", placement_action_name(step->action)), LOG_U("context", step->context),
            LOG_U("slots", step->slots), LOG_S("reason", step->why));
    tell(lane, text);
}

/* Gives the next order, or ends the lane. */
static void go_on(struct lane *lane)
{
    struct plan_apply *apply = lane->apply;
    struct node_session *session = node_table_find_key(apply->config.nodes, lane->key);
    struct err err;
    if (lane->done == lane->count) {
        lane->ended = true;
        apply->running--;
        return;
    }
    if (apply->stopped) {
        fail_lane(lane, apply->stopped);
        return;
    }
    if (!session) {
        fail_lane(lane, "the node is not connected any more");
        return;
    }
    const struct step *step = &lane->steps[lane->done];
    const struct msg order = order_of(step);
    say_step(lane, step);
    lane->begun_ms = env_now_ms(apply->config.env);
    if (node_session_order(session, &order, &order_events, lane, &lane->order, &err))
        fail_lane(lane, err.text);
}

void plan_apply_start(struct plan_apply *apply)
{
    apply->running = apply->lane_count;
    for (size_t i = 0; i < apply->lane_count; i++)
        go_on(&apply->lanes[i]);
    end_if_done(apply);
}

void plan_apply_stop(struct plan_apply *apply, const char *reason)
{
    apply->stopped = reason;
}

void plan_apply_tick(struct plan_apply *apply)
{
    uint64_t now_ms = env_now_ms(apply->config.env);
    for (size_t i = 0; i < apply->lane_count; i++) {
        struct lane *lane = &apply->lanes[i];
        if (lane->ended || now_ms - lane->begun_ms < PLAN_APPLY_ORDER_MS)
            continue;
        node_order_forget(lane->order);
        lane->order = NULL;
        fail_lane(lane, "the node has not said in an hour how it ended");
    }
    end_if_done(apply);
}
