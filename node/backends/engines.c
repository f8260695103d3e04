#include "node/backends/engines.h"

#include "common/file.h"
#include "common/list.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const engines_usual[] = {"http://127.0.0.1:11434", "http://127.0.0.1:1234",
        "http://127.0.0.1:8000", "http://127.0.0.1:8080", "http://127.0.0.1:13305", NULL};

static const char bearer[] = "Authorization: Bearer ";

struct engine {
    struct list link;
    struct engines *owner;
    struct engine_watch *watch;
    char url[ENGINE_URL_MAX + 1];
    bool usual;          /* looked for only because engines like to be there */
    char *authorization; /* sodium_malloc; NULL: none */
    enum engine_presence presence;
    enum engine_kind kind;
    bool appeared; /* not reported yet: its models are to be counted first */
    struct found_model *told;
    size_t told_count, left_out;
};

struct engines {
    struct engines_config config;
    const struct engines_events *events;
    void *ctx;
    struct list list;
    size_t count;
};

const struct backend_ops *engines_backend(enum engine_kind kind)
{
    return engine_manner(kind)->loads ? &backend_ollama : &backend_openai;
}

static bool is_host(const char *host, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(host, name, len) == 0;
}

bool engines_is_here(const char *url)
{
    const char *slashes = strstr(url, "://"), *host = slashes ? slashes + 3 : url;
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");

    return is_host(host, len, "localhost") || is_host(host, len, "[::1]") ||
           /* … and not 127.example.org */
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len);
}

/* --- telling --- */

static const struct found_model *told(const struct engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->told_count; i++)
        if (strcmp(engine->told[i].name, name) == 0)
            return &engine->told[i];
    return NULL;
}

static bool is_taken(const struct engine *engine, const char *name)
{
    list_for_each (it, &engine->owner->list) {
        const struct engine *other = list_entry(it, struct engine, link);
        if (other != engine && told(other, name))
            return true;
    }
    return false;
}

static void report(const struct engine *engine, const char *why)
{
    const struct engine_manner *manner =
            engine->presence == ENGINE_PRESENT ? engine_manner(engine->kind) : NULL;
    const struct engines_report text = {.url = engine->url,
            .presence = engine->presence,
            .label = manner ? manner->label : "",
            .untold = manner ? manner->untold : "",
            .why = why,
            .model_count = engine->told_count,
            .left_out = engine->left_out};

    engine->owner->events->on_engine(engine->owner->ctx, &text);
}

static void tell_model(const struct engine *engine, const struct found_model *model)
{
    const struct engines_model text = {.facts = model,
            .here = engines_is_here(engine->url),
            .place = {.kind = engine->kind,
                    .url = engine->url,
                    .authorization = engine->authorization,
                    .id = model->id}};

    engine->owner->events->on_model(engine->owner->ctx, &text);
}

static bool same_facts(const struct found_model *a, const struct found_model *b)
{
    return strcmp(a->id, b->id) == 0 && a->resident == b->resident &&
           a->file_bytes == b->file_bytes && a->memory_bytes == b->memory_bytes &&
           a->gpu_bytes == b->gpu_bytes && a->parameters == b->parameters &&
           a->context == b->context && a->context_trained == b->context_trained &&
           a->slots == b->slots && a->capabilities == b->capabilities &&
           strcmp(a->architecture, b->architecture) == 0 &&
           strcmp(a->quantisation, b->quantisation) == 0 && strcmp(a->version, b->version) == 0;
}

/* Moves what may be told to the front of `models`; returns how many. */
static size_t select_models(
        const struct engine *engine, const struct found_list *list, struct found_model *models)
{
    bool loads = engine_manner(engine->kind)->loads;
    size_t n = 0, seen;

    for (size_t i = 0; i < list->count; i++) {
        const struct found_model *model = &list->models[i];

        for (seen = 0; seen < n && strcmp(models[seen].name, model->name) != 0; seen++)
            ;
        if ((model->resident || loads) && seen == n && !is_taken(engine, model->name))
            models[n++] = *model;
    }
    return n;
}

