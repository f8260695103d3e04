/* The models below the node's model folder, found by their GGUF files.
 *
 * A model's name is what a person would call it: NAME/model.gguf and NAME/ggml-model-Q4_K_M.gguf
 * are NAME, any other X.gguf is X, at any depth; the "-00001-of-00003" of a split file is left out.
 * Where two files have the same name, the first by path keeps it and the other is FOLDER/X after
 * the folder that it lies in; where that is taken too, the file is reported and not offered. Parts
 * of a split after the first, projectors (mmproj*.gguf), adapters and vocabularies are no models
 * and no problem.
 *
 * Symbolic links to files are followed, links to folders are not, so there are no cycles; names
 * that begin with a dot are passed over. A file that cannot be read, lacks parts or is still being
 * copied is a problem, told once and not once a scan. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"

#include <stddef.h>
#include <stdint.h>

enum {
    CATALOGUE_DEPTH_MAX = 16,      /* folders in folders */
    CATALOGUE_FILES_MAX = 4096,    /* GGUF files */
    CATALOGUE_ENTRIES_MAX = 65536, /* directory entries of any kind */
    CATALOGUE_NAME_MAX = 127,      /* bytes of a model's name */
    CATALOGUE_RESCAN_MS = 10000,
};

struct catalogue_model {
    const char *name;
    const char *path;         /* the file to give to an engine; of a split its first part */
    uint64_t file_bytes;      /* all parts of a split */
    uint32_t context;         /* tokens that it was trained for; 0: not said */
    const char *architecture; /* "llama" */
    const char *quantisation; /* "Q4_K_M" or "" */
    int64_t modified_ns;      /* of the first part */
    uint64_t parameters;      /* 0: not known, as of a split */
    uint32_t capabilities;    /* as far as the file tells: node/capabilities.h */
};

struct catalogue_problem {
    const char *path;
    const char *text; /* a sentence for people */
};

struct catalogue_file; /* what is remembered of a file, so that it is not read again */

/* What one scan found. Constant once made. */
struct catalogue_scan {
    struct catalogue_model *models; /* by name */
    size_t model_count;
    struct catalogue_problem *problems; /* by path */
    size_t problem_count;
    struct catalogue_file *files; /* by path */
    size_t file_count;
};

/* Scans `root`. Blocking, any thread. `previous` (may be NULL) saves reading files that did not
 * change; it is not changed. -ENOENT, -EACCES … where `root` itself cannot be read, -ENOMEM. */
MUST_CHECK int catalogue_scan_create(const char *root, const struct catalogue_scan *previous,
        struct catalogue_scan **ret_scan, struct err *err);
void catalogue_scan_destroy(struct catalogue_scan *scan);

struct catalogue_events {
    /* New, or its file is another than before. */
    void (*on_model)(void *ctx, const struct catalogue_model *model);
    void (*on_gone)(void *ctx, const char *name);
    /* A scan is over, and everything it changed was told. */
    void (*on_scanned)(void *ctx, size_t model_count);
};

/* Scans in the work queue (a network folder may block), first at once and then every
 * CATALOGUE_RESCAN_MS. */
struct catalogue;
struct catalogue *catalogue_create(
        struct loop *loop, const char *root, const struct catalogue_events *events, void *ctx);
/* No event comes after it; a scan that is running ends by itself (loop_fini() waits for it). Takes
 * NULL. */
void catalogue_destroy(struct catalogue *catalogue);
/* Now, or as soon as the running scan is over. */
void catalogue_rescan(struct catalogue *catalogue);
