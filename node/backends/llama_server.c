#include "node/backends/backend.h"

#include "common/json/json.h"
#include "common/log.h"
#include "common/model/chat_template.h"
#include "common/sm.h"
#include "node/backends/engine_batch.h"
#include "node/backends/engine_memory.h"
#include "node/backends/engine_runs.h"
#include "node/backends/engine_words.h"
#include "node/backends/slots/engine_slots.h"
#include "node/backends/slots/slot_key.h"
#include "node/backends/slots/slot_swap.h"
#include "node/process/process.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKOFF_MIN_MS = 50, /* between two looks at an engine that loads */
    BACKOFF_MAX_MS = 250,
    LOAD_CHECK_TIMEOUT_MS = 2000,
    HEALTH_INTERVAL_MS = 5000, /* where the host says nothing */
    HEALTH_MISSES_MAX = 12,    /* in a row: one to two minutes of silence */
    PROPS_MAX = 1024 * 1024,   /* bytes of /props: it holds the chat template */
    SOCKET_RANDOM_BYTES = 4,
    OWN_WORDS_MAX = 32, /* that fill_words() adds to the command */
    MEDIA_MARKER_MAX = 64,
    LOG_QUIET_MS = 200, /* the engine writes its log in a thread of its own, behind its answers */
};

/* With this an engine prints what memory it takes. It knows the variable for as long as the level
 * means that and no more (May 2026, pull requests 23021 and 23778); those before it print it
 * anyway, and as an option 4 would make them print each token. The owner's own -lv wins. Measured
 * with b11669: nothing is printed a token, and some 20 lines a request more than at level 3, beside
 * one or two for each prompt in its cache: 0.6 ms of processor time where that held 300. */
static const char verbosity_variable[] = "LLAMA_ARG_LOG_VERBOSITY=4";

enum { VARIABLE_MAX = 48 };

/* What an engine does not know of these it does not read, which its words would not allow. */
struct variables {
    const char *list[4]; /* ends with NULL */
    char cache[VARIABLE_MAX], checkpoints[VARIABLE_MAX];
};

/*            start()          health, props
 *     IDLE ──────────▶ LOADING ──────────▶ READY
 *      ▲                  │ stop(), timeout,  │
 *      │ engine gone      ▼ hang              │
 *      └─────────────── ENDING ◀──────────────┘   (an engine that dies passes through ENDING too)
 */
enum state { STATE_IDLE, STATE_LOADING, STATE_READY, STATE_ENDING, STATE_COUNT };

static const char *const state_names[STATE_COUNT] = {"idle", "loading", "ready", "ending"};

static const uint32_t state_next[STATE_COUNT] = {
        [STATE_IDLE] = SM_BIT(STATE_LOADING),
        [STATE_LOADING] = SM_BIT(STATE_READY) | SM_BIT(STATE_ENDING),
        [STATE_READY] = SM_BIT(STATE_ENDING),
        [STATE_ENDING] = SM_BIT(STATE_IDLE),
};

static const struct sm_def state_def = {"llama-server", state_names, STATE_COUNT, state_next};

struct instance_backend {
    struct backend_host host;
    struct backend_model model;
    const struct backend_events *events;
    void *ctx;
    struct sm sm;
    struct process *process; /* NULL: none */
    char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    struct engine_runs runs;

    struct loop_timer *check_timer;    /* when to look next */
    struct loop_timer *deadline_timer; /* of the start */
    struct loop_timer *end_timer;      /* ends the runs from the loop */
    struct loop_timer *quiet_timer;    /* its log has said nothing new of its memory for a while */
    struct http_call *check;           /* the look that is under way, or NULL */
    int check_status;
    struct buf check_body;
    uint32_t backoff_ms, misses;

    uint32_t slots, context, capabilities;
    char media_marker[MEDIA_MARKER_MAX];
    struct engine_memory memory; /* as its log tells */
    struct engine_target target; /* of its runs */
    struct engine_slots *held;   /* which conversations its slots hold */
    char slot_folder[PATH_MAX];  /* where that is kept while no engine runs; "": it is not */
    struct slot_swap *swap;      /* what is being saved or restored of it; NULL: nothing */
    bool wanted;                 /* the end was asked for */
    char reason[ERR_TEXT_MAX];
};

