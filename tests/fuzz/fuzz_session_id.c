/* What ties requests together: lines "NAME: VALUE" as headers, an empty line, and a body of any
 * bytes. What is taken is bounded and was said by the client. */
#include "common/json/json.h"
#include "coordinator/dialects/session_id.h"
#include "tests/lib/header_lines.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An agent's has two parts, a user's is within a string of JSON. */
static bool was_said(const struct header_lines *said, const cJSON *body, const char *session)
{
    size_t first = strcspn(session, "/");
    for (size_t i = 0; i < said->count; i++)
        if (strstr(said->values[i], session) || strncmp(said->values[i], session, first) == 0)
            return true;
    return cJSON_IsObject(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct header_lines said = {.count = 0};
    struct request request = {.session = "before"};
    cJSON *body = NULL;
    char *text = strndup((const char *)data, size), *rest = header_lines_read(&said, text);
    struct dialect_input input = {
            .body = rest, .len = strlen(rest), .header = header_lines_find, .ctx = &said};
    if (json_parse(rest, strlen(rest), &json_limits_event, &body, NULL))
        body = NULL;
    session_id_read(&input, body, &request);
    assert(strlen(request.session) <= REQUEST_SESSION_MAX);
    assert(!request.session[0] || was_said(&said, body, request.session));
    cJSON_Delete(body);
    free(text);
    return 0;
}
