/* Modes as policy: a name that editors ask for, the models that may answer, by names or aliases
 * (aliases.h), in the order in which they are liked, and by what rules one of them is chosen
 * (mode_policy.h). From the config (mode_config.h), else derived from what the nodes have
 * (mode_suggest.h); replaced whole on reload. What a client calls a mode is mode_names.h's. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MODES_MAX = 64,
    MODE_MODELS_MAX = 32,
    MODE_RULES_MAX = 16,     /* context rules of a mode, and floors of it */
    MODES_ALIASES_MAX = 256, /* of modes and of models, all together */
    MODE_POINTS_MAX = 100,
    /* Without a word from config or nodes: the model that is liked best, and how much less each
     * that follows has. */
    MODE_POINTS_FIRST = 75,
    MODE_POINTS_STEP = 5,
};

/* As in settings.c, which is held against them by a test. */
enum {
    MODE_CONTEXT = 32768,
    MODE_CONTEXT_FLOOR = 8192,
    MODE_WEIGHT = 10,
    MODE_PATIENCE_MS = 10 * 60 * 1000,
    MODE_PRIORITY_INTERACTIVE = 7,
    MODE_PRIORITY_BATCH = 0,
};

#define MODE_AUTO     "auto" /* what to ask for to let the mesh choose the mode */
#define MODE_FALLBACK "ask"  /* what `auto` means where nothing else is known */

/* Letters of names in the config besides letters, digits and "._-", for struct config_key: of
 * models (TEXT_MODEL_NAME), and of what stands for models elsewhere. */
#define MODES_MODEL_LETTERS " :/+"
#define MODES_ALIAS_LETTERS " :/+@*"

struct mode_models { /* names of some of a mode's models; owned */
    char **names;
    size_t count;
};

struct mode_points { /* how good a model is in this mode, as the config says */
    char *model;
    uint8_t points; /* 1 … MODE_POINTS_MAX */
};

struct mode_rule {   /* what answers while prompt and answer have at most `tokens` */
    uint32_t tokens; /* at least 1 */
    struct mode_models models;
};

struct mode_floor {
    uint32_t tokens;
    uint8_t points;
};

/* Where none of a mode's models can serve: WAIT for one, as long as there is one to wait for;
 * REFUSE, also where all their slots are taken; NEXT asks another mode, where there is none to wait
 * for or the wait was too long. */
enum mode_when_none { WHEN_NONE_WAIT, WHEN_NONE_REFUSE, WHEN_NONE_NEXT, WHEN_NONE_COUNT };

struct mode {
    char *name;
    char **models; /* `model_count` names; never 0 */
    size_t model_count;

    /* What answers a request: */
    struct mode_points *points; /* of some of its models, in any order */
    size_t point_count;
    struct mode_rule *rules; /* by tokens, the least first */
    size_t rule_count;
    struct mode_models planning; /* what answers planning calls; count 0: no difference is made */
    bool stand_in;             /* another model, as good as a rule's, takes it where that is busy */
    uint8_t floor;             /* points of the least model that may answer; 0: any */
    struct mode_floor *floors; /* … up to so many tokens; by tokens, the least first */
    size_t floor_count;
    uint8_t priority; /* scheduling/fair_queue.h */
    double beta;      /* scheduling/cost.h … */
    bool beta_is_set; /* … by the config; else one that is told of a request counts instead */
    bool batch;       /* nobody waits in front of a screen */
    bool has_temperature;
    double temperature;  /* for requests that say none */
    uint32_t max_output; /* tokens of an answer at most; 0: no limit */
    enum mode_when_none when_none;
    char *next;           /* WHEN_NONE_NEXT: the mode that is asked instead; else NULL. Never round
                             in a circle: the config is refused */
    uint32_t patience_ms; /* in the queue; 0: as long as any request */

    /* For plans of which models should be loaded where (plan/plan.h): */
    uint32_t context;       /* tokens that a request and its answer need … */
    bool context_is_set;    /* … by the config; else fewer do, where its models know no more */
    uint32_t context_floor; /* … and with how many they do at the least; at most `context` */
    uint32_t slots;         /* requests that one agent has at once */
    uint32_t copies;        /* agents at once */
    uint32_t weight;        /* share of use against the other modes */
};

struct mode_alias {
    char *name;   /* of `foreign` ones a '*' at the end stands for whatever follows */
    char *target; /* a mode; of `foreign` ones a mode, an alias of one, or a model */
    bool foreign; /* it stands for a model that tools insist on */
};

struct modes {
    struct mode *list;
    size_t count;
    bool derived;               /* the config has none: they come from what the nodes have */
    struct mode_alias *aliases; /* those of the config, in its order */
    size_t alias_count;
};

void modes_fini(struct modes *modes);
/* -ENOMEM. */
MUST_CHECK int modes_copy(const struct modes *modes, struct modes *ret_copy, struct err *err);

/* Whether one of them lists `model`. Case counts. */
bool modes_some_lists(const struct modes *modes, const char *model);
/* The mode of that name; "auto" gives the fallback. NULL where there is none. Case counts. */
const struct mode *modes_find(const struct modes *modes, const char *name);

/* Makes `model` the first of the mode's list; past MODE_MODELS_MAX the last one is lost. -ENOMEM:
 * nothing has changed. */
MUST_CHECK int mode_put_first(struct mode *mode, const char *model, struct err *err);
/* Takes `model` off the list, where it is on it. */
void mode_take_off(struct mode *mode, const char *model);
bool mode_lists(const struct mode *mode, const char *model);
/* In its rules `model` answers from now on wherever `replaced` did. -ENOMEM: some may have changed.
 */
MUST_CHECK int mode_replace_in_rules(
        struct mode *mode, const char *replaced, const char *model, struct err *err);

/* What the config says of a model; 0: nothing. */
uint8_t mode_said_points(const struct mode *mode, const char *model);
/* "wait", "refuse", "next"; for JSON. */
const char *mode_when_none_name(enum mode_when_none when_none);

/* A mode without name and models, with all else as the config has it by default. */
void mode_init(struct mode *mode);
/* What follows from it by default is so: priority and β. */
void mode_set_batch(struct mode *mode, bool batch);

bool mode_models_have(const struct mode_models *models, const char *model);
