/* Asks a small model what a request is about, where its facts and its editor do not say: one token
 * out of four, by a grammar. It goes the way of every request (job.h), as one of the same client,
 * whose share of the mesh it is taken from; but the answer comes here. Only a model that somebody
 * has loaded with a slot free is asked, so nothing is loaded or displaced for it, and after
 * CLASSIFIER_DEADLINE_MS the question is cancelled: whoever asks waits no longer than that. Loop
 * thread. */
#pragma once

#include "common/buf.h"
#include "common/loop.h"
#include "coordinator/auto/task.h"
#include "coordinator/job/job.h"

#include <stdint.h>

enum {
    CLASSIFIER_DEADLINE_MS = 150,
    CLASSIFIER_TEXT_MAX = 1536, /* bytes of the user's words that it is shown */
    CLASSIFIER_QUESTIONS_MAX = 64,
};

struct classifier;
struct classifier_question;

struct classifier_config {
    struct loop *loop; /* borrowed, as all here */
    const struct env *env;
    struct node_table *nodes;
    struct jobs *jobs;
    uint32_t deadline_ms; /* 0: CLASSIFIER_DEADLINE_MS */
};

/* NULL where malloc refuses. */
struct classifier *classifier_create(const struct classifier_config *config);
/* Who still waits is told that there is no answer, before the jobs end. Takes NULL. */
void classifier_destroy(struct classifier *classifier);
/* The model to ask, by its name or an alias; NULL or "": none is asked. -ENOMEM: it stays as it
 * was. */
MUST_CHECK int classifier_set_model(struct classifier *classifier, const char *model);

/* To whom it is told. `task` is one that is guessed; NULL: there is no answer. Comes once, and may
 * ask anew; the question is gone then. */
struct classifier_reply {
    void (*fn)(void *ctx, const enum task *task);
    void *ctx;
};

/* The own name of the model that can be asked now; NULL where none is set, or none of it is loaded
 * with a slot free. Borrowed until the next turn of the loop. */
const char *classifier_model(const struct classifier *classifier);
/* `words` is what is shown of `request`, for which it is asked: by its client, under its id.
 * -ENOENT: there is no classifier_model(), whose leave is the caller's business; -EBUSY at
 * CLASSIFIER_QUESTIONS_MAX; -ENOMEM: then `fn` is not called. Else `*ret_question` is written
 * first, and `fn` called, maybe before this returns. */
MUST_CHECK int classifier_ask(struct classifier *classifier, const struct request *request,
        const char *words, const struct classifier_reply *reply,
        struct classifier_question **ret_question);
/* The caller needs no answer any more; `fn` is not called. */
void classifier_cancel(struct classifier_question *question);

/* What the model said, from the whole answer of /v1/chat/completions. False where it is none of the
 * four. Pure. */
bool classifier_read_answer(const char *answer, size_t len, enum task *ret_task);
