/* What a prefix index has to know and to forget, in the plainest way: each holder's ring as an
 * array, searched from end to end. With memory for all. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    NAIVE_HOLDERS_MAX = 2048,
    NAIVE_CAPACITY_MAX = 2048,
};

struct naive_place {
    uint64_t hash;
    enum { NAIVE_COLD, NAIVE_HOT, NAIVE_GHOST } state;
};

struct naive_holder {
    struct naive_place *places; /* NULL: there is no such holder */
    size_t count, capacity, hand;
};

struct naive_prefixes { /* zeroed at first */
    struct naive_holder holders[NAIVE_HOLDERS_MAX];
};

void naive_prefixes_fini(struct naive_prefixes *all);
void naive_prefixes_add(struct naive_prefixes *all, uint32_t holder, uint32_t capacity);
void naive_prefixes_drop(struct naive_prefixes *all, uint32_t holder);
void naive_prefixes_note(
        struct naive_prefixes *all, uint32_t holder, const uint64_t *chain, size_t count);
void naive_prefixes_correct(struct naive_prefixes *all, uint32_t holder, const uint64_t *chain,
        size_t count, size_t kept);
void naive_prefixes_resize(struct naive_prefixes *all, uint32_t holder, uint32_t capacity);
/* How many from the beginning; 0 for a holder that is not there. */
uint32_t naive_prefixes_find(
        const struct naive_prefixes *all, uint32_t holder, const uint64_t *chain, size_t count);
size_t naive_prefixes_held(const struct naive_prefixes *all);
