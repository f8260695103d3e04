#include "node/backends/fake.h"

#include "common/list.h"
#include "common/sm.h"
#include "common/text.h"
#include "node/backends/backend.h"
#include "node/backends/fake_result.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char script_prefix[] = "fake:";
static const char first_token[] = "[fake engine]";
static const char default_text[] = "Nothing was computed; these words only fill the stream.";

enum {
    DEFAULT_TOKENS = 16,
    DEFAULT_CONTEXT = 4096,
    DEFAULT_START_TIMEOUT_MS = 60 * 1000,
    RESULT_MAX = 16 * 1024 * 1024, /* bytes of an answer that is no stream */
    TOKEN_MAX = 64,                /* bytes of one word that is said */
    SETTING_MAX = 64,              /* bytes of one setting of the script */
    STATUS_MIN = 400,
    STATUS_MAX = 599,
};

enum setting_type { SETTING_NUMBER, SETTING_TIME, SETTING_FLAG };

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset; /* in struct fake_script */
    uint32_t min, max;
};

#define NUMBER(name, member, min, max)                                                             \
    {                                                                                              \
        name, SETTING_NUMBER, offsetof(struct fake_script, member), min, max                       \
    }
#define TIME(name, member)                                                                         \
    {                                                                                              \
        name, SETTING_TIME, offsetof(struct fake_script, member), 0, 3600 * 1000                   \
    }
#define FLAG(name, member)                                                                         \
    {                                                                                              \
        name, SETTING_FLAG, offsetof(struct fake_script, member), 0, 0                             \
    }

static const struct setting settings[] = {
        TIME("load", load_ms),
        TIME("ttft", ttft_ms),
        NUMBER("slots", slots, 1, 1024),
        NUMBER("context", context, 1, 1u << 30),
        NUMBER("rate", rate_tok_s, 0, 1000000),
        NUMBER("tokens", tokens, 1, FAKE_TOKENS_MAX),
        NUMBER("fail", fail_status, STATUS_MIN, STATUS_MAX),
        NUMBER("die-after", die_after, 0, FAKE_TOKENS_MAX),
        NUMBER("hang-after", hang_after, 0, FAKE_TOKENS_MAX),
        NUMBER("took", took_mib, 1, 1u << 24),
        FLAG("refuse", refuse),
        FLAG("never-ready", never_ready),
};

