/* One look at the GGUF files below the node's model folders: which models are there, and what is
 * wrong with the rest. Blocking, any thread.
 *
 * A model's name is what a person would call it (model_folder_name()), X of X.gguf or of
 * X/model.gguf, at any depth. Names are unique over all folders: where two files have the same one,
 * that in the earlier folder of the list, then the first by path, keeps it and the other is
 * FOLDER/X after the folder that it lies in; where that is taken too, the file is reported and not
 * offered. Parts of a split after the first, projectors, adapters and vocabularies are no models
 * and no problem. A projector is mmproj*.gguf, or a file that says so of itself.
 *
 * A model folder within another is looked at once. A file that cannot be read, is cut off or lacks
 * parts is a problem.
 *
 * A file that is being written is neither offered nor a problem. It counts as written to the end
 * when nobody on this host has it open for writing and it has been as it is for
 * CATALOGUE_CLOSED_MS; where that cannot be told (node/models/file_writer.h), after
 * CATALOGUE_SETTLE_MS of quiet. The quiet is measured by our own clock, from when a change was
 * seen; that of the file's times, which another host may have given it, counts for a file that is
 * seen for the first time.
 *
 * A model folder that is not there has no models. One that cannot be read for another reason keeps
 * those that were known: a network folder may be away for a moment. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "common/model/fingerprint.h"
#include "common/model/shape.h"
#include "node/models/folder_watch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CATALOGUE_ROOTS_MAX = 16,   /* model folders; limits of one: common/model/model_folder.h */
    CATALOGUE_FILES_MAX = 4096, /* GGUF files, in all model folders */
    CATALOGUE_NAME_MAX = 127,   /* bytes of a model's name */
    CATALOGUE_CLOSED_MS = 250,
    CATALOGUE_SETTLE_MS = 2000,
};

#define CATALOGUE_SUFFIX ".gguf"

struct catalogue_model {
    const char *name;
    const char *path;         /* the file to give to an engine; of a split its first part */
    uint64_t file_bytes;      /* all parts of a split */
    uint32_t context;         /* tokens that it was trained for; 0: not said */
    const char *architecture; /* "llama" */
    const char *quantisation; /* "Q4_K_M" or "" */
    int64_t modified_ns;      /* of the first part */
    uint64_t parameters;
    uint32_t capabilities; /* as far as the file tells: node/models/capabilities.h */
    struct model_shape shape;
    struct fingerprint fingerprint;
    /* The projector beside it: the only one in its folder, where all models of that folder are
     * quantisations of one (same architecture, layers and embedding); else NULL. */
    const char *projector;
    uint64_t projector_bytes;
    uint32_t projector_senses; /* node/models/capabilities.h */
};

struct catalogue_projector {
    uint64_t bytes;
    uint32_t senses; /* node/models/capabilities.h */
};

struct catalogue_problem {
    const char *path;
    const char *text; /* a sentence for people */
    bool is_root;     /* a model folder itself */
};

struct catalogue_file; /* what is remembered of a file, so that it is not read again */

/* What one look found. Constant once made. */
struct catalogue_scan {
    struct catalogue_model *models; /* by name */
    size_t model_count;
    struct catalogue_problem *problems; /* by path */
    size_t problem_count;
    struct catalogue_file *files; /* by path */
    size_t file_count;
    uint64_t settle_ms;     /* when to look again at files that are being written; 0: none */
    size_t unwatched_count; /* folders that `watch` did not take */
    struct err unwatched;   /* why the first of them was not */
};

struct catalogue_look {
    const char *const *roots; /* the model folders, no '/' at the end */
    size_t root_count;        /* at most CATALOGUE_ROOTS_MAX */
    const struct env *env;
    struct folder_watch *watch; /* told of each folder; NULL: none */
};

/* `previous` (may be NULL; made with the same roots) saves reading files that did not change; it is
 * not changed. -ENOMEM. */
MUST_CHECK int catalogue_scan_create(const struct catalogue_look *look,
        const struct catalogue_scan *previous, struct catalogue_scan **ret_scan, struct err *err);
/* Takes NULL. */
void catalogue_scan_destroy(struct catalogue_scan *scan);

/* The model of this name, or that in the file at `path`; NULL where there is none. Borrowed. */
const struct catalogue_model *catalogue_scan_find(
        const struct catalogue_scan *scan, const char *name);
const struct catalogue_model *catalogue_scan_find_path(
        const struct catalogue_scan *scan, const char *path);
/* True where the file at `path` is a projector. */
bool catalogue_scan_projector(const struct catalogue_scan *scan, const char *path,
        struct catalogue_projector *ret_projector);
