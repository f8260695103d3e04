/* A plot as one SVG text that needs neither script nor font of its own: lines over two axes, each
 * linear or logarithmic, with ticks, units, and a legend. Texts are UTF-8 without controls. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum { PLOT_LINES_MAX = 32 };

struct plot_line {
    const char *label;
    const double *x,
            *y; /* `count`; where an axis is logarithmic, what is not above 0 is left out */
    size_t count;
};

struct plot_axis {
    const char *label; /* "time to first token, s" */
    bool logarithmic;
    double low, high; /* low < high; above 0 where logarithmic */
};

struct plot {
    const char *title;
    struct plot_axis x, y;
    struct plot_line lines[PLOT_LINES_MAX];
    size_t line_count;
    const char *note; /* in the middle of it; NULL: nothing */
};

/* -ENOMEM, -ENOBUFS. */
MUST_CHECK int plot_write(const struct plot *plot, struct buf *out);
