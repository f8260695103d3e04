/* Conversations out of a seed, in no API's words: odd texts, pictures, tools that are called in
 * parallel, results that fail, a system that speaks up late. A story is told as requests of several
 * APIs (chat_apis.h), and must come out of all of them as the same neutral chat. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STORY_EXCHANGES_MAX = 4,
    STORY_PIECES_MAX = 4,
    STORY_CALLS_MAX = 4,
    STORY_TOOLS_MAX = 3,
    STORY_SYSTEMS_MAX = 2,
    STORY_TEXT_MAX = 160,
};

struct dice {
    uint64_t state;
};

void dice_init(struct dice *dice, uint64_t seed);
/* Below `sides`, which is at least 1. */
size_t dice_below(struct dice *dice, size_t sides);
bool dice_chance(struct dice *dice, size_t one_in);

struct story_piece {
    bool is_image; /* then `text` is the base64 of a PNG */
    char text[STORY_TEXT_MAX];
};

struct story_call {
    char id[32], name[32];
    cJSON *arguments; /* an object */
    char result[STORY_TEXT_MAX];
    bool failed;
    char image[STORY_TEXT_MAX]; /* base64 of a PNG in the result; "": none */
};

/* What the user says, behind the results of the calls before, and what the assistant answers. */
struct story_exchange {
    struct story_piece pieces[STORY_PIECES_MAX];
    size_t piece_count;
    char system[STORY_TEXT_MAX]; /* "": it does not speak up here */
    bool system_first;           /* it speaks before the user does */
    char reasoning[STORY_TEXT_MAX], text[STORY_TEXT_MAX];
    struct story_call calls[STORY_CALLS_MAX];
    size_t call_count;
};

struct story_tool {
    char name[32], description[STORY_TEXT_MAX]; /* "": none */
    cJSON *schema;
    bool strict;
};

struct story {
    bool plain; /* pictures only behind the text of a user's turn, no strict tools */
    char systems[STORY_SYSTEMS_MAX][STORY_TEXT_MAX];
    size_t system_count;
    struct story_tool tools[STORY_TOOLS_MAX];
    size_t tool_count;
    struct story_exchange exchanges[STORY_EXCHANGES_MAX];
    size_t exchange_count;
};

void story_make(struct story *story, struct dice *dice);
void story_fini(struct story *story);

/* The neutral messages of a request that asks for the answer of the exchange `last`; the caller
 * frees. */
cJSON *story_messages(const struct story *story, size_t last);
/* The neutral message of that answer. */
cJSON *story_answer(const struct story *story, size_t exchange);
/* The neutral tools; NULL where there are none. */
cJSON *story_tools(const struct story *story);
