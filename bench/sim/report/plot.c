#include "bench/sim/report/plot.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

enum {
    WIDTH = 860,
    HEIGHT = 520,
    LEFT = 70,
    RIGHT = 190, /* the legend is there */
    TOP = 40,
    BOTTOM = 60,
    TICKS_LINEAR = 10,
    NAMED_POWERS = 3,
    LEGEND_STEP = 20, /* less where there are many lines */
};

/* Told apart by people who do not see red and green too (Okabe and Ito), and by dashes. */
static const char *const colours[] = {
        "#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f"};
static const char *const dashes[] = {"none", "7 3", "2 3", "7 3 2 3"};

enum {
    COLOURS = sizeof(colours) / sizeof(colours[0]),
    DASHES = sizeof(dashes) / sizeof(dashes[0]),
};
static_assert(PLOT_LINES_MAX <= COLOURS * DASHES, "each line has a look of its own");

struct canvas {
    const struct plot *plot;
    struct buf *out;
    int result; /* the first failure; what follows does nothing */
};

#define DRAW(canvas, ...)                                                                          \
    do {                                                                                           \
        if ((canvas)->result == 0)                                                                 \
            (canvas)->result = buf_appendf((canvas)->out, __VA_ARGS__);                            \
    } while (0)

/* 0 … 1 between the axis' ends, beyond where it is beyond. */
static double share_of(const struct plot_axis *axis, double value)
{
    return axis->logarithmic ? log(value / axis->low) / log(axis->high / axis->low)
                             : (value - axis->low) / (axis->high - axis->low);
}

static double x_of(const struct plot *plot, double value)
{
    return LEFT + share_of(&plot->x, value) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct plot *plot, double value)
{
    return HEIGHT - BOTTOM - share_of(&plot->y, value) * (HEIGHT - TOP - BOTTOM);
}

static void draw_text(
        struct canvas *canvas, double x, double y, const char *anchor, const char *text)
{
    DRAW(canvas, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    for (; *text; text++) {
        if (*text == '&')
            DRAW(canvas, "&amp;");
        else if (*text == '<')
            DRAW(canvas, "&lt;");
        else if (*text == '>')
            DRAW(canvas, "&gt;");
        else
            DRAW(canvas, "%c", *text);
    }
    DRAW(canvas, "</text>\n");
}

static void draw_rule(struct canvas *canvas, double x1, double y1, double x2, double y2)
{
    DRAW(canvas, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#dddddd\"/>\n", x1,
            y1, x2, y2);
}

static void draw_x_tick(struct canvas *canvas, double value, bool is_named)
{
    double x = x_of(canvas->plot, value);
    char text[32];

    draw_rule(canvas, x, TOP, x, HEIGHT - BOTTOM);
    snprintf(text, sizeof(text), "%.6g", value);
    if (is_named)
        draw_text(canvas, x, HEIGHT - BOTTOM + 18, "middle", text);
}

static void draw_y_tick(struct canvas *canvas, double value, bool is_named)
{
    double y = y_of(canvas->plot, value);
    char text[32];

    draw_rule(canvas, LEFT, y, WIDTH - RIGHT, y);
    snprintf(text, sizeof(text), "%.6g", value);
    if (is_named)
        draw_text(canvas, LEFT - 6, y + 4, "end", text);
}

typedef void tick_fn(struct canvas *canvas, double value, bool is_named);

/* 1, 2 and 5 of each power of ten; of many powers only these have room for their names. */
static void draw_logarithmic(struct canvas *canvas, const struct plot_axis *axis, tick_fn *tick)
{
    static const double steps[] = {1, 2, 5};
    int first = (int)floor(log10(axis->low) + 1e-9), last = (int)floor(log10(axis->high) + 1e-9);

    for (int power = first; power <= last; power++)
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            double value = pow(10, power) * steps[i];

            if (value >= axis->low * 0.9999 && value <= axis->high * 1.0001)
                tick(canvas, value, i == 0 || last - first < NAMED_POWERS);
        }
}

