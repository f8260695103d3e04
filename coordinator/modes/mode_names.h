/* What clients call modes. A name is taken for the first of these that it is:
 *   1. a mode's own name, "auto" among them
 *   2. a model's own name, or an alias that its node gives it (aliases.h): not seen from here
 *   3. MODE, mesh-MODE or claude-mesh-MODE, or mesh-MODE-MODEL, where MODEL is how the name of one
 *      of the mode's models begins (case does not count): clients that fill in the middle take a
 *      model's tokens from its name. Each with or without what modes_plain_name() takes off
 *   4. a model's name with such an ending
 *   5. the same spellings of what `mode-aliases` calls a mode, or of what editors call it
 *      (modes_alias_at())
 *   6. what `model-aliases` lets a foreign model's name stand for: the whole name, with or without
 *      such an ending, before those that end with '*', of them the longest
 * modes_resolve() knows 1, 3 and 5, modes_foreign() 6; who knows the models too keeps the order
 * (api/inference.h). Pure. */
#pragma once

#include "coordinator/modes/modes.h"

#include <stdbool.h>
#include <stddef.h>

/* Editors know modes by "mesh-MODE"; some list only names that hold another word. */
#define MODE_ALIAS        "mesh-"
#define MODE_ALIAS_CLAUDE "claude-mesh-"

/* Bytes of the one of these that `name` begins with; 0: with none. */
size_t modes_head_len(const char *name);

/* The mode that `name` asks for. NULL where it asks for none. */
const struct mode *modes_resolve(const struct modes *modes, const char *name);
/* Likewise by a mode's own name alone (1 and 3). */
const struct mode *modes_resolve_own(const struct modes *modes, const char *name);
/* True where `name` asks the mesh to choose the mode: "auto" in any spelling, or an alias that
 * means it. */
bool modes_asks_auto(const struct modes *modes, const char *name);
/* Likewise but for what a foreign name stands for (6). */
bool modes_calls_auto(const struct modes *modes, const char *name);
/* Likewise by "auto" itself (1 and 3). */
bool modes_spells_auto(const char *name);
/* Where `auto` goes that is told by nothing else, of the modes that answer chats and for which
 * `may` is true: what "ask", "chat" or "code" means, else the first. NULL: there is none. */
const struct mode *modes_fallback(const struct modes *modes,
        bool (*may)(const void *ctx, const struct mode *mode), const void *ctx);
/* True where `name`, for which modes_resolve() gives `mode`, leaves `model` (one of the mode's)
 * among those that may answer: all of them, but for mesh-MODE-MODEL those that begin so. */
bool modes_name_leaves(
        const struct modes *modes, const struct mode *mode, const char *name, const char *model);
/* True where `name` asks for the mode alone, in whatever spelling, and for no model of it. */
bool modes_name_is_open(const struct modes *modes, const struct mode *mode, const char *name);
/* Copies `name` without what some clients add at its end: ":latest", "[1m]", or both. */
void modes_plain_name(const char *name, char ret_plain[MSG_NAME_MAX + 1]);

/* What a foreign model's name stands for: a mode, an alias of one, or a model. NULL: nothing.
 * Borrowed from `modes`. */
const char *modes_foreign(const struct modes *modes, const char *name);
/* Likewise but by no alias that ends with '*'. */
const char *modes_foreign_whole(const struct modes *modes, const char *name);

struct mode_alias_view { /* borrowed */
    const char *name, *target;
    bool foreign; /* of a model (6), else of a mode (5) */
    bool known;   /* not from the config: so editors call it */
};
/* The aliases that are in force, those of the config first. False past the last. */
bool modes_alias_at(const struct modes *modes, size_t index, struct mode_alias_view *ret_alias);
