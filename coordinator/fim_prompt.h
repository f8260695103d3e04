/* A prompt into which its client has written a model's own tokens to fill in the middle, as those
 * do that know a model's family by its name: such a completion comes from a cursor, as one with a
 * suffix does. Pure.
 *
 * Known are the families of the table in fim_prompt.c. A prompt is one only where the whole of it
 * has the shape that such a client gives it: both tokens before the texts, in either order, and at
 * the very end the one behind which the model goes on (or, where a family has none, the first of
 * the two at the very beginning). What only speaks of such tokens has them somewhere. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct fim_prompt {
    const char *family;         /* static; for people */
    const char *before, *after; /* the texts around the cursor, within the prompt … */
    size_t before_len, after_len;
    bool sure; /* … each token is there once. Else one of the texts has such tokens itself, and it
                  is not known where they end. */
};

/* False: it is none. */
bool fim_prompt_read(const char *prompt, struct fim_prompt *ret_fim);
