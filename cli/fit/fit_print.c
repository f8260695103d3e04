#include "cli/fit/fit_print.h"

#include "cli/report.h"
#include "common/model/architecture.h"
#include "common/saturating.h"
#include "common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum {
    CELL_MAX = 32,
    NOTE_MAX = 512,
    COLUMNS_MAX = FIT_CONTEXTS_MAX + 8,
};

struct print {
    const struct fit_models *models;
    const struct fit_ask *ask;
    const struct fit_answer *answer;
    enum table_format format;
    FILE *out;
};

/* One column for each context, between others. */
struct columns {
    struct table_column list[COLUMNS_MAX];
    char keys[FIT_CONTEXTS_MAX][CELL_MAX], titles[FIT_CONTEXTS_MAX][CELL_MAX];
    char total[CELL_MAX];
    size_t count;
};

static const struct table_column set_columns[] = {
        {.key = "models", .title = "MODELS", .wrap = true},
        {.key = "total_bytes", .title = "TOTAL", .right = true},
        {.key = "left_bytes", .title = "LEFT", .right = true},
        {.key = "largest_context", .title = "MAX CONTEXT EACH", .right = true},
        {.key = NULL},
};

/* --- models --- */

static void add_column(
        struct columns *columns, const char *key, const char *title, bool right, bool wrap)
{
    columns->list[columns->count++] =
            (struct table_column){.key = key, .title = title, .right = right, .wrap = wrap};
}

static void add_context_column(struct columns *columns, const struct fit_ask *ask, size_t i)
{
    char context[CELL_MAX];

    (void)fit_ask_context(ask->contexts[i], context, sizeof context);
    (void)snprintf(columns->titles[i], CELL_MAX, "+%s", context);
    (void)snprintf(columns->keys[i], CELL_MAX, "context_%" PRIu32 "_bytes", ask->contexts[i]);
    add_column(columns, columns->keys[i], columns->titles[i], true, false);
}

static void make_columns(const struct fit_ask *ask, struct columns *columns)
{
    char context[CELL_MAX];

    *columns = (struct columns){.count = 0};
    (void)fit_ask_context(ask->contexts[ask->context_count - 1], context, sizeof context);
    (void)snprintf(columns->total, sizeof columns->total, "AT %s", context);
    add_column(columns, "name", "MODEL", false, false);
    add_column(columns, "quantisation", "QUANT", false, false);
    add_column(columns, "weights_bytes", "WEIGHTS", true, false);
    for (size_t i = 0; i < ask->context_count; i++)
        add_context_column(columns, ask, i);
    add_column(columns, "total_bytes", columns->total, true, false);
    add_column(columns, "fits", "FITS", false, false);
    add_column(columns, "largest_context", "MAX CONTEXT", true, false);
    add_column(columns, "note", "NOTE", false, true);
}

/* A model that does not fit with any context has none. */
static const char *largest(const struct print *print, uint32_t context, char *buf)
{
    if (context == 0 && table_is_text(print->format))
        return "-";
    return report_count(context, buf, CELL_MAX);
}

static const char *fits_word(
        const struct print *print, const struct fit_row *row, char *buf, size_t size)
{
    const struct fit_ask *ask = print->ask;
    char context[CELL_MAX];

    if (row->longest == 0)
        return "no";
    if (row->longest == ask->contexts[ask->context_count - 1])
        return "yes";
    (void)snprintf(buf, size, "to %s", fit_ask_context(row->longest, context, sizeof context));
    return buf;
}

__attribute__((format(printf, 2, 3))) static void add_note(char *note, const char *fmt, ...)
{
    size_t len = strlen(note);
    va_list args;

    if (len > 0)
        len += (size_t)snprintf(note + len, NOTE_MAX - len, "; ");
    va_start(args, fmt);
    (void)vsnprintf(note + len, NOTE_MAX - len, fmt, args);
    va_end(args);
}

static void note_basis(const struct fit_model *model, char *note)
{
    if (model->basis == FIT_BY_SIZE)
        add_note(note, "from its size: weights about, context at most");
    else if (model->basis == FIT_BY_TOOL)
        add_note(note, "as llama-fit-params says");
    else if (model->basis == FIT_BY_BOUND && architecture_find(model->architecture) == NULL)
        add_note(note, "at most: the architecture \"%.40s\" is not known", model->architecture);
    else if (model->basis == FIT_BY_BOUND)
        add_note(note, "at most: its header says too little");
}

static const char *make_note(const struct print *print, size_t i, char note[NOTE_MAX])
{
    const struct fit_model *model = &print->models->list[i];
    char size[CELL_MAX];

    note[0] = '\0';
    note_basis(model, note);
    if (model->projector_bytes > 0)
        add_note(note, "weights with a projector of %s",
                text_format_size(model->projector_bytes, size, sizeof size));
    if (print->answer->rows[i].cells[print->ask->context_count - 1].beyond)
        add_note(note, "trained for %" PRIu32 " tokens", model->shape.context_trained);
    return note;
}

static uint64_t weights(const struct model_memory *memory)
{
    return saturating_sum(memory->tensor_bytes, memory->projector_bytes);
}

