/* A model on a node, as the coordinator knows it: what the node said last, and what we have given
 * it since. Plain values that others read; the node's session owns and changes them. */
#pragma once

#include "proto/codec.h"

#include <stdbool.h>
#include <stdint.h>

struct node_session;
struct seat;

struct instance {
    struct node_session *session; /* owner */
    struct seat *seat;            /* the router's; NULL: it does not know of it */
    uint32_t epoch;   /* of the session: tells it from an earlier one of the same node */
    const char *node; /* its name; borrowed from the session */
    char model[MSG_NAME_MAX + 1];
    enum instance_state state;
    bool usable;  /* the node is heard of, and not draining */
    bool fits;    /* the node's memory limit can hold it, for batch work with the swap allowance;
                     else it is never loaded there */
    bool silent;  /* it would be usable if it were heard of: back in a moment, or gone */
    bool ordered; /* its node has been told to load it: requests wait for that */
    bool pinned;
    bool foreign; /* on an engine that is not this node's own: no order is taken for it */
    uint64_t file_bytes, memory_bytes; /* of the file; loaded, or if it were */
    uint32_t context;                  /* tokens of one sequence */
    uint32_t slots;   /* requests that the engine serves at once; 0 while not loaded */
    uint32_t busy;    /* of them, by the node's last word */
    uint32_t running; /* requests that we have sent there and that have not ended */
    float prefill_tok_s, decode_tok_s;
    enum cache_type type_k, type_v; /* as its engine runs, or would */
    uint32_t restarts;
    uint32_t capabilities;    /* CAPABILITY_… */
    uint32_t context_trained; /* tokens; 0: not known */
    uint64_t parameters;      /* 0: not known */
    int64_t modified_s;       /* Unix time of the file; 0: not known */
    char architecture[32], quantisation[16];
    char engine[32];
    char note[256];

    char (*aliases)[MSG_NAME_MAX + 1]; /* more names to ask for it by; the session's memory */
    size_t alias_count;
    uint32_t quality;     /* of its answers, 1 to MSG_QUALITY_MAX; 0: not said */
    bool has_fingerprint; /* of its content; else not known */
    uint8_t fingerprint[MSG_FINGERPRINT_BYTES];
    bool batch_only;       /* it is larger than the memory (swap_allowance) */
    uint32_t load_ms;      /* of its last load; 0: none was measured */
    uint64_t cache_tokens; /* of prompts that it keeps between requests; 0: not known */
    bool cache_swaps; /* each turn of a conversation waits until its part of the cache is back */

    /* For planning, as the node said it (msg_instance): what another context or other slots would
     * take. */
    struct model_shape shape;        /* tensor_bytes 0: not known */
    uint32_t run_context, run_slots; /* as its engine would be started now; 0: not known */
    uint32_t batch_tokens, output_rows;
    uint64_t side_bytes, measured_bytes;
};

/* Of `needs` (CAPABILITY_… bits) those that the instance is known to lack, by its node's word
 * (proto/capability.h). Pure. */
uint32_t instance_lacks(const struct instance *instance, uint32_t needs);
/* True where both are known by their content, and it is not the same. Pure. */
bool instance_differs(const struct instance *instance, const struct instance *other);
