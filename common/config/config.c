#include "common/config/config.h"

#include "common/config/config_internal.h"

#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

size_t config_key_count(const struct config_key *keys)
{
    size_t n = 0;

    while (keys[n].path)
        n++;
    return n;
}

static _Noreturn void abort_on_bug(const char *path, const char *problem)
{
    fprintf(stderr, "config key \"%s\": %s\n", path, problem);
    abort();
}

/* A secret is wiped before its memory goes back. */
static void free_text(const struct config_key *key, char *text)
{
    if (key && key->secret)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void value_destroy(struct config_value *value)
{
    if (!value)
        return;
    for (size_t i = 0; i < value->item_count; i++)
        free_text(value->key, value->items[i]);
    free(value->items);
    free(value->path);
    free(value->origin);
    free(value);
}

static struct config_value *value_create(const struct config_value *blueprint)
{
    struct config_value *value = calloc(1, sizeof(*value));

    if (!value)
        return NULL;
    value->key = blueprint->key;
    value->path = strdup(blueprint->path);
    value->origin = strdup(blueprint->origin);
    if (value->path && value->origin)
        return value;
    value_destroy(value);
    return NULL;
}

static void values_fini(struct config_values *values)
{
    for (size_t i = 0; i < values->count; i++)
        value_destroy(values->at[i]);
    free(values->at);
    *values = (struct config_values){0};
}

/* The section or (`section` false) the value at `path`. */
static struct config_value **values_find(
        const struct config_values *values, const char *path, bool section)
{
    for (size_t i = 0; i < values->count; i++)
        if (section == !values->at[i]->key && strcmp(values->at[i]->path, path) == 0)
            return &values->at[i];
    return NULL;
}

void config_batch_fini(struct config_batch *batch)
{
    values_fini(&batch->values);
    *batch = (struct config_batch){0};
}

static int batch_grow(struct config_batch *batch)
{
    size_t cap = batch->cap > 0 ? batch->cap * 2 : 16;
    struct config_value **at;

    if (batch->values.count < batch->cap)
        return 0;
    at = reallocarray(batch->values.at, cap, sizeof(struct config_value *));
    if (!at)
        return -ENOMEM;
    batch->values.at = at;
    batch->cap = cap;
    return 0;
}

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for the configuration");
}

static int too_many(struct err *err)
{
    return err_set(err, -E2BIG, "more than %d values", CONFIG_VALUES_MAX);
}

int config_batch_add(struct config_batch *batch, const struct config_value *blueprint,
        struct config_value **ret_value, struct err *err)
{
    struct config_value **twin = values_find(&batch->values, blueprint->path, !blueprint->key);

    if (twin)
        return err_set(
                err, -EINVAL, "\"%s\" is set twice; first at %s", (*twin)->path, (*twin)->origin);
    if (batch->values.count == CONFIG_VALUES_MAX)
        return too_many(err);
    if (batch_grow(batch) < 0)
        return no_memory(err);

    struct config_value *value = value_create(blueprint);
    if (!value)
        return no_memory(err);
    batch->values.at[batch->values.count++] = value;
    *ret_value = value;
    return 0;
}

int config_batch_add_item(
        struct config_batch *batch, struct config_value *value, const char *text, struct err *err)
{
    if (batch->item_count == CONFIG_VALUES_MAX)
        return too_many(err);

    char **items = reallocarray(value->items, value->item_count + 1, sizeof(char *));
    if (!items)
        return no_memory(err);
    value->items = items;
    char *copy = strdup(text);
    if (!copy)
        return no_memory(err);
    items[value->item_count++] = copy;
    batch->item_count++;
    return 0;
}

int config_batch_set(
        struct config_batch *batch, struct config_value *value, const char *text, struct err *err)
{
    int r = config_check(value->key, text, err);

    if (r < 0)
        return err_prefix(err, -EINVAL, "\"%s\"", value->path);
    return config_batch_add_item(batch, value, text, err);
}

static int set_list_line(
        struct config_batch *batch, struct config_value *value, char *line, struct err *err)
{
    char *rest = line;

