/* The statements of a TOML text: headers of tables, and keys with where their values stand. Values
 * are measured, not read. The scan points into the text, which is borrowed. Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stddef.h>

enum {
    TOML_PATH_MAX = 512, /* bytes of one dotted path */
};

enum toml_kind { TOML_TABLE, TOML_TABLE_LIST, TOML_KEY };

struct toml_statement {
    enum toml_kind kind;
    char *path;                    /* whole, from the root: parts joined by TOML_JOINT */
    size_t start, end;             /* offsets; without indentation, comment and line break */
    size_t value_start, value_end; /* of a key */
    size_t table;                  /* index of the header above it; of a header, its own; 0: root */
};

/* A letter that no part of a path may hold. */
#define TOML_JOINT '\x1f'

struct toml_scan {
    const char *text;
    size_t len;
    struct toml_statement *list; /* [0] stands for the root, which has no header */
    size_t count, cap;
};

/* -EINVAL ("line 3: …"), -EMSGSIZE (names the limit), -ENOMEM. */
MUST_CHECK int toml_scan(const char *text, size_t len, struct toml_scan *ret_scan, struct err *err);
void toml_scan_fini(struct toml_scan *scan);
