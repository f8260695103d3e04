#include "coordinator/modes/modes.h"

#include "coordinator/scheduling/cost.h"
#include "coordinator/scheduling/fair_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The number of its models where it is not among them. */
static size_t place_of(const struct mode *mode, const char *model)
{
    size_t i = 0;
    while (i < mode->model_count && strcmp(mode->models[i], model) != 0)
        i++;
    return i;
}

bool mode_lists(const struct mode *mode, const char *model)
{
    return place_of(mode, model) < mode->model_count;
}

bool mode_models_have(const struct mode_models *models, const char *model)
{
    for (size_t i = 0; i < models->count; i++)
        if (strcmp(models->names[i], model) == 0)
            return true;
    return false;
}

uint8_t mode_said_points(const struct mode *mode, const char *model)
{
    for (size_t i = 0; i < mode->point_count; i++)
        if (strcmp(mode->points[i].model, model) == 0)
            return mode->points[i].points;
    return 0;
}

const char *mode_when_none_name(enum mode_when_none when_none)
{
    static const char *const names[WHEN_NONE_COUNT] = {"wait", "refuse", "next"};
    return names[when_none];
}

bool modes_some_lists(const struct modes *modes, const char *model)
{
    for (size_t i = 0; i < modes->count; i++)
        if (mode_lists(&modes->list[i], model))
            return true;
    return false;
}

const struct mode *modes_find(const struct modes *modes, const char *name)
{
    if (strcmp(name, MODE_AUTO) == 0)
        name = MODE_FALLBACK;
    for (size_t i = 0; i < modes->count; i++)
        if (strcmp(modes->list[i].name, name) == 0)
            return &modes->list[i];
    return NULL;
}

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for the modes");
}

void mode_set_batch(struct mode *mode, bool batch)
{
    mode->batch = batch;
    mode->priority = batch ? MODE_PRIORITY_BATCH : FAIR_PRIORITY_DEFAULT;
    mode->beta = batch ? COST_BETA_BATCH : COST_BETA_INTERACTIVE;
}

void mode_init(struct mode *mode)
{
    *mode = (struct mode){.patience_ms = MODE_PATIENCE_MS,
            .context = MODE_CONTEXT,
            .context_floor = MODE_CONTEXT_FLOOR,
            .slots = 1,
            .copies = 1,
            .weight = MODE_WEIGHT};
    mode_set_batch(mode, false);
}

/* --- the end --- */

static void fini_models(struct mode_models *models)
{
    for (size_t i = 0; i < models->count; i++)
        free(models->names[i]);
    free(models->names);
    *models = (struct mode_models){.count = 0};
}

static void fini_mode(struct mode *mode)
{
    for (size_t i = 0; i < mode->model_count; i++)
        free(mode->models[i]);
    for (size_t i = 0; i < mode->point_count; i++)
        free(mode->points[i].model);
    for (size_t i = 0; i < mode->rule_count; i++)
        fini_models(&mode->rules[i].models);
    fini_models(&mode->planning);
    free(mode->models);
    free(mode->points);
    free(mode->rules);
    free(mode->floors);
    free(mode->next);
    free(mode->name);
    *mode = (struct mode){.name = NULL};
}

void modes_fini(struct modes *modes)
{
    for (size_t i = 0; i < modes->count; i++)
        fini_mode(&modes->list[i]);
    for (size_t i = 0; i < modes->alias_count; i++) {
        free(modes->aliases[i].name);
        free(modes->aliases[i].target);
    }
    free(modes->list);
    free(modes->aliases);
    *modes = (struct modes){.count = 0};
}

/* --- copies --- */

/* Each adds to what is there only what has come about whole. */
static int copy_names(char *const *names, size_t count, char ***ret_copy, size_t *ret_count)
{
    char **copy = calloc(count + 1, sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    *ret_copy = copy;
    *ret_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!(copy[i] = strdup(names[i])))
            return -ENOMEM;
        (*ret_count)++;
    }
    return 0;
}

static int copy_models(const struct mode_models *models, struct mode_models *ret_copy)
{
    *ret_copy = (struct mode_models){.count = 0};
    return models->count
                   ? copy_names(models->names, models->count, &ret_copy->names, &ret_copy->count)
                   : 0;
}

static int copy_points(const struct mode *mode, struct mode *copy)
{
    copy->points = calloc(mode->point_count + 1, sizeof(*copy->points));
    if (!copy->points)
        return -ENOMEM;
    for (size_t i = 0; i < mode->point_count; i++) {
        copy->points[i] = mode->points[i];
        if (!(copy->points[i].model = strdup(mode->points[i].model)))
            return -ENOMEM;
        copy->point_count++;
    }
    return 0;
}

static int copy_rules(const struct mode *mode, struct mode *copy)
{
    copy->rules = calloc(mode->rule_count + 1, sizeof(*copy->rules));
    if (!copy->rules)
        return -ENOMEM;
    for (size_t i = 0; i < mode->rule_count; i++) {
        struct mode_rule *rule = &copy->rules[copy->rule_count++];
        rule->tokens = mode->rules[i].tokens;
        if (copy_models(&mode->rules[i].models, &rule->models))
            return -ENOMEM;
    }
    return 0;
}

