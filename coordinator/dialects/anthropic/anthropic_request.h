/* Reads the body of a request to Anthropic's Messages API into a neutral chat. Pure.
 *
 * What only Anthropic itself can run (web search, its editor and shell tools, MCP servers) is left
 * out and named, and so are the blocks that tell of it. What would change the conversation, were it
 * left out (PDFs, files, blocks that nobody here knows), is refused. cache_control, betas,
 * context_management, service_tier, container and members that nobody here knows say nothing that
 * an engine could do, and are passed over. */
#pragma once

#include "coordinator/dialects/dialect.h"

/* As dialect.parse. */
int anthropic_request_parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err);
/* The same for a request that only wants its tokens counted: no max_tokens, never a stream. */
int anthropic_request_parse_count(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err);
