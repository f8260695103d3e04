#include "node/backends/slots/engine_slots.h"

#include "node/backends/engine_ask.h"

#include <math.h>
#include <stdlib.h>

enum { NOTE_TIMEOUT_MS = 5000, RATE_TOKENS_MIN = 32 };
static const float rate_weight = 0.25f; /* of a new sample in the decayed mean */

struct note {
    uint64_t session, tokens;
};

struct engine_slots {
    struct http_client *http;
    struct engine_address address;
    struct slot_table table;
    struct engine_ask *ask; /* that looks for the slots of `notes`; NULL: none is under way */
    size_t asked;           /* of the notes, the first, that this look is for */
    struct note notes[ENGINE_SLOTS_NOTES_MAX];
    size_t note_count;
    float rate; /* of prefill */
};

struct slot_ask {
    struct engine_slots *slots;
    struct engine_ask *ask;
    uint64_t session;
    slot_ask_fn fn;
    void *ctx;
};

static int look(struct engine_slots *slots, uint32_t timeout_ms, engine_ask_fn fn, void *ctx,
        struct engine_ask **ret_ask, struct err *err)
{
    const struct engine_question question = {.path = "/slots", .timeout_ms = timeout_ms};

    return engine_ask_start(slots->http, &slots->address, &question, fn, ctx, ret_ask, err);
}

/* --- before a turn --- */

bool engine_slots_wants(const struct engine_slots *slots, uint64_t session, uint32_t prompt_tokens)
{
    return slots && session != 0 && prompt_tokens >= ENGINE_SLOTS_TOKENS_MIN;
}

/* By what is seen now, of the first so many. What is known then is looked for no more: an older
 * look that is still under way would bring back what has been taken since. */
static void learn_notes(struct engine_slots *slots, const struct slot_look *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct note *note = &slots->notes[i];

        if (note->session != 0 &&
                slot_table_learn(&slots->table, seen, note->session, note->tokens))
            note->session = 0;
    }
}

static void on_look(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct slot_ask *ask = ctx;
    struct slot_look seen;
    int slot = SLOT_NONE;

    (void)err;
    if (result == 0 && slot_look_read(text, len, &seen, NULL) == 0) {
        learn_notes(ask->slots, &seen, ask->slots->note_count);
        slot = slot_table_take(&ask->slots->table, &seen, ask->session);
    }
    ask->fn(ask->ctx, slot);
    free(ask);
}

int slot_ask_start(struct engine_slots *slots, uint64_t session, slot_ask_fn fn, void *ctx,
        struct slot_ask **ret_ask, struct err *err)
{
    struct slot_ask *ask = calloc(1, sizeof(*ask));
    int r;

    if (!ask)
        return err_set(err, -ENOMEM, "no memory to ask for a slot");
    *ask = (struct slot_ask){.slots = slots, .session = session, .fn = fn, .ctx = ctx};
    r = look(slots, ENGINE_SLOTS_LOOK_MS, on_look, ask, &ask->ask, err);
    if (r < 0)
        free(ask);
    else
        *ret_ask = ask;
    return r;
}

void slot_ask_cancel(struct slot_ask *ask)
{
    if (!ask)
        return;
    engine_ask_cancel(ask->ask);
    free(ask);
}

/* --- after a turn --- */

static void look_for_notes(struct engine_slots *slots);

static void drop_notes(struct engine_slots *slots, size_t count)
{
    slots->note_count -= count;
    for (size_t i = 0; i < slots->note_count; i++)
        slots->notes[i] = slots->notes[i + count];
}

static void on_notes(void *ctx, int result, const char *text, size_t len, const struct err *err)
{
    struct engine_slots *slots = ctx;
    struct slot_look seen;

    (void)err;
    slots->ask = NULL;
    if (result == 0 && slot_look_read(text, len, &seen, NULL) == 0)
        learn_notes(slots, &seen, slots->asked);
    drop_notes(slots, slots->asked);
    if (slots->note_count > 0)
        look_for_notes(slots);
}

static void look_for_notes(struct engine_slots *slots)
{
    slots->asked = slots->note_count;
    if (look(slots, NOTE_TIMEOUT_MS, on_notes, slots, &slots->ask, NULL) < 0)
        slots->note_count = 0; /* the engine chooses, as it would without us */
}

static void measure(struct engine_slots *slots, const struct msg_usage *usage)
{
    uint32_t tokens = usage->prompt_tokens - usage->cached_tokens;
    float sample = (float)tokens * 1000 / usage->prefill_ms;

    if (usage->cached_tokens >= usage->prompt_tokens || tokens < RATE_TOKENS_MIN ||
            !isfinite(sample))
        return;
    slots->rate = slots->rate > 0 ? slots->rate + rate_weight * (sample - slots->rate) : sample;
}

float engine_slots_rate(const struct engine_slots *slots)
{
    return slots->rate;
}

void engine_slots_note(struct engine_slots *slots, uint64_t session, const struct msg_usage *usage)
{
    uint64_t tokens = (uint64_t)usage->prompt_tokens + usage->completion_tokens;

    if (!slots)
        return;
    measure(slots, usage);
    if (session == 0 || slots->note_count == ENGINE_SLOTS_NOTES_MAX)
        return;
    slots->notes[slots->note_count++] = (struct note){session, tokens};
    if (!slots->ask)
        look_for_notes(slots);
}

void engine_slots_give_up(struct engine_slots *slots, int slot, uint64_t session)
{
    slot_table_give_up(&slots->table, (size_t)slot, session);
}

uint64_t engine_slots_stray(struct engine_slots *slots)
{
    return slots ? slot_table_stray(&slots->table) : 0;
}

void engine_slots_give_up_stray(struct engine_slots *slots, uint64_t number)
{
    if (slots)
        slot_table_give_up_stray(&slots->table, number);
}

void engine_slots_placed(struct engine_slots *slots)
{
    if (slots)
        slot_table_placed(&slots->table);
}

/* --- life --- */

struct slot_table *engine_slots_table(struct engine_slots *slots)
{
    return &slots->table;
}

void engine_slots_forget(struct engine_slots *slots)
{
    engine_ask_cancel(slots->ask);
    slots->ask = NULL;
    slots->note_count = 0;
    slots->table = (struct slot_table){0};
}

struct engine_slots *engine_slots_create(
        struct http_client *http, const char *url, const char *unix_socket)
{
    struct engine_slots *slots = calloc(1, sizeof(*slots));

    if (!slots)
        return NULL;
    slots->http = http;
    slots->address = (struct engine_address){.url = url, .unix_socket = unix_socket};
    return slots;
}

void engine_slots_destroy(struct engine_slots *slots)
{
    if (!slots)
        return;
    engine_slots_forget(slots);
    free(slots);
}
