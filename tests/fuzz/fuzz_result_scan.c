/* result_scan_push() on any bytes: the pieces that it comes in change nothing, what json_parse()
 * takes as an object it takes too, and what it then says of a member is what is there. */
#include "common/json/json.h"
#include "node/backends/answers/result_scan.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEPT_MAX = 64 };

static int scan_in(struct result_scan *scan, const char *text, size_t size, size_t piece)
{
    struct err err = {0};
    int r = 0;

    result_scan_init(scan, "a", KEPT_MAX);
    for (size_t at = 0; r == 0 && at < size; at += piece)
        r = result_scan_push(scan, text + at, size - at < piece ? size - at : piece, &err);
    assert(r == 0 || ((r == -EPROTO || r == -EMSGSIZE) && err.text[0] != '\0'));
    assert(scan->kept.len <= KEPT_MAX);
    return r;
}

static void check_pieces(const struct result_scan *whole, int result, const char *text, size_t size)
{
    struct result_scan scan;

    assert(scan_in(&scan, text, size, 1) == result);
    assert(result_scan_complete(&scan) == result_scan_complete(whole));
    assert(scan.found == whole->found && scan.entries == whole->entries);
    if (result == 0) {
        assert(scan.kept.len == whole->kept.len);
        assert(memcmp(buf_at(&scan.kept), buf_at(&whole->kept), scan.kept.len) == 0 ||
                scan.kept.len == 0);
    }
    result_scan_fini(&scan);
}

static void check_against(const struct result_scan *scan, const cJSON *json)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(json, "a");

    assert(result_scan_complete(scan));
    if (!scan->found) /* an escaped key is not looked at */
        return;
    assert(member);
    if (cJSON_IsArray(member))
        assert(scan->entries == (size_t)cJSON_GetArraySize(member));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct result_scan scan;
    cJSON *json = NULL;
    int r = scan_in(&scan, text, size, size > 0 ? size : 1);

    check_pieces(&scan, r, text, size);
    if (json_parse(text, size, &json_limits_event, &json, NULL) == 0 && cJSON_IsObject(json)) {
        assert(r == 0);
        check_against(&scan, json);
    }
    cJSON_Delete(json);
    result_scan_fini(&scan);
    return 0;
}
