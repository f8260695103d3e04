#include "coordinator/modes/mode_config.h"

#include "common/text.h"
#include "coordinator/modes/mode_alias_config.h"
#include "coordinator/modes/mode_names.h"
#include "coordinator/modes/mode_policy.h"
#include "coordinator/scheduling/fair_queue.h"
#include "proto/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 512 };

struct reading { /* of one mode */
    const struct config *config;
    struct mode *mode;
    char path[PATH_BYTES]; /* of the key that is being read */
    struct err *err;
};

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for the modes");
}

static const char *go_to(struct reading *reading, const char *key)
{
    snprintf(reading->path, sizeof(reading->path), "modes.%s.%s", reading->mode->name, key);
    return reading->path;
}

/* "quality" and "a-model" */
static const char *go_below(struct reading *reading, const char *key, const char *name)
{
    snprintf(
            reading->path, sizeof(reading->path), "modes.%s.%s.%s", reading->mode->name, key, name);
    return reading->path;
}

/* The name that stands below `key`; NULL past the last. */
static const char *name_below(struct reading *reading, const char *key, size_t index)
{
    return config_name_at(reading->config, go_to(reading, key), index);
}

/* Where the key that is being read stands; of one that is not there, where its mode does. */
static const char *origin_of(const struct reading *reading)
{
    char mode[PATH_BYTES];
    if (config_is_set(reading->config, reading->path))
        return config_origin(reading->config, reading->path);
    snprintf(mode, sizeof(mode), "modes.%s", reading->mode->name);
    return config_origin(reading->config, mode);
}

static size_t count_below(struct reading *reading, const char *key)
{
    size_t count = 0;
    while (name_below(reading, key, count))
        count++;
    return count;
}

/* --- which models --- */

static int add_model(struct reading *reading, const char *model)
{
    struct mode *mode = reading->mode;
    struct err why;
    if (mode_lists(mode, model))
        return err_set(reading->err, -EINVAL, "%s: mode \"%s\" names \"%s\" twice",
                origin_of(reading), mode->name, model);
    if (rules_text(TEXT_MODEL_NAME, "model", model, strlen(model), &why))
        return err_set(reading->err, -EINVAL,
                "%s: mode \"%s\" names \"%.150s\", which no node can have: %.150s",
                origin_of(reading), mode->name, model, why.text);
    char *copy = strdup(model);
    if (!copy)
        return no_memory(reading->err);
    mode->models[mode->model_count++] = copy;
    return 0;
}

static int read_models(struct reading *reading)
{
    struct mode *mode = reading->mode;
    const char *path = go_to(reading, "models");
    size_t count = config_list_len(reading->config, path);
    if (count == 0)
        return err_set(reading->err, -EINVAL,
                "%s: mode \"%s\" names no models; write models: [NAME, …]", origin_of(reading),
                mode->name);
    if (count > MODE_MODELS_MAX)
        return err_set(reading->err, -EINVAL,
                "%s: mode \"%s\" names %zu models; at most %d are taken", origin_of(reading),
                mode->name, count, MODE_MODELS_MAX);
    mode->models = calloc(count, sizeof(*mode->models));
    int r = mode->models ? 0 : no_memory(reading->err);
    for (size_t i = 0; !r && i < count; i++)
        r = add_model(reading, config_list_at(reading->config, path, i));
    return r;
}

/* `what` is "up-to 16k": who says something of the model there. */
static int fail_stranger(const struct reading *reading, const char *what, const char *model)
{
    const char *names[MODE_MODELS_MAX + 1] = {NULL};
    const struct mode *mode = reading->mode;
    for (size_t i = 0; i < mode->model_count; i++)
        names[i] = mode->models[i];
    const char *nearest = text_nearest(model, names);
    return err_set(reading->err, -EINVAL,
            "%s: %s of mode \"%s\" names \"%.150s\", which its models do not; add it to "
            "modes.%s.models%s%s%s",
            origin_of(reading), what, mode->name, model, mode->name, nearest ? ", or write \"" : "",
            nearest ? nearest : "", nearest ? "\"" : "");
}

static int check_list(const struct reading *reading, const char *what, size_t count)
{
    if (count == 0)
        return err_set(reading->err, -EINVAL,
                "%s: %s of mode \"%s\" names no models; write [NAME, …]", origin_of(reading), what,
                reading->mode->name);
    if (count > MODE_MODELS_MAX)
        return err_set(reading->err, -EINVAL,
                "%s: %s of mode \"%s\" names %zu models; at most %d are taken", origin_of(reading),
                what, reading->mode->name, count, MODE_MODELS_MAX);
    return 0;
}

