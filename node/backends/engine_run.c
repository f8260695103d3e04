#include "node/backends/engine_run.h"

#include "common/json/json.h"
#include "common/log.h"
#include "common/sse_reader.h"
#include "node/backends/answers/engine_answer.h"
#include "node/backends/answers/result_scan.h"
#include "node/backends/slots/engine_slots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATUS_NOT_IMPLEMENTED = 501,
    USAGE_MAX = 4096, /* bytes of a result's usage */
};

struct engine_run {
    const struct engine_target *target;
    enum engine_form form;
    engine_chunk_fn read_chunk;
    struct engine_call *call;
    struct slot_ask *slot_ask; /* before the call; then `post` waits for it */
    struct engine_post post;
    uint64_t session;            /* 0: its slot is of no interest */
    int slot;                    /* that was asked for; SLOT_NONE: none was */
    bool takes_slot;             /* of the engine, as it has a prompt */
    uint64_t stray;              /* its number where the engine chooses which; else 0 */
    bool is_unplaced;            /* … and has said nothing since */
    struct sse_reader *sse;      /* ENGINE_FORM_EVENTS, else NULL */
    struct result_scan scan;     /* the other forms */
    struct engine_answer answer; /* of each form; where it is no stream it only passes on */
    const struct run_events *events;
    void *ctx;
    struct err err;
    bool paused;
    bool busy, cancelled; /* cancelled while busy: freed by whoever is busy with it */
};

static void note_placed(struct engine_run *run)
{
    if (run->is_unplaced)
        engine_slots_placed(run->target->slots);
    run->is_unplaced = false;
}

static void run_free(struct engine_run *run)
{
    note_placed(run);
    sse_reader_destroy(run->sse);
    result_scan_fini(&run->scan);
    free(run);
}

static void run_end(struct engine_run *run, const struct msg_fail *fail)
{
    run->events->on_end(run->ctx, fail);
    run_free(run);
}

static void run_fail(struct engine_run *run, enum fail_code code, uint32_t http_status)
{
    struct msg_fail fail = {.code = code, .http_status = http_status, .message = run->err.text};

    run_end(run, &fail);
}

/* --- what comes in --- */

static bool pass_delta(void *ctx, const struct msg_delta *delta)
{
    struct engine_run *run = ctx;

    run->events->on_delta(run->ctx, delta);
    return !run->cancelled;
}

static int on_event(void *ctx, const char *name, const char *data, size_t len)
{
    struct engine_run *run = ctx;

    (void)name;
    return engine_answer_event(&run->answer, run->read_chunk, data, len, &run->err);
}

static int take_events(struct engine_run *run, const char *data, size_t len)
{
    struct err err = {0};
    int r = sse_reader_push(run->sse, data, len, &err);

    if (r < 0 && !run->err.text[0])
        run->err = err;
    return r;
}

static int scan_result(struct engine_run *run, const char *data, size_t len)
{
    return result_scan_push(&run->scan, data, len, &run->err);
}

static int pass_result(struct engine_run *run, const char *data, size_t len)
{
    struct msg_delta delta = {.kind = DELTA_RESULT, .data = data, .len = len};
    int r = scan_result(run, data, len);

    if (r == 0 && !pass_delta(run, &delta))
        r = -ECANCELED;
    return r;
}

/* What the engine says of an error is its own; an answer that is too long is the client's fault. */
static void end_broken(struct engine_run *run, int reason)
{
    engine_call_cancel(run->call);
    run->call = NULL;
    if (reason == -EREMOTEIO)
        run_fail(run, run->answer.error.code, run->answer.error.http_status);
    else if (reason == -EMSGSIZE && run->form != ENGINE_FORM_EVENTS)
        run_fail(run, FAIL_BAD_REQUEST, 0);
    else
        run_fail(run, FAIL_ENGINE_DIED, 0);
}

/* --- the end --- */

static void pass_usage(struct engine_run *run)
{
    struct msg_delta delta = {.kind = DELTA_USAGE, .usage = run->answer.usage};

    if (run->answer.has_usage)
        (void)pass_delta(run, &delta);
}

static void note_slot(const struct engine_run *run)
{
    if (run->answer.has_usage)
        engine_slots_note(run->target->slots, run->session, &run->answer.usage);
}

/* Ends the run after its last deltas, in which it may have been cancelled. */
static void run_complete(struct engine_run *run)
{
    if (run->cancelled)
        run_free(run);
    else
        run_end(run, NULL);
}

static void finish_events(struct engine_run *run, const struct msg_fail *fail)
{
    if (run->answer.finished && (run->answer.done || !fail)) {
        note_slot(run);
        run->busy = true;
        pass_usage(run);
        run->busy = false;
        run_complete(run);
    } else if (fail && !run->answer.done) {
        run_end(run, fail);
    } else {
        err_set(&run->err, -EPIPE, "the engine's stream ended before the answer was complete");
        run_fail(run, FAIL_ENGINE_DIED, 0);
    }
}

