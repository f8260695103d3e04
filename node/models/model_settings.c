#include "node/models/model_settings.h"

#include "proto/codec.h"
#include "proto/rules.h"

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_IN_CONFIG_MAX = 192,        /* section, an entry's name and a key */
    TEXTS_MAX = 4 * CONFIG_FILE_MAX, /* bytes that all entries take */
    MODEL_TEXTS_MAX = 1024 * 1024,   /* bytes that one model's settings take */
    TOLD_TEXT_MAX = 512,
};

static const char section[] = "model-settings";
static const char none[] = "none"; /* instead of a file */

enum setting {
    SETTING_CONTEXT = 1 << 0,
    SETTING_SLOTS = 1 << 1,
    SETTING_TYPE_K = 1 << 2,
    SETTING_TYPE_V = 1 << 3,
    SETTING_ARGS = 1 << 4,
    SETTING_ALIASES = 1 << 5,
    SETTING_QUALITY = 1 << 6,
    SETTING_PIN = 1 << 7,
    SETTING_PROJECTOR = 1 << 8,
    SETTING_DRAFT = 1 << 9,
    SETTING_PROMPT_CACHE = 1 << 10,
    SETTING_NICE = 1 << 11,
};

struct rule { /* an entry */
    const char *entry;
    unsigned has; /* enum setting: these count */
    uint32_t context, slots, nice;
    enum cache_type type_k, type_v;
    uint64_t prompt_cache_bytes;
    const char *const *extra_args;
    const char *const *aliases;
    uint32_t quality;
    bool pin;
    const char *projector, *draft;
    unsigned told, useless; /* enum trouble: in the last check, and in this one */
};

enum trouble {
    TROUBLE_NO_MODEL = 1 << 0,
    TROUBLE_PROJECTOR = 1 << 1,
    TROUBLE_DRAFT = 1 << 2,
    TROUBLE_ALIAS = 1 << 3,
};

struct model_rules {
    struct arena arena;
    struct rule *rules; /* best first */
    size_t count;
    uint32_t context, slots, nice; /* of section `engine` */
    bool nice_set, shares_processors;
    bool prompt_cache_set;
    uint64_t prompt_cache_bytes;
    const char *const *extra_args;
    const char *const *resident;
};

/* --- from the config --- */

struct reading {
    const struct config *config;
    struct arena *arena;
    const char *entry;
    char path[PATH_IN_CONFIG_MAX];
    struct err *err;
};

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for the settings of models");
}

/* The path of one of the entry's keys; true where it is set. */
static bool at(struct reading *reading, const char *key)
{
    int len =
            snprintf(reading->path, sizeof reading->path, "%s.%s.%s", section, reading->entry, key);

    assert(len > 0 && (size_t)len < sizeof reading->path); /* names have a limit */
    (void)len;
    return config_is_set(reading->config, reading->path);
}

static int read_words(struct reading *reading, const char *path, const char *const **ret_words)
{
    size_t count = config_list_len(reading->config, path);
    const char **words = arena_alloc(reading->arena, (count + 1) * sizeof *words);

    if (words == NULL)
        return no_memory(reading->err);
    for (size_t i = 0; i < count; i++) {
        words[i] = arena_strdup(reading->arena, config_list_at(reading->config, path, i));
        if (words[i] == NULL)
            return no_memory(reading->err);
    }
    *ret_words = words;
    return 0;
}

static void read_number(struct reading *reading, struct rule *rule, const char *key,
        enum setting setting, uint32_t *ret_number)
{
    if (!at(reading, key))
        return;
    *ret_number = (uint32_t)config_uint(reading->config, reading->path);
    rule->has |= setting;
}

static void read_numbers(struct reading *reading, struct rule *rule)
{
    read_number(reading, rule, "context", SETTING_CONTEXT, &rule->context);
    read_number(reading, rule, "slots", SETTING_SLOTS, &rule->slots);
    read_number(reading, rule, "nice", SETTING_NICE, &rule->nice);
    if (at(reading, "cache-ram")) {
        rule->prompt_cache_bytes = config_uint(reading->config, reading->path);
        rule->has |= SETTING_PROMPT_CACHE;
    }
    read_number(reading, rule, "quality", SETTING_QUALITY, &rule->quality);
    if (!at(reading, "pin"))
        return;
    rule->pin = config_bool(reading->config, reading->path);
    rule->has |= SETTING_PIN;
}

