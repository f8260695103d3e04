/* Which models may be loaded together: the decision alone, no I/O. Memory is counted per model as
 * its file plus a margin for KV cache and compute buffers; that is a stand-in of the right order
 * until memory is measured per engine. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BUDGET_MARGIN_MIN_BYTES = 512 * 1024 * 1024, /* beside the file: at least this … */
    BUDGET_MARGIN_DIVISOR = 8,                   /* … or an eighth of it */
};

/* One engine that holds memory or is about to. */
struct budget_entry {
    uint64_t memory_bytes;
    uint64_t used_at_ms; /* when a request last needed it */
    bool evictable;      /* idle and not pinned */
    bool leaving;        /* being stopped: its memory is still taken and will be free soon */
    bool busy;           /* may become evictable by itself */
    bool evict;          /* set by budget_plan(): stop this one */
};

enum budget_verdict {
    BUDGET_LOAD,   /* fits now */
    BUDGET_EVICT,  /* fits once the marked entries are stopped */
    BUDGET_WAIT,   /* may fit once something that leaves is gone or something busy is idle */
    BUDGET_REFUSE, /* does not fit and nothing that we may stop would change it */
};

struct budget_ask {
    uint64_t limit_bytes;     /* what this node may load in sum */
    uint64_t available_bytes; /* free in the host now */
    uint64_t wanted_bytes;    /* what the new model counts */
};

/* Memory that a model counts. Saturates. */
uint64_t budget_model_bytes(uint64_t file_bytes);
uint64_t budget_used_bytes(const struct budget_entry *entries, size_t count);

/* Decides on `ask` and marks what to evict: the least recently used first, and then none of these
 * that the rest makes unnecessary. Both the limit and the free memory must be met; a stopped model
 * is taken to free what it counts (look again before the load). Only BUDGET_EVICT leaves marks. */
enum budget_verdict budget_plan(
        const struct budget_ask *ask, struct budget_entry *entries, size_t count);
