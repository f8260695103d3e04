#include "coordinator/job/job_internal.h"

#include <string.h>

/* A name that something may still point to is kept until the job ends. Where there is no memory for
 * a new one, the job keeps its list. */
static void follow(
        struct job *job, struct job_terms *terms, const char *replaced, const char *model)
{
    char *gone = job_terms_replace(terms, replaced, model);
    if (!gone)
        return;
    job->replaced[job->replaced_count++] = gone;
    job_set_kind(job);
}

static bool may_follow(const struct job *job)
{
    return job->request.follows_mode && !job->committed && !job->ended;
}

static void move_terms(
        struct job *job, struct job_terms *terms, const char *replaced, const char *model)
{
    for (; terms; terms = terms->spare)
        if (job->replaced_count < JOB_MOVES_MAX &&
                job_terms_place(terms, replaced) < terms->model_count)
            follow(job, terms, replaced, model);
}

/* Those that come instead are followed too, and those before, which may count again
 * (job_take_longest_terms()). */
static void move(struct job *job, const char *mode, const char *replaced, const char *model)
{
    for (struct job_terms *terms = job->all_terms; terms; terms = terms->next)
        if (strcmp(terms->mode, mode) == 0)
            move_terms(job, terms, replaced, model);
}

static void move_list(struct list *list, const char *mode, const char *replaced, const char *model)
{
    list_for_each (it, list) {
        struct job *job = list_entry(it, struct job, link);
        if (may_follow(job))
            move(job, mode, replaced, model);
    }
}

void jobs_move_mode(struct jobs *jobs, const char *mode, const char *replaced, const char *model)
{
    move_list(&jobs->waiting, mode, replaced, model);
    move_list(&jobs->running, mode, replaced, model);
}