static void end_runs(void *ctx)
{
    struct instance_backend *instance = ctx;

    engine_runs_end(&instance->runs);
}

static void set_ending(struct instance_backend *instance, const char *reason)
{
    sm_set(&instance->sm, STATE_ENDING);
    snprintf(instance->reason, sizeof(instance->reason), "%s", reason);
    instance->runs.ending = instance->reason;
    loop_timer_stop(instance->check_timer);
    loop_timer_stop(instance->deadline_timer);
    loop_timer_stop(instance->quiet_timer);
    http_call_cancel(instance->check);
    instance->check = NULL;
    slot_swap_cancel(instance->swap);
    instance->swap = NULL;
}

static void end_engine(struct instance_backend *instance, const char *reason)
{
    set_ending(instance, reason);
    process_stop(instance->process);
    loop_timer_start(instance->end_timer, 0, 0);
}

static void give_up(struct instance_backend *instance, const char *what)
{
    const char *line = process_line(instance->process, 0);
    char reason[ERR_TEXT_MAX];

    snprintf(reason, sizeof(reason), "%s%s%s", what, line ? ": " : "", line ? line : "");
    end_engine(instance, reason);
}

/* It may have begun to write after it was given up. */
static void drop_parts(const struct instance_backend *instance)
{
    if (instance->slot_folder[0])
        slot_files_drop_parts(instance->slot_folder);
}

static void on_engine_exit(void *ctx, const char *reason)
{
    struct instance_backend *instance = ctx;

    instance->process = NULL;
    if (instance->sm.state != STATE_ENDING)
        set_ending(instance, reason);
    end_runs(instance);
    slot_swap_cancel(instance->swap);
    instance->swap = NULL;
    drop_parts(instance);
    engine_slots_forget(instance->held);
    loop_timer_stop(instance->end_timer);
    unlink(instance->socket_path);
    sm_set(&instance->sm, STATE_IDLE);
    instance->runs.ending = NULL;
    instance->events->on_exit(instance->ctx, instance->wanted, instance->reason);
}

static void on_quiet_log(void *ctx)
{
    struct instance_backend *instance = ctx;
    const struct backend_measured measured = {
            .device_bytes = engine_memory_on(&instance->memory, false),
            .host_bytes = engine_memory_on(&instance->memory, true),
            .prompt_cache_bytes = instance->memory.prompt_cache_bytes,
            .unified = instance->memory.unified,
            .output_rows = instance->memory.output_rows};

    if (instance->events->on_measured && engine_memory_is_whole(&instance->memory))
        instance->events->on_measured(instance->ctx, &measured);
}

/* Also while it serves: it may let its model go and load it again. */
static void on_engine_line(void *ctx, const char *line)
{
    struct instance_backend *instance = ctx;
    uint64_t before = engine_memory_total(&instance->memory);

    engine_memory_take(&instance->memory, line, strlen(line));
    if (instance->sm.state == STATE_READY && engine_memory_total(&instance->memory) != before)
        loop_timer_start(instance->quiet_timer, LOG_QUIET_MS, 0);
}

/* --- what its slots hold --- */

static const char stopped[] = "stopped";

static struct slot_swap_config swap_config(const struct instance_backend *instance)
{
    return (struct slot_swap_config){.loop = instance->host.loop,
            .http = instance->host.http,
            .url = instance->target.base,
            .unix_socket = instance->socket_path,
            .files = instance->host.slot_files,
            .folder = instance->slot_folder,
            .slots = instance->held,
            .slot_count = instance->slots,
            .token_bytes = instance->model.token_bytes};
}

static void on_saved(void *ctx, size_t count, uint64_t tokens, uint64_t bytes)
{
    struct instance_backend *instance = ctx;

    instance->swap = NULL;
    if (count > 0)
        log_info("slots saved", LOG_S("model", instance->model.name), LOG_U("slots", count),
                LOG_U("tokens", tokens), LOG_U("bytes", bytes));
    process_stop(instance->process);
}

