#include "coordinator/modes/modes.h"

#include "proto/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for the modes");
}

static int add_model(struct mode *mode, const char *model, const char *origin, struct err *err)
{
    struct err why;
    if (mode_lists(mode, model))
        return err_set(
                err, -EINVAL, "%s: mode \"%s\" names \"%s\" twice", origin, mode->name, model);
    if (rules_text(TEXT_MODEL_NAME, "model", model, strlen(model), &why))
        return err_set(err, -EINVAL,
                "%s: mode \"%s\" names \"%.150s\", which no node can have: %.150s", origin,
                mode->name, model, why.text);
    char *copy = strdup(model);
    if (!copy)
        return no_memory(err);
    mode->models[mode->model_count++] = copy;
    return 0;
}

static int fill_mode(
        struct mode *mode, const struct config *config, const char *path, struct err *err)
{
    size_t count = config_list_len(config, path);
    const char *origin = config_origin(config, path);
    if (count == 0)
        return err_set(err, -EINVAL, "%s: mode \"%s\" names no models; write models: [NAME, …]",
                origin, mode->name);
    if (count > MODE_MODELS_MAX)
        return err_set(err, -EINVAL, "%s: mode \"%s\" names %zu models; at most %d are taken",
                origin, mode->name, count, MODE_MODELS_MAX);
    mode->models = calloc(count, sizeof(*mode->models));
    int r = mode->models ? 0 : no_memory(err);
    for (size_t i = 0; !r && i < count; i++)
        r = add_model(mode, config_list_at(config, path, i), origin, err);
    return r;
}

static uint32_t number_of(const struct config *config, const struct mode *mode, const char *key)
{
    char path[256];
    snprintf(path, sizeof(path), "modes.%s.%s", mode->name, key);
    return (uint32_t)config_uint(config, path);
}

static int read_floor(struct mode *mode, const struct config *config, struct err *err)
{
    char path[256];
    snprintf(path, sizeof(path), "modes.%s.context-floor", mode->name);
    mode->context_floor = (uint32_t)config_uint(config, path);
    if (mode->context_floor <= mode->context)
        return 0;
    if (config_is_set(config, path))
        return err_set(err, -EINVAL,
                "%s: mode \"%s\" has a context-floor of %u, above its context of %u",
                config_origin(config, path), mode->name, mode->context_floor, mode->context);
    mode->context_floor = mode->context;
    return 0;
}

/* What plans are made by; the table of settings keeps each number in its range. */
static int read_needs(struct mode *mode, const struct config *config, struct err *err)
{
    char path[256];
    snprintf(path, sizeof(path), "modes.%s.batch", mode->name);
    mode->batch = config_bool(config, path);
    snprintf(path, sizeof(path), "modes.%s.context", mode->name);
    mode->context_is_set = config_is_set(config, path);
    mode->context = number_of(config, mode, "context");
    mode->slots = number_of(config, mode, "slots");
    mode->copies = number_of(config, mode, "copies");
    mode->weight = number_of(config, mode, "weight");
    return read_floor(mode, config, err);
}

static int add_mode(
        struct modes *modes, const struct config *config, const char *name, struct err *err)
{
    char path[256];
    snprintf(path, sizeof(path), "modes.%s.models", name);
    if (strcmp(name, MODE_AUTO) == 0)
        return err_set(err, -EINVAL, "%s: \"%s\" cannot be a mode: it asks the mesh to choose one",
                config_origin(config, path), name);
    if (modes->count == MODES_MAX)
        return err_set(err, -EINVAL, "mode \"%s\": at most %d modes are taken", name, MODES_MAX);
    struct mode *mode = &modes->list[modes->count];
    if (!(mode->name = strdup(name)))
        return no_memory(err);
    modes->count++;
    int r = fill_mode(mode, config, path, err);
    return r ? r : read_needs(mode, config, err);
}

int modes_from_config(const struct config *config, struct modes *ret_modes, struct err *err)
{
    struct modes modes = {.list = calloc(MODES_MAX, sizeof(struct mode))};
    int r = modes.list ? 0 : no_memory(err);
    const char *name;
    for (size_t i = 0; !r && (name = config_name_at(config, "modes", i)); i++)
        r = add_mode(&modes, config, name, err);
    if (r)
        modes_fini(&modes);
    else
        *ret_modes = modes;
    return r;
}

/* --- changing a copy --- */

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

