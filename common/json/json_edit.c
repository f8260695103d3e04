#include "common/json/json.h"
#include "common/json/json_lexer.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

struct edit {
    struct buf *out;
    struct json_lexer lexer;
    const struct json_member *set;
    size_t set_count;
    uint64_t done; /* bit i: set[i] has been written or needs no writing */
    bool wrote_member;
};

/* One member with the blanks around it: all that lies between two of `{`, `,` and `}`. */
struct span {
    size_t start, end;
    size_t value_start, value_end;
    struct json_token key;
    bool last;
};

static int unescape_letter(char letter)
{
    static const char pairs[] = "b\bf\fn\nr\rt\t";

    for (size_t i = 0; i + 1 < sizeof(pairs); i += 2)
        if (pairs[i] == letter)
            return pairs[i + 1];
    return letter;
}

/* Takes one UTF-16 unit or one byte from the body of a string that the lexer has passed. */
static int unescape_next(const char *body, size_t len, size_t *at)
{
    if (body[*at] != '\\')
        return (uint8_t)body[(*at)++];
    char letter = body[*at + 1];
    *at += 2;
    if (letter != 'u')
        return unescape_letter(letter);
    int unit = json_hex4(body + *at, len - *at);
    *at += 4;
    return unit;
}

/* `key` is ASCII, so a unit or byte past 0x7f never equals one of its letters. */
static bool key_equals(const char *body, size_t len, const char *key)
{
    size_t at = 0;

    for (; *key; key++)
        if (at == len || unescape_next(body, len, &at) != *key)
            return false;
    return at == len;
}

static const struct json_member *find_set(const struct edit *edit, const struct json_token *key)
{
    const char *body = edit->lexer.text + key->start + 1;
    size_t len = key->end - key->start - 2;

    for (size_t i = 0; i < edit->set_count; i++)
        if (key_equals(body, len, edit->set[i].key))
            return &edit->set[i];
    return NULL;
}

/* True the first time for each member. */
static bool mark_done(struct edit *edit, const struct json_member *member)
{
    uint64_t bit = UINT64_C(1) << (member - edit->set);
    bool first = !(edit->done & bit);

    edit->done |= bit;
    return first;
}

static int take_type(
        struct json_lexer *lexer, enum json_token_type type, struct json_token *ret_token)
{
    int r = json_lexer_next(lexer, ret_token);

    if (r < 0)
        return r;
    return ret_token->type == type ? 0 : -EINVAL;
}

static int nesting_step(enum json_token_type type)
{
    if (type == JSON_TOKEN_OBJECT_OPEN || type == JSON_TOKEN_ARRAY_OPEN)
        return 1;
    return type == JSON_TOKEN_OBJECT_CLOSE || type == JSON_TOKEN_ARRAY_CLOSE ? -1 : 0;
}

/* Takes a value of any depth, counting brackets only: json_parse() has checked how they match. */
static int take_value(struct json_lexer *lexer, struct span *span)
{
    struct json_token token;
    size_t depth = 0;
    bool first = true;

    do {
        int r = json_lexer_next(lexer, &token);
        int step = r < 0 ? 0 : nesting_step(token.type);

        if (r < 0 || token.type == JSON_TOKEN_END || (depth == 0 && step < 0))
            return -EINVAL;
        if (first)
            span->value_start = token.start;
        first = false;
        depth += (size_t)step;
    } while (depth > 0);
    span->value_end = token.end;
    return 0;
}

/* Takes the member whose key token is `key`, and the comma or bracket behind it. */
static int take_member(struct json_lexer *lexer, size_t start, struct span *ret_span)
{
    struct span span = {.start = start};
    struct json_token token;
    int r = take_type(lexer, JSON_TOKEN_STRING, &span.key);

    if (r == 0)
        r = take_type(lexer, JSON_TOKEN_COLON, &token);
    if (r == 0)
        r = take_value(lexer, &span);
    if (r == 0)
        r = json_lexer_next(lexer, &token);
    if (r < 0)
        return r;
    if (token.type != JSON_TOKEN_COMMA && token.type != JSON_TOKEN_OBJECT_CLOSE)
        return -EINVAL;
    span.end = token.start;
    span.last = token.type == JSON_TOKEN_OBJECT_CLOSE;
    *ret_span = span;
    return 0;
}

