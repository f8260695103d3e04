#include "coordinator/ledger.h"

#include "common/list.h"
#include "common/log.h"
#include "coordinator/ledger_file.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096, DAY_S = 24 * 60 * 60 };

enum kind { KIND_RATES, KIND_TOKENIZER };

struct row {
    struct list bucket;
    struct list changed; /* in ledger.changed or ledger.writing */
    enum kind kind;
    union {
        struct ledger_rates rates;
        struct ledger_tokenizer tokenizer;
    };
};

struct ledger {
    struct ledger_config config;
    struct list buckets[BUCKETS];
    size_t count;
    struct list changed; /* to be written */
    struct list writing; /* in the batch that is being written, and not changed since */
    int64_t forgotten_s; /* Unix time when the old rows went last; 0: not yet */
    struct loop_timer *timer;
    struct ledger_file *file; /* NULL: nothing is kept */
    uv_work_t work;
    bool busy, closing, failure_told;
    bool more;                 /* than the batch takes had changed when it was made */
    struct ledger_batch batch; /* the worker's while it is busy */
    int result;
    struct err err;
    char path[];
};

/* --- rows --- */

static int64_t wall_s(const struct ledger *ledger)
{
    return env_wall_ms(ledger->config.env) / 1000;
}

static int64_t *seen_of(struct row *row)
{
    return row->kind == KIND_RATES ? &row->rates.seen_s : &row->tokenizer.seen_s;
}

static bool is_same(const struct row *a, const struct row *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == KIND_TOKENIZER)
        return strcmp(a->tokenizer.name, b->tokenizer.name) == 0;
    return strcmp(a->rates.node, b->rates.node) == 0 &&
           strcmp(a->rates.model, b->rates.model) == 0 &&
           strcmp(a->rates.fingerprint, b->rates.fingerprint) == 0;
}

static size_t hash_text(size_t hash, const char *text)
{
    for (; *text; text++)
        hash = hash * 33 + (unsigned char)*text;
    return hash;
}

static struct list *bucket_of(struct ledger *ledger, const struct row *row)
{
    size_t hash = row->kind;
    if (row->kind == KIND_TOKENIZER)
        hash = hash_text(hash, row->tokenizer.name);
    else
        hash = hash_text(hash_text(hash, row->rates.node), row->rates.model);
    return &ledger->buckets[hash % BUCKETS];
}

static struct row *find(struct ledger *ledger, const struct row *like)
{
    list_for_each (it, bucket_of(ledger, like)) {
        struct row *row = list_entry(it, struct row, bucket);
        if (is_same(row, like))
            return row;
    }
    return NULL;
}

static void row_free(struct ledger *ledger, struct row *row)
{
    list_del(&row->bucket);
    list_del(&row->changed);
    ledger->count--;
    free(row);
}

static struct row *longest_unseen(struct ledger *ledger)
{
    struct row *oldest = NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        list_for_each (it, &ledger->buckets[i]) {
            struct row *row = list_entry(it, struct row, bucket);
            if (!oldest || *seen_of(row) < *seen_of(oldest))
                oldest = row;
        }
    return oldest;
}

/* The row that is like it, overwritten or new. NULL where malloc refuses. */
static struct row *put(struct ledger *ledger, const struct row *like)
{
    struct row *row = find(ledger, like);
    if (!row) {
        row = malloc(sizeof(*row));
        if (!row)
            return NULL;
        if (ledger->count == LEDGER_ROWS_MAX)
            row_free(ledger, longest_unseen(ledger));
        list_init(&row->changed);
        list_push_back(bucket_of(ledger, like), &row->bucket);
        ledger->count++;
    }
    row->kind = like->kind;
    if (like->kind == KIND_RATES)
        row->rates = like->rates;
    else
        row->tokenizer = like->tokenizer;
    return row;
}

static void note_change(struct ledger *ledger, struct row *row)
{
    if (!ledger->file)
        return;
    list_del(&row->changed);
    list_push_back(&ledger->changed, &row->changed);
}

