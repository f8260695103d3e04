#include "node/backends/slots/slot_swap.h"

#include "common/json/json.h"
#include "common/log.h"
#include "common/number.h"
#include "common/saturating.h"
#include "node/backends/engine_ask.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)SLOT_FILES_MAX >= (int)SLOTS_MAX, "each slot has a file");

enum {
    PATH_ROOM = 48, /* of a question */
    BODY_ROOM = 96,
};

struct slot_swap {
    struct slot_swap_config config;
    struct engine_address address;
    struct loop_timer *deadline;
    struct engine_ask *ask;
    slot_swap_fn fn;
    void *ctx;
    bool saves;
    bool published;                        /* the engine's prompt cache has had its request */
    struct slot_file list[SLOT_FILES_MAX]; /* one after the other */
    uint64_t promised[SLOT_FILES_MAX];     /* bytes on the disk, to each that is not saved yet */
    size_t at, length;
    size_t count; /* that went well */
    uint64_t tokens, bytes;
};

bool slot_swap_pays(uint64_t tokens, uint64_t token_bytes, float prefill_tok_s)
{
    double read_s = (double)tokens * (double)token_bytes / (double)SLOT_SWAP_DISK_BYTES_S;

    return tokens >= SLOT_SWAP_TOKENS_MIN && token_bytes > 0 && prefill_tok_s > 0 &&
           2 * read_s < (double)tokens / (double)prefill_tok_s;
}

/* What was not come to is not offered a second time, and what is being written is not whole. */
static void drop_files(struct slot_swap *swap)
{
    for (; swap->at < swap->length; swap->at++) {
        slot_file_remove(swap->config.folder, &swap->list[swap->at]);
        slot_files_take_back(swap->config.files, swap->promised[swap->at]);
    }
}

static void swap_free(struct slot_swap *swap)
{
    drop_files(swap);
    engine_ask_cancel(swap->ask);
    loop_timer_destroy(swap->deadline);
    free(swap);
}

static void swap_end(struct slot_swap *swap)
{
    drop_files(swap);
    if (swap->saves && swap->count > 0)
        slot_files_prune(swap->config.files);
    swap->fn(swap->ctx, swap->count, swap->tokens, swap->bytes);
    swap_free(swap);
}

static void on_deadline(void *ctx)
{
    swap_end(ctx);
}

/* --- one slot after the other --- */

static uint64_t whole_of(const cJSON *json, const char *key)
{
    uint64_t number;

    return json_whole(cJSON_GetObjectItemCaseSensitive(json, key), &number) ? number : 0;
}

/* False where it moved no token. */
static bool read_answer(const struct slot_swap *swap, const char *text, size_t len,
        uint64_t *ret_tokens, uint64_t *ret_bytes)
{
    cJSON *json;

    if (json_parse(text, len, &json_limits_event, &json, NULL) < 0)
        return false;
    *ret_tokens = whole_of(json, swap->saves ? "n_saved" : "n_restored");
    *ret_bytes = whole_of(json, swap->saves ? "n_written" : "n_read");
    cJSON_Delete(json);
    return *ret_tokens > 0;
}

static void finish_slot(struct slot_swap *swap, bool is_good)
{
    const struct slot_file *file = &swap->list[swap->at];

    if (!swap->saves || !is_good)
        slot_file_remove(swap->config.folder, file);
    if (!swap->saves && is_good)
        slot_table_restored(engine_slots_table(swap->config.slots), file->slot, file->session);
    slot_files_take_back(swap->config.files, swap->promised[swap->at]);
    swap->at++;
}

static void ask_next(struct slot_swap *swap);

static void on_slot(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct slot_swap *swap = ctx;
    uint64_t tokens = 0, bytes = 0;
    bool is_good = result == 0 && read_answer(swap, text, len, &tokens, &bytes);

    swap->ask = NULL;
    if (is_good && swap->saves)
        is_good = slot_file_keep(swap->config.folder, &swap->list[swap->at]);
    if (is_good) {
        swap->count++;
        swap->tokens = saturating_sum(swap->tokens, tokens);
        swap->bytes = saturating_sum(swap->bytes, bytes);
    } else {
        log_debug("slot not kept", LOG_S("file", swap->list[swap->at].name),
                LOG_S("reason", result < 0 ? err->text : "the engine moved nothing"));
    }
    finish_slot(swap, is_good);
    ask_next(swap);
}

static int ask_for_slot(struct slot_swap *swap, struct err *err)
{
    const struct slot_file *file = &swap->list[swap->at];
    char path[PATH_ROOM], body[BODY_ROOM], part[SLOT_FILE_PART_MAX];
    struct engine_question question = {.path = path, .json = body, .timeout_ms = SLOT_SWAP_MS};

    (void)snprintf(path, sizeof(path), "/slots/%" PRIu32 "?action=%s", file->slot,
            swap->saves ? "save" : "restore");
    slot_file_part(file, part);
    (void)snprintf(body, sizeof(body), "{\"filename\":\"%s\"}", swap->saves ? part : file->name);
    return engine_ask_start(
            swap->config.http, &swap->address, &question, on_slot, swap, &swap->ask, err);
}

static void on_published(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct slot_swap *swap = ctx;

    (void)result; /* then a prompt may be computed again */
    (void)text;
    (void)len;
    (void)err;
    swap->ask = NULL;
    ask_next(swap);
}

