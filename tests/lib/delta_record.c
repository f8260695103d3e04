#include "tests/lib/delta_record.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

bool delta_record_take(void *ctx, const struct msg_delta *delta)
{
    struct delta_record *record = ctx;
    size_t len = strlen(record->text);

    assert(delta->stream == 0 && !delta->more && delta->len > 0);
    snprintf(record->text + len, sizeof(record->text) - len, "%s:%u:%.*s;",
            delta_kind_name(delta->kind), delta->choice, (int)delta->len, delta->data);
    return ++record->count != record->stop_after;
}

int delta_record_read(struct delta_record *record, struct engine_answer *answer,
        engine_chunk_fn read_chunk, const char *const *events, struct err *err)
{
    int r = 0;

    answer->fn = delta_record_take;
    answer->ctx = record;
    for (; r == 0 && *events; events++)
        r = engine_answer_event(answer, read_chunk, *events, strlen(*events), err);
    return r;
}