static int read_text(struct reading *reading, struct rule *rule, const char *key,
        enum setting setting, const char **ret_text)
{
    if (!at(reading, key))
        return 0;
    *ret_text = arena_strdup(reading->arena, config_str(reading->config, reading->path));
    rule->has |= setting;
    return *ret_text == NULL ? no_memory(reading->err) : 0;
}

static int read_type(struct reading *reading, struct rule *rule, const char *key, unsigned settings)
{
    enum cache_type type;
    int rc;

    if (!at(reading, key))
        return 0;
    rc = cache_type_parse(config_str(reading->config, reading->path), &type, reading->err);
    if (rc < 0)
        return err_prefix(reading->err, rc, "%s: \"%s\"",
                config_origin(reading->config, reading->path), reading->path);
    if ((settings & SETTING_TYPE_K) != 0)
        rule->type_k = type;
    if ((settings & SETTING_TYPE_V) != 0)
        rule->type_v = type;
    rule->has |= settings;
    return 0;
}

static int check_aliases(const struct reading *reading, const struct rule *rule)
{
    for (const char *const *alias = rule->aliases; *alias != NULL; alias++)
        if (rules_text(TEXT_MODEL_NAME, *alias, *alias, strlen(*alias), reading->err) < 0)
            return err_prefix(reading->err, -EINVAL, "%s: \"%s\"",
                    config_origin(reading->config, reading->path), reading->path);
    return 0;
}

static int read_lists(struct reading *reading, struct rule *rule)
{
    int rc = 0;

    if (at(reading, "extra-args")) {
        rule->has |= SETTING_ARGS;
        rc = read_words(reading, reading->path, &rule->extra_args);
    }
    if (rc == 0 && at(reading, "aliases")) {
        rule->has |= SETTING_ALIASES;
        rc = read_words(reading, reading->path, &rule->aliases);
        if (rc == 0)
            rc = check_aliases(reading, rule);
    }
    return rc;
}

static int read_types(struct reading *reading, struct rule *rule)
{
    int rc = read_type(reading, rule, "kv", SETTING_TYPE_K | SETTING_TYPE_V);

    if (rc == 0)
        rc = read_type(reading, rule, "kv-k", SETTING_TYPE_K);
    return rc == 0 ? read_type(reading, rule, "kv-v", SETTING_TYPE_V) : rc;
}

static int read_rule(struct reading *reading, struct rule *rule)
{
    int rc;

    rule->entry = arena_strdup(reading->arena, reading->entry);
    if (rule->entry == NULL)
        return no_memory(reading->err);
    read_numbers(reading, rule);
    rc = read_types(reading, rule);
    if (rc == 0)
        rc = read_lists(reading, rule);
    if (rc == 0)
        rc = read_text(reading, rule, "projector", SETTING_PROJECTOR, &rule->projector);
    if (rc == 0)
        rc = read_text(reading, rule, "draft", SETTING_DRAFT, &rule->draft);
    return rc;
}

static bool is_pattern(const char *entry)
{
    return strpbrk(entry, "*?") != NULL;
}

/* The entries that are patterns, or the others. */
static int read_rules(struct reading *reading, struct model_rules *rules, bool patterns)
{
    int rc = 0;

    for (size_t i = 0; rc == 0; i++) {
        reading->entry = config_name_at(reading->config, section, i);
        if (reading->entry == NULL)
            break;
        if (is_pattern(reading->entry) == patterns)
            rc = read_rule(reading, &rules->rules[rules->count++]);
    }
    return rc;
}

