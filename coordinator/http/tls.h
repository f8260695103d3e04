/* The certificate that editors see (GnuTLS, ECDSA P-256). Either the owner's own pair of PEM files,
 * or one that is made here: a CA of this coordinator (STATE/tls/ca.key, ca.pem: ten years) signs a
 * server certificate (server.key, server.pem: a year) with the host's names and addresses in it,
 * made again where they have changed or it has less than a third of its time left. Files with keys
 * are 0600. One in a process: libmicrohttpd asks for it without a context. Blocking for
 * milliseconds; loop thread. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_FINGERPRINT_LEN = 32 * 3 - 1, TLS_NAMES_MAX = 64 };

struct tls_config { /* copied, but for `env` */
    const struct env *env;
    const char *dir;               /* STATE/tls; made */
    const char *certificate, *key; /* the owner's PEM files, or both NULL */
    const char *const
            *names;      /* more DNS names and addresses for ours; NULL at the end; may be NULL */
    const char *mesh_id; /* stands in the CA's name */
};

struct tls;

/* -EINVAL (no certificate, the key does not fit it, our CA has expired: names the file; or one of
 * `names` is none), -E2BIG (too many of them), -ENOENT, -EPERM, or what the file functions return.
 * A CA key without its certificate, or the other way round, is an error too: nothing that is there
 * is overwritten but the server's. */
MUST_CHECK int tls_create(const struct tls_config *config, struct tls **ret_tls, struct err *err);
void tls_destroy(struct tls *tls); /* takes NULL; after the HTTP servers */
/* Reads the owner's files again, or looks whether ours must be made again: on SIGHUP, and once an
 * hour. On failure the old one stays. New connections get the new one. */
MUST_CHECK int tls_refresh(struct tls *tls, struct err *err);

/* For MHD_OPTION_HTTPS_CERT_CALLBACK: gives the newest certificate. */
int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *ca_names, int ca_count,
        const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **ret_pcert,
        unsigned int *ret_pcert_count, gnutls_privkey_t *ret_key);

/* What people are told; borrowed until the next refresh. */
const char *tls_ca_pem(const struct tls *tls);      /* what a client must trust: our CA, or of the
                                                       owner's chain the last certificate */
const char *tls_fingerprint(const struct tls *tls); /* SHA-256 of what is trusted, "AB:CD:…" */
const char *tls_server_fingerprint(const struct tls *tls);
bool tls_is_ours(const struct tls *tls);
int64_t tls_not_after_s(const struct tls *tls);      /* of the server's certificate, Unix time */
const char *const *tls_names(const struct tls *tls); /* in it; NULL at the end */
