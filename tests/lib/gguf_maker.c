#include "tests/lib/gguf_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_U32 = 4, TYPE_STRING = 8, TYPE_ARRAY = 9, ALIGNMENT = 32, FILE_MAX = 16 * 1024 * 1024 };

static void put(struct buf *out, const void *data, size_t len)
{
    if (buf_append(out, data, len) < 0)
        abort();
}

static void put_uint(struct buf *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        put(out, &byte, 1);
    }
}

void gguf_put_u32(struct buf *out, uint32_t value)
{
    put_uint(out, value, 4);
}

void gguf_put_u64(struct buf *out, uint64_t value)
{
    put_uint(out, value, 8);
}

void gguf_put_text(struct buf *out, const char *text)
{
    gguf_put_u64(out, strlen(text));
    put(out, text, strlen(text));
}

void gguf_put_head(struct buf *out, uint32_t version, uint64_t tensors, uint64_t keys)
{
    put(out, "GGUF", 4);
    gguf_put_u32(out, version);
    gguf_put_u64(out, tensors);
    gguf_put_u64(out, keys);
}

void gguf_put_key_text(struct buf *out, const char *key, const char *value)
{
    gguf_put_text(out, key);
    gguf_put_u32(out, TYPE_STRING);
    gguf_put_text(out, value);
}

void gguf_put_key_u32(struct buf *out, const char *key, uint32_t value)
{
    gguf_put_text(out, key);
    gguf_put_u32(out, TYPE_U32);
    gguf_put_u32(out, value);
}

void gguf_put_key_texts(struct buf *out, const char *key, uint64_t count)
{
    gguf_put_text(out, key);
    gguf_put_u32(out, TYPE_ARRAY);
    gguf_put_u32(out, TYPE_STRING);
    gguf_put_u64(out, count);
    for (uint64_t i = 0; i < count; i++)
        gguf_put_text(out, "token");
}

void gguf_put_tensor(struct buf *out, const char *name, uint64_t offset)
{
    gguf_put_text(out, name);
    gguf_put_u32(out, 1);
    gguf_put_u64(out, 8);
    gguf_put_u32(out, 0);
    gguf_put_u64(out, offset);
}

void gguf_put_data(struct buf *out, size_t len)
{
    while (out->len % ALIGNMENT != 0)
        put(out, "", 1);
    for (; len > 0; len--)
        put(out, "", 1);
}

void gguf_put_model(struct buf *out, size_t data_bytes)
{
    gguf_put_head(out, 3, 1, 3);
    gguf_put_key_text(out, "general.architecture", "llama");
    gguf_put_key_u32(out, "llama.context_length", 2048);
    gguf_put_key_u32(out, "general.file_type", 7);
    gguf_put_tensor(out, "output.weight", 0);
    gguf_put_data(out, data_bytes);
}

void gguf_write_model(const char *path, size_t data_bytes)
{
    struct buf out;
    FILE *file = fopen(path, "wb");

    buf_init(&out, FILE_MAX);
    gguf_put_model(&out, data_bytes);
    if (file == NULL || fwrite(buf_at(&out), 1, out.len, file) != out.len || fclose(file) != 0)
        abort();
    buf_fini(&out);
}
