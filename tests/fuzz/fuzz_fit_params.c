/* fit_params_take() on any line: what it takes only adds, what it does not take changes nothing,
 * and a shape made of it is never less than it said. */
#include "common/model/fit_params.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shape(const struct fit_params *params)
{
    const struct model_shape shape = {.context_trained = 8192, .bound = true};
    const struct model_run run = {.context = 8192, .sequences = 1};
    const struct fit_point high = {.context = 8192, .params = *params}, low = {.context = 4096};
    struct model_shape fitted = fit_params_shape(&shape, &run, &low, &high);
    struct model_memory memory;

    estimate_memory(&fitted, &run, &memory);
    assert(memory.tensor_bytes == params->tensor_bytes);
    assert(memory.total_bytes >= params->tensor_bytes &&
            memory.total_bytes >= params->context_bytes &&
            memory.total_bytes >= params->compute_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fit_params params = {0};

    while (size > 0) {
        const uint8_t *newline = memchr(data, '\n', size);
        size_t len = newline ? (size_t)(newline - data) + 1 : size;
        struct fit_params before = params;

        if (fit_params_take(&params, (const char *)data, len))
            assert(params.tensor_bytes >= before.tensor_bytes &&
                    params.context_bytes >= before.context_bytes &&
                    params.compute_bytes >= before.compute_bytes);
        else
            assert(memcmp(&params, &before, sizeof params) == 0);
        data += len;
        size -= len;
    }
    check_shape(&params);
    return 0;
}
