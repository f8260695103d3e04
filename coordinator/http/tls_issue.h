/* Makes certificates with fresh keys (X.509 version 3, ECDSA P-256, SHA-256): a CA of our own, and
 * what it signs. Both count from an hour before now, for clients whose clock is behind. The time
 * and the serial number are the env's, the keys GnuTLS's. Blocking for a millisecond. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"
#include "coordinator/http/tls_names.h"
#include "coordinator/http/tls_pair.h"

#include <stdint.h>

enum {
    TLS_CA_DAYS = 3650,
    TLS_SERVER_DAYS = 365, /* clients refuse more than 397 */
};

/* "modemesh <mesh id>"; may sign servers and nothing else. */
MUST_CHECK int tls_issue_ca(
        const struct env *env, const char *mesh_id, struct tls_pair *ret_ca, struct err *err);
/* For TLS servers under `names`; never longer than the CA. */
MUST_CHECK int tls_issue_server(const struct env *env, const struct tls_pair *ca,
        const struct tls_names *names, struct tls_pair *ret_server, struct err *err);
