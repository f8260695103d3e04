/* The coordinator's end of the link in memory: the test plays the nodes. What is sent to them is
 * kept in order and read as messages; the test says whether their link takes anything. What fails
 * that should not aborts. */
#pragma once

#include "common/arena.h"
#include "common/buf.h"
#include "common/env.h"
#include "common/link/link.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stddef.h>

enum { FAKE_LINK_PEERS = 16 };

struct fake_link {
    struct transport transport;
    int result[FAKE_LINK_PEERS]; /* of the next sends to that peer: 0, -EAGAIN, -EHOSTUNREACH */
    struct buf sent[FAKE_LINK_PEERS];
    struct buf frame;
    struct arena arena;
};

void fake_link_init(struct fake_link *link);
void fake_link_fini(struct fake_link *link);

/* Peer `number` (below FAKE_LINK_PEERS), with a key, a descriptor and an address of its own. */
struct link_peer fake_link_peer(size_t number);

/* The oldest message that was sent to the peer and not read yet; false where there is none. Valid
 * until the next call. */
bool fake_link_next(struct fake_link *link, size_t number, struct msg *ret_msg);
/* Drops what was sent to the peer. */
void fake_link_forget(struct fake_link *link, size_t number);

/* The frame of `msg`; valid until the next call. */
const struct buf *fake_link_frame(struct fake_link *link, const struct msg *msg);
