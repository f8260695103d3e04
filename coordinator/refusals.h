/* Which refused key is worth a line in the log: each key once in a while, and only so many lines a
 * minute, so that neither a node that tries every second nor a stranger with a new key each time
 * can fill the log. Pure but for its memory. */
#pragma once

#include "common/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    REFUSALS_KEYS_MAX = 64, /* keys that are remembered; a new one takes the oldest one's place */
    REFUSALS_REPEAT_MS = 60 * 60 * 1000, /* a key that still tries is told again after so long */
    REFUSALS_LINES_PER_MINUTE = 20,
};

struct refusal {
    char key[KEY_Z85_LEN + 1];
    uint64_t told_ms;
};

struct refusals { /* all zero: nothing was refused yet */
    struct refusal list[REFUSALS_KEYS_MAX];
    size_t next; /* place of the next new key */
    uint64_t minute_began_ms;
    unsigned lines; /* in this minute */
};

/* True where this refusal should be logged; it then counts as logged. */
bool refusals_tell(struct refusals *refusals, const char *key_z85, uint64_t now_ms);
