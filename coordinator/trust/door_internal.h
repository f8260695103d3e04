/* What the door_*.c files share: the door itself, and how a member's record is made and prolonged.
 */
#pragma once

#include "coordinator/trust/door.h"
#include "coordinator/trust/told.h"

struct door_window {
    bool open;
    uint64_t ends_ms; /* env's clock */
    unsigned nodes;   /* taken in so far */
};

struct door {
    struct door_config config;
    struct pending *pending;
    struct door_window window;
    uint64_t refused[DOOR_REFUSAL_COUNT];
    struct told told; /* kinds are refusals, and DOOR_REFUSAL_COUNT: we failed */
    struct rate key_changes;
    char local_token[TOKEN_ID_LEN + 1]; /* id; "": none */
};

/* The member that has the key already, or a new one: without a name, in both roles, of `source`. */
struct member door_member_for(const struct door *door, const char *key_z85, const char *source);
/* The name that it says, or where that is another's, one like it. */
void door_give_name(const struct door *door, struct member *member, const char *says);
/* Its time begins anew, and with it a certificate, where it has a name already. */
void door_prolong(const struct door *door, struct member *member);
void door_log_member(const char *event, const struct member *member);
