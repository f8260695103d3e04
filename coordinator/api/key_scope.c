#include "coordinator/api/key_scope.h"

#include "coordinator/modes/mode_names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { KNOWN_MAX = 200, NOTE_MAX = 256 }; /* bytes */

/* --- modes --- */

/* NULL: no mode's. "mesh-MODE-MODEL" is not the whole mode's. */
static const char *mode_of(const struct modes *modes, const char *name)
{
    const struct mode *mode = modes_resolve(modes, name);
    return mode && modes_name_is_open(modes, mode, name) ? mode->name : NULL;
}

static void list_modes(const struct modes *modes, char text[KNOWN_MAX])
{
    size_t len = 0;
    *text = '\0';
    for (size_t i = 0; i < modes->count; i++) {
        const char *name = modes->list[i].name, *comma = i ? ", " : "";
        if (len + strlen(comma) + strlen(name) + sizeof(", …") > KNOWN_MAX) {
            snprintf(text + len, KNOWN_MAX - len, ", …");
            return;
        }
        len += (size_t)snprintf(text + len, KNOWN_MAX - len, "%s%s", comma, name);
    }
}

static int resolve_mode(
        const struct modes *modes, const char *name, const char **ret_mode, struct err *err)
{
    const char *mode = mode_of(modes, name);
    char known[KNOWN_MAX];
    if (modes_asks_auto(modes, name))
        return err_set(err, -EINVAL,
                "\"%.80s\" chooses among the modes that a key may use: name those", name);
    if (!mode && !modes->derived) {
        list_modes(modes, known);
        return err_set(err, -EINVAL, "there is no mode \"%.80s\"; known are: %s", name, known);
    }
    *ret_mode = mode ? mode : name;
    return 0;
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

int key_scope_resolve(struct key_scope *scope, struct err *err)
{
    const char *mode = NULL;
    scope->for_modes.count = scope->for_models.count = 0;
    for (size_t i = 0; i < scope->asked_modes.count; i++) {
        int r = resolve_mode(scope->modes, scope->asked_modes.at[i], &mode, err);
        if (r)
            return r;
        add(&scope->asked_modes, i, mode, &scope->for_modes);
    }
    for (size_t i = 0; i < scope->asked_models.count; i++) {
        const char *model = node_table_model(scope->nodes, scope->asked_models.at[i]);
        add(&scope->asked_models, i, model, &scope->for_models);
    }
    return 0;
}

/* --- what is to be said of it --- */

/* `means` NULL: nothing. */
static void note(struct json_writer *out, const char *what, const char *name, const char *means)
{
    char text[NOTE_MAX];
    if (means && strcmp(name, means) == 0)
        return;
    if (means)
        snprintf(text, sizeof(text), "\"%.80s\" is the %s %.80s: the key is for that", name, what,
                means);
    else
        snprintf(text, sizeof(text),
                "warning: there is no %s \"%.80s\" yet: the key is for it as soon as there is",
                what, name);
    json_writer_str(out, NULL, text);
}

void key_scope_write_notes(const struct key_scope *scope, struct json_writer *out)
{
    json_writer_array(out, "notes");
    for (size_t i = 0; i < scope->asked_modes.count; i++) {
        const char *name = scope->asked_modes.at[i];
        note(out, "mode", name, mode_of(scope->modes, name));
    }
    for (size_t i = 0; i < scope->asked_models.count; i++) {
        const char *name = scope->asked_models.at[i];
        const char *model = node_table_model(scope->nodes, name);
        note(out, "model", name, router_model_known(scope->router, model) ? model : NULL);
    }
    json_writer_array_end(out);
}
