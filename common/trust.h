/* The nodes that may join: STATE/trusted-nodes, one "<public key in Z85> <name>" a line. A line
 * that begins with '#' is a comment; no key can begin so, though it may hold one further on. A key
 * and a name each stand in it once.
 * The file is read again when it has changed, so that an edit counts at the node's next try. A file
 * with a bad line is refused whole and the last good list stays. Blocking on a small file. Loop
 * thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/keys.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    TRUST_NODES_MAX = 4096,       /* lines with a key */
    TRUST_FILE_MAX = 1024 * 1024, /* bytes */
    TRUST_NAME_MAX = 63,          /* [A-Za-z0-9._-] */
};

struct trust;

struct trusted_node {
    char key[KEY_Z85_LEN + 1];
    char name[TRUST_NAME_MAX + 1];
};

/* A missing file is an empty list. `path` is copied. Errors as of trust_refresh(). */
MUST_CHECK int trust_create(const char *path, struct trust **ret_trust, struct err *err);
void trust_destroy(struct trust *trust);
/* Reads the file again if it changed since. A file that cannot be used (-EINVAL: a bad line,
 * -E2BIG: too many nodes, or what file_read() returns) is told once and then not again until it
 * changes, though it is tried each time where that could help. */
MUST_CHECK int trust_refresh(struct trust *trust, struct err *err);
/* NULL where the key is not in the list. Borrowed until the next refresh. */
const struct trusted_node *trust_find(const struct trust *trust, const char *key_z85);
/* Another number after each refresh that took another list. */
unsigned trust_edition(const struct trust *trust);
size_t trust_count(const struct trust *trust);
/* NULL past the last. In the order of the file. */
const struct trusted_node *trust_at(const struct trust *trust, size_t index);
/* True for a name that the list takes. */
bool trust_name_valid(const char *name);