static int read_all(struct reading *reading, struct model_rules *rules)
{
    size_t count = 0;
    int rc;

    while (config_name_at(reading->config, section, count) != NULL)
        count++;
    rules->rules = calloc(count + 1, sizeof *rules->rules);
    if (rules->rules == NULL)
        return no_memory(reading->err);
    rules->context = (uint32_t)config_uint(reading->config, "engine.context");
    rules->slots = (uint32_t)config_uint(reading->config, "engine.slots");
    rules->nice = (uint32_t)config_uint(reading->config, "engine.nice");
    rules->nice_set = config_is_set(reading->config, "engine.nice");
    rules->prompt_cache_set = config_is_set(reading->config, "engine.cache-ram");
    if (rules->prompt_cache_set)
        rules->prompt_cache_bytes = config_uint(reading->config, "engine.cache-ram");
    rc = read_words(reading, "engine.extra-args", &rules->extra_args);
    if (rc == 0)
        rc = read_words(reading, "resident", &rules->resident);
    if (rc == 0)
        rc = read_rules(reading, rules, false);
    return rc == 0 ? read_rules(reading, rules, true) : rc;
}

int model_rules_create(const struct config *config, struct model_rules **ret_rules, struct err *err)
{
    struct model_rules *rules = calloc(1, sizeof *rules);
    struct reading reading = {.config = config, .err = err};
    int rc;

    if (rules == NULL)
        return no_memory(err);
    arena_init(&rules->arena, TEXTS_MAX);
    reading.arena = &rules->arena;
    rc = read_all(&reading, rules);
    if (rc < 0) {
        model_rules_destroy(rules);
        return rc;
    }
    *ret_rules = rules;
    return 0;
}

void model_rules_share_processors(struct model_rules *rules)
{
    rules->shares_processors = true;
}

void model_rules_destroy(struct model_rules *rules)
{
    if (rules == NULL)
        return;
    arena_fini(&rules->arena);
    free(rules->rules);
    free(rules);
}

/* --- which entry says what --- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static bool is_for(const struct rule *rule, const struct catalogue_model *model)
{
    return fnmatch(rule->entry, model->name, 0) == 0 ||
           fnmatch(rule->entry, base_name(model->path), 0) == 0;
}

/* The entry that a setting of the model comes from; NULL: none has it. */
static struct rule *rule_for(
        const struct model_rules *rules, const struct catalogue_model *model, enum setting setting)
{
    for (size_t i = 0; i < rules->count; i++)
        if ((rules->rules[i].has & setting) != 0 && is_for(&rules->rules[i], model))
            return &rules->rules[i];
    return NULL;
}

