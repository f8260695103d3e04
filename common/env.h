/* What a daemon gets from the world: time, randomness, and frames to and from its peers. Everything
 * that decides something takes a `struct env`, so that a test owns the clock and a simulated
 * cluster owns the network. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct env {
    uint64_t (*now_us)(void *ctx); /* monotonic, microseconds */
    int64_t (*wall_ms)(void *ctx); /* Unix time, milliseconds */
    void (*random)(void *ctx, void *ret_bytes, size_t len);
    void *ctx;
};

/* CLOCK_MONOTONIC, CLOCK_REALTIME, libsodium's randombytes_buf (the program has called
 * sodium_init()). */
extern const struct env env_system;

uint64_t env_now_us(const struct env *env);
uint64_t env_now_ms(const struct env *env);
int64_t env_wall_ms(const struct env *env);
uint64_t env_random_u64(const struct env *env);
/* `len` random bytes as lower-case hex digits into `buf` (2·len + 1 bytes). Returns `buf`. */
char *env_random_hex(const struct env *env, char *buf, size_t len);

/* The way of frames to one kind of peer. `peer` is the handle that the receiving side was given. */
struct transport {
    /* Sends one whole frame. 0; -EAGAIN: no room now, keep it and try again; -EHOSTUNREACH: the
     * peer is gone. */
    int (*send)(void *ctx, const void *peer, const void *frame, size_t len);
    void *ctx;
};

static inline int transport_send(
        const struct transport *transport, const void *peer, const void *frame, size_t len)
{
    return transport->send(transport->ctx, peer, frame, len);
}
