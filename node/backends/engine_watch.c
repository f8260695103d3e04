#include "node/backends/engine_watch.h"

#include "common/json/json.h"
#include "node/backends/found/found_look.h"
#include "node/backends/found/found_ollama.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    PROBE_TIMEOUT_MS = 3000,
    SHOW_MAX = FOUND_ID_MAX * 6 + 64, /* bytes of what is asked of one model */
};

/* What Ollama shows of a model, kept as long as its file stays the same. */
struct details {
    struct found_list list;
    bool remote[FOUND_MODELS_MAX]; /* another computer answers for it */
};

struct engine_watch {
    struct engine_watch_config config;
    const struct engine_watch_events *events;
    void *ctx;
    struct loop_timer *timer;
    struct engine_ask *ask;
    struct found_look *look;

    enum engine_presence presence;
    bool told; /* … since it is known */
    enum engine_kind kind;
    unsigned failures; /* in a row: of looks while it is present, else of whole probings */
    bool locked;
    size_t probe_at;

    struct found_list list;  /* of the last look */
    size_t show_at;          /* the model of it that is asked about */
    struct details *details; /* NULL: not needed yet */
};

const char *engine_presence_name(enum engine_presence presence)
{
    static const char *const names[ENGINE_PRESENCE_COUNT] = {
            "absent", "stranger", "mesh", "locked", "present"};

    return (unsigned)presence < ENGINE_PRESENCE_COUNT ? names[presence] : "unknown";
}

/* --- when to ask again --- */

static void ask_again(struct engine_watch *watch)
{
    uint64_t most = watch->presence == ENGINE_PRESENT  ? 1
                    : watch->presence == ENGINE_ABSENT ? ENGINE_WATCH_ABSENT_MAX
                                                       : ENGINE_WATCH_STRANGER_MAX;
    uint64_t times = 1;

    for (unsigned i = 1; i < watch->failures && times < most; i++)
        times *= 2;
    loop_timer_start(watch->timer, (times < most ? times : most) * watch->config.period_ms, 0);
}

static void set_presence(struct engine_watch *watch, enum engine_presence presence, const char *why)
{
    bool news = !watch->told || presence != watch->presence;

    watch->presence = presence;
    watch->told = true;
    if (news)
        watch->events->on_presence(watch->ctx, presence, watch->kind, why);
}

/* Nobody is there, or not one for us. */
static void give_up(struct engine_watch *watch, enum engine_presence presence, const char *why)
{
    if (presence != watch->presence)
        watch->failures = 0;
    watch->failures++;
    set_presence(watch, presence, why);
    ask_again(watch);
}

/* --- what Ollama shows of each model --- */

static void tell(struct engine_watch *watch)
{
    watch->failures = 0;
    set_presence(watch, ENGINE_PRESENT, "");
    watch->events->on_models(watch->ctx, &watch->list);
    ask_again(watch);
}

static void take_details(struct found_model *model, const struct found_model *shown)
{
    if (!model->resident)
        model->context = shown->context;
    model->context_trained = shown->context_trained;
    model->parameters = shown->parameters;
    model->capabilities = shown->capabilities;
    memcpy(model->architecture, shown->architecture, sizeof(model->architecture));
    memcpy(model->quantisation, shown->quantisation, sizeof(model->quantisation));
}

/* NULL: not shown yet. */
static const struct found_model *shown(
        const struct engine_watch *watch, const struct found_model *model)
{
    const struct found_model *found =
            watch->details ? found_find(&watch->details->list, model->id) : NULL;

    return found && strcmp(found->version, model->version) == 0 ? found : NULL;
}

static void complete_list(struct engine_watch *watch)
{
    struct found_list *list = &watch->list;
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct found_model *found = shown(watch, &list->models[i]);

        if (found && watch->details->remote[found - watch->details->list.models]) {
            list->left_out++;
            continue;
        }
        if (found)
            take_details(&list->models[i], found);
        if (kept != i)
            list->models[kept] = list->models[i];
        kept++;
    }
    list->count = kept;
    tell(watch);
}

static void keep_shown(struct engine_watch *watch, const struct found_model *model, bool remote)
{
    struct details *details = watch->details;
    struct found_model *kept;

    if (details->list.count == FOUND_MODELS_MAX)
        details->list.count = 0;
    kept = found_add(&details->list, model->id);
    if (!kept)
        return;
    *kept = *model;
    details->remote[kept - details->list.models] = remote;
}

static void show_next(struct engine_watch *watch);

/* A model that is not shown is offered with what is known. */
static void on_shown(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct engine_watch *watch = ctx;
    struct found_model model = watch->list.models[watch->show_at];

    (void)err;
    watch->ask = NULL;
    model.resident = false; /* then the context is its own */
    if (result == 0)
        result = found_ollama_show(text, len, &model, NULL);
    if (result == 0 || result == -EREMOTE)
        keep_shown(watch, &model, result == -EREMOTE);
    watch->show_at++;
    show_next(watch);
}

static int ask_to_show(struct engine_watch *watch, const struct found_model *model)
{
    struct engine_question question = {.path = "/api/show", .timeout_ms = FOUND_LOOK_TIMEOUT_MS};
    struct buf json;
    int r;

    buf_init(&json, SHOW_MAX);
    r = buf_append_str(&json, "{\"model\":");
    if (r == 0)
        r = json_append_str(&json, model->id, strlen(model->id));
    if (r == 0)
        r = buf_append(&json, "}", sizeof("}"));
    if (r == 0) {
        question.json = buf_at(&json);
        r = engine_ask_start(watch->config.http, &watch->config.address, &question, on_shown, watch,
                &watch->ask, NULL);
    }
    buf_fini(&json);
    return r;
}

