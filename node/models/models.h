/* Where this node's models come from: files in the model folders (catalogue.h), each with its
 * settings (model_settings.h) as standing orders have changed them (standing_orders.h), and engines
 * that run already (engines.h). What is found, changes or goes is handed to the supervisor. Loop
 * thread. */
#pragma once

#include "common/config/config.h"
#include "common/env.h"
#include "common/err.h"
#include "common/http_client.h"
#include "common/loop.h"
#include "node/residency/standing_orders.h"
#include "node/residency/supervisor.h"

struct models_config { /* all borrowed */
    struct loop *loop;
    struct http_client *http;
    const struct env *env;
    struct supervisor *supervisor;
    const struct standing_orders *orders;
    const struct config *settings; /* read by models_create() only */
};

struct models;

/* -EINVAL, -E2BIG: which setting cannot be used, and why; -ENOMEM. */
MUST_CHECK int models_create(
        const struct models_config *config, struct models **ret_models, struct err *err);
/* The supervisor keeps what it was told. Takes NULL. */
void models_destroy(struct models *models);

/* Looks at the folders again, now. */
void models_rescan(struct models *models);
/* Takes up what `settings` say of single models, of all engines and of who stays resident. On
 * failure what was said before stays: as models_create(). */
MUST_CHECK int models_reload(struct models *models, const struct config *settings, struct err *err);

/* The file of that name; NULL where there is none. Borrowed until the loop's next turn. */
const struct catalogue_model *models_file(const struct models *models, const char *name);
/* What the file of that name would be loaded with under `order`, which may be NULL; -ENOMEM. */
MUST_CHECK int models_settings(const struct models *models, const struct catalogue_model *file,
        const struct standing_order *order, struct model_settings **ret_settings, struct err *err);
/* The standing order for that model has changed: hands it on. */
void models_reorder(struct models *models, const char *name);
