/* The words of an engine's command with their placeholders filled in, so that one setting serves
 * every model: a container needs a name of its own, and the folders that it must see.
 *
 *   {instance}   a name that no other engine has: letters, digits and '-'
 *   {runtime}    the folder of the engine's socket
 *   {model-dir}  the folder of the model's file
 *
 * Other text in braces stays as it is. Pure. */
#pragma once

struct engine_place { /* all borrowed */
    const char *instance, *runtime_dir, *model_dir;
};

/* A copy of `words` (ends with NULL) with each placeholder replaced; ends with NULL too. NULL where
 * malloc refuses. */
char **engine_words_fill(const char *const *words, const struct engine_place *place);
/* Takes NULL. */
void engine_words_free(char **words);
