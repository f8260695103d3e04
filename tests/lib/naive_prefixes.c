#include "tests/lib/naive_prefixes.h"

#include <assert.h>
#include <stdlib.h>

void naive_prefixes_fini(struct naive_prefixes *all)
{
    for (uint32_t i = 0; i < NAIVE_HOLDERS_MAX; i++)
        naive_prefixes_drop(all, i);
}

void naive_prefixes_add(struct naive_prefixes *all, uint32_t holder, uint32_t capacity)
{
    assert(holder < NAIVE_HOLDERS_MAX && !all->holders[holder].places);
    assert(capacity <= NAIVE_CAPACITY_MAX);
    all->holders[holder] = (struct naive_holder){
            .places = calloc(NAIVE_CAPACITY_MAX, sizeof(struct naive_place)), .capacity = capacity};
}

void naive_prefixes_drop(struct naive_prefixes *all, uint32_t holder)
{
    free(all->holders[holder].places);
    all->holders[holder] = (struct naive_holder){0};
}

static struct naive_place *find(const struct naive_holder *holder, uint64_t hash)
{
    for (size_t i = 0; i < holder->count; i++)
        if (holder->places[i].hash == hash)
            return &holder->places[i];
    return NULL;
}

/* `*left`: places until the hand has come around. */
static void advance(struct naive_holder *holder, size_t *left)
{
    if (++holder->hand == holder->count)
        holder->hand = 0;
    *left -= *left > 0;
}

static size_t touch(struct naive_holder *holder, const uint64_t *chain, size_t count)
{
    struct naive_place *place;
    for (size_t i = 0; i < count; i++)
        if ((place = find(holder, chain[i])))
            place->state = NAIVE_HOT;
    return holder->count;
}

/* What of the chain is there is touched again when the hand has come around. */
static struct naive_place *sweep(
        struct naive_holder *holder, const uint64_t *chain, size_t count, size_t *left)
{
    for (;; advance(holder, left)) {
        if (*left == 0)
            *left = touch(holder, chain, count);
        struct naive_place *place = &holder->places[holder->hand];
        if (place->state != NAIVE_HOT)
            return place;
        place->state = NAIVE_COLD;
    }
}

void naive_prefixes_note(
        struct naive_prefixes *all, uint32_t number, const uint64_t *chain, size_t count)
{
    struct naive_holder *holder = &all->holders[number];
    size_t fit = count < holder->capacity ? count : holder->capacity;
    size_t left = touch(holder, chain, fit);
    for (size_t i = fit; i-- > 0;) {
        if (find(holder, chain[i]))
            continue;
        struct naive_place *place = &holder->places[holder->count];
        if (holder->count < holder->capacity)
            holder->count++;
        else
            place = sweep(holder, chain, fit, &left);
        *place = (struct naive_place){.hash = chain[i]};
        if (place == &holder->places[holder->hand])
            advance(holder, &left);
    }
}

void naive_prefixes_correct(struct naive_prefixes *all, uint32_t number, const uint64_t *chain,
        size_t count, size_t kept)
{
    for (size_t i = kept; i < count; i++) {
        struct naive_place *place = find(&all->holders[number], chain[i]);
        if (place)
            place->state = NAIVE_GHOST;
    }
}

void naive_prefixes_resize(struct naive_prefixes *all, uint32_t number, uint32_t capacity)
{
    struct naive_holder *holder = &all->holders[number];
    assert(capacity <= NAIVE_CAPACITY_MAX);
    for (holder->capacity = capacity; holder->count > capacity;) {
        size_t left = holder->count;
        struct naive_place *gap = sweep(holder, NULL, 0, &left);
        *gap = holder->places[--holder->count];
        if (holder->hand == holder->count)
            holder->hand = 0;
    }
}

uint32_t naive_prefixes_find(
        const struct naive_prefixes *all, uint32_t number, const uint64_t *chain, size_t count)
{
    uint32_t blocks = 0;
    for (; blocks < count; blocks++) {
        const struct naive_place *place = find(&all->holders[number], chain[blocks]);
        if (!place || place->state == NAIVE_GHOST)
            break;
    }
    return blocks;
}

size_t naive_prefixes_held(const struct naive_prefixes *all)
{
    size_t held = 0;
    for (uint32_t i = 0; i < NAIVE_HOLDERS_MAX; i++)
        for (size_t j = 0; j < all->holders[i].count; j++)
            held += all->holders[i].places[j].state != NAIVE_GHOST;
    return held;
}