/* About TICKS_LINEAR steps of 1, 2 or 5 times a power of ten. */
static void draw_linear(struct canvas *canvas, const struct plot_axis *axis, tick_fn *tick)
{
    double rough = (axis->high - axis->low) / TICKS_LINEAR;
    double power = pow(10, floor(log10(rough))), step = power;

    if (rough > 5 * power)
        step = 10 * power;
    else if (rough > 2 * power)
        step = 5 * power;
    else if (rough > power)
        step = 2 * power;
    for (int i = (int)ceil(axis->low / step - 1e-9); i * step <= axis->high * 1.0001; i++)
        tick(canvas, i * step, true);
}

static void draw_axis(struct canvas *canvas, const struct plot_axis *axis, tick_fn *tick)
{
    if (axis->logarithmic)
        draw_logarithmic(canvas, axis, tick);
    else
        draw_linear(canvas, axis, tick);
}

static bool is_drawn(const struct plot_axis *axis, double value)
{
    return isfinite(value) && (!axis->logarithmic || value > 0);
}

static void draw_line(struct canvas *canvas, size_t number)
{
    const struct plot *plot = canvas->plot;
    const struct plot_line *line = &plot->lines[number];

    DRAW(canvas,
            "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" stroke-dasharray=\"%s\" "
            "clip-path=\"url(#inside)\" points=\"",
            colours[number % COLOURS], number == 0 ? "3" : "1.6",
            dashes[number / COLOURS % DASHES]);
    for (size_t i = 0; i < line->count; i++)
        if (is_drawn(&plot->x, line->x[i]) && is_drawn(&plot->y, line->y[i]))
            DRAW(canvas, "%.1f,%.1f ", x_of(plot, line->x[i]), y_of(plot, line->y[i]));
    DRAW(canvas, "\"/>\n");
}

static void draw_legend(struct canvas *canvas, size_t number)
{
    double room = HEIGHT - TOP - 12;
    double step = fmin(LEGEND_STEP, room / (double)canvas->plot->line_count);
    double x = WIDTH - RIGHT + 14, y = TOP + 12 + step * (double)number;

    DRAW(canvas,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
            "stroke-width=\"%s\" stroke-dasharray=\"%s\"/>\n",
            x, y, x + 26, y, colours[number % COLOURS], number == 0 ? "3" : "1.6",
            dashes[number / COLOURS % DASHES]);
    draw_text(canvas, x + 32, y + 4, "start", canvas->plot->lines[number].label);
}

static void draw_frame(struct canvas *canvas)
{
    const struct plot *plot = canvas->plot;

    DRAW(canvas,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"%d\" height=\"%d\" "
            "fill=\"#ffffff\"/>\n<clipPath id=\"inside\"><rect x=\"%d\" y=\"%d\" width=\"%d\" "
            "height=\"%d\"/></clipPath>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    draw_axis(canvas, &plot->x, draw_x_tick);
    draw_axis(canvas, &plot->y, draw_y_tick);
    DRAW(canvas,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" "
            "stroke=\"#000000\"/>\n",
            LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    draw_text(canvas, (LEFT + WIDTH - RIGHT) / 2.0, TOP - 16, "middle", plot->title);
    draw_text(canvas, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 18, "middle", plot->x.label);
    DRAW(canvas, "<g transform=\"translate(16 %d) rotate(-90)\">", (TOP + HEIGHT - BOTTOM) / 2);
    draw_text(canvas, 0, 0, "middle", plot->y.label);
    DRAW(canvas, "</g>\n");
}

int plot_write(const struct plot *plot, struct buf *out)
{
    struct canvas canvas = {plot, out, 0};

    draw_frame(&canvas);
    for (size_t i = plot->line_count; i-- > 0;)
        draw_line(&canvas, i);
    for (size_t i = 0; i < plot->line_count; i++)
        draw_legend(&canvas, i);
    if (plot->note)
        draw_text(&canvas, (LEFT + WIDTH - RIGHT) / 2.0, (TOP + HEIGHT - BOTTOM) / 2.0, "middle",
                plot->note);
    DRAW(&canvas, "</svg>\n");
    return canvas.result;
}
