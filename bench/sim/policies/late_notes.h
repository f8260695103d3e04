/* News of prompts on their way to the index: told to it when their time has come. With no lag they
 * are told at once. */
#pragma once

#include "bench/sim/world.h"

struct late_note {
    double due_s;
    const uint64_t *chain;
    uint32_t count;
    uint32_t node;
};

struct late_notes {
    struct late_note *at; /* a ring, the oldest first */
    size_t first, count, room;
};

void late_notes_init(struct late_notes *notes);
void late_notes_fini(struct late_notes *notes);
MUST_CHECK int late_notes_push(struct late_notes *notes, struct late_note note); /* -ENOMEM */
/* The oldest one where its time has come, taken out; false: there is none. */
bool late_notes_pop(struct late_notes *notes, double now_s, struct late_note *ret_note);
