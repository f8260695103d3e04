/* The addresses under which this host can be reached: every IPv4 and IPv6 address of every
 * interface that is up, VPN and bridge ones included; no loopback, and no IPv6 link-local ones
 * (they mean nothing without an interface). IPv4 first, each once. Blocking for microseconds. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { HOST_ADDRS_MAX = 32, HOST_ADDR_LEN = 45 };

struct host_addrs {
    size_t count; /* what is past HOST_ADDRS_MAX is left out */
    char at[HOST_ADDRS_MAX][HOST_ADDR_LEN + 1];
};

/* The errno of getifaddrs(). */
MUST_CHECK int host_addrs_get(struct host_addrs *ret_addrs, struct err *err);
/* True for the text of one address that may be in such a list. Pure. */
bool host_addr_valid(const char *text);
