/* Settings of the sampler that local engines and their clients have in every API, by llama.cpp's
 * names. Where an API does not know them they go on as they came; no engine is to meet what it
 * cannot hold. Pure. */
#pragma once

#include "coordinator/dialects/fields.h"

#include <stdbool.h>

enum { SAMPLER_COUNT = 12 };

struct sampler {
    const char *name;
    bool whole;
};

extern const struct sampler samplers[SAMPLER_COUNT];

/* Looks at one member; `*ret_given` tells whether there is one. A number of 32 bits where
 * whole ones are wanted (fractions are the engine's business), else from -10^6 to 10^6. */
MUST_CHECK int sampler_read(const struct fields *fields, const struct sampler *sampler,
        double *ret_number, bool *ret_given);
/* Looks at all of them. */
MUST_CHECK int samplers_check(const struct fields *fields);
