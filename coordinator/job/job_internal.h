/* What the files of this room share: the job itself, and what each does for the others. `job.c` has
 * its states, memory and clock, `job_dispatch.c` the way through the queue and to an instance,
 * `job_choose.c` the choice of it, `job_place.c` where conversations are, `job_keystroke.c`
 * completions that a newer one makes useless, `job_answer.c` the way of the answer, `job_refusal.c`
 * the errors, `job_follow.c` modes that move. What a job is chosen by: job_terms.h. */
#pragma once

#include "common/list.h"
#include "common/sm.h"
#include "coordinator/delta_queue.h"
#include "coordinator/job/job.h"
#include "coordinator/modes/modes.h"
#include "coordinator/router/router.h"
#include "coordinator/scheduling/fair_queue.h"
#include "coordinator/scheduling/prefix_chain.h"

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DRAINING, JOB_STATE_COUNT };

struct jobs {
    struct jobs_config config;
    struct fair_queue *queue;     /* job.queued: in which order they are served */
    struct list waiting, running; /* job.link, DRAINING ones too */
    struct list at_cursor;        /* job.at_cursor, the oldest first */
    size_t running_count;
    size_t body_bytes[LANE_COUNT]; /* of all requests' bodies, and of what their dialects keep */
    size_t gathered_bytes;         /* of all whole answers so far */
    bool changed;                  /* by some job itself: the queue has to be looked at */
    size_t arrived[LANE_COUNT];    /* since it was */
    struct buf scratch;            /* bytes of the event being made */
    uint64_t prompt_seed;
};

struct job {
    struct jobs *jobs;
    struct list link, at_cursor;
    struct fair_entry queued;
    struct fair_key *key; /* whose request it is */
    uint64_t kind;        /* the same for those that the same instances can take */
    bool hopeless;        /* it waits, and could be sent nowhere when it was looked at last */
    struct sm sm;
    struct reply reply;
    const struct dialect *dialect;
    struct request request;
    struct job_terms *terms;     /* that are in force; of those in the list below */
    struct job_terms *all_terms; /* as it began, and what comes instead; owned */
    uint64_t terms_waited_ms;    /* in the queue, before these terms */
    bool overlong; /* none of the terms has a model that holds it: it goes by those with the longest
                      context, whose engine counts the tokens */
    uint32_t far_too_long_for;     /* … of so many tokens, where it is that by far; else 0 */
    char *replaced[JOB_MOVES_MAX]; /* models that its mode has moved away from: maybe named below */
    size_t replaced_count;

    /* The instance that has it, or had it last. */
    struct node_stream *stream;
    struct answer *answer;
    char node[MSG_NODE_NAME_MAX + 1];             /* "-" before */
    const char *model;                            /* of some terms, or one of `replaced`, or "-" */
    uint32_t epoch;                               /* of its session */
    char reason[JOB_REASON_MAX + 1];              /* why there, or why it waits */
    struct router_avoid failed[JOB_ATTEMPTS_MAX]; /* the instances it has failed on */
    size_t failed_count;
    bool on_instance; /* from START to the end of its stream there: … */
    struct router_trip trip;
    double charged;       /* … tokens, to its key, by all instances that had it */
    double first_token_s; /* seconds until then, as estimated last; 0: it was not */
    double expected_s;    /* … as estimated first, from when it came */
    unsigned attempts;

    struct delta_queue deltas;
    bool begun;       /* headers are out */
    bool committed;   /* content is out, or on its way out: no other instance from here on */
    bool ended;       /* the engine's answer is complete */
    bool outrun;      /* … as a newer keystroke cut it off */
    bool has_thought; /* some of the answer was reasoning */
    size_t gathered_bytes, kept_bytes;

    int64_t created_s; /* Unix time */
    uint64_t created_us, state_us, first_content_us, last_write_us;
    uint64_t waited_us; /* in the queue, before now */
    struct msg_usage usage;
};

/* --- job.c --- */

uint64_t job_now_us(const struct job *job);
uint64_t job_age_ms(const struct job *job, uint64_t since_us);
uint64_t job_waited_ms(const struct job *job);
void job_set_state(struct job *job, enum job_state state);
/* Its terms have changed. */
void job_set_kind(struct job *job);
/* The mode that comes after its own: from now on it goes by that one's terms, with a body as that
 * one fills it, and waits anew. False where there is none, or no memory for such a body. */
bool job_take_next_terms(struct job *job);
/* Those of its terms, by which it is sent to the longest context there is: as above. The last is
 * router_ask's. */
bool job_take_longest_terms(struct job *job, struct job_terms *terms, uint32_t far_too_long_for);
/* Those of its terms that may hold it after all, or from which it begins anew: as above. */
bool job_take_fitting_terms(struct job *job, struct job_terms *terms);
/* It waits and runs no more, before its client is told how it ended: who asks for it may ask for
 * another meanwhile, in the same call, and have the queue looked through. */
