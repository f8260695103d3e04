#include "node/gguf.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
    const uint8_t *data;
    size_t len;
    uint64_t served;
};

static ssize_t read_memory(void *ctx, uint64_t offset, void *ret_data, size_t len)
{
    struct memory *memory = ctx;

    assert(offset < memory->len);
    if (len > memory->len - offset)
        len = memory->len - (size_t)offset;
    memcpy(ret_data, memory->data + offset, len);
    memory->served += len;
    return (ssize_t)len;
}

/* Whatever the file says: one pass over it at most, and facts that are whole or untouched. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {.data = data, .len = size};
    struct gguf_source source = {.read_at = read_memory, .ctx = &memory, .size_bytes = size};
    struct gguf_info info, untouched;
    struct err err;

    memset(&info, 0x5a, sizeof info);
    memcpy(&untouched, &info, sizeof info);
    if (gguf_parse(&source, &info, &err) == 0) {
        assert(memchr(info.name, '\0', sizeof info.name) != NULL);
        assert(memchr(info.architecture, '\0', sizeof info.architecture) != NULL);
        assert(info.quantisation != NULL);
        assert(info.tensor_count < size);
        assert(info.version == 2 || info.version == 3);
        assert(info.pooling < GGUF_POOLING_COUNT);
        assert(info.tensor_count > 0 || info.parameters == 0);
    } else {
        assert(memcmp(&info, &untouched, sizeof info) == 0);
        assert(err.text[0] != '\0');
    }
    assert(memory.served <= size);
    return 0;
}
