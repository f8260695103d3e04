/* Where a model of this node comes from, and what is known of it before it runs: a file, for which
 * an engine is started, or an engine that runs already and has it (engines.h). */
#pragma once

#include "common/model/estimate.h"
#include "node/backends/backend.h"
#include "node/backends/engines.h"
#include "node/backends/found/adopted.h"
#include "node/models/catalogue.h"
#include "node/models/model_settings.h"
#include "node/residency/footprint.h"

#include <stdbool.h>
#include <stdint.h>

enum { SOURCE_FACT_MAX = 31 }; /* bytes of an architecture or a quantisation */

struct source {                      /* constant once made */
    struct model_settings *settings; /* of a file; NULL: it is an engine's */
    bool pin;                        /* loaded at start and kept; of an engine's, this may change */
    const struct backend_ops *ops;   /* run it */
    const char *path;                /* of the file; NULL: it is an engine's */
    uint64_t file_bytes;             /* 0: not known */
    /* What a load takes of this host's memory, as far as is known before; 0: another host's. */
    uint64_t load_bytes;
    uint32_t context, slots;  /* as its engine is started, or as it is there; 0: not known */
    uint32_t context_trained; /* tokens; 0: not known */
    uint32_t capabilities;    /* CAPABILITY_… */
    uint64_t parameters;      /* 0: not known */
    int64_t modified_s;       /* 0: not known */
    char architecture[SOURCE_FACT_MAX + 1], quantisation[SOURCE_FACT_MAX + 1];

    /* Of a file: */
    int64_t modified_ns;
    struct fingerprint fingerprint;
    struct model_shape shape;    /* `tensor_bytes` 0: not known */
    struct model_run run;        /* as its engine is started */
    uint64_t prompt_cache_bytes; /* that its engine may keep of earlier prompts at most */
    uint64_t checkpoint_bytes;   /* one of each slot; 0: it needs none */

    /* Of an engine's: */
    struct adopted_model place;     /* its `lent` is not set here */
    bool loads;                     /* the engine loads and unloads it when asked to */
    bool resident;                  /* it was in the engine's memory at the last look */
    bool here;                      /* what it takes there is this host's memory */
    uint64_t memory_bytes;          /* what it takes now; 0: not known */
    char version[FOUND_ID_MAX + 1]; /* "" not known */
    char text[];                    /* the path, or what the engine calls it */
};

/* Takes `settings`, also where malloc refuses, which gives NULL. */
struct source *source_of_file(const struct backend_ops *ops, const struct catalogue_model *model,
        struct model_settings *settings, const struct footprint_room *room);
/* Borrows the URL and the key of `model`. NULL where malloc refuses. */
struct source *source_of_engine(
        const struct backend_ops *ops, const struct engines_model *model, bool pin);
/* How its engine is started: `run`, with so many rows of logits for a sequence as its kind is known
 * to reserve. Of a file. */
struct model_run source_run(const struct source *source, uint32_t rows_of_sequence);
/* `load_bytes` of such a run. */
uint64_t source_load_bytes(const struct source *source, uint32_t rows_of_sequence);
/* Takes NULL. */
void source_destroy(struct source *source);

/* The largest context with which such a run would be within `bytes`; 0: none, or not known. */
uint32_t source_context_within(
        const struct source *source, uint32_t rows_of_sequence, uint64_t bytes);

bool source_is_adopted(const struct source *source);
/* True where what runs from the one need not end for the other. */
bool source_is_same(const struct source *one, const struct source *other);

/* What a plan needs to know of it; strings are borrowed. Leaves alone what an engine does not tell.
 */
void source_describe(const struct source *source, struct msg_instance *ret_instance);

/* Tokens of prompts that its engine keeps between requests, with so many slots of so long a context
 * and `prompt_cache_bytes` of room for earlier ones: what the slots hold, or that room where it
 * holds more, as what is in slots that wait is there too. 0: not known. */
uint64_t source_cache_tokens(
        const struct source *source, uint32_t context, uint32_t slots, uint64_t prompt_cache_bytes);

/* Of its cache, by the estimate; 0: not known. */
uint64_t source_token_bytes(const struct source *source, uint32_t context, uint32_t slots);

/* What it takes of this host's memory where its engine has loaded it for somebody else; 0: another
 * host's. */
uint64_t source_taken_bytes(const struct source *source);

/* The sources of one model. Where there are both, the file counts. */
struct sources {
    struct source *file, *engine; /* NULL: there is none */
    struct source *loaded;        /* what runs, maybe none of these any more; NULL: nothing */
    bool gone;                    /* the last one; it stays here until there is another */
};

/* What is loaded next. After the first sources_put() never NULL. */
const struct source *sources_current(const struct sources *sources);
/* Takes `source`, in the place of an older one. */
void sources_put(struct sources *sources, struct source *source);
void sources_lose(struct sources *sources, bool adopted);
/* The current one runs; it ends. */
void sources_load(struct sources *sources);
void sources_unload(struct sources *sources);
/* Nothing runs. */
void sources_fini(struct sources *sources);
