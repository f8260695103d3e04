#include "coordinator/deploy/mode_moves.h"

#include "common/book.h"
#include "common/log.h"
#include "proto/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mode_moves {
    char *path;
    struct book_list list;
    struct modes config, now;
};

/* --- the file --- */

static int compare(const void *a, const void *b)
{
    const struct mode_move *one = a, *other = b;
    int order = strcmp(one->mode, other->mode);
    if (!order)
        order = one->off - other->off;
    return order ? order : strcmp(one->model, other->model);
}

static bool is_mode_name(const char *text)
{
    return *text && rules_text(TEXT_LABEL, "", text, strlen(text), NULL) == 0;
}

static bool is_model_name(const char *text)
{
    return rules_text(TEXT_MODEL_NAME, "", text, strlen(text), NULL) == 0;
}

static const struct book_field fields[] = {
        {.name = "mode",
                .type = BOOK_TEXT,
                .offset = offsetof(struct mode_move, mode),
                .size = MSG_NAME_MAX + 1,
                .valid = is_mode_name,
                .form = "a mode's name"},
        {.name = "model",
                .type = BOOK_TEXT,
                .offset = offsetof(struct mode_move, model),
                .size = MSG_NAME_MAX + 1,
                .valid = is_model_name,
                .form = "a model's name"},
        {.name = "off",
                .type = BOOK_FLAG,
                .offset = offsetof(struct mode_move, off),
                .optional = true,
                .form = "true or false"},
        {.name = "moved_ms",
                .type = BOOK_NUMBER,
                .offset = offsetof(struct mode_move, moved_ms),
                .form = "a Unix time in milliseconds"},
};

static const struct book_format format = {
        .list = "moves",
        .entry = "move",
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
        .entry_size = sizeof(struct mode_move),
        .max_entries = MODE_MOVES_MAX,
        .max_bytes = MODE_MOVES_FILE_MAX,
        .order = compare,
};

static struct mode_move *entry_at(const struct book_list *list, size_t index)
{
    return (struct mode_move *)list->entries + index;
}

/* --- what is in force --- */

static struct mode *find_mode(const struct modes *modes, const char *name)
{
    for (size_t i = 0; i < modes->count; i++)
        if (strcmp(modes->list[i].name, name) == 0)
            return &modes->list[i];
    return NULL;
}

/* Those that are off first: the one that is first may be among them after an edit by hand. */
static int apply(const struct book_list *list, bool off, struct modes *modes, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < list->count; i++) {
        const struct mode_move *move = entry_at(list, i);
        struct mode *mode = find_mode(modes, move->mode);
        if (!mode || move->off != off)
            continue;
        if (off)
            mode_take_off(mode, move->model);
        else
            r = mode_put_first(mode, move->model, err);
    }
    return r;
}

static const struct mode_move *first_of(const struct book_list *list, const char *mode)
{
    for (size_t i = 0; i < list->count; i++)
        if (!entry_at(list, i)->off && strcmp(entry_at(list, i)->mode, mode) == 0)
            return entry_at(list, i);
    return NULL;
}

/* What is first answers wherever a rule names what it is there instead of. */
static int apply_to_rules(const struct book_list *list, struct modes *modes, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < list->count; i++) {
        const struct mode_move *move = entry_at(list, i), *first = first_of(list, move->mode);
        struct mode *mode = find_mode(modes, move->mode);
        if (mode && first && move->off)
            r = mode_replace_in_rules(mode, move->model, first->model, err);
    }
    return r;
}

/* A mode whose models are all off keeps the config's. */
static int keep_some(const struct modes *config, struct modes *modes, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < modes->count; i++)
        if (modes->list[i].model_count == 0)
            r = mode_put_first(&modes->list[i], config->list[i].models[0], err);
    return r;
}

static int make_modes(const struct modes *config, const struct book_list *list,
        struct modes *ret_modes, struct err *err)
{
    struct modes modes;
    int r = modes_copy(config, &modes, err);
    if (r)
        return r;
    r = apply(list, true, &modes, err);
    if (!r)
        r = apply(list, false, &modes, err);
    if (!r)
        r = apply_to_rules(list, &modes, err);
    if (!r)
        r = keep_some(config, &modes, err);
    if (r)
        modes_fini(&modes);
    else
        *ret_modes = modes;
    return r;
}

static void tell_leftovers(const struct modes *config, const struct book_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct mode_move *move = entry_at(list, i);
        const struct mode *mode = find_mode(config, move->mode);
        if (!mode)
            log_warn("a deploy has moved a mode that the config does not have",
                    LOG_S("mode", move->mode), LOG_S("model", move->model));
        else if (move->off && !mode_lists(mode, move->model))
            log_info("a deploy took a model off a mode for which the config does not name it",
                    LOG_S("mode", move->mode), LOG_S("model", move->model));
    }
}

int mode_moves_open(
        const char *path, struct modes *config, struct mode_moves **ret_moves, struct err *err)
{
    struct mode_moves *moves = calloc(1, sizeof(*moves));
    int r = -ENOMEM;
    if (moves)
        moves->path = strdup(path);
    if (!moves || !moves->path) {
        err_set(err, r, "no memory for the modes");
        goto out;
    }
    r = book_read(&format, path, &moves->list, err);
    if (!r)
        r = make_modes(config, &moves->list, &moves->now, err);
out:
    if (r) {
        modes_fini(config);
        mode_moves_close(moves);
        return r;
    }
    moves->config = *config;
    *config = (struct modes){0};
    tell_leftovers(&moves->config, &moves->list);
    *ret_moves = moves;
    return 0;
}