    for (char *item = strsep(&rest, ","); item; item = strsep(&rest, ",")) {
        item += strspn(item, " \t");
        for (size_t n = strlen(item); n > 0 && strchr(" \t", item[n - 1]); n--)
            item[n - 1] = '\0';
        if (!*item)
            continue;
        int r = config_batch_set(batch, value, item, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int config_batch_set_line(
        struct config_batch *batch, struct config_value *value, const char *line, struct err *err)
{
    if (value->key->type != CONFIG_LIST)
        return config_batch_set(batch, value, line, err);

    char *copy = strdup(line);
    if (!copy)
        return no_memory(err);
    int r = set_list_line(batch, value, copy, err);
    explicit_bzero(copy, strlen(line));
    free(copy);
    return r;
}

/* The room is made first: nothing after it can fail. */
int config_batch_commit(struct config_batch *batch, struct config *config, struct err *err)
{
    struct config_values *values = &config->values;
    size_t room = values->count + batch->values.count;

    if (room == 0)
        return 0;
    struct config_value **at = reallocarray(values->at, room, sizeof(struct config_value *));
    if (!at)
        return no_memory(err);
    values->at = at;
    for (size_t i = 0; i < batch->values.count; i++) {
        struct config_value *value = batch->values.at[i];
        struct config_value **old = values_find(values, value->path, !value->key);
        if (old)
            value_destroy(*old);
        *(old ? old : &values->at[values->count++]) = value;
    }
    batch->values.count = 0;
    config_batch_fini(batch);
    return 0;
}

static int add_default(struct config_batch *batch, const struct config_key *key)
{
    struct config_value blueprint = {
            .key = key, .path = (char *)key->path, .origin = (char *)"default"};
    struct config_value *value;
    struct err err;
    int r = config_batch_add(batch, &blueprint, &value, &err);

    if (r == 0)
        r = config_batch_set_line(batch, value, key->def, &err);
    if (r < 0 && r != -ENOMEM)
        abort_on_bug(key->path, err.text);
    return r;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* One '*' is one set of names. */
static void check_names(const struct config_key *keys, const struct config_key *key)
{
    const char *star = strrchr(key->path, '*');
    size_t len = star ? (size_t)(star - key->path) + 1 : 0;

    if (star && !same_text(config_name_letters(keys, key->path, len), key->name_letters))
        abort_on_bug(key->path, "other letters in its names than in those of a key beside it");
}

static void check_key(const struct config_key *key)
{
    if (strchr(key->path, '*') && (key->flag || key->env))
        abort_on_bug(key->path, "a key with names in it has no flag and no environment variable");
    if (key->type == CONFIG_ENUM && !key->choices)
        abort_on_bug(key->path, "an enum needs choices");
}

static int add_defaults(struct config_batch *batch, const struct config_key *keys)
{
    for (const struct config_key *key = keys; key->path; key++) {
        check_key(key);
        check_names(keys, key);
        if (key->def && add_default(batch, key) < 0)
            return -ENOMEM;
    }
    return 0;
}

struct config *config_create(const struct config_key *keys)
{
    struct config *config = calloc(1, sizeof(*config));
    struct config_batch batch = {0};

    if (!config)
        return NULL;
    if (add_defaults(&batch, keys) < 0) {
        config_batch_fini(&batch);
        free(config);
        return NULL;
    }
    config->keys = keys;
    config->defaults = batch.values;
    return config;
}

void config_destroy(struct config *config)
{
    if (!config)
        return;
    values_fini(&config->defaults);
    values_fini(&config->values);
    free(config);
}

/* A picked name may hold dots, so that two patterns can match. What was set knows its key; else the
 * longer pattern says more about the path. */
static const struct config_key *key_of(const struct config *config, const char *path)
{
    struct config_value **set = values_find(&config->values, path, false);
    const struct config_key *best = set ? (*set)->key : NULL;

    if (best)
        return best;

    for (const struct config_key *key = config->keys; key->path; key++) {
        if (fnmatch(key->path, path, 0) != 0)
            continue;
        if (!best || strlen(key->path) > strlen(best->path))
            best = key;
    }
    if (!best)
        abort_on_bug(path, "not in the table");
    return best;
}

/* What counts for `path`: the value set, else the default, else NULL. */
static const struct config_value *lookup(const struct config *config, const char *path)
{
    struct config_value **found = values_find(&config->values, path, false);

    if (!found)
        found = values_find(&config->defaults, key_of(config, path)->path, false);
    return found ? *found : NULL;
}

/* The text of a value of a scalar type; NULL where it is unset. `types` has a bit for each type
 * accepted. */
static const char *scalar_text(const struct config *config, const char *path, unsigned types)
{
    const struct config_value *value = lookup(config, path);

    if (!(types & (1u << key_of(config, path)->type)))
        abort_on_bug(path, "read as another type than the table says");
    return value ? value->items[0] : NULL;
}

bool config_is_set(const struct config *config, const char *path)
{
    (void)key_of(config, path);
    return values_find(&config->values, path, false) != NULL;
}

const char *config_str(const struct config *config, const char *path)
{
    return scalar_text(config, path, 1u << CONFIG_STR | 1u << CONFIG_ENUM);
}

bool config_bool(const struct config *config, const char *path)
{
    const char *text = scalar_text(config, path, 1u << CONFIG_BOOL);

    return text && config_number(key_of(config, path), text) != 0;
}

uint64_t config_uint(const struct config *config, const char *path)
{
    unsigned types = 1u << CONFIG_UINT | 1u << CONFIG_SIZE | 1u << CONFIG_DURATION;
    const char *text = scalar_text(config, path, types);

    return text ? config_number(key_of(config, path), text) : 0;
}

double config_decimal(const struct config *config, const char *path)
{
    const char *text = scalar_text(config, path, 1u << CONFIG_DECIMAL);

    return text ? (double)config_number(key_of(config, path), text) / 1000 : 0;
}

struct text_addr config_addr(const struct config *config, const char *path)
{
    const char *text = scalar_text(config, path, 1u << CONFIG_ADDR);
    struct text_addr addr = {.port = 0};

    if (text && text_parse_addr(text, &addr, NULL) < 0)
        abort_on_bug(path, "holds an address that was never checked");
    return addr;
}

static const struct config_value *lookup_list(const struct config *config, const char *path)
{
    if (key_of(config, path)->type != CONFIG_LIST)
        abort_on_bug(path, "read as a list, which it is not");
    return lookup(config, path);
}

size_t config_list_len(const struct config *config, const char *path)
{
    const struct config_value *list = lookup_list(config, path);

    return list ? list->item_count : 0;
}

const char *config_list_at(const struct config *config, const char *path, size_t index)
{
    const struct config_value *list = lookup_list(config, path);

    if (!list || index >= list->item_count)
        abort_on_bug(path, "read past the end of the list");
    return list->items[index];
}

/* The name that the user picked right below `prefix`, where `value` is the section for it. */
static const char *name_below(const struct config_value *value, const char *prefix)
{
    size_t len = strlen(prefix);

    if (value->key || value->item_count == 0 || strncmp(value->path, prefix, len) != 0)
        return NULL;
    if (value->path[len] != '.' || strcmp(value->path + len + 1, value->items[0]) != 0)
        return NULL;
    return value->items[0];
}

const char *config_name_at(const struct config *config, const char *prefix, size_t index)
{
    for (size_t i = 0; i < config->values.count; i++) {
        const char *name = name_below(config->values.at[i], prefix);
        if (name && index-- == 0)
            return name;
    }
    return NULL;
}

const char *config_origin(const struct config *config, const char *path)
{
    struct config_value **section = values_find(&config->values, path, true);
    const struct config_value *value = section ? *section : lookup(config, path);

    return value ? value->origin : "default";
}

static bool same_items(const struct config_value *a, const struct config_value *b)
{
    if (!a || !b || a->item_count != b->item_count)
        return a == b;
    for (size_t i = 0; i < a->item_count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static bool is_fixed_difference(const struct config_value *value, const struct config *other)
{
    return value->key && !value->key->reloadable && !same_items(value, lookup(other, value->path));
}

const char *config_restart_key(
        const struct config *running, const struct config *loaded, size_t index)
{
    for (size_t i = 0; i < loaded->values.count; i++)
        if (is_fixed_difference(loaded->values.at[i], running) && index-- == 0)
            return loaded->values.at[i]->path;
    for (size_t i = 0; i < running->values.count; i++) {
        const struct config_value *value = running->values.at[i];
        if (is_fixed_difference(value, loaded) &&
                !values_find(&loaded->values, value->path, false) && index-- == 0)
            return value->path;
    }
    return NULL;
}
