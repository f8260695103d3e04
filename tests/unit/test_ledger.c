#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/env.h"
#include "common/file.h"
#include "common/log.h"
#include "coordinator/ledger.h"
#include "coordinator/ledger_file.h"
#include "tests/lib/patience.h"
#include "tests/lib/scratch.h"
#include "tests/lib/short_memory.h"
#include "tests/lib/virtual_env.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000, WRITE_MS = 50, DAY_S = 24 * 60 * 60, NOBODY = 65534 };

static const char node_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char node_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
static const uint8_t content[MSG_FINGERPRINT_BYTES] = {0xab, 0xcd, 1};

static struct scratch scratch;
static struct loop loop;
static struct virtual_env world;
static struct ledger *ledger;
static struct ledger_opening opening;

/* --- the bench --- */

static int set_up(void **state)
{
    (void)state;
    log_init("test", LOG_LEVEL_ERROR);
    scratch_init(&scratch);
    virtual_env_init(&world);
    return loop_init(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    ledger_destroy(ledger);
    ledger = NULL;
    loop_fini(&loop);
    scratch_fini(&scratch);
    return 0;
}

static const char *path(void)
{
    return scratch_path(&scratch, LEDGER_FILE_NAME);
}

static int try_open_at(const char *at)
{
    const struct ledger_config config = {
            .loop = &loop, .env = &world.env, .path = at, .write_ms = WRITE_MS};
    struct err err = {""};
    return ledger_create(&config, &ledger, &opening, &err);
}

static void open_ledger(void)
{
    assert_int_equal(try_open_at(path()), 0);
}

/* All that it knows is on the disk afterwards, as at the end of a coordinator. */
static void close_ledger(void)
{
    ledger_destroy(ledger);
    ledger = NULL;
    loop_fini(&loop);
    assert_int_equal(loop_init(&loop), 0);
}

static void restart(void)
{
    close_ledger();
    open_ledger();
}

static struct ledger_instance instance(const char *node, const char *model)
{
    return (struct ledger_instance){.node = node, .model = model};
}

static double now_s(void)
{
    return (double)world.now_us / 1e6;
}

/* Rates whose R is `tok_s`, from one timing. */
static struct rates rates_of(double tok_s)
{
    const struct cost_rates prior = {.prefill_tok_s = (float)tok_s,
            .half_depth = INFINITY,
            .step_s = 0.02f,
            .step_sequence_s = 0.002f};
    struct rates rates;
    rates_init(&rates, &prior, now_s());
    rates_learn_prefill(&rates, 1000, 100, 1000 / tok_s, now_s());
    rates_learn_decode(&rates, 100, 2, 2.4, now_s());
    return rates;
}

static void keep(const char *node, const char *model, double tok_s)
{
    const struct ledger_instance at = instance(node, model);
    const struct rates rates = rates_of(tok_s);
    ledger_keep_rates(ledger, &at, &rates);
}

/* Its R, or 0. */
static double found(const char *node, const char *model)
{
    const struct ledger_instance at = instance(node, model);
    struct cost_rates speed;
    struct rates rates;
    if (!ledger_find_rates(ledger, &at, &rates))
        return 0;
    rates_now(&rates, now_s(), &speed);
    return round((double)speed.prefill_tok_s);
}

#define assert_found(node, model, tok_s)                                                           \
    assert_true(fabs(found(node, model) - (tok_s)) <= 0.01 * (tok_s))

static void advance_days(uint64_t days)
{
    virtual_env_advance_ms(&world, days * DAY_S * 1000);
}

/* Another program's hands on the file. */
static void execute(const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path(), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

static int64_t number_of(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(path(), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, PATIENCE_MS);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static size_t file_of(const char *at, char **ret_data)
{
    struct err err;
    size_t len;
    if (file_read(at, 64 << 20, ret_data, &len, &err))
        fail_msg("%s", err.text);
    return len;
}

/* --- what is kept --- */

static void it_begins_empty(void **state)
{
    struct stat st;
    (void)state;
    open_ledger();
    assert_int_equal(opening.state, LEDGER_KEPT);
    assert_int_equal(opening.rows, 0);
    assert_true(found(node_a, "fast") <= 0);
    assert_int_equal(stat(path(), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void rates_outlive_a_restart(void **state)
{
    struct rates before = {0}, after = {0};
    const struct ledger_instance at = {
            .node = node_a, .model = "model: \"ä\"', --", .fingerprint = content};
    (void)state;
    open_ledger();
    before = rates_of(1234);
    before.prefill.drift = 0.25;
    before.decode.changing = true;
    ledger_keep_rates(ledger, &at, &before);
    restart();
    assert_int_equal(opening.rows, 1);
    assert_int_equal(opening.skipped, 0);
    assert_true(ledger_find_rates(ledger, &at, &after));
    assert_true(fabs(after.updated_s - before.updated_s) < 1e-3);
    after.updated_s = before.updated_s;
    assert_memory_equal(&after.prior, &before.prior, sizeof(after.prior));
    assert_true(fabs(after.prefill.s1 - before.prefill.s1) <= 0);
    assert_true(fabs(after.prefill.sz - before.prefill.sz) <= 0);
    assert_true(fabs(after.prefill.szz - before.prefill.szz) <= 0);
    assert_true(fabs(after.decode.t1 - before.decode.t1) <= 0);
    assert_true(fabs(after.decode.tz - before.decode.tz) <= 0);
    assert_true(fabs(after.prefill.drift - before.prefill.drift) <= 0);
    assert_true(fabs(after.decode.weight - before.decode.weight) <= 0);
    assert_int_equal(after.prefill.count, 1);
    assert_false(after.prefill.changing);
    assert_true(after.decode.changing);
}

static void each_instance_has_its_own(void **state)
{
    struct rates rates;
    const struct ledger_instance other = {.node = node_a, .model = "fast", .fingerprint = content};
    (void)state;
    open_ledger();
    keep(node_a, "fast", 100);
    keep(node_b, "fast", 200);
    keep(node_a, "coder", 300);
    assert_false(ledger_find_rates(ledger, &other, &rates)); /* another file of that name */
    rates = rates_of(400);
    ledger_keep_rates(ledger, &other, &rates);
    restart();
    assert_int_equal(opening.rows, 4);
    assert_found(node_a, "fast", 100);
    assert_found(node_b, "fast", 200);
    assert_found(node_a, "coder", 300);
    assert_true(ledger_find_rates(ledger, &other, &rates));
}

static void the_last_word_counts(void **state)
{
    (void)state;
    open_ledger();
    for (unsigned i = 1; i <= 50; i++)
        keep(node_a, "fast", i);
    assert_int_equal(ledger_row_count(ledger), 1);
    restart();
    keep(node_a, "fast", 777);
    restart();
    assert_int_equal(opening.rows, 1);
    assert_found(node_a, "fast", 777);
}

static void ratios_outlive_a_restart(void **state)
{
    struct token_ratio ratio, other;
    (void)state;
    open_ledger();
    token_ratio_init(&ratio);
    for (unsigned i = 0; i < 50; i++)
        token_ratio_learn(&ratio, 2500, 1000);
    ledger_keep_token_ratio(ledger, "qwen3", &ratio);
    restart();
    assert_true(ledger_find_token_ratio(ledger, "qwen3", &other));
    assert_true(fabs(token_ratio_bytes(&other) - token_ratio_bytes(&ratio)) < 1e-9);
    assert_int_equal(other.count, 50);
    assert_false(ledger_find_token_ratio(ledger, "llama", &other));
}

static int64_t three_days_later_ms(void *ctx)
{
    (void)ctx;
    return 1700000000000 + INT64_C(3000) * DAY_S;
}

/* The monotonic clock begins anew with each boot. */
static void what_was_learnt_ages_while_it_is_down(void **state)
{
    const struct ledger_instance at = instance(node_a, "fast");
    struct rates rates;
    (void)state;
    world.now_us = 0;
    open_ledger();
    keep(node_a, "fast", 100);
    close_ledger();
    world.now_us = 5000000;
    world.env.wall_ms = three_days_later_ms;
    open_ledger();
    assert_true(ledger_find_rates(ledger, &at, &rates));
    assert_true(fabs(now_s() - rates.updated_s - 3.0 * DAY_S) < 1);
}

static void nonsense_is_not_kept(void **state)
{
    char long_name[MSG_NAME_MAX + 2];
    struct token_ratio ratio = {.bytes = NAN, .tokens = 1};
    struct rates rates = rates_of(100);
    const struct ledger_instance at = instance(node_a, "fast");
    (void)state;
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    open_ledger();
    keep(node_a, "", 100);
    keep(node_a, long_name, 100);
    keep("", "fast", 100);
    keep("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "fast", 100);
    rates.prefill.s1 = NAN;
    ledger_keep_rates(ledger, &at, &rates);
    ledger_keep_token_ratio(ledger, "x", &ratio);
    ledger_keep_token_ratio(ledger, "", &(struct token_ratio){.bytes = 4, .tokens = 1});
    assert_int_equal(ledger_row_count(ledger), 0);
}

/* --- when it is written --- */

static void it_is_written_without_an_end(void **state)
{
    struct loop_timer *patience = patience_start(&loop, PATIENCE_MS);
    (void)state;
    open_ledger();
    keep(node_a, "fast", 100);
    while (number_of("SELECT count(*) FROM rates") == 0)
        uv_run(&loop.uv, UV_RUN_ONCE);
    loop_timer_destroy(patience);
}

static void many_rows_are_written_and_read(void **state)
{
    enum { ROWS = 5 * LEDGER_BATCH_MAX + 7 };
    char name[32];
    (void)state;
    open_ledger();
    for (unsigned i = 0; i < ROWS; i++) {
        snprintf(name, sizeof(name), "model %u", i);
        keep(i % 2 ? node_a : node_b, name, i + 1);
    }
    restart();
    assert_int_equal(opening.rows, ROWS);
    assert_int_equal(opening.skipped, 0);
    assert_found(node_b, "model 0", 1);
    assert_found(node_a, "model 5001", 5002);
}

static void past_its_limit_the_longest_unseen_goes(void **state)
{
    char name[32];
    (void)state;
    assert_int_equal(try_open_at(NULL), 0);
    keep(node_a, "first", 1);
    advance_days(1);
    for (unsigned i = 0; i < LEDGER_ROWS_MAX - 1; i++) {
        snprintf(name, sizeof(name), "model %u", i);
        keep(node_a, name, 100);
    }
    assert_found(node_a, "first", 1); /* and is seen so: it stays */
    advance_days(1);
    keep(node_a, "model 7", 100);
    assert_int_equal(ledger_row_count(ledger), LEDGER_ROWS_MAX);
    keep(node_b, "last", 100);
    assert_int_equal(ledger_row_count(ledger), LEDGER_ROWS_MAX);
    assert_found(node_b, "last", 100);
    assert_found(node_a, "first", 1);
}

static void what_nobody_asks_for_is_forgotten(void **state)
{
    struct token_ratio ratio;
    (void)state;
    open_ledger();
    keep(node_a, "gone", 100);
    keep(node_a, "here", 100);
    token_ratio_init(&ratio);
    ledger_keep_token_ratio(ledger, "gone", &ratio);
    advance_days(LEDGER_FORGET_DAYS - 10);
    restart();
    assert_int_equal(opening.rows, 3);
    assert_found(node_a, "here", 100);
    advance_days(20);
    restart(); /* "here" was written again, as it was asked for */
    assert_int_equal(opening.rows, 1);
    assert_found(node_a, "here", 100);
    keep(node_b, "new", 100); /* the next batch clears the file */
    close_ledger();
    assert_int_equal(number_of("SELECT count(*) FROM rates"), 2);
    assert_int_equal(number_of("SELECT count(*) FROM tokenizers"), 0);
}

static int64_t wall_of_2020_ms(void *ctx)
{
    (void)ctx;
    return INT64_C(1600100000000);
}

static void a_clock_that_was_ahead_does_no_harm(void **state)
{
    const struct ledger_instance at = instance(node_a, "fast");
    struct rates rates;
    (void)state;
    open_ledger();
    advance_days(5000);
    keep(node_a, "fast", 100);
    close_ledger();
    virtual_env_init(&world);
    open_ledger();
    assert_int_equal(opening.rows, 1);
    assert_true(ledger_find_rates(ledger, &at, &rates));
    assert_true(rates.updated_s <= now_s()); /* it ages from now on */
    restart();
    advance_days(LEDGER_FORGET_DAYS + 1); /* since it was set right */
    restart();
    assert_int_equal(opening.rows, 0);
}

static void a_file_that_has_grown_too_long_is_cut(void **state)
{
    (void)state;
    open_ledger();
    close_ledger();
    execute("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000) "
            "INSERT INTO tokenizers SELECT 't' || n, 1600000000 + n, 4000, 1000, 3 FROM c");
    world.env.wall_ms = wall_of_2020_ms;
    open_ledger();
    assert_int_equal(opening.rows, LEDGER_TABLE_MAX);
    keep(node_a, "fast", 100);
    close_ledger();
    assert_int_equal(number_of("SELECT count(*) FROM tokenizers"), LEDGER_TABLE_MAX);
    assert_int_equal(number_of("SELECT min(seen_s) FROM tokenizers"),
            1600000000 + 20000 - LEDGER_TABLE_MAX + 1);
    assert_int_equal(number_of("SELECT count(*) FROM rates"), 1);
}

/* --- files that are not as they should be --- */

static void assert_put_aside(void)
{
    struct stat st;
    open_ledger();
    assert_int_equal(opening.state, LEDGER_PUT_ASIDE);
    assert_true(opening.why.text[0]);
    assert_int_equal(ledger_row_count(ledger), 0);
    assert_int_equal(stat(scratch_path(&scratch, LEDGER_FILE_NAME ".broken"), &st), 0);
    keep(node_b, "new", 200);
    restart();
    assert_int_equal(opening.state, LEDGER_KEPT);
    assert_found(node_b, "new", 200);
    close_ledger();
}

static void a_file_that_is_none_is_put_aside(void **state)
{
    char *text;
    (void)state;
    scratch_write(&scratch, LEDGER_FILE_NAME, "this is no database, it is a letter to a friend");
    assert_put_aside();
    file_of(scratch_path(&scratch, LEDGER_FILE_NAME ".broken"), &text);
    assert_memory_equal(text, "this is no", 10);
    free(text);
}

/* In a page that reading does not come by: of the index. */
static void a_torn_file_is_put_aside(void **state)
{
    char name[32], garbage[4096];
    (void)state;
    open_ledger();
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "model %u", i);
        keep(node_a, name, 100);
    }
    close_ledger();
    int64_t page = number_of("SELECT rootpage FROM sqlite_schema WHERE name = "
                             "'sqlite_autoindex_rates_1'");
    int64_t page_bytes = number_of("PRAGMA page_size");
    int fd = open(path(), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    memset(garbage, 0x5a, sizeof(garbage));
    assert_int_equal(
            pwrite(fd, garbage, sizeof(garbage), (page - 1) * page_bytes), sizeof(garbage));
    close(fd);
    assert_put_aside();
}

static void one_that_is_put_aside_replaces_the_last(void **state)
{
    char *text;
    (void)state;
    scratch_write(&scratch, LEDGER_FILE_NAME, "the first letter, long enough to be no database");
    assert_put_aside();
    scratch_write(&scratch, LEDGER_FILE_NAME, "SQLite format 3");
    assert_put_aside();
    file_of(scratch_path(&scratch, LEDGER_FILE_NAME ".broken"), &text);
    assert_string_equal(text, "SQLite format 3");
    free(text);
}

static void a_table_that_lacks_a_column_is_put_aside(void **state)
{
    (void)state;
    open_ledger();
    close_ledger();
    execute("ALTER TABLE rates DROP COLUMN decode_tz");
    assert_put_aside();
    execute("ALTER TABLE tokenizers DROP COLUMN count"); /* seen when the rates are read */
    assert_put_aside();
}

static void a_column_more_does_no_harm(void **state)
{
    (void)state;
    open_ledger();
    close_ledger();
    execute("ALTER TABLE rates ADD COLUMN note TEXT");
    execute("ALTER TABLE tokenizers ADD COLUMN note TEXT");
    open_ledger();
    keep(node_a, "fast", 100);
    ledger_keep_token_ratio(ledger, "x", &(struct token_ratio){.bytes = 4, .tokens = 1});
    restart();
    assert_int_equal(opening.rows, 2);
}

static void another_programs_database_is_put_aside(void **state)
{
    (void)state;
    execute("CREATE TABLE friends (name TEXT)");
    assert_put_aside();
}

static void an_empty_file_is_a_new_one(void **state)
{
    (void)state;
    scratch_write(&scratch, LEDGER_FILE_NAME, "");
    open_ledger();
    assert_int_equal(opening.state, LEDGER_KEPT);
    keep(node_a, "fast", 100);
    restart();
    assert_found(node_a, "fast", 100);
}

static void a_newer_schema_is_left_alone(void **state)
{
    char *before, *after;
    (void)state;
    open_ledger();
    keep(node_a, "fast", 100);
    close_ledger();
    execute("PRAGMA user_version = 2");
    size_t before_len = file_of(path(), &before);
    open_ledger();
    assert_int_equal(opening.state, LEDGER_NOT_KEPT);
    assert_non_null(strstr(opening.why.text, "newer"));
    keep(node_a, "fast", 200); /* in memory it works */
    assert_found(node_a, "fast", 200);
    close_ledger();
    assert_int_equal(file_of(path(), &after), before_len);
    assert_memory_equal(before, after, before_len);
    free(before);
    free(after);
}

static void rows_that_make_no_sense_are_skipped(void **state)
{
    static const char *const harm[] = {
            "UPDATE rates SET model = '' WHERE model = 'm0'",
            "UPDATE rates SET node = 'no key' WHERE model = 'm1'",
            "UPDATE rates SET fingerprint = 'XYZ' WHERE model = 'm2'",
            "UPDATE rates SET prefill_s1 = -1 WHERE model = 'm3'",
            "UPDATE rates SET prior_step_s = 9e999 WHERE model = 'm4'",
            "UPDATE rates SET prefill_count = 1e300 WHERE model = 'm5'",
            "UPDATE rates SET model = printf('%200s', 'x') WHERE model = 'm6'",
            "UPDATE rates SET model = 'a' || char(0) || 'b' WHERE model = 'm7'",
            "UPDATE rates SET decode_sz = 1e20 WHERE model = 'm8'",
    };
    enum { HARM = sizeof(harm) / sizeof(harm[0]) };
    char name[8];
    (void)state;
    open_ledger();
    for (unsigned i = 0; i <= HARM; i++) {
        snprintf(name, sizeof(name), "m%u", i);
        keep(node_a, name, 100);
    }
    ledger_keep_token_ratio(ledger, "x", &(struct token_ratio){.bytes = 4, .tokens = 1});
    close_ledger();
    for (unsigned i = 0; i < HARM; i++)
        execute(harm[i]);
    execute("UPDATE tokenizers SET tokens = 0");
    open_ledger();
    assert_int_equal(opening.state, LEDGER_KEPT);
    assert_int_equal(opening.rows, 1);
    assert_int_equal(opening.skipped, HARM + 1);
    assert_found(node_a, "m9", 100);
}

/* --- disks that refuse --- */

static void without_a_path_it_lives_in_memory(void **state)
{
    (void)state;
    assert_int_equal(try_open_at(NULL), 0);
    assert_int_equal(opening.state, LEDGER_NOT_KEPT);
    assert_string_equal(opening.why.text, "");
    keep(node_a, "fast", 100);
    assert_found(node_a, "fast", 100);
}

static void assert_in_memory_at(const char *at)
{
    assert_int_equal(try_open_at(at), 0);
    assert_int_equal(opening.state, LEDGER_NOT_KEPT);
    assert_true(opening.why.text[0]);
    keep(node_a, "fast", 100);
    assert_found(node_a, "fast", 100);
    close_ledger();
}

static void a_folder_that_cannot_be_written_costs_the_file_only(void **state)
{
    (void)state;
    scratch_mkdir(&scratch, "closed");
    assert_in_memory_at(scratch_path(&scratch, "missing/ledger.sqlite"));
    assert_in_memory_at(scratch_path(&scratch, "closed")); /* no file */
    assert_int_equal(chmod(scratch.path, 0755), 0);
    assert_int_equal(chmod(scratch_path(&scratch, "closed"), 0555), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(NOBODY), 0);
    assert_in_memory_at(scratch_path(&scratch, "closed/ledger.sqlite"));
    if (root)
        assert_int_equal(seteuid(0), 0);
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    scratch_write(&scratch, "elsewhere", "");
    char target[PATH_MAX];
    snprintf(target, sizeof(target), "%s", scratch_path(&scratch, "elsewhere"));
    assert_int_equal(symlink(target, path()), 0);
    assert_in_memory_at(path());
}

/* No more room on the disk, as far as this process can tell. */
static void set_room(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_costs_nothing_but_the_file(void **state)
{
    struct stat st;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    open_ledger();
    keep(node_a, "before", 100);
    restart();
    assert_int_equal(stat(path(), &st), 0);
    set_room(1024);
    keep(node_a, "full", 100);
    ledger_destroy(ledger); /* tries, and gives up */
    ledger = NULL;
    loop_fini(&loop);
    set_room(RLIM_INFINITY);
    assert_int_equal(loop_init(&loop), 0);
    open_ledger();
    assert_int_equal(opening.state, LEDGER_KEPT);
    assert_found(node_a, "before", 100);
    assert_true(found(node_a, "full") <= 0);
}

/* Something is in the work queue. */
static bool is_working(void)
{
    return loop.uv.active_reqs.count > 0;
}

static void what_could_not_be_written_is_tried_again(void **state)
{
    struct loop_timer *patience = patience_start(&loop, PATIENCE_MS);
    sqlite3 *other;
    (void)state;
    open_ledger();
    assert_int_equal(sqlite3_open(path(), &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    keep(node_a, "fast", 100);
    while (!is_working())
        uv_run(&loop.uv, UV_RUN_ONCE);
    while (is_working()) /* until it is refused */
        uv_run(&loop.uv, UV_RUN_ONCE);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    while (number_of("SELECT count(*) FROM rates") == 0)
        uv_run(&loop.uv, UV_RUN_ONCE);
    loop_timer_destroy(patience);
}

static void each_allocation_fails_once(void **state)
{
    size_t failures = 0;
    (void)state;
    open_ledger();
    keep(node_a, "old", 100);
    close_ledger();
    for (bool failed = true; failed; failures++) {
        short_memory_begin(failures);
        int r = try_open_at(path());
        if (r == 0)
            keep(node_a, "fast", 100);
        failed = short_memory_end();
        assert_true(r == 0 || r == -ENOMEM);
        assert_true(r == 0 || !ledger);
        if (r == 0)
            close_ledger();
    }
    assert_true(failures > 3);
    open_ledger();
    assert_int_equal(opening.state, LEDGER_KEPT);
    assert_found(node_a, "old", 100);
    assert_found(node_a, "fast", 100);
}

static void a_write_that_lacks_memory_is_tried_again(void **state)
{
    struct loop_timer *patience = patience_start(&loop, PATIENCE_MS);
    size_t failures = 0;
    (void)state;
    open_ledger();
    for (bool failed = true; failed; failures++) {
        char sql[96];
        keep(node_a, "fast", (double)failures + 1);
        snprintf(sql, sizeof(sql), "SELECT count(*) FROM rates WHERE prior_prefill_tok_s = %zu",
                failures + 1);
        short_memory_begin(failures);
        while (number_of(sql) == 0)
            uv_run(&loop.uv, UV_RUN_ONCE);
        failed = short_memory_end();
    }
    assert_true(failures > 3);
    loop_timer_destroy(patience);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            test(it_begins_empty),
            test(rates_outlive_a_restart),
            test(each_instance_has_its_own),
            test(the_last_word_counts),
            test(ratios_outlive_a_restart),
            test(what_was_learnt_ages_while_it_is_down),
            test(nonsense_is_not_kept),
            test(it_is_written_without_an_end),
            test(many_rows_are_written_and_read),
            test(past_its_limit_the_longest_unseen_goes),
            test(what_nobody_asks_for_is_forgotten),
            test(a_clock_that_was_ahead_does_no_harm),
            test(a_file_that_has_grown_too_long_is_cut),
            test(a_file_that_is_none_is_put_aside),
            test(a_torn_file_is_put_aside),
            test(one_that_is_put_aside_replaces_the_last),
            test(a_table_that_lacks_a_column_is_put_aside),
            test(a_column_more_does_no_harm),
            test(another_programs_database_is_put_aside),
            test(an_empty_file_is_a_new_one),
            test(a_newer_schema_is_left_alone),
            test(rows_that_make_no_sense_are_skipped),
            test(without_a_path_it_lives_in_memory),
            test(a_folder_that_cannot_be_written_costs_the_file_only),
            test(a_link_is_not_followed),
            test(a_full_disk_costs_nothing_but_the_file),
            test(what_could_not_be_written_is_tried_again),
            test(each_allocation_fails_once),
            test(a_write_that_lacks_memory_is_tried_again),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
