#include "node/backends/slots/slot_table.h"

#include "common/json/json.h"

#include <errno.h>

static uint64_t whole_or(const cJSON *object, const char *key, uint64_t otherwise)
{
    uint64_t number;

    return json_whole(cJSON_GetObjectItemCaseSensitive(object, key), &number) ? number : otherwise;
}

static void read_slot(const cJSON *entry, struct slot_look *look)
{
    uint64_t id = whole_or(entry, "id", SLOTS_MAX);

    if (id >= SLOTS_MAX)
        return;
    look->at[id] = (struct slot){.is_there = true,
            .is_busy = json_bool(entry, "is_processing", true),
            .task = whole_or(entry, "id_task", SLOT_NO_TASK),
            .tokens = whole_or(entry, "n_prompt_tokens", 0)};
    if (id >= look->count)
        look->count = id + 1;
}

int slot_look_read(const char *text, size_t len, struct slot_look *ret_look, struct err *err)
{
    struct slot_look look = {.count = 0};
    const cJSON *entry;
    cJSON *json;
    int r = json_parse(text, len, &json_limits_event, &json, err);

    if (r < 0)
        return r;
    if (cJSON_IsArray(json)) {
        cJSON_ArrayForEach(entry, json) read_slot(entry, &look);
        *ret_look = look;
    } else {
        r = err_set(err, -EPROTO, "the engine does not list its slots");
    }
    cJSON_Delete(json);
    return r;
}

static bool is_turn(
        const struct slot_table *table, const struct slot_look *look, size_t slot, uint64_t session)
{
    const struct slot_turn *turn = &table->at[slot];

    if (!look->at[slot].is_there || turn->session != session)
        return false;
    if (turn->state == SLOT_TURN_GIVEN_UP)
        return turn->alone && turn->strays == table->strays;
    return turn->state == SLOT_TURN_ENDED && turn->task == look->at[slot].task;
}

/* Something else than the last stray may have worked in it since, and then has. */
static bool is_asked_for(const struct slot_table *table, const struct slot_look *look, size_t slot)
{
    const struct slot_turn *turn = &table->at[slot];

    return turn->session != 0 &&
           (turn->state != SLOT_TURN_ENDED || turn->task == look->at[slot].task);
}

static bool has_worked(const struct slot_table *table, const struct slot_look *look, size_t slot)
{
    return look->at[slot].is_there && look->at[slot].task != table->last.tasks[slot] &&
           !is_asked_for(table, look, slot);
}

/* The slot of the last stray, where that was a turn of `session` and is given up. */
static int find_stray(
        const struct slot_table *table, const struct slot_look *look, uint64_t session)
{
    const struct slot_stray *last = &table->last;
    int found = SLOT_NONE;

    if (last->session != session || !last->given_up || !last->alone ||
            last->number != table->strays)
        return SLOT_NONE;
    for (size_t i = 0; i < look->count; i++) {
        if (!has_worked(table, look, i))
            continue;
        if (found != SLOT_NONE)
            return SLOT_NONE;
        found = (int)i;
    }
    return found;
}

int slot_table_find(const struct slot_table *table, const struct slot_look *look, uint64_t session)
{
    for (size_t i = 0; session != 0 && i < look->count; i++)
        if (is_turn(table, look, i, session) &&
                (!look->at[i].is_busy || table->at[i].state == SLOT_TURN_GIVEN_UP))
            return (int)i;
    return session != 0 ? find_stray(table, look, session) : SLOT_NONE;
}

/* The last token of an answer is not always computed. */
static bool holds(const struct slot *slot, uint64_t tokens)
{
    return slot->is_there && !slot->is_busy && slot->task != SLOT_NO_TASK &&
           (slot->tokens == tokens || slot->tokens + 1 == tokens);
}

static bool is_others(
        const struct slot_table *table, const struct slot_look *look, size_t slot, uint64_t session)
{
    uint64_t owner = slot_table_session(table, look, slot);

    return owner != 0 && owner != session;
}

static void forget(struct slot_table *table, uint64_t session)
{
    for (size_t i = 0; i < SLOTS_MAX; i++)
        if (table->at[i].session == session)
            table->at[i].session = 0;
}

static void send_there(struct slot_table *table, struct slot_turn *turn, uint64_t session)
{
    turn->session = session;
    turn->state = SLOT_TURN_SENT;
    turn->strays = table->strays;
    turn->alone = table->unplaced == 0;
}

static void send_astray(struct slot_table *table, const struct slot_look *look, uint64_t session)
{
    struct slot_stray *last = &table->last;

    last->session = session;
    last->number = table->strays + 1;
    last->alone = table->unplaced == 0;
    last->given_up = false;
    for (size_t i = 0; i < SLOTS_MAX; i++)
        last->tasks[i] = look->at[i].task;
}

int slot_table_take(struct slot_table *table, const struct slot_look *look, uint64_t session)
{
    int slot = slot_table_find(table, look, session);

    if (slot != SLOT_NONE)
        send_there(table, &table->at[slot], session);
    else
        send_astray(table, look, session);
    return slot;
}

void slot_table_give_up(struct slot_table *table, size_t slot, uint64_t session)
{
    if (slot < SLOTS_MAX && table->at[slot].session == session &&
            table->at[slot].state == SLOT_TURN_SENT)
        table->at[slot].state = SLOT_TURN_GIVEN_UP;
}

uint64_t slot_table_stray(struct slot_table *table)
{
    table->unplaced++;
    return ++table->strays;
}

void slot_table_give_up_stray(struct slot_table *table, uint64_t number)
{
    if (table->last.number == number)
        table->last.given_up = true;
}

void slot_table_placed(struct slot_table *table)
{
    if (table->unplaced > 0) /* else it was the last engine's */
        table->unplaced--;
}

bool slot_table_learn(
        struct slot_table *table, const struct slot_look *look, uint64_t session, uint64_t tokens)
{
    size_t found = 0, slot = 0;

    for (size_t i = 0; i < look->count; i++) {
        if (!holds(&look->at[i], tokens) || is_others(table, look, i, session))
            continue;
        slot = i;
        found++;
    }
    forget(table, session);
    if (found != 1 || session == 0)
        return false;
    table->at[slot] = (struct slot_turn){.session = session, .task = look->at[slot].task};
    return true;
}

void slot_table_restored(struct slot_table *table, size_t slot, uint64_t session)
{
    if (slot < SLOTS_MAX)
        table->at[slot] = (struct slot_turn){.session = session, .task = SLOT_NO_TASK};
}

uint64_t slot_table_session(
        const struct slot_table *table, const struct slot_look *look, size_t slot)
{
    uint64_t session = slot < SLOTS_MAX ? table->at[slot].session : 0;

    return session != 0 && is_turn(table, look, slot, session) ? session : 0;
}
