/* More names to ask for models by, as their nodes tell them, and the one model that each means: a
 * name that a model has of its own means that model and is no alias; of several models that have
 * the same alias it means the first by name. So a name means the same on all nodes. Pure. */
#pragma once

#include "common/buf.h"
#include "coordinator/instance.h"

#include <stddef.h>

struct alias {
    const char *name, *model; /* borrowed from an instance */
};

struct aliases { /* in the order of names */
    struct alias *at;
    size_t count;
};

/* -ENOMEM. */
MUST_CHECK int aliases_init(
        struct aliases *aliases, struct instance *const *instances, size_t count);
void aliases_fini(struct aliases *aliases);

/* The model that `name` means: `name` itself where it is no alias. */
const char *aliases_model(const struct aliases *aliases, const char *name);
