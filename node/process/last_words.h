/* The last lines that an engine wrote, and which of them tell why it ended. llama-server marks its
 * lines ("0.00.072.354 E llama_model_load: error loading model: …"; I information, D debugging,
 * W warning) and prints far more information than anything else; the cause is named first, then
 * come what failed for it, and information between: the last three lines rarely say it. So the
 * errors that stand together near the end are looked for, and the first two of them and the last
 * one are told. Where there are none, the last three lines without a mark are, and where there are
 * none either, the last three.
 *
 * Pure; takes any text. */
#pragma once

#include <stddef.h>

enum {
    LAST_WORDS_LINE_MAX = 512, /* bytes of a line that are kept, with its NUL */
    LAST_WORDS_KEPT = 48,      /* lines; a crash may print a whole stack behind its cause */
    LAST_WORDS_TOLD = 3,
    LAST_WORDS_GAP = 2, /* so many other lines between two errors do not part them */
    /* So much information behind the last error is what an engine says as it ends; more: it went on
     * and ended of something else. */
    LAST_WORDS_FAREWELL = 8,
};

struct last_words {
    char lines[LAST_WORDS_KEPT][LAST_WORDS_LINE_MAX];
    size_t count; /* lines ever */
};

void last_words_init(struct last_words *words);
/* Takes a line without its end; what is longer is cut. */
void last_words_take(struct last_words *words, const char *line);
/* The `back`-th last line (0: the last), NULL where it is not kept or there is none. Borrowed until
 * the next take. */
const char *last_words_line(const struct last_words *words, size_t back);
/* Appends ": LINE | LINE | LINE" to `text`, which has room for `size` bytes: those that tell most,
 * without time stamps and marks. Nothing where there is no line. */
void last_words_tell(const struct last_words *words, char *text, size_t size);
