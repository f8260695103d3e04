#include "coordinator/job/job_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct scheduler_request wish_of(const struct job *job)
{
    return (struct scheduler_request){.models = (const char *const *)job->models,
            .model_count = job->model_count,
            .needs = job->request.needs,
            .lane = job->request.lane,
            .batch = job->request.batch};
}

/* Nobody but those that failed it has a model that can: one of them may be back soon. */
static struct scheduler_plan choose_failed(
        const struct job *job, struct instance *const *instances, size_t count)
{
    const struct scheduler_request request = wish_of(job);
    struct scheduler_plan plan = scheduler_choose(instances, count, &request);
    if (plan.verdict == SCHEDULER_RUN && job_age_ms(job, job->state_us) < JOB_SAME_AGAIN_MS)
        return (struct scheduler_plan){.verdict = SCHEDULER_WAIT,
                .reason = "it failed on the only instance: tried again shortly"};
    return plan;
}

static struct scheduler_plan choose(const struct job *job)
{
    struct scheduler_request request = wish_of(job);
    request.avoid_count = job->failed_count;
    memcpy(request.avoid, job->failed, sizeof(job->failed));
    size_t count;
    struct instance *const *instances = node_table_instances(job->jobs->config.nodes, &count);
    struct scheduler_plan plan = scheduler_choose(instances, count, &request);
    bool nobody = plan.verdict == SCHEDULER_NONE || plan.verdict == SCHEDULER_UNABLE;
    if (nobody && job->failed_count > 0)
        return choose_failed(job, instances, count);
    return plan;
}

/* The job's own copy of the name, which lives as long as it. */
static const char *own_name(const struct job *job, const char *model)
{
    size_t i = 0;
    while (strcmp(job->models[i], model) != 0)
        i++;
    return job->models[i];
}

static void take_instance(struct job *job, const struct instance *instance, const char *reason)
{
    snprintf(job->node, sizeof(job->node), "%s", instance->node);
    job->model = own_name(job, instance->model);
    job->epoch = instance->epoch;
    job->reason = reason;
    job->attempts++;
    job_set_state(job, JOB_RUNNING);
}

/* False where the node cannot take it in this moment and it stays in the queue. May free the job.
 */
static bool run_on(struct job *job, struct instance *instance, const char *reason)
{
    struct err err;
    const struct node_work work = {.request_id = job->request.id,
            .kind = job->request.kind,
            .batch = job->request.batch,
            .body = buf_at(&job->request.body),
            .body_len = job->request.body.len};
    int r = job_make_answer(job, own_name(job, instance->model));
    if (!r)
        r = node_session_open(instance, &work, &job_stream_events, job, &job->stream, &err);
    if (r == 0) {
        take_instance(job, instance, reason);
        return true;
    }
    if (r == -ENOMEM) {
        job_cut_off(job, "no memory for the request");
        return true;
    }
    job_forget_answer(job);
    return false;
}

bool job_dispatch(struct job *job)
{
    struct scheduler_plan plan = choose(job);
    switch (plan.verdict) {
    case SCHEDULER_RUN:
        return !run_on(job, plan.instance, plan.reason);
    case SCHEDULER_NONE:
        job_refuse(job, "no_node_available", plan.reason);
        return false;
    case SCHEDULER_UNABLE:
        job_refuse_unable(job, &plan);
        return false;
    case SCHEDULER_WAIT:
        break;
    }
    job->reason = plan.reason;
    return true;
}

static bool waits_alike(const struct job *a, const struct job *b)
{
    if (a->failed_count + b->failed_count > 0 || a->model_count != b->model_count ||
            a->request.needs != b->request.needs || a->request.lane != b->request.lane ||
            a->request.batch != b->request.batch)
        return false;
    for (size_t i = 0; i < a->model_count; i++)
        if (strcmp(a->models[i], b->models[i]) != 0)
            return false;
    return true;
}

static void retry_lane(struct list *lane)
{
    const struct job *stuck = NULL; /* what waits for the same behind it need not ask */
    list_for_each_safe (it, lane) {
        struct job *job = list_entry(it, struct job, link);
        if (!(stuck && waits_alike(stuck, job)) && job_dispatch(job))
            stuck = job;
    }
}

void jobs_retry_waiting(struct jobs *jobs)
{
    retry_lane(&jobs->waiting[LANE_AUTOCOMPLETE]);
    retry_lane(&jobs->waiting[LANE_CHAT]);
}
