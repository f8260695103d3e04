#include "bench/sim/policies/late_notes.h"

#include <errno.h>
#include <stdlib.h>

void late_notes_init(struct late_notes *notes)
{
    *notes = (struct late_notes){0};
}

void late_notes_fini(struct late_notes *notes)
{
    free(notes->at);
    late_notes_init(notes);
}

static int grow(struct late_notes *notes)
{
    size_t room = notes->room ? 2 * notes->room : 64;
    struct late_note *at = calloc(room, sizeof(*at));

    if (!at)
        return -ENOMEM;
    for (size_t i = 0; i < notes->count; i++)
        at[i] = notes->at[(notes->first + i) % notes->room];
    free(notes->at);
    notes->at = at;
    notes->room = room;
    notes->first = 0;
    return 0;
}

int late_notes_push(struct late_notes *notes, struct late_note note)
{
    int r = notes->count == notes->room ? grow(notes) : 0;

    if (r < 0)
        return r;
    notes->at[(notes->first + notes->count++) % notes->room] = note;
    return 0;
}

bool late_notes_pop(struct late_notes *notes, double now_s, struct late_note *ret_note)
{
    if (notes->count == 0 || notes->at[notes->first].due_s > now_s)
        return false;
    *ret_note = notes->at[notes->first];
    notes->first = (notes->first + 1) % notes->room;
    notes->count--;
    return true;
}
