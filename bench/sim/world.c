#include "bench/sim/world.h"

#include "bench/sim/events.h"
#include "bench/sim/policies/policy.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { STREAM_POLICY = 1, STREAM_ERRORS, STREAM_FAULTS }; /* uses of the seed */

struct place { /* a node, and what the world knows of it */
    struct world *world;
    struct node *node;
    struct node_params told;
    bool dead;        /* … which may not have been noticed yet */
    struct list lost; /* jobs that died with it, until that is noticed */
    uint32_t version; /* of its events */
};

struct world {
    struct world_params params;
    const struct workload *workload;
    const struct policy *policy;
    void *state;
    struct events events;
    struct chance chance, faults;
    struct place *places;
    struct job *jobs;
    size_t done;
    double now_s;
    uint32_t deaths;
    const struct job *vain; /* whose prompt is longer than a node lives; NULL: none is known */
    int failure;
};

double world_now_s(const struct world *world)
{
    return world->now_s;
}

uint32_t world_node_count(const struct world *world)
{
    return world->params.node_count;
}

const struct node_params *world_told(const struct world *world, uint32_t node)
{
    return &world->places[node].told;
}

const struct world_params *world_params(const struct world *world)
{
    return &world->params;
}

const struct workload *world_workload(const struct world *world)
{
    return world->workload;
}

struct chance *world_chance(struct world *world)
{
    return &world->chance;
}

void world_fail(struct world *world, int failure)
{
    if (world->failure == 0)
        world->failure = failure;
}

const struct job *world_job(const struct world *world, size_t index)
{
    return &world->jobs[index];
}

size_t world_job_count(const struct world *world)
{
    return world->workload->count;
}

struct world_tally world_tally(const struct world *world)
{
    struct world_tally tally = {.end_s = world->now_s, .deaths = world->deaths};

    for (uint32_t i = 0; i < world->params.node_count; i++)
        tally.busy_s += node_busy_s(world->places[i].node);
    return tally;
}

static void plan(
        struct world *world, enum event_kind kind, double at_s, uint32_t subject, uint32_t version)
{
    struct event event = {.at_s = at_s, .kind = kind, .subject = subject, .version = version};
    int r = events_push(&world->events, event);

    if (r < 0)
        world_fail(world, r);
}

/* The node's plan has changed: what was planned before is void. */
static void plan_node(struct world *world, struct place *place)
{
    double next_s = node_next_s(place->node);

    place->version++;
    if (isfinite(next_s))
        plan(world, EVENT_NODE, next_s, (uint32_t)(place - world->places), place->version);
}

static struct job *job_of(struct node_task *task)
{
    return (struct job *)(void *)((char *)task - offsetof(struct job, task));
}

void world_send(struct world *world, struct job *job, uint32_t node)
{
    struct place *place = &world->places[node];

    job->node = node;
    job->tries++;
    if (place->dead) {
        list_push_back(&place->lost, &job->task.link);
        return;
    }
    node_give(place->node, &job->task, world->now_s);
    plan_node(world, place);
}

static void count_prompt(struct job *job)
{
    job->wanted += job->task.prompt_tokens;
    job->computed += job->task.prompt_tokens - job->task.cached_tokens;
}

static void on_first_token(void *ctx, struct node_task *task, double now_s)
{
    struct place *place = ctx;
    struct job *job = job_of(task);

    if (job->first_s < 0)
        job->first_s = now_s;
    count_prompt(job);
    place->world->policy->first_token(place->world->state, job);
}

static void on_ended(void *ctx, struct node_task *task, double now_s)
{
    struct place *place = ctx;
    struct job *job = job_of(task);

    job->end_s = now_s;
    place->world->done++;
    place->world->policy->ended(place->world->state, job);
}

static const struct node_events node_events = {on_first_token, on_ended};

