/* What a text shows without anybody understanding it, line by line: blocks of code, pieces of
 * diffs, traces of errors, names of source files. And the user's own words in it: what is left
 * without blocks of code and without what editors put around it (environment_details and the like).
 * One pass over at most TEXT_HINTS_SCAN_MAX bytes of all texts that are added. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TEXT_HINTS_SCAN_MAX = 256 * 1024,
    /* Of the words, the first bytes and the last ones are kept: what is wanted stands at the
     * beginning, or behind something long that was pasted in. */
    TEXT_HINTS_HEAD = 3 * 1024,
    TEXT_HINTS_TAIL = 1024,
    TEXT_HINTS_WORDS_MAX = TEXT_HINTS_HEAD + TEXT_HINTS_TAIL,
    TEXT_HINTS_FILES_MAX = 32, /* different names are counted up to that */
};

struct text_hints {
    uint32_t fences;      /* blocks of code between ``` or ~~~ */
    uint32_t diff_hunks;  /* … and heads of files in a diff */
    uint32_t trace_lines; /* of stack traces, panics, logs of errors */
    uint32_t file_count;  /* different names of source files */

    size_t scanned, head_len;
    uint64_t tail_bytes; /* that have come behind the head; the last of them are in `tail` */
    char head[TEXT_HINTS_HEAD], tail[TEXT_HINTS_TAIL];
    uint64_t files[TEXT_HINTS_FILES_MAX]; /* hashes of names */
    const char *block;                    /* the editor's block that the text is in; NULL: none */
    bool in_fence;
};

void text_hints_init(struct text_hints *hints);
/* A text ends its blocks. */
void text_hints_add(struct text_hints *hints, const char *text, size_t len);
/* The user's own words so far, NUL-terminated. */
void text_hints_words(const struct text_hints *hints, char ret_words[TEXT_HINTS_WORDS_MAX + 1]);
