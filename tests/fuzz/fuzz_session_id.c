/* What ties requests together: lines "NAME: VALUE" as headers, an empty line, and a body of any
 * bytes. What is taken is bounded and was said by the client. */
#include "common/json/json.h"
#include "coordinator/dialects/session_id.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADERS_MAX = 8 };

struct said {
    char *names[HEADERS_MAX], *values[HEADERS_MAX];
    size_t count;
};

static const char *header_of(void *ctx, const char *name)
{
    const struct said *said = ctx;
    for (size_t i = 0; i < said->count; i++)
        if (strcasecmp(said->names[i], name) == 0)
            return said->values[i];
    return NULL;
}

/* Returns what stands behind the empty line; "" where there is none. */
static char *read_headers(struct said *said, char *text)
{
    for (char *end; (end = strchr(text, '\n')); text = end + 1) {
        *end = '\0';
        char *mark = strstr(text, ": ");
        if (end == text)
            return end + 1;
        if (!mark || said->count == HEADERS_MAX)
            continue;
        *mark = '\0';
        said->names[said->count] = text;
        said->values[said->count++] = mark + 2;
    }
    return text + strlen(text);
}

/* An agent's has two parts, a user's is within a string of JSON. */
static bool was_said(const struct said *said, const cJSON *body, const char *session)
{
    size_t first = strcspn(session, "/");
    for (size_t i = 0; i < said->count; i++)
        if (strstr(said->values[i], session) || strncmp(said->values[i], session, first) == 0)
            return true;
    return cJSON_IsObject(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct said said = {.count = 0};
    struct request request = {.session = "before"};
    cJSON *body = NULL;
    char *text = strndup((const char *)data, size), *rest = read_headers(&said, text);
    struct dialect_input input = {
            .body = rest, .len = strlen(rest), .header = header_of, .ctx = &said};
    if (json_parse(rest, strlen(rest), &json_limits_event, &body, NULL))
        body = NULL;
    session_id_read(&input, body, &request);
    assert(strlen(request.session) <= REQUEST_SESSION_MAX);
    assert(!request.session[0] || was_said(&said, body, request.session));
    cJSON_Delete(body);
    free(text);
    return 0;
}
