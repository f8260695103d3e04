#include "bench/sim/report/statistics.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return a < b ? -1 : a > b;
}

void statistics_sort(double *values, size_t count)
{
    if (count > 0)
        qsort(values, count, sizeof(*values), compare);
}

double statistics_quantile(const double *sorted, size_t count, double share)
{
    double at = share * ((double)count - 1);
    size_t below;

    if (count == 0)
        return NAN;
    below = (size_t)at;
    if (below + 1 >= count)
        return sorted[count - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

/* The 97.5 % quantile of Student's t. */
static double student(size_t freedom)
{
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262,
            2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080,
            2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
    size_t count = sizeof(table) / sizeof(table[0]);

    return freedom <= count ? table[freedom - 1] : 1.96 + 2.4 / (double)freedom;
}

struct estimate statistics_mean(const double *values, size_t count)
{
    double sum = 0, squares = 0, mean, half;
    size_t measured = 0;

    for (size_t i = 0; i < count; i++) {
        measured += isfinite(values[i]) != 0;
        sum += isfinite(values[i]) ? values[i] : 0;
    }
    mean = measured > 0 ? sum / (double)measured : NAN;
    if (measured < 2)
        return (struct estimate){mean, NAN, NAN};
    for (size_t i = 0; i < count; i++)
        squares += isfinite(values[i]) ? (values[i] - mean) * (values[i] - mean) : 0;
    half = student(measured - 1) * sqrt(squares / (double)(measured - 1) / (double)measured);
    return (struct estimate){mean, mean - half, mean + half};
}

struct estimate statistics_ratio(const double *above, const double *below, size_t count)
{
    double *logs = calloc(count + 1, sizeof(*logs));
    struct estimate estimate;

    if (!logs)
        return (struct estimate){NAN, NAN, NAN};
    for (size_t i = 0; i < count; i++)
        logs[i] = above[i] > 0 && below[i] > 0 ? log(above[i] / below[i]) : NAN;
    estimate = statistics_mean(logs, count);
    free(logs);
    return (struct estimate){exp(estimate.mean), exp(estimate.low), exp(estimate.high)};
}
