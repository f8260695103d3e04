/* Members of a request's body, read with their types checked. A member that is null counts as
 * absent, as it does in all the APIs that we speak. What is of another type, or out of its range,
 * is -EINVAL with a sentence that names it. Outputs are written on success only. Pure. */
#pragma once

#include "common/err.h"
#include "coordinator/dialects/dialect.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct fields {
    const cJSON *object;    /* whose members are read; borrowed */
    const char **ret_param; /* gets the key of the member that is wrong, a static string */
    struct err *err;
};

/* The body as an object, which the caller frees with cJSON_Delete(). -EINVAL, -ENOMEM. */
MUST_CHECK int fields_parse_body(
        const struct dialect_input *input, cJSON **ret_body, struct err *err);

typedef int (*fields_read_fn)(
        const struct dialect_input *input, const struct fields *fields, struct request *request);
/* An endpoint's parse(), as in struct dialect: parses the body and has `read` read it, whose
 * numbers in "arguments" are exact (exact_numbers.h). */
MUST_CHECK int fields_read(fields_read_fn read, const struct dialect_input *input,
        struct request *ret_request, const char **ret_param, struct err *err);

/* The result of a write to request->body, `r`: -EINVAL where it found no room there (small pieces
 * grow when they are translated), -ENOMEM. */
MUST_CHECK int fields_written(const struct fields *fields, int r);
/* Writes the body that was made to request->body. Fails likewise. */
MUST_CHECK int fields_write_body(
        const struct fields *fields, const cJSON *body, struct request *request);

/* Returns -EINVAL. `param` is static or NULL. */
int fields_refuse(const struct fields *fields, const char *param, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/* "a string", "an array", …; "nothing" for NULL. */
const char *fields_type_name(const cJSON *value);
/* NULL where the member is absent or null, and where `object` is none. */
const cJSON *fields_member(const cJSON *object, const char *key);
const cJSON *fields_given(const struct fields *fields, const char *key);

/* `key` is static in all of these. */
MUST_CHECK int fields_check_bool(const struct fields *fields, const char *key);
MUST_CHECK int fields_check_str(const struct fields *fields, const char *key);
MUST_CHECK int fields_check_object(const struct fields *fields, const char *key);
MUST_CHECK int fields_check_array(const struct fields *fields, const char *key);
MUST_CHECK int fields_check_number(
        const struct fields *fields, const char *key, double min, double max);
MUST_CHECK int fields_check_whole(
        const struct fields *fields, const char *key, double min, double max);

/* The same, and the value. */
MUST_CHECK int fields_bool(const struct fields *fields, const char *key, bool def, bool *ret_value);
/* The text is borrowed from the object. */
MUST_CHECK int fields_text(
        const struct fields *fields, const char *key, const char *def, const char **ret_text);
/* A number from `min` to `max`; `*ret_given` tells whether there is one. */
MUST_CHECK int fields_number(const struct fields *fields, const char *key, double min, double max,
        double *ret_number, bool *ret_given);
MUST_CHECK int fields_array(const struct fields *fields, const char *key, const cJSON **ret_array);
/* The name that is asked for into `request->asked`, "" where there is none. */
MUST_CHECK int fields_model(const struct fields *fields, struct request *request);
