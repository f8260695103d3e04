/* Anthropic's Messages API: POST /v1/messages and POST /v1/messages/count_tokens. Its errors are
 * family_anthropic's (dialect.h). */
#pragma once

#include "coordinator/dialects/dialect.h"

extern const struct dialect dialect_anthropic_messages, dialect_anthropic_count;