static int add_row(struct table *table, const struct print *print, size_t i)
{
    const struct fit_model *model = &print->models->list[i];
    const struct fit_row *row = &print->answer->rows[i];
    const struct fit_cell *last = &row->cells[print->ask->context_count - 1];
    char text[COLUMNS_MAX][CELL_MAX], note[NOTE_MAX];
    const char *cells[COLUMNS_MAX] = {model->name, model->quantisation};
    size_t n = 2;

    cells[n] = report_bytes(print->format, weights(&last->memory), text[n], CELL_MAX);
    n++;
    for (size_t c = 0; c < print->ask->context_count; c++, n++) {
        const struct model_memory *memory = &row->cells[c].memory;
        cells[n] = report_bytes(
                print->format, memory->total_bytes - weights(memory), text[n], CELL_MAX);
    }
    cells[n] = report_bytes(print->format, last->memory.total_bytes, text[n], CELL_MAX);
    n++;
    cells[n] = fits_word(print, row, text[n], CELL_MAX);
    n++;
    cells[n] = largest(print, row->largest, text[n]);
    n++;
    cells[n] = make_note(print, i, note);
    return table_add(table, cells);
}

static int print_models(const struct print *print, struct err *err)
{
    struct columns columns;
    struct table *table;
    int rc = 0;

    make_columns(print->ask, &columns);
    table = table_create("models", columns.list, print->format);
    for (size_t i = 0; table && rc == 0 && i < print->models->count; i++)
        rc = add_row(table, print, i);
    if (!table || rc < 0)
        rc = err_set(err, -ENOMEM, "out of memory");
    else
        rc = table_print(table, print->out, 0, err);
    table_destroy(table);
    return rc;
}

/* --- together --- */

static void join_names(const struct print *print, const struct fit_set *set, char *buf, size_t size)
{
    const struct fit_answer *answer = print->answer;
    size_t len = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < answer->candidate_count && len < size; i++)
        if (set->members >> i & 1)
            len += (size_t)snprintf(buf + len, size - len, "%s%s", len > 0 ? ", " : "",
                    print->models->list[answer->candidates[i]].name);
}

static int add_set(struct table *table, const struct print *print, const struct fit_set *set)
{
    char names[COMBINATIONS_MODELS_MAX * (MODEL_FOLDER_NAME_SIZE + 2)], text[3][CELL_MAX];
    const char *cells[] = {names, report_bytes(print->format, set->total_bytes, text[0], CELL_MAX),
            report_bytes(print->format, set->left_bytes, text[1], CELL_MAX),
            largest(print, set->largest, text[2])};

    join_names(print, set, names, sizeof names);
    return table_add(table, cells);
}

static int print_sets(const struct print *print, struct err *err)
{
    struct table *table = table_create("sets", set_columns, print->format);
    size_t count = print->answer->set_count;
    int rc = 0;

    for (size_t i = 0; table && rc == 0 && i < count && i < FIT_SETS_SHOWN_MAX; i++)
        rc = add_set(table, print, &print->answer->sets[i]);
    if (!table || rc < 0)
        rc = err_set(err, -ENOMEM, "out of memory");
    else
        rc = table_print(table, print->out, 0, err);
    table_destroy(table);
    if (rc == 0 && count > FIT_SETS_SHOWN_MAX)
        fprintf(print->out, "… and %zu more, which --json has\n", count - FIT_SETS_SHOWN_MAX);
    return rc;
}

static int print_together(const struct print *print, struct err *err)
{
    char context[CELL_MAX];

    (void)fit_ask_context(print->ask->together, context, sizeof context);
    if (print->answer->too_many) {
        fprintf(print->out,
                "\nWhich of them fit together is told for at most %d models that fit alone: name "
                "fewer.\n",
                COMBINATIONS_MODELS_MAX);
        return 0;
    }
    if (print->answer->set_count == 0) {
        fprintf(print->out, "\nWith a context of %s none of them fits, not even alone.\n", context);
        return 0;
    }
    fprintf(print->out, "\nTogether, with a context of %s each:\n", context);
    return print_sets(print, err);
}

/* --- around them --- */

static void print_head(const struct print *print)
{
    const struct fit_ask *ask = print->ask;
    char size[CELL_MAX];

    fprintf(print->out, "In %s%s, %" PRIu32 " slot%s, cache in %s:\n",
            text_format_size(ask->memory_bytes, size, sizeof size),
            ask->memory_given ? ""
                              : " (this host's memory; --memory for a GPU's own or another host's)",
            ask->slots, ask->slots == 1 ? "" : "s", cache_type_name(ask->type));
}

static void print_foot(const struct print *print)
{
    uint64_t left = print->ask->memory_bytes - estimate_usable_bytes(print->ask->memory_bytes);
    char size[CELL_MAX];

    fprintf(print->out, "\nWhat fits leaves at least %s free.\n",
            text_format_size(left, size, sizeof size));
}

int fit_print(const struct fit_models *models, const struct fit_ask *ask,
        const struct fit_answer *answer, enum table_format format, FILE *out, struct err *err)
{
    struct print print = {
            .models = models, .ask = ask, .answer = answer, .format = format, .out = out};
    int rc;

    if (format == TABLE_JSON)
        return fit_print_json(models, ask, answer, out, err);
    if (!table_is_text(format))
        return print_models(&print, err);
    print_head(&print);
    rc = print_models(&print, err);
    if (rc == 0 && models->count > 1)
        rc = print_together(&print, err);
    if (rc == 0)
        print_foot(&print);
    return rc;
}
