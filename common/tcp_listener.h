/* A TCP socket that listens, non-blocking. Blocking where a host name must be looked up. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/text.h"

enum { TCP_LISTENER_NAME_MAX = 63 }; /* "[IPv6 address]:PORT" */

/* The caller closes `*ret_fd`. `ret_name` is what was bound: "127.0.0.1:8420". -EADDRINUSE, -EACCES
 * and -EADDRNOTAVAIL name the address and a way out. */
MUST_CHECK int tcp_listener_open(const struct text_addr *addr, int *ret_fd,
        char ret_name[TCP_LISTENER_NAME_MAX + 1], struct err *err);
