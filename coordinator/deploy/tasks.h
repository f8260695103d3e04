/* What people ask of the nodes and their models and what takes longer than a request: to deploy,
 * load, unload, pin and drain, and to carry out a plan. Each goes on when the request that asked
 * for it has been answered; GET /mesh/v1/operations tells how. A coordinator that stops forgets
 * them; the nodes carry out what they have begun. Loop thread.
 *
 *   (start) ──▶ RUNNING ──▶ DONE
 *                  └──────▶ FAILED
 */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "coordinator/deploy/mode_moves.h"
#include "coordinator/job/job.h"
#include "coordinator/node_table.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TASKS_RUNNING_MAX = 8,          /* at once; past it a new one is refused */
    TASKS_MAX = 64,                 /* remembered; the oldest that has ended makes room */
    TASK_ID_LEN = 8,                /* hex digits */
    TASK_TEXT_MAX = 4 * 1024,       /* bytes of what several nodes said */
    TASK_REHEARSAL_MS = 10000,      /* a node that has not answered by then is left out */
    TASK_ORDER_MS = 60 * 60 * 1000, /* that a node may take; its requests finish first */
};

enum task_kind {
    TASK_DEPLOY,
    TASK_LOAD,
    TASK_UNLOAD,
    TASK_PIN,
    TASK_DRAIN,
    TASK_PLAN, /* load and unload whatever a plan of the fleet says */
    TASK_KIND_COUNT,
};
const char *task_kind_name(enum task_kind kind); /* "deploy", … */
enum task_state { TASK_RUNNING, TASK_DONE, TASK_FAILED, TASK_STATE_COUNT };
const char *task_state_name(enum task_state state); /* "running", … */

struct task_spec { /* what is asked; names as rules_text() wants them, or "" */
    enum task_kind kind;
    char mode[MSG_NAME_MAX + 1];      /* DEPLOY */
    char model[MSG_NAME_MAX + 1];     /* or an alias; not for DRAIN, nor with `undo` */
    char node[MSG_NODE_NAME_MAX + 1]; /* "": which one is chosen here; needed for DRAIN */
    /* DEPLOY, LOAD: 0 and "" are the node's own settings. */
    uint32_t context, slots;
    const char *type_k, *type_v; /* cache_type_name(), or "" */
    bool keep;                   /* LOAD: pin it */
    bool rehearse;               /* DEPLOY, LOAD: change nothing, tell how it would go */
    bool undo;                   /* DEPLOY: back to the models that the config lists */
    bool on;        /* PIN: keep it, or no more; DRAIN: take no new work, or take it again */
    bool automatic; /* PLAN: nobody asked for it (plan_keeper.h), so what people have just asked of
                       a node is not undone (plan_is_unsettled()), and no further step
                       begins once they ask for something else */
};

struct task_facts { /* what people read */
    char id[TASK_ID_LEN + 1];
    struct task_spec spec; /* with the model's own name */
    enum task_state state;
    char node[MSG_NODE_NAME_MAX + 1]; /* that carries it out; "": several, or not chosen yet */
    enum order_way way;               /* DEPLOY, LOAD: ORDER_WAY_NONE until it is known */
    char progress[TASK_TEXT_MAX];     /* the last thing that it waited for */
    char message[TASK_TEXT_MAX];      /* once it has ended: what was done, or why not */
    int64_t started_ms, ended_ms;     /* Unix time; 0: not yet */
};

struct planner;
struct tasks;

struct tasks_config { /* all borrowed */
    const struct env *env;
    struct node_table *nodes;
    struct mode_moves *moves;
    struct jobs *jobs;
    struct planner *planner; /* for PLAN */
};

/* NULL where malloc refuses. */
struct tasks *tasks_create(const struct tasks_config *config);
/* Takes NULL. Before the nodes are destroyed. */
void tasks_destroy(struct tasks *tasks);

/* Begins what `spec` asks for; it may have ended already on return. `*ret_task` is valid until the
 * next call. -ENOENT: there is no such mode, model or node; -EEXIST: the mode is being deployed
 * already, or a plan carried out; -EINVAL, -E2BIG: a node must be named; -ENOSPC: too many run;
 * -ENOMEM; nothing was told to any node then. */
MUST_CHECK int tasks_start(struct tasks *tasks, const struct task_spec *spec,
        const struct task_facts **ret_task, struct err *err);
/* About ten times a second. */
void tasks_tick(struct tasks *tasks);

size_t tasks_count(const struct tasks *tasks);
/* The newest first. Borrowed until the next call. */
const struct task_facts *tasks_at(const struct tasks *tasks, size_t index);
