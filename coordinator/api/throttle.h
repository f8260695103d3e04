/* Slows down whoever tries keys: after THROTTLE_FREE failures an address waits, twice as long after
 * each more, up to THROTTLE_MAX_S; a success clears it, and an hour without a try forgets it. IPv6
 * counts by /64. Bounded: where the table is full the address that is quiet for longest gives its
 * place. Pure but for its memory; time is given. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    THROTTLE_FREE = 5, /* failures that cost nothing */
    THROTTLE_MAX_S = 60,
    THROTTLE_ADDRESSES_MAX = 1024,
    THROTTLE_FORGET_MS = 60 * 60 * 1000,
};

struct throttle;

struct throttle *throttle_create(void); /* NULL where malloc refuses */
void throttle_destroy(struct throttle *throttle);
/* Seconds until the address may try again, rounded up; 0: now. */
uint32_t throttle_wait_s(const struct throttle *throttle, const char *address, uint64_t now_ms);
void throttle_failed(struct throttle *throttle, const char *address, uint64_t now_ms);
void throttle_succeeded(struct throttle *throttle, const char *address);