static void tell_gone(const struct engine *engine, const struct found_model *before, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!told(engine, before[i].name))
            engine->owner->events->on_gone(engine->owner->ctx, before[i].name);
}

static void tell_new(const struct engine *engine, const struct engine *before)
{
    for (size_t i = 0; i < engine->told_count; i++) {
        const struct found_model *old = told(before, engine->told[i].name);

        if (!old || !same_facts(old, &engine->told[i]))
            tell_model(engine, &engine->told[i]);
    }
}

/* Takes `models`. */
static void change_told(struct engine *engine, struct found_model *models, size_t count)
{
    const struct engine before = *engine;

    engine->told = models;
    engine->told_count = count;
    tell_gone(engine, before.told, before.told_count);
    tell_new(engine, &before);
    free(before.told);
}

static void on_models(void *ctx, const struct found_list *list)
{
    struct engine *engine = ctx;
    size_t count_before = engine->told_count, left_before = engine->left_out, count;
    struct found_model *models = calloc(list->count + 1, sizeof(*models));

    if (!models)
        return; /* the next look tells it */
    count = select_models(engine, list, models);
    engine->left_out = list->left_out + list->count - count;
    change_told(engine, models, count);
    if (engine->appeared || count != count_before || engine->left_out != left_before)
        report(engine, "");
    engine->appeared = false;
}

static void on_presence(
        void *ctx, enum engine_presence presence, enum engine_kind kind, const char *why)
{
    struct engine *engine = ctx;
    bool news = !engine->usual || presence != engine->presence;

    engine->presence = presence;
    engine->kind = kind;
    engine->left_out = 0;
    engine->appeared = presence == ENGINE_PRESENT;
    if (engine->appeared)
        return;
    change_told(engine, NULL, 0);
    if (news)
        report(engine, why);
}

static const struct engine_watch_events watch_events = {on_presence, on_models};

/* --- entries --- */

/* "http://host[:port][/path]", nothing else. */
static bool is_url(const char *url, size_t len)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._~:/[]";
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;

    return scheme > 0 && len > scheme && len <= ENGINE_URL_MAX && url[scheme] != '/' &&
           url[scheme] != ':' && strspn(url, allowed) >= len;
}

static size_t without_tail(const char *url, size_t len)
{
    while (len > 0 && url[len - 1] == '/')
        len--;
    if (len > 3 && memcmp(url + len - 3, "/v1", 3) == 0)
        len -= 3;
    while (len > 0 && url[len - 1] == '/')
        len--;
    return len;
}

static int refuse_key(const char *path, struct err *err)
{
    return err_set(err, -EINVAL, "%.200s holds no API key: one line of printable ASCII", path);
}

/* `text` ends with NUL. */
static int keep_key(struct engine *engine, const char *path, const char *text, struct err *err)
{
    static const char blanks[] = " \t\r\n";
    size_t len, after;

    text += strspn(text, blanks);
    len = strcspn(text, blanks);
    after = len + strspn(text + len, blanks);
    if (len == 0 || text[after])
        return refuse_key(path, err);
    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] >= 0x7f)
            return refuse_key(path, err);
    engine->authorization = sodium_malloc(sizeof(bearer) + len);
    if (!engine->authorization)
        return err_set(err, -ENOMEM, "no memory for an API key");
    (void)snprintf(engine->authorization, sizeof(bearer) + len, "%s%.*s", bearer, (int)len, text);
    return 0;
}

static int read_key(struct engine *engine, const char *path, struct err *err)
{
    char *text;
    size_t len;
    int r = file_read_secret(path, ENGINES_KEY_MAX, &text, &len, err);

    if (r < 0)
        return r;
    r = keep_key(engine, path, text, err);
    explicit_bzero(text, len);
    free(text);
    return r;
}

static void engine_destroy(struct engine *engine)
{
    list_del(&engine->link);
    engine_watch_destroy(engine->watch);
    sodium_free(engine->authorization);
    free(engine->told);
    free(engine);
}

