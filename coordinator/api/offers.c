#include "coordinator/api/offers.h"

#include "coordinator/modes/mode_names.h"
#include "coordinator/modes/mode_needs.h"

#include <stdio.h>
#include <string.h>

static bool may_use_mode(const struct offers *offers, const char *mode)
{
    return !offers->allows_mode || offers->allows_mode(offers->ctx, mode);
}

static bool may_use_model(const struct offers *offers, const char *model)
{
    return !offers->allows_model || offers->allows_model(offers->ctx, model);
}

/* Of the nodes' instances of a model the one that tells most: a resident one, else any. */
static const struct instance *find_instance(const struct offers *offers, const char *name)
{
    const char *model = node_table_model(offers->nodes, name);
    const struct instance *found = NULL;
    size_t count;
    struct instance *const *instances = node_table_instances(offers->nodes, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(instances[i]->model, model) != 0)
            continue;
        if (instances[i]->state == INSTANCE_RESIDENT)
            return instances[i];
        if (!found)
            found = instances[i];
    }
    return found;
}

enum readiness { READY_NEVER, READY_TO_LOAD, READY_TO_ANSWER };

/* A node that is silent is back in a moment, or gone. What swaps is for batch work alone. */
static enum readiness readiness_of(const struct instance *instance, bool batch)
{
    if ((!instance->usable && !instance->silent) || (instance->batch_only && !batch))
        return READY_NEVER;
    if (instance->state == INSTANCE_RESIDENT)
        return READY_TO_ANSWER;
    return instance->fits ? READY_TO_LOAD : READY_NEVER;
}

static bool may_answer(const struct offers *offers, const struct instance *instance,
        char *const *models, size_t model_count)
{
    for (size_t i = 0; i < model_count; i++)
        if (strcmp(instance->model, node_table_model(offers->nodes, models[i])) == 0)
            return may_use_model(offers, instance->model);
    return false;
}

static bool is_shorter(uint32_t context, uint32_t than)
{
    return context && (!than || context < than);
}

/* What each of those takes that are as ready as any: requests go to resident engines, and only
 * where there is none is one loaded. */
static uint32_t least_context(
        const struct offers *offers, char *const *models, size_t model_count, bool batch)
{
    enum readiness best = READY_NEVER;
    uint32_t least = 0;
    size_t count;
    struct instance *const *instances = node_table_instances(offers->nodes, &count);
    for (size_t i = 0; i < count; i++) {
        enum readiness readiness = readiness_of(instances[i], batch);
        if (readiness < best || !may_answer(offers, instances[i], models, model_count))
            continue;
        if (readiness > best || is_shorter(instances[i]->context, least))
            least = instances[i]->context;
        best = readiness;
    }
    return least;
}

/* With rules by context a request goes to a model that holds it: the longest counts then. */
static uint32_t mode_context(
        const struct offers *offers, const struct mode *mode, char *const *models, size_t count)
{
    uint32_t most = 0;
    if (mode->rule_count == 0)
        return least_context(offers, models, count, mode->batch);
    for (size_t i = 0; i < count; i++) {
        uint32_t context = least_context(offers, &models[i], 1, mode->batch);
        if (context > most)
            most = context;
    }
    return most;
}

static void describe(struct offer *offer, const struct instance *instance)
{
    offer->instance = instance;
    offer->capabilities = instance ? instance->capabilities : 0;
}

/* Of the mode's models those that answer to this name of it, to this caller. */
static size_t models_left(const struct offers *offers, const struct mode *mode, const char *id,
        char *ret_left[MODE_MODELS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < mode->model_count; i++)
        if (modes_name_leaves(offers->modes, mode, id, mode->models[i]) &&
                may_use_model(offers, mode->models[i]))
            ret_left[count++] = mode->models[i];
    return count;
}

static void make_mode(
        const struct offers *offers, const struct mode *mode, const char *id, struct offer *ret)
{
    char *left[MODE_MODELS_MAX];
    size_t count = models_left(offers, mode, id, left);
    const struct instance *instance = NULL;
    for (size_t i = 0; i < count && !instance; i++)
        instance = find_instance(offers, left[i]);
    *ret = (struct offer){.kind = OFFER_MODE, .mode = mode->name};
    snprintf(ret->id, sizeof(ret->id), "%s", id);
    describe(ret, instance);
    ret->context = mode_context(offers, mode, left, count);
}