/* Before the engine ends. Its runs end at once. False where there is nothing to save. */
static bool begin_saving(struct instance_backend *instance)
{
    const struct slot_swap_config config = swap_config(instance);
    struct slot_swap *swap;

    if (!instance->slot_folder[0] || slot_swap_save(&config, on_saved, instance, &swap, NULL) < 0)
        return false;
    set_ending(instance, stopped);
    instance->swap = swap;
    loop_timer_start(instance->end_timer, 0, 0);
    return true;
}

static void llama_stop(struct instance_backend *instance)
{
    if (instance->sm.state != STATE_LOADING && instance->sm.state != STATE_READY)
        return;
    instance->wanted = true;
    if (instance->sm.state == STATE_LOADING || !begin_saving(instance))
        end_engine(instance, stopped);
}

static uint32_t health_interval(const struct instance_backend *instance)
{
    return instance->host.health_interval_ms ? instance->host.health_interval_ms
                                             : HEALTH_INTERVAL_MS;
}

static void on_check_status(void *ctx, int status, const char *content_type)
{
    struct instance_backend *instance = ctx;

    (void)content_type;
    instance->check_status = status;
}

static void on_check_body(void *ctx, const char *data, size_t len)
{
    struct instance_backend *instance = ctx;

    /* Past its limit the text is cut, so it is no JSON and tells nothing. */
    if (buf_append(&instance->check_body, data, len) < 0)
        log_debug("engine's answer is too long", LOG_S("engine", instance->model.name));
}

static int ask(struct instance_backend *instance, const char *url, uint32_t timeout_ms,
        const struct http_events *events)
{
    struct http_request request = {.method = "GET",
            .url = url,
            .unix_socket = instance->socket_path,
            .total_timeout_ms = timeout_ms};

    instance->check_status = 0;
    buf_clear(&instance->check_body);
    return http_call_start(instance->host.http, &request, events, instance, &instance->check, NULL);
}

static void look_later(struct instance_backend *instance)
{
    loop_timer_start(instance->check_timer, instance->backoff_ms, 0);
    instance->backoff_ms *= 2;
    if (instance->backoff_ms > BACKOFF_MAX_MS)
        instance->backoff_ms = BACKOFF_MAX_MS;
}

static uint32_t number_or(const cJSON *object, const char *key, uint32_t def)
{
    double number = object ? json_num(object, key, 0) : 0;

    return number >= 1 && number <= UINT32_MAX ? (uint32_t)number : def;
}

static bool is_one_of(const char *word, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(word, *names) == 0)
            return true;
    return false;
}

/* What the engine is told to be, by the config's words or for the model's sake. */
static uint32_t modes_in(const char *const *words)
{
    static const char *const embedding[] = {"--embedding", "--embeddings", NULL};
    static const char *const ranking[] = {"--rerank", "--reranking", NULL};
    uint32_t found = 0;

    for (; words && *words; words++) {
        found |= is_one_of(*words, embedding) ? CAPABILITY_EMBEDDINGS : 0u;
        found |= is_one_of(*words, ranking) ? CAPABILITY_RERANK : 0u;
    }
    return found;
}

static bool has_word(const char *const *words, const char *const *names)
{
    for (; words && *words; words++)
        if (is_one_of(*words, names))
            return true;
    return false;
}

/* Of which nothing of ours is to get in the way: words of the command or behind it, and what stands
 * for them in the environment. */
static bool owner_says(const struct backend_host *host, const struct backend_model *model,
        const char *const *words, const char *const *variables)
{
    for (; *variables; variables++)
        if (getenv(*variables))
            return true;
    return has_word(host->command, words) || has_word(model->extra_args, words);
}

static bool owner_sets_template(const struct backend_host *host, const struct backend_model *model)
{
    static const char *const words[] = {
            "--chat-template", "--chat-template-file", "--no-jinja", NULL};
    static const char *const variables[] = {"LLAMA_ARG_CHAT_TEMPLATE",
            "LLAMA_ARG_CHAT_TEMPLATE_FILE", "LLAMA_ARG_JINJA", "LLAMA_ARG_NO_JINJA", NULL};

    return owner_says(host, model, words, variables);
}

