/* The TLS handshakes that are under way at one HTTP server, oldest first. Whoever does not finish
 * his takes no place from others: past the limit the oldest connection is cut. Loop thread. */
#pragma once

#include "common/list.h"

#include <gnutls/gnutls.h>
#include <stddef.h>

struct tls_handshakes {
    struct list under_way;
    size_t count, max;
};

struct tls_handshake;

void tls_handshakes_init(struct tls_handshakes *handshakes, size_t max);
/* Follows the handshake of a new connection until it is done or freed; `handshakes` must outlive
 * that. The database pointer of `session` is ours from here on. NULL where malloc refuses. */
struct tls_handshake *tls_handshake_create(
        struct tls_handshakes *handshakes, gnutls_session_t session, int fd);
/* When the connection closes. Takes NULL. */
void tls_handshake_free(struct tls_handshake *handshake);
