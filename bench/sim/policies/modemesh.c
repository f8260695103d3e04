#include "bench/sim/policies/modemesh.h"

#include "bench/sim/policies/known_prompts.h"
#include "bench/sim/policies/late_notes.h"
#include "coordinator/scheduling/fair_queue.h"
#include "coordinator/scheduling/fleet.h"
#include "coordinator/scheduling/prefix_index.h"
#include "coordinator/scheduling/rates.h"
#include "coordinator/scheduling/routing.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    INDEX_BYTES_MAX = 256 * 1024 * 1024,
    CLEAR_STEPS = 4096, /* of what dead nodes have left in the index, at each look */
    WAITING_MAX = 64,   /* a walk through the queue ends after so many that have to wait */
    KEY_NAME_MAX = 24,
    ONE_MODEL = 1,       /* the place where all run */
    OUTPUT_GUESS = 256,  /* tokens of an answer, before the first one */
    OUTPUT_GUESSES = 16, /* … which counts as much as so many answers */
};

static const char model_name[] = "model";

struct instance { /* of one node */
    struct fleet_handle handle;
    struct rates rates;
    uint32_t epoch; /* 0: it is not there */
};

struct entry { /* one job */
    struct fair_entry fair;
    struct flight flight;
    struct job *job;
    struct fair_key *key;
    double charged;         /* tokens */
    uint32_t decoding_then; /* on its node, when its first token came */
};

struct home { /* where a session was last */
    uint32_t epoch;
};

struct state {
    struct world *world;
    struct modemesh_terms terms;
    struct prefix_index *prefixes;
    struct fleet *fleet;
    struct routing *routing;
    struct fair_queue *queue;
    struct instance *instances; /* by node */
    struct entry *entries;      /* by job */
    struct home *homes;         /* by session */
    struct late_notes late;
    uint32_t *held;
    uint32_t epochs; /* given so far */
    uint32_t slots;  /* of all nodes that are there */
    double answers, answer_tokens;
};

static struct entry *entry_of(const struct state *state, const struct job *job)
{
    return &state->entries[job->work - world_workload(state->world)->at];
}

/* --- nodes --- */

static struct cost_rates mean_rates(const struct world *world)
{
    uint32_t count = world_node_count(world);
    struct cost_rates mean = {.half_depth = world_told(world, 0)->rates.half_depth};

    for (uint32_t i = 0; i < count; i++) {
        const struct cost_rates *rates = &world_told(world, i)->rates;

        mean.prefill_tok_s += rates->prefill_tok_s / (float)count;
        mean.step_s += rates->step_s / (float)count;
        mean.step_sequence_s += rates->step_sequence_s / (float)count;
    }
    return mean;
}

static struct cost_rates prior_of(const struct state *state, uint32_t node)
{
    return state->terms.no_speeds ? mean_rates(state->world)
                                  : world_told(state->world, node)->rates;
}

static int add_instance(struct state *state, uint32_t node)
{
    const struct node_params *told = world_told(state->world, node);
    struct instance *instance = &state->instances[node];
    struct fleet_instance first = {
            .state = INSTANCE_RESIDENT,
            .capabilities = CAPABILITY_CHAT,
            .slots = told->slots,
            .epoch = ++state->epochs,
            .usable = true,
            .fits = true,
    };
    int r;

    rates_now(&instance->rates, world_now_s(state->world), &first.rates);
    r = fleet_add(state->fleet, model_name, &first, known_prompts_capacity(state->world, node),
            &instance->handle);
    if (r < 0)
        return r;
    instance->epoch = first.epoch;
    state->slots += told->slots;
    return 0;
}

static int add_instances(struct state *state)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < world_node_count(state->world); i++) {
        struct cost_rates prior = prior_of(state, i);

        rates_init(&state->instances[i].rates, &prior, 0);
        r = add_instance(state, i);
    }
    return r;
}

/* --- life --- */

static int create_parts(struct state *state)
{
    const struct workload *workload = world_workload(state->world);

    state->instances = calloc(world_node_count(state->world), sizeof(*state->instances));
    state->entries = calloc(workload->count + 1, sizeof(*state->entries));
    state->homes = calloc((size_t)workload->sessions + 1, sizeof(*state->homes));
    state->held = calloc(PREFIX_HOLDERS_MAX, sizeof(*state->held));
    state->prefixes = prefix_index_create(INDEX_BYTES_MAX);
    state->routing = routing_create();
    state->queue = fair_queue_create();
    if (!state->instances || !state->entries || !state->homes || !state->held || !state->prefixes ||
            !state->routing || !state->queue)
        return -ENOMEM;
    state->fleet = fleet_create(state->prefixes);
    return state->fleet ? add_instances(state) : -ENOMEM;
}