static bool owner_sets_projector(const struct backend_host *host, const struct backend_model *model)
{
    static const char *const words[] = {"-mm", "--mmproj", "-mmu", "--mmproj-url", "--no-mmproj",
            "--no-mmproj-auto", "-hf", "-hfr", "--hf-repo", NULL};
    static const char *const variables[] = {"LLAMA_ARG_MMPROJ", "LLAMA_ARG_MMPROJ_URL",
            "LLAMA_ARG_NO_MMPROJ", "LLAMA_ARG_MMPROJ_AUTO", "LLAMA_ARG_NO_MMPROJ_AUTO",
            "LLAMA_ARG_HF_REPO", NULL};

    return owner_says(host, model, words, variables);
}

/* What was read off the files counts where the engine takes what was read. */
static uint32_t read_before(const struct backend_host *host, const struct backend_model *model)
{
    uint32_t found = model->capabilities;

    if (owner_sets_template(host, model))
        found &= ~(uint32_t)CAPABILITY_TEMPLATE;
    if (owner_sets_projector(host, model))
        found &= ~(uint32_t)(CAPABILITY_SENSES | CAPABILITY_VISION | CAPABILITY_AUDIO);
    return found;
}

/* A ranking engine makes vectors too, of no use. */
static uint32_t llama_expect(const struct backend_host *host, const struct backend_model *model)
{
    uint32_t found =
            read_before(host, model) | modes_in(host->command) | modes_in(model->extra_args);

    return found & CAPABILITY_RERANK ? found & ~(uint32_t)CAPABILITY_EMBEDDINGS : found;
}

static uint32_t bit_if(bool set, enum capability capability)
{
    return set ? (uint32_t)capability : 0;
}

/* Until the engine says what it makes of template and projector, nothing is known to lack: older
 * ones call tools with any template. */
static uint32_t expect_unsaid(const struct instance_backend *instance)
{
    return llama_expect(&instance->host, &instance->model) &
           ~(uint32_t)(CAPABILITY_TEMPLATE | CAPABILITY_SENSES);
}

/* Older engines say less: what they do not say stays as the files have it. */
static uint32_t read_capabilities(const struct instance_backend *instance, const cJSON *props)
{
    uint32_t expected = expect_unsaid(instance);
    const cJSON *modalities = json_obj(props, "modalities");
    const cJSON *template_caps = json_obj(props, "chat_template_caps");
    const char *template = json_str(props, "chat_template", "");
    struct chat_template_scan scan = {0};

    if (!modalities || !template_caps)
        return expected;
    expected &= ~(uint32_t)(CAPABILITY_VISION | CAPABILITY_AUDIO);
    expected |= CAPABILITY_EXACT |
                bit_if(json_bool(modalities, "vision", false), CAPABILITY_VISION) |
                bit_if(json_bool(modalities, "audio", false), CAPABILITY_AUDIO);
    if (!(expected & CAPABILITY_CHAT))
        return expected;
    chat_template_scan(&scan, template, strlen(template));
    scan.tools = json_bool(template_caps, "supports_tools", false);
    expected &= ~(uint32_t)(CAPABILITY_TOOLS | CAPABILITY_REASONING);
    return expected | chat_template_capabilities(&scan);
}

/* What the engine made of our wishes. An engine that does not tell is taken at our word. */
static void read_props(struct instance_backend *instance)
{
    cJSON *props = NULL;

    instance->slots = instance->model.slots;
    instance->context = instance->model.context;
    instance->capabilities = expect_unsaid(instance);
    instance->media_marker[0] = '\0';
    if (json_parse(buf_at(&instance->check_body), instance->check_body.len, &json_limits_event,
                &props, NULL) < 0)
        return;
    instance->slots = number_or(props, "total_slots", instance->slots);
    instance->context =
            number_or(json_obj(props, "default_generation_settings"), "n_ctx", instance->context);
    instance->capabilities = read_capabilities(instance, props);
    (void)snprintf(instance->media_marker, sizeof(instance->media_marker), "%s",
            json_str(props, "media_marker", ""));
    cJSON_Delete(props);
}

static void become_ready(struct instance_backend *instance)
{
    sm_set(&instance->sm, STATE_READY);
    instance->misses = 0;
    loop_timer_stop(instance->deadline_timer);
    loop_timer_start(instance->check_timer, health_interval(instance), 0);
    loop_timer_start(instance->quiet_timer, LOG_QUIET_MS, 0);
    instance->events->on_ready(
            instance->ctx, instance->slots, instance->context, instance->capabilities);
}

