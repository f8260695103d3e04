/* What was ordered of single models over the link and holds until it is ordered otherwise, also
 * after a restart: settings that a LOAD gave, and pins. In one file of the state directory
 * (common/book.h), written at each change. An order for a model that is not there (any more) does
 * no harm. Loop thread; blocking on one small file. */
#pragma once

#include "common/err.h"
#include "node/models/model_settings.h"
#include "proto/codec.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    STANDING_ORDERS_MAX = 256,
    STANDING_ORDERS_FILE_MAX = 256 * 1024, /* bytes */
    STANDING_TYPE_MAX = 15,                /* bytes of a cache type's name */
};

struct standing_order {
    char model[MSG_NAME_MAX + 1];
    uint64_t context, slots; /* 0: as the config has them */
    char type_k[STANDING_TYPE_MAX + 1],
            type_v[STANDING_TYPE_MAX + 1]; /* "": as the config has it */
    bool keep, let_go; /* pinned, or not although the config pins it; not both */
};

struct standing_orders;

/* `path` is copied; a missing file is none. Errors: those of book_read(), and -EINVAL for what no
 * order can say. */
MUST_CHECK int standing_orders_open(
        const char *path, struct standing_orders **ret_orders, struct err *err);
/* Takes NULL. */
void standing_orders_close(struct standing_orders *orders);

/* NULL where there is none. Borrowed until the next change. */
const struct standing_order *standing_orders_find(
        const struct standing_orders *orders, const char *model);
/* In the place of an older one for that model; one that says nothing takes that away. -ENOSPC at
 * the limit, -EINVAL: a cache type that is not known; or what book_commit() returns. On failure
 * nothing has changed. */
MUST_CHECK int standing_orders_put(
        struct standing_orders *orders, const struct standing_order *order, struct err *err);

/* What the order changes of the settings that the config gives; NULL: nothing. */
void standing_order_apply(const struct standing_order *order, struct model_settings *settings);
