#include "tests/lib/engine_bench.h"

#include "tests/lib/patience.h"

#include <stdlib.h>

void engine_bench_init(struct engine_bench *bench)
{
    *bench = (struct engine_bench){.toy = toy_answers_create()};
    if (loop_init(&bench->loop) < 0)
        abort();
    bench->http = http_client_create(&bench->loop);
    bench->patience = patience_start(&bench->loop, ENGINE_BENCH_PATIENCE_MS);
    if (bench->http == NULL)
        abort();
    bench->address.url = toy_answers_url(bench->toy);
}

void engine_bench_hang_up(struct engine_bench *bench)
{
    toy_answers_destroy(bench->toy);
    bench->toy = NULL;
}

void engine_bench_fini(struct engine_bench *bench)
{
    http_client_destroy(bench->http);
    toy_answers_destroy(bench->toy);
    loop_timer_destroy(bench->patience);
    loop_fini(&bench->loop);
}
