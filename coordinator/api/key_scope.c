#include "coordinator/api/key_scope.h"

#include "common/text.h"
#include "coordinator/modes/mode_names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { KNOWN_MAX = 200, NOTE_MAX = 256 }; /* bytes */

/* --- names --- */

/* `name` itself, where it is no foreign one. By one that is cut any word would be a mode's, and a
 * key for a model one for much more. */
static const char *stands_for(const struct modes *modes, const char *name)
{
    bool is_own = modes_calls_auto(modes, name) || modes_resolve(modes, name);
    const char *foreign = is_own ? NULL : modes_foreign_whole(modes, name);
    return foreign ? foreign : name;
}

static bool asks_auto(const struct modes *modes, const char *name)
{
    return modes_calls_auto(modes, stands_for(modes, name));
}

/* NULL: no mode's. "mesh-MODE-MODEL" is not the whole mode's. */
static const char *mode_of(const struct modes *modes, const char *name)
{
    const char *meant = stands_for(modes, name);
    const struct mode *mode = modes_resolve(modes, meant);
    return mode && modes_name_is_open(modes, mode, meant) ? mode->name : NULL;
}

static const char *own_name(const struct key_scope *scope, const char *name)
{
    return node_table_model(scope->nodes, name);
}

static bool is_model(const struct key_scope *scope, const char *name)
{
    return router_model_known(scope->router, own_name(scope, name)) ||
           modes_some_lists(scope->modes, name);
}

/* Of a name among the models: one that is called so comes before what else it may stand for. What
 * is not known may come to be. NULL: it is a mode's. */
static const char *model_of(const struct key_scope *scope, const char *name)
{
    const struct modes *modes = scope->modes;
    const char *meant = stands_for(modes, name);
    if (is_model(scope, name))
        return own_name(scope, name);
    if (meant != name && modes_find(modes, meant))
        return NULL;
    bool is_mode = asks_auto(modes, name) || mode_of(modes, name);
    return is_mode && !is_model(scope, meant) ? NULL : own_name(scope, meant);
}

/* --- modes --- */

static void list_modes(const struct modes *modes, char text[KNOWN_MAX])
{
    struct text_writer known = {.text = text, .size = KNOWN_MAX};
    size_t i = 0;
    *text = '\0';
    while (i < modes->count && text_write_name(&known, modes->list[i].name))
        i++;
}

static int refuse_auto(const char *name, struct err *err)
{
    return err_set(
            err, -EINVAL, "\"%.80s\" chooses among the modes that a key may use: name those", name);
}

static int refuse_mode(const struct key_scope *scope, const char *name, struct err *err)
{
    const char *meant = stands_for(scope->modes, name);
    char known[KNOWN_MAX];
    if (meant != name && is_model(scope, meant))
        return err_set(err, -EINVAL,
                "\"%.80s\" is the model %.80s, and no mode: name it with the key's models", name,
                meant);
    list_modes(scope->modes, known);
    return err_set(err, -EINVAL, "there is no mode \"%.80s\"; known are: %s", name, known);
}

static int resolve_mode(
        const struct key_scope *scope, const char *name, const char **ret_mode, struct err *err)
{
    const char *mode = mode_of(scope->modes, name);
    if (asks_auto(scope->modes, name))
        return refuse_auto(name, err);
    if (!mode && !scope->modes->derived)
        return refuse_mode(scope, name, err);
    *ret_mode = mode ? mode : name;
    return 0;
}

/* --- models --- */

static int resolve_model(
        const struct key_scope *scope, const char *name, const char **ret_model, struct err *err)
{
    const char *model = model_of(scope, name), *mode = mode_of(scope->modes, name);
    if (model) {
        *ret_model = model;
        return 0;
    }
    if (asks_auto(scope->modes, name))
        return refuse_auto(name, err);
    return err_set(err, -EINVAL,
            "\"%.80s\" is the mode %.80s, and no model: name it with the key's modes", name,
            mode ? mode : name);
}

/* --- both --- */

static bool has(const struct operation_words *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->at[i], word) == 0)
            return true;
    return false;
}

/* Whether `asked->at[at]` stands before that, too. */
static bool is_asked_twice(const struct operation_words *asked, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(asked->at[i], asked->at[at]) == 0)
            return true;
    return false;
}

/* By several names it counts once; by the same one twice it is refused with the key. */
static void add(const struct operation_words *asked, size_t at, const char *means,
        struct operation_words *meant)
{
    if (!has(meant, means) || is_asked_twice(asked, at))
        meant->at[meant->count++] = means;
}

typedef int (*resolve_fn)(
        const struct key_scope *scope, const char *name, const char **ret_means, struct err *err);

static int resolve_all(const struct key_scope *scope, const struct operation_words *asked,
        resolve_fn resolve, struct operation_words *meant, struct err *err)
{
    const char *means = NULL;
    meant->count = 0;
    for (size_t i = 0; i < asked->count; i++) {
        int r = resolve(scope, asked->at[i], &means, err);
        if (r)
            return r;
        add(asked, i, means, meant);
    }
    return 0;
}

int key_scope_resolve(struct key_scope *scope, struct err *err)
{
    int r = resolve_all(scope, &scope->asked_modes, resolve_mode, &scope->for_modes, err);
    return r ? r : resolve_all(scope, &scope->asked_models, resolve_model, &scope->for_models, err);
}

/* --- what is to be said of it --- */

static void note(
        struct json_writer *out, const char *what, const char *name, const char *means, bool known)
{
    char text[NOTE_MAX];
    if (known && strcmp(name, means) == 0)
        return;
    if (known)
        snprintf(text, sizeof(text), "\"%.80s\" is the %s %.80s: the key is for that", name, what,
                means);
    else
        snprintf(text, sizeof(text),
                "warning: there is no %s \"%.80s\" yet: the key is for it as soon as there is",
                what, means);
    json_writer_str(out, NULL, text);
}

static void note_mode(const struct key_scope *scope, const char *name, struct json_writer *out)
{
    const char *mode = mode_of(scope->modes, name);
    note(out, "mode", name, mode ? mode : name, mode != NULL);
}

static void note_model(const struct key_scope *scope, const char *name, struct json_writer *out)
{
    const char *model = model_of(scope, name);
    note(out, "model", name, model, router_model_known(scope->router, model) != NULL);
}

void key_scope_write_notes(const struct key_scope *scope, struct json_writer *out)
{
    json_writer_array(out, "notes");
    for (size_t i = 0; i < scope->asked_modes.count; i++)
        note_mode(scope, scope->asked_modes.at[i], out);
    for (size_t i = 0; i < scope->asked_models.count; i++)
        note_model(scope, scope->asked_models.at[i], out);
    json_writer_array_end(out);
}