static void on_restored(void *ctx, size_t count, uint64_t tokens, uint64_t bytes)
{
    struct instance_backend *instance = ctx;

    instance->swap = NULL;
    if (count > 0)
        log_info("slots restored", LOG_S("model", instance->model.name), LOG_U("slots", count),
                LOG_U("tokens", tokens), LOG_U("bytes", bytes));
    become_ready(instance);
}

static bool begin_restoring(struct instance_backend *instance)
{
    const struct slot_swap_config config = swap_config(instance);

    return instance->slot_folder[0] &&
           slot_swap_restore(&config, on_restored, instance, &instance->swap, NULL) == 0;
}

static void on_props_done(void *ctx, int result, const struct err *err)
{
    struct instance_backend *instance = ctx;

    (void)err;
    instance->check = NULL;
    if (result < 0 || instance->check_status != 200) {
        look_later(instance);
        return;
    }
    read_props(instance);
    if (!begin_restoring(instance))
        become_ready(instance);
}

static const struct http_events props_events = {on_check_status, on_check_body, on_props_done};

static void on_load_check_done(struct instance_backend *instance, int result)
{
    if (result < 0 || instance->check_status != 200 ||
            ask(instance, "http://engine/props", LOAD_CHECK_TIMEOUT_MS, &props_events) < 0)
        look_later(instance);
}

/* Any answer is a sign of life, so is any token: a busy engine is not a dead one. */
static void on_watch_check_done(struct instance_backend *instance, int result)
{
    instance->misses = result < 0 && !instance->runs.stirred ? instance->misses + 1 : 0;
    instance->runs.stirred = false;
    if (instance->misses >= HEALTH_MISSES_MAX)
        give_up(instance, "gave no sign of life for too long");
    else
        loop_timer_start(instance->check_timer, health_interval(instance), 0);
}

static void on_health_done(void *ctx, int result, const struct err *err)
{
    struct instance_backend *instance = ctx;

    (void)err;
    instance->check = NULL;
    if (instance->sm.state == STATE_LOADING)
        on_load_check_done(instance, result);
    else
        on_watch_check_done(instance, result);
}

static const struct http_events health_events = {on_check_status, on_check_body, on_health_done};

static void look_at_health(void *ctx)
{
    struct instance_backend *instance = ctx;
    uint32_t timeout_ms =
            instance->sm.state == STATE_LOADING ? LOAD_CHECK_TIMEOUT_MS : health_interval(instance);

    if (ask(instance, "http://engine/health", timeout_ms, &health_events) < 0)
        loop_timer_start(instance->check_timer, BACKOFF_MAX_MS, 0);
}

static void on_deadline(void *ctx)
{
    struct instance_backend *instance = ctx;
    char what[64];

    snprintf(what, sizeof(what), "not ready after %g s", instance->host.start_timeout_ms / 1000.0);
    give_up(instance, what);
}

/* RUNTIME/NAME-xxxxxxxx.sock; the name is cut to what a Unix socket's path has room for. */
static int choose_socket(struct instance_backend *instance, struct err *err)
{
    char random[2 * SOCKET_RANDOM_BYTES + 1], name[64];
    const char *from = instance->model.name;
    size_t fixed = strlen(instance->host.runtime_dir) + strlen("/-.sock") + sizeof(random);
    size_t room = sizeof(instance->socket_path), len = 0;

    if (fixed >= room)
        return err_set(err, -ENAMETOOLONG,
                "%s is too long a folder for a Unix socket; choose a shorter one",
                instance->host.runtime_dir);
    for (; from[len] && len < room - fixed && len < sizeof(name) - 1; len++)
        name[len] = isalnum((unsigned char)from[len]) ? from[len] : '-';
    name[len] = '\0';
    env_random_hex(instance->host.env, random, SOCKET_RANDOM_BYTES);
    snprintf(
            instance->socket_path, room, "%s/%s-%s.sock", instance->host.runtime_dir, name, random);
    return 0;
}

static size_t append_words(const char **words, size_t n, const char *const *more)
{
    for (; more && *more; more++)
        words[n++] = *more;
    return n;
}

