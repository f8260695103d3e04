/* Conversations: which instance each was last on, in what mode, and how long ago. Found by the
 * session id that its client sends (dialects/session_id.h), else by how its prompts begin
 * (prefix_chain.h). A bounded table; the one not seen for the longest goes first. One thread. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AFFINITIES_MAX = 65536,
    AFFINITY_IDLE_S = 4 * 60 * 60, /* forgotten after so long without a request */
};

struct affinity {           /* plain; what is known of one conversation */
    uint64_t id;            /* affinity_id(); 0 is none; not to be changed */
    uint32_t epoch;         /* of the session of the node that it was last on; 0: of none */
    uint64_t model;         /* hash of the model's name there */
    uint64_t last_block;    /* of its prompt's hashes (prefix_chain.h) the last one then … */
    uint32_t blocks;        /* … and how many there were; 0: none */
    uint32_t bytes;         /* of all of that prompt … */
    uint32_t answer_tokens; /* … and of the answer, as far as the next turn's prompt has it */
    uint16_t mode;          /* number of its mode; UINT16_MAX: none */
    bool mode_is_marked;    /* an editor's own mark said so; else guessed */
    uint8_t level;          /* the highest complexity that was guessed, 1 to 5; 0: none */
    double seen_s;          /* not to be changed */
};

struct affinities;

/* `max`: conversations, taken as 1 … AFFINITIES_MAX; memory grows with those there are. Clients,
 * who choose the text of their ids, must not know `seed`: one could be made then that is another
 * tenant's. NULL where malloc refuses. */
struct affinities *affinities_create(size_t max, uint64_t seed);
/* Takes NULL. */
void affinities_destroy(struct affinities *table);

/* Never 0. `tenant` is who asks, `text` the client's id: two of which one is another are other
 * conversations. The same in each table of one seed. */
uint64_t affinity_id(const struct affinities *table, const char *tenant, const char *text);
/* Never 0. */
uint64_t affinity_model(const char *model);

/* NULL where it is not known, or was not seen for AFFINITY_IDLE_S. Borrowed until the next call. */
struct affinity *affinities_find(struct affinities *table, uint64_t id, double now_s);
/* The entry of that id, which is not 0, made where it is new; seen now. NULL where malloc refuses.
 * Borrowed as above. */
struct affinity *affinities_touch(struct affinities *table, uint64_t id, double now_s);
/* Also those that were not seen for long, until they are asked for or others need their place. */
size_t affinities_count(const struct affinities *table);
