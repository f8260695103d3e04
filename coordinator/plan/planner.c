#include "coordinator/plan/planner.h"

#include "common/list.h"
#include "coordinator/plan/plan_answer.h"
#include "coordinator/plan/plan_digest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct planner {
    struct planner_config config;
    struct list waiting; /* planner_wait.link: for the next plan */
    struct list served;  /* likewise: for the one that is being made */
    size_t wait_count;   /* of both */
    uv_work_t work;
    bool running;
    struct plan *plan; /* that is being made; NULL: the snapshot failed */
    struct buf answer;
    int result;     /* of the snapshot, then of the plan … */
    struct err err; /* … and why it is none */
    bool gone;      /* destroyed while one was being made */
};

struct planner_wait {
    struct list link;
    struct planner *planner;
    planner_fn fn;
    void *ctx;
};

/* ---- the fleet as it is */

struct hosts {
    struct plan_host *at;
    size_t count;
};

static void add_host(
        struct hosts *hosts, const struct node_session *session, struct instance *const *instances)
{
    hosts->at[hosts->count++] = (struct plan_host){.name = node_session_name(session),
            .key = node_session_peer(session)->key,
            .facts = node_session_facts(session),
            .instances = instances,
            .count = node_session_instance_count(session)};
}

/* The table lists the instances session by session, in the order in which it goes through them. */
static int look(const struct planner *planner, struct hosts *ret_hosts)
{
    struct node_table *nodes = planner->config.nodes;
    struct hosts hosts = {.at = calloc(node_table_count(nodes) + 1, sizeof(*hosts.at)), .count = 0};
    size_t count, at = 0;
    struct instance *const *instances = node_table_instances(nodes, &count);
    struct node_session *session = NULL;
    if (!hosts.at)
        return -ENOMEM;
    while ((session = node_table_next(nodes, session))) {
        size_t own = node_session_instance_count(session);
        if (at + own > count) { /* there was no memory for the list */
            free(hosts.at);
            return -ENOMEM;
        }
        if (node_session_roles(session) & CERTIFICATE_ROLE_NODE)
            add_host(&hosts, session, instances + at);
        at += own;
    }
    *ret_hosts = hosts;
    return 0;
}

uint64_t planner_digest(const struct planner *planner)
{
    struct hosts hosts;
    if (look(planner, &hosts))
        return 0;
    uint64_t digest = plan_digest(hosts.at, hosts.count, planner->config.modes);
    free(hosts.at);
    return digest;
}

static int take_snapshot(const struct planner *planner, struct plan **ret_plan, struct err *err)
{
    struct hosts hosts;
    if (look(planner, &hosts))
        return err_set(err, -ENOMEM, "no memory for a plan");
    int r = plan_create(hosts.at, hosts.count, planner->config.modes, ret_plan, err);
    free(hosts.at);
    return r;
}

/* ---- one plan after another */

static void wait_free(struct planner_wait *wait)
{
    list_del(&wait->link);
    wait->planner->wait_count--;
    free(wait);
}

static void free_all(struct list *waits)
{
    while (!list_empty(waits))
        wait_free(list_entry(waits->next, struct planner_wait, link));
}

/* The callback may ask again, and destroy the planner. */
static void tell_first(struct planner *planner)
{
    bool made = planner->result == 0;
    struct planner_wait *wait = list_entry(planner->served.next, struct planner_wait, link);
    planner_fn fn = wait->fn;
    void *ctx = wait->ctx;
    wait_free(wait);
    fn(ctx, made ? planner->plan : NULL, made ? &planner->answer : NULL, &planner->err);
}

static void on_work(uv_work_t *work)
{
    struct planner *planner = work->data;
    if (planner->result == 0)
        planner->result = plan_place(planner->plan, &planner->err);
    if (planner->result == 0 && plan_answer_append(planner->plan, &planner->answer))
        planner->result = err_set(&planner->err, -ENOMEM,
                "no memory for the plan as an answer, or the fleet is too large for one");
}

static void start(struct planner *planner);

static void after_work(uv_work_t *work, int status)
{
    struct planner *planner = work->data;
    if (status < 0)
        planner->result = err_set(&planner->err, status, "the coordinator is stopping");
    while (!planner->gone && !list_empty(&planner->served))
        tell_first(planner);
    plan_destroy(planner->plan);
    planner->plan = NULL;
    buf_fini(&planner->answer);
    planner->running = false;
    if (planner->gone)
        free(planner);
    else if (!list_empty(&planner->waiting))
        start(planner);
}

/* A snapshot that fails is told from the work queue too: nobody is called while he asks. */
static void start(struct planner *planner)
{
    while (!list_empty(&planner->waiting)) {
        struct list *first = planner->waiting.next;
        list_del(first);
        list_push_back(&planner->served, first);
    }
    buf_init(&planner->answer, PLANNER_ANSWER_MAX);
    planner->result = take_snapshot(planner, &planner->plan, &planner->err);
    planner->work.data = planner;
    planner->running = true;
    int r = uv_queue_work(&planner->config.loop->uv, &planner->work, on_work, after_work);
    assert(r == 0); /* it refuses nothing but to have no callback */
    (void)r;
}

int planner_ask(struct planner *planner, planner_fn fn, void *ctx, struct planner_wait **ret_wait,
        struct err *err)
{
    if (planner->wait_count == PLANNER_WAITING_MAX)
        return err_set(err, -EBUSY, "%d wait for a plan already; try again in a moment",
                PLANNER_WAITING_MAX);
    struct planner_wait *wait = calloc(1, sizeof(*wait));
    if (!wait)
        return err_set(err, -ENOMEM, "no memory for a plan");
    *wait = (struct planner_wait){.planner = planner, .fn = fn, .ctx = ctx};
    list_push_back(&planner->waiting, &wait->link);
    planner->wait_count++;
    if (!planner->running)
        start(planner);
    *ret_wait = wait;
    return 0;
}

void planner_forget(struct planner_wait *wait)
{
    if (wait)
        wait_free(wait);
}

/* ---- life */

struct planner *planner_create(const struct planner_config *config)
{
    struct planner *planner = calloc(1, sizeof(*planner));
    if (!planner)
        return NULL;
    planner->config = *config;
    list_init(&planner->waiting);
    list_init(&planner->served);
    return planner;
}

void planner_destroy(struct planner *planner)
{
    if (!planner)
        return;
    free_all(&planner->waiting);
    free_all(&planner->served);
    planner->gone = true;
    if (!planner->running)
        free(planner);
}