struct word_numbers { /* as words */
    char slots[24], context[24], batch[24];
};

static uint32_t batch_tokens(const struct backend_model *model)
{
    return engine_batch_tokens(
            model->capabilities, model->context ? model->context : model->context_trained);
}

/* -c is the sum over all slots; the model's context is that of one. */
static void write_numbers(const struct backend_model *model, struct word_numbers *ret_numbers)
{
    snprintf(ret_numbers->slots, sizeof(ret_numbers->slots), "%" PRIu32, model->slots);
    snprintf(ret_numbers->context, sizeof(ret_numbers->context), "%" PRIu64,
            (uint64_t)model->context * model->slots);
    snprintf(ret_numbers->batch, sizeof(ret_numbers->batch), "%" PRIu32, batch_tokens(model));
}

/* A model that makes vectors and does not talk is run as such without a person's asking. */
static size_t append_mode(const struct backend_model *model, const struct word_numbers *numbers,
        const char **words, size_t n)
{
    bool ranks = model->capabilities & CAPABILITY_RERANK;
    const char *const own[] = {ranks ? "--reranking" : "--embeddings", "--batch-size",
            numbers->batch, "--ubatch-size", numbers->batch, NULL};

    if (batch_tokens(model) == 0)
        return n;
    return append_words(words, n, own);
}

/* What the model is to have beside the usual. */
static size_t append_wishes(const struct backend_model *model, const char **words, size_t n)
{
    const char *const pairs[][2] = {{"--cache-type-k", model->type_k},
            {"--cache-type-v", model->type_v}, {"--mmproj", model->projector},
            {"--model-draft", model->draft}};

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (!pairs[i][1])
            continue;
        words[n++] = pairs[i][0];
        words[n++] = pairs[i][1];
    }
    return n;
}

/* It may be off. */
static bool owner_sets_prompt_cache(const struct instance_backend *instance)
{
    static const char *const words[] = {
            "-cram", "--cache-ram", "--no-cache-prompt", "-sps", "--slot-prompt-similarity", NULL};
    static const char *const variables[] = {
            "LLAMA_ARG_CACHE_RAM", "LLAMA_ARG_CACHE_PROMPT", "LLAMA_ARG_NO_CACHE_PROMPT", NULL};

    return owner_says(&instance->host, &instance->model, words, variables);
}

/* Without these a request goes to the slot that holds the most of its beginning, and takes it from
 * a conversation that begins with the same long instructions: what that had beyond them is lost.
 * The prompt cache gives both what they had. Measured with b11669, eight conversations in four
 * slots which share 1,200 tokens of 1,500 to 2,200: 74 % of what could be reused was, 98 % with
 * this and slots known (engine_slots.h). Without a prompt cache it would be the other way round. */
static size_t append_similarity(
        const struct instance_backend *instance, const char **words, size_t n)
{
    static const char *const own[] = {"--slot-prompt-similarity", "0.95", NULL};

    if (instance->model.prompt_cache_bytes == 0 || instance->model.keeps_no_prompts ||
            owner_sets_prompt_cache(instance))
        return n;
    return append_words(words, n, own);
}

/* --jinja was not always the default, and tools need it. The owner's words come last: they count.
 */
static size_t fill_words(const struct instance_backend *instance, char *const *command,
        const char **words, const struct word_numbers *numbers)
{
    const struct backend_model *model = &instance->model;
    const char *const own[] = {"-m", model->path, "--host", instance->socket_path, "--parallel",
            numbers->slots, "--no-webui", "--slots", "--jinja", NULL};
    size_t n = append_words(words, 0, (const char *const *)command);

    n = append_words(words, n, own);
    if (model->context) {
        words[n++] = "-c";
        words[n++] = numbers->context;
    }
    n = append_mode(model, numbers, words, n);
    n = append_wishes(model, words, n);
    n = append_similarity(instance, words, n);
    return append_words(words, n, model->extra_args);
}

