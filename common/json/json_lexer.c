#include "common/json/json_lexer.h"

#include "common/text.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

void json_lexer_init(struct json_lexer *lexer, const char *text, size_t len)
{
    *lexer = (struct json_lexer){.text = text, .len = len};
}

static int fail_at(struct json_lexer *lexer, size_t at, const char *problem)
{
    lexer->at = at;
    lexer->problem = problem;
    return -EINVAL;
}

/* '\0' behind the end: no token holds that byte, so callers need no second check. */
static char peek(const struct json_lexer *lexer)
{
    return lexer->at < lexer->len ? lexer->text[lexer->at] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int json_hex4(const char *at, size_t left)
{
    int value = 0;

    if (left < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* `at` is the backslash of a \u escape. A pair of surrogates is taken whole. */
static int take_unicode(struct json_lexer *lexer, size_t at)
{
    const char *text = lexer->text;
    int unit = json_hex4(text + at + 2, lexer->len - at - 2);

    lexer->at = at + 6;
    if (unit < 0)
        return fail_at(lexer, at, "\\u needs four hex digits");
    if (unit == 0)
        return fail_at(lexer, at, "\\u0000 is not supported in strings");
    if (unit < 0xd800 || unit > 0xdfff)
        return 0;

    size_t left = lexer->len - lexer->at;
    const char *next = text + lexer->at;
    int low = left >= 2 && next[0] == '\\' && next[1] == 'u' ? json_hex4(next + 2, left - 2) : -1;
    if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return fail_at(lexer, at, "half of a surrogate pair");
    lexer->at += 6;
    return 0;
}

static int take_escape(struct json_lexer *lexer)
{
    size_t at = lexer->at;
    char c = at + 1 < lexer->len ? lexer->text[at + 1] : '\0';

    if (c == 'u')
        return take_unicode(lexer, at);
    if (c == '\0' || !strchr("\"\\/bfnrt", c))
        return fail_at(lexer, at, "unknown escape in a string");
    lexer->at += 2;
    return 0;
}

static int take_utf8(struct json_lexer *lexer)
{
    size_t n = text_utf8_seq(lexer->text + lexer->at, lexer->len - lexer->at);

    if (n == 0)
        return fail_at(lexer, lexer->at, "bytes that are not UTF-8");
    lexer->at += n;
    return 0;
}

static bool is_plain_ascii(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Eight at once: a subtraction borrows from a byte's highest bit where the byte is too small. */
static bool are_plain_ascii(const char *text)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t bytes;

    memcpy(&bytes, text, sizeof(bytes));
    uint64_t controls = bytes - ones * 0x20;
    uint64_t quotes = (bytes ^ ones * '"') - ones;
    uint64_t backslashes = (bytes ^ ones * '\\') - ones;
    return !((bytes | controls | quotes | backslashes) & ones * 0x80);
}

static void skip_plain_ascii(struct json_lexer *lexer)
{
    while (lexer->len - lexer->at >= sizeof(uint64_t) && are_plain_ascii(lexer->text + lexer->at))
        lexer->at += sizeof(uint64_t);
    while (lexer->at < lexer->len && is_plain_ascii((uint8_t)lexer->text[lexer->at]))
        lexer->at++;
}

static int take_string(struct json_lexer *lexer)
{
    size_t start = lexer->at++;

    for (;;) {
        int r;

        skip_plain_ascii(lexer);
        if (lexer->at == lexer->len)
            return fail_at(lexer, start, "the string that begins here has no end");
        if (peek(lexer) == '"')
            break;
        if (peek(lexer) == '\\')
            r = take_escape(lexer);
        else if ((uint8_t)peek(lexer) < 0x20)
            r = fail_at(lexer, lexer->at, "a control character in a string must be escaped");
        else
            r = take_utf8(lexer);
        if (r < 0)
            return r;
    }
    lexer->at++;
    return 0;
}

static bool take_digits(struct json_lexer *lexer)
{
    size_t start = lexer->at;

    while (is_digit(peek(lexer)))
        lexer->at++;
    return lexer->at > start;
}

/* True where `c` is there; takes it. */
static bool take_char(struct json_lexer *lexer, char c)
{
    if (peek(lexer) != c)
        return false;
    lexer->at++;
    return true;
}

static bool take_number_grammar(struct json_lexer *lexer)
{
    take_char(lexer, '-');
    if (!take_char(lexer, '0') && !take_digits(lexer))
        return false;
    if (take_char(lexer, '.') && !take_digits(lexer))
        return false;
    if (!take_char(lexer, 'e') && !take_char(lexer, 'E'))
        return true;
    if (!take_char(lexer, '+'))
        take_char(lexer, '-');
    return take_digits(lexer);
}

static int take_number(struct json_lexer *lexer)
{
    size_t start = lexer->at;

    if (!take_number_grammar(lexer) || is_digit(peek(lexer)))
        return fail_at(lexer, start, "not a number");
    if (lexer->at - start > JSON_NUMBER_MAX)
        return fail_at(lexer, start, "a number of more than 63 characters");
    return 0;
}

static int take_word(struct json_lexer *lexer)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        size_t n = strlen(words[i]);
        if (lexer->len - lexer->at < n || memcmp(lexer->text + lexer->at, words[i], n) != 0)
            continue;
        lexer->at += n;
        return 0;
    }
    return fail_at(lexer, lexer->at, "no JSON value begins like this");
}

static void skip_blanks(struct json_lexer *lexer)
{
    while (lexer->at < lexer->len && memchr(" \t\r\n", lexer->text[lexer->at], 4))
        lexer->at++;
}

static enum json_token_type type_by_first(char c)
{
    switch (c) {
    case '{':
        return JSON_TOKEN_OBJECT_OPEN;
    case '}':
        return JSON_TOKEN_OBJECT_CLOSE;
    case '[':
        return JSON_TOKEN_ARRAY_OPEN;
    case ']':
        return JSON_TOKEN_ARRAY_CLOSE;
    case ':':
        return JSON_TOKEN_COLON;
    case ',':
        return JSON_TOKEN_COMMA;
    case '"':
        return JSON_TOKEN_STRING;
    default:
        return c == '-' || is_digit(c) ? JSON_TOKEN_NUMBER : JSON_TOKEN_WORD;
    }
}

static int take_token(struct json_lexer *lexer, enum json_token_type type)
{
    switch (type) {
    case JSON_TOKEN_END:
        return 0;
    case JSON_TOKEN_STRING:
        return take_string(lexer);
    case JSON_TOKEN_NUMBER:
        return take_number(lexer);
    case JSON_TOKEN_WORD:
        return take_word(lexer);
    default:
        lexer->at++;
        return 0;
    }
}

int json_lexer_next(struct json_lexer *lexer, struct json_token *ret_token)
{
    struct json_token token = {.type = JSON_TOKEN_END};

    skip_blanks(lexer);
    token.start = lexer->at;
    if (lexer->at < lexer->len)
        token.type = type_by_first(lexer->text[lexer->at]);

    int r = take_token(lexer, token.type);
    if (r < 0)
        return r;
    token.end = lexer->at;
    *ret_token = token;
    return 0;
}
