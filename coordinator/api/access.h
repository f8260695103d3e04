/* Who may speak to which listener, as what. Without a key only a program on this machine may, not a
 * page in its browser and not a proxy that carries strangers (DESIGN "Trust", the loopback rule): a
 * loopback Host, no Origin but a loopback one, no forwarding headers. On a network listener that
 * needs no key, Host must be an IP address, a loopback name or this host's own name, bare or with
 * ".local": a page that has its own name point here (DNS rebinding) still sends that name. With a
 * key anybody may, whatever Host says, but no page of another origin: on the network the own one is
 * "http(s)://" and the request's Host, on this machine any loopback one. Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>

enum access_listener {
    ACCESS_LOOPBACK, /* TCP on a loopback address */
    ACCESS_NETWORK,  /* TCP on any other one */
    ACCESS_EDGE,     /* an editor on a node's host, carried over the link: the node listens on
                        loopback only */
    ACCESS_SOCKET,   /* the Unix socket in the state directory, which only this daemon's user can
                        open */
};

struct access_facts { /* header values; NULL where absent */
    enum access_listener listener;
    bool has_key; /* a valid API key was shown */
    bool keyless; /* the setting http-without-key: the network needs none */
    const char *host, *origin;
    const char *forwarded; /* Forwarded, X-Forwarded-For, X-Forwarded-Host or X-Real-IP, whichever
                              is there */
    bool origin_allowed;   /* the owner lets pages of this origin in (cors.h) */
    const char *own_name;  /* this host's, for Host on a keyless network listener */
};

/* 0; -EACCES with which header is wrong (403); -EPERM: a key is needed (401). */
MUST_CHECK int access_check(const struct access_facts *facts, struct err *err);

/* True for "localhost", names that end in ".localhost", and 127.0.0.0/8, each with or without
 * ":PORT"; for ::1, "[::1]" and "[::1]:PORT". Other spellings of these addresses ("127.1",
 * "::ffff:127.0.0.1") are not taken. */
bool access_is_loopback(const char *host);

/* The API key of a request: what stands behind "Bearer " (any case) in `authorization`, else
 * `x_api_key`; NULL where neither is there. Points into them. */
const char *access_key(const char *authorization, const char *x_api_key);
