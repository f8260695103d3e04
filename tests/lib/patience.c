#include "tests/lib/patience.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void out_of_patience(void *ctx)
{
    (void)ctx;
    fprintf(stderr, "# the event that this test waits for did not come\n");
    abort();
}

struct loop_timer *patience_start(struct loop *loop, uint64_t ms)
{
    struct loop_timer *timer = loop_timer_create(loop, out_of_patience, NULL);
    if (!timer)
        abort();
    loop_timer_start(timer, ms, 0);
    return timer;
}

struct span {
    struct loop *loop;
    bool over;
};

/* Stops the loop, which would else go on to sleep in the same turn. */
static void time_is_over(void *ctx)
{
    struct span *span = ctx;
    span->over = true;
    loop_stop(span->loop);
}

void patience_run_for(struct loop *loop, uint64_t ms)
{
    struct span span = {.loop = loop};
    struct loop_timer *timer = loop_timer_create(loop, time_is_over, &span);
    if (!timer)
        abort();
    loop_timer_start(timer, ms, 0);
    while (!span.over)
        uv_run(&loop->uv, UV_RUN_ONCE);
    loop_timer_destroy(timer);
}
