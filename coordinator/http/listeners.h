/* All ways in for HTTP: the addresses of the settings (plain on loopback, TLS elsewhere), the
 * owner's Unix socket, and the server that serves what nodes carry. Each knows what its callers are
 * (api_listener). Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/config/config.h"
#include "common/err.h"
#include "common/loop.h"
#include "coordinator/api/api.h"
#include "coordinator/api/operations.h"
#include "coordinator/http/http_server.h"

#include <stdbool.h>
#include <stddef.h>

enum { LISTENERS_MAX = OPERATIONS_LISTENERS_MAX }; /* addresses */

struct listeners;

/* True where the settings have an address that is to be served with TLS: tls_create() comes first
 * then. A wrong address counts as none. */
bool listeners_want_tls(const struct config *config);
/* `api` is borrowed and may be filled until the loop runs. Errors as of http_server_create();
 * -EINVAL for an address that is none, -E2BIG past LISTENERS_MAX, -EACCES for a name that seems to
 * be loopback and is not. */
MUST_CHECK int listeners_open(struct loop *loop, const struct config *config,
        const char *socket_path, struct api *api, struct listeners **ret_listeners,
        struct err *err);
void listeners_close(struct listeners *listeners); /* takes NULL */

/* As http_server_quiesce() and _open_exchanges(), all together. */
void listeners_quiesce(struct listeners *listeners);
size_t listeners_open_exchanges(const struct listeners *listeners);
/* "127.0.0.1:8420": the first loopback address, and the first other one; NULL where there is none.
 * Borrowed. */
const char *listeners_loopback(const struct listeners *listeners);
const char *listeners_network(const struct listeners *listeners);
/* The URLs of all addresses, NULL at the end. Borrowed. */
void listeners_urls(
        const struct listeners *listeners, const char *ret_urls[OPERATIONS_LISTENERS_MAX + 1]);
/* The server of connections that nodes carry. */
struct http_server *listeners_edge(struct listeners *listeners);
