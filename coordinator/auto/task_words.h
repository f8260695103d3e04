/* Which tasks the user's own words speak of, by a table of English words: a guess, and a cheap one.
 * Other languages say nothing here; the facts, the editors' marks and the small model know no
 * language, or all of them. Pure. */
#pragma once

#include "coordinator/auto/task.h"

/* Adds to `score` what each word is worth; the first one counts twice, for it is what is asked for.
 * `words` is NUL-terminated. */
void task_words_score(const char *words, unsigned score[TASK_GUESSED]);
