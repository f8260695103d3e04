/* The coordinator's HTTP API: which path is served by what, who may call it, and the shape of every
 * error. */
#pragma once

#include "coordinator/admin.h"
#include "coordinator/http_server.h"
#include "coordinator/job.h"
#include "coordinator/modes.h"

struct api {
    const struct admin_view *view; /* what GETs tell, and what a model's name is looked up in */
    struct jobs *jobs;
};

/* What http_server_create() wants; `api` is borrowed for the life of the server. */
struct http_server_handler api_handler(struct api *api);
