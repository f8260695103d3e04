/* A model's chat template, any bytes: what it knows of does not depend on where the text is cut,
 * and is known for a word in it only. The first byte is the length of the pieces. */
#include "common/model/chat_template.h"
#include "proto/codec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t scan_in(const char *text, size_t len, size_t piece)
{
    struct chat_template_scan scan = {.tail_len = 0};
    for (size_t at = 0; at < len; at += piece) {
        chat_template_scan(&scan, text + at, len - at < piece ? len - at : piece);
        assert(scan.tail_len <= CHAT_TEMPLATE_WORD_MAX);
    }
    return chat_template_capabilities(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *text = (const char *)data + 1;
    size_t len = size - 1;
    uint32_t whole = scan_in(text, len, len);
    assert(whole == scan_in(text, len, 1 + data[0] % 40));
    assert(whole == scan_in(text, len, 1));
    assert(!(whole & CAPABILITY_TOOLS) == !memmem(text, len, "tools", strlen("tools")));
    assert(!(whole & ~(uint32_t)(CAPABILITY_TOOLS | CAPABILITY_REASONING)));
    return 0;
}
