#include "node/process/last_words.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum mark { MARK_NONE, MARK_INFORMATION, MARK_ERROR };

/* Numbers of the lines to tell, oldest first. */
struct choice {
    size_t backs[LAST_WORDS_TOLD];
    size_t count;
};

void last_words_init(struct last_words *words)
{
    words->count = 0;
}

void last_words_take(struct last_words *words, const char *line)
{
    (void)snprintf(words->lines[words->count++ % LAST_WORDS_KEPT], LAST_WORDS_LINE_MAX, "%s", line);
}

const char *last_words_line(const struct last_words *words, size_t back)
{
    if (back >= words->count || back >= LAST_WORDS_KEPT)
        return NULL;
    return words->lines[(words->count - 1 - back) % LAST_WORDS_KEPT];
}

/* The letter of "0.00.072.354 E text" or of "E text", 0 where there is none, and the text. */
static char split(const char *line, const char **ret_text)
{
    const char *at = line;

    while (isdigit((unsigned char)*at) || *at == '.')
        at++;
    if (at > line && *at == ' ')
        at++;
    if (*at == '\0' || !strchr("IDWE", *at) || at[1] != ' ') {
        *ret_text = line;
        return 0;
    }
    *ret_text = at + 1 + strspn(at + 1, " ");
    return *at;
}

/* What happens before engines mark their lines, and in those that do not. */
static bool sounds_bad(const char *text)
{
    return strncasecmp(text, "error", 5) == 0 || strcasestr(text, " error") ||
           strstr(text, "GGML_ASSERT");
}

static enum mark mark_of(const char *line)
{
    const char *text;
    char letter = split(line, &text);

    if (letter == 'E')
        return MARK_ERROR;
    if (letter != 0)
        return MARK_INFORMATION;
    return sounds_bad(text) ? MARK_ERROR : MARK_NONE;
}

static void prepend(struct choice *choice, size_t back)
{
    memmove(choice->backs + 1, choice->backs, choice->count * sizeof *choice->backs);
    choice->backs[0] = back;
    choice->count++;
}

/* A new one is older than those chosen: of more than there is room for, the first and the last
 * stay. */
static void add_error(struct choice *choice, size_t back)
{
    if (choice->count == LAST_WORDS_TOLD) {
        memmove(choice->backs + 1, choice->backs, (LAST_WORDS_TOLD - 2) * sizeof *choice->backs);
        choice->backs[0] = back;
        return;
    }
    prepend(choice, back);
}

static void choose_errors(const struct last_words *words, struct choice *choice)
{
    const char *line;
    size_t gap = 0;

    for (size_t back = 0; (line = last_words_line(words, back)) != NULL; back++) {
        enum mark mark = mark_of(line);
        if (mark == MARK_ERROR) {
            add_error(choice, back);
            gap = 0;
        } else if (mark == MARK_INFORMATION || choice->count > 0) {
            gap++;
        }
        if (gap > (choice->count > 0 ? LAST_WORDS_GAP : LAST_WORDS_FAREWELL))
            break;
    }
}

static void choose_last(const struct last_words *words, bool marked_too, struct choice *choice)
{
    const char *line;

    for (size_t back = 0; choice->count < LAST_WORDS_TOLD; back++) {
        line = last_words_line(words, back);
        if (line == NULL)
            return;
        if (marked_too || mark_of(line) == MARK_NONE)
            prepend(choice, back);
    }
}

void last_words_tell(const struct last_words *words, char *text, size_t size)
{
    struct choice choice = {.count = 0};
    const char *separator = ": ";

    choose_errors(words, &choice);
    if (choice.count == 0)
        choose_last(words, false, &choice);
    if (choice.count == 0)
        choose_last(words, true, &choice);
    for (size_t i = 0; i < choice.count; i++) {
        size_t len = strlen(text);
        const char *line;

        (void)split(last_words_line(words, choice.backs[i]), &line);
        (void)snprintf(text + len, size - len, "%s%s", separator, line);
        separator = " | ";
    }
}
