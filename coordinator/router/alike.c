#include "coordinator/router/alike.h"

#include <string.h>

static struct seat *seat_at(const struct fleet_model *model, uint32_t index)
{
    return list_entry(model->at[index].handle, struct seat, handle);
}

static bool is_alike(const struct seat_content *one, const struct seat_content *other)
{
    return one->known && other->known &&
           memcmp(one->fingerprint, other->fingerprint, MSG_FINGERPRINT_BYTES) == 0;
}

static uint32_t denied_by_engines(
        const struct fleet_model *model, const struct seat_content *content)
{
    bool some_take = false, some_do_not = false;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct seat_content *other = &seat_at(model, i)->content;
        if (!other->told || !is_alike(content, other))
            continue;
        some_take |= other->takes_tools;
        some_do_not |= !other->takes_tools;
    }
    return some_do_not && !some_take ? CAPABILITY_TOOLS : 0;
}

static void tell_all(const struct fleet_model *model, const struct seat_content *content)
{
    uint32_t denied = denied_by_engines(model, content);
    for (uint32_t i = 0; i < model->count; i++) {
        struct seat *seat = seat_at(model, i);
        if (seat->denied == denied || !is_alike(content, &seat->content))
            continue;
        seat->denied = denied;
        fleet_at(&seat->handle)->capabilities = seat_capabilities(seat);
    }
}

static struct seat_content content_of(const struct instance *instance)
{
    struct seat_content content = {.known = instance->has_fingerprint,
            .told = instance->capabilities & CAPABILITY_EXACT,
            .takes_tools = instance->capabilities & CAPABILITY_TOOLS};
    if (content.known)
        memcpy(content.fingerprint, instance->fingerprint, MSG_FINGERPRINT_BYTES);
    return content;
}

static bool is_same(const struct seat_content *one, const struct seat_content *other)
{
    return one->known == other->known && one->told == other->told &&
           one->takes_tools == other->takes_tools &&
           memcmp(one->fingerprint, other->fingerprint, MSG_FINGERPRINT_BYTES) == 0;
}

static void change_to(struct seat *seat, const struct seat_content *content)
{
    const struct fleet_model *model = seat->handle.model;
    struct seat_content before = seat->content;
    seat->content = *content;
    seat->denied = 0;
    tell_all(model, &before);
    tell_all(model, content);
    fleet_at(&seat->handle)->capabilities = seat_capabilities(seat);
}

void alike_update(struct seat *seat)
{
    struct seat_content content = content_of(seat->instance);
    if (!is_same(&content, &seat->content))
        change_to(seat, &content);
}

void alike_leave(struct seat *seat)
{
    static const struct seat_content nothing;
    change_to(seat, &nothing);
}