static bool is_listed(const struct slot_swap *swap, uint32_t slot)
{
    for (size_t i = 0; i < swap->length; i++)
        if (swap->list[i].slot == slot)
            return true;
    return false;
}

/* The first that nothing is put into; else the one that is the last to get something. */
static uint32_t spare_slot(const struct slot_swap *swap)
{
    for (uint32_t i = 0; i < swap->config.slot_count; i++)
        if (!is_listed(swap, i))
            return i;
    return swap->list[swap->length - 1].slot;
}

/* True where the engine is asked: `ask_next` comes again. */
static bool publish(struct slot_swap *swap)
{
    uint32_t spare = spare_slot(swap);
    size_t due = swap->length - is_listed(swap, spare);
    char body[BODY_ROOM];
    const struct engine_question question = {
            .path = "/completion", .json = body, .timeout_ms = SLOT_SWAP_MS};

    if (swap->saves || swap->published || swap->at < due || swap->count == 0)
        return false;
    swap->published = true;
    (void)snprintf(body, sizeof(body),
            "{\"prompt\":\".\",\"n_predict\":0,\"cache_prompt\":false,\"id_slot\":%" PRIu32 "}",
            spare);
    return engine_ask_start(swap->config.http, &swap->address, &question, on_published, swap,
                   &swap->ask, NULL) == 0;
}

static void ask_next(struct slot_swap *swap)
{
    if (publish(swap))
        return;
    if (swap->at == swap->length || ask_for_slot(swap, NULL) < 0)
        swap_end(swap);
}

/* --- which --- */

/* The free slot that was used last, of those not taken yet. */
static size_t latest(const struct slot_look *look, const bool *taken)
{
    size_t best = look->count;

    for (size_t i = 0; i < look->count; i++) {
        const struct slot *slot = &look->at[i];

        if (slot->is_there && !slot->is_busy && slot->task != SLOT_NO_TASK && !taken[i] &&
                (best == look->count || slot->task > look->at[best].task))
            best = i;
    }
    return best;
}

static void choose_slots(struct slot_swap *swap, const struct slot_look *look)
{
    const struct slot_swap_config *config = &swap->config;
    uint64_t room = number_lesser(
            slot_files_room(config->files), SLOT_SWAP_DISK_BYTES_S * SLOT_SWAP_MS / 1000);
    float rate = engine_slots_rate(config->slots);
    bool taken[SLOTS_MAX] = {false};

    for (size_t i; (i = latest(look, taken)) < look->count;) {
        uint64_t bytes = saturating_product(look->at[i].tokens, config->token_bytes);

        taken[i] = true;
        if (!slot_swap_pays(look->at[i].tokens, config->token_bytes, rate) || bytes > room)
            continue;
        room -= bytes;
        swap->list[swap->length] = (struct slot_file){.slot = (uint32_t)i,
                .session = slot_table_session(engine_slots_table(config->slots), look, i)};
        slot_file_name(&swap->list[swap->length]);
        slot_files_promise(config->files, swap->promised[swap->length++] = bytes);
    }
}

static void on_look(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct slot_swap *swap = ctx;
    struct slot_look look;

    (void)err;
    swap->ask = NULL;
    if (result == 0 && slot_look_read(text, len, &look, NULL) == 0)
        choose_slots(swap, &look);
    ask_next(swap);
}

/* --- life --- */

static struct slot_swap *swap_create(
        const struct slot_swap_config *config, bool saves, slot_swap_fn fn, void *ctx)
{
    struct slot_swap *swap = calloc(1, sizeof(*swap));

    if (!swap)
        return NULL;
    swap->config = *config;
    swap->address = (struct engine_address){.url = config->url, .unix_socket = config->unix_socket};
    swap->saves = saves;
    swap->fn = fn;
    swap->ctx = ctx;
    swap->deadline = loop_timer_create(config->loop, on_deadline, swap);
    if (swap->deadline) {
        loop_timer_start(swap->deadline, SLOT_SWAP_MS, 0);
        return swap;
    }
    free(swap);
    return NULL;
}

int slot_swap_save(const struct slot_swap_config *config, slot_swap_fn fn, void *ctx,
        struct slot_swap **ret_swap, struct err *err)
{
    const struct engine_question question = {.path = "/slots", .timeout_ms = SLOT_SWAP_MS};
    struct slot_swap *swap = swap_create(config, true, fn, ctx);
    int r;

    if (!swap)
        return err_set(err, -ENOMEM, "no memory to save slots");
    r = engine_ask_start(config->http, &swap->address, &question, on_look, swap, &swap->ask, err);
    if (r < 0)
        swap_free(swap);
    else
        *ret_swap = swap;
    return r;
}

int slot_swap_restore(const struct slot_swap_config *config, slot_swap_fn fn, void *ctx,
        struct slot_swap **ret_swap, struct err *err)
{
    struct slot_swap *swap = swap_create(config, false, fn, ctx);
    int r;

    if (!swap)
        return err_set(err, -ENOMEM, "no memory to restore slots");
    swap->length = slot_files_list(config->files, config->folder, swap->list);
    if (swap->length == 0) {
        swap_free(swap);
        return err_set(err, -ENOENT, "no slot is to be restored");
    }
    r = ask_for_slot(swap, err);
    if (r < 0)
        swap_free(swap);
    else
        *ret_swap = swap;
    return r;
}

void slot_swap_cancel(struct slot_swap *swap)
{
    if (swap)
        swap_free(swap);
}
