/* A world whose clock stands still until the test moves it, and whose randomness repeats. */
#pragma once

#include "common/env.h"

#include <stdint.h>

struct virtual_env {
    struct env env;
    uint64_t now_us;
    uint64_t random; /* state of the generator */
};

/* Begins at a time that is not 0. `env` is valid as long as the struct stays where it is. */
void virtual_env_init(struct virtual_env *world);
void virtual_env_advance_ms(struct virtual_env *world, uint64_t ms);
