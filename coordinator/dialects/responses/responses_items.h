/* The output of a response while it is made: its items in order, and how each is told. An item is
 * open until its text is complete. Texts are held as they stand in JSON, escaped and without
 * quotes, so that what is told at the end is to the byte what was told piece by piece. */
#pragma once

#include "common/buf.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

enum { RESPONSES_ITEMS_MAX = 1024 }; /* of one response */

enum item_kind { ITEM_REASONING, ITEM_MESSAGE, ITEM_FUNCTION_CALL, ITEM_CUSTOM_CALL };

struct response_item {
    enum item_kind kind;
    const char *status;        /* "in_progress", "completed", "incomplete"; static */
    char *call_id, *name;      /* of a call, as the client named it; NULL otherwise */
    char *space;               /* its namespace; NULL: none */
    struct buf text, logprobs; /* JSON: a string's inside, an array's inside */
};

struct response_items {
    const char *hex; /* of the response's id: items' ids are made of it; borrowed */
    bool encrypted;  /* reasoning carries a mark that clients want back */
    struct response_item *list;
    size_t count;
};

void response_items_fini(struct response_items *items);
/* A new one, open. -ENOBUFS past RESPONSES_ITEMS_MAX, -ENOMEM. */
MUST_CHECK int response_items_add(
        struct response_items *items, enum item_kind kind, size_t *ret_index);
/* Makes it a call. `space` may be NULL. -ENOMEM. */
MUST_CHECK int response_items_name(struct response_items *items, size_t index, const char *call_id,
        const char *name, const char *space);

/* "response.output_text", "response.function_call_arguments", …: what its pieces are called. */
const char *response_item_piece(const struct response_item *item);

/* -ENOBUFS, -ENOMEM in all of these. Appends its id without quotes. */
MUST_CHECK int response_items_append_id(
        const struct response_items *items, size_t index, struct buf *out);
/* Appends it as it is now; `bare`: as it was when it was new. */
MUST_CHECK int response_items_append(
        const struct response_items *items, size_t index, bool bare, struct buf *out);
/* Appends the part that holds its text: output_text of a message, summary_text of reasoning. */
MUST_CHECK int response_item_append_part(
        const struct response_item *item, bool bare, struct buf *out);
/* Appends all with commas between. */
MUST_CHECK int response_items_append_all(const struct response_items *items, struct buf *out);
