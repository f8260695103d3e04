#include "common/env.h"

#include <sodium.h>
#include <time.h>

static uint64_t system_now_us(void *ctx)
{
    struct timespec now;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int64_t system_wall_ms(void *ctx)
{
    struct timespec now;
    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void system_random(void *ctx, void *ret_bytes, size_t len)
{
    (void)ctx;
    randombytes_buf(ret_bytes, len);
}

const struct env env_system = {
        .now_us = system_now_us,
        .wall_ms = system_wall_ms,
        .random = system_random,
};

uint64_t env_now_us(const struct env *env)
{
    return env->now_us(env->ctx);
}

uint64_t env_now_ms(const struct env *env)
{
    return env_now_us(env) / 1000;
}

int64_t env_wall_ms(const struct env *env)
{
    return env->wall_ms(env->ctx);
}

uint64_t env_random_u64(const struct env *env)
{
    uint64_t value;
    env->random(env->ctx, &value, sizeof(value));
    return value;
}

char *env_random_hex(const struct env *env, char *buf, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    /* The bytes wait in the upper half of `buf`; the digits never catch up with the byte that is
     * next. */
    const unsigned char *bytes = (unsigned char *)buf + len;
    env->random(env->ctx, buf + len, len);
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = bytes[i];
        buf[2 * i] = digits[byte >> 4];
        buf[2 * i + 1] = digits[byte & 0xf];
    }
    buf[2 * len] = '\0';
    return buf;
}
