/* The two halves of the chat's dialect, for who shares one of them. Internal to the OpenAI
 * dialects. */
#pragma once

#include "coordinator/dialects/dialect.h"

/* As in struct dialect; the answer goes on with the functions of openai_answer.h. */
int openai_chat_parse(const struct dialect_input *input, struct request *ret_request,
        const char **ret_param, struct err *err);
struct answer *openai_chat_answer_create(
        const struct request *request, const struct answer_facts *facts);
