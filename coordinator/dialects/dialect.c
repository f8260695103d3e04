#include "coordinator/dialects/dialect.h"

bool delta_is_content(const struct msg_delta *delta)
{
    switch (delta->kind) {
    case DELTA_TEXT:
    case DELTA_REASONING:
        return delta->len > 0;
    case DELTA_TOOL_CALLS:
    case DELTA_LOGPROBS:
    case DELTA_FINISH:
        return true;
    default:
        return false;
    }
}