void job_unlink(struct job *job);
void job_release_body(struct job *job);
void job_free(struct job *job);
void job_log_done(const struct job *job, const char *result);

/* --- job_choose.c --- */

/* Tokens that the models of a job's terms have room for where they are there, and those of their
 * spare; 0: none of them is. Asked for as they are needed: O(instances). */
struct job_reach {
    uint32_t own, spare;
    bool knows_own, knows_spare;
};

struct job_manner { /* in which a job is asked */
    bool greedy;    /* its key is, with what it asks for */
    bool tell_room; /* whether others have room is to be told */
};

/* Whose models are asked: the terms in force, or their spare. `reach` is for all of its kind. */
const struct job_terms *job_models_by(const struct job *job, struct job_reach *reach);
const struct job_terms *job_models(const struct job *job);
/* The slots of these, for all of its kind. */
uint64_t job_slots(const struct job *job, const struct job_terms *models);
bool job_is_greedy(const struct job *job, const struct job_terms *models, uint64_t slots);
/* The best instance, by the terms in force. -ENOMEM. */
MUST_CHECK int job_choose_by_own(
        const struct job *job, struct job_manner manner, struct router_plan *ret_plan);
/* Likewise, and where those have none for it, also none that is only full, by those that come
 * instead, which are in force then. What is too long for all of them goes by those of the longest
 * context: it is its engine that tells the client so. */
MUST_CHECK int job_choose(struct job *job, struct job_manner manner, struct router_plan *ret_plan);

/* --- job_dispatch.c --- */

/* The instance that has it has done with it, or it with the instance: what it took is charged, what
 * it showed is learnt. Nothing happens where none has it. */
void job_leave(struct job *job, enum router_end end);
/* Of the answer, by what its node says and as far as that can be in the time that it took. */
double job_written_tokens(const struct job *job);
/* Its reason says anew why it waits, with what a look through the queue has no time for. */
void job_tell_wait(struct job *job);

/* --- job_place.c --- */

/* Which one it belongs to (affinity_id()), by what its client says or by how it begins; 0: that is
 * not known, or none has a place. What is typed at one place is a conversation too: the same of
 * each letter's completion there. */
uint64_t job_conversation(const struct job *job);
/* Where its conversation was last, where that is known and one of the ask's models was there. */
void job_find_place(const struct job *job, struct router_ask *ask);
/* The instance that has it is where its conversation is now. As far as there is memory. */
void job_note_place(const struct job *job);
/* It has answered: so much longer is what that instance holds. */
void job_note_turn(const struct job *job);

/* --- job_keystroke.c --- */

/* Ends those before it that it makes useless, and notes it for the next keystroke. Once. */
void job_outrun_older(struct job *job);

/* --- job_answer.c --- */

extern const struct node_stream_events job_stream_events;

/* -ENOMEM. What another instance has brought is forgotten. */
MUST_CHECK int job_make_answer(struct job *job, const char *model);
/* What an instance has brought so far. A stream that the client sees goes on with the next one: it
 * has brought nothing yet. */
void job_forget_answer(struct job *job);
void job_drop_answer(struct job *job);
/* A waiting stream that must show a sign of life has no model yet: it carries the name that was
 * asked for. -ENOMEM. */
MUST_CHECK int job_ensure_answer(struct job *job);
/* Headers and the API's opening; once. As the dialect's functions. */
MUST_CHECK int job_begin_stream(struct job *job);
MUST_CHECK int job_write_idle(struct job *job);
/* It has got an instance: where its headers went out before that, a comment says what they would
 * have said, in APIs that have comments. As the dialect's functions. */
MUST_CHECK int job_tell_instance(struct job *job);
/* Moves deltas to the client while it takes them. May free the job. */
void job_pump(struct job *job);

/* Ends what runs or waits with what has come of its answer so far, as if that had reached its limit
 * of tokens. Frees the job, or leaves it to drain. */
void job_outrun(struct job *job);
/* These end it, and free it. The first says why to a client that has had nothing yet, or in its
 * stream; the second is for what the engine brought and cannot be passed on (a dialect's errno), so
 * that nobody takes what went out before for the whole answer; the third cuts the connection where
 * no more can be said. */
void job_fail(struct job *job, const struct api_error *error);
void job_fail_answer(struct job *job, int r);
void job_cut_off(struct job *job, const char *result);

/* --- job_refusal.c --- */

/* Fills `ret_error` with what a node's failure means to a client, and returns it. */
const struct api_error *job_error_of_fail(const struct msg_fail *fail, struct api_error *ret_error);
/* 503, or 429 where `code` is "queue_full": nobody can take it now. Frees the job. */
void job_refuse(struct job *job, const char *code, const char *reason);
/* Its patience is over: 503, with how long it has waited, and what kept it. Frees the job. */
void job_refuse_waited(struct job *job);
/* No instance can ever take it: 400 where no waiting helps, else 503. Frees the job. */
void job_refuse_plan(struct job *job, const struct router_plan *plan);
