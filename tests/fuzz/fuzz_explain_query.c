/* What GET /mesh/v1/explain asks: lines with mode, model, session, tokens, output and needs. What
 * is taken is within its bounds, and what is refused names a member and says why. */
#include "coordinator/api/explain_query.h"
#include "proto/capability.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const members[] = {"mode", "model", "session", "tokens", "output", "needs"};
enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

struct http_exchange {
    const char *values[MEMBERS]; /* NULL: not given */
};

const char *http_exchange_query(const struct http_exchange *exchange, const char *name)
{
    size_t i = 0;
    while (strcmp(members[i], name) != 0)
        assert(++i < MEMBERS);
    return exchange->values[i];
}

static void check_taken(const struct explain_query *query)
{
    uint32_t known = 0, need;
    for (size_t i = 0; capability_need_at(i, &need); i++)
        known |= need;
    assert(!query->mode[0] != !query->model[0]);
    assert(query->tokens > 0 && (query->needs & ~known) == 0);
}

static void check_refused(const char *param, const struct err *err)
{
    size_t i = 0;
    assert(param && err->text[0]);
    while (i < MEMBERS && strcmp(members[i], param) != 0)
        i++;
    assert(i < MEMBERS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_exchange exchange = {.values = {NULL}};
    struct explain_query query;
    struct err err = {.text = ""};
    const char *param = NULL;
    char *text = strndup((const char *)data, size), *rest = text;
    assert(text);
    for (size_t i = 0; rest && i < MEMBERS; i++) {
        const char *value = strsep(&rest, "\n");
        exchange.values[i] = strcmp(value, "-") == 0 ? NULL : value;
    }
    int r = explain_query_read(&exchange, &query, &param, &err);
    assert(r == 0 || r == -EINVAL);
    if (r == 0)
        check_taken(&query);
    else
        check_refused(param, &err);
    free(text);
    return 0;
}
