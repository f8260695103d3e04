/* Numbers about numbers. Pure. */
#pragma once

#include <stddef.h>

/* In ascending order. */
void statistics_sort(double *values, size_t count);
/* Of sorted values, between two of them in proportion (type 7 of Hyndman and Fan, 1996); `share`
 * 0 … 1. NAN where there are none. */
double statistics_quantile(const double *sorted, size_t count, double share);

struct estimate { /* of a mean */
    double mean;
    double low, high; /* 95 % confidence interval; NAN of less than two values */
};

/* By Student's t, over independent values, one for each seed. What is not finite was not measured
 * and does not count; NAN where that leaves none. */
struct estimate statistics_mean(const double *values, size_t count);
/* Of how many times larger `above` is than `below`, pair by pair: the geometric mean and the same
 * interval of the logarithms. Pairs with a value that is not finite, or not more than 0, do not
 * count; NAN where that leaves none. */
struct estimate statistics_ratio(const double *above, const double *below, size_t count);
