#include "node/models/models.h"

#include "common/log.h"
#include "node/backends/engines.h"
#include "node/models/catalogue.h"
#include "node/models/model_settings.h"
#include "node/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct models {
    struct models_config config;
    struct model_rules *rules;
    struct catalogue *catalogue; /* NULL: no folders */
    struct engines *engines;
    bool scanned, has_engines;
};

/* --- files --- */

int models_settings(const struct models *models, const struct catalogue_model *file,
        const struct standing_order *order, struct model_settings **ret_settings, struct err *err)
{
    int r = model_settings_create(
            models->rules, catalogue_last(models->catalogue), file, ret_settings, err);

    if (r == 0)
        standing_order_apply(order, *ret_settings);
    return r;
}

static int settings_of(const struct models *models, const struct catalogue_model *file,
        struct model_settings **ret_settings, struct err *err)
{
    return models_settings(models, file, standing_orders_find(models->config.orders, file->name),
            ret_settings, err);
}

static void put_file(struct models *models, const struct catalogue_model *model)
{
    struct model_settings *settings;
    struct err err;

    if (settings_of(models, model, &settings, &err) < 0)
        log_error("model not taken", LOG_S("model", model->name), LOG_S("reason", err.text));
    else
        supervisor_model_put(models->config.supervisor, model, settings);
}

static void on_file(void *ctx, const struct catalogue_model *model)
{
    struct models *models = ctx;

    log_info("model found", LOG_S("model", model->name), LOG_S("path", model->path),
            LOG_U("file_bytes", model->file_bytes), LOG_S("architecture", model->architecture),
            LOG_S("quantisation", model->quantisation));
    put_file(models, model);
}

static void on_file_gone(void *ctx, const char *name)
{
    struct models *models = ctx;

    log_info("model gone", LOG_S("model", name));
    supervisor_model_gone(models->config.supervisor, name);
}

static void on_useless(void *ctx, const char *entry, const char *text)
{
    (void)ctx;
    log_warn("setting of no use", LOG_S("model_settings", entry), LOG_S("reason", text));
}

/* A file that came or went may be another model's draft or projector, or have had its alias. */
static void review(struct models *models, const struct catalogue_model *model)
{
    const struct model_settings *now = supervisor_settings(models->config.supervisor, model->name);
    struct model_settings *settings;
    struct err err;

    if (settings_of(models, model, &settings, &err) < 0)
        return; /* the next look is not far */
    if (now == NULL || !model_settings_same(now, settings))
        supervisor_model_put(models->config.supervisor, model, settings);
    else
        model_settings_destroy(settings);
}

static void review_all(struct models *models)
{
    const struct catalogue_scan *scan =
            models->catalogue == NULL ? NULL : catalogue_last(models->catalogue);

    for (size_t i = 0; scan != NULL && i < scan->model_count; i++)
        review(models, &scan->models[i]);
    if (scan != NULL)
        model_rules_check(models->rules, scan, on_useless, NULL);
}

static bool is_known(const struct models *models, const char *name)
{
    const struct supervisor *supervisor = models->config.supervisor;
    const char *model;

    for (size_t i = 0; (model = supervisor_model_at(supervisor, i)) != NULL; i++)
        if (strcmp(model, name) == 0 ||
                model_settings_has_alias(supervisor_settings(supervisor, model), name))
            return true;
    return false;
}

/* A model of an engine may still be found. */
static void warn_of_missing(const struct models *models)
{
    const char *name;

    for (size_t i = 0; (name = model_rules_kept(models->rules, i)) != NULL; i++)
        if (!is_known(models, name))
            log_warn("resident model is not in the model folder", LOG_S("model", name));
}

static void on_scanned(void *ctx, size_t model_count)
{
    struct models *models = ctx;

    review_all(models);
    if (models->scanned)
        return;
    models->scanned = true;
    log_info("models", LOG_U("count", model_count));
    if (!models->has_engines)
        warn_of_missing(models);
}

static const struct catalogue_events catalogue_events = {
        .on_model = on_file, .on_gone = on_file_gone, .on_scanned = on_scanned};

/* --- engines that run already --- */

static bool keeps(const struct models *models, const char *name)
{
    const struct standing_order *order = standing_orders_find(models->config.orders, name);
    bool listed = model_rules_keep(models->rules, name);

    return order == NULL ? listed : order->keep || (listed && !order->let_go);
}

static void on_engine_model(void *ctx, const struct engines_model *model)
{
    struct models *models = ctx;
    struct supervisor *supervisor = models->config.supervisor;
    const char *name = model->facts->name;

    if (supervisor_find(supervisor, name) == NULL)
        log_info("model found", LOG_S("model", name), LOG_S("url", model->place.url),
                LOG_U("file_bytes", model->facts->file_bytes));
    supervisor_engine_model_put(
            supervisor, engines_backend(model->place.kind), model, keeps(models, name));
}

