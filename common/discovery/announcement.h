/* What coordinators and nodes say of themselves on the local network: the TXT records of DNS-SD
 * (RFC 6763) of `_modemesh._tcp` and `_modemesh-node._tcp`. Anybody may announce anything: nothing
 * here is believed before the link has proven it. Unknown keys are skipped, a key that comes twice
 * counts once. Pure.
 *
 * Keys: txtvers=1; name; key (link key, Z85); mesh (short id) and addrs, addrs2 (addresses, commas
 * between) of a coordinator; models (resident ones, commas between, what does not fit is left out)
 * and free, total (bytes of memory) of a node. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/host_addrs.h"
#include "common/trust/identity.h"
#include "common/trust/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANNOUNCEMENT_COORDINATOR "_modemesh._tcp"
#define ANNOUNCEMENT_NODE        "_modemesh-node._tcp"

enum {
    TXT_RECORDS_MAX = 16,
    TXT_RECORD_MAX = 255,       /* bytes of "key=value" */
    ANNOUNCEMENT_NAME_MAX = 63, /* as certificates take names */
    ANNOUNCEMENT_MODELS_MAX = 255 - 7,
};

struct txt_records { /* as DNS-SD has them: "key=value", no NUL inside */
    size_t count;
    char at[TXT_RECORDS_MAX][TXT_RECORD_MAX + 1];
};

struct announcement {
    char name[ANNOUNCEMENT_NAME_MAX + 1];
    char key[KEY_Z85_LEN + 1];
    char mesh[IDENTITY_ID_LEN + 1];                      /* coordinator only, else "" */
    struct host_addrs addrs;                             /* coordinator only */
    char models[ANNOUNCEMENT_MODELS_MAX + 1];            /* node only */
    uint64_t memory_available_bytes, memory_total_bytes; /* node only */
};

/* Adds to "models" what still fits whole, with its comma. False where it did not fit, or cannot be
 * said: nothing, a comma or a control character in it, no UTF-8. */
bool announcement_add_model(struct announcement *announcement, const char *model);
/* Addresses that do not fit into their two records are left out, the last ones first. */
void announcement_to_txt(const struct announcement *announcement, struct txt_records *ret_records);
/* -EINVAL names the record that is missing or wrong (name, key; a txtvers other than 1). What is
 * wrong in another one is skipped: addresses that are none (host_addr_valid()), models that cannot
 * be said, numbers and a mesh id of another form. So nothing foreign that is more than printable
 * UTF-8 gets into the strings. */
MUST_CHECK int announcement_from_txt(
        const struct txt_records *records, struct announcement *ret_announcement, struct err *err);
