#include "coordinator/dialects/embedding.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(float) == sizeof(uint32_t), "a float has four bytes");

void embedding_fini(struct embedding *embedding)
{
    free(embedding->values);
    *embedding = (struct embedding){0};
}

static int read_bytes(struct embedding *embedding, const uint8_t *data, size_t len)
{
    struct reader reader;
    uint32_t bits;
    if (len % sizeof(bits) || len / sizeof(bits) > EMBEDDING_DIMENSIONS_MAX)
        return -EPROTO;
    reader_init(&reader, data, len);
    for (embedding->count = 0; reader_u32(&reader, &bits) == 0; embedding->count++)
        memcpy(&embedding->values[embedding->count], &bits, sizeof(bits));
    return 0;
}

static int read_base64(struct embedding *embedding, const char *text)
{
    size_t len = strlen(text), bytes;
    uint8_t *data = malloc(len + 1);
    if (!data)
        return -ENOMEM;
    int r = sodium_base642bin(
            data, len, text, len, NULL, &bytes, NULL, sodium_base64_VARIANT_ORIGINAL);
    r = r ? -EPROTO : read_bytes(embedding, data, bytes);
    free(data);
    return r;
}

static int read_numbers(struct embedding *embedding, const cJSON *array)
{
    const cJSON *item;
    embedding->count = 0;
    cJSON_ArrayForEach(item, array)
    {
        if (!cJSON_IsNumber(item) || embedding->count == EMBEDDING_DIMENSIONS_MAX)
            return -EPROTO;
        embedding->values[embedding->count++] = (float)item->valuedouble;
    }
    return 0;
}

static bool is_finite(const struct embedding *embedding)
{
    for (size_t i = 0; i < embedding->count; i++)
        if (!isfinite(embedding->values[i]))
            return false;
    return embedding->count > 0;
}

int embedding_read(struct embedding *embedding, const cJSON *value)
{
    int r = -EPROTO;
    if (!embedding->values)
        embedding->values = calloc(EMBEDDING_DIMENSIONS_MAX, sizeof(float));
    if (!embedding->values)
        return -ENOMEM;
    if (cJSON_IsString(value))
        r = read_base64(embedding, value->valuestring);
    else if (cJSON_IsArray(value))
        r = read_numbers(embedding, value);
    return !r && !is_finite(embedding) ? -EPROTO : r;
}

void embedding_shorten(struct embedding *embedding, size_t dimensions)
{
    double sum = 0;
    if (dimensions >= embedding->count)
        return;
    embedding->count = dimensions;
    for (size_t i = 0; i < dimensions; i++)
        sum += (double)embedding->values[i] * (double)embedding->values[i];
    for (size_t i = 0; sum > 0 && i < dimensions; i++)
        embedding->values[i] = (float)((double)embedding->values[i] / sqrt(sum));
}

int embedding_append_numbers(const struct embedding *embedding, struct buf *out)
{
    int r = buf_append_str(out, "[");
    for (size_t i = 0; !r && i < embedding->count; i++)
        r = buf_appendf(out, "%s%.9g", i ? "," : "", (double)embedding->values[i]);
    return r ? r : buf_append_str(out, "]");
}

static void write_bytes(const struct embedding *embedding, uint8_t *data)
{
    for (size_t i = 0; i < embedding->count; i++) {
        uint32_t bits;
        memcpy(&bits, &embedding->values[i], sizeof(bits));
        for (unsigned byte = 0; byte < sizeof(bits); byte++)
            *data++ = (uint8_t)(bits >> (8 * byte));
    }
}

int embedding_append_base64(const struct embedding *embedding, struct buf *out)
{
    size_t bytes = embedding->count * sizeof(float);
    size_t room_len = sodium_base64_encoded_len(bytes, sodium_base64_VARIANT_ORIGINAL);
    uint8_t *data = malloc(bytes + 1);
    void *room;
    int r = data ? buf_append_str(out, "\"") : -ENOMEM;
    if (!r)
        r = buf_reserve(out, room_len, &room);
    if (!r) {
        write_bytes(embedding, data);
        sodium_bin2base64(room, room_len, data, bytes, sodium_base64_VARIANT_ORIGINAL);
        buf_commit(out, room_len - 1);
        r = buf_append_str(out, "\"");
    }
    free(data);
    return r;
}
