/* What a request is, by what can be counted in its neutral body: how long it is and whose the words
 * are, what it offers and brings (tools, their results, pictures), how much of an answer it wants.
 * One pass. Pure. */
#pragma once

#include "coordinator/auto/text_hints.h"
#include "proto/codec.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum { FACTS_TOKEN_BYTES = 4 }; /* bytes of text and code that make a token, about */

enum effort { EFFORT_UNSAID, EFFORT_LOW, EFFORT_MEDIUM, EFFORT_HIGH }; /* of reasoning */

struct facts {
    uint32_t messages, turns; /* turns: of the user */
    uint32_t answers;         /* of the assistant */
    uint64_t opening; /* hash of what the user said first, by which a conversation without an id is
                         known; 0: nothing */
    uint32_t tools, editing_tools; /* offered; editing ones change files, by their names */
    uint32_t tool_results;
    uint32_t images;
    uint32_t answer_max; /* tokens; 0: not said */
    enum effort effort;
    const char *fim; /* static; whose tokens to fill in the middle a completion's prompt is written
                        with (fim_prompt.h); NULL: nobody's */
    uint64_t bytes;  /* of all texts, tools and their results too … */
    uint64_t said_bytes; /* … and without the system's and the tools' descriptions, which say what
                            the editor is, not what is asked */
    /* In what the user said last: */
    uint32_t fences, diff_hunks, trace_lines, files; /* text_hints.h */
    char words[TEXT_HINTS_WORDS_MAX + 1];
};

/* `body` as proto/codec.h has it for a chat, or for a completion; of another shape, or NULL, it
 * says nothing. */
void facts_read(const cJSON *body, struct facts *ret_facts);
/* An estimate, from the bytes. */
uint64_t facts_said_tokens(const struct facts *facts);
