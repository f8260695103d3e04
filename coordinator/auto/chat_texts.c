#include "coordinator/auto/chat_texts.h"

#include "common/json/json.h"

#include <string.h>

const char *chat_role(const cJSON *message)
{
    return json_str(message, "role", "");
}

const cJSON *chat_system(const cJSON *body)
{
    const cJSON *messages = json_array(body, "messages");
    const cJSON *first = messages ? messages->child : NULL;
    return first && strcmp(chat_role(first), "system") == 0 ? first : NULL;
}

const cJSON *chat_latest_user(const cJSON *body)
{
    const cJSON *message, *latest = NULL;
    cJSON_ArrayForEach(message, json_array(body, "messages"))
    {
        if (strcmp(chat_role(message), "user") == 0)
            latest = message;
    }
    return latest;
}

static void tell(const cJSON *text, chat_text_fn *fn, void *ctx)
{
    if (cJSON_IsString(text))
        fn(ctx, text->valuestring, strlen(text->valuestring));
}

void chat_each_text(const cJSON *message, chat_text_fn *fn, void *ctx)
{
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(message, "content"), *part;
    tell(content, fn, ctx);
    if (!cJSON_IsArray(content))
        return;
    cJSON_ArrayForEach(part, content) tell(cJSON_GetObjectItemCaseSensitive(part, "text"), fn, ctx);
}