static bool has_word(const char *const *words, const char *word)
{
    for (; *words != NULL; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

/* The model that is called `alias`, or comes before `model` and has it as an alias; NULL: none. */
static const struct catalogue_model *alias_taken_by(const struct model_rules *rules,
        const struct catalogue_scan *scan, const struct catalogue_model *model, const char *alias)
{
    const struct catalogue_model *taken = catalogue_scan_find(scan, alias);

    for (size_t i = 0; taken == NULL && i < scan->model_count; i++) {
        const struct rule *rule = rule_for(rules, &scan->models[i], SETTING_ALIASES);
        if (strcmp(scan->models[i].name, model->name) == 0)
            break;
        if (rule != NULL && has_word(rule->aliases, alias))
            taken = &scan->models[i];
    }
    return taken;
}

/* --- files beside a model --- */

/* `file` as the config has it: a path, or a name in the folder of the model. */
static bool path_beside(
        const struct catalogue_model *model, const char *file, char ret_path[PATH_MAX])
{
    int folder_len = file[0] == '/' ? 0 : (int)(base_name(model->path) - model->path);

    return (size_t)snprintf(ret_path, PATH_MAX, "%.*s%s", folder_len, model->path, file) < PATH_MAX;
}

static const struct catalogue_model *find_draft(
        const struct catalogue_scan *scan, const struct catalogue_model *model, const char *draft)
{
    const struct catalogue_model *found = catalogue_scan_find(scan, draft);
    char path[PATH_MAX];

    if (found == NULL && path_beside(model, draft, path))
        found = catalogue_scan_find_path(scan, path);
    return found == NULL || strcmp(found->name, model->name) == 0 ? NULL : found;
}

static bool find_projector(const struct catalogue_scan *scan, const struct catalogue_model *model,
        const char *projector, char ret_path[PATH_MAX], struct catalogue_projector *ret_projector)
{
    return path_beside(model, projector, ret_path) &&
           catalogue_scan_projector(scan, ret_path, ret_projector);
}

static bool is_none(const char *file)
{
    return strcmp(file, none) == 0;
}

/* --- of one model --- */

struct resolving {
    const struct model_rules *rules;
    const struct catalogue_scan *scan;
    const struct catalogue_model *model;
    struct model_settings *settings;
};

static const struct rule *look_up(const struct resolving *r, enum setting setting)
{
    return rule_for(r->rules, r->model, setting);
}

static bool completes_before(
        const struct catalogue_model *model, const struct catalogue_model *other)
{
    return (model->capabilities & CAPABILITY_FIM) != 0 && model->file_bytes < other->file_bytes;
}

/* Its engine is to leave the processors to another model's. */
static bool stands_back(const struct resolving *r)
{
    if (!r->rules->shares_processors || (r->model->capabilities & CAPABILITY_CHAT) == 0)
        return false;
    for (size_t i = 0; i < r->scan->model_count; i++)
        if (completes_before(&r->scan->models[i], r->model))
            return true;
    return false;
}

static void resolve_nice(const struct resolving *r)
{
    struct model_settings *settings = r->settings;
    const struct rule *rule = look_up(r, SETTING_NICE);

    settings->nice_set = rule != NULL || r->rules->nice_set;
    if (settings->nice_set)
        settings->nice = rule == NULL ? r->rules->nice : rule->nice;
    else
        settings->nice = stands_back(r) ? MODEL_NICE_TALKS : 0;
}

static void resolve_numbers(const struct resolving *r)
{
    struct model_settings *settings = r->settings;
    const struct rule *context = look_up(r, SETTING_CONTEXT), *slots = look_up(r, SETTING_SLOTS);
    const struct rule *k = look_up(r, SETTING_TYPE_K), *v = look_up(r, SETTING_TYPE_V);
    const struct rule *quality = look_up(r, SETTING_QUALITY);
    const struct rule *cache = look_up(r, SETTING_PROMPT_CACHE);

    settings->prompt_cache_set = cache != NULL || r->rules->prompt_cache_set;
    settings->prompt_cache_bytes =
            cache == NULL ? r->rules->prompt_cache_bytes : cache->prompt_cache_bytes;
    settings->context = context == NULL ? r->rules->context : context->context;
    settings->slots = slots == NULL ? r->rules->slots : slots->slots;
    settings->cache_types_set = k != NULL || v != NULL;
    settings->type_k = k == NULL ? CACHE_TYPE_F16 : k->type_k;
    settings->type_v = v == NULL ? CACHE_TYPE_F16 : v->type_v;
    settings->quality = quality == NULL ? 0 : quality->quality;
}

static size_t count_words(const char *const *words)
{
    size_t count = 0;

    while (words[count] != NULL)
        count++;
    return count;
}

static const char **copy_words(
        struct model_settings *settings, const char **to, const char *const *words)
{
    for (; *words != NULL; words++, to++) {
        *to = arena_strdup(&settings->arena, *words);
        if (*to == NULL)
            return NULL;
    }
    return to;
}

static int resolve_args(const struct resolving *r)
{
    static const char *const no_words[] = {NULL};
    const struct rule *rule = look_up(r, SETTING_ARGS);
    const char *const *common = r->rules->extra_args;
    const char *const *own = rule == NULL ? no_words : rule->extra_args;
    const char **args = arena_alloc(
            &r->settings->arena, (count_words(common) + count_words(own) + 1) * sizeof *args);
    const char **end;

    r->settings->extra_args = args;
    if (args == NULL)
        return -ENOMEM;
    end = copy_words(r->settings, args, common);
    return end == NULL || copy_words(r->settings, end, own) == NULL ? -ENOMEM : 0;
}

static int resolve_aliases(const struct resolving *r)
{
    const struct rule *rule = look_up(r, SETTING_ALIASES);
    size_t count = rule == NULL ? 0 : count_words(rule->aliases), kept = 0;
    const char **aliases = arena_alloc(&r->settings->arena, (count + 1) * sizeof *aliases);

    if (aliases == NULL)
        return -ENOMEM;
    r->settings->aliases = aliases;
    for (size_t i = 0; i < count; i++) {
        const char *alias = rule->aliases[i];
        if (has_word(aliases, alias) || alias_taken_by(r->rules, r->scan, r->model, alias) != NULL)
            continue;
        aliases[kept] = arena_strdup(&r->settings->arena, alias);
        if (aliases[kept++] == NULL)
            return -ENOMEM;
    }
    return 0;
}

static void resolve_pin(const struct resolving *r)
{
    const struct rule *rule = look_up(r, SETTING_PIN);
    bool listed = has_word(r->rules->resident, r->model->name);

    for (const char *const *alias = r->settings->aliases; *alias != NULL; alias++)
        listed |= has_word(r->rules->resident, *alias);
    r->settings->pin = rule == NULL ? listed : rule->pin;
}

static int keep_path(struct model_settings *settings, const char *path, const char **ret_path)
{
    *ret_path = arena_strdup(&settings->arena, path);
    return *ret_path == NULL ? -ENOMEM : 0;
}

static int resolve_projector(const struct resolving *r)
{
    const struct rule *rule = look_up(r, SETTING_PROJECTOR);
    const char *path = r->model->projector;
    struct catalogue_projector projector = {
            .bytes = r->model->projector_bytes, .senses = r->model->projector_senses};
    char chosen[PATH_MAX];

    if (rule != NULL)
        path = !is_none(rule->projector) && find_projector(r->scan, r->model, rule->projector,
                                                    chosen, &projector)
                       ? chosen
                       : NULL;
    r->settings->senses = path == NULL ? (uint32_t)CAPABILITY_SENSES : projector.senses;
    if (path == NULL)
        return 0;
    r->settings->projector_bytes = projector.bytes;
    return keep_path(r->settings, path, &r->settings->projector);
}

static int resolve_draft(const struct resolving *r)
{
    const struct rule *rule = look_up(r, SETTING_DRAFT);
    const struct catalogue_model *draft = NULL;

    if (rule != NULL && !is_none(rule->draft))
        draft = find_draft(r->scan, r->model, rule->draft);
    if (draft == NULL)
        return 0;
    r->settings->draft_shape = draft->shape;
    return keep_path(r->settings, draft->path, &r->settings->draft);
}

static int resolve(const struct resolving *r)
{
    int rc = resolve_args(r);

    resolve_numbers(r);
    resolve_nice(r);
    if (rc == 0)
        rc = resolve_aliases(r);
    if (rc == 0)
        rc = resolve_projector(r);
    if (rc == 0)
        rc = resolve_draft(r);
    if (rc == 0)
        resolve_pin(r);
    return rc;
}

int model_settings_create(const struct model_rules *rules, const struct catalogue_scan *scan,
        const struct catalogue_model *model, struct model_settings **ret_settings, struct err *err)
{
    struct model_settings *settings = calloc(1, sizeof *settings);
    const struct resolving r = {.rules = rules, .scan = scan, .model = model, .settings = settings};
    int rc;

    if (settings == NULL)
        return no_memory(err);
    arena_init(&settings->arena, MODEL_TEXTS_MAX);
    rc = resolve(&r);
    if (rc < 0) {
        model_settings_destroy(settings);
        return no_memory(err);
    }
    *ret_settings = settings;
    return 0;
}

void model_settings_destroy(struct model_settings *settings)
{
    if (settings == NULL)
        return;
    arena_fini(&settings->arena);
    free(settings);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_words(const char *const *a, const char *const *b)
{
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0)
        a++, b++;
    return *a == NULL && *b == NULL;
}

static bool same_nice(const struct model_settings *a, const struct model_settings *b)
{
    return a->nice == b->nice || (!a->nice_set && !b->nice_set);
}

bool model_settings_same_engine(const struct model_settings *a, const struct model_settings *b)
{
    return a->context == b->context && a->slots == b->slots && same_nice(a, b) &&
           a->cache_types_set == b->cache_types_set && a->type_k == b->type_k &&
           a->type_v == b->type_v && a->prompt_cache_set == b->prompt_cache_set &&
           a->prompt_cache_bytes == b->prompt_cache_bytes &&
           same_words(a->extra_args, b->extra_args) && same_text(a->projector, b->projector) &&
           a->projector_bytes == b->projector_bytes && same_text(a->draft, b->draft) &&
           a->draft_shape.tensor_bytes == b->draft_shape.tensor_bytes;
}

bool model_settings_has_alias(const struct model_settings *settings, const char *name)
{
    return settings != NULL && has_word(settings->aliases, name);
}

bool model_settings_same(const struct model_settings *a, const struct model_settings *b)
{
    return model_settings_same_engine(a, b) && same_words(a->aliases, b->aliases) &&
           a->quality == b->quality && a->pin == b->pin && a->nice == b->nice;
}

bool model_rules_keep(const struct model_rules *rules, const char *name)
{
    return has_word(rules->resident, name);
}

const char *model_rules_kept(const struct model_rules *rules, size_t index)
{
    size_t i = 0;

    while (i < index && rules->resident[i] != NULL)
        i++;
    return rules->resident[i];
}

/* --- what is of no use --- */

struct checking {
    struct model_rules *rules;
    const struct catalogue_scan *scan;
    model_rules_fn fn;
    void *ctx;
};

__attribute__((format(printf, 4, 5))) static void tell(const struct checking *checking,
        struct rule *rule, enum trouble trouble, const char *format, ...)
{
    char text[TOLD_TEXT_MAX];
    va_list args;

    if (((rule->told | rule->useless) & trouble) == 0) {
        va_start(args, format);
        (void)vsnprintf(text, sizeof text, format, args);
        va_end(args);
        checking->fn(checking->ctx, rule->entry, text);
    }
    rule->useless |= trouble;
}

static void check_entry(const struct checking *checking, struct rule *rule)
{
    for (size_t i = 0; i < checking->scan->model_count; i++)
        if (is_for(rule, &checking->scan->models[i]))
            return;
    tell(checking, rule, TROUBLE_NO_MODEL,
            is_pattern(rule->entry) ? "no model or file matches it"
                                    : "no model and no file of a model has this name");
}

static void check_files(const struct checking *checking, const struct catalogue_model *model)
{
    struct rule *projector = rule_for(checking->rules, model, SETTING_PROJECTOR);
    struct rule *draft = rule_for(checking->rules, model, SETTING_DRAFT);
    struct catalogue_projector found;
    char path[PATH_MAX];

    if (projector != NULL && !is_none(projector->projector) &&
            !find_projector(checking->scan, model, projector->projector, path, &found))
        tell(checking, projector, TROUBLE_PROJECTOR,
                "no projector \"%s\" beside %s or at that path below a model folder",
                projector->projector, model->name);
    if (draft != NULL && !is_none(draft->draft) &&
            find_draft(checking->scan, model, draft->draft) == NULL)
        tell(checking, draft, TROUBLE_DRAFT,
                "no other model \"%s\", by name or by file, to draft for %s", draft->draft,
                model->name);
}

static void check_names(const struct checking *checking, const struct catalogue_model *model)
{
    struct rule *rule = rule_for(checking->rules, model, SETTING_ALIASES);

    for (size_t i = 0; rule != NULL && rule->aliases[i] != NULL; i++) {
        const struct catalogue_model *taken =
                alias_taken_by(checking->rules, checking->scan, model, rule->aliases[i]);
        if (taken != NULL)
            tell(checking, rule, TROUBLE_ALIAS, "%s cannot have the alias \"%s\", which %s has",
                    model->name, rule->aliases[i], taken->name);
    }
}

void model_rules_check(
        struct model_rules *rules, const struct catalogue_scan *scan, model_rules_fn fn, void *ctx)
{
    const struct checking checking = {.rules = rules, .scan = scan, .fn = fn, .ctx = ctx};

    for (size_t i = 0; i < rules->count; i++) {
        rules->rules[i].useless = 0;
        check_entry(&checking, &rules->rules[i]);
    }
    for (size_t i = 0; i < scan->model_count; i++) {
        check_files(&checking, &scan->models[i]);
        check_names(&checking, &scan->models[i]);
    }
    for (size_t i = 0; i < rules->count; i++)
        rules->rules[i].told = rules->rules[i].useless;
}
