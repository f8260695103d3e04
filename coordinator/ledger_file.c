#include "coordinator/ledger_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    APPLICATION_ID = 0x6d6d6c67, /* "mmlg": tells the file from others' databases */
    BUSY_MS = 2000,
    PAGES_MAX = 32768, /* of 4 KiB */
    SQL_MAX = 4096,
};

struct ledger_file {
    sqlite3 *db;
};

/* --- columns --- */

enum number { NUMBER_DOUBLE, NUMBER_FLOAT, NUMBER_COUNT, NUMBER_FLAG };

struct column {
    const char *name;
    enum number type;
    size_t offset; /* in struct rates */
};

#define RATES_LINE(line)                                                                           \
    {#line "_s1", NUMBER_DOUBLE, offsetof(struct rates, line.s1)},                                 \
            {#line "_sz", NUMBER_DOUBLE, offsetof(struct rates, line.sz)},                         \
            {#line "_szz", NUMBER_DOUBLE, offsetof(struct rates, line.szz)},                       \
            {#line "_t1", NUMBER_DOUBLE, offsetof(struct rates, line.t1)},                         \
            {#line "_tz", NUMBER_DOUBLE, offsetof(struct rates, line.tz)},                         \
            {#line "_weight", NUMBER_DOUBLE, offsetof(struct rates, line.weight)},                 \
            {#line "_drift", NUMBER_DOUBLE, offsetof(struct rates, line.drift)},                   \
            {#line "_changing", NUMBER_FLAG, offsetof(struct rates, line.changing)},               \
    {                                                                                              \
#line "_count", NUMBER_COUNT, offsetof(struct rates, line.count)                           \
    }

static const struct column columns[] = {
        {"updated_s", NUMBER_DOUBLE, offsetof(struct rates, updated_s)},
        {"prior_prefill_tok_s", NUMBER_FLOAT, offsetof(struct rates, prior.prefill_tok_s)},
        {"prior_half_depth", NUMBER_FLOAT, offsetof(struct rates, prior.half_depth)},
        {"prior_step_s", NUMBER_FLOAT, offsetof(struct rates, prior.step_s)},
        {"prior_step_sequence_s", NUMBER_FLOAT, offsetof(struct rates, prior.step_sequence_s)},
        RATES_LINE(prefill), RATES_LINE(decode)};

enum {
    COLUMNS = sizeof(columns) / sizeof(columns[0]),
    KEY_COLUMNS = 4, /* node, model, fingerprint, seen_s */
};

static double number_of(const struct rates *rates, const struct column *column)
{
    const char *at = (const char *)rates + column->offset;
    switch (column->type) {
    case NUMBER_DOUBLE:
        return *(const double *)(const void *)at;
    case NUMBER_FLOAT:
        return (double)*(const float *)(const void *)at;
    case NUMBER_COUNT:
        return *(const uint32_t *)(const void *)at;
    case NUMBER_FLAG:
        return *(const bool *)at;
    }
    return 0;
}

/* False where its type has no such number. */
static bool set_number(struct rates *rates, const struct column *column, double value)
{
    char *at = (char *)rates + column->offset;
    switch (column->type) {
    case NUMBER_DOUBLE:
        *(double *)(void *)at = value;
        return true;
    case NUMBER_FLOAT:
        *(float *)(void *)at = (float)value;
        return true;
    case NUMBER_COUNT:
        if (!(value >= 0 && value <= UINT32_MAX))
            return false;
        *(uint32_t *)(void *)at = (uint32_t)value;
        return true;
    case NUMBER_FLAG:
        *(bool *)at = value > 0;
        return true;
    }
    return false;
}

/* --- errors --- */

static int code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a table or a column is not there */
        return -EBADMSG;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        return -EACCES;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    default:
        return -EIO;
    }
}

static int fail(struct ledger_file *file, const char *what, struct err *err)
{
    return err_set(err, code_of(sqlite3_extended_errcode(file->db)), "%s: %s", what,
            sqlite3_errmsg(file->db));
}

/* --- statements --- */

static int execute(struct ledger_file *file, const char *sql, struct err *err)
{
    if (sqlite3_exec(file->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail(file, sql, err);
    return 0;
}

static int prepare(
        struct ledger_file *file, const char *sql, sqlite3_stmt **ret_statement, struct err *err)
{
    if (sqlite3_prepare_v2(file->db, sql, -1, ret_statement, NULL) != SQLITE_OK)
        return fail(file, "a statement", err);
    return 0;
}

static int pragma_number(struct ledger_file *file, const char *sql, int *ret_value, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int r = prepare(file, sql, &statement, err);
    if (r)
        return r;
    if (sqlite3_step(statement) == SQLITE_ROW)
        *ret_value = sqlite3_column_int(statement, 0);
    else
        r = fail(file, sql, err);
    sqlite3_finalize(statement);
    return r;
}

/* ", NAME<suffix>" for each column; without `names` ", <suffix>". */
static int add_columns(struct buf *sql, bool names, const char *suffix)
{
    int r = 0;
    for (size_t i = 0; i < COLUMNS && r == 0; i++)
        r = buf_appendf(sql, ", %s%s", names ? columns[i].name : "", suffix);
    return r;
}

/* `before`, the columns and their suffix, `after`. The caller frees, also where it failed. */
static int with_columns(struct buf *sql, const char *before, const char *suffix, const char *after)
{
    buf_init(sql, SQL_MAX);
    int r = buf_append_str(sql, before);
    if (r == 0)
        r = add_columns(sql, true, suffix);
    if (r == 0)
        r = buf_append_str(sql, after);
    return r ? r : buf_terminate(sql);
}

/* --- open --- */

static const char tokenizers_table[] =
        "CREATE TABLE tokenizers (name TEXT NOT NULL PRIMARY KEY, seen_s INTEGER NOT NULL, "
        "bytes REAL NOT NULL, tokens REAL NOT NULL, count INTEGER NOT NULL) STRICT";

static int make_tables(struct ledger_file *file, struct err *err)
{
    struct buf sql;
    char pragmas[96];
    int r = with_columns(&sql,
            "CREATE TABLE rates (node TEXT NOT NULL, model TEXT NOT NULL, fingerprint TEXT NOT "
            "NULL, seen_s INTEGER NOT NULL",
            " REAL NOT NULL", ", PRIMARY KEY (node, model, fingerprint)) STRICT");
    snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id=%d; PRAGMA user_version=%d",
            APPLICATION_ID, LEDGER_SCHEMA);
    if (r)
        r = err_set(err, r, "no memory for the ledger");
    if (r == 0)
        r = execute(file, "BEGIN IMMEDIATE", err);
    if (r == 0)
        r = execute(file, buf_at(&sql), err);
    if (r == 0)
        r = execute(file, tokenizers_table, err);
    if (r == 0)
        r = execute(file, pragmas, err);
    if (r == 0)
        r = execute(file, "COMMIT", err);
    buf_fini(&sql);
    return r;
}

/* SQLite's own look at all pages. */
static int look_through(struct ledger_file *file, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int r = prepare(file, "PRAGMA quick_check(1)", &statement, err);
    if (r)
        return r;
    const char *found = sqlite3_step(statement) == SQLITE_ROW
                                ? (const char *)sqlite3_column_text(statement, 0)
                                : NULL;
    if (!found)
        r = fail(file, "PRAGMA quick_check", err);
    else if (strcmp(found, "ok") != 0)
        r = err_set(err, -EBADMSG, "%s", found);
    sqlite3_finalize(statement);
    return r;
}

/* Reads before it writes: what is not ours is left as it is. */
static int check_schema(struct ledger_file *file, bool *ret_new, struct err *err)
{
    int application = 0, schema = 0, tables = 0;
    int r = pragma_number(file, "PRAGMA application_id", &application, err);
    if (r == 0)
        r = pragma_number(file, "PRAGMA user_version", &schema, err);
    if (r == 0)
        r = pragma_number(file, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (r)
        return r;
    *ret_new = application == 0 && schema == 0 && tables == 0;
    if (!*ret_new && application != APPLICATION_ID)
        return err_set(err, -EBADMSG, "it is a database of another program");
    if (schema > LEDGER_SCHEMA)
        return err_set(err, -EPROTO, "a newer program has made it (schema %d, known here: %d)",
                schema, LEDGER_SCHEMA);
    return *ret_new ? 0 : look_through(file, err);
}

static int begin_to_use(struct ledger_file *file, struct err *err)
{
    char pages[48];
    bool is_new;
    snprintf(pages, sizeof(pages), "PRAGMA max_page_count=%d", PAGES_MAX);
    int r = execute(file, "PRAGMA trusted_schema=OFF", err);
    if (r == 0)
        r = check_schema(file, &is_new, err);
    if (r == 0)
        r = execute(file, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", err);
    if (r == 0)
        r = execute(file, pages, err);
    if (r == 0 && is_new)
        r = make_tables(file, err);
    return r;
}

static int restrict_file(int fd, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_set(err, -errno, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "it is no regular file");
    if (st.st_uid != geteuid())
        return err_set(err, -EPERM, "another user owns it");
    return fchmod(fd, 0600) < 0 ? err_set(err, -errno, "%s", strerror(errno)) : 0;
}

/* SQLite makes what lies beside it with the same mode. */
static int make_private(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return err_set(err, -errno, "%s", strerror(errno));
    int r = restrict_file(fd, err);
    close(fd);
    return r;
}

static int open_database(const char *path, struct ledger_file *file, struct err *err)
{
    int result =
            sqlite3_open_v2(path, &file->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
    if (result != SQLITE_OK)
        return err_set(err, code_of(result), "%s", sqlite3_errstr(result));
    sqlite3_busy_timeout(file->db, BUSY_MS);
    return begin_to_use(file, err);
}

int ledger_file_open(const char *path, struct ledger_file **ret_file, struct err *err)
{
    int r = make_private(path, err);
    if (r)
        return r;
    struct ledger_file *file = calloc(1, sizeof(*file));
    r = file ? open_database(path, file, err) : err_set(err, -ENOMEM, "no memory for the ledger");
    if (r == 0) {
        *ret_file = file;
        return 0;
    }
    ledger_file_close(file);
    return r;
}

void ledger_file_close(struct ledger_file *file)
{
    if (!file)
        return;
    sqlite3_close(file->db);
    free(file);
}

/* --- put aside --- */

/* Of what is beside the database as well: "-wal"; "": the database. */
static int rename_part(const char *path, const char *part, struct err *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    int from_len = snprintf(from, sizeof(from), "%s%s", path, part);
    int to_len = snprintf(to, sizeof(to), "%s.broken%s", path, part);
    if (from_len >= PATH_MAX || to_len >= PATH_MAX)
        return err_set(err, -ENAMETOOLONG, "the path is too long");
    if (rename(from, to) < 0 && errno != ENOENT)
        return err_set(err, -errno, "%s cannot be renamed: %s", from, strerror(errno));
    return 0;
}

int ledger_file_put_aside(const char *path, struct err *err)
{
    int r = rename_part(path, "-wal", err);
    if (r == 0)
        r = rename_part(path, "-shm", err);
    return r ? r : rename_part(path, "", err);
}

/* --- read --- */

/* False where it is no text of `least` … `size − 1` bytes. */
static bool take_text(sqlite3_stmt *row, int at, char *ret_text, size_t size, size_t least)
{
    const char *text = (const char *)sqlite3_column_text(row, at);
    size_t len = (size_t)sqlite3_column_bytes(row, at);
    if (!text || len < least || len >= size || strlen(text) != len)
        return false;
    memcpy(ret_text, text, len + 1);
    return true;
}

static bool is_fingerprint(const char *text)
{
    size_t len = strlen(text);
    if (len != 0 && len != LEDGER_FINGERPRINT_MAX)
        return false;
    return strspn(text, "0123456789abcdef") == len;
}

static bool take_rates(sqlite3_stmt *row, struct ledger_rates *ret_rates)
{
    *ret_rates = (struct ledger_rates){.seen_s = sqlite3_column_int64(row, 3)};
    bool sound = take_text(row, 0, ret_rates->node, sizeof(ret_rates->node), 1) &&
                 take_text(row, 1, ret_rates->model, sizeof(ret_rates->model), 1) &&
                 take_text(row, 2, ret_rates->fingerprint, sizeof(ret_rates->fingerprint), 0) &&
                 key_z85_valid(ret_rates->node) && is_fingerprint(ret_rates->fingerprint);
    for (int i = 0; i < COLUMNS && sound; i++)
        sound = sqlite3_column_type(row, KEY_COLUMNS + i) == SQLITE_FLOAT &&
                set_number(&ret_rates->rates, &columns[i],
                        sqlite3_column_double(row, KEY_COLUMNS + i));
    return sound && rates_are_sound(&ret_rates->rates);
}

static bool take_tokenizer(sqlite3_stmt *row, struct ledger_tokenizer *ret_tokenizer)
{
    int64_t count = sqlite3_column_int64(row, 4);
    *ret_tokenizer = (struct ledger_tokenizer){.seen_s = sqlite3_column_int64(row, 1),
            .ratio = {.bytes = sqlite3_column_double(row, 2),
                    .tokens = sqlite3_column_double(row, 3)}};
    if (!take_text(row, 0, ret_tokenizer->name, sizeof(ret_tokenizer->name), 1) || count < 0 ||
            count > UINT32_MAX)
        return false;
    ret_tokenizer->ratio.count = (uint32_t)count;
    return token_ratio_is_sound(&ret_tokenizer->ratio);
}

struct reading {
    const struct ledger_reader *reader;
    size_t skipped;
};

static int read_rates(struct reading *reading, sqlite3_stmt *row)
{
    struct ledger_rates rates;
    if (take_rates(row, &rates))
        return reading->reader->on_rates(reading->reader->ctx, &rates);
    reading->skipped++;
    return 0;
}

static int read_tokenizer(struct reading *reading, sqlite3_stmt *row)
{
    struct ledger_tokenizer tokenizer;
    if (take_tokenizer(row, &tokenizer))
        return reading->reader->on_tokenizer(reading->reader->ctx, &tokenizer);
    reading->skipped++;
    return 0;
}

static int step_through(struct ledger_file *file, sqlite3_stmt *rows,
        int (*on_row)(struct reading *, sqlite3_stmt *), struct reading *reading, struct err *err)
{
    int result, r = 0;
    while (r == 0 && (result = sqlite3_step(rows)) == SQLITE_ROW)
        r = on_row(reading, rows);
    if (r)
        return err_set(err, r, "%s", strerror(-r));
    return result == SQLITE_DONE ? 0 : fail(file, "reading it", err);
}

static int read_table(struct ledger_file *file, const char *sql, const int64_t bounds[2],
        int (*on_row)(struct reading *, sqlite3_stmt *), struct reading *reading, struct err *err)
{
    sqlite3_stmt *rows = NULL;
    int r = prepare(file, sql, &rows, err);
    if (r)
        return r;
    sqlite3_bind_int64(rows, 1, bounds[0]);
    sqlite3_bind_int64(rows, 2, bounds[1]);
    r = step_through(file, rows, on_row, reading, err);
    sqlite3_finalize(rows);
    return r;
}

int ledger_file_read(struct ledger_file *file, int64_t since_s, size_t max,
        const struct ledger_reader *reader, size_t *ret_skipped, struct err *err)
{
    const int64_t bounds[2] = {since_s, (int64_t)max};
    struct reading reading = {.reader = reader};
    struct buf sql;
    int r = with_columns(&sql, "SELECT node, model, fingerprint, seen_s", "",
            " FROM rates WHERE seen_s >= ? ORDER BY seen_s DESC LIMIT ?");
    if (r)
        err_set(err, r, "no memory for the ledger");
    if (r == 0)
        r = read_table(file, buf_at(&sql), bounds, read_rates, &reading, err);
    if (r == 0)
        r = read_table(file,
                "SELECT name, seen_s, bytes, tokens, count FROM tokenizers WHERE seen_s >= ? "
                "ORDER BY seen_s DESC LIMIT ?",
                bounds, read_tokenizer, &reading, err);
    buf_fini(&sql);
    if (r == 0)
        *ret_skipped = reading.skipped;
    return r;
}

/* --- write --- */

/* A value that could not be bound is refused by the table as NULL. */
static void bind_text(sqlite3_stmt *row, int at, const char *text)
{
    sqlite3_bind_text(row, at, text, -1, SQLITE_STATIC);
}

static int put(struct ledger_file *file, sqlite3_stmt *row, struct err *err)
{
    int r = sqlite3_step(row) == SQLITE_DONE ? 0 : fail(file, "writing it", err);
    sqlite3_reset(row);
    return r;
}

static int put_rates(struct ledger_file *file, sqlite3_stmt *row, const struct ledger_rates *rates,
        struct err *err)
{
    bind_text(row, 1, rates->node);
    bind_text(row, 2, rates->model);
    bind_text(row, 3, rates->fingerprint);
    sqlite3_bind_int64(row, 4, rates->seen_s);
    for (int i = 0; i < COLUMNS; i++)
        sqlite3_bind_double(row, KEY_COLUMNS + 1 + i, number_of(&rates->rates, &columns[i]));
    return put(file, row, err);
}

static int put_tokenizer(struct ledger_file *file, sqlite3_stmt *row,
        const struct ledger_tokenizer *tokenizer, struct err *err)
{
    bind_text(row, 1, tokenizer->name);
    sqlite3_bind_int64(row, 2, tokenizer->seen_s);
    sqlite3_bind_double(row, 3, tokenizer->ratio.bytes);
    sqlite3_bind_double(row, 4, tokenizer->ratio.tokens);
    sqlite3_bind_int64(row, 5, tokenizer->ratio.count);
    return put(file, row, err);
}

/* By the columns' names: a person may have added one. */
static int insert_rates(struct buf *sql)
{
    int r = with_columns(sql, "INSERT OR REPLACE INTO rates (node, model, fingerprint, seen_s", "",
            ") VALUES (?, ?, ?, ?");
    if (r == 0)
        r = add_columns(sql, false, "?");
    if (r == 0)
        r = buf_append_str(sql, ")");
    return r ? r : buf_terminate(sql);
}

static int write_rates(struct ledger_file *file, const struct ledger_batch *batch, struct err *err)
{
    struct buf sql;
    sqlite3_stmt *row = NULL;
    int r = insert_rates(&sql);
    r = r ? err_set(err, r, "no memory for the ledger") : prepare(file, buf_at(&sql), &row, err);
    for (size_t i = 0; i < batch->rates_count && r == 0; i++)
        r = put_rates(file, row, &batch->rates[i], err);
    sqlite3_finalize(row);
    buf_fini(&sql);
    return r;
}

static int write_tokenizers(
        struct ledger_file *file, const struct ledger_batch *batch, struct err *err)
{
    sqlite3_stmt *row = NULL;
    int r = prepare(file,
            "INSERT OR REPLACE INTO tokenizers (name, seen_s, bytes, tokens, count) VALUES "
            "(?, ?, ?, ?, ?)",
            &row, err);
    for (size_t i = 0; i < batch->tokenizer_count && r == 0; i++)
        r = put_tokenizer(file, row, &batch->tokenizers[i], err);
    sqlite3_finalize(row);
    return r;
}

static int forget(struct ledger_file *file, const char *sql, int64_t bound, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int r = prepare(file, sql, &statement, err);
    if (r)
        return r;
    sqlite3_bind_int64(statement, 1, bound);
    r = put(file, statement, err);
    sqlite3_finalize(statement);
    return r;
}

static int forget_old(struct ledger_file *file, const struct ledger_batch *batch, struct err *err)
{
    int64_t before_s = batch->forget_before_s, max = (int64_t)batch->rows_max;
    int r = forget(file, "DELETE FROM rates WHERE seen_s < ?", before_s, err);
    if (r == 0)
        r = forget(file, "DELETE FROM tokenizers WHERE seen_s < ?", before_s, err);
    if (r == 0)
        r = forget(file,
                "DELETE FROM rates WHERE rowid IN (SELECT rowid FROM rates ORDER BY seen_s DESC "
                "LIMIT -1 OFFSET ?)",
                max, err);
    if (r == 0)
        r = forget(file,
                "DELETE FROM tokenizers WHERE rowid IN (SELECT rowid FROM tokenizers ORDER BY "
                "seen_s DESC LIMIT -1 OFFSET ?)",
                max, err);
    return r;
}

int ledger_file_write(struct ledger_file *file, const struct ledger_batch *batch, struct err *err)
{
    int r = execute(file, "BEGIN IMMEDIATE", err);
    if (r)
        return r;
    r = write_rates(file, batch, err);
    if (r == 0)
        r = write_tokenizers(file, batch, err);
    if (r == 0 && batch->forget_before_s != 0)
        r = forget_old(file, batch, err);
    if (r == 0)
        r = execute(file, "COMMIT", err);
    if (r && !sqlite3_get_autocommit(file->db))
        sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}
