#include "coordinator/cursor.h"

#include <stdlib.h>
#include <string.h>

struct cursor {
    size_t before_len, after_len;
    char before[CURSOR_BEFORE_MAX], after[CURSOR_AFTER_MAX];
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The end of both texts, one behind the other. */
static void keep_before(struct cursor *cursor, const char *text, const char *line)
{
    size_t line_len = strlen(line), text_len = strlen(text);
    size_t of_line = least(line_len, CURSOR_BEFORE_MAX);
    size_t of_text = least(text_len, CURSOR_BEFORE_MAX - of_line);
    memcpy(cursor->before, text + text_len - of_text, of_text);
    memcpy(cursor->before + of_text, line + line_len - of_line, of_line);
    cursor->before_len = of_text + of_line;
}

struct cursor *cursor_create(const char *before, const char *line, const char *after)
{
    struct cursor *cursor = malloc(sizeof(*cursor));
    if (!cursor)
        return NULL;
    keep_before(cursor, before, line);
    cursor->after_len = least(strlen(after), CURSOR_AFTER_MAX);
    memcpy(cursor->after, after, cursor->after_len);
    return cursor;
}

size_t cursor_bytes(void)
{
    return sizeof(struct cursor);
}

struct match {
    size_t keys; /* bytes at the cursor that only one of them has */
    size_t same; /* bytes next to those that both have */
};

struct side { /* of a cursor */
    const char *text;
    size_t len;
    bool ends_here; /* the cursor is behind the text */
};

/* `more` is `less` with `keys` bytes more at the cursor, as far as both are known. */
static bool has_more(
        const struct side *more, const struct side *less, size_t keys, struct match *ret_match)
{
    if (more->len < keys)
        return false;
    size_t same = least(more->len - keys, less->len);
    const char *a = more->ends_here ? more->text + more->len - keys - same : more->text + keys;
    const char *b = less->ends_here ? less->text + less->len - same : less->text;
    if (memcmp(a, b, same) != 0)
        return false;
    *ret_match = (struct match){.keys = keys, .same = same};
    return true;
}

/* With as few keys as possible. */
static bool match(const struct side *a, const struct side *b, struct match *ret_match)
{
    for (size_t keys = 0; keys <= CURSOR_KEYS_MAX; keys++)
        if (has_more(a, b, keys, ret_match) || has_more(b, a, keys, ret_match))
            return true;
    return false;
}

static struct side before(const struct cursor *cursor)
{
    return (struct side){.text = cursor->before, .len = cursor->before_len, .ends_here = true};
}

static struct side after(const struct cursor *cursor)
{
    return (struct side){.text = cursor->after, .len = cursor->after_len};
}

bool cursor_is_keystroke(const struct cursor *older, const struct cursor *newer)
{
    struct match left, right;
    if (!older || !newer)
        return false;
    const struct side sides[] = {before(older), before(newer), after(older), after(newer)};
    return match(&sides[0], &sides[1], &left) && match(&sides[2], &sides[3], &right) &&
           left.keys + right.keys > 0 && left.same + right.same >= CURSOR_SAME_MIN;
}
