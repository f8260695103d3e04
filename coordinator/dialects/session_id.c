#include "coordinator/dialects/session_id.h"

#include "common/json/json.h"

#include <stdio.h>
#include <string.h>

static const char title_prefix[] = "title-"; /* a call beside the conversation, for its title */

static bool take(const char *text, struct request *request)
{
    if (!text || *text == '\0' || strlen(text) > REQUEST_SESSION_MAX)
        return false;
    strcpy(request->session, text);
    return true;
}

static const char *header(const struct dialect_input *input, const char *name)
{
    return input->header ? input->header(input->ctx, name) : NULL;
}

/* An agent of a session has a conversation of its own. */
static bool take_claude(const struct dialect_input *input, struct request *request)
{
    char text[REQUEST_SESSION_MAX + 1];
    const char *session = header(input, "X-Claude-Code-Session-Id");
    const char *agent = header(input, "x-claude-code-agent-id");
    if (!session || !agent || *agent == '\0')
        return take(session, request);
    int len = snprintf(text, sizeof(text), "%s/%s", session, agent);
    return len > 0 && (size_t)len < sizeof(text) && take(text, request);
}

static bool take_header(const struct dialect_input *input, struct request *request)
{
    static const char *const names[] = {"thread-id", "session-id", "x-session-id",
            "x-session-affinity", "x-parent-session-id", "X-OpenWebUI-Chat-Id"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *text = header(input, names[i]);
        if (text && strncmp(text, title_prefix, strlen(title_prefix)) == 0)
            text += strlen(title_prefix);
        if (take(text, request))
            return true;
    }
    return false;
}

/* Claude Code puts a JSON object into the string `metadata.user_id`. */
static bool take_user_id(const cJSON *body, struct request *request)
{
    cJSON *user;
    const char *text = json_str(json_obj(body, "metadata"), "user_id", "");
    if (*text != '{' || json_parse(text, strlen(text), &json_limits_event, &user, NULL))
        return false;
    bool taken = take(json_str(user, "session_id", NULL), request);
    cJSON_Delete(user);
    return taken;
}

static bool take_member(const cJSON *body, struct request *request)
{
    return take(json_str(body, "prompt_cache_key", NULL), request) || take_user_id(body, request) ||
           take(json_str(body, "session_id", NULL), request) ||
           take(json_str(body, "previous_response_id", NULL), request);
}

void session_id_read(
        const struct dialect_input *input, const cJSON *body, struct request *ret_request)
{
    ret_request->session[0] = '\0';
    if (!take_claude(input, ret_request) && !take_header(input, ret_request))
        (void)take_member(body, ret_request);
}
