/* A trace is somebody else's file: whatever it says, what is read of it is within its limits. */
#include "bench/sim/workload/trace.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct workload *workload)
{
    size_t blocks = 0;
    for (size_t i = 0; i < workload->count; i++) {
        const struct work *work = &workload->at[i];
        assert(work->prompt_tokens >= 1 && work->prompt_tokens <= WORKLOAD_TOKENS_MAX);
        assert(work->output_tokens >= 1 && work->output_tokens <= WORKLOAD_TOKENS_MAX);
        assert(work->arrival_s >= 0 && (i == 0 || work->arrival_s >= work[-1].arrival_s));
        assert(work->session < workload->sessions && work->user < workload->users);
        assert(work->first_block == blocks);
        assert((uint64_t)work->block_count * WORKLOAD_BLOCK_TOKENS >= work->prompt_tokens);
        blocks += work->block_count;
    }
    assert(blocks == workload->block_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct workload workload;
    struct err err = {""};
    int r = trace_parse((const char *)data, size, &workload, &err);
    if (r < 0) {
        assert(err.text[0] != '\0');
        return 0;
    }
    assert(workload.count > 0);
    check(&workload);
    workload_fini(&workload);
    return 0;
}
