#include "tests/lib/fake_link.h"

#include "proto/frame.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENT_MAX = 64 * 1024 * 1024 };

static void must(int r)
{
    if (r)
        abort();
}

static size_t number_of(const struct link_peer *peer)
{
    return peer->routing_id[LINK_ROUTING_ID_BYTES - 1];
}

static int take_frame(void *ctx, const void *peer, const void *frame, size_t len)
{
    struct fake_link *link = ctx;
    size_t number = number_of(peer);
    assert(number < FAKE_LINK_PEERS && len <= FRAME_MAX);
    if (link->result[number])
        return link->result[number];
    must(buf_append(&link->sent[number], &len, sizeof(len)));
    must(buf_append(&link->sent[number], frame, len));
    return 0;
}

void fake_link_init(struct fake_link *link)
{
    *link = (struct fake_link){.transport = {.send = take_frame, .ctx = link}};
    for (size_t i = 0; i < FAKE_LINK_PEERS; i++)
        buf_init(&link->sent[i], SENT_MAX);
    buf_init(&link->frame, FRAME_MAX);
    arena_init(&link->arena, MSG_ARENA_BYTES);
}

void fake_link_fini(struct fake_link *link)
{
    for (size_t i = 0; i < FAKE_LINK_PEERS; i++)
        buf_fini(&link->sent[i]);
    buf_fini(&link->frame);
    arena_fini(&link->arena);
}

struct link_peer fake_link_peer(size_t number)
{
    struct link_peer peer = {.fd = 100 + (int)number};
    peer.routing_id[LINK_ROUTING_ID_BYTES - 1] = (uint8_t)number;
    memset(peer.key, 'a' + (int)number, KEY_Z85_LEN);
    (void)snprintf(peer.address, sizeof(peer.address), "10.0.0.%zu", number);
    return peer;
}

bool fake_link_next(struct fake_link *link, size_t number, struct msg *ret_msg)
{
    struct buf *sent = &link->sent[number];
    size_t len;
    if (sent->len == 0)
        return false;
    memcpy(&len, buf_at(sent), sizeof(len));
    arena_fini(&link->arena);
    must(codec_decode(buf_at(sent) + sizeof(len), len, &link->arena, ret_msg, NULL));
    buf_consume(sent, sizeof(len) + len);
    return true;
}

void fake_link_forget(struct fake_link *link, size_t number)
{
    buf_clear(&link->sent[number]);
}

const struct buf *fake_link_frame(struct fake_link *link, const struct msg *msg)
{
    buf_clear(&link->frame);
    must(codec_encode(msg, &link->frame, NULL));
    return &link->frame;
}
