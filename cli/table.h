/* A table for people and for programs: the same rows as aligned text, as JSON, or as raw words (one
 * row a line, cells separated by one blank, blanks inside a cell as \x20, an empty one as "-").
 * libsmartcols. Control characters in a cell never reach the terminal. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_format { TABLE_TEXT, TABLE_BRIEF, TABLE_JSON, TABLE_RAW }; /* BRIEF: text, less of it */

enum table_type { /* what a cell is in JSON */
    TABLE_STRING,
    TABLE_NUMBER, /* cells must be one */
    TABLE_BOOL,   /* cells are "yes" or "no" */
    TABLE_LIST,   /* of strings, one a line of the cell; at least one */
};

struct table_column {
    const char *key;   /* member of the JSON objects, column of raw output; NULL ends the list */
    const char *title; /* head of the text column; NULL: for programs only */
    enum table_type type;
    bool right;  /* numbers: aligned to the right */
    bool wrap;   /* long text goes on below where the terminal is narrow */
    bool detail; /* not in brief text */
};

struct table;

/* `name` is the member that holds the rows in JSON. `columns` is borrowed. NULL where malloc
 * refuses. */
struct table *table_create(
        const char *name, const struct table_column *columns, enum table_format format);
void table_destroy(struct table *table); /* takes NULL */

/* One cell for each column; copied. -ENOMEM. */
MUST_CHECK int table_add(struct table *table, const char *const *cells);

/* True for a format that people read. */
bool table_is_text(enum table_format format);

size_t table_rows(const struct table *table);

/* As wide as needed where `out` is no terminal; `width` 0 asks the terminal. A table without rows
 * prints nothing as text, and an empty list as JSON. -ENOMEM, -EIO. */
MUST_CHECK int table_print(struct table *table, FILE *out, size_t width, struct err *err);
