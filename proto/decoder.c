#include "proto/decoder.h"

#include <errno.h>
#include <string.h>

static void *take_memory(struct decoder *dec, size_t size_bytes)
{
    void *piece = arena_alloc(dec->arena, size_bytes);

    if (!piece)
        dec->rc = err_set(dec->err, -ENOMEM, "needs more than the %zu bytes allowed for it",
                dec->arena->limit_bytes);
    return piece;
}

static void *pb_alloc(void *data, size_t size)
{
    return take_memory(data, size);
}

/* The arena frees all at once. */
static void pb_free(void *data, void *piece)
{
    (void)data;
    (void)piece;
}

ProtobufCMessage *decoder_unpack(struct decoder *dec, const ProtobufCMessageDescriptor *descriptor,
        const struct frame *frame)
{
    ProtobufCAllocator allocator = {.alloc = pb_alloc, .free = pb_free, .allocator_data = dec};
    ProtobufCMessage *pb =
            protobuf_c_message_unpack(descriptor, &allocator, frame->body_len, frame->body);

    if (!pb && dec->rc == 0)
        dec->rc = err_set(dec->err, -EPROTO, "body is not protobuf");
    return pb;
}

const char *decoder_take_text(struct decoder *dec, enum text_rule rule, const char *field,
        const ProtobufCBinaryData *bytes)
{
    char *text;

    if (dec->rc == 0)
        dec->rc = rules_text(rule, field, (const char *)bytes->data, bytes->len, dec->err);
    if (dec->rc < 0 || bytes->len == 0)
        return "";
    text = take_memory(dec, bytes->len + 1);
    if (text)
        memcpy(text, bytes->data, bytes->len);
    return text;
}

void *decoder_take_array(
        struct decoder *dec, const char *field, size_t count, size_t max, size_t entry_bytes)
{
    if (dec->rc == 0)
        dec->rc = rules_count(field, count, max, dec->err);
    if (dec->rc < 0 || count == 0)
        return NULL;
    return take_memory(dec, count * entry_bytes);
}

struct msg_bytes decoder_take_bytes(const ProtobufCBinaryData *pb)
{
    return (struct msg_bytes){.data = pb->data, .len = pb->len};
}
