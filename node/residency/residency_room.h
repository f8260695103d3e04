/* The arithmetic of residency.h: what there is for engines, at one moment, real or to come. For
 * residency*.c only. Pure; all sums stop at 0 and UINT64_MAX. */
#pragma once

#include "node/residency/residency.h"

struct room {
    uint64_t used_bytes; /* counts against the limit */
    uint64_t free_bytes; /* in the pool … */
    uint64_t owed_bytes; /* … and how much of that is spoken for */
};

/* True where memory of this node is taken by the model or promised to it. */
bool room_holds(const struct residency_model *model);

/* With every engine, those that stop too. */
struct room room_now(
        const struct residency_host *host, const struct residency_model *models, size_t count);
/* Once `engine`, which is in it, has ended … */
struct room room_without(
        struct room room, const struct residency_host *host, const struct residency_model *engine);
/* … and the reverse. */
struct room room_with(
        struct room room, const struct residency_host *host, const struct residency_model *engine);
/* With `model`, which has no engine, promised its memory. */
struct room room_with_load(
        struct room room, const struct residency_host *host, const struct residency_model *model);

/* Whether `model`, which has no engine, has room under the limit … */
bool room_within_limit(
        struct room room, const struct residency_host *host, const struct residency_model *model);
/* … and in the pool too. */
bool room_fits(
        struct room room, const struct residency_host *host, const struct residency_model *model);
/* The most that a load may take. */
uint64_t room_left(struct room room, const struct residency_host *host);

/* What is taken above the limit, … */
uint64_t room_over_limit(struct room room, const struct residency_host *host);
/* … and what has been promised and is not there, or is to stay free, a part of that for sure. */
uint64_t room_short_bytes(struct room room, const struct residency_host *host);