/* One that is only asked for is written once a day, so that it stays. */
static void note_seen(struct ledger *ledger, struct row *row)
{
    int64_t now_s = wall_s(ledger), *seen_s = seen_of(row);
    if (now_s - *seen_s < DAY_S)
        return;
    *seen_s = now_s;
    note_change(ledger, row);
}

static void forget_old(struct ledger *ledger, int64_t before_s)
{
    for (size_t i = 0; i < BUCKETS; i++)
        list_for_each_safe (it, &ledger->buckets[i]) {
            struct row *row = list_entry(it, struct row, bucket);
            if (*seen_of(row) < before_s)
                row_free(ledger, row);
        }
}

/* --- writing --- */

static void batch_fini(struct ledger_batch *batch)
{
    free(batch->rates);
    free(batch->tokenizers);
    *batch = (struct ledger_batch){.rates = NULL};
}

/* With room for `rows` of either kind. */
static int batch_init(struct ledger_batch *batch, size_t rows)
{
    *batch = (struct ledger_batch){.rates = calloc(rows + 1, sizeof(*batch->rates)),
            .tokenizers = calloc(rows + 1, sizeof(*batch->tokenizers)),
            .rows_max = LEDGER_TABLE_MAX};
    if (batch->rates && batch->tokenizers)
        return 0;
    batch_fini(batch);
    return -ENOMEM;
}

static void batch_add(struct ledger_batch *batch, const struct row *row)
{
    if (row->kind == KIND_RATES)
        batch->rates[batch->rates_count++] = row->rates;
    else
        batch->tokenizers[batch->tokenizer_count++] = row->tokenizer;
}

static bool is_time_to_forget(const struct ledger *ledger)
{
    int64_t since_s = wall_s(ledger) - ledger->forgotten_s;
    return since_s >= DAY_S || since_s < 0;
}

/* Of what has changed as much as one batch takes. */
static size_t rows_to_write(const struct ledger *ledger)
{
    size_t count = 0;
    list_for_each (it, &ledger->changed)
        if (++count == LEDGER_BATCH_MAX)
            break;
    return count;
}

static void fill_batch(struct ledger *ledger, size_t rows)
{
    while (rows-- > 0) {
        struct row *row = list_entry(ledger->changed.next, struct row, changed);
        batch_add(&ledger->batch, row);
        list_del(&row->changed);
        list_push_back(&ledger->writing, &row->changed);
    }
    if (!is_time_to_forget(ledger))
        return;
    ledger->forgotten_s = wall_s(ledger);
    ledger->batch.forget_before_s = ledger->forgotten_s - (int64_t)LEDGER_FORGET_DAYS * DAY_S;
    forget_old(ledger, ledger->batch.forget_before_s);
}

static void on_work(uv_work_t *work)
{
    struct ledger *ledger = work->data;
    ledger->result = ledger_file_write(ledger->file, &ledger->batch, &ledger->err);
}

static void ledger_free(struct ledger *ledger)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (!list_empty(&ledger->buckets[i]))
            row_free(ledger, list_entry(ledger->buckets[i].next, struct row, bucket));
    ledger_file_close(ledger->file);
    batch_fini(&ledger->batch);
    free(ledger);
}

static void after_work(uv_work_t *work, int status);

static void start_write(struct ledger *ledger)
{
    size_t rows = rows_to_write(ledger);
    if (batch_init(&ledger->batch, rows))
        return; /* the next turn of the timer tries again */
    fill_batch(ledger, rows);
    ledger->more = !list_empty(&ledger->changed);
    ledger->work.data = ledger;
    ledger->busy = true;
    int r = uv_queue_work(&ledger->config.loop->uv, &ledger->work, on_work, after_work);
    assert(r == 0); /* it refuses nothing but to have no callback */
    (void)r;
}

/* What was not written is tried again; what has changed since is in the other list already. */
static void take_result(struct ledger *ledger, bool written)
{
    while (!list_empty(&ledger->writing)) {
        struct list *link = ledger->writing.prev;
        list_del(link);
        if (!written)
            list_push_front(&ledger->changed, link);
    }
    if (!written && !ledger->failure_told)
        log_warn("ledger not written; it is tried again", LOG_S("path", ledger->path),
                LOG_S("reason", ledger->err.text));
    ledger->failure_told = !written;
}