static int add_listed(const struct reading *reading, const char *what, const char *name,
        struct mode_models *models)
{
    if (!mode_lists(reading->mode, name))
        return fail_stranger(reading, what, name);
    if (mode_models_have(models, name))
        return err_set(reading->err, -EINVAL, "%s: %s of mode \"%s\" names \"%s\" twice",
                origin_of(reading), what, reading->mode->name, name);
    char *copy = strdup(name);
    if (!copy)
        return no_memory(reading->err);
    models->names[models->count++] = copy;
    return 0;
}

/* The list at reading->path, all of whose names the mode has. */
static int read_list(struct reading *reading, const char *what, struct mode_models *models)
{
    size_t count = config_list_len(reading->config, reading->path);
    int r = check_list(reading, what, count);
    if (r)
        return r;
    if (!(models->names = calloc(count, sizeof(*models->names))))
        return no_memory(reading->err);
    for (size_t i = 0; !r && i < count; i++)
        r = add_listed(reading, what, config_list_at(reading->config, reading->path, i), models);
    return r;
}

static int read_planning(struct reading *reading)
{
    if (!config_is_set(reading->config, go_to(reading, "planning")))
        return 0;
    return read_list(reading, "planning", &reading->mode->planning);
}

/* --- points --- */

static int read_points(struct reading *reading)
{
    struct mode *mode = reading->mode;
    size_t count = count_below(reading, "quality");
    if (count == 0)
        return 0;
    if (!(mode->points = calloc(count, sizeof(*mode->points))))
        return no_memory(reading->err);
    for (size_t i = 0; i < count; i++) {
        const char *model = name_below(reading, "quality", i);
        uint64_t points = config_uint(reading->config, go_below(reading, "quality", model));
        if (!mode_lists(mode, model))
            return fail_stranger(reading, "quality", model);
        if (!(mode->points[i].model = strdup(model)))
            return no_memory(reading->err);
        mode->points[i].points = (uint8_t)points;
        mode->point_count++;
    }
    return 0;
}

/* --- rules and floors by context --- */

static int check_count(struct reading *reading, const char *key, size_t count)
{
    if (count <= MODE_RULES_MAX)
        return 0;
    go_to(reading, key);
    return err_set(reading->err, -EINVAL,
            "%s: %s of mode \"%s\" has %zu entries; at most %d are taken",
            config_origin(reading->config, reading->path), key, reading->mode->name, count,
            MODE_RULES_MAX);
}

/* Leaves reading->path at the entry. */
static int read_tokens(struct reading *reading, const char *key, size_t index, uint32_t *ret_tokens)
{
    const char *text = name_below(reading, key, index);
    struct err why;
    go_below(reading, key, text);
    if (text_parse_tokens(text, ret_tokens, &why) == 0)
        return 0;
    return err_set(reading->err, -EINVAL, "%s: %s of mode \"%s\": %.200s", origin_of(reading), key,
            reading->mode->name, why.text);
}

static int fail_same_tokens(const struct reading *reading, const char *key, uint32_t tokens)
{
    char text[32];
    return err_set(reading->err, -EINVAL, "%s: %s of mode \"%s\" says twice what counts up to %s",
            origin_of(reading), key, reading->mode->name,
            text_format_tokens(tokens, text, sizeof(text)));
}

/* Makes room among `rules`, which are in order. NULL: there is one for as many tokens. */
static struct mode_rule *insert_rule(struct mode *mode, uint32_t tokens)
{
    size_t at = 0;
    while (at < mode->rule_count && mode->rules[at].tokens < tokens)
        at++;
    if (at < mode->rule_count && mode->rules[at].tokens == tokens)
        return NULL;
    memmove(&mode->rules[at + 1], &mode->rules[at], (mode->rule_count - at) * sizeof(*mode->rules));
    mode->rule_count++;
    mode->rules[at] = (struct mode_rule){.tokens = tokens};
    return &mode->rules[at];
}