static void on_arrival(struct world *world, uint32_t index)
{
    if (index + 1 < world->workload->count)
        plan(world, EVENT_ARRIVAL, world->workload->at[index + 1].arrival_s, index + 1, 0);
    world->policy->arrived(world->state, &world->jobs[index]);
}

/* Nodes die before they are through with its prompt, again and again. */
static void count_vain(struct world *world, struct job *job)
{
    if (++job->vain < WORLD_VAIN_MAX)
        return;
    world->vain = job;
    world_fail(world, -ETIMEDOUT);
}

/* What was written is kept: it becomes a part of the prompt. */
static void keep_lost(void *ctx, struct node_task *task)
{
    struct place *place = ctx;
    uint32_t left = task->in_slot ? task->to_decode : task->output_tokens;

    if (left < task->output_tokens)
        job_of(task)->vain = 0;
    else if (task->in_slot && task->begun)
        count_vain(place->world, job_of(task));
    task->prompt_tokens += task->output_tokens - left;
    task->output_tokens = left;
    list_push_back(&place->lost, &task->link);
}

static void on_down(struct world *world, struct place *place)
{
    const struct world_params *params = &world->params;
    uint32_t number = (uint32_t)(place - world->places);

    if (++world->deaths == WORLD_DEATHS_MAX)
        world_fail(world, -ETIMEDOUT);
    place->dead = true;
    node_kill(place->node, world->now_s, keep_lost, place);
    plan_node(world, place);
    plan(world, EVENT_MISSED, world->now_s + params->missed_s, number, 0);
    plan(world, EVENT_UP,
            world->now_s + fmax(params->repair_s + params->nodes[number].load_s, params->missed_s),
            number, 0);
}

static void on_missed(struct world *world, struct place *place)
{
    struct list lost;

    world->policy->node_down(world->state, (uint32_t)(place - world->places));
    list_init(&lost);
    while (!list_empty(&place->lost)) {
        struct list *first = place->lost.next;

        list_del(first);
        list_push_back(&lost, first);
    }
    while (!list_empty(&lost)) {
        struct job *job = job_of(list_entry(lost.next, struct node_task, link));

        list_del(&job->task.link);
        world->policy->lost(world->state, job);
        job->node = WORLD_NOWHERE;
        world->policy->arrived(world->state, job);
    }
}

static void plan_death(struct world *world, uint32_t node)
{
    if (world->params.mtbf_s > 0)
        plan(world, EVENT_DOWN,
                world->now_s + chance_exponential(&world->faults, world->params.mtbf_s), node, 0);
}

static void on_up(struct world *world, struct place *place)
{
    uint32_t number = (uint32_t)(place - world->places);

    place->dead = false;
    plan_death(world, number);
    world->policy->node_up(world->state, number);
}

static void on_node(struct world *world, struct place *place, uint32_t version)
{
    if (version != place->version)
        return;
    node_advance(place->node, world->now_s);
    plan_node(world, place);
}

static void on_event(struct world *world, const struct event *event)
{
    world->now_s = event->at_s;
    switch (event->kind) {
    case EVENT_ARRIVAL:
        on_arrival(world, event->subject);
        break;
    case EVENT_NODE:
        on_node(world, &world->places[event->subject], event->version);
        break;
    case EVENT_DOWN:
        on_down(world, &world->places[event->subject]);
        break;
    case EVENT_MISSED:
        on_missed(world, &world->places[event->subject]);
        break;
    case EVENT_UP:
        on_up(world, &world->places[event->subject]);
        break;
    }
}

static int tell_failure(const struct world *world, struct err *err)
{
    double mtbf_s = world->params.mtbf_s;

    if (world->vain)
        return err_set(err, world->failure,
                "a prompt of %u tokens was begun %d times, and its node died each time before it "
                "was through: give a longer --mtbf than %g, or shorter prompts",
                world->vain->task.prompt_tokens, WORLD_VAIN_MAX, mtbf_s);
    if (world->deaths == WORLD_DEATHS_MAX)
        return err_set(err, world->failure,
                "nodes died %d times in %.6g s, and %zu requests are not done: give a longer "
                "--mtbf than %g, or a shorter --duration or --trace",
                WORLD_DEATHS_MAX, world->now_s, world->workload->count - world->done, mtbf_s);
    return err_set(err, world->failure, "%s failed in the middle of a run", world->policy->name);
}

