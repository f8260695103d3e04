/* A report is a table made from an answer of the coordinator: what `status`, `modes`, `models`,
 * `keys list` and others print. The answer comes from the network: a member that is missing or of
 * another type counts as empty or 0. */
#pragma once

#include "cli/cli.h"
#include "cli/table.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum { REPORT_CELL_MAX = 1024 }; /* bytes of one cell; more is cut */

struct report {
    const char *path; /* where the coordinator answers with it */
    bool whole;       /* the answer is this list and no more: --json prints it as it came */
    const char *name; /* member that holds the rows in JSON */
    const struct table_column *columns;
    /* Adds the rows. Text is for people (sizes with units), the other formats for programs. */
    int (*fill)(struct table *table, const cJSON *answer, enum table_format format);
};

extern const struct report report_nodes;
extern const struct report report_models;
extern const struct report report_modes;

#define REPORT_STATUS_PATH "/mesh/v1/status"

/* Reads --json and --raw. -EINVAL where both are given. */
MUST_CHECK int report_format(
        const struct command_line *line, enum table_format *ret_format, struct err *err);

/* Prints one report; in text, `empty` stands for a table without rows. */
MUST_CHECK int report_print(const struct report *report, const cJSON *answer,
        enum table_format format, const char *empty, FILE *out, struct err *err);

/* Prints the coordinator's own JSON as it came, but for what must not reach a terminal. */
void report_print_json(struct buf *body, FILE *out);

/* The whole of a command that is one report: reads --json and --raw, fetches, prints. */
MUST_CHECK int report_run(const struct report *report, const char *empty, const struct cli *cli,
        const struct command_line *line, struct err *err);

/* A member as a whole number; 0 where it is none or negative. */
uint64_t report_u64(const cJSON *object, const char *key);
/* One cell: bytes with a unit for people, a bare number for programs. Returns `buf`. */
const char *report_bytes(enum table_format format, uint64_t bytes, char *buf, size_t size);
/* Tokens a second; "-" for people where none was measured. Returns `buf`. */
const char *report_rate(enum table_format format, double rate_tok_s, char *buf, size_t size);
/* Unix time in milliseconds: date and minute here for people, "-" for 0. Returns `buf`. */
const char *report_time(enum table_format format, uint64_t unix_ms, char *buf, size_t size);
/* A whole number, the same for all. Returns `buf`. */
const char *report_count(uint64_t count, char *buf, size_t size);
/* The strings of `array` (NULL: none): ", " between them for people, as TABLE_LIST wants them in
 * JSON, "," in raw output. What does not fit is left out. Returns `buf`. */
const char *report_list(enum table_format format, const cJSON *array, char *buf, size_t size);
