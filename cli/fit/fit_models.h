/* The models that `modemesh fit` tells about: from GGUF files, of which only the header is read,
 * from folders of them, or from a size alone. Blocking. */
#pragma once

#include "cli/fit/fit_ask.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/model/gguf.h"
#include "common/model/model_folder.h"
#include "common/model/shape.h"

#include <stddef.h>
#include <stdint.h>

enum { FIT_MODELS_MAX = MODEL_FOLDER_FILES_MAX };

enum fit_basis {   /* where a model's numbers come from */
    FIT_BY_HEADER, /* an estimate */
    FIT_BY_TOOL,   /* llama-fit-params */
    FIT_BY_BOUND,  /* its architecture is not known: not more than this */
    FIT_BY_SIZE,   /* --params: the weights nearly, their context not more than this */
    FIT_BASIS_COUNT,
};

/* "header", "llama-fit-params", "bound", "size"; static. */
const char *fit_basis_name(enum fit_basis basis);

struct fit_model {
    char name[MODEL_FOLDER_NAME_SIZE]; /* of two instances of one file the same, else its own */
    char *path;                        /* absolute; "" by size */
    char architecture[GGUF_TEXT_MAX];
    char quantisation[32]; /* "" where not known */
    struct model_shape shape;
    uint64_t projector_bytes;
    enum fit_basis basis;
};

struct fit_problem {
    char *path, *text; /* text: a sentence for people */
};

struct fit_models {
    struct fit_model *list;
    size_t count, cap;
    struct fit_problem *problems; /* files in folders that are passed over */
    size_t problem_count, problem_cap;
};

void fit_models_init(struct fit_models *models);
void fit_models_fini(struct fit_models *models);

/* A GGUF file (of a split the first part), or every model below a folder, by name. -ENOENT, also
 * where a folder has none; -EINVAL: the file holds no model; -E2BIG, or as gguf_read(). */
MUST_CHECK int fit_models_add(struct fit_models *models, const char *path, struct err *err);

/* A model of `params` ("32b") parameters in `quantisation` ("Q4_K_M"). -EINVAL, -ERANGE. */
MUST_CHECK int fit_models_add_size(
        struct fit_models *models, const char *params, const char *quantisation, struct err *err);

/* Counts the projector in `path` to the models that lie beside it, or where only one model was
 * added, to that. -EINVAL where it is no projector, or nothing lies beside it. */
MUST_CHECK int fit_models_add_projector(
        struct fit_models *models, const char *path, struct err *err);

/* Replaces bounds by what llama-fit-params says, where it is installed and knows better. */
void fit_models_consult_tool(struct fit_models *models, const struct fit_ask *ask);
