#include "tests/sim/virtual_clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    US_PER_S = 1000000,
    NS_PER_US = 1000,
    READS_MAX = 1000000, /* without the clock having moved: the program goes round and round */
};

static const struct virtual_env *followed;
static uint64_t last_us;
static unsigned reads; /* at that time */

static void watch_for_a_standstill(void)
{
    reads = followed->now_us == last_us ? reads + 1 : 0;
    last_us = followed->now_us;
    if (reads < READS_MAX)
        return;
    (void)fprintf(stderr, "there is always something due at %" PRIu64 " ms\n", last_us / 1000);
    abort();
}

/* In the place of the C library's, which libuv and env_system read. */
int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    bool monotonic = id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE;

    if (followed == NULL || !monotonic)
        return (int)syscall(SYS_clock_gettime, id, ret_time);
    watch_for_a_standstill();
    ret_time->tv_sec = (time_t)(followed->now_us / US_PER_S);
    ret_time->tv_nsec = (long)(followed->now_us % US_PER_S * NS_PER_US);
    return 0;
}

void virtual_clock_follow(const struct virtual_env *world)
{
    followed = world;
}

uint64_t virtual_clock_due_ms(struct loop *loop)
{
    int timeout_ms;

    uv_update_time(&loop->uv);
    timeout_ms = uv_backend_timeout(&loop->uv);
    return timeout_ms < 0 ? UINT64_MAX : (uint64_t)timeout_ms;
}

void virtual_clock_run(struct loop *loop)
{
    do
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    while (virtual_clock_due_ms(loop) == 0);
}
