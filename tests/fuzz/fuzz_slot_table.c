/* What an engine says of its slots: no text is too odd, and what is learnt from one can be found in
 * it again. */
#include "node/backends/slots/slot_table.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_slot(const struct slot_look *look, size_t slot)
{
    struct slot_table table = {0};
    int found;

    if (!slot_table_learn(&table, look, 7, look->at[slot].tokens))
        return;
    found = slot_table_find(&table, look, 7);
    assert(found >= 0 && (size_t)found < look->count);
    assert(look->at[found].is_there && !look->at[found].is_busy);
    assert(slot_table_session(&table, look, (size_t)found) == 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slot_look look;

    if (slot_look_read((const char *)data, size, &look, NULL) < 0)
        return 0;
    assert(look.count <= SLOTS_MAX);
    for (size_t i = 0; i < look.count; i++)
        check_slot(&look, i);
    return 0;
}
