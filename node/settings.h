/* The table of the node's settings: their names in the file, on the command line and in the
 * environment. */
#pragma once

#include "common/config/config.h"

extern const struct config_key node_keys[];

enum { SETTINGS_WORDS_MAX = 256 }; /* entries of one list that are used as words */

/* The list `path` as words that end with NULL; borrowed from the config. -E2BIG. */
MUST_CHECK int settings_words(const struct config *config, const char *path,
        const char *ret_words[SETTINGS_WORDS_MAX + 1], struct err *err);
