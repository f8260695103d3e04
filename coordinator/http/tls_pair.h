/* A private key with the certificates that speak for it, in memory and as two PEM files. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <gnutls/x509.h>

enum {
    TLS_CHAIN_MAX = 16,             /* certificates of one file */
    TLS_PEM_BYTES_MAX = 128 * 1024, /* bytes of one file */
};

struct tls_pair {
    gnutls_x509_crt_t certificates[TLS_CHAIN_MAX]; /* the key's own first */
    unsigned certificate_count;
    gnutls_x509_privkey_t key;
};

/* -EINVAL where one of the files does not hold what it should or the key does not fit the first
 * certificate; else what file_read_guarded() says of the certificate and file_read_secret() of the
 * key. The text names the file. */
MUST_CHECK int tls_pair_read(const char *certificate_path, const char *key_path,
        struct tls_pair *ret_pair, struct err *err);
/* The key first, so that there is never a certificate without one. */
MUST_CHECK int tls_pair_write(const struct tls_pair *pair, const char *certificate_path,
        const char *key_path, struct err *err);
/* Takes a pair of zeros, and may be repeated. */
void tls_pair_fini(struct tls_pair *pair);

/* The text and the errno for `code` of GnuTLS (negative): "cannot <what>: <why>". */
int tls_error(struct err *err, int code, const char *what);
