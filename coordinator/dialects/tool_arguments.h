/* The arguments of a tool call as a model writes them, piece by piece, for APIs whose clients parse
 * them as they come: whatever the model wrote, what goes out is the beginning of a JSON object that
 * json_parse() takes, and can be closed at any point. A sound object passes unchanged but for
 * blanks between its tokens and escapes that are not needed; line breaks in a string, which weak
 * models forget to escape, are mended. From the first byte that fits nowhere on the rest is left
 * out. Pure. */
#pragma once

#include "common/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TOOL_ARGUMENTS_DEPTH_MAX = 48,  /* nested values: as part of a request they are nested deeper */
    TOOL_ARGUMENTS_NUMBER_MAX = 63, /* characters of one number */
};

struct tool_arguments { /* a plain value; zeroed at first */
    uint8_t state;
    bool closed, broken; /* no more is taken */
    bool key;            /* the string that is open is a member's name */
    bool comma;          /* one came and waits for what it separates */
    uint8_t hex_digits;  /* of a \u escape, so far */
    uint16_t unit;       /* its value */
    uint16_t high;       /* the first half of a surrogate pair, which waits for the second; or 0 */
    char number[TOOL_ARGUMENTS_NUMBER_MAX + 1]; /* the one that is open, so far */
    const char *literal;                        /* what is left of "true", "false" or "null" */
    unsigned depth;
    uint64_t objects; /* bit i: the bracket at depth i is an object's */
};

/* Appends to `out` what may go out of `text`, which is UTF-8. -ENOBUFS, -ENOMEM. */
MUST_CHECK int tool_arguments_push(
        struct tool_arguments *arguments, const char *text, size_t len, struct buf *out);
/* True once the object is whole. */
bool tool_arguments_complete(const struct tool_arguments *arguments);
/* Appends what makes the object whole: nothing where it is, "{}" where nothing was taken. */
MUST_CHECK int tool_arguments_close(struct tool_arguments *arguments, struct buf *out);