/* A container sees no folder of ours but those that it is given. */
static bool keeps_slots(const struct instance_backend *instance)
{
    static const char *const words[] = {"--slot-save-path", NULL};
    static const char *const variables[] = {"LLAMA_ARG_SLOT_SAVE_PATH", NULL};
    const struct backend_model *model = &instance->model;

    return instance->host.slot_files && model->start_key && model->token_bytes > 0 &&
           model->checkpoints == 0 && batch_tokens(model) == 0 && !instance->host.stop_command &&
           !owner_says(&instance->host, &instance->model, words, variables);
}

static void choose_slot_folder(struct instance_backend *instance, const char *const *words)
{
    struct err err = {.text = ""};
    char key[SLOT_KEY_MAX];

    instance->slot_folder[0] = '\0';
    if (!keeps_slots(instance))
        return;
    slot_key_make(instance->model.start_key, words, (const char *const *)environ, key);
    if (slot_files_folder(instance->host.slot_files, key, instance->slot_folder, &err) == 0)
        return;
    instance->slot_folder[0] = '\0';
    log_warn("slots are not kept", LOG_S("model", instance->model.name), LOG_S("reason", err.text));
}

static void append_slot_folder(struct instance_backend *instance, const char **words, size_t n)
{
    const char *const own[] = {"--slot-save-path", instance->slot_folder, NULL};

    choose_slot_folder(instance, words);
    if (instance->slot_folder[0])
        append_words(words, n, own);
}

/* Checkpoints take memory beside the prompt cache. */
static void fill_variables(const struct backend_model *model, struct variables *ret_variables)
{
    uint64_t mib = model->prompt_cache_bytes >> 20;
    size_t n = 0;

    *ret_variables = (struct variables){0};
    if (model->checkpoints > 0)
        mib -= mib / 2;
    (void)snprintf(ret_variables->cache, VARIABLE_MAX, "LLAMA_ARG_CACHE_RAM=%" PRIu64, mib);
    (void)snprintf(ret_variables->checkpoints, VARIABLE_MAX, "LLAMA_ARG_CTX_CHECKPOINTS=%" PRIu32,
            model->checkpoints);
    ret_variables->list[n++] = verbosity_variable;
    ret_variables->list[n++] = ret_variables->cache;
    if (model->checkpoints > 0)
        ret_variables->list[n++] = ret_variables->checkpoints;
}

static int start_process(
        struct instance_backend *instance, const char **words, char **stop_words, struct err *err)
{
    struct variables variables;
    struct process_spec spec = {.name = instance->model.name,
            .self_path = instance->host.self_path,
            .command = words,
            .stop_command = (const char *const *)stop_words,
            .socket_path = instance->socket_path,
            .variables = variables.list,
            .on_line = on_engine_line,
            .nice = instance->model.nice,
            .stop_timeout_ms = instance->host.stop_timeout_ms,
            .oom_watch = instance->host.oom_watch};

    fill_variables(&instance->model, &variables);
    return process_start(
            instance->host.loop, &spec, on_engine_exit, instance, &instance->process, err);
}

/* `command` and `stop_command` have their placeholders filled in. */
static int start_filled(
        struct instance_backend *instance, char **command, char **stop_command, struct err *err)
{
    const struct backend_model *model = &instance->model;
    size_t n = process_count_words((const char *const *)command) +
               process_count_words(model->extra_args) + OWN_WORDS_MAX;
    const char **words = calloc(n, sizeof(*words));
    struct word_numbers numbers;
    int r;

    if (!words)
        return err_set(err, -ENOMEM, "no memory to start %s", model->name);
    write_numbers(model, &numbers);
    append_slot_folder(instance, words, fill_words(instance, command, words, &numbers));
    r = start_process(instance, words, stop_command, err);
    free(words);
    return r;
}

/* "NAME-xxxxxxxx" of the socket's path, and the folder of the model's file. */
static void name_place(const struct instance_backend *instance, char *name, char *model_dir)
{
    const char *file = strrchr(instance->socket_path, '/') + 1;
    char *slash;

    snprintf(name, PATH_MAX, "%.*s", (int)(strlen(file) - strlen(".sock")), file);
    snprintf(model_dir, PATH_MAX, "%s", instance->model.path);
    slash = strrchr(model_dir, '/');
    strcpy(slash ? slash : model_dir, slash ? "" : ".");
}

