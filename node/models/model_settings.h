/* What the config says of single models, section `model-settings`; `models` is the list of folders.
 * An entry is for the model of that name, for the file of that name, or, with '*' and '?', for all
 * models whose name or whose file's name matches. Where several entries are for a model, each of
 * its settings comes from the first that has it: entries without '*' and '?' come before those
 * with, and else they come in the order of the file. What no entry has is as in section `engine`,
 * and a model in the list `resident` is pinned.
 *
 * Niceness that neither an entry nor section `engine` names is ours to choose where engines compute
 * on the processors: a model that talks gets MODEL_NICE_TALKS where a smaller one of this node
 * fills in the middle, as that one is who completes what is typed (modes that nobody has configured
 * take it for that, too), and a person waits for each of its answers.
 *
 * The names may hold all letters that names of models may (TEXT_MODEL_NAME), so that none is out of
 * reach.
 *
 * On a reload: make new rules, then settings for each model anew. Aliases, quality and pin count at
 * once; the rest is read when an engine is started, and where model_settings_same_engine() says so,
 * one that runs has to be started again to take it up. */
#pragma once

#include "common/arena.h"
#include "common/buf.h"
#include "common/config/config.h"
#include "common/err.h"
#include "common/model/cache_type.h"
#include "common/model/shape.h"
#include "node/models/catalogue_scan.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MODEL_QUALITY_MAX = 100,
    MODEL_NICE_TALKS = 10, /* leaves it a tenth of a processor that others want, not nothing */
};

/* Letters of an entry's name besides letters, digits and "._-"; for struct config_key. */
#define MODEL_SETTINGS_LETTERS " :/+*?"

/* All of the section, and what it falls back to. */
struct model_rules;

/* The config is only read. -EINVAL: a cache type that is not known, or an alias that is no name of
 * a model, with where it stands; -E2BIG, -ENOMEM. */
MUST_CHECK int model_rules_create(
        const struct config *config, struct model_rules **ret_rules, struct err *err);
/* Takes NULL. */
void model_rules_destroy(struct model_rules *rules);
/* Engines compute on the processors of this host, which they share. */
void model_rules_share_processors(struct model_rules *rules);

/* Tells what in the section is of no use to the models of `scan`: an entry that is for none of
 * them, a projector or draft that is not there, an alias that is taken. None of it is an error, as
 * files come later. What was told in the last call is not told again. */
typedef void (*model_rules_fn)(void *ctx, const char *entry, const char *text);
void model_rules_check(
        struct model_rules *rules, const struct catalogue_scan *scan, model_rules_fn fn, void *ctx);

/* Of one model. */
struct model_settings {
    uint32_t context; /* tokens of one sequence; 0: the engine's choice */
    uint32_t slots;
    uint32_t nice;        /* of its engine, 0 to 19: the others go first */
    bool nice_set;        /* the config has it; else an engine that runs is not ended for it */
    bool cache_types_set; /* false: nothing is said to the engine, which takes f16 unless extra_args
                             say something else */
    enum cache_type type_k, type_v;
    bool prompt_cache_set;         /* false: it is left to us how much is kept of earlier prompts */
    uint64_t prompt_cache_bytes;   /* 0: none of them is */
    const char *const *extra_args; /* of section `engine`, then the model's own; ends with NULL */
    const char *const *aliases;    /* no model's name, and no alias of a model before; likewise */
    uint32_t quality;              /* 1 … MODEL_QUALITY_MAX; 0: not said */
    bool pin;                      /* loaded at start and kept */
    const char *projector;         /* path; NULL: none. Not said: catalogue_model.projector */
    uint64_t projector_bytes;
    uint32_t senses; /* with it, or without any: CAPABILITY_SENSES, _VISION, _AUDIO; 0: not known */
    const char *draft; /* path of the model that drafts for it; NULL: none */
    struct model_shape draft_shape;
    struct arena arena; /* holds the texts */
};

/* `model` is one of `scan`. Nothing of the three is needed afterwards. -ENOMEM. */
MUST_CHECK int model_settings_create(const struct model_rules *rules,
        const struct catalogue_scan *scan, const struct catalogue_model *model,
        struct model_settings **ret_settings, struct err *err);
/* Takes NULL. */
void model_settings_destroy(struct model_settings *settings);
/* False for NULL. */
bool model_settings_has_alias(const struct model_settings *settings, const char *name);
/* True where an engine that was started with one serves the other. */
bool model_settings_same_engine(const struct model_settings *a, const struct model_settings *b);
/* … and nothing else is different either. */
bool model_settings_same(const struct model_settings *a, const struct model_settings *b);

/* True where the list `resident` has the name. */
bool model_rules_keep(const struct model_rules *rules, const char *name);
/* The name at `index` of that list; NULL past its end. */
const char *model_rules_kept(const struct model_rules *rules, size_t index);
