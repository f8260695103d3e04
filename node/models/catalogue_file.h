/* One GGUF file of a scan (node/models/catalogue_scan.h): what was seen of it, whether it is
 * written to the end, and what it holds. Blocking, any thread. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/model/fingerprint.h"
#include "common/model/gguf.h"
#include "common/model/shape.h"
#include "node/models/catalogue_scan.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct file_stamp { /* another one: the file was written to */
    uint64_t bytes; /* of all parts of a split; saturates */
    uint64_t times; /* a sum over the times of all parts, wrapping around */
};

struct catalogue_file {
    char *path;
    char *problem;               /* NULL: none */
    size_t root;                 /* the model folder that it lies in */
    bool is_root;                /* the model folder itself, with a problem */
    bool is_model, is_projector; /* neither, where there is a problem or it is being written */
    bool kept;                   /* from the last scan, as its model folder cannot be read */
    struct file_stamp stamp;
    int64_t modified_ns;      /* of this file */
    int64_t last_modified_ns; /* of the part that was written last */
    uint64_t since_ms;        /* the file is as it is at least since then; env_now_ms() */
    bool settled;             /* written to the end */
    bool known;               /* `info` and, of a model, the rest were read */
    struct gguf_info info;
    struct model_shape shape;
    struct fingerprint fingerprint;
    char name[CATALOGUE_NAME_MAX + 1]; /* "" where it is not offered */
    const struct catalogue_file *projector;
};

/* The name of `path` without its folder. */
const char *catalogue_file_base(const char *path);

/* `file` has a path and nothing else yet. */
void catalogue_file_see(struct catalogue_file *file, const struct stat *st);
/* Finds out the rest, but for the name and the projector. `before` is what was known of the same
 * path, or NULL. Where the file is being written, lowers `*settle_ms` (0: none yet) to the time
 * after which to look again. -ENOMEM. */
MUST_CHECK int catalogue_file_examine(struct catalogue_file *file,
        const struct catalogue_file *before, const struct env *env, uint64_t *settle_ms);
/* From now on it is no model and no projector. -ENOMEM. */
MUST_CHECK int catalogue_file_set_problem(struct catalogue_file *file, const char *text);
