/* Reading the JSON object that asks for an operation. A member that is there must be of its type:
 * -EINVAL names it. Inside coordinator/api/ only. Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/api/api_keys.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPERATION_WORDS_MAX = API_KEY_SCOPE_MAX };

struct operation_words { /* of strings, borrowed from the body */
    const char *at[OPERATION_WORDS_MAX];
    size_t count;
};

/* Text that is not empty; borrowed. `def` where it is not there, NULL: it must be. */
MUST_CHECK int operation_take_text(const cJSON *body, const char *key, const char *def,
        const char **ret_text, struct err *err);
/* A whole number from 0 to `max`. `def` where it is not there. */
MUST_CHECK int operation_take_whole(const cJSON *body, const char *key, uint64_t def, uint64_t max,
        uint64_t *ret_value, struct err *err);
/* True or false; false where it is not there. */
MUST_CHECK int operation_take_flag(
        const cJSON *body, const char *key, bool *ret_flag, struct err *err);
/* Strings that are not empty; none where it is not there. -E2BIG past OPERATION_WORDS_MAX. */
MUST_CHECK int operation_take_list(
        const cJSON *body, const char *key, struct operation_words *ret_list, struct err *err);
