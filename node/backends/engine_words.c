#include "node/backends/engine_words.h"

#include "common/buf.h"

#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 64 * 1024 }; /* bytes of one word, filled in */

struct placeholder {
    const char *mark, *value;
};

/* The placeholder that `text` begins with; NULL where it begins with none. */
static const struct placeholder *placeholder_at(const struct placeholder *list, const char *text)
{
    for (; list->mark; list++)
        if (strncmp(text, list->mark, strlen(list->mark)) == 0)
            return list;
    return NULL;
}

static int append_filled(struct buf *out, const struct placeholder *list, const char *word)
{
    int r = 0;

    while (*word && r == 0) {
        const struct placeholder *found = placeholder_at(list, word);

        r = found ? buf_append_str(out, found->value) : buf_append(out, word, 1);
        word += found ? strlen(found->mark) : 1;
    }
    return r;
}

static char *fill_word(const struct placeholder *list, const char *word)
{
    struct buf out;
    char *filled = NULL;

    buf_init(&out, WORD_MAX);
    if (append_filled(&out, list, word) == 0 && buf_terminate(&out) == 0)
        filled = strdup(buf_at(&out));
    buf_fini(&out);
    return filled;
}

char **engine_words_fill(const char *const *words, const struct engine_place *place)
{
    const struct placeholder list[] = {{"{instance}", place->instance},
            {"{runtime}", place->runtime_dir}, {"{model-dir}", place->model_dir}, {NULL, NULL}};
    size_t count = 0;
    char **filled;

    while (words && words[count])
        count++;
    filled = calloc(count + 1, sizeof(*filled));
    for (size_t i = 0; filled && i < count; i++) {
        filled[i] = fill_word(list, words[i]);
        if (!filled[i]) {
            engine_words_free(filled);
            return NULL;
        }
    }
    return filled;
}

void engine_words_free(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}