static int read_rule(struct reading *reading, size_t index)
{
    char what[PATH_BYTES];
    uint32_t tokens;
    int r = read_tokens(reading, "up-to", index, &tokens);
    if (r)
        return r;
    struct mode_rule *rule = insert_rule(reading->mode, tokens);
    if (!rule)
        return fail_same_tokens(reading, "up-to", tokens);
    snprintf(what, sizeof(what), "up-to %s", name_below(reading, "up-to", index));
    go_below(reading, "up-to", name_below(reading, "up-to", index));
    return read_list(reading, what, &rule->models);
}

static int read_rules(struct reading *reading)
{
    struct mode *mode = reading->mode;
    size_t count = count_below(reading, "up-to");
    int r = check_count(reading, "up-to", count);
    if (r || count == 0)
        return r;
    if (!(mode->rules = calloc(count, sizeof(*mode->rules))))
        return no_memory(reading->err);
    for (size_t i = 0; !r && i < count; i++)
        r = read_rule(reading, i);
    return r;
}

static int insert_floor(struct reading *reading, uint32_t tokens, uint8_t points)
{
    struct mode *mode = reading->mode;
    size_t at = 0;
    while (at < mode->floor_count && mode->floors[at].tokens < tokens)
        at++;
    if (at < mode->floor_count && mode->floors[at].tokens == tokens)
        return fail_same_tokens(reading, "floor-up-to", tokens);
    memmove(&mode->floors[at + 1], &mode->floors[at],
            (mode->floor_count - at) * sizeof(*mode->floors));
    mode->floor_count++;
    mode->floors[at] = (struct mode_floor){.tokens = tokens, .points = points};
    return 0;
}

static int read_floors(struct reading *reading)
{
    struct mode *mode = reading->mode;
    size_t count = count_below(reading, "floor-up-to");
    int r = check_count(reading, "floor-up-to", count);
    mode->floor = (uint8_t)config_uint(reading->config, go_to(reading, "floor"));
    if (r || count == 0)
        return r;
    if (!(mode->floors = calloc(count, sizeof(*mode->floors))))
        return no_memory(reading->err);
    for (size_t i = 0; !r && i < count; i++) {
        uint32_t tokens;
        r = read_tokens(reading, "floor-up-to", i, &tokens);
        if (!r)
            r = insert_floor(reading, tokens, (uint8_t)config_uint(reading->config, reading->path));
    }
    return r;
}

/* True where the config says of each of them that it has less; of what it does not speak, nodes
 * may. */
static bool all_below(
        const struct mode *mode, const struct mode_models *models, uint8_t floor, uint8_t *ret_most)
{
    *ret_most = 0;
    for (size_t i = 0; i < models->count; i++) {
        uint8_t points = mode_said_points(mode, models->names[i]);
        if (points == 0 || points >= floor)
            return false;
        if (points > *ret_most)
            *ret_most = points;
    }
    return true;
}

struct served {                   /* requests of the mode that are held against its floor */
    const char *what;             /* "request" */
    const struct mode_models *by; /* NULL: any model of the mode */
    uint32_t tokens;              /* up to so many; UINT32_MAX: above all that the mode names */
};

/* "", " up to 8k", " above 64k" */
static void say_tokens(const struct mode *mode, uint32_t tokens, char *text, size_t size)
{
    char number[32];
    uint32_t last = 0;
    if (mode->rule_count)
        last = mode->rules[mode->rule_count - 1].tokens;
    if (mode->floor_count && mode->floors[mode->floor_count - 1].tokens > last)
        last = mode->floors[mode->floor_count - 1].tokens;
    bool above = tokens == UINT32_MAX;
    text[0] = '\0';
    if (!above || last)
        snprintf(text, size, " %s %s", above ? "above" : "up to",
                text_format_tokens(above ? last : tokens, number, sizeof(number)));
}

static int check_served(struct reading *reading, const struct served *served)
{
    const struct mode *mode = reading->mode;
    const struct mode_models all = {mode->models, mode->model_count};
    uint8_t floor = mode_floor_at(mode, served->tokens), most;
    char tokens[48];
    if (!all_below(mode, mode->stand_in || !served->by ? &all : served->by, floor, &most))
        return 0;
    say_tokens(mode, served->tokens, tokens, sizeof(tokens));
    return err_set(reading->err, -EINVAL,
            "%s: no %s of mode \"%s\" could be answered%s: its floor is %u there, and no model has "
            "more than %u points; lower the floor or add a better model",
            config_origin(reading->config, go_to(reading, "models")), served->what, mode->name,
            tokens, floor, most);
}

