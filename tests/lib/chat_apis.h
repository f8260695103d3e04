/* The clients of four APIs, as a test needs them: each tells a story (chat_story.h) as a request of
 * its API, in one of the ways that clients write it, and hears an answer and puts it back as
 * history, as its SDK does. They use nothing of what they test. An answer that makes no sense ends
 * the program with a word on stderr. */
#pragma once

#include "coordinator/dialects/dialect.h"
#include "tests/lib/chat_story.h"

struct chat_api {
    const char *name;
    const struct dialect *dialect;
    /* False where the API has no words for it. */
    bool (*can_tell)(const struct story *story);
    /* A request that asks for the answer of the exchange `last`; the caller frees. */
    cJSON *(*tell)(const struct story *story, size_t last, struct dice *dice);
    /* What the client keeps of an answer: entries for `history`; the caller frees. */
    cJSON *(*hear_stream)(const char *text, size_t len);
    cJSON *(*hear_whole)(const char *text, size_t len);
    const char *history; /* the member of a request that they go to: "messages", "input" */
};

extern const struct chat_api chat_apis[];
extern const size_t chat_apis_count;
