/* Tokens of a JSON text (RFC 8259), each checked to its last byte: strings are UTF-8 with sound
 * escapes and no \u0000, numbers follow the grammar and fit the parser behind us. That tokens
 * follow each other as they may is for the caller to see. Pure. */
#pragma once

#include "common/buf.h"

#include <stddef.h>
#include <stdint.h>

enum {
    JSON_NUMBER_MAX = 63, /* characters of one number: cJSON cuts a longer one in two */
};

enum json_token_type {
    JSON_TOKEN_END,
    JSON_TOKEN_OBJECT_OPEN,
    JSON_TOKEN_OBJECT_CLOSE,
    JSON_TOKEN_ARRAY_OPEN,
    JSON_TOKEN_ARRAY_CLOSE,
    JSON_TOKEN_COLON,
    JSON_TOKEN_COMMA,
    JSON_TOKEN_STRING, /* with its quotes */
    JSON_TOKEN_NUMBER,
    JSON_TOKEN_WORD, /* true, false, null */
};

struct json_token {
    enum json_token_type type;
    size_t start, end; /* offsets of the first byte and of the one behind the last */
};

struct json_lexer {
    const char *text;
    size_t len, at;
    const char *problem; /* static text once json_lexer_next() has failed; `at` is then the place */
};

void json_lexer_init(struct json_lexer *lexer, const char *text, size_t len);
/* Skips blanks and takes one token; JSON_TOKEN_END again and again behind the last. -EINVAL sets
 * `problem`. */
MUST_CHECK int json_lexer_next(struct json_lexer *lexer, struct json_token *ret_token);

/* Value of the four hex digits at `at`, or -1 where the `left` bytes there begin with none. */
int json_hex4(const char *at, size_t left);
