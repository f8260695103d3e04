/* What llama-fit-params, a tool of llama.cpp (its pull request 22171), says that a model will take.
 * It knows every architecture that its engine knows, and so stands in where our own table does not
 * (common/model/architecture.h). With `--fit-print on` its standard output is one line for each
 * device, in whole MiB: name, tensors, cache with state, compute.
 *
 *     CUDA0 5956 562 501
 *     Host 545 0 32
 *
 * Pure. Running it is the business of who asks. */
#pragma once

#include "common/model/estimate.h"
#include "common/model/shape.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fit_params { /* of all devices together; 0 in all: nothing was said */
    uint64_t tensor_bytes, context_bytes, compute_bytes;
};

/* Takes one line, with or without its end. True where it is one of the above, which is then added;
 * any other line is passed over. The tool cuts at whole MiB, so that each number but 0 counts one
 * more: the sums are never too small. They saturate. */
bool fit_params_take(struct fit_params *params, const char *line, size_t len);

struct fit_point {
    uint32_t context; /* tokens of one sequence */
    struct fit_params params;
};

/* A shape that takes at two contexts, `low` below `high`, at least what the tool said, and so at
 * all between and below them: what a model takes grows with its context, and ever more slowly. It
 * is good for runs that differ from `run` in their context only, as it stands for sums and not for
 * layers. `shape` gives what is known besides (trained length). */
struct model_shape fit_params_shape(const struct model_shape *shape, const struct model_run *run,
        const struct fit_point *low, const struct fit_point *high);
