/* What modemesh-sim is told on its command line. One table says all of it: names, ranges, defaults,
 * help. */
#pragma once

#include "bench/sim/experiment.h"
#include "common/err.h"

#include <stdio.h>

enum { OPTIONS_LOADS_MAX = 32 };
/* Of a million sessions one; less is no load, and an axis up to it no axis. */
#define OPTIONS_LOAD_MIN 1e-6

struct options {
    const char *trace; /* "": the generator */
    const char *fleet;
    const char *policies; /* names with commas between; "all" */
    const char *scenario; /* "plain", "flood" */
    const char *format;   /* "text", "json" */
    const char *plot;     /* path; "": none */
    double load;
    const char *sweep;      /* loads with commas between; "": none */
    double until_objective; /* share; 0: `load` is what it is */
    double until_busy;      /* … */
    double seeds, first_seed, users, flood_times;
    struct objective objective;
    struct generator_params generator;
    double systems, tokens_max; /* whole, for the generator */
    struct world_params world;
    double half_depth, chunk, cache, load_s; /* of nodes */
};

/* What is asked for, or -EINVAL. Texts are borrowed from argv; without OPTIONS_RUN `ret` is
 * untouched. */
enum { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };
MUST_CHECK int options_parse(int argc, char *const argv[], struct options *ret, struct err *err);
void options_help(FILE *out); /* ends with the exit codes of main() */
