#include "coordinator/api/explain_query.h"

#include "common/text.h"
#include "proto/capability.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct reading {
    const struct http_exchange *exchange;
    const char *param; /* that is being read */
    struct err *err;
};

/* "" where it is not given. */
static const char *value_of(struct reading *reading, const char *param)
{
    const char *value = http_exchange_query(reading->exchange, param);
    reading->param = param;
    return value ? value : "";
}

static int read_name(struct reading *reading, const char *param, char *ret_name, size_t size)
{
    const char *value = value_of(reading, param);
    if (strlen(value) >= size)
        return err_set(reading->err, -EINVAL,
                "%s=%.40s… is too long: it has %zu bytes, and %zu are the most", param, value,
                strlen(value), size - 1);
    strcpy(ret_name, value);
    return 0;
}

static int read_tokens(struct reading *reading, const char *param, uint32_t *ret_tokens)
{
    const char *value = value_of(reading, param);
    *ret_tokens = 0;
    if (!*value || text_parse_tokens(value, ret_tokens, NULL) == 0)
        return 0;
    return err_set(reading->err, -EINVAL,
            "%s=%.40s is no number of tokens: 1 to 16M, written as 8k, 1M or 30000", param, value);
}

static int read_needs(struct reading *reading, uint32_t *ret_needs)
{
    int r = capability_parse_needs(value_of(reading, "needs"), ret_needs, reading->err);
    return r ? err_prefix(reading->err, r, "needs") : 0;
}

static int check(struct reading *reading, const struct explain_query *query)
{
    if (!query->mode[0] == !query->model[0]) {
        reading->param = "mode";
        return err_set(reading->err, -EINVAL,
                query->mode[0] ? "mode=%.80s and model=%.80s exclude each other: leave one out"
                               : "a mode or a model is missing: add mode=code",
                query->mode, query->model);
    }
    reading->param = "tokens";
    return query->tokens ? 0
                         : err_set(reading->err, -EINVAL,
                                   "the tokens of the prompt are missing: add tokens=30000 or "
                                   "tokens=30k");
}

static int read_all(struct reading *reading, struct explain_query *query)
{
    int r = read_name(reading, "mode", query->mode, sizeof(query->mode));
    if (!r)
        r = read_name(reading, "model", query->model, sizeof(query->model));
    if (!r)
        r = read_name(reading, "session", query->session, sizeof(query->session));
    if (!r)
        r = read_tokens(reading, "tokens", &query->tokens);
    if (!r)
        r = read_tokens(reading, "output", &query->output);
    if (!r)
        r = read_needs(reading, &query->needs);
    return r ? r : check(reading, query);
}

int explain_query_read(const struct http_exchange *exchange, struct explain_query *ret_query,
        const char **ret_param, struct err *err)
{
    struct reading reading = {.exchange = exchange, .err = err};
    struct explain_query query;
    int r = read_all(&reading, &query);
    if (r)
        *ret_param = reading.param;
    else
        *ret_query = query;
    return r;
}