static int watch_engine(struct engine *engine, struct err *err)
{
    const struct engines_config *config = &engine->owner->config;
    const struct engine_watch_config watch = {.loop = config->loop,
            .http = config->http,
            .address = {.url = engine->url, .authorization = engine->authorization},
            .period_ms = config->period_ms ? config->period_ms : ENGINES_PERIOD_MS};

    engine->watch = engine_watch_create(&watch, &watch_events, engine);
    return engine->watch ? 0 : err_set(err, -ENOMEM, "no memory to watch %s", engine->url);
}

static bool is_known(const struct engines *engines, const char *url, size_t len)
{
    list_for_each (it, &engines->list) {
        const struct engine *engine = list_entry(it, struct engine, link);
        if (strlen(engine->url) == len && memcmp(engine->url, url, len) == 0)
            return true;
    }
    return false;
}

struct entry { /* borrowed */
    const char *url;
    size_t url_len;
    const char *key_path; /* NULL: none */
    bool usual;
};

static int fill_engine(struct engine *engine, const struct entry *entry, struct err *err)
{
    int r = entry->key_path ? read_key(engine, entry->key_path, err) : 0;

    return r < 0 ? r : watch_engine(engine, err);
}

/* An address that is there already is not added again. */
static int add_engine(struct engines *engines, const struct entry *entry, struct err *err)
{
    size_t len = without_tail(entry->url, entry->url_len);
    struct engine *engine;

    if (is_known(engines, entry->url, len))
        return 0;
    if (engines->count == ENGINES_MAX)
        return err_set(err, -EINVAL, "engines: at most %d addresses", ENGINES_MAX);
    engine = calloc(1, sizeof(*engine));
    if (!engine)
        return err_set(err, -ENOMEM, "no memory for an engine");
    engine->owner = engines;
    engine->usual = entry->usual;
    memcpy(engine->url, entry->url, len);
    list_push_back(&engines->list, &engine->link);
    engines->count++;
    return fill_engine(engine, entry, err);
}

static int add_usual(struct engines *engines, struct err *err)
{
    const char *const *urls = engines->config.usual ? engines->config.usual : engines_usual;
    int r = 0;

    for (; r == 0 && *urls; urls++) {
        const struct entry entry = {.url = *urls, .url_len = strlen(*urls), .usual = true};
        r = add_engine(engines, &entry, err);
    }
    return r;
}

static int add_written(struct engines *engines, const char *text, struct err *err)
{
    size_t len = strcspn(text, " ");
    const struct entry entry = {.url = text,
            .url_len = len,
            .key_path = text[len] ? text + len + strspn(text + len, " ") : NULL};

    if (strcmp(text, "none") == 0 || strcmp(text, "auto") == 0)
        return 0;
    if (!is_url(text, len) || (entry.key_path && !*entry.key_path))
        return err_set(err, -EINVAL,
                "engines: \"%.200s\" is not auto, none, or a URL like http://box:11434, which the "
                "path of a file with an API key may follow",
                text);
    return add_engine(engines, &entry, err);
}

/* What is written out comes first: it may have a key, which the same address of `auto` has not. */
static int add_entries(struct engines *engines, const char *const *entries, struct err *err)
{
    bool usual = false;
    int r = 0;

    for (; r == 0 && *entries; entries++) {
        usual |= strcmp(*entries, "auto") == 0;
        r = add_written(engines, *entries, err);
    }
    return r == 0 && usual ? add_usual(engines, err) : r;
}

/* --- life --- */

int engines_create(const struct engines_config *config, const struct engines_events *events,
        void *ctx, struct engines **ret_engines, struct err *err)
{
    struct engines *engines = calloc(1, sizeof(*engines));
    int r;

    if (!engines)
        return err_set(err, -ENOMEM, "no memory for the engines");
    engines->config = *config;
    engines->events = events;
    engines->ctx = ctx;
    list_init(&engines->list);
    r = add_entries(engines, config->entries, err);
    if (r < 0)
        engines_destroy(engines);
    else
        *ret_engines = engines;
    return r;
}

void engines_destroy(struct engines *engines)
{
    if (!engines)
        return;
    while (!list_empty(&engines->list))
        engine_destroy(list_entry(engines->list.next, struct engine, link));
    free(engines);
}
