/* What a model wrote as arguments, any UTF-8: what goes out is a JSON object wherever the text
 * ends, does not depend on where it was cut, and says the same where the text was one already. */
#include "common/json/json.h"
#include "common/text.h"
#include "coordinator/dialects/tool_arguments.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 4096, OUT_MAX = 8 * TEXT_MAX };

static bool is_utf8(const char *text, size_t len)
{
    for (size_t at = 0, step; at < len; at += step)
        if ((step = text_utf8_seq(text + at, len - at)) == 0)
            return false;
    return true;
}

static void run(const char *text, size_t len, size_t step, struct buf *out)
{
    struct tool_arguments arguments = {0};
    int r = 0;
    buf_init(out, OUT_MAX);
    for (size_t at = 0; !r && at < len; at += step)
        r = tool_arguments_push(&arguments, text + at, step < len - at ? step : len - at, out);
    if (!r)
        r = tool_arguments_close(&arguments, out);
    assert(r == 0 && tool_arguments_complete(&arguments));
}

static void check_same(const char *text, size_t len, const cJSON *made)
{
    static const struct json_limits limits = {
            .max_bytes = TEXT_MAX, .max_depth = TOOL_ARGUMENTS_DEPTH_MAX, .max_values = TEXT_MAX};
    cJSON *came;
    if (json_parse(text, len, &limits, &came, NULL) < 0)
        return;
    char *wanted = cJSON_PrintUnformatted(came), *got = cJSON_PrintUnformatted(made);
    assert(!cJSON_IsObject(came) || strstr(wanted, "null") || strcmp(wanted, got) == 0);
    cJSON_free(wanted);
    cJSON_free(got);
    cJSON_Delete(came);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data + 1;
    struct buf at_once, cut;
    cJSON *made;
    if (size == 0 || size > TEXT_MAX || !is_utf8(text, size - 1) || memchr(text, 0, size - 1))
        return 0;
    run(text, size - 1, size, &at_once);
    run(text, size - 1, 1 + data[0] % 16, &cut);
    assert(at_once.len == cut.len && memcmp(buf_at(&at_once), buf_at(&cut), cut.len) == 0);
    int r = json_parse(buf_at(&cut), cut.len, &json_limits_event, &made, NULL);
    assert(r == 0 && cJSON_IsObject(made));
    check_same(text, size - 1, made);
    cJSON_Delete(made);
    buf_fini(&at_once);
    buf_fini(&cut);
    return 0;
}
