/* What a caller may ask for, under the names that editors see: each mode as "mesh-MODE", where one
 * of them answers chats "mesh-auto" (which is described as the mode that it is where nothing tells
 * another), the one to complete code in also as "mesh-autocomplete-MODEL" with the first of its
 * models that can, since clients take FIM tokens from the name, what the config calls modes
 * besides, every model that a connected node has, their aliases, and the foreign models' names for
 * which something stands, one by one. What would only be refused is not offered. Listings of all
 * APIs are made from it. Loop thread; borrowed things live until the next turn. */
#pragma once

#include "coordinator/instance.h"
#include "coordinator/modes/modes.h"
#include "coordinator/node_table.h"

#include <stdbool.h>
#include <stddef.h>

enum { OFFER_ID_MAX = MSG_NAME_MAX + 16 };

struct offers { /* all borrowed */
    const struct modes *modes;
    struct node_table *nodes;
    bool claude_names; /* modes also as "claude-mesh-MODE": some clients list no others */
    /* What the caller may use. */
    bool (*allows_mode)(void *ctx, const char *name);
    bool (*allows_model)(void *ctx, const char *name);
    void *ctx;
};

enum offer_kind { OFFER_MODE, OFFER_MODEL, OFFER_ALIAS };

struct offer {
    char id[OFFER_ID_MAX + 1]; /* what to ask for */
    enum offer_kind kind;
    const char *mode; /* of a mode, or of an alias that means one: its name in the config */
    /* The model itself, or the one that the alias means, or the first of the mode's that a node
     * has, of those that the name leaves and the caller may use; of several instances a resident
     * one. NULL: no node has any of these models now. */
    const struct instance *instance;
    uint32_t context; /* tokens of a request with its answer, the least of all instances that could
                       * answer: of resident ones, or where there is none of those that could be
                       * loaded; of a mode with rules by context that of the model that holds the
                       * most; 0: not known */
    uint32_t capabilities; /* CAPABILITY_… */
};

/* Calls `fn` for each, modes first, then models, then aliases, until it returns nonzero, which is
 * then returned. */
int offers_each(
        const struct offers *offers, int (*fn)(void *ctx, const struct offer *offer), void *ctx);
/* What `name` asks for, in any of the spellings that modes_resolve() knows. False: nothing that
 * this caller may use. */
bool offers_find(const struct offers *offers, const char *name, struct offer *ret_offer);
