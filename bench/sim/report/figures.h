/* What a run amounts to: the figures of one world whose requests have all ended. */
#pragma once

#include "bench/sim/world.h"

struct objective {  /* of a request's time to first token; met where it is no longer */
    double scale;   /* × what it would take on the fastest node, alone and with nothing cached */
    double fixed_s; /* more than 0: this instead */
};

/* Seconds but where said otherwise; NAN where there was nothing to measure it by. */
struct figures {
    double requests;
    double ttft_p50_s, ttft_p95_s, ttft_p99_s, ttft_mean_s;
    double tpot_p50_s, tpot_p95_s; /* time per output token, of answers of more than one */
    double e2e_p50_s, e2e_p95_s;
    double goodput; /* share of requests that met the objective */
    double cached;  /* share of prompt tokens that were not computed */
    double busy;    /* share of the nodes' time until the last request ended */
    double tries;   /* times that a request was sent, in the mean */
};

enum { FIGURE_COUNT = 13 };
/* The members in their order, for tables and JSON; none is less than 0. */
extern const struct figure {
    const char *name; /* "ttft_p95_s" */
    size_t offset;    /* in struct figures, of a double */
    bool is_share;    /* at most 1 */
} figure_list[FIGURE_COUNT];
double figure_of(const struct figures *figures, size_t index);
/* The index of one that is there. */
size_t figure_named(const char *name);

/* Whose requests count. */
#define FIGURES_ALL_USERS UINT32_MAX
struct figures_scope {
    uint32_t but_user; /* all but this one's; FIGURES_ALL_USERS: nobody is left out */
};

/* Times to first token, sorted, in `*ret_ttft` (malloc, caller frees; may be NULL: not wanted).
 * -ENOMEM. */
MUST_CHECK int figures_of(const struct world *world, const struct objective *objective,
        const struct figures_scope *scope, struct figures *ret_figures, double **ret_ttft,
        size_t *ret_count);
