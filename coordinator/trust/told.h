/* What is worth a line in the log: each kind of thing of each key once in a while, and only so many
 * lines a minute, so that neither a node that tries every second nor strangers with a new key each
 * time can fill the log. Where the memory is full the oldest line is forgotten. Pure but for its
 * memory; time is given. */
#pragma once

#include "common/trust/keys.h"
#include "coordinator/trust/rate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOLD_MAX = 256,                  /* (kind, key) pairs that are remembered … */
    TOLD_REPEAT_MS = 60 * 60 * 1000, /* … for so long */
    TOLD_LINES_PER_MINUTE = 20,
};

struct told_line {
    char key[KEY_Z85_LEN + 1];
    unsigned kind;
    uint64_t at_ms;
};

struct told { /* all zero: nothing was told yet */
    struct told_line lines[TOLD_MAX];
    size_t next; /* place of the next new one */
    struct rate rate;
};

/* True where a line about this should be written now; it then counts as written. */
bool told_tell(struct told *told, unsigned kind, const char *key_z85, uint64_t now_ms);
