#include "coordinator/cursor.h"
#include "coordinator/job/job_internal.h"

#include <string.h>

static bool is_same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static bool is_same_editor(const struct request *a, const struct request *b)
{
    if (!is_same(a->client, b->client) || !is_same(a->session, b->session))
        return false;
    return *a->session || is_same(a->peer, b->peer);
}

static bool is_outrun(const struct job *older, const struct job *newer)
{
    const struct request *a = &older->request, *b = &newer->request;
    return !older->ended && is_same_editor(a, b) && is_same(a->asked, b->asked) &&
           cursor_is_keystroke(a->cursor, b->cursor);
}

void job_outrun_older(struct job *job)
{
    if (!job->request.cursor)
        return;
    list_for_each_safe (it, &job->jobs->at_cursor) {
        struct job *older = list_entry(it, struct job, at_cursor);
        if (is_outrun(older, job))
            job_outrun(older);
    }
    list_push_back(&job->jobs->at_cursor, &job->at_cursor);
}
