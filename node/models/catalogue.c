#include "node/models/catalogue.h"

#include "common/log.h"
#include "node/models/folder_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct catalogue {
    struct loop *loop;
    const struct catalogue_events *events; /* NULL once destroyed */
    void *ctx;
    struct loop_timer *rescan_timer, *settle_timer;
    struct catalogue_look look;
    char *roots[CATALOGUE_ROOTS_MAX];
    uint32_t rescan_ms;
    uv_work_t work;
    bool running, again;
    bool unwatched_told, loss_told;
    struct catalogue_scan *now, *next; /* `next` belongs to the work while it runs */
    struct err last_error;             /* told already */
    struct err work_error;
    int work_result;
};

static void start_scan(struct catalogue *catalogue);

static void on_work(uv_work_t *work)
{
    struct catalogue *catalogue = work->data;

    catalogue->work_result = catalogue_scan_create(
            &catalogue->look, catalogue->now, &catalogue->next, &catalogue->work_error);
}

/* --- what is told --- */

static bool problem_known(
        const struct catalogue_scan *scan, const struct catalogue_problem *problem)
{
    for (size_t i = 0; scan != NULL && i < scan->problem_count; i++)
        if (strcmp(scan->problems[i].path, problem->path) == 0 &&
                strcmp(scan->problems[i].text, problem->text) == 0)
            return true;
    return false;
}

static void tell_problems(const struct catalogue_scan *before, const struct catalogue_scan *after)
{
    for (size_t i = 0; i < after->problem_count; i++) {
        const struct catalogue_problem *problem = &after->problems[i];
        if (!problem_known(before, problem))
            log_warn(problem->is_root ? "model folder not read" : "model file skipped",
                    LOG_S("path", problem->path), LOG_S("reason", problem->text));
    }
}