static const struct mode_models *models_at(const struct mode *mode, uint32_t tokens)
{
    for (size_t i = 0; i < mode->rule_count; i++)
        if (tokens <= mode->rules[i].tokens)
            return &mode->rules[i].models;
    return NULL;
}

static int check_floor_at(struct reading *reading, uint32_t tokens)
{
    const struct mode *mode = reading->mode;
    int r = check_served(reading, &(struct served){"request", models_at(mode, tokens), tokens});
    if (r || mode->planning.count == 0)
        return r;
    return check_served(reading, &(struct served){"planning call", &mode->planning, tokens});
}

/* Between these numbers of tokens neither the models nor the floor change. */
static int check_floors(struct reading *reading)
{
    const struct mode *mode = reading->mode;
    int r = 0;
    for (size_t i = 0; !r && i < mode->rule_count; i++)
        r = check_floor_at(reading, mode->rules[i].tokens);
    for (size_t i = 0; !r && i < mode->floor_count; i++)
        r = check_floor_at(reading, mode->floors[i].tokens);
    return r ? r : check_floor_at(reading, UINT32_MAX);
}

/* --- how it is served --- */

static int read_priority(struct reading *reading)
{
    const char *text = config_str(reading->config, go_to(reading, "priority"));
    struct mode *mode = reading->mode;
    uint64_t number;
    if (!text)
        return 0;
    if (strcmp(text, "interactive") == 0)
        mode->priority = MODE_PRIORITY_INTERACTIVE;
    else if (strcmp(text, "normal") == 0)
        mode->priority = FAIR_PRIORITY_DEFAULT;
    else if (strcmp(text, "batch") == 0)
        mode->priority = MODE_PRIORITY_BATCH;
    else if (text_parse_u64(text, &number, NULL) == 0 && number <= FAIR_PRIORITY_MAX)
        mode->priority = (uint8_t)number;
    else
        return err_set(reading->err, -EINVAL,
                "%s: mode \"%s\" has the priority \"%.60s\"; write interactive, normal, batch, or "
                "a number from 0 to %d",
                origin_of(reading), mode->name, text, FAIR_PRIORITY_MAX);
    return 0;
}

static int read_when_none(struct reading *reading)
{
    const char *text = config_str(reading->config, go_to(reading, "when-none"));
    struct mode *mode = reading->mode;
    if (strcmp(text, "wait") == 0)
        return 0;
    if (strcmp(text, "refuse") == 0) {
        mode->when_none = WHEN_NONE_REFUSE;
        return 0;
    }
    mode->when_none = WHEN_NONE_NEXT;
    mode->next = strdup(text);
    return mode->next ? 0 : no_memory(reading->err);
}

static uint32_t number_of(struct reading *reading, const char *key)
{
    return (uint32_t)config_uint(reading->config, go_to(reading, key));
}

static int read_service(struct reading *reading)
{
    struct mode *mode = reading->mode;
    mode_set_batch(mode, config_bool(reading->config, go_to(reading, "batch")));
    mode->beta_is_set = config_is_set(reading->config, go_to(reading, "beta"));
    if (mode->beta_is_set)
        mode->beta = config_decimal(reading->config, reading->path);
    mode->stand_in = config_bool(reading->config, go_to(reading, "stand-in"));
    mode->max_output = number_of(reading, "max-output");
    mode->patience_ms = number_of(reading, "patience");
    mode->temperature = config_decimal(reading->config, go_to(reading, "temperature"));
    mode->has_temperature = config_is_set(reading->config, reading->path);
    int r = read_priority(reading);
    return r ? r : read_when_none(reading);
}

/* --- what plans are made by; the table of settings keeps each number in its range --- */

static int read_context_floor(struct reading *reading)
{
    struct mode *mode = reading->mode;
    mode->context_floor = number_of(reading, "context-floor");
    if (mode->context_floor <= mode->context)
        return 0;
    if (config_is_set(reading->config, reading->path))
        return err_set(reading->err, -EINVAL,
                "%s: mode \"%s\" has a context-floor of %u, above its context of %u",
                origin_of(reading), mode->name, mode->context_floor, mode->context);
    mode->context_floor = mode->context;
    return 0;
}