/* False where the answer is not whole: the run is then over. */
static bool result_is_whole(struct engine_run *run, const struct msg_fail *fail)
{
    if (fail) {
        run_end(run, fail);
        return false;
    }
    if (result_scan_complete(&run->scan))
        return true;
    err_set(&run->err, -EPIPE, "the engine's answer ended before it was complete");
    run_fail(run, FAIL_ENGINE_DIED, 0);
    return false;
}

static void count_usage(struct engine_run *run)
{
    cJSON *usage;

    if (!run->scan.found || json_parse(buf_at(&run->scan.kept), run->scan.kept.len,
                                    &json_limits_event, &usage, NULL) < 0)
        return;
    engine_answer_count(&run->answer, cJSON_IsObject(usage) ? usage : NULL, NULL);
    cJSON_Delete(usage);
}

static void finish_result(struct engine_run *run, const struct msg_fail *fail)
{
    if (!result_is_whole(run, fail))
        return;
    count_usage(run);
    run->busy = true;
    pass_usage(run);
    run->busy = false;
    run_complete(run);
}

/* --- the tokens of a chat --- */

static const struct engine_call_events call_events;

static int start_call(struct engine_run *run, const struct engine_post *post, struct err *err)
{
    int r = engine_call_start(run->target, post, &call_events, run, &run->call, err);

    if (r == 0 && run->paused)
        engine_call_pause(run->call);
    return r;
}

/* A picture is more tokens than its mark. */
static bool holds_media(const struct engine_run *run)
{
    const char *marker = run->target->media_marker;
    const struct buf *prompt = &run->scan.kept;

    return marker[0] && memmem(buf_at(prompt), prompt->len, marker, strlen(marker));
}

static void ask_for_tokens(struct engine_run *run)
{
    struct engine_post post;
    int r = engine_post_init_tokenize(
            &post, buf_at(&run->scan.kept), run->scan.kept.len, &run->err);

    if (r == 0) {
        result_scan_fini(&run->scan);
        result_scan_init(&run->scan, "tokens", 0);
        run->form = post.form;
        r = start_call(run, &post, &run->err);
        engine_post_fini(&post);
    }
    if (r < 0)
        run_fail(run, FAIL_OVERLOADED, 0);
}

static void finish_prompt(struct engine_run *run, const struct msg_fail *fail)
{
    if (!result_is_whole(run, fail))
        return;
    if (run->scan.kept.len == 0) {
        err_set(&run->err, -EPROTO, "the engine gave no prompt for the chat");
        run_fail(run, FAIL_ENGINE_DIED, 0);
    } else if (holds_media(run)) {
        err_set(&run->err, -ENOTSUP, "this engine counts the tokens of text only");
        run_fail(run, FAIL_ENGINE_ERROR, STATUS_NOT_IMPLEMENTED);
    } else {
        ask_for_tokens(run);
    }
}

static void finish_tokens(struct engine_run *run, const struct msg_fail *fail)
{
    char text[64];
    struct msg_delta delta = {.kind = DELTA_RESULT, .data = text};

    if (!result_is_whole(run, fail))
        return;
    if (!run->scan.found) {
        err_set(&run->err, -EPROTO, "the engine gave no tokens of the chat");
        run_fail(run, FAIL_ENGINE_DIED, 0);
        return;
    }
    delta.len = (size_t)snprintf(text, sizeof(text), "{\"input_tokens\":%zu}", run->scan.entries);
    run->busy = true;
    (void)pass_delta(run, &delta);
    run->busy = false;
    run_complete(run);
}

/* --- the forms --- */

static const struct form {
    int (*take)(struct engine_run *run, const char *data, size_t len);
    /* Ends the run or begins its next call. `fail`: how the call ended. */
    void (*finish)(struct engine_run *run, const struct msg_fail *fail);
} forms[ENGINE_FORM_COUNT] = {
        [ENGINE_FORM_EVENTS] = {take_events, finish_events},
        [ENGINE_FORM_RESULT] = {pass_result, finish_result},
        [ENGINE_FORM_PROMPT] = {scan_result, finish_prompt},
        [ENGINE_FORM_TOKENS] = {scan_result, finish_tokens},
};

static void on_data(void *ctx, const char *data, size_t len)
{
    struct engine_run *run = ctx;
    int r;

    note_placed(run);
    run->busy = true;
    r = forms[run->form].take(run, data, len);
    run->busy = false;
    if (run->cancelled)
        run_free(run);
    else if (r < 0)
        end_broken(run, r);
}

static void on_call_end(void *ctx, const struct msg_fail *fail)
{
    struct engine_run *run = ctx;

    run->call = NULL;
    forms[run->form].finish(run, fail);
}

static const struct engine_call_events call_events = {on_data, on_call_end};

/* --- a turn of a conversation --- */