/* Once, until all are watched again. */
static void tell_unwatched(struct catalogue *catalogue)
{
    const struct catalogue_scan *scan = catalogue->now;

    if (scan->unwatched_count > 0 && !catalogue->unwatched_told)
        log_warn("not all model folders are watched; changes there are seen late",
                LOG_U("folders", scan->unwatched_count), LOG_U("late_ms", catalogue->rescan_ms),
                LOG_S("reason", scan->unwatched.text));
    catalogue->unwatched_told = scan->unwatched_count > 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_model(const struct catalogue_model *a, const struct catalogue_model *b)
{
    return strcmp(a->path, b->path) == 0 && a->file_bytes == b->file_bytes &&
           a->modified_ns == b->modified_ns &&
           memcmp(&a->fingerprint, &b->fingerprint, sizeof a->fingerprint) == 0 &&
           same_text(a->projector, b->projector) && a->projector_bytes == b->projector_bytes;
}

/* Merges two lists that are sorted by name. */
static void tell_models(struct catalogue *catalogue, const struct catalogue_scan *before,
        const struct catalogue_scan *after)
{
    size_t i = 0, k = 0, old_count = before == NULL ? 0 : before->model_count;

    while (i < old_count || k < after->model_count) {
        int order = i == old_count ? 1
                    : k == after->model_count
                            ? -1
                            : strcmp(before->models[i].name, after->models[k].name);
        if (order < 0)
            catalogue->events->on_gone(catalogue->ctx, before->models[i].name);
        else if (order > 0 || !same_model(&before->models[i], &after->models[k]))
            catalogue->events->on_model(catalogue->ctx, &after->models[k]);
        i += order <= 0;
        k += order >= 0;
    }
}

/* --- looks --- */

static void take_scan(struct catalogue *catalogue)
{
    struct catalogue_scan *before = catalogue->now;

    catalogue->now = catalogue->next;
    catalogue->next = NULL;
    catalogue->last_error.text[0] = '\0';
    tell_problems(before, catalogue->now);
    tell_unwatched(catalogue);
    if (catalogue->now->settle_ms > 0)
        loop_timer_start(catalogue->settle_timer, catalogue->now->settle_ms, 0);
    tell_models(catalogue, before, catalogue->now);
    catalogue->events->on_scanned(catalogue->ctx, catalogue->now->model_count);
    catalogue_scan_destroy(before);
}

static void take_failure(struct catalogue *catalogue)
{
    if (strcmp(catalogue->last_error.text, catalogue->work_error.text) != 0)
        log_error("models not looked at", LOG_S("reason", catalogue->work_error.text));
    catalogue->last_error = catalogue->work_error;
    catalogue->events->on_scanned(
            catalogue->ctx, catalogue->now == NULL ? 0 : catalogue->now->model_count);
}

static void catalogue_free(struct catalogue *catalogue)
{
    folder_watch_destroy(catalogue->look.watch);
    catalogue_scan_destroy(catalogue->now);
    catalogue_scan_destroy(catalogue->next);
    for (size_t i = 0; i < catalogue->look.root_count; i++)
        free(catalogue->roots[i]);
    free(catalogue);
}

static void after_work(uv_work_t *work, int status)
{
    struct catalogue *catalogue = work->data;

    catalogue->running = false;
    if (catalogue->events == NULL) {
        catalogue_free(catalogue);
        return;
    }
    if (status == 0 && catalogue->work_result == 0)
        take_scan(catalogue);
    else if (status == 0)
        take_failure(catalogue);
    if (catalogue->again)
        start_scan(catalogue);
}

static void start_scan(struct catalogue *catalogue)
{
    catalogue->again = false;
    catalogue->work.data = catalogue;
    catalogue->running =
            uv_queue_work(&catalogue->loop->uv, &catalogue->work, on_work, after_work) == 0;
}

void catalogue_rescan(struct catalogue *catalogue)
{
    if (catalogue->running)
        catalogue->again = true;
    else
        start_scan(catalogue);
}

/* A look that is under way will do. */
static void on_rescan_timer(void *ctx)
{
    struct catalogue *catalogue = ctx;

    if (!catalogue->running)
        start_scan(catalogue);
}

static void on_settle_timer(void *ctx)
{
    catalogue_rescan(ctx);
}

static void on_news(void *ctx, bool lost)
{
    struct catalogue *catalogue = ctx;

    if (lost && !catalogue->loss_told)
        log_warn("events of the model folders were lost; all is looked at again",
                LOG_S("reason", "more at once than fs.inotify.max_queued_events"));
    catalogue->loss_told |= lost;
    catalogue_rescan(catalogue);
}

const struct catalogue_scan *catalogue_last(const struct catalogue *catalogue)
{
    return catalogue->now;
}

/* --- life --- */

static int copy_roots(
        struct catalogue *catalogue, const struct catalogue_config *config, struct err *err)
{
    if (config->root_count > CATALOGUE_ROOTS_MAX)
        return err_set(err, -E2BIG, "%zu model folders, at most %d are allowed", config->root_count,
                CATALOGUE_ROOTS_MAX);
    for (size_t i = 0; i < config->root_count; i++) {
        size_t len = strlen(config->roots[i]);
        while (len > 1 && config->roots[i][len - 1] == '/')
            len--;
        catalogue->roots[i] = strndup(config->roots[i], len);
        if (catalogue->roots[i] == NULL)
            return err_set(err, -ENOMEM, "out of memory");
        catalogue->look.root_count++;
    }
    catalogue->look.roots = (const char *const *)catalogue->roots;
    return 0;
}

/* Without it the timer has to do. */
static void open_watch(struct catalogue *catalogue, size_t watched_max)
{
    const struct folder_watch_config config = {
            .folders_max = watched_max, .suffix = CATALOGUE_SUFFIX};
    struct err err;

    if (folder_watch_create(
                catalogue->loop, &config, on_news, catalogue, &catalogue->look.watch, &err) < 0)
        log_warn("model folders are not watched; changes there are seen late",
                LOG_U("late_ms", catalogue->rescan_ms), LOG_S("reason", err.text));
}

static int open_timers(struct catalogue *catalogue, struct err *err)
{
    catalogue->rescan_timer = loop_timer_create(catalogue->loop, on_rescan_timer, catalogue);
    catalogue->settle_timer = loop_timer_create(catalogue->loop, on_settle_timer, catalogue);
    if (catalogue->rescan_timer == NULL || catalogue->settle_timer == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    loop_timer_start(catalogue->rescan_timer, catalogue->rescan_ms, catalogue->rescan_ms);
    return 0;
}

int catalogue_create(struct loop *loop, const struct catalogue_config *config,
        const struct catalogue_events *events, void *ctx, struct catalogue **ret_catalogue,
        struct err *err)
{
    struct catalogue *catalogue = calloc(1, sizeof *catalogue);
    int rc;

    if (catalogue == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    catalogue->loop = loop;
    catalogue->events = events;
    catalogue->ctx = ctx;
    catalogue->look.env = config->env;
    catalogue->rescan_ms = config->rescan_ms == 0 ? CATALOGUE_RESCAN_MS : config->rescan_ms;
    rc = copy_roots(catalogue, config, err);
    if (rc == 0)
        rc = open_timers(catalogue, err);
    if (rc < 0) {
        catalogue_destroy(catalogue);
        return rc;
    }
    open_watch(catalogue, config->watched_max);
    start_scan(catalogue);
    *ret_catalogue = catalogue;
    return 0;
}

void catalogue_destroy(struct catalogue *catalogue)
{
    if (catalogue == NULL)
        return;
    loop_timer_destroy(catalogue->rescan_timer);
    loop_timer_destroy(catalogue->settle_timer);
    folder_watch_stop(catalogue->look.watch);
    catalogue->events = NULL;
    if (!catalogue->running)
        catalogue_free(catalogue);
}