void mode_moves_close(struct mode_moves *moves)
{
    if (!moves)
        return;
    book_list_fini(&moves->list);
    modes_fini(&moves->config);
    modes_fini(&moves->now);
    free(moves->path);
    free(moves);
}

int mode_moves_reload(struct mode_moves *moves, struct modes *config, struct err *err)
{
    struct modes now;
    int r = make_modes(config, &moves->list, &now, err);
    if (r) {
        modes_fini(config);
        return r;
    }
    modes_fini(&moves->config);
    modes_fini(&moves->now);
    moves->config = *config;
    moves->now = now;
    *config = (struct modes){0};
    tell_leftovers(&moves->config, &moves->list);
    return 0;
}

const struct modes *mode_moves_modes(const struct mode_moves *moves)
{
    return &moves->now;
}

const struct mode *mode_moves_config(const struct mode_moves *moves, const char *mode)
{
    return find_mode(&moves->config, mode);
}

/* --- changing --- */

void mode_moves_save(
        const struct mode_moves *moves, const char *mode, struct mode_moves_saved *ret_saved)
{
    *ret_saved = (struct mode_moves_saved){.count = 0};
    snprintf(ret_saved->mode, sizeof(ret_saved->mode), "%s", mode);
    for (size_t i = 0; i < moves->list.count; i++) {
        const struct mode_move *move = entry_at(&moves->list, i);
        if (strcmp(move->mode, mode) == 0 && ret_saved->count < MODE_MOVES_OF_MODE_MAX)
            ret_saved->entries[ret_saved->count++] = *move;
    }
}

static void drop_mode(struct book_list *list, const char *mode)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(entry_at(list, i)->mode, mode) != 0)
            *entry_at(list, kept++) = *entry_at(list, i);
    list->count = kept;
}

/* Both take their place only when all has gone well. */
static int commit(struct mode_moves *moves, struct book_list *next, struct err *err)
{
    struct modes now;
    int r = make_modes(&moves->config, next, &now, err);
    if (r) {
        book_list_fini(next);
        return r;
    }
    r = book_commit(&format, moves->path, &moves->list, next, err);
    if (r) {
        modes_fini(&now);
        return r;
    }
    modes_fini(&moves->now);
    moves->now = now;
    return 0;
}

int mode_moves_restore(
        struct mode_moves *moves, const struct mode_moves_saved *saved, struct err *err)
{
    struct book_list next = {.counter = moves->list.counter,
            .count = moves->list.count,
            .entries = calloc(moves->list.count + saved->count + 1, sizeof(struct mode_move))};
    if (!next.entries)
        return err_set(err, -ENOMEM, "no memory to move mode \"%s\"", saved->mode);
    if (next.count)
        memcpy(next.entries, moves->list.entries, next.count * sizeof(struct mode_move));
    drop_mode(&next, saved->mode);
    if (next.count + saved->count > MODE_MOVES_MAX) {
        book_list_fini(&next);
        return err_set(
                err, -ENOSPC, "deploys have moved so many models that %s is full", moves->path);
    }
    for (size_t i = 0; i < saved->count; i++)
        *entry_at(&next, next.count++) = saved->entries[i];
    return commit(moves, &next, err);
}

/* Drops what is said of `model`, and of what the config does not name: that is off without a word.
 */
static void drop_entries(
        struct mode_moves_saved *saved, const struct mode *config, const char *model)
{
    size_t kept = 0;
    for (size_t i = 0; i < saved->count; i++) {
        const struct mode_move *move = &saved->entries[i];
        if (move->off && strcmp(move->model, model) != 0 && mode_lists(config, move->model))
            saved->entries[kept++] = *move;
    }
    saved->count = kept;
}

static int add_entry(struct mode_moves_saved *saved, const char *model, bool off, int64_t now_ms,
        struct err *err)
{
    if (saved->count == MODE_MOVES_OF_MODE_MAX)
        return err_set(
                err, -ENOSPC, "mode \"%s\" was moved too often; undo that first", saved->mode);
    struct mode_move *move = &saved->entries[saved->count++];
    *move = (struct mode_move){.off = off, .moved_ms = now_ms};
    memcpy(move->mode, saved->mode, sizeof(move->mode));
    snprintf(move->model, sizeof(move->model), "%s", model);
    return 0;
}

int mode_moves_put(struct mode_moves *moves, const char *mode, const char *model, int64_t now_ms,
        struct err *err)
{
    const struct mode *config = find_mode(&moves->config, mode);
    const struct mode *now = find_mode(&moves->now, mode);
    struct mode_moves_saved saved;
    int r = 0;
    if (!config || !now)
        return err_set(err, -ENOENT, "the config has no mode \"%s\"", mode);
    const char *replaced = now->models[0];
    mode_moves_save(moves, mode, &saved);
    drop_entries(&saved, config, model);
    if (strcmp(replaced, model) != 0 && mode_lists(config, replaced))
        r = add_entry(&saved, replaced, true, now_ms, err);
    bool as_config = saved.count == 0 && strcmp(config->models[0], model) == 0;
    if (!r && !as_config)
        r = add_entry(&saved, model, false, now_ms, err);
    return r ? r : mode_moves_restore(moves, &saved, err);
}

int mode_moves_undo(struct mode_moves *moves, const char *mode, struct err *err)
{
    struct mode_moves_saved nothing = {.count = 0};
    if (!find_mode(&moves->config, mode))
        return err_set(err, -ENOENT, "the config has no mode \"%s\"", mode);
    snprintf(nothing.mode, sizeof(nothing.mode), "%s", mode);
    return mode_moves_restore(moves, &nothing, err);
}
