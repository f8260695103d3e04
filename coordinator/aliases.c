#include "coordinator/aliases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_name_then_model(const void *left, const void *right)
{
    const struct alias *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : strcmp(a->model, b->model);
}

static int by_name(const void *left, const void *right)
{
    const struct alias *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static const struct alias *find(const struct aliases *aliases, const char *name)
{
    const struct alias wanted = {.name = name};
    return aliases->count ? bsearch(&wanted, aliases->at, aliases->count, sizeof(wanted), by_name)
                          : NULL;
}

/* Of each name the first; `aliases` is in order. */
static void keep_first_of_each(struct aliases *aliases)
{
    size_t kept = 0;
    for (size_t i = 0; i < aliases->count; i++)
        if (kept == 0 || strcmp(aliases->at[kept - 1].name, aliases->at[i].name) != 0)
            aliases->at[kept++] = aliases->at[i];
    aliases->count = kept;
}

/* One that a model has of its own is marked, and then taken off. */
static void drop_own_names(
        struct aliases *aliases, struct instance *const *instances, size_t instance_count)
{
    size_t kept = 0;
    for (size_t i = 0; i < instance_count; i++) {
        const struct alias *alias = find(aliases, instances[i]->model);
        if (alias)
            aliases->at[alias - aliases->at].model = NULL;
    }
    for (size_t i = 0; i < aliases->count; i++)
        if (aliases->at[i].model)
            aliases->at[kept++] = aliases->at[i];
    aliases->count = kept;
}

static void add_all(struct aliases *aliases, const struct instance *instance)
{
    for (size_t i = 0; i < instance->alias_count; i++)
        aliases->at[aliases->count++] =
                (struct alias){.name = instance->aliases[i], .model = instance->model};
}

int aliases_init(struct aliases *aliases, struct instance *const *instances, size_t count)
{
    size_t total = 0;
    *aliases = (struct aliases){.at = NULL};
    for (size_t i = 0; i < count; i++)
        total += instances[i]->alias_count;
    if (total == 0)
        return 0;
    aliases->at = calloc(total, sizeof(*aliases->at));
    if (!aliases->at)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        add_all(aliases, instances[i]);
    qsort(aliases->at, aliases->count, sizeof(*aliases->at), by_name_then_model);
    keep_first_of_each(aliases);
    drop_own_names(aliases, instances, count);
    return 0;
}

void aliases_fini(struct aliases *aliases)
{
    free(aliases->at);
    *aliases = (struct aliases){.at = NULL};
}

const char *aliases_model(const struct aliases *aliases, const char *name)
{
    const struct alias *alias = find(aliases, name);
    return alias ? alias->model : name;
}
