#include "coordinator/away.h"

#include "common/list.h"
#include "common/trust/keys.h"
#include "coordinator/node_session.h"
#include "coordinator/scheduling/prefix_index.h"

#include <stdlib.h>
#include <string.h>

struct away_instance {
    struct fleet_handle handle;
    struct list link;
    char key[KEY_Z85_LEN + 1]; /* of its node */
    char node[MSG_NODE_NAME_MAX + 1];
    char (*aliases)[MSG_NAME_MAX + 1];
    size_t alias_count;
    bool connected;    /* its node is, and has not told of it … */
    uint64_t since_ms; /* … since then */
};

struct away {
    const struct env *env;
    struct fleet *fleet;
    struct list instances; /* away_instance.link, the longest away first */
    size_t count;
};

struct away *away_create(const struct env *env)
{
    struct away *away = calloc(1, sizeof(*away));
    if (!away)
        return NULL;
    away->env = env;
    list_init(&away->instances);
    away->fleet = fleet_create(NULL);
    if (away->fleet)
        return away;
    free(away);
    return NULL;
}

static void instance_free(struct away_instance *it)
{
    free(it->aliases);
    free(it);
}

static void forget(struct away *away, struct away_instance *it)
{
    fleet_remove(away->fleet, &it->handle);
    list_del(&it->link);
    away->count--;
    instance_free(it);
}

void away_destroy(struct away *away)
{
    if (!away)
        return;
    list_for_each_safe (it, &away->instances)
        forget(away, list_entry(it, struct away_instance, link));
    fleet_destroy(away->fleet);
    free(away);
}

static struct away_instance *instance_of(const struct fleet_instance *entry)
{
    return list_entry(entry->handle, struct away_instance, handle);
}

static const char *key_of(const struct instance *instance)
{
    return node_session_peer(instance->session)->key;
}

static struct away_instance *find(const struct away *away, const char *key, const char *model)
{
    const struct fleet_model *its = fleet_find(away->fleet, model);
    for (uint32_t i = 0; its && i < its->count; i++)
        if (strcmp(instance_of(&its->at[i])->key, key) == 0)
            return instance_of(&its->at[i]);
    return NULL;
}

/* --- what comes and goes --- */

static struct away_instance *instance_create(const struct instance *instance)
{
    size_t bytes = instance->alias_count * sizeof(instance->aliases[0]);
    struct away_instance *it = calloc(1, sizeof(*it));
    if (!it)
        return NULL;
    list_init(&it->link);
    strcpy(it->key, key_of(instance));
    strcpy(it->node, instance->node);
    if (bytes > 0 && !(it->aliases = malloc(bytes))) {
        free(it);
        return NULL;
    }
    if (bytes > 0)
        memcpy(it->aliases, instance->aliases, bytes);
    it->alias_count = instance->alias_count;
    return it;
}

/* What it can do and hold is as it was; that it failed of late, or was ordered, is over. */
static struct fleet_instance entry_of(const struct fleet_instance *last)
{
    struct fleet_instance entry = *last;
    entry.usable = entry.tripped = entry.ordered = false;
    entry.silent = true;
    entry.epoch = 0;
    entry.holder = PREFIX_NO_HOLDER;
    return entry;
}

static void make_room(struct away *away)
{
    if (away->count == AWAY_INSTANCES_MAX)
        forget(away, list_entry(away->instances.next, struct away_instance, link));
}

void away_note_lost(
        struct away *away, const struct instance *instance, const struct fleet_instance *last)
{
    const struct fleet_instance entry = entry_of(last);
    away_note_found(away, instance);
    make_room(away);
    struct away_instance *it = instance_create(instance);
    if (!it)
        return;
    if (fleet_add(away->fleet, instance->model, &entry, 0, &it->handle)) {
        instance_free(it);
        return;
    }
    it->handle.model->ratio = last->handle->model->ratio;
    list_push_back(&away->instances, &it->link);
    away->count++;
}

void away_note_found(struct away *away, const struct instance *instance)
{
    struct away_instance *it = find(away, key_of(instance), instance->model);
    if (it)
        forget(away, it);
}

void away_note_node(struct away *away, const char *key_z85, bool connected)
{
    list_for_each (link, &away->instances) {
        struct away_instance *it = list_entry(link, struct away_instance, link);
        if (strcmp(it->key, key_z85) != 0)
            continue;
        it->connected = connected;
        it->since_ms = env_now_ms(away->env);
    }
}

void away_keep(struct away *away, bool (*may_return)(void *ctx, const char *key_z85), void *ctx)
{
    list_for_each_safe (link, &away->instances) {
        struct away_instance *it = list_entry(link, struct away_instance, link);
        if (!may_return(ctx, it->key))
            forget(away, it);
    }
}

void away_tick(struct away *away)
{
    uint64_t now_ms = env_now_ms(away->env);
    list_for_each_safe (link, &away->instances) {
        struct away_instance *it = list_entry(link, struct away_instance, link);
        if (it->connected && now_ms - it->since_ms >= AWAY_BACK_MS)
            forget(away, it);
    }
}

/* --- what is asked of them --- */

struct fleet *away_fleet(const struct away *away)
{
    return away->fleet;
}

const char *away_node(const struct fleet_instance *entry)
{
    return instance_of(entry)->node;
}

bool away_is_back(const struct fleet_instance *entry)
{
    return instance_of(entry)->connected;
}

static bool is_called(const struct away_instance *it, const char *name)
{
    for (size_t i = 0; i < it->alias_count; i++)
        if (strcmp(it->aliases[i], name) == 0)
            return true;
    return false;
}

const char *away_model(const struct away *away, const char *name)
{
    const struct fleet_model *model = fleet_find(away->fleet, name);
    for (size_t m = 0; !model && m < fleet_model_count(away->fleet); m++) {
        const struct fleet_model *it = fleet_model_at(away->fleet, m);
        for (uint32_t i = 0; !model && i < it->count; i++)
            if (is_called(instance_of(&it->at[i]), name))
                model = it;
    }
    return model ? model->name : NULL;
}