static void mode_fini(struct mode *mode)
{
    for (size_t i = 0; i < mode->model_count; i++)
        free(mode->models[i]);
    free(mode->models);
    free(mode->name);
}

void modes_fini(struct modes *modes)
{
    for (size_t i = 0; i < modes->count; i++)
        mode_fini(&modes->list[i]);
    free(modes->list);
    *modes = (struct modes){0};
}

static int copy_mode(const struct mode *mode, struct mode *ret_copy, struct err *err)
{
    struct mode copy = *mode;
    copy.model_count = 0;
    copy.name = strdup(mode->name);
    copy.models = calloc(mode->model_count + 1, sizeof(*copy.models));
    int r = copy.name && copy.models ? 0 : no_memory(err);
    for (size_t i = 0; !r && i < mode->model_count; i++) {
        copy.models[i] = strdup(mode->models[i]);
        if (copy.models[i])
            copy.model_count++;
        else
            r = no_memory(err);
    }
    if (r)
        mode_fini(&copy);
    else
        *ret_copy = copy;
    return r;
}

int modes_copy(const struct modes *modes, struct modes *ret_copy, struct err *err)
{
    struct modes copy = {.list = calloc(modes->count + 1, sizeof(struct mode))};
    int r = copy.list ? 0 : no_memory(err);
    for (size_t i = 0; !r && i < modes->count; i++) {
        r = copy_mode(&modes->list[i], &copy.list[i], err);
        if (!r)
            copy.count++;
    }
    if (r)
        modes_fini(&copy);
    else
        *ret_copy = copy;
    return r;
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

void modes_plain_name(const char *name, char ret_plain[MSG_NAME_MAX + 1])
{
    static const char *const endings[] = {":latest", "[1m]"};
    size_t len = strnlen(name, MSG_NAME_MAX);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t tail = strlen(endings[i]);
        if (len > tail && memcmp(name + len - tail, endings[i], tail) == 0)
            len -= tail;
    }
    memcpy(ret_plain, name, len);
    ret_plain[len] = '\0';
}

/* MODEL of "MODE-MODEL"; NULL where `name` is none. */
static const char *model_part(const struct mode *mode, const char *name)
{
    size_t len = strlen(mode->name);
    bool fits = strncmp(name, mode->name, len) == 0 && name[len] == '-' && name[len + 1] != '\0';
    return fits ? name + len + 1 : NULL;
}

static bool begins_with(const char *model, const char *part)
{
    return strncasecmp(model, part, strlen(part)) == 0;
}

/* MODEL is the beginning of one of the mode's models' names. */
static bool names_a_model(const struct mode *mode, const char *name)
{
    const char *part = model_part(mode, name);
    for (size_t i = 0; part && i < mode->model_count; i++)
        if (begins_with(mode->models[i], part))
            return true;
    return false;
}

static const struct mode *find_with_model(const struct modes *modes, const char *name)
{
    for (size_t i = 0; i < modes->count; i++)
        if (names_a_model(&modes->list[i], name))
            return &modes->list[i];
    return NULL;
}

static const char *const aliases[] = {MODE_ALIAS, MODE_ALIAS_CLAUDE};

const struct mode *modes_resolve(const struct modes *modes, const char *name)
{
    char plain[MSG_NAME_MAX + 1];
    const struct mode *mode = modes_find(modes, name);
    modes_plain_name(name, plain);
    if (!mode)
        mode = modes_find(modes, plain);
    for (size_t i = 0; !mode && i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        size_t len = strlen(aliases[i]);
        if (strncmp(plain, aliases[i], len) != 0)
            continue;
        mode = modes_find(modes, plain + len);
        if (!mode)
            mode = find_with_model(modes, plain + len);
    }
    return mode;
}

bool modes_name_is_open(const struct mode *mode, const char *name)
{
    char plain[MSG_NAME_MAX + 1];
    modes_plain_name(name, plain);
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        size_t len = strlen(aliases[i]);
        if (strncmp(plain, aliases[i], len) == 0 && names_a_model(mode, plain + len))
            return false;
    }
    return true;
}

bool modes_name_leaves(const struct mode *mode, const char *name, const char *model)
{
    char plain[MSG_NAME_MAX + 1];
    modes_plain_name(name, plain);
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        size_t len = strlen(aliases[i]);
        bool aliased = strncmp(plain, aliases[i], len) == 0;
        const char *part = aliased ? model_part(mode, plain + len) : NULL;
        if (part && names_a_model(mode, plain + len))
            return begins_with(model, part);
    }
    return true;
}
