#include "common/text.h"
#include "node/residency/footprint.h"
#include "node/residency/supervisor_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_TEXT_MAX = 32 };

/* NULL where malloc refuses, or the source is not to change. */
static struct source *source_of(const struct supervisor *s, const struct supervisor_load *load)
{
    const struct footprint_room room = supervisor_room(s);

    if (load->settings == NULL)
        return NULL;
    return source_of_file(s->config.ops, load->model, load->settings, &room);
}

static bool needs_another_engine(
        const struct instance *instance, const struct supervisor_load *load)
{
    const struct model_settings *now = instance_settings(instance);

    return load->settings != NULL &&
           (now == NULL || !model_settings_same_engine(now, load->settings));
}

static void mark_replaced(const struct supervisor *s, const struct supervisor_load *load,
        struct residency_model *models)
{
    for (size_t i = 0; i < s->count; i++) {
        const char *name = instance_name(s->instances[i]);
        models[i].replaced = strcmp(name, load->name) == 0 ||
                             (load->replaces != NULL && strcmp(name, load->replaces) == 0);
    }
}

static struct residency_model candidate_of(const struct supervisor *s,
        const struct supervisor_load *load, const struct instance *instance)
{
    const struct footprint_room room = supervisor_room(s);
    struct residency_model candidate = {
            .name = load->name, .memory_bytes = instance_load_bytes(instance)};
    struct footprint footprint;

    if (load->settings == NULL)
        return candidate;
    footprint_of(load->model, load->settings, &room, &footprint);
    candidate.memory_bytes =
            instance_load_bytes_with(instance, load->model, load->settings, &footprint);
    return candidate;
}

/* In words of a person who decides about it; `room_bytes` are those of that way. */
static void word_way(enum residency_way way, uint64_t bytes, uint64_t room_bytes,
        const struct supervisor_load *load, char text[SUPERVISOR_TEXT_MAX])
{
    char need[SIZE_TEXT_MAX], room[SIZE_TEXT_MAX];

    text_format_size(bytes, need, sizeof need);
    text_format_size(room_bytes, room, sizeof room);
    switch (way) {
    case RESIDENCY_WAY_BESIDE:
        (void)snprintf(text, SUPERVISOR_TEXT_MAX,
                "it takes %s and fits beside what is loaded (room for %s)", need, room);
        break;
    case RESIDENCY_WAY_SWAP:
        (void)snprintf(text, SUPERVISOR_TEXT_MAX,
                "it takes %s, for which there is room (%s) once %s has finished its requests and "
                "ended",
                need, room, load->replaces != NULL ? load->replaces : "what is loaded now");
        break;
    case RESIDENCY_WAY_NEVER:
        (void)snprintf(text, SUPERVISOR_TEXT_MAX, "it takes %s, and there is room for %s at most",
                need, room);
        break;
    }
}

static void add_context_that_fits(
        const struct supervisor_load *load, uint64_t room_bytes, char text[SUPERVISOR_TEXT_MAX])
{
    size_t len = strlen(text);
    struct model_run run;
    uint32_t context;

    if (load->settings == NULL || load->model->shape.tensor_bytes == 0)
        return;
    run = footprint_run(load->model, load->settings, load->settings->context);
    context = estimate_context(&load->model->shape, &run, room_bytes);
    if (context == 0)
        return;
    (void)snprintf(text + len, SUPERVISOR_TEXT_MAX - len,
            ": with a context of %" PRIu32 " tokens or less it would fit", context);
}

static enum order_way rehearse_on(struct supervisor *s, const struct supervisor_load *load,
        struct residency_model *models, char text[SUPERVISOR_TEXT_MAX])
{
    static const enum order_way ways[] = {[RESIDENCY_WAY_BESIDE] = ORDER_WAY_BESIDE,
            [RESIDENCY_WAY_SWAP] = ORDER_WAY_SWAP,
            [RESIDENCY_WAY_NEVER] = ORDER_WAY_NONE};
    struct residency_model candidate = candidate_of(s, load, supervisor_find(s, load->name));
    struct residency_host host;
    enum residency_way way;
    uint64_t room_bytes;

    memory_look(s->memory);
    host = supervisor_host(s);
    supervisor_snapshot(s, models);
    mark_replaced(s, load, models);
    way = residency_rehearse(&host, models, s->count, &candidate, &room_bytes);
    word_way(way, candidate.memory_bytes, room_bytes, load, text);
    if (way == RESIDENCY_WAY_NEVER)
        add_context_that_fits(load, room_bytes, text);
    return ways[way];
}

enum order_way supervisor_rehearse(struct supervisor *s, const struct supervisor_load *load,
        char ret_text[SUPERVISOR_TEXT_MAX])
{
    const struct instance *instance = supervisor_find(s, load->name);
    struct residency_model *models;
    enum order_way way;

    (void)snprintf(ret_text, SUPERVISOR_TEXT_MAX, "it is loaded so");
    if (instance_is_current(instance) && !needs_another_engine(instance, load))
        return ORDER_WAY_THERE;
    models = calloc(s->count, sizeof *models);
    if (models == NULL) {
        (void)snprintf(ret_text, SUPERVISOR_TEXT_MAX, "out of memory");
        return ORDER_WAY_NONE;
    }
    way = rehearse_on(s, load, models, ret_text);
    free(models);
    return way;
}

static void load_beside(
        struct supervisor *s, const char *name, struct source *source, struct instance_wait *wait)
{
    struct instance *heir;

    supervisor_give_up_successor(s, name);
    heir = supervisor_add(s, name, INSTANCE_SUCCESSOR);
    if (heir == NULL) {
        source_destroy(source);
        instance_wait(supervisor_find(s, name), wait); /* the old one is better than none */
        return;
    }
    instance_put(heir, source);
    instance_wait(heir, wait);
}

void supervisor_load(struct supervisor *s, const struct supervisor_load *load, enum order_way way,
        struct instance_wait *wait)
{
    struct instance *instance = supervisor_find(s, load->name);
    struct instance *replaced = load->replaces == NULL ? NULL : supervisor_find(s, load->replaces);
    bool another = instance_has_engine(instance) && needs_another_engine(instance, load);
    struct source *source = source_of(s, load);

    if (way == ORDER_WAY_SWAP && replaced != NULL)
        instance_leave(replaced, "another model takes its place");
    if (source != NULL && another && way == ORDER_WAY_BESIDE) {
        load_beside(s, load->name, source, wait);
        return;
    }
    if (source != NULL)
        supervisor_put(s, load->name, source);
    if (another)
        instance_leave(instance, "it is loaded with other settings");
    instance_wait(instance, wait);
}

void supervisor_unload(struct supervisor *s, const char *name)
{
    struct instance *instance = supervisor_find(s, name);

    supervisor_give_up_successor(s, name);
    if (instance != NULL)
        instance_leave(instance, "it was ordered to go");
}

void supervisor_engine_pin(struct supervisor *s, const char *name, bool pin)
{
    struct instance *instance = supervisor_find(s, name);

    if (instance != NULL)
        instance_pin(instance, pin);
}