/* `name` is its own or an alias. */
static void make_model(const struct offers *offers, const char *name,
        const struct instance *instance, struct offer *ret)
{
    bool own = strcmp(name, instance->model) == 0;
    *ret = (struct offer){.kind = own ? OFFER_MODEL : OFFER_ALIAS};
    snprintf(ret->id, sizeof(ret->id), "%s", name);
    describe(ret, instance);
    char *models[] = {ret->id};
    ret->context = least_context(offers, models, 1, false);
}

static int offer_mode(const struct offers *offers, const struct mode *mode, const char *name,
        int (*fn)(void *ctx, const struct offer *offer), void *ctx)
{
    struct offer offer;
    char id[OFFER_ID_MAX + 1];
    snprintf(id, sizeof(id), "%s%s", MODE_ALIAS, name);
    make_mode(offers, mode, id, &offer);
    int r = fn(ctx, &offer);
    if (r || !offers->claude_names)
        return r;
    snprintf(offer.id, sizeof(offer.id), "%s%s", MODE_ALIAS_CLAUDE, name);
    return fn(ctx, &offer);
}

/* True where nothing else goes by the name `id`, which is this mode's with a model. */
static bool is_its_name(const struct offers *offers, const struct mode *mode, const char *id)
{
    return modes_resolve_own(offers->modes, id) == mode &&
           !modes_name_is_open(offers->modes, mode, id) && !find_instance(offers, id);
}

/* mesh-MODE-MODEL of the first model that a node has for it. False: there is none, or none that may
 * be asked for by such a name. */
static bool name_with_model(
        const struct offers *offers, const struct mode *mode, char ret_id[OFFER_ID_MAX + 1])
{
    for (size_t i = 0; i < mode->model_count; i++) {
        const char *model = mode->models[i];
        const struct instance *instance = find_instance(offers, model);
        if (!instance || !(instance->capabilities & mode_needs(mode->name)) ||
                !may_use_model(offers, model))
            continue;
        int len = snprintf(ret_id, OFFER_ID_MAX + 1, "%s%s-%s", MODE_ALIAS, mode->name, model);
        return len <= MSG_NAME_MAX && is_its_name(offers, mode, ret_id);
    }
    return false;
}

/* Clients that write a model's tokens themselves know them by the model's name. */
static int offer_with_model(const struct offers *offers, const struct mode *mode,
        int (*fn)(void *ctx, const struct offer *offer), void *ctx)
{
    struct offer offer;
    char id[OFFER_ID_MAX + 1];
    if (mode_needs(mode->name) != CAPABILITY_FIM || !name_with_model(offers, mode, id))
        return 0;
    make_mode(offers, mode, id, &offer);
    return fn(ctx, &offer);
}

static bool is_allowed(const void *ctx, const struct mode *mode)
{
    return may_use_mode(ctx, mode->name);
}

/* The one that stands for `auto` here: where it goes that is told by nothing else. */
static const struct mode *mode_of_auto(const struct offers *offers)
{
    return modes_fallback(offers->modes, is_allowed, offers);
}

/* What the config means by a mode. */
static const struct mode *mode_meant(const struct offers *offers, const char *name)
{
    return strcmp(name, MODE_AUTO) == 0 ? mode_of_auto(offers) : modes_find(offers->modes, name);
}

static int offer_modes(
        const struct offers *offers, int (*fn)(void *ctx, const struct offer *offer), void *ctx)
{
    int r = 0;
    for (size_t i = 0; !r && i < offers->modes->count; i++) {
        const struct mode *mode = &offers->modes->list[i];
        if (!may_use_mode(offers, mode->name))
            continue;
        r = offer_mode(offers, mode, mode->name, fn, ctx);
        if (!r)
            r = offer_with_model(offers, mode, fn, ctx);
    }
    const struct mode *automatic = mode_of_auto(offers);
    return !r && automatic ? offer_mode(offers, automatic, MODE_AUTO, fn, ctx) : r;
}

/* Those that the config has: what editors call modes anyhow would only be in the way of a list. */
static int offer_mode_aliases(
        const struct offers *offers, int (*fn)(void *ctx, const struct offer *offer), void *ctx)
{
    int r = 0;
    for (size_t i = 0; !r && i < offers->modes->alias_count; i++) {
        const struct mode_alias *alias = &offers->modes->aliases[i];
        const struct mode *mode = alias->foreign ? NULL : mode_meant(offers, alias->target);
        if (mode && may_use_mode(offers, mode->name))
            r = offer_mode(offers, mode, alias->name, fn, ctx);
    }
    return r;
}