/* Only the config's words have placeholders: a model's path may hold braces of its own. */
static int start_engine(struct instance_backend *instance, struct err *err)
{
    char name[PATH_MAX], model_dir[PATH_MAX];
    struct engine_place place = {
            .instance = name, .runtime_dir = instance->host.runtime_dir, .model_dir = model_dir};
    char **command, **stop_command;
    int r;

    name_place(instance, name, model_dir);
    command = engine_words_fill(instance->host.command, &place);
    stop_command = engine_words_fill(instance->host.stop_command, &place);
    if (command && stop_command)
        r = start_filled(instance, command, stop_command, err);
    else
        r = err_set(err, -ENOMEM, "no memory to start %s", instance->model.name);
    engine_words_free(command);
    engine_words_free(stop_command);
    return r;
}

static int llama_start(struct instance_backend *instance, struct err *err)
{
    int r = choose_socket(instance, err);

    if (r == 0)
        r = start_engine(instance, err);
    if (r < 0)
        return r;
    sm_set(&instance->sm, STATE_LOADING);
    engine_memory_init(&instance->memory);
    instance->wanted = false;
    instance->backoff_ms = BACKOFF_MIN_MS;
    loop_timer_start(instance->deadline_timer, instance->host.start_timeout_ms, 0);
    look_later(instance);
    return 0;
}

static void llama_destroy(struct instance_backend *instance)
{
    if (!instance)
        return;
    loop_timer_destroy(instance->check_timer);
    loop_timer_destroy(instance->deadline_timer);
    loop_timer_destroy(instance->end_timer);
    loop_timer_destroy(instance->quiet_timer);
    buf_fini(&instance->check_body);
    engine_slots_destroy(instance->held);
    free(instance);
}

static struct instance_backend *llama_create(const struct backend_host *host,
        const struct backend_model *model, const struct backend_events *events, void *ctx,
        struct err *err)
{
    struct instance_backend *instance = calloc(1, sizeof(*instance));

    if (!instance) {
        err_set(err, -ENOMEM, "no memory for %s", model->name);
        return NULL;
    }
    instance->host = *host;
    instance->model = *model;
    instance->model.slots = model->slots ? model->slots : 1;
    instance->events = events;
    instance->ctx = ctx;
    instance->target = (struct engine_target){.http = host->http,
            .env = host->env,
            .base = "http://engine",
            .unix_socket = instance->socket_path,
            .media_marker = instance->media_marker};
    instance->held = engine_slots_create(host->http, instance->target.base, instance->socket_path);
    instance->target.slots = instance->held;
    engine_runs_init(&instance->runs, &instance->target);
    buf_init(&instance->check_body, PROPS_MAX);
    sm_init(&instance->sm, &state_def, STATE_IDLE);
    instance->check_timer = loop_timer_create(host->loop, look_at_health, instance);
    instance->deadline_timer = loop_timer_create(host->loop, on_deadline, instance);
    instance->end_timer = loop_timer_create(host->loop, end_runs, instance);
    instance->quiet_timer = loop_timer_create(host->loop, on_quiet_log, instance);
    if (!instance->check_timer || !instance->deadline_timer || !instance->end_timer ||
            !instance->quiet_timer || !instance->held) {
        llama_destroy(instance);
        err_set(err, -ENOMEM, "no memory for %s", model->name);
        return NULL;
    }
    return instance;
}

static int64_t llama_pid(const struct instance_backend *instance)
{
    return instance->process ? process_pid(instance->process) : 0;
}

static int llama_run(struct instance_backend *instance, const struct run_spec *spec,
        const struct run_events *events, void *ctx, struct run **ret_run, struct err *err)
{
    if (instance->sm.state != STATE_READY)
        return err_set(err, -EAGAIN, "the engine of %s is %s", instance->model.name,
                sm_name(&instance->sm));
    return engine_runs_start(&instance->runs, spec, events, ctx, ret_run, err);
}

const struct backend_ops backend_llama_server = {
        .name = "llama-server",
        .expect = llama_expect,
        .create = llama_create,
        .destroy = llama_destroy,
        .start = llama_start,
        .stop = llama_stop,
        .pid = llama_pid,
        .run = llama_run,
        .run_cancel = engine_runs_cancel,
        .run_pause = engine_runs_pause,
        .run_resume = engine_runs_resume,
};
