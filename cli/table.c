#include "cli/table.h"

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
    struct libscols_table *scols;
    const struct table_column *columns;
    enum table_format format;
};

static bool starts_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

/* Columns of the longest word: the least that a column can shrink to. */
static size_t longest_word(const struct libscols_column *column, const char *data, void *ctx)
{
    size_t longest = 0, width = 0;

    (void)column;
    (void)ctx;
    for (; *data; data++) {
        width = *data == ' ' ? 0 : width + starts_character(*data);
        if (width > longest)
            longest = width;
    }
    return longest;
}

/* Cuts `data` behind the last word that fits the column; returns the rest, NULL where all fits. */
static char *cut_at_word(const struct libscols_column *column, char *data, void *ctx)
{
    size_t width = 0, limit = scols_column_get_width(column);
    char *blank = NULL;

    (void)ctx;
    for (char *at = data; *at; at++) {
        if (*at == ' ')
            blank = at;
        width += starts_character(*at);
        if (width > limit && blank) {
            *blank = '\0';
            return blank + 1;
        }
    }
    return NULL;
}

static bool is_hidden(const struct table_column *column, enum table_format format)
{
    return (table_is_text(format) && !column->title) || (format == TABLE_BRIEF && column->detail);
}

/* libsmartcols takes the lines of a cell apart only where the column could wrap at them. */
static int set_json_type(struct libscols_column *made, enum table_type type)
{
    static const int json_types[] = {
            [TABLE_STRING] = SCOLS_JSON_STRING,
            [TABLE_NUMBER] = SCOLS_JSON_NUMBER,
            [TABLE_BOOL] = SCOLS_JSON_BOOLEAN,
            [TABLE_LIST] = SCOLS_JSON_ARRAY_STRING,
    };
    int rc = scols_column_set_json_type(made, json_types[type]);

    if (rc == 0 && type == TABLE_LIST)
        rc = scols_column_set_flags(made, SCOLS_FL_WRAP);
    if (rc == 0 && type == TABLE_LIST)
        rc = scols_column_set_wrapfunc(made, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
    return rc;
}

static int add_column(struct table *table, const struct table_column *column)
{
    int flags = (column->right ? SCOLS_FL_RIGHT : 0) |
                (is_hidden(column, table->format) ? SCOLS_FL_HIDDEN : 0);
    struct libscols_column *made = scols_table_new_column(table->scols,
            table_is_text(table->format) && column->title ? column->title : column->key, 0, flags);

    if (!made)
        return -ENOMEM;
    return table->format == TABLE_JSON ? set_json_type(made, column->type) : 0;
}

struct table *table_create(
        const char *name, const struct table_column *columns, enum table_format format)
{
    struct table *table = calloc(1, sizeof(*table));

    if (!table)
        return NULL;
    table->format = format;
    table->columns = columns;
    table->scols = scols_new_table();
    if (!table->scols || scols_table_set_name(table->scols, name) != 0)
        goto fail;
    for (; columns->key; columns++)
        if (add_column(table, columns) != 0)
            goto fail;
    return table;
fail:
    table_destroy(table);
    return NULL;
}

void table_destroy(struct table *table)
{
    if (!table)
        return;
    scols_unref_table(table->scols);
    free(table);
}

/* Words that are parted by blanks stay in their columns only where each is there. */
static const char *cell_of(const struct table *table, const char *cell)
{
    return table->format == TABLE_RAW && (!cell || !*cell) ? "-" : cell;
}

int table_add(struct table *table, const char *const *cells)
{
    struct libscols_line *line = scols_table_new_line(table->scols, NULL);
    size_t columns = scols_table_get_ncols(table->scols);

    if (!line)
        return -ENOMEM;
    for (size_t i = 0; i < columns; i++)
        if (scols_line_set_data(line, i, cell_of(table, cells[i])) != 0)
            return -ENOMEM;
    return 0;
}

bool table_is_text(enum table_format format)
{
    return format == TABLE_TEXT || format == TABLE_BRIEF;
}

size_t table_rows(const struct table *table)
{
    return scols_table_get_nlines(table->scols);
}

static int wrap_columns(struct table *table)
{
    int rc = 0;

    for (size_t i = 0; table->columns[i].key && rc == 0; i++) {
        struct libscols_column *column = scols_table_get_column(table->scols, i);

        if (!table->columns[i].wrap || is_hidden(&table->columns[i], table->format))
            continue;
        rc = scols_column_set_flags(column, scols_column_get_flags(column) | SCOLS_FL_WRAP);
        if (rc == 0)
            rc = scols_column_set_wrapfunc(column, longest_word, cut_at_word, NULL);
    }
    return rc;
}

/* Only where there is a width to fit: a wrapped column is narrow everywhere else too. */
static int fit(struct table *table, FILE *out, size_t width)
{
    if (!width && !isatty(fileno(out)))
        return scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_NEVER);
    if (width)
        scols_table_set_termwidth(table->scols, width);
    scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_ALWAYS);
    return table_is_text(table->format) ? wrap_columns(table) : 0;
}

int table_print(struct table *table, FILE *out, size_t width, struct err *err)
{
    struct libscols_table *scols = table->scols;
    int rc = scols_table_set_stream(scols, out);

    if (rc == 0)
        rc = scols_table_enable_json(scols, table->format == TABLE_JSON);
    if (rc == 0)
        rc = scols_table_enable_raw(scols, table->format == TABLE_RAW);
    if (rc == 0)
        rc = fit(table, out, width);
    if (rc == 0)
        rc = scols_print_table(scols);
    if (rc != 0)
        return err_set(err, rc == -ENOMEM ? rc : -EIO, "cannot print the table: %s", strerror(-rc));
    return 0;
}