/* What is called like a mode cannot be asked for by that name. */
static bool can_be_named(const struct offers *offers, const char *name)
{
    return strcmp(name, MODE_AUTO) != 0 && !modes_find(offers->modes, name) &&
           may_use_model(offers, name);
}

static bool find_model(const struct offers *offers, const char *name, struct offer *ret_offer)
{
    const struct instance *instance = find_instance(offers, name);
    if (!instance || !can_be_named(offers, name))
        return false;
    make_model(offers, name, instance, ret_offer);
    return true;
}

static int offer_model(const struct offers *offers, const char *name,
        int (*fn)(void *ctx, const struct offer *offer), void *ctx)
{
    struct offer offer;
    return find_model(offers, name, &offer) ? fn(ctx, &offer) : 0;
}

static bool find_mode(const struct offers *offers, const struct mode *mode, const char *name,
        struct offer *ret_offer)
{
    if (!mode || !may_use_mode(offers, mode->name))
        return false;
    make_mode(offers, mode, name, ret_offer);
    return true;
}

/* By a mode's own name, "auto" among them. */
static const struct mode *own_mode(const struct offers *offers, const char *name)
{
    return modes_spells_auto(name) ? mode_of_auto(offers) : modes_resolve_own(offers->modes, name);
}

/* … or by one that stands for a mode. */
static const struct mode *some_mode(const struct offers *offers, const char *name)
{
    return modes_calls_auto(offers->modes, name) ? mode_of_auto(offers)
                                                 : modes_resolve(offers->modes, name);
}

/* What `name` is without an alias for foreign models; the order is that of modes/mode_names.h. */
static bool find_known(const struct offers *offers, const char *name, struct offer *ret_offer)
{
    char plain[MSG_NAME_MAX + 1];
    modes_plain_name(name, plain);
    return find_model(offers, name, ret_offer) ||
           find_mode(offers, own_mode(offers, name), name, ret_offer) ||
           find_model(offers, plain, ret_offer) ||
           find_mode(offers, some_mode(offers, name), name, ret_offer);
}

/* A tool asks for it by this name, and is to find it under this name. */
static bool find_foreign(const struct offers *offers, const char *name, struct offer *ret_offer)
{
    const char *meant = modes_foreign(offers->modes, name);
    if (!meant || !find_known(offers, meant, ret_offer))
        return false;
    snprintf(ret_offer->id, sizeof(ret_offer->id), "%s", name);
    ret_offer->kind = OFFER_ALIAS;
    return true;
}

/* A name that ends with '*' is none to ask for. */
static int offer_foreign(
        const struct offers *offers, int (*fn)(void *ctx, const struct offer *offer), void *ctx)
{
    struct offer offer;
    int r = 0;
    for (size_t i = 0; !r && i < offers->modes->alias_count; i++) {
        const struct mode_alias *alias = &offers->modes->aliases[i];
        if (alias->foreign && !strchr(alias->name, '*') &&
                !find_known(offers, alias->name, &offer) &&
                find_foreign(offers, alias->name, &offer))
            r = fn(ctx, &offer);
    }
    return r;
}

int offers_each(
        const struct offers *offers, int (*fn)(void *ctx, const struct offer *offer), void *ctx)
{
    size_t model_count, alias_count;
    int r = offer_modes(offers, fn, ctx);
    if (!r)
        r = offer_mode_aliases(offers, fn, ctx);
    struct instance *const *models = node_table_models(offers->nodes, &model_count);
    const struct alias *aliases = node_table_aliases(offers->nodes, &alias_count);
    for (size_t i = 0; !r && i < model_count; i++)
        r = offer_model(offers, models[i]->model, fn, ctx);
    for (size_t i = 0; !r && i < alias_count; i++)
        r = offer_model(offers, aliases[i].name, fn, ctx);
    return r ? r : offer_foreign(offers, fn, ctx);
}

bool offers_find(const struct offers *offers, const char *name, struct offer *ret_offer)
{
    return find_known(offers, name, ret_offer) || find_foreign(offers, name, ret_offer);
}