int modemesh_create(const struct policy *policy, struct world *world, void **ret_state)
{
    struct state *state = calloc(1, sizeof(*state));
    int r;

    if (!state)
        return -ENOMEM;
    state->world = world;
    state->terms = *policy->terms;
    late_notes_init(&state->late);
    r = create_parts(state);
    if (r < 0) {
        modemesh_destroy(state);
        return r;
    }
    *ret_state = state;
    return 0;
}

void modemesh_destroy(void *ctx)
{
    struct state *state = ctx;

    fair_queue_destroy(state->queue);
    routing_destroy(state->routing);
    fleet_destroy(state->fleet);
    if (state->prefixes)
        prefix_index_destroy(state->prefixes);
    late_notes_fini(&state->late);
    free(state->held);
    free(state->homes);
    free(state->entries);
    free(state->instances);
    free(state);
}

/* --- what is known --- */

static double expected_output(const struct state *state)
{
    return (OUTPUT_GUESS * OUTPUT_GUESSES + state->answer_tokens) /
           (OUTPUT_GUESSES + state->answers);
}

static void take_late_notes(struct state *state)
{
    struct late_note note;

    while (late_notes_pop(&state->late, world_now_s(state->world), &note)) {
        struct fleet_handle *handle = &state->instances[note.node].handle;

        if (handle->model && fleet_at(handle)->holder != PREFIX_NO_HOLDER)
            prefix_note(handle->model->prefixes, fleet_at(handle)->holder, note.chain, note.count);
    }
    (void)prefix_index_work(state->prefixes, CLEAR_STEPS);
}

static int note_prompt(struct state *state, const struct job *job, uint32_t node)
{
    return late_notes_push(&state->late,
            (struct late_note){
                    .due_s = world_now_s(state->world) + world_params(state->world)->index_lag_s,
                    .chain = job->task.chain,
                    .count = job->task.block_count,
                    .node = node,
            });
}

/* --- choosing --- */

static int choose(struct state *state, struct entry *entry, struct routing_plan *ret_plan)
{
    const struct job *job = entry->job;
    const struct fleet_model *model = fleet_find(state->fleet, model_name);
    struct routing_option option = {
            .model = model,
            .block_tokens = WORKLOAD_BLOCK_TOKENS,
            .prompt_tokens = job->task.prompt_tokens,
    };
    struct routing_request request = {
            .options = &option,
            .option_count = 1,
            .output_tokens = expected_output(state),
            .beta = state->terms.no_decode ? 0 : COST_BETA_INTERACTIVE,
            .gamma = state->terms.no_interference ? 0 : COST_GAMMA,
            .needs = CAPABILITY_CHAT,
            .lane = LANE_CHAT,
            .greedy = fair_queue_is_greedy(state->queue, &entry->fair,
                    fair_key_run_count(entry->key, ONE_MODEL), state->slots),
            .now_s = world_now_s(state->world),
    };

    if (!state->terms.no_session)
        request.session.epoch = state->homes[job->work->session].epoch;
    request.session.model = model;
    if (model && !state->terms.no_prompts) {
        prefix_find(model->prefixes, job->task.chain, job->task.block_count, state->held);
        option.held_blocks = state->held;
    }
    return routing_choose(state->routing, state->fleet, &request, NULL, NULL, ret_plan);
}

static uint32_t node_of(const struct state *state, const struct fleet_instance *instance)
{
    const struct instance *its =
            (const struct instance *)(const void *)((const char *)instance->handle -
                                                    offsetof(struct instance, handle));

    return (uint32_t)(its - state->instances);
}

static void charge(struct state *state, struct entry *entry, double tokens)
{
    fair_queue_charge(state->queue, entry->key, &entry->fair, tokens - entry->charged);
    entry->charged = tokens;
}

static void run_on(struct state *state, struct entry *entry, const struct routing_plan *plan)
{
    const struct fleet_instance *instance = plan->instance;
    uint32_t node = node_of(state, instance);
    double output = expected_output(state);
    double sequences = fmin(instance->running + 1.0, instance->slots);
    int r;

    fair_queue_remove(state->queue, &entry->fair);
    fair_key_begin(entry->key, ONE_MODEL);
    charge(state, entry, entry->job->task.prompt_tokens - plan->held_tokens + output);
    state->homes[entry->job->work->session].epoch = instance->epoch;
    fleet_sent(state->fleet, &state->instances[node].handle, &entry->flight, &plan->cost,
            output * cost_step_s(&instance->rates, sequences), world_now_s(state->world));
    r = note_prompt(state, entry->job, node);
    if (r < 0)
        world_fail(state->world, r);
    take_late_notes(state);
    world_send(state->world, entry->job, node);
}