static int send_post(struct engine_run *run, const struct engine_post *post, struct err *err)
{
    int r = start_call(run, post, err);

    run->is_unplaced = r == 0 && run->takes_slot && run->slot == SLOT_NONE;
    if (run->is_unplaced)
        run->stray = engine_slots_stray(run->target->slots);
    return r;
}

/* Where the slot cannot be asked for, the engine chooses. */
static void on_slot(void *ctx, int slot)
{
    struct engine_run *run = ctx;
    int r;

    run->slot_ask = NULL;
    if (slot != SLOT_NONE && engine_post_pin(&run->post, (unsigned)slot) < 0)
        log_debug("no memory to ask for a slot", LOG_U("slot", (unsigned)slot));
    else
        run->slot = slot;
    r = send_post(run, &run->post, &run->err);
    engine_post_fini(&run->post);
    if (r < 0)
        run_fail(run, FAIL_OVERLOADED, 0);
}

static bool takes_slot(enum request_kind kind)
{
    return kind != REQUEST_TOKENIZE && kind != REQUEST_DETOKENIZE && kind != REQUEST_TEMPLATE &&
           kind != REQUEST_COUNT;
}

static bool is_turn(const struct engine_target *target, const struct run_spec *spec)
{
    return (spec->kind == REQUEST_CHAT || spec->kind == REQUEST_COMPLETION ||
                   spec->kind == REQUEST_INFILL) &&
           engine_slots_wants(target->slots, spec->session, spec->prompt_tokens);
}

/* Takes `post` where it returns 0. */
static int begin(struct engine_run *run, struct engine_post *post, const struct run_spec *spec,
        struct err *err)
{
    int r;

    run->takes_slot = takes_slot(spec->kind);
    if (is_turn(run->target, spec)) {
        run->session = spec->session;
        r = slot_ask_start(run->target->slots, spec->session, on_slot, run, &run->slot_ask, err);
        if (r == 0) {
            run->post = *post;
            return 0;
        }
    }
    r = send_post(run, post, err);
    if (r == 0)
        engine_post_fini(post);
    return r;
}

/* --- life --- */

static bool run_prepare(struct engine_run *run, const struct engine_post *post)
{
    run->form = post->form;
    run->read_chunk = post->read_chunk;
    if (post->form == ENGINE_FORM_PROMPT)
        result_scan_init(&run->scan, "prompt", RESULT_BYTES_MAX);
    else
        result_scan_init(&run->scan, "usage", USAGE_MAX);
    if (post->form != ENGINE_FORM_EVENTS)
        return true;
    run->sse = sse_reader_create(json_limits_event.max_bytes, on_event, run);
    return run->sse != NULL;
}

static struct engine_run *run_create(const struct engine_target *target,
        const struct engine_post *post, const struct run_events *events, void *ctx)
{
    struct engine_run *run = calloc(1, sizeof(*run));

    if (!run)
        return NULL;
    run->target = target;
    run->events = events;
    run->ctx = ctx;
    run->slot = SLOT_NONE;
    run->answer = (struct engine_answer){.fn = pass_delta, .ctx = run};
    if (run_prepare(run, post))
        return run;
    run_free(run);
    return NULL;
}

int engine_run_start(const struct engine_target *target, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct engine_run **ret_run, struct err *err)
{
    struct engine_post post;
    struct engine_run *run;
    int r;

    if (spec->kind < REQUEST_KIND_COUNT && (target->unknown_kinds >> spec->kind & 1))
        return err_set(err, -ENOTSUP, "this engine does not serve requests of the kind %s",
                request_kind_name(spec->kind));
    r = engine_post_init(&post, spec, target->model, target->env, err);
    if (r < 0)
        return r;
    run = run_create(target, &post, events, ctx);
    r = run ? begin(run, &post, spec, err) : err_set(err, -ENOMEM, "no memory for a request");
    if (r == 0) {
        *ret_run = run;
        return 0;
    }
    engine_post_fini(&post);
    if (run)
        run_free(run);
    return r;
}

static void give_up_slot(const struct engine_run *run)
{
    if (run->slot != SLOT_NONE)
        engine_slots_give_up(run->target->slots, run->slot, run->session);
    else if (run->stray != 0)
        engine_slots_give_up_stray(run->target->slots, run->stray);
}

void engine_run_cancel(struct engine_run *run)
{
    run->cancelled = true;
    if (run->slot_ask) {
        slot_ask_cancel(run->slot_ask);
        engine_post_fini(&run->post);
    }
    if (run->call)
        give_up_slot(run);
    engine_call_cancel(run->call);
    run->call = NULL;
    if (!run->busy)
        run_free(run);
}

void engine_run_pause(struct engine_run *run)
{
    run->paused = true;
    if (run->call)
        engine_call_pause(run->call);
}

void engine_run_resume(struct engine_run *run)
{
    run->paused = false;
    if (run->call)
        engine_call_resume(run->call);
}
