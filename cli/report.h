/* A report is a table made from the coordinator's status: what `status`, `modes` and `models`
 * print. The status comes from the network: a member that is missing or of another type counts as
 * empty or 0. */
#pragma once

#include "cli/cli.h"
#include "cli/table.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum { REPORT_CELL_MAX = 1024 }; /* bytes of one cell; more is cut */

struct report {
    const char *name; /* member that holds the rows in JSON */
    const struct table_column *columns;
    /* Adds the rows. Text is for people (sizes with units), the other formats for programs. */
    int (*fill)(struct table *table, const cJSON *status, enum table_format format);
};

extern const struct report report_nodes;
extern const struct report report_models;
extern const struct report report_modes;

/* Gets the status. The caller frees `*ret_status` by cJSON_Delete() and owns `body`, the same as it
 * came. */
MUST_CHECK int report_fetch(
        const struct cli *cli, struct buf *body, cJSON **ret_status, struct err *err);

/* Prints one report; in text, `empty` stands for a table without rows. */
MUST_CHECK int report_print(const struct report *report, const cJSON *status,
        enum table_format format, const char *empty, FILE *out, struct err *err);

/* The whole of a command that is one report: reads --json and --raw, fetches, prints to standard
 * output. */
MUST_CHECK int report_run(const struct report *report, const char *empty, const struct cli *cli,
        const struct command_line *line, struct err *err);

/* A member as a whole number; 0 where it is none or negative. */
uint64_t report_u64(const cJSON *object, const char *key);
/* One cell: bytes with a unit for people, a bare number for programs. Returns `buf`. */
const char *report_bytes(enum table_format format, uint64_t bytes, char *buf, size_t size);
/* Tokens a second; "-" for people where none was measured. Returns `buf`. */
const char *report_rate(enum table_format format, double rate_tok_s, char *buf, size_t size);