static int copy_floors(const struct mode *mode, struct mode *copy)
{
    copy->floors = calloc(mode->floor_count + 1, sizeof(*copy->floors));
    if (!copy->floors)
        return -ENOMEM;
    if (mode->floor_count)
        memcpy(copy->floors, mode->floors, mode->floor_count * sizeof(*copy->floors));
    copy->floor_count = mode->floor_count;
    return 0;
}

static int copy_text(const char *text, char **ret_copy)
{
    *ret_copy = text ? strdup(text) : NULL;
    return text && !*ret_copy ? -ENOMEM : 0;
}

/* All that it owns is the copy's own, also where it fails. */
static int copy_owned(const struct mode *mode, struct mode *copy)
{
    int r = copy_text(mode->name, &copy->name);
    if (!r)
        r = copy_text(mode->next, &copy->next);
    if (!r)
        r = copy_names(mode->models, mode->model_count, &copy->models, &copy->model_count);
    if (!r)
        r = copy_points(mode, copy);
    if (!r)
        r = copy_rules(mode, copy);
    if (!r)
        r = copy_models(&mode->planning, &copy->planning);
    return r ? r : copy_floors(mode, copy);
}

static int copy_mode(const struct mode *mode, struct mode *ret_copy)
{
    struct mode copy = *mode;
    copy.name = copy.next = NULL;
    copy.models = NULL;
    copy.points = NULL;
    copy.rules = NULL;
    copy.floors = NULL;
    copy.planning = (struct mode_models){.count = 0};
    copy.model_count = copy.point_count = copy.rule_count = copy.floor_count = 0;
    int r = copy_owned(mode, &copy);
    if (r)
        fini_mode(&copy);
    else
        *ret_copy = copy;
    return r;
}

static int copy_list(const struct modes *modes, struct modes *copy)
{
    copy->list = calloc(modes->count + 1, sizeof(*copy->list));
    int r = copy->list ? 0 : -ENOMEM;
    for (size_t i = 0; !r && i < modes->count; i++) {
        r = copy_mode(&modes->list[i], &copy->list[i]);
        copy->count += !r;
    }
    return r;
}

static int copy_aliases(const struct modes *modes, struct modes *copy)
{
    copy->aliases = calloc(modes->alias_count + 1, sizeof(*copy->aliases));
    int r = copy->aliases ? 0 : -ENOMEM;
    for (size_t i = 0; !r && i < modes->alias_count; i++) {
        struct mode_alias *alias = &copy->aliases[copy->alias_count++];
        alias->foreign = modes->aliases[i].foreign;
        r = copy_text(modes->aliases[i].name, &alias->name);
        if (!r)
            r = copy_text(modes->aliases[i].target, &alias->target);
    }
    return r;
}

int modes_copy(const struct modes *modes, struct modes *ret_copy, struct err *err)
{
    struct modes copy = {.derived = modes->derived};
    int r = copy_list(modes, &copy);
    if (!r)
        r = copy_aliases(modes, &copy);
    if (r) {
        modes_fini(&copy);
        return no_memory(err);
    }
    *ret_copy = copy;
    return 0;
}

/* --- changing one --- */

static void drop_at(struct mode *mode, size_t at)
{
    free(mode->models[at]);
    mode->model_count--;
    memmove(&mode->models[at], &mode->models[at + 1],
            (mode->model_count - at) * sizeof(*mode->models));
}

void mode_take_off(struct mode *mode, const char *model)
{
    size_t at = place_of(mode, model);
    if (at < mode->model_count)
        drop_at(mode, at);
}

int mode_put_first(struct mode *mode, const char *model, struct err *err)
{
    char *copy = strdup(model);
    char **models =
            copy ? reallocarray(mode->models, mode->model_count + 1, sizeof(*models)) : NULL;
    if (models)
        mode->models = models;
    if (!copy || !models) {
        free(copy);
        return no_memory(err);
    }
    mode_take_off(mode, model);
    if (mode->model_count == MODE_MODELS_MAX)
        drop_at(mode, mode->model_count - 1);
    memmove(&models[1], &models[0], mode->model_count * sizeof(*models));
    models[0] = copy;
    mode->model_count++;
    return 0;
}

/* Where `model` is among them already, `replaced` just goes. */
static int replace_in(struct mode_models *models, const char *replaced, const char *model)
{
    size_t at = 0;
    while (at < models->count && strcmp(models->names[at], replaced) != 0)
        at++;
    if (at == models->count)
        return 0;
    bool there = mode_models_have(models, model);
    char *copy = there ? NULL : strdup(model);
    if (!there && !copy)
        return -ENOMEM;
    free(models->names[at]);
    models->names[at] = copy;
    if (!there)
        return 0;
    models->count--;
    memmove(&models->names[at], &models->names[at + 1],
            (models->count - at) * sizeof(*models->names));
    return 0;
}

int mode_replace_in_rules(
        struct mode *mode, const char *replaced, const char *model, struct err *err)
{
    int r = replace_in(&mode->planning, replaced, model);
    for (size_t i = 0; !r && i < mode->rule_count; i++)
        r = replace_in(&mode->rules[i].models, replaced, model);
    return r ? no_memory(err) : 0;
}
