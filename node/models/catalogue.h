/* The models of this node, kept up to date: looks at the model folders
 * (node/models/catalogue_scan.h) at once, whenever the kernel tells of a change there
 * (node/models/folder_watch.h), when a file that is being written may be whole, and every
 * CATALOGUE_RESCAN_MS besides: a network folder tells of nothing that other hosts do. Where not all
 * folders can be watched that is all there is, which is told once. The looks themselves run in the
 * work queue, as a folder may block; all else is of the loop thread.
 *
 * A problem is told once and not once a look. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "common/loop.h"
#include "node/models/catalogue_scan.h"

#include <stddef.h>
#include <stdint.h>

enum { CATALOGUE_RESCAN_MS = 10000 };

struct catalogue_config {
    const char *const *roots; /* the model folders, best first; copied */
    size_t root_count;
    const struct env *env; /* borrowed */
    size_t watched_max;    /* folders; 0: FOLDER_WATCH_MAX */
    uint32_t rescan_ms;    /* 0: CATALOGUE_RESCAN_MS */
};

struct catalogue_events {
    /* New, or its file or its projector is another than before. */
    void (*on_model)(void *ctx, const struct catalogue_model *model);
    void (*on_gone)(void *ctx, const char *name);
    /* A look is over, and everything it changed was told. */
    void (*on_scanned)(void *ctx, size_t model_count);
};

struct catalogue;

/* -E2BIG: more than CATALOGUE_ROOTS_MAX folders, -ENOMEM. */
MUST_CHECK int catalogue_create(struct loop *loop, const struct catalogue_config *config,
        const struct catalogue_events *events, void *ctx, struct catalogue **ret_catalogue,
        struct err *err);
/* No event comes after it; a look that is under way ends by itself (loop_fini() waits for it).
 * Takes NULL. */
void catalogue_destroy(struct catalogue *catalogue);
/* Now, or as soon as the look that is under way is over. */
void catalogue_rescan(struct catalogue *catalogue);
/* The last look, inside an event the one that it comes from; NULL before the first. Borrowed until
 * the next event. */
const struct catalogue_scan *catalogue_last(const struct catalogue *catalogue);
