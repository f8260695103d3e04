/* Where a completion was asked for: the text next to the cursor, kept so that the next request can
 * be known as the next keystroke at the same place (job/job_keystroke.c). Pure.
 *
 * A keystroke is known by the text alone, since no editor says what it is: it adds or takes a few
 * bytes at the cursor, and all the rest next to it is the same. That leaves alone what editors send
 * on purpose beside each other:
 *   - the same text several times, for several suggestions (minuet-ai);
 *   - the text with a suggestion that was not taken yet, so that the one after it is there in time
 *     (llama.vim, llama.vscode): longer than CURSOR_KEYS_MAX, as a rule;
 *   - texts that only warm up the cache (`n_predict` 0): too little is next to the cursor, and
 * their dialect makes none of it;
 *   - another file, or another place.
 * What is not known for a keystroke though it is one: more than CURSOR_KEYS_MAX bytes at once,
 * bytes replaced by others, a place with less than CURSOR_SAME_MIN bytes around it, prompts of a
 * client that has written a model's FIM tokens into them in another way than fim_prompt.h knows.
 * Those run on, as if nothing were known. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    CURSOR_BEFORE_MAX = 512, /* bytes kept of what stands before the cursor … */
    CURSOR_AFTER_MAX = 256,  /* … and behind it */
    CURSOR_KEYS_MAX = 16,    /* that one keystroke adds or takes on each side: indentation and
                                closing brackets come by themselves */
    CURSOR_SAME_MIN = 64,    /* bytes on both sides that have to be the same */
};

struct cursor; /* one allocation: free() */

/* Before the cursor stands `before` and then `line`. NULL where malloc refuses. */
struct cursor *cursor_create(const char *before, const char *line, const char *after);
size_t cursor_bytes(void);
/* True where a keystroke makes the one text of the other. False for NULL. */
bool cursor_is_keystroke(const struct cursor *older, const struct cursor *newer);