static void after_work(uv_work_t *work, int status)
{
    struct ledger *ledger = work->data;
    bool written = status == 0 && ledger->result == 0;
    ledger->busy = false;
    batch_fini(&ledger->batch);
    if (status == 0)
        take_result(ledger, written);
    if (written && !list_empty(&ledger->changed) && (ledger->closing || ledger->more))
        start_write(ledger);
    if (ledger->closing && !ledger->busy)
        ledger_free(ledger);
}

static void on_timer(void *ctx)
{
    struct ledger *ledger = ctx;
    if (!ledger->busy && (!list_empty(&ledger->changed) || is_time_to_forget(ledger)))
        start_write(ledger);
}

/* --- reading --- */

/* A time that has not come yet was written by a clock that was wrong. */
static int add_row(struct ledger *ledger, const struct row *like)
{
    int64_t now_s = wall_s(ledger);
    struct row *row = put(ledger, like);
    if (!row)
        return -ENOMEM;
    if (*seen_of(row) <= now_s)
        return 0;
    *seen_of(row) = now_s;
    note_change(ledger, row);
    return 0;
}

static int on_rates(void *ctx, const struct ledger_rates *rates)
{
    const struct row row = {.kind = KIND_RATES, .rates = *rates};
    return add_row(ctx, &row);
}

static int on_tokenizer(void *ctx, const struct ledger_tokenizer *tokenizer)
{
    const struct row row = {.kind = KIND_TOKENIZER, .tokenizer = *tokenizer};
    return add_row(ctx, &row);
}

static int read_file(struct ledger *ledger, struct ledger_opening *opening, struct err *err)
{
    const struct ledger_reader reader = {
            .on_rates = on_rates, .on_tokenizer = on_tokenizer, .ctx = ledger};
    int64_t since_s = wall_s(ledger) - (int64_t)LEDGER_FORGET_DAYS * DAY_S;
    int r = ledger_file_open(ledger->path, &ledger->file, err);
    if (r == 0)
        r = ledger_file_read(
                ledger->file, since_s, LEDGER_TABLE_MAX, &reader, &opening->skipped, err);
    if (r) {
        ledger_file_close(ledger->file);
        ledger->file = NULL;
    }
    return r;
}

/* -ENOMEM; all else is told. */
static int open_file(struct ledger *ledger, struct ledger_opening *opening)
{
    struct err again;
    int r = read_file(ledger, opening, &opening->why);
    if (r == -EBADMSG) {
        opening->state = LEDGER_PUT_ASIDE;
        forget_old(ledger, INT64_MAX); /* what was read before it broke */
        r = ledger_file_put_aside(ledger->path, &again);
        if (r == 0 && (r = read_file(ledger, opening, &again)) != 0)
            err_prefix(&again, r, "it was broken and is put aside, but there can be no new one");
        if (r)
            opening->why = again;
    }
    if (r)
        opening->state = LEDGER_NOT_KEPT;
    opening->rows = ledger->count;
    return r == -ENOMEM ? r : 0;
}

/* --- life --- */

static struct ledger *ledger_alloc(const struct ledger_config *config)
{
    const char *path = config->path ? config->path : "";
    struct ledger *ledger = calloc(1, sizeof(*ledger) + strlen(path) + 1);
    if (!ledger)
        return NULL;
    memcpy(ledger->path, path, strlen(path) + 1);
    ledger->config = *config;
    ledger->config.path = ledger->path;
    list_init(&ledger->changed);
    list_init(&ledger->writing);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&ledger->buckets[i]);
    return ledger;
}

static int begin(struct ledger *ledger, struct ledger_opening *opening)
{
    *opening = (struct ledger_opening){.state = LEDGER_NOT_KEPT};
    if (ledger->path[0] == '\0')
        return 0;
    opening->state = LEDGER_KEPT;
    int r = open_file(ledger, opening);
    if (r || !ledger->file)
        return r;
    ledger->timer = loop_timer_create(ledger->config.loop, on_timer, ledger);
    if (!ledger->timer)
        return -ENOMEM;
    uint32_t write_ms = ledger->config.write_ms ? ledger->config.write_ms : LEDGER_WRITE_MS;
    loop_timer_start(ledger->timer, write_ms, write_ms);
    return 0;
}

