#include "coordinator/dialects/samplers.h"

#include <stdint.h>

static const double whole_max = INT32_MAX, real_max = 1000 * 1000;

const struct sampler samplers[SAMPLER_COUNT] = {
        {"temperature", false},
        {"top_k", true},
        {"top_p", false},
        {"min_p", false},
        {"typical_p", false},
        {"repeat_last_n", true},
        {"repeat_penalty", false},
        {"presence_penalty", false},
        {"frequency_penalty", false},
        {"mirostat", true},
        {"mirostat_tau", false},
        {"mirostat_eta", false},
};

int sampler_read(const struct fields *fields, const struct sampler *sampler, double *ret_number,
        bool *ret_given)
{
    double max = sampler->whole ? whole_max : real_max;
    return fields_number(fields, sampler->name, -max, max, ret_number, ret_given);
}

int samplers_check(const struct fields *fields)
{
    double number;
    bool given;
    int r = 0;
    for (size_t i = 0; !r && i < SAMPLER_COUNT; i++)
        r = sampler_read(fields, &samplers[i], &number, &given);
    return r;
}
