/* The pieces of tool calls, any bytes: all of them are told with sound facts, or it is refused. */
#include "coordinator/dialects/gathered.h"
#include "coordinator/dialects/tool_fragments.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check(void *ctx, const struct tool_fragment *fragment)
{
    size_t *bytes = ctx;
    assert(fragment->index < GATHERED_TOOL_CALLS_MAX);
    assert(!fragment->id || *fragment->id);
    assert(!fragment->name || *fragment->name);
    *bytes += strlen(fragment->arguments);
    return 0;
}

static int stop(void *ctx, const struct tool_fragment *fragment)
{
    (void)ctx;
    (void)fragment;
    return -ECANCELED;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct msg_delta delta = {.kind = DELTA_TOOL_CALLS, .data = (const char *)data, .len = size};
    size_t bytes = 0;
    int r = tool_fragments_each(&delta, check, &bytes);
    assert(r == 0 || r == -EPROTO);
    assert(bytes <= size);
    r = tool_fragments_each(&delta, stop, NULL);
    assert(r == 0 || r == -EPROTO || r == -ECANCELED);
    return 0;
}