static int read_needs(struct reading *reading)
{
    struct mode *mode = reading->mode;
    mode->context = number_of(reading, "context");
    mode->context_is_set = config_is_set(reading->config, reading->path);
    mode->slots = number_of(reading, "slots");
    mode->copies = number_of(reading, "copies");
    mode->weight = number_of(reading, "weight");
    return read_context_floor(reading);
}

/* --- one mode --- */

/* What the mesh puts before modes' names is its own, also where no mode is called so. */
static int check_head(const struct reading *reading, const char *name)
{
    size_t len = modes_head_len(name);
    if (len == 0)
        return 0;
    return err_set(reading->err, -EINVAL,
            "%s: \"%.100s\" cannot be a mode: editors get each mode's name with \"%.*s\" before "
            "it; leave that out here",
            origin_of(reading), name, (int)len, name);
}

static int check_name(struct reading *reading)
{
    static const char *const taken[] = {"wait", "refuse"}; /* words of when-none */
    const char *name = reading->mode->name;
    go_to(reading, "models");
    if (strcmp(name, MODE_AUTO) == 0)
        return err_set(reading->err, -EINVAL,
                "%s: \"%s\" cannot be a mode: it asks the mesh to choose one", origin_of(reading),
                name);
    if (strchr(name, '.'))
        return err_set(reading->err, -EINVAL, "%s: \"%s\" cannot be a mode: no dots in its name",
                origin_of(reading), name);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strcmp(name, taken[i]) == 0)
            return err_set(reading->err, -EINVAL,
                    "%s: \"%s\" cannot be a mode: when-none means something else by it",
                    origin_of(reading), name);
    return check_head(reading, name);
}

static int read_mode(struct reading *reading)
{
    static int (*const steps[])(struct reading * reading) = {check_name, read_models, read_points,
            read_rules, read_planning, read_service, read_floors, check_floors, read_needs};
    int r = 0;
    for (size_t i = 0; !r && i < sizeof(steps) / sizeof(steps[0]); i++)
        r = steps[i](reading);
    return r;
}

static int fail_many(const struct config *config, const char *mode, struct err *err)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "modes.%s", mode);
    return err_set(err, -EINVAL, "%s: mode \"%s\": at most %d modes are taken",
            config_origin(config, path), mode, MODES_MAX);
}

static int add_mode(
        struct modes *modes, const struct config *config, const char *name, struct err *err)
{
    if (modes->count == MODES_MAX)
        return fail_many(config, name, err);
    struct mode *mode = &modes->list[modes->count];
    if (!(mode->name = strdup(name)))
        return no_memory(err);
    modes->count++;
    struct reading reading = {.config = config, .mode = mode, .err = err};
    return read_mode(&reading);
}

/* --- what modes say of each other --- */

static int check_next(const struct modes *modes, const struct config *config,
        const struct mode *mode, struct err *err)
{
    const struct mode *at = mode;
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "modes.%s.when-none", mode->name);
    for (size_t steps = 0; at && at->next; steps++) {
        if (steps == modes->count)
            return err_set(err, -EINVAL,
                    "%s: when-none of mode \"%s\" goes round in a circle; let one of them wait or "
                    "refuse",
                    config_origin(config, path), mode->name);
        const char *next = at->next;
        at = modes_find(modes, next);
        if (!at || strcmp(next, MODE_AUTO) == 0)
            return err_set(err, -EINVAL,
                    "%s: when-none of mode \"%s\" is \"%.60s\", which is no mode; write wait, "
                    "refuse or the name of one",
                    config_origin(config, path), mode->name, next);
    }
    return 0;
}

static int read_list_of_modes(struct modes *modes, const struct config *config, struct err *err)
{
    const char *name;
    int r = 0;
    if (!(modes->list = calloc(MODES_MAX, sizeof(*modes->list))))
        return no_memory(err);
    for (size_t i = 0; !r && (name = config_name_at(config, "modes", i)); i++)
        r = add_mode(modes, config, name, err);
    for (size_t i = 0; !r && i < modes->count; i++)
        r = check_next(modes, config, &modes->list[i], err);
    return r;
}

int modes_from_config(const struct config *config, struct modes *ret_modes, struct err *err)
{
    struct modes modes = {.count = 0};
    int r = read_list_of_modes(&modes, config, err);
    modes.derived = modes.count == 0;
    if (!r)
        r = mode_aliases_read(config, &modes, err);
    if (r)
        modes_fini(&modes);
    else
        *ret_modes = modes;
    return r;
}
