/* Looks over an answer that is one JSON object while it passes through in pieces cut anywhere: that
 * it is an object with strings closed and brackets matching, and what one of its members holds. The
 * answer itself is not kept, whatever its length. Who makes use of the JSON checks the rest of it.
 * One thread; no I/O. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RESULT_BYTES_MAX = 16 * 1024 * 1024, /* of one answer */
    RESULT_DEPTH_MAX = 64,               /* of nested arrays and objects */
    RESULT_KEY_MAX = 64,                 /* bytes of a key; longer ones are no wanted one */
};

struct result_scan { /* private but for the last three */
    const char *wanted;
    char closers[RESULT_DEPTH_MAX];
    unsigned depth;
    size_t bytes;
    bool in_string, escaped;
    bool after_colon; /* at the top level: in a member's value */
    bool capturing;   /* in the wanted member's value */
    bool in_entry, too_long, over;
    char key[RESULT_KEY_MAX];
    size_t key_len;

    bool found;
    struct buf kept; /* the member's value, raw JSON with the blanks around it; empty where that is
                        longer than was to be kept */
    size_t entries;  /* where the value is an array: how many it holds */
};

/* `wanted`: a key of the top level, shorter than RESULT_KEY_MAX, that needs no escaping; borrowed.
 * Where the object has it twice the first counts. */
void result_scan_init(struct result_scan *scan, const char *wanted, size_t kept_max);
void result_scan_fini(struct result_scan *scan);
/* -EPROTO: not such an object; -EMSGSIZE: past a limit above; -ENOMEM. After an error it takes
 * nothing more. */
MUST_CHECK int result_scan_push(
        struct result_scan *scan, const char *data, size_t len, struct err *err);
/* True once the object is closed. */
bool result_scan_complete(const struct result_scan *scan);
