/* What tests of questions to an engine stand on: a loop that does not run for ever, a client, and
 * an engine that answers as it is told to (toy_answers.h). What fails aborts. */
#pragma once

#include "node/backends/engine_ask.h"
#include "tests/lib/toy_answers.h"

enum { ENGINE_BENCH_PATIENCE_MS = 60000 };

struct engine_bench {
    struct loop loop;
    struct loop_timer *patience;
    struct http_client *http;
    struct toy_answers *toy;
    struct engine_address address; /* of the toy */
};

void engine_bench_init(struct engine_bench *bench);
/* Nothing is asked any more. */
void engine_bench_fini(struct engine_bench *bench);
/* From now on nobody listens at its address. */
void engine_bench_hang_up(struct engine_bench *bench);