int ledger_create(const struct ledger_config *config, struct ledger **ret_ledger,
        struct ledger_opening *ret_opening, struct err *err)
{
    struct ledger_opening opening;
    struct ledger *ledger = ledger_alloc(config);
    int r = ledger ? begin(ledger, &opening) : -ENOMEM;
    if (r) {
        if (ledger)
            ledger_free(ledger);
        return err_set(err, r, "no memory for the ledger");
    }
    *ret_ledger = ledger;
    *ret_opening = opening;
    return 0;
}

void ledger_destroy(struct ledger *ledger)
{
    if (!ledger)
        return;
    loop_timer_destroy(ledger->timer);
    ledger->closing = true;
    if (!ledger->busy && !list_empty(&ledger->changed))
        start_write(ledger);
    if (!ledger->busy)
        ledger_free(ledger);
}

size_t ledger_row_count(const struct ledger *ledger)
{
    return ledger->count;
}

/* --- what is kept --- */

static bool set_name(char *buf, size_t size, const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len >= size)
        return false;
    memcpy(buf, name, len + 1);
    return true;
}

/* False where it cannot be a row's key. */
static bool set_instance(struct row *row, const struct ledger_instance *instance)
{
    struct ledger_rates *rates = &row->rates;
    *row = (struct row){.kind = KIND_RATES};
    if (instance->fingerprint)
        sodium_bin2hex(rates->fingerprint, sizeof(rates->fingerprint), instance->fingerprint,
                MSG_FINGERPRINT_BYTES);
    return set_name(rates->node, sizeof(rates->node), instance->node) &&
           set_name(rates->model, sizeof(rates->model), instance->model);
}

/* From the monotonic clock to Unix time: what is added. */
static double wall_offset_s(const struct ledger *ledger)
{
    const struct env *env = ledger->config.env;
    return (double)env_wall_ms(env) / 1e3 - (double)env_now_us(env) / 1e6;
}

bool ledger_find_rates(
        struct ledger *ledger, const struct ledger_instance *instance, struct rates *ret_rates)
{
    struct row like, *row;
    if (!set_instance(&like, instance) || !(row = find(ledger, &like)))
        return false;
    note_seen(ledger, row);
    *ret_rates = row->rates.rates;
    ret_rates->updated_s -= wall_offset_s(ledger);
    ret_rates->updated_s = fmin(ret_rates->updated_s, (double)env_now_us(ledger->config.env) / 1e6);
    return true;
}

void ledger_keep_rates(
        struct ledger *ledger, const struct ledger_instance *instance, const struct rates *rates)
{
    struct row like, *row;
    if (!set_instance(&like, instance) || !rates_are_sound(rates))
        return;
    like.rates.seen_s = wall_s(ledger);
    like.rates.rates = *rates;
    like.rates.rates.updated_s += wall_offset_s(ledger);
    row = put(ledger, &like);
    if (row)
        note_change(ledger, row);
}

bool ledger_find_token_ratio(
        struct ledger *ledger, const char *tokenizer, struct token_ratio *ret_ratio)
{
    struct row like = {.kind = KIND_TOKENIZER}, *row;
    if (!set_name(like.tokenizer.name, sizeof(like.tokenizer.name), tokenizer) ||
            !(row = find(ledger, &like)))
        return false;
    note_seen(ledger, row);
    *ret_ratio = row->tokenizer.ratio;
    return true;
}

void ledger_keep_token_ratio(
        struct ledger *ledger, const char *tokenizer, const struct token_ratio *ratio)
{
    struct row like = {.kind = KIND_TOKENIZER}, *row;
    if (!set_name(like.tokenizer.name, sizeof(like.tokenizer.name), tokenizer) ||
            !token_ratio_is_sound(ratio))
        return;
    like.tokenizer.seen_s = wall_s(ledger);
    like.tokenizer.ratio = *ratio;
    row = put(ledger, &like);
    if (row)
        note_change(ledger, row);
}