static void show_next(struct engine_watch *watch)
{
    const struct found_list *list = &watch->list;

    while (watch->show_at < list->count && shown(watch, &list->models[watch->show_at]))
        watch->show_at++;
    if (watch->show_at == list->count || ask_to_show(watch, &list->models[watch->show_at]) < 0)
        complete_list(watch);
}

/* --- looking at an engine that is known --- */

static void look_failed(struct engine_watch *watch, int result, const char *why)
{
    if (result == -ELOOP) {
        give_up(watch, ENGINE_MESH, why);
    } else if (result == -EACCES) {
        give_up(watch, ENGINE_LOCKED, why);
    } else if (watch->presence != ENGINE_PRESENT ||
               ++watch->failures >= ENGINE_WATCH_FAILURES_MAX) {
        give_up(watch, ENGINE_ABSENT, why);
    } else {
        ask_again(watch);
    }
}

static void on_look(void *ctx, int result, const struct found_list *list, const struct err *err)
{
    struct engine_watch *watch = ctx;

    watch->look = NULL;
    if (result < 0) {
        look_failed(watch, result, err->text);
        return;
    }
    watch->list = *list;
    watch->show_at = 0;
    if (watch->kind == ENGINE_OLLAMA && !watch->details)
        watch->details = calloc(1, sizeof(*watch->details));
    if (watch->details)
        show_next(watch);
    else
        tell(watch);
}

static void look(struct engine_watch *watch)
{
    if (found_look_start(watch->config.http, &watch->config.address, engine_manner(watch->kind),
                NULL, on_look, watch, &watch->look, NULL) < 0)
        ask_again(watch);
}

/* --- who is there --- */

static void probe_next(struct engine_watch *watch);

/* True where somebody answered, whatever it was. */
static bool is_answer(int result)
{
    return result == 0 || result == -EREMOTEIO || result == -EACCES || result == -EMSGSIZE;
}

static void on_probe(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct engine_watch *watch = ctx;

    watch->ask = NULL;
    if (!is_answer(result)) {
        give_up(watch, ENGINE_ABSENT, err->text);
        return;
    }
    watch->locked |= result == -EACCES;
    if (result == 0)
        result = found_probe_read(watch->probe_at, text, len, &watch->kind, NULL);
    watch->probe_at++;
    if (result == 0)
        look(watch);
    else if (result == -ELOOP)
        give_up(watch, ENGINE_MESH, "a modemesh answers there");
    else
        probe_next(watch);
}

static void on_root(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct engine_watch *watch = ctx;

    watch->ask = NULL;
    if (!is_answer(result))
        give_up(watch, ENGINE_ABSENT, err->text);
    else if (result == 0 && found_is_mesh(text, len))
        give_up(watch, ENGINE_MESH, "a modemesh answers there");
    else
        probe_next(watch);
}

static void ask(struct engine_watch *watch, const char *path, engine_ask_fn fn)
{
    const struct engine_question question = {.path = path, .timeout_ms = PROBE_TIMEOUT_MS};

    if (engine_ask_start(watch->config.http, &watch->config.address, &question, fn, watch,
                &watch->ask, NULL) < 0)
        ask_again(watch);
}

static void probe_next(struct engine_watch *watch)
{
    const char *path = found_probe_path(watch->probe_at);

    if (path)
        ask(watch, path, on_probe);
    else if (watch->locked)
        give_up(watch, ENGINE_LOCKED, "it wants an API key, or another one");
    else
        give_up(watch, ENGINE_STRANGER, "no engine that is known answers there");
}

/* An Ollama is asked for its greeting each time: another server may have taken its port, and a
 * modemesh answers like one. The other kinds' answers name a modemesh. */
static void on_greeting(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct engine_watch *watch = ctx;

    watch->ask = NULL;
    if (result == 0 && found_is_mesh(text, len))
        look_failed(watch, -ELOOP, "a modemesh answers there");
    else if (!is_answer(result))
        look_failed(watch, result, err->text);
    else
        look(watch);
}

static void on_timer(void *ctx)
{
    struct engine_watch *watch = ctx;

    if (watch->presence != ENGINE_PRESENT) {
        watch->probe_at = 0;
        watch->locked = false;
        ask(watch, "/", on_root);
    } else if (watch->kind == ENGINE_OLLAMA) {
        ask(watch, "/", on_greeting);
    } else {
        look(watch);
    }
}

/* --- life --- */

struct engine_watch *engine_watch_create(const struct engine_watch_config *config,
        const struct engine_watch_events *events, void *ctx)
{
    struct engine_watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    watch->config = *config;
    watch->events = events;
    watch->ctx = ctx;
    watch->timer = loop_timer_create(config->loop, on_timer, watch);
    if (!watch->timer) {
        free(watch);
        return NULL;
    }
    loop_timer_start(watch->timer, 0, 0);
    return watch;
}

void engine_watch_destroy(struct engine_watch *watch)
{
    if (!watch)
        return;
    engine_ask_cancel(watch->ask);
    found_look_cancel(watch->look);
    loop_timer_destroy(watch->timer);
    free(watch->details);
    free(watch);
}
