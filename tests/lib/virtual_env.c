#include "tests/lib/virtual_env.h"

static uint64_t now_us(void *ctx)
{
    return ((struct virtual_env *)ctx)->now_us;
}

static int64_t wall_ms(void *ctx)
{
    return 1700000000000 + (int64_t)(((struct virtual_env *)ctx)->now_us / 1000);
}

static void random_bytes(void *ctx, void *ret_bytes, size_t len)
{
    struct virtual_env *world = ctx;
    uint8_t *bytes = ret_bytes;

    for (size_t i = 0; i < len; i++) {
        world->random = world->random * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(world->random >> 56);
    }
}

void virtual_env_init(struct virtual_env *world)
{
    *world = (struct virtual_env){.now_us = 1000000, .random = 42};
    world->env = (struct env){
            .now_us = now_us, .wall_ms = wall_ms, .random = random_bytes, .ctx = world};
}

void virtual_env_advance_ms(struct virtual_env *world, uint64_t ms)
{
    world->now_us += ms * 1000;
}
