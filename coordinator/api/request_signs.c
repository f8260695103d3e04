#include "coordinator/api/request_signs.h"

#include <string.h>

const struct json_limits request_signs_limits = {
        .max_bytes = HTTP_BODY_MAX + 1024 * 1024, .max_depth = 128, .max_values = 2 * 1000 * 1000};

static bool is_planning(const char *word)
{
    return strcmp(word, "plan") == 0 || strcmp(word, "architect") == 0;
}

void request_signs_note(
        struct request *request, const struct facts *facts, const struct mode_mark *mark)
{
    request->signs = (struct request_signs){.read = true,
            .tools = facts->tools > 0,
            .tool_results = facts->tool_results > 0,
            .plan_mark = mark && is_planning(mark->word)};
}

static const char *header_of(void *ctx, const char *name)
{
    return http_exchange_header(ctx, name);
}

void request_signs_read(const struct call *call, struct request *request)
{
    struct facts facts;
    struct mode_mark mark;
    cJSON *body = NULL;
    if (request->signs.read)
        return;
    (void)!json_parse(
            buf_at(&request->body), request->body.len, &request_signs_limits, &body, NULL);
    facts_read(body, &facts);
    bool marked = mode_marks_find(body, header_of, call->exchange, &mark);
    request_signs_note(request, &facts, marked ? &mark : NULL);
    cJSON_Delete(body);
}
