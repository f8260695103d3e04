#include "node/residency/residency_room.h"

#include "common/number.h"
#include "common/saturating.h"

bool residency_swaps(const struct residency_host *host, uint64_t memory_bytes)
{
    return memory_bytes > host->limit_bytes && memory_bytes - host->limit_bytes <= host->swap_bytes;
}

bool room_holds(const struct residency_model *model)
{
    return model->state != RESIDENCY_ABSENT && !model->foreign;
}

/* What a model has of the pool; of one that swaps, the rest is elsewhere. */
static uint64_t pool_bytes(const struct residency_host *host, const struct residency_model *model)
{
    return residency_swaps(host, model->memory_bytes) ? host->limit_bytes : model->memory_bytes;
}

static uint64_t taken_bytes(const struct residency_host *host, const struct residency_model *model)
{
    return number_lesser(model->taken_bytes, pool_bytes(host, model));
}

/* What its engine will still take: one that stops takes no more. */
static uint64_t promised_bytes(
        const struct residency_host *host, const struct residency_model *model)
{
    return model->state == RESIDENCY_STOPPING ? 0
                                              : pool_bytes(host, model) - taken_bytes(host, model);
}

uint64_t residency_used_bytes(const struct residency_model *models, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        if (room_holds(&models[i]))
            sum = saturating_sum(sum, models[i].memory_bytes);
    return sum;
}

struct room room_now(
        const struct residency_host *host, const struct residency_model *models, size_t count)
{
    struct room room = {.free_bytes = host->pool_free_bytes, .owed_bytes = host->keep_free_bytes};

    for (size_t i = 0; i < count; i++) {
        if (!room_holds(&models[i]))
            continue;
        room.used_bytes = saturating_sum(room.used_bytes, pool_bytes(host, &models[i]));
        room.owed_bytes = saturating_sum(room.owed_bytes, promised_bytes(host, &models[i]));
    }
    return room;
}

struct room room_without(
        struct room room, const struct residency_host *host, const struct residency_model *engine)
{
    return (struct room){
            .used_bytes = saturating_difference(room.used_bytes, pool_bytes(host, engine)),
            .free_bytes = saturating_sum(room.free_bytes, taken_bytes(host, engine)),
            .owed_bytes = saturating_difference(room.owed_bytes, promised_bytes(host, engine)),
    };
}

struct room room_with(
        struct room room, const struct residency_host *host, const struct residency_model *engine)
{
    return (struct room){
            .used_bytes = saturating_sum(room.used_bytes, pool_bytes(host, engine)),
            .free_bytes = saturating_difference(room.free_bytes, taken_bytes(host, engine)),
            .owed_bytes = saturating_sum(room.owed_bytes, promised_bytes(host, engine)),
    };
}

struct room room_with_load(
        struct room room, const struct residency_host *host, const struct residency_model *model)
{
    room.used_bytes = saturating_sum(room.used_bytes, pool_bytes(host, model));
    room.owed_bytes = saturating_sum(room.owed_bytes, pool_bytes(host, model));
    return room;
}

bool room_within_limit(
        struct room room, const struct residency_host *host, const struct residency_model *model)
{
    return saturating_sum(room.used_bytes, pool_bytes(host, model)) <= host->limit_bytes;
}

bool room_fits(
        struct room room, const struct residency_host *host, const struct residency_model *model)
{
    return room_within_limit(room, host, model) &&
           saturating_sum(room.owed_bytes, pool_bytes(host, model)) <= room.free_bytes;
}

uint64_t room_over_limit(struct room room, const struct residency_host *host)
{
    return saturating_difference(room.used_bytes, host->limit_bytes);
}

uint64_t room_short_bytes(struct room room, const struct residency_host *host)
{
    uint64_t slack = host->keep_free_bytes / RESIDENCY_SLACK_DIVISOR;

    return saturating_difference(room.owed_bytes, saturating_sum(room.free_bytes, slack));
}

uint64_t room_left(struct room room, const struct residency_host *host)
{
    return number_lesser(saturating_difference(host->limit_bytes, room.used_bytes),
            saturating_difference(room.free_bytes, room.owed_bytes));
}

struct residency_room residency_room(const struct residency_host *host,
        const struct residency_model *models, size_t count, const struct residency_model *model)
{
    struct room alone = room_now(host, models, count), beside_pins = alone, now = alone;

    for (size_t i = 0; i < count; i++) {
        const struct residency_model *other = &models[i];
        if (!room_holds(other))
            continue;
        alone = room_without(alone, host, other);
        if (!other->pinned || other == model)
            beside_pins = room_without(beside_pins, host, other);
        if (other->state == RESIDENCY_STOPPING || other == model)
            now = room_without(now, host, other);
    }
    return (struct residency_room){.alone_bytes = room_left(alone, host),
            .beside_pins_bytes = room_left(beside_pins, host),
            .now_bytes = room_left(now, host)};
}

static bool stays(const struct residency_model *other, bool swap)
{
    if (swap)
        return other->pinned && !other->replaced;
    return other->pinned || other->busy || other->replaced;
}

static uint64_t room_beside_those_that_stay(const struct residency_host *host,
        const struct residency_model *models, size_t count, bool swap)
{
    struct room room = room_now(host, models, count);

    for (size_t i = 0; i < count; i++)
        if (room_holds(&models[i]) && !stays(&models[i], swap))
            room = room_without(room, host, &models[i]);
    return room_left(room, host);
}

enum residency_way residency_rehearse(const struct residency_host *host,
        const struct residency_model *models, size_t count, const struct residency_model *model,
        uint64_t *ret_room_bytes)
{
    uint64_t bytes = pool_bytes(host, model);

    *ret_room_bytes = room_beside_those_that_stay(host, models, count, false);
    if (bytes <= *ret_room_bytes)
        return RESIDENCY_WAY_BESIDE;
    *ret_room_bytes = room_beside_those_that_stay(host, models, count, true);
    return bytes <= *ret_room_bytes ? RESIDENCY_WAY_SWAP : RESIDENCY_WAY_NEVER;
}
