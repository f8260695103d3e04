/* Numbers that must come out as they went in: those in the arguments of a tool call, which may be
 * ids or times of 64 bits. cJSON holds every number as a double, and rounds them. Pure. */
#pragma once

#include "common/buf.h"

#include <cjson/cJSON.h>
#include <stddef.h>

/* `json` was parsed of `text` and not changed since. Below every member `key`, numbers that are
 * longer than what a double holds for sure become cJSON_Raw with the text that they came as, so
 * that they are printed like that. -ENOMEM. */
MUST_CHECK int exact_numbers_keep(cJSON *json, const char *key, const char *text, size_t len);
