#include "coordinator/dialects/tool_calls.h"

#include "coordinator/dialects/gathered.h"
#include "coordinator/dialects/tool_fragments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void tool_calls_drop_last(struct tool_calls *calls)
{
    struct tool_call *call = &calls->list[--calls->count];
    free(call->id);
    free(call->name);
    buf_fini(&call->arguments);
}

void tool_calls_fini(struct tool_calls *calls)
{
    while (calls->count > 0)
        tool_calls_drop_last(calls);
    free(calls->list);
    *calls = (struct tool_calls){0};
}

static int begin_call(struct tool_calls *calls)
{
    struct tool_call *list = reallocarray(calls->list, calls->count + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    calls->list = list;
    list[calls->count] = (struct tool_call){0};
    buf_init(&list[calls->count++].arguments, GATHERED_BYTES_MAX);
    return 0;
}

static int set_once(char **field, const char *value)
{
    if (*field || !value)
        return 0;
    *field = strdup(value);
    return *field ? 0 : -ENOMEM;
}

static int add_fragment(void *ctx, const struct tool_fragment *fragment)
{
    struct tool_calls *calls = ctx;
    int r = 0;
    if (fragment->index > calls->count)
        return -EPROTO;
    if (fragment->index == calls->count)
        r = begin_call(calls);
    if (r)
        return r;
    struct tool_call *call = &calls->list[fragment->index];
    r = set_once(&call->id, fragment->id);
    if (!r)
        r = set_once(&call->name, fragment->name);
    return r ? r : buf_append_str(&call->arguments, fragment->arguments);
}

int tool_calls_add(struct tool_calls *calls, const struct msg_delta *delta)
{
    if (delta->len > GATHERED_BYTES_MAX - calls->bytes)
        return -ENOBUFS;
    calls->bytes += delta->len;
    return tool_fragments_each(delta, add_fragment, calls);
}
