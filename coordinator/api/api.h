/* The coordinator's HTTP API: which path is served by what, who may call it from which listener,
 * and the shape of every error. Scopes: a path is open to all (health), to whoever may use the mesh
 * (inference, models, status), or to whoever runs it (operations.h). The Unix socket is the owner's
 * and has all; an API key has what it was given; whoever needs no key (loopback, edge) may use the
 * mesh and not run it. */
#pragma once

#include "coordinator/api/access.h"
#include "coordinator/api/admin.h"
#include "coordinator/api/api_keys.h"
#include "coordinator/api/cors.h"
#include "coordinator/api/operations.h"
#include "coordinator/api/throttle.h"
#include "coordinator/http/http_server.h"
#include "coordinator/job/job.h"
#include "coordinator/modes/modes.h"

struct affinities;
struct auto_sessions;
struct classifier;
struct planner;
struct recordings;
struct response_store;

struct api {                       /* all borrowed */
    const struct admin_view *view; /* what GETs tell, and what a model's name is looked up in */
    struct jobs *jobs;
    struct api_keys *keys;
    struct throttle *throttle; /* of those who try keys */
    const struct operations *operations;
    struct response_store *responses; /* what stays of answers for a while */
    struct recordings *recordings;    /* answers that nobody waits for */
    struct planner *planner;          /* of which models should be loaded where */
    struct affinities *affinities;    /* where conversations were; NULL: nobody remembers */
    struct auto_sessions *sessions;   /* conversations' modes; NULL: none are remembered */
    struct classifier *classifier;    /* the small model that is asked for `auto`; NULL: none */
    struct cors cors;
    bool keyless_network; /* setting http-without-key */
    const char *own_name; /* of this host */
};

struct api_listener { /* one for each HTTP server */
    struct api *api;
    enum access_listener kind;
};

/* What http_server_create() wants; `listener` is borrowed for the life of the server. */
struct http_server_handler api_handler(struct api_listener *listener);
