#include "tests/lib/gguf_maker.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 32, LAYERS_MAX = 1024, FILE_MAX = 16 * 1024 * 1024 };

static ssize_t read_memory(void *ctx, uint64_t offset, void *ret_data, size_t len)
{
    struct gguf_memory *memory = ctx;
    size_t held;

    if (offset >= memory->size_bytes)
        return 0;
    if (len > memory->size_bytes - offset)
        len = (size_t)(memory->size_bytes - offset);
    memset(ret_data, 0, len);
    held = offset < memory->file->len ? memory->file->len - (size_t)offset : 0;
    if (held > 0)
        memcpy(ret_data, buf_at(memory->file) + offset, held < len ? held : len);
    memory->served += len;
    if (offset + len > memory->end)
        memory->end = offset + len;
    return (ssize_t)len;
}

struct gguf_source gguf_memory_source(struct gguf_memory *memory)
{
    if (memory->size_bytes < memory->file->len)
        memory->size_bytes = memory->file->len;
    return (struct gguf_source){
            .read_at = read_memory, .ctx = memory, .size_bytes = memory->size_bytes};
}

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
    gguf_put_u32(out, GGUF_STRING);
    gguf_put_text(out, value);
}

void gguf_put_key_u32(struct buf *out, const char *key, uint32_t value)
{
    gguf_put_text(out, key);
    gguf_put_u32(out, GGUF_U32);
    gguf_put_u32(out, value);
}

void gguf_put_key_bool(struct buf *out, const char *key, bool value)
{
    gguf_put_text(out, key);
    gguf_put_u32(out, GGUF_BOOL);
    put_uint(out, value, 1);
}

static void put_array(struct buf *out, const char *key, enum gguf_type type, uint64_t count)
{
    gguf_put_text(out, key);
    gguf_put_u32(out, GGUF_ARRAY);
    gguf_put_u32(out, type);
    gguf_put_u64(out, count);
}

void gguf_put_key_texts(struct buf *out, const char *key, uint64_t count)
{
    put_array(out, key, GGUF_STRING, count);
    for (uint64_t i = 0; i < count; i++)
        gguf_put_text(out, "token");
}

void gguf_put_key_u32s(struct buf *out, const char *key, const uint32_t *values, size_t count)
{
    put_array(out, key, GGUF_U32, count);
    for (size_t i = 0; i < count; i++)
        gguf_put_u32(out, values[i]);
}

void gguf_put_key_bools(struct buf *out, const char *key, const uint32_t *values, size_t count)
{
    put_array(out, key, GGUF_BOOL, count);
    for (size_t i = 0; i < count; i++)
        put_uint(out, values[i] != 0, 1);
}

void gguf_put_matrix(struct buf *out, const char *name, uint64_t columns, uint64_t rows,
        uint32_t type, uint64_t offset)
{
    gguf_put_text(out, name);
    gguf_put_u32(out, 2);
    gguf_put_u64(out, columns);
    gguf_put_u64(out, rows);
    gguf_put_u32(out, type);
    gguf_put_u64(out, offset);
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

struct numbers {
    uint32_t values[LAYERS_MAX];
    size_t count;
    bool array;
};

static struct numbers parse_numbers(const char *text)
{
    struct numbers numbers = {.array = strpbrk(text, ",@") != NULL};
    char *end;

    for (;; text = end + 1) {
        numbers.values[numbers.count++] = (uint32_t)strtoul(text, &end, 10);
        if (*end != ',' || numbers.count == LAYERS_MAX)
            break;
    }
    if (*end == '@') {
        size_t period = numbers.count, wanted = strtoul(end + 1, NULL, 10);
        for (; numbers.count < wanted && numbers.count < LAYERS_MAX; numbers.count++)
            numbers.values[numbers.count] = numbers.values[numbers.count - period];
    }
    return numbers;
}

static void put_hyper(struct buf *out, const char *architecture, char *pair)
{
    char *value = strchr(pair, '='), key[GGUF_KEY_MAX];
    struct numbers numbers = parse_numbers(value + 1);
    bool booleans = value[-1] == '?';

    (void)snprintf(key, sizeof key, "%s.%.*s", architecture, (int)(value - pair - booleans), pair);
    if (!numbers.array)
        gguf_put_key_u32(out, key, numbers.values[0]);
    else if (booleans)
        gguf_put_key_bools(out, key, numbers.values, numbers.count);
    else
        gguf_put_key_u32s(out, key, numbers.values, numbers.count);
}

void gguf_put_hyper(struct buf *out, const char *architecture, const char *keys)
{
    char *copy = strdup(keys), *rest = copy, *pair;
    uint64_t count = 1;

    if (copy == NULL)
        abort();
    for (const char *p = keys; *p != '\0'; p++)
        count += *p == '=';
    gguf_put_head(out, 3, 0, count);
    gguf_put_key_text(out, "general.architecture", architecture);
    while ((pair = strtok_r(rest, " ", &rest)) != NULL)
        put_hyper(out, architecture, pair);
    free(copy);
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
