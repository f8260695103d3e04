/* What an engine that somebody else runs tells of itself: which kind of server answers there, which
 * models it has, and which of them are in its memory. Nothing here is believed further than it must
 * be: every text is a stranger's, parsed with limits, and numbers that cannot be are "not told".
 * Pure; found_ollama.h and found_openai.h read the answers, found_look.h asks. What each kind
 * cannot tell is in struct engine_manner.
 *
 * A model that is not loaded can be had from Ollama only, which loads and unloads when asked to.
 * The others load by themselves or not at all, so of them only what is loaded counts. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/json/json.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FOUND_MODELS_MAX = 128,                /* of one engine; more are left out and counted */
    FOUND_ID_MAX = 255,                    /* bytes of what an engine calls a model */
    FOUND_FACT_MAX = 31,                   /* bytes of an architecture or a quantisation */
    FOUND_SLOTS_MAX = 1024,                /* more are not believed */
    FOUND_CONTEXT_MAX = 256 * 1024 * 1024, /* tokens; likewise */
};

enum engine_kind { /* in the order in which they are recognised */
    ENGINE_LEMONADE,
    ENGINE_OLLAMA,
    ENGINE_LM_STUDIO,
    ENGINE_LLAMA_SERVER,
    ENGINE_VLLM,
    ENGINE_OPENAI, /* none of these, with OpenAI's endpoints */
    ENGINE_KIND_COUNT,
};

struct found_model {
    char id[FOUND_ID_MAX + 1];   /* what its engine calls it */
    char name[MSG_NAME_MAX + 1]; /* … and what the mesh does (found_name()) */
    bool resident;               /* in memory: answers without loading */
    /* Of all numbers 0 means: not told. */
    uint64_t file_bytes;
    uint64_t memory_bytes; /* what it takes now, host and GPU together */
    uint64_t gpu_bytes;    /* … of these on a GPU */
    uint64_t parameters;
    uint32_t context; /* tokens of one request, as the engine runs it or would */
    uint32_t context_trained;
    uint32_t slots;
    uint32_t capabilities; /* CAPABILITY_…; EXACT where the engine itself says so */
    char architecture[FOUND_FACT_MAX + 1], quantisation[FOUND_FACT_MAX + 1]; /* "" not told */
    char version[FOUND_ID_MAX + 1]; /* changes where the model does: a digest; "" not told */
};

struct found_list { /* caller's; zeroed at first */
    struct found_model models[FOUND_MODELS_MAX];
    size_t count;
    size_t left_out; /* past the limit, or with an unusable name, or answered by somebody else's
                        computer */
};

/* Reads one answer into the list: a model that is there already is completed, another one added.
 * -EPROTO: not such an answer; -ELOOP: a modemesh answers there; -ENOMEM. The list is then as it
 * was. */
typedef int (*found_read_fn)(
        const char *text, size_t len, struct found_list *list, struct err *err);

struct found_question { /* of a GET that is answered by JSON */
    const char *path;
    found_read_fn read;
    bool residents; /* it alone says which models are resident */
    bool optional;  /* an engine that does not answer it is well too */
};

enum { FOUND_QUESTIONS_MAX = 3 };

struct engine_manner {
    const char *name;       /* "ollama" */
    const char *label;      /* for people: "Ollama" */
    const char *prefix;     /* before the paths of OpenAI's endpoints, "" or "/api" */
    bool loads;             /* loads and unloads on demand; else only what is resident counts */
    uint32_t slots;         /* requests at once, by default: for where it does not tell */
    uint32_t unknown_kinds; /* bits 1 << enum request_kind that it has no endpoint for */
    const char *untold;     /* for people, what it cannot tell: "slots" */
    struct found_question questions[FOUND_QUESTIONS_MAX]; /* in this order; unused ones are zero */
};

const struct engine_manner *engine_manner(enum engine_kind kind);
/* The model that the engine calls so; NULL where there is none. */
const struct found_model *found_find(const struct found_list *list, const char *id);

/* --- recognising --- */

/* True for the answer to GET / of a modemesh coordinator, or of a node that carries to one: to take
 * that for an engine would send requests round in a circle. */
bool found_is_mesh(const char *text, size_t len);
/* A question whose answer tells the kind. NULL past the last. */
const char *found_probe_path(size_t index);
/* The kind that gave this answer to found_probe_path(index): 0, or -EPROTO where it tells none;
 * -ELOOP. */
MUST_CHECK int found_probe_read(
        size_t index, const char *text, size_t len, enum engine_kind *ret_kind, struct err *err);

/* --- for the readers --- */

/* Parses an answer of at most 1 MiB, which must be an object. -EPROTO, -ENOMEM. */
MUST_CHECK int found_parse(const char *text, size_t len, cJSON **ret_json, struct err *err);
/* What the mesh calls the model: the id without the folder and the ending of a GGUF file, and with
 * '-' for what rules.h has no place for. -EINVAL where nothing usable is left. */
MUST_CHECK int found_name(const char *id, char ret_name[MSG_NAME_MAX + 1]);
/* The model that the engine calls so, a new one where there is none. NULL: left out, and counted.
 */
struct found_model *found_add(struct found_list *list, const char *id);
/* Marks the model as resident; NULL where the list does not have it. */
struct found_model *found_mark(struct found_list *list, const char *id);
/* The whole number, 0 where there is none or it is past `max`. */
uint64_t found_number(const cJSON *object, const char *key, uint64_t max);
/* Copies a fact, "" where it is not told, too long, or holds what a terminal should not see. */
void found_fact(const cJSON *object, const char *key, char ret_fact[FOUND_FACT_MAX + 1]);
/* True where the array of strings holds this one. */
bool found_says(const cJSON *array, const char *word);