static bool is_to_run(const struct state *state, const struct routing_plan *plan)
{
    return plan->verdict == ROUTING_RUN || (state->terms.early && plan->instance);
}

/* One entry of a walk; true where it waits for a node that could take it. */
static bool serve(struct state *state, struct entry *entry)
{
    struct routing_plan plan;
    int r = choose(state, entry, &plan);

    if (r < 0) {
        world_fail(state->world, r);
        return true;
    }
    if (is_to_run(state, &plan)) {
        run_on(state, entry, &plan);
        return false;
    }
    if (!plan.instance) {
        fair_queue_skip(state->queue);
        return false;
    }
    fleet_promise(state->fleet, plan.instance, plan.cost.prefill_s);
    return true;
}

static struct entry *entry_at(struct fair_entry *fair)
{
    return fair ? list_entry(fair, struct entry, fair) : NULL;
}

static void walk(struct state *state)
{
    struct entry *entry;
    uint32_t waiting = 0;

    take_late_notes(state);
    fair_queue_at(state->queue, world_now_s(state->world));
    fleet_begin_pass(state->fleet);
    entry = entry_at(fair_queue_first(state->queue));
    while (entry && waiting < WAITING_MAX) {
        waiting += serve(state, entry);
        entry = entry_at(fair_queue_next(state->queue));
    }
}

/* --- what happens --- */

static int hold_key(struct state *state, struct entry *entry)
{
    char name[KEY_NAME_MAX];

    snprintf(name, sizeof(name), "user %u", state->terms.unfair ? 0 : entry->job->work->user);
    return fair_key_hold(state->queue, name, &entry->key);
}

void modemesh_arrived(void *ctx, struct job *job)
{
    struct state *state = ctx;
    struct entry *entry = entry_of(state, job);
    int r = 0;

    entry->job = job;
    if (!entry->key)
        r = hold_key(state, entry);
    if (r < 0) {
        world_fail(state->world, r);
        return;
    }
    entry->fair.lane = LANE_CHAT;
    entry->fair.priority = FAIR_PRIORITY_DEFAULT;
    entry->fair.tokens = job->task.prompt_tokens + expected_output(state);
    fair_queue_push(state->queue, &entry->fair, entry->key);
    walk(state);
}

void modemesh_first_token(void *ctx, struct job *job)
{
    struct state *state = ctx;
    struct entry *entry = entry_of(state, job);

    fleet_first_token(state->fleet, &entry->flight, world_now_s(state->world));
    entry->decoding_then = fleet_at(&state->instances[job->node].handle)->decoding;
    walk(state);
}

/* What the engine's timings say; how many decoded at once is as seen from here. */
static void learn(struct state *state, const struct entry *entry)
{
    const struct node_task *task = &entry->job->task;
    struct instance *instance = &state->instances[entry->job->node];
    struct fleet_instance *at = fleet_at(&instance->handle);
    double now_s = world_now_s(state->world);

    if (state->terms.no_speeds)
        return;
    rates_learn_prefill(&instance->rates, task->prompt_tokens - task->cached_tokens,
            task->cached_tokens, task->prefill_s, now_s);
    rates_learn_decode(&instance->rates, task->output_tokens - 1.0,
            (entry->decoding_then + at->decoding) / 2.0, task->decode_s, now_s);
    rates_now(&instance->rates, now_s, &at->rates);
}

static void leave_node(struct state *state, struct entry *entry)
{
    fair_queue_at(state->queue, world_now_s(state->world));
    fleet_ended(state->fleet, &entry->flight, world_now_s(state->world));
    fair_key_end(entry->key, ONE_MODEL);
}

void modemesh_ended(void *ctx, struct job *job)
{
    struct state *state = ctx;
    struct entry *entry = entry_of(state, job);
    const struct node_task *task = &job->task;

    learn(state, entry);
    leave_node(state, entry);
    state->answers++;
    state->answer_tokens += task->output_tokens;
    charge(state, entry, (double)task->prompt_tokens - task->cached_tokens + task->output_tokens);
    fair_key_release(state->queue, entry->key);
    entry->key = NULL;
    walk(state);
}

void modemesh_lost(void *ctx, struct job *job)
{
    leave_node(ctx, entry_of(ctx, job));
}

void modemesh_node_down(void *ctx, uint32_t node)
{
    struct state *state = ctx;
    struct instance *instance = &state->instances[node];

    fleet_remove(state->fleet, &instance->handle);
    instance->epoch = 0;
    state->slots -= world_told(state->world, node)->slots;
}

void modemesh_node_up(void *ctx, uint32_t node)
{
    struct state *state = ctx;
    int r = add_instance(state, node);

    if (r < 0)
        world_fail(state->world, r);
    walk(state);
}