int world_run(struct world *world, struct err *err)
{
    struct event event;

    if (world->workload->count > 0)
        plan(world, EVENT_ARRIVAL, world->workload->at[0].arrival_s, 0, 0);
    while (world->done < world->workload->count && world->failure == 0) {
        if (!events_pop(&world->events, &event))
            return err_set(err, -EPROTO, "%s left %zu requests lying", world->policy->name,
                    world->workload->count - world->done);
        on_event(world, &event);
    }
    return world->failure < 0 ? tell_failure(world, err) : 0;
}

/* What is told is off by the same factor for prefill and decode: a machine that is thought to be
 * faster than it is. */
static void tell(const struct world *world, struct chance *errors, struct place *place,
        const struct node_params *params)
{
    double factor = 1 + world->params.rate_error * (2 * chance_unit(errors) - 1);

    place->told = *params;
    place->told.rates.prefill_tok_s = (float)(params->rates.prefill_tok_s * factor);
    place->told.rates.step_s = (float)(params->rates.step_s / factor);
    place->told.rates.step_sequence_s = (float)(params->rates.step_sequence_s / factor);
}

static int create_places(struct world *world)
{
    struct chance errors;

    chance_init(&errors, world->params.seed, STREAM_ERRORS);
    world->places = calloc(world->params.node_count, sizeof(*world->places));
    if (!world->places)
        return -ENOMEM;
    for (uint32_t i = 0; i < world->params.node_count; i++) {
        struct place *place = &world->places[i];

        place->world = world;
        list_init(&place->lost);
        tell(world, &errors, place, &world->params.nodes[i]);
        place->node = node_create(&world->params.nodes[i], &node_events, place);
        if (!place->node)
            return -ENOMEM;
        plan_death(world, i);
    }
    return 0;
}

static int create_jobs(struct world *world)
{
    world->jobs = calloc(world->workload->count + 1, sizeof(*world->jobs));
    if (!world->jobs)
        return -ENOMEM;
    for (size_t i = 0; i < world->workload->count; i++) {
        const struct work *work = &world->workload->at[i];

        world->jobs[i] = (struct job){
                .task = {.chain = workload_chain(world->workload, work),
                        .block_count = work->block_count,
                        .prompt_tokens = work->prompt_tokens,
                        .output_tokens = work->output_tokens},
                .work = work,
                .node = WORLD_NOWHERE,
                .first_s = -1,
                .end_s = -1,
        };
    }
    return 0;
}

int sim_world_create(const struct world_params *params, const struct workload *workload,
        const struct policy *policy, struct world **ret_world)
{
    struct world *world = calloc(1, sizeof(*world));
    int r;

    if (!world)
        return -ENOMEM;
    world->params = *params;
    world->workload = workload;
    world->policy = policy;
    events_init(&world->events);
    chance_init(&world->chance, params->seed, STREAM_POLICY);
    chance_init(&world->faults, params->seed, STREAM_FAULTS);
    r = create_places(world);
    if (r == 0)
        r = create_jobs(world);
    if (r == 0)
        r = world->failure;
    if (r == 0)
        r = policy->create(policy, world, &world->state);
    if (r < 0) {
        sim_world_destroy(world);
        return r;
    }
    *ret_world = world;
    return 0;
}

void sim_world_destroy(struct world *world)
{
    if (!world)
        return;
    if (world->state)
        world->policy->destroy(world->state);
    for (uint32_t i = 0; world->places && i < world->params.node_count; i++)
        node_destroy(world->places[i].node);
    free(world->places);
    free(world->jobs);
    events_fini(&world->events);
    free(world);
}
