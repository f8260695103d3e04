/* Modes as policy: a name that editors ask for, and the models that may answer, by names or aliases
 * (aliases.h), in the order of preference, and what a request of it needs. From the config
 * (`modes.NAME`); replaced whole on reload. */
#pragma once

#include "common/buf.h"
#include "common/config.h"
#include "common/err.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODES_MAX = 64,
    MODE_MODELS_MAX = 32,
};

#define MODE_AUTO     "auto" /* what to ask for to let the mesh choose the mode */
#define MODE_FALLBACK "ask"  /* what `auto` means for now */

struct mode {
    char *name;
    char **models; /* `model_count` names */
    size_t model_count;

    /* For plans of which models should be loaded where (plan/plan.h): */
    uint32_t context;       /* tokens that a request and its answer need … */
    bool context_is_set;    /* … by the config; else fewer do, where its models know no more */
    uint32_t context_floor; /* … and with how many they do at the least; at most `context` */
    uint32_t slots;         /* requests that one agent has at once */
    uint32_t copies;        /* agents at once */
    uint32_t weight;        /* share of use against the other modes */
    bool batch;             /* nobody waits in front of a screen */
};

struct modes {
    struct mode *list;
    size_t count;
};

/* -EINVAL names the mode: no models, too many, a mode named "auto", the same model twice or with a
 * name that no node may use, a floor above the context. -ENOMEM. */
MUST_CHECK int modes_from_config(
        const struct config *config, struct modes *ret_modes, struct err *err);
void modes_fini(struct modes *modes);

/* -ENOMEM. */
MUST_CHECK int modes_copy(const struct modes *modes, struct modes *ret_copy, struct err *err);
/* Makes `model` the first of the mode's list; past MODE_MODELS_MAX the last one is lost. -ENOMEM:
 * nothing has changed. */
MUST_CHECK int mode_put_first(struct mode *mode, const char *model, struct err *err);
/* Takes `model` off the list, where it is on it. */
void mode_take_off(struct mode *mode, const char *model);
bool mode_lists(const struct mode *mode, const char *model);

/* The mode of that name; "auto" gives the fallback. NULL where there is none. Case counts. */
const struct mode *modes_find(const struct modes *modes, const char *name);

/* Editors know modes by "mesh-MODE"; some list only names that hold another word. */
#define MODE_ALIAS        "mesh-"
#define MODE_ALIAS_CLAUDE "claude-mesh-"

/* The mode that `name` asks for in any of its spellings: MODE, mesh-MODE, claude-mesh-MODE, or
 * mesh-MODE-MODEL, where MODEL is how the name of one of the mode's models begins (case does not
 * count): clients that fill in the middle take a model's tokens from its name. Each with or without
 * what modes_plain_name() takes off. NULL where it is none. */
const struct mode *modes_resolve(const struct modes *modes, const char *name);
/* True where `name`, for which modes_resolve() gives `mode`, leaves `model` (one of the mode's)
 * among those that may answer: all of them, but for mesh-MODE-MODEL those that begin so. Pure. */
bool modes_name_leaves(const struct mode *mode, const char *name, const char *model);
/* True where `name` asks for the mode alone, in whatever spelling, and for no model of it. Pure. */
bool modes_name_is_open(const struct mode *mode, const char *name);
/* Copies `name` without ":latest" or "[1m]" at its end, which some clients add. */
void modes_plain_name(const char *name, char ret_plain[MSG_NAME_MAX + 1]);