static const struct setting *find_setting(const char *name)
{
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

static int apply_value(struct fake_script *script, const struct setting *setting, const char *value,
        struct err *err)
{
    uint64_t number;
    int r = setting->type == SETTING_TIME ? text_parse_duration(value, &number, err)
                                          : text_parse_u64(value, &number, err);

    if (r < 0)
        return err_prefix(err, -EINVAL, "fake engine's %s", setting->name);
    if (number < setting->min || number > setting->max)
        return err_set(err, -EINVAL, "fake engine's %s=%s is not between %u and %u", setting->name,
                value, setting->min, setting->max);
    *(uint32_t *)(void *)((char *)script + setting->offset) = (uint32_t)number;
    return 0;
}

/* `text` is one setting, "name" or "name=value". */
static int apply_setting(struct fake_script *script, char *text, struct err *err)
{
    char *value = strchr(text, '=');
    const struct setting *setting;

    if (value)
        *value++ = '\0';
    setting = find_setting(text);
    if (!setting || (setting->type == SETTING_FLAG) != (value == NULL))
        return err_set(err, -EINVAL, "the fake engine's script has no use for \"%s\" %s a value",
                text, value ? "with" : "without");
    if (value)
        return apply_value(script, setting, value, err);
    *(bool *)((char *)script + setting->offset) = true;
    return 0;
}

static int parse_settings(struct fake_script *script, const char *at, struct err *err)
{
    while (*at) {
        char setting[SETTING_MAX];
        size_t len = strcspn(at, ",");
        int r;

        if (strncmp(at, "text=", 5) == 0) {
            int n = snprintf(script->text, sizeof(script->text), "%s", at + 5);

            return n < FAKE_TEXT_MAX ? 0
                                     : err_set(err, -EINVAL, "the fake engine's text is too long");
        }
        if (len >= sizeof(setting))
            return err_set(
                    err, -EINVAL, "the fake engine's setting \"%.*s\" is too long", (int)len, at);
        memcpy(setting, at, len);
        setting[len] = '\0';
        r = apply_setting(script, setting, err);
        if (r < 0)
            return r;
        at += len + (at[len] == ',');
    }
    return 0;
}

int fake_script_parse(const char *word, struct fake_script *ret_script, struct err *err)
{
    struct fake_script script = {
            .tokens = DEFAULT_TOKENS, .die_after = FAKE_NEVER, .hang_after = FAKE_NEVER};
    size_t prefix = strlen(script_prefix);
    int r;

    if (!word || strncmp(word, script_prefix, prefix) != 0)
        return err_set(err, -EINVAL,
                "the fake engine's command is \"fake:\" and its settings, not \"%s\"",
                word ? word : "");
    snprintf(script.text, sizeof(script.text), "%s", default_text);
    r = parse_settings(&script, word + prefix, err);
    if (r == 0)
        *ret_script = script;
    return r;
}

enum state { STATE_IDLE, STATE_LOADING, STATE_READY, STATE_ENDING, STATE_COUNT };

static const char *const state_names[STATE_COUNT] = {"idle", "loading", "ready", "ending"};

/* IDLE ─▶ LOADING ─▶ READY ─▶ ENDING ─▶ IDLE, and from LOADING straight to ENDING. */
static const uint32_t state_next[STATE_COUNT] = {
        [STATE_IDLE] = SM_BIT(STATE_LOADING),
        [STATE_LOADING] = SM_BIT(STATE_READY) | SM_BIT(STATE_ENDING),
        [STATE_READY] = SM_BIT(STATE_ENDING),
        [STATE_ENDING] = SM_BIT(STATE_IDLE),
};

static const struct sm_def state_def = {"fake engine", state_names, STATE_COUNT, state_next};

struct instance_backend {
    struct backend_host host;
    struct fake_script script;
    uint32_t slots, context, busy;
    const struct backend_events *events;
    void *ctx;
    struct sm sm;
    struct loop_timer *timer; /* the next step: ready, or gone */
    struct list running, waiting;
    bool wanted;
    char reason[128];
};

/* It sees no pictures and does not think. */
static const uint32_t capabilities = CAPABILITY_CHAT | CAPABILITY_TOOLS | CAPABILITY_AUDIO |
                                     CAPABILITY_FIM | CAPABILITY_EMBEDDINGS | CAPABILITY_RERANK;

struct run {
    struct instance_backend *instance;
    struct list link; /* in running or waiting */
    struct loop_timer *timer;
    const struct run_events *events;
    void *ctx;
    struct buf result; /* its answer where that is no stream, which counts as one token */
    bool is_result;
    uint32_t prompt_tokens, tokens, said;
    const char *next_word;
    uint64_t first_us;  /* when the first token is due; moves with each pause */
    uint64_t paused_us; /* since when it is paused */
    bool has_slot, paused, speaking, cancelled;
};

static void begin(struct run *run)
{
    struct instance_backend *instance = run->instance;
    uint64_t now = env_now_us(instance->host.env);

    list_del(&run->link);
    list_push_back(&instance->running, &run->link);
    run->has_slot = true;
    instance->busy++;
    run->first_us = now + instance->script.ttft_ms * UINT64_C(1000);
    run->paused_us = now;
    loop_timer_start(run->timer, instance->script.ttft_ms, 0);
}

static void fill_slots(struct instance_backend *instance)
{
    while (instance->busy < instance->slots && !list_empty(&instance->waiting))
        begin(list_entry(instance->waiting.next, struct run, link));
}

static void run_free(struct run *run)
{
    list_del(&run->link);
    loop_timer_destroy(run->timer);
    buf_fini(&run->result);
    free(run);
}

static void leave_slot(struct run *run)
{
    list_del(&run->link);
    if (run->has_slot)
        run->instance->busy--;
    run->has_slot = false;
}

static void end_run(struct run *run, const struct msg_fail *fail)
{
    leave_slot(run);
    loop_timer_stop(run->timer);
    if (run->instance->sm.state == STATE_READY)
        fill_slots(run->instance);
    run->events->on_end(run->ctx, fail);
    run_free(run);
}

static void end_all(struct instance_backend *instance, struct list *runs)
{
    struct msg_fail fail = {.code = FAIL_ENGINE_DIED, .message = instance->reason};

    while (!list_empty(runs))
        end_run(list_entry(runs->next, struct run, link), &fail);
}

/* The rest follows from the loop: no callback comes from inside what caused it. */
static void begin_end(struct instance_backend *instance, const char *reason)
{
    sm_set(&instance->sm, STATE_ENDING);
    snprintf(instance->reason, sizeof(instance->reason), "%s", reason);
    loop_timer_start(instance->timer, 0, 0);
}

static void finish_end(struct instance_backend *instance)
{
    end_all(instance, &instance->running);
    end_all(instance, &instance->waiting);
    sm_set(&instance->sm, STATE_IDLE);
    instance->events->on_exit(instance->ctx, instance->wanted, instance->reason);
}

static void become_ready(struct instance_backend *instance)
{
    const struct backend_measured measured = {
            .device_bytes = instance->script.took_mib * UINT64_C(1024) * 1024};

    sm_set(&instance->sm, STATE_READY);
    instance->events->on_ready(
            instance->ctx, instance->slots, instance->context, capabilities | CAPABILITY_EXACT);
    if (instance->sm.state == STATE_READY && measured.device_bytes > 0 &&
            instance->events->on_measured)
        instance->events->on_measured(instance->ctx, &measured);
}

static void finish_load(struct instance_backend *instance)
{
    if (instance->script.refuse)
        begin_end(instance, "refused to start, as its script says");
    else if (instance->script.never_ready)
        begin_end(instance, "not ready in time, as its script says");
    else
        become_ready(instance);
}

static void on_step(void *ctx)
{
    struct instance_backend *instance = ctx;

    if (instance->sm.state == STATE_LOADING)
        finish_load(instance);
    else
        finish_end(instance);
}

/* The next word of the text with a blank before it, into `token`. */
static size_t next_token(struct run *run, char *token, size_t size)
{
    const char *text = run->instance->script.text;
    size_t len;

    if (run->said == 0)
        return (size_t)snprintf(token, size, "%s", first_token);
    run->next_word += strspn(run->next_word, " ");
    if (!*run->next_word)
        run->next_word = text + strspn(text, " ");
    len = strcspn(run->next_word, " ");
    if (len > size - 2)
        len = text_utf8_cut(run->next_word, len, size - 2);
    snprintf(token, size, " %.*s", (int)len, run->next_word);
    run->next_word += len;
    return len + 1;
}

static void say(struct run *run, const struct msg_delta *delta)
{
    run->speaking = true;
    run->events->on_delta(run->ctx, delta);
    run->speaking = false;
}

static void say_result(struct run *run)
{
    struct msg_delta delta = {
            .kind = DELTA_RESULT, .data = buf_at(&run->result), .len = run->result.len};

    say(run, &delta);
}

static void say_token(struct run *run)
{
    char token[TOKEN_MAX];
    struct msg_delta delta = {.kind = DELTA_TEXT, .data = token};

    delta.len = next_token(run, token, sizeof(token));
    say(run, &delta);
}

static void say_next(struct run *run)
{
    if (run->is_result)
        say_result(run);
    else
        say_token(run);
    run->said++;
}

static uint64_t due_us(const struct run *run, uint32_t token)
{
    uint32_t rate = run->instance->script.rate_tok_s;

    return run->first_us + (rate ? token * UINT64_C(1000000) / rate : 0);
}

static void say_finish(struct run *run)
{
    struct msg_delta delta = {.kind = DELTA_FINISH, .data = "stop", .len = 4};

    say(run, &delta);
}

static void say_usage(struct run *run)
{
    const struct fake_script *script = &run->instance->script;
    struct msg_delta delta = {.kind = DELTA_USAGE,
            .usage = {.prompt_tokens = run->prompt_tokens,
                    .completion_tokens = run->is_result ? 0 : run->said,
                    .prefill_ms = (float)script->ttft_ms,
                    .decode_ms = (float)(due_us(run, run->said) - run->first_us) / 1000}};

    say(run, &delta);
}

static void complete(struct run *run)
{
    if (!run->is_result)
        say_finish(run);
    if (!run->cancelled)
        say_usage(run);
    if (run->cancelled)
        run_free(run);
    else
        end_run(run, NULL);
}

static void refuse_run(struct run *run)
{
    struct msg_fail fail = {.code = FAIL_ENGINE_ERROR,
            .http_status = run->instance->script.fail_status,
            .message = "the fake engine's script says so"};

    end_run(run, &fail);
}

/* True where the script lets no further token come. */
static bool meets_fault(struct run *run)
{
    struct instance_backend *instance = run->instance;

    if (run->said >= instance->script.die_after && instance->sm.state == STATE_READY)
        begin_end(instance, "died, as its script says");
    return run->said >= instance->script.die_after || run->said >= instance->script.hang_after;
}

static void wait_for_next(struct run *run)
{
    uint64_t now = env_now_us(run->instance->host.env), due = due_us(run, run->said);

    loop_timer_start(run->timer, due > now ? (due - now + 999) / 1000 : 0, 0);
}

static bool may_speak(const struct run *run, uint64_t now)
{
    return !run->cancelled && !run->paused && run->said < run->tokens &&
           due_us(run, run->said) <= now;
}

/* Says all that is due: a timer is no finer than a millisecond, a rate may be. */
static void advance(void *ctx)
{
    struct run *run = ctx;
    uint64_t now = env_now_us(run->instance->host.env);

    if (run->instance->script.fail_status) {
        refuse_run(run);
        return;
    }
    while (may_speak(run, now)) {
        if (meets_fault(run))
            return;
        say_next(run);
    }
    if (run->cancelled)
        run_free(run);
    else if (run->paused)
        loop_timer_stop(run->timer);
    else if (run->said < run->tokens)
        wait_for_next(run);
    else
        complete(run);
}

static uint32_t fake_expect(const struct backend_host *host, const struct backend_model *model)
{
    (void)host;
    (void)model;
    return capabilities;
}

static void fake_destroy(struct instance_backend *instance)
{
    if (!instance)
        return;
    loop_timer_destroy(instance->timer);
    free(instance);
}

static uint32_t first_set(uint32_t a, uint32_t b, uint32_t c)
{
    if (a)
        return a;
    return b ? b : c;
}

static struct instance_backend *instance_create(const struct backend_host *host,
        const struct backend_model *model, const struct fake_script *script)
{
    struct instance_backend *instance = calloc(1, sizeof(*instance));

    if (!instance)
        return NULL;
    instance->host = *host;
    instance->script = *script;
    instance->slots = first_set(script->slots, model->slots, 1);
    instance->context = first_set(script->context, model->context, DEFAULT_CONTEXT);
    list_init(&instance->running);
    list_init(&instance->waiting);
    sm_init(&instance->sm, &state_def, STATE_IDLE);
    instance->timer = loop_timer_create(host->loop, on_step, instance);
    if (!instance->timer) {
        free(instance);
        return NULL;
    }
    return instance;
}

static struct instance_backend *fake_create(const struct backend_host *host,
        const struct backend_model *model, const struct backend_events *events, void *ctx,
        struct err *err)
{
    struct instance_backend *instance;
    struct fake_script script;

    if (fake_script_parse(host->command[0], &script, err) < 0)
        return NULL;
    instance = instance_create(host, model, &script);
    if (!instance) {
        err_set(err, -ENOMEM, "no memory for %s", model->name);
        return NULL;
    }
    instance->events = events;
    instance->ctx = ctx;
    return instance;
}

static int fake_start(struct instance_backend *instance, struct err *err)
{
    uint64_t delay_ms = instance->script.load_ms;

    (void)err;
    if (instance->script.never_ready)
        delay_ms = instance->host.start_timeout_ms ? instance->host.start_timeout_ms
                                                   : DEFAULT_START_TIMEOUT_MS;
    sm_set(&instance->sm, STATE_LOADING);
    instance->wanted = false;
    loop_timer_start(instance->timer, delay_ms, 0);
    return 0;
}

static void fake_stop(struct instance_backend *instance)
{
    if (instance->sm.state != STATE_LOADING && instance->sm.state != STATE_READY)
        return;
    instance->wanted = true;
    begin_end(instance, "stopped");
}

static int64_t fake_pid(const struct instance_backend *instance)
{
    (void)instance;
    return 0;
}

static struct run *run_create(
        struct instance_backend *instance, const struct run_events *events, void *ctx)
{
    struct run *run = calloc(1, sizeof(*run));

    if (!run)
        return NULL;
    *run = (struct run){.instance = instance, .events = events, .ctx = ctx};
    list_init(&run->link);
    buf_init(&run->result, RESULT_MAX);
    run->tokens = instance->script.tokens;
    run->next_word = instance->script.text;
    run->timer = loop_timer_create(instance->host.loop, advance, run);
    if (!run->timer) {
        free(run);
        return NULL;
    }
    return run;
}

/* What streams is the same for every body. */
static int prepare_answer(struct run *run, const struct run_spec *spec, struct err *err)
{
    int r;

    run->prompt_tokens = (uint32_t)(spec->body_len / FAKE_BYTES_PER_TOKEN);
    run->is_result = fake_result_is(spec->kind);
    if (!run->is_result)
        return 0;
    run->tokens = 1;
    r = fake_result_write(spec->kind, spec->body, spec->body_len, &run->result);
    return r < 0 ? err_set(err, r, "the fake engine has no use for this body: %s", strerror(-r))
                 : 0;
}

static int fake_run(struct instance_backend *instance, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct run **ret_run, struct err *err)
{
    struct run *run;
    int r;

    if (instance->sm.state != STATE_READY)
        return err_set(err, -EAGAIN, "the fake engine is %s", sm_name(&instance->sm));
    run = run_create(instance, events, ctx);
    if (!run)
        return err_set(err, -ENOMEM, "no memory for a request to the fake engine");
    r = prepare_answer(run, spec, err);
    if (r < 0) {
        run_free(run);
        return r;
    }
    list_push_back(&instance->waiting, &run->link);
    fill_slots(instance);
    *ret_run = run;
    return 0;
}

static void fake_run_cancel(struct run *run)
{
    run->cancelled = true;
    leave_slot(run);
    loop_timer_stop(run->timer);
    if (run->instance->sm.state == STATE_READY)
        fill_slots(run->instance);
    if (!run->speaking)
        run_free(run);
}

static void fake_run_pause(struct run *run)
{
    if (run->paused)
        return;
    run->paused = true;
    run->paused_us = env_now_us(run->instance->host.env);
}

static void fake_run_resume(struct run *run)
{
    if (!run->paused)
        return;
    run->paused = false;
    run->first_us += env_now_us(run->instance->host.env) - run->paused_us;
    if (run->has_slot && !run->speaking)
        wait_for_next(run);
}

const struct backend_ops backend_fake = {
        .name = "fake",
        .expect = fake_expect,
        .create = fake_create,
        .destroy = fake_destroy,
        .start = fake_start,
        .stop = fake_stop,
        .pid = fake_pid,
        .run = fake_run,
        .run_cancel = fake_run_cancel,
        .run_pause = fake_run_pause,
        .run_resume = fake_run_resume,
};
