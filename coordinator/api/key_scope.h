/* What a new API key is for: the modes and models that people name, by any of the names of whole
 * ones (modes/mode_names.h, 1 to 3, 5 and 6, but for those that end with '*'), as those that
 * requests are held against. A key that names what is not there would have an empty list, and
 * nobody would see why. Inside coordinator/api/ only. Loop thread. */
#pragma once

#include "common/err.h"
#include "common/json/json_writer.h"
#include "coordinator/api/operation_body.h"
#include "coordinator/modes/modes.h"
#include "coordinator/node_table.h"
#include "coordinator/router/router.h"

struct key_scope {             /* borrowed, but for the lists that are filled */
    const struct modes *modes; /* in force */
    struct node_table *nodes;
    const struct router *router; /* knows also what nodes had that are away */
    struct operation_words asked_modes, asked_models;
    struct operation_words for_modes, for_models; /* what the key gets */
};

/* Fills what the key gets. An alias is what it means at this time, so that nobody can widen the key
 * later by another alias; what is asked for by several names counts once. -EINVAL: no mode has such
 * a name, and the config says which there are (those that are derived come and go), or it is a
 * mode's that stands among models. */
MUST_CHECK int key_scope_resolve(struct key_scope *scope, struct err *err);
/* The member "notes": a sentence for each name that means another, or nothing that is known. */
void key_scope_write_notes(const struct key_scope *scope, struct json_writer *out);
