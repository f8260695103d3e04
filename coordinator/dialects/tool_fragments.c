#include "coordinator/dialects/tool_fragments.h"

#include "common/json/json.h"
#include "coordinator/dialects/gathered.h"

#include <errno.h>

/* Engines say "" or null in the pieces behind the first as well as nothing. False where the member
 * is no text. */
static bool read_text(const cJSON *object, const char *key, const char *def, const char **ret_text)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item && !cJSON_IsNull(item) && !cJSON_IsString(item))
        return false;
    *ret_text = cJSON_IsString(item) && *item->valuestring ? item->valuestring : def;
    return true;
}

/* `position` stands in for an index that is not there. */
static bool read_index(const cJSON *entry, uint32_t position, uint32_t *ret_index)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(entry, "index");
    uint64_t index = position;
    if (item && !json_whole(item, &index))
        return false;
    if (index >= GATHERED_TOOL_CALLS_MAX)
        return false;
    *ret_index = (uint32_t)index;
    return true;
}

static bool read_fragment(const cJSON *entry, uint32_t position, struct tool_fragment *ret_fragment)
{
    const cJSON *function = cJSON_GetObjectItemCaseSensitive(entry, "function");
    if (!cJSON_IsObject(entry) || (function && !cJSON_IsObject(function)))
        return false;
    return read_index(entry, position, &ret_fragment->index) &&
           read_text(entry, "id", NULL, &ret_fragment->id) &&
           read_text(function, "name", NULL, &ret_fragment->name) &&
           read_text(function, "arguments", "", &ret_fragment->arguments);
}

static int each(const cJSON *entries, tool_fragment_fn fn, void *ctx)
{
    const cJSON *entry;
    uint32_t position = 0;
    if (!cJSON_IsArray(entries))
        return -EPROTO;
    cJSON_ArrayForEach(entry, entries)
    {
        struct tool_fragment fragment;
        int r = read_fragment(entry, position++, &fragment) ? fn(ctx, &fragment) : -EPROTO;
        if (r < 0)
            return r;
    }
    return 0;
}

int tool_fragments_each(const struct msg_delta *delta, tool_fragment_fn fn, void *ctx)
{
    cJSON *entries;
    int r = json_parse(delta->data, delta->len, &json_limits_event, &entries, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : -EPROTO;
    r = each(entries, fn, ctx);
    cJSON_Delete(entries);
    return r;
}