static int write_comma(struct edit *edit)
{
    bool needed = edit->wrote_member;

    edit->wrote_member = true;
    return needed ? buf_append(edit->out, ",", 1) : 0;
}

static int write_range(struct edit *edit, size_t start, size_t end)
{
    return buf_append(edit->out, edit->lexer.text + start, end - start);
}

static int write_kept(struct edit *edit, const struct span *span)
{
    int r = write_comma(edit);

    return r < 0 ? r : write_range(edit, span->start, span->end);
}

static int write_replaced(struct edit *edit, const struct span *span, const char *value)
{
    int r = write_comma(edit);

    if (r == 0)
        r = write_range(edit, span->start, span->value_start);
    if (r == 0)
        r = buf_append_str(edit->out, value);
    if (r == 0)
        r = write_range(edit, span->value_end, span->end);
    return r;
}

static int write_member(struct edit *edit, const struct span *span)
{
    const struct json_member *member = find_set(edit, &span->key);

    if (!member)
        return write_kept(edit, span);
    if (!mark_done(edit, member) || !member->value)
        return 0;
    return write_replaced(edit, span, member->value);
}

static int write_new_member(struct edit *edit, const struct json_member *member)
{
    int r = write_comma(edit);

    return r < 0 ? r : buf_appendf(edit->out, "\"%s\":%s", member->key, member->value);
}

static int write_new_members(struct edit *edit)
{
    for (size_t i = 0; i < edit->set_count; i++) {
        if (!edit->set[i].value || !mark_done(edit, &edit->set[i]))
            continue;
        int r = write_new_member(edit, &edit->set[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int edit_members(struct edit *edit)
{
    struct json_lexer *lexer = &edit->lexer;
    struct span span = {.last = false};

    do {
        int r = take_member(lexer, lexer->at, &span);
        if (r == 0)
            r = write_member(edit, &span);
        if (r < 0)
            return r;
    } while (!span.last);
    return 0;
}

/* True for an object without members; takes its closing bracket. */
static bool take_empty(struct json_lexer *lexer)
{
    struct json_lexer ahead = *lexer;
    struct json_token token;

    if (take_type(&ahead, JSON_TOKEN_OBJECT_CLOSE, &token) < 0)
        return false;
    *lexer = ahead;
    return true;
}

static int edit_object(struct edit *edit)
{
    struct json_lexer *lexer = &edit->lexer;
    struct json_token open, end;
    int r = take_type(lexer, JSON_TOKEN_OBJECT_OPEN, &open);

    if (r == 0)
        r = write_range(edit, 0, open.end);
    if (r == 0 && !take_empty(lexer))
        r = edit_members(edit);
    if (r == 0)
        r = write_new_members(edit);
    if (r == 0)
        r = write_range(edit, lexer->at - 1, lexer->len);
    return r < 0 ? r : take_type(lexer, JSON_TOKEN_END, &end);
}

static int find_member(struct json_lexer *lexer, const char *key, struct span *ret_span)
{
    do {
        int r = take_member(lexer, lexer->at, ret_span);
        if (r < 0)
            return r;
        const struct json_token *name = &ret_span->key;
        if (key_equals(lexer->text + name->start + 1, name->end - name->start - 2, key))
            return 0;
    } while (!ret_span->last);
    return -ENOENT;
}

int json_find(
        const char *text, size_t len, const char *key, const char **ret_value, size_t *ret_len)
{
    struct json_token open;
    struct json_lexer lexer;
    struct span span;

    json_lexer_init(&lexer, text, len);
    int r = take_type(&lexer, JSON_TOKEN_OBJECT_OPEN, &open);
    if (r == 0)
        r = take_empty(&lexer) ? -ENOENT : find_member(&lexer, key, &span);
    if (r < 0)
        return r;
    *ret_value = text + span.value_start;
    *ret_len = span.value_end - span.value_start;
    return 0;
}

int json_edit(
        struct buf *out, const char *text, size_t len, const struct json_member *set, size_t n)
{
    struct edit edit = {.out = out, .set = set, .set_count = n};
    size_t len_before = out->len;

    assert(n <= JSON_EDIT_MAX);
    json_lexer_init(&edit.lexer, text, len);
    int r = edit_object(&edit);
    if (r < 0)
        out->len = len_before;
    return r;
}
