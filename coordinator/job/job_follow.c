#include "coordinator/job/job_internal.h"

#include <stdlib.h>
#include <string.h>

static size_t place_of(const struct job *job, const char *model)
{
    size_t i = 0;
    while (i < job->model_count && strcmp(job->models[i], model) != 0)
        i++;
    return i;
}

static void drop_model(struct job *job, size_t at)
{
    job->replaced[job->replaced_count++] = job->models[at];
    job->model_count--;
    memmove(&job->models[at], &job->models[at + 1],
            (job->model_count - at) * sizeof(job->models[0]));
}

static void put_first(struct job *job, char *model)
{
    memmove(&job->models[1], &job->models[0], job->model_count * sizeof(job->models[0]));
    job->models[0] = model;
    job->model_count++;
}

/* A name that something may still point to is kept until the job ends. Where there is no memory for
 * a new one, the job keeps its list. */
static void follow(struct job *job, const char *replaced, const char *model)
{
    size_t old = place_of(job, replaced), new = place_of(job, model);
    bool listed = new < job->model_count;
    char *name = listed ? job->models[new] : strdup(model);
    if (!name)
        return;
    if (listed) {
        memmove(&job->models[1], &job->models[0], new * sizeof(job->models[0]));
        job->models[0] = name;
        old += old < new;
    }
    drop_model(job, old);
    if (!listed)
        put_first(job, name);
    job_set_kind(job);
}

static bool may_follow(const struct job *job, const char *mode, const char *replaced)
{
    return job->request.follows_mode && !job->committed && !job->ended &&
           job->replaced_count < JOB_MOVES_MAX && strcmp(job->mode, mode) == 0 &&
           place_of(job, replaced) < job->model_count;
}

static void move_list(struct list *list, const char *mode, const char *replaced, const char *model)
{
    list_for_each (it, list) {
        struct job *job = list_entry(it, struct job, link);
        if (may_follow(job, mode, replaced))
            follow(job, replaced, model);
    }
}

void jobs_move_mode(struct jobs *jobs, const char *mode, const char *replaced, const char *model)
{
    move_list(&jobs->waiting, mode, replaced, model);
    move_list(&jobs->running, mode, replaced, model);
}
