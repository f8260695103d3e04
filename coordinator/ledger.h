/* What was learnt and should last over a restart: each instance's speed (scheduling/rates.h) and
 * each tokenizer's bytes per token (scheduling/token_ratio.h), in STATE/ledger.sqlite. It is read
 * at the start; from then on all is in memory, and what has changed is written in batches, in the
 * work queue, every LEDGER_WRITE_MS and at the end. Nothing waits for the disk: where that is full
 * or gone the ledger goes on in memory, tries again, and says so once. What stands in the file is
 * judged like a stranger's. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "common/loop.h"
#include "coordinator/scheduling/rates.h"
#include "coordinator/scheduling/token_ratio.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_FILE_NAME "ledger.sqlite"

enum {
    LEDGER_ROWS_MAX = 32768, /* in memory, about 0.5 KiB each; past it the one that was not seen for
                                the longest goes */
    LEDGER_TABLE_MAX = LEDGER_ROWS_MAX / 2, /* read of each table, and left in it */
    LEDGER_BATCH_MAX = 1024,                /* rows */
    LEDGER_WRITE_MS = 5000,
    LEDGER_FORGET_DAYS = 180, /* a row that nobody asked for or told */
};

struct ledger;

struct ledger_config {
    struct loop *loop;
    const struct env *env;
    const char *path;  /* copied; NULL: nothing is kept */
    uint32_t write_ms; /* 0: LEDGER_WRITE_MS */
};

enum ledger_state {
    LEDGER_KEPT,      /* read, or begun where there was none */
    LEDGER_PUT_ASIDE, /* the file was broken: it is "<path>.broken" now, and a new one is begun */
    LEDGER_NOT_KEPT,  /* the file cannot be used and is left as it is; nothing is written */
};

struct ledger_opening { /* how it began, for the log */
    enum ledger_state state;
    size_t rows;    /* read … */
    size_t skipped; /* … and those that made no sense */
    struct err why; /* PUT_ASIDE, NOT_KEPT; "" where there is no path */
};

/* Reads the file: blocking, at start-up. -ENOMEM; all else is told in `*ret_opening`. */
MUST_CHECK int ledger_create(const struct ledger_config *config, struct ledger **ret_ledger,
        struct ledger_opening *ret_opening, struct err *err);
/* What is not written yet still is (loop_fini() waits for it). Takes NULL. */
void ledger_destroy(struct ledger *ledger);

struct ledger_instance {
    const char *node;           /* its link key, KEY_Z85_LEN characters */
    const char *model;          /* 1 to MSG_NAME_MAX bytes */
    const uint8_t *fingerprint; /* of its content, MSG_FINGERPRINT_BYTES; NULL: not known */
};

/* False where nothing is known of it. Its times are of the env's monotonic clock, in seconds. */
bool ledger_find_rates(
        struct ledger *ledger, const struct ledger_instance *instance, struct rates *ret_rates);
/* Copied. Not kept where malloc refuses, or the numbers are not sound. */
void ledger_keep_rates(
        struct ledger *ledger, const struct ledger_instance *instance, const struct rates *rates);

/* `tokenizer`: a model's name, or whatever stands for all that share it; 1 to MSG_NAME_MAX bytes.
 */
bool ledger_find_token_ratio(
        struct ledger *ledger, const char *tokenizer, struct token_ratio *ret_ratio);
void ledger_keep_token_ratio(
        struct ledger *ledger, const char *tokenizer, const struct token_ratio *ratio);

size_t ledger_row_count(const struct ledger *ledger);
