/* The names that a server certificate is good for: DNS names and IP addresses, as text. Loop thread
 * (it asks the kernel, for microseconds). */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/http/tls.h"

#include <gnutls/x509.h>
#include <stdbool.h>
#include <stddef.h>

enum { TLS_NAME_LEN = 253 }; /* of a DNS name */

struct tls_names {
    size_t count;
    char at[TLS_NAMES_MAX][TLS_NAME_LEN + 1]; /* no two are equal */
};

/* What clients may call this host: its host name, the first label of that in ".local", "localhost",
 * the loopback addresses, `more` (NULL at the end; may be NULL), then all its addresses. What is
 * past TLS_NAMES_MAX is left out, but -E2BIG where `more` alone does not fit. -EINVAL (names it)
 * where one of `more` is neither a DNS name nor an address, and the errors of host_addrs_get(). */
MUST_CHECK int tls_names_gather(
        const char *const *more, struct tls_names *ret_names, struct err *err);
/* Of a certificate; what is neither a DNS name nor an address, or past TLS_NAMES_MAX, is left out.
 */
void tls_names_of(gnutls_x509_crt_t certificate, struct tls_names *ret_names);
/* Writes them into a certificate that is being made. A code of GnuTLS. */
MUST_CHECK int tls_names_put(const struct tls_names *names, gnutls_x509_crt_t certificate);
/* The same names, in whatever order and case. */
bool tls_names_equal(const struct tls_names *a, const struct tls_names *b);