static void on_engine_model_gone(void *ctx, const char *name)
{
    struct models *models = ctx;

    log_info("model gone", LOG_S("model", name));
    supervisor_engine_model_gone(models->config.supervisor, name);
}

static void on_engine(void *ctx, const struct engines_report *report)
{
    (void)ctx;
    if (report->presence == ENGINE_PRESENT)
        log_info("engine found", LOG_S("url", report->url), LOG_S("engine", report->label),
                LOG_U("models", report->model_count), LOG_U("left_out", report->left_out),
                LOG_S("cannot_tell", report->untold));
    else
        log_warn("no engine to use", LOG_S("url", report->url),
                LOG_S("answers", engine_presence_name(report->presence)),
                LOG_S("reason", report->why));
}

static const struct engines_events engines_events = {
        .on_model = on_engine_model, .on_gone = on_engine_model_gone, .on_engine = on_engine};

/* --- life --- */

static int make_rules(const struct models *models, const struct config *settings,
        struct model_rules **ret_rules, struct err *err)
{
    int r = model_rules_create(settings, ret_rules, err);

    if (r == 0 && supervisor_uses_processors(models->config.supervisor))
        model_rules_share_processors(*ret_rules);
    return r;
}

static int open_catalogue(struct models *models, struct err *err)
{
    const char *folders[SETTINGS_WORDS_MAX + 1];
    struct catalogue_config config = {.roots = folders, .env = models->config.env};
    int r = settings_words(models->config.settings, "models", folders, err);

    if (r < 0)
        return r;
    config.root_count = config_list_len(models->config.settings, "models");
    if (config.root_count > 0)
        return catalogue_create(
                models->config.loop, &config, &catalogue_events, models, &models->catalogue, err);
    if (!models->has_engines)
        log_warn("no model folder; this node offers no models", LOG_S("setting", "models"));
    return 0;
}

static int open_engines(struct models *models, const char *const *entries, struct err *err)
{
    const struct engines_config config = {
            .loop = models->config.loop, .http = models->config.http, .entries = entries};

    return engines_create(&config, &engines_events, models, &models->engines, err);
}

static int open_all(struct models *models, struct err *err)
{
    const char *entries[SETTINGS_WORDS_MAX + 1];
    int r = settings_words(models->config.settings, "engines", entries, err);

    for (size_t i = 0; r == 0 && entries[i] != NULL; i++)
        models->has_engines |= strcmp(entries[i], "none") != 0;
    if (r == 0)
        r = make_rules(models, models->config.settings, &models->rules, err);
    if (r == 0)
        r = open_catalogue(models, err);
    return r == 0 ? open_engines(models, entries, err) : r;
}

int models_create(const struct models_config *config, struct models **ret_models, struct err *err)
{
    struct models *models = calloc(1, sizeof *models);
    int r;

    if (models == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    models->config = *config;
    r = open_all(models, err);
    models->config.settings = NULL;
    if (r < 0) {
        models_destroy(models);
        return r;
    }
    *ret_models = models;
    return 0;
}

void models_destroy(struct models *models)
{
    if (models == NULL)
        return;
    catalogue_destroy(models->catalogue);
    engines_destroy(models->engines);
    model_rules_destroy(models->rules);
    free(models);
}

void models_rescan(struct models *models)
{
    if (models->catalogue != NULL)
        catalogue_rescan(models->catalogue);
}

static void review_engines(struct models *models)
{
    struct supervisor *supervisor = models->config.supervisor;
    const char *name;

    for (size_t i = 0; (name = supervisor_model_at(supervisor, i)) != NULL; i++)
        supervisor_engine_pin(supervisor, name, keeps(models, name));
}

int models_reload(struct models *models, const struct config *settings, struct err *err)
{
    struct model_rules *rules;
    int r = make_rules(models, settings, &rules, err);

    if (r < 0)
        return r;
    model_rules_destroy(models->rules);
    models->rules = rules;
    review_all(models);
    review_engines(models);
    return 0;
}

/* --- orders --- */

const struct catalogue_model *models_file(const struct models *models, const char *name)
{
    const struct catalogue_scan *scan =
            models->catalogue == NULL ? NULL : catalogue_last(models->catalogue);

    return scan == NULL ? NULL : catalogue_scan_find(scan, name);
}

void models_reorder(struct models *models, const char *name)
{
    const struct catalogue_model *file = models_file(models, name);

    if (file != NULL)
        review(models, file);
    supervisor_engine_pin(models->config.supervisor, name, keeps(models, name));
}
