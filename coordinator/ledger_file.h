/* The ledger's file: an SQLite database of two plain tables, `rates` and `tokenizers`, mode 0600.
 * Its journal is a write-ahead log, synced as SQLite's NORMAL does: a power cut may cost the last
 * batches and never the file. Who else opens it (a person with sqlite3) is waited for, not for
 * long. Blocking; one call at a time, from any thread. Inside coordinator/ledger.c only. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/trust/keys.h"
#include "coordinator/scheduling/rates.h"
#include "coordinator/scheduling/token_ratio.h"
#include "proto/codec.h"

#include <stddef.h>
#include <stdint.h>

enum {
    LEDGER_SCHEMA = 1, /* PRAGMA user_version */
    LEDGER_FINGERPRINT_MAX = 2 * MSG_FINGERPRINT_BYTES,
};

struct ledger_rates {
    char node[KEY_Z85_LEN + 1];
    char model[MSG_NAME_MAX + 1];
    char fingerprint[LEDGER_FINGERPRINT_MAX + 1]; /* lower-case hex; "": not known */
    int64_t seen_s;                               /* Unix time when it was asked for or told */
    struct rates rates;                           /* its updated_s is Unix time here */
};

struct ledger_tokenizer {
    char name[MSG_NAME_MAX + 1];
    int64_t seen_s;
    struct token_ratio ratio;
};

struct ledger_batch {
    struct ledger_rates *rates;
    struct ledger_tokenizer *tokenizers;
    size_t rates_count, tokenizer_count;
    int64_t forget_before_s; /* rows not seen since then go; 0: none */
    size_t rows_max;         /* … and those beyond as many of each table */
};

struct ledger_file;

/* Opens it or makes it. -EBADMSG: it is broken, or none of ours; -EPROTO: a newer program has made
 * it; or what the disk says. A file that cannot be used is as it was. */
MUST_CHECK int ledger_file_open(const char *path, struct ledger_file **ret_file, struct err *err);
/* Takes NULL. */
void ledger_file_close(struct ledger_file *file);

/* Renames it, with what belongs to it, to "<path>.broken", in the place of an earlier one. */
MUST_CHECK int ledger_file_put_aside(const char *path, struct err *err);

struct ledger_reader {
    int (*on_rates)(void *ctx, const struct ledger_rates *row); /* borrowed; not 0 ends it */
    int (*on_tokenizer)(void *ctx, const struct ledger_tokenizer *row);
    void *ctx;
};
/* The rows that were seen since `since_s`, the last ones first, at most `max` of each table; those
 * that make no sense are left out and counted. -EBADMSG as above, or what the reader returned. */
MUST_CHECK int ledger_file_read(struct ledger_file *file, int64_t since_s, size_t max,
        const struct ledger_reader *reader, size_t *ret_skipped, struct err *err);
/* All of it or nothing. -ENOSPC, -EIO, -EBUSY, … */
MUST_CHECK int ledger_file_write(
        struct ledger_file *file, const struct ledger_batch *batch, struct err *err);
