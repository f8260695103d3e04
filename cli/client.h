/* Calls to the coordinator's HTTP API, one at a time, blocking: libcurl, no proxy, no redirect,
 * answers bounded; over TCP, TLS, or the socket that the coordinator keeps for its own user. Ctrl-C
 * ends a call at once. One thread.
 *
 * Every function that talks returns
 *   0             answered, and the answer is in
 *   -EHOSTUNREACH nobody answers, or nothing that speaks HTTP; the text says which address was
 *                 tried and what to do
 *   -EKEYREJECTED nobody vouches for the certificate of what answers
 *   -EREMOTEIO    the coordinator refused; the text is its own
 *   -EPROTO       what answers does not speak as a coordinator does
 *   -ECONNRESET   the connection broke before the answer was complete
 *   -EMSGSIZE     the answer passes its limit
 *   -EINTR        Ctrl-C; no text */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    CLIENT_URL_MAX = 256,                 /* bytes of the coordinator's address */
    CLIENT_KEY_MAX = 256,                 /* bytes of a key */
    CLIENT_ANSWER_MAX = 32 * 1024 * 1024, /* bytes of an answer that is held whole */
    CLIENT_REFUSAL_MAX = 64 * 1024,       /* bytes of a refusal's body */
    CLIENT_REPLY_MAX = 64 * 1024,         /* bytes of the answer to a POST of JSON */
    CLIENT_SOCKET_MAX = 107,              /* bytes of a Unix socket's path: sockaddr_un's limit */
    CLIENT_CONNECT_TIMEOUT_MS = 5 * 1000,
    CLIENT_TOTAL_TIMEOUT_MS = 30 * 1000, /* of a call that is no stream */
};

struct client;

struct client_config { /* all copied */
    /* http:// or https:// with a host, an optional port and path, and no user or query; without a
     * scheme, http:// is meant on this host's loopback and https:// elsewhere, as coordinators
     * listen. Slashes at its end and then the /v1 of an editor's settings are dropped. */
    const char *url;
    const char *socket; /* path of a Unix socket to take instead of `url`; NULL: none */
    const char *key;    /* NULL: none */
    const char *ca;     /* file with the certificates that https:// is checked against; NULL: those
                           of the system */
};

/* -EINVAL quotes the address, but not what could be a password in it; no text holds the key. */
MUST_CHECK int client_create(
        const struct client_config *config, struct client **ret_client, struct err *err);
/* Wipes the key. Takes NULL. */
void client_destroy(struct client *client);
/* Sends the key from now on. -EINVAL, -ENOMEM; nothing has changed then. */
MUST_CHECK int client_set_key(struct client *client, const char *key, struct err *err);
/* The address that is called, whole and tidy; a Unix socket's path. Borrowed. */
const char *client_url(const struct client *client);
/* What it was made with, for those who pass it on; NULL: none. Borrowed. */
const char *client_key(const struct client *client);
const char *client_ca(const struct client *client);
/* True where an address as client_url() has it lies on this host's loopback. */
bool client_url_is_loopback(const char *url);

/* GET `path` ("/v1/models"). The body is appended to `out`, and has been parsed into `*ret_json`,
 * which the caller frees by cJSON_Delete(). */
MUST_CHECK int client_get_json(struct client *client, const char *path, struct buf *out,
        cJSON **ret_json, struct err *err);

/* POST of a JSON body, answered by JSON of at most CLIENT_REPLY_MAX bytes. The answer may hold a
 * secret: its bytes are wiped, `*ret_json` is the caller's to wipe and free. */
MUST_CHECK int client_post_json(struct client *client, const char *path, const struct buf *body,
        cJSON **ret_json, struct err *err);

struct client_events {
    /* A header of the answer, status 200 only. Both strings are NUL-terminated and valid during the
     * call. */
    void (*on_header)(void *ctx, const char *name, const char *value);
    /* A piece of the body, status 200 only. A negative errno ends the call with it. */
    int (*on_body)(void *ctx, const char *data, size_t len, struct err *err);
};

/* POST of a JSON body whose answer is a stream: no limit on how long it takes. */
MUST_CHECK int client_post_stream(struct client *client, const char *path, const struct buf *body,
        const struct client_events *events, void *ctx, struct err *err);
