#include "coordinator/dialects/tool_arguments.h"

#include "common/json/json.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum state {
    STATE_START,    /* before the object */
    STATE_KEY,      /* a name, or nothing more */
    STATE_COLON,    /* behind a name */
    STATE_VALUE,    /* behind a colon */
    STATE_ELEMENT,  /* a value of an array, or nothing more */
    STATE_NEXT,     /* behind a value */
    STATE_STRING,   /* in one */
    STATE_ESCAPE,   /* behind a backslash */
    STATE_HEX,      /* behind \u */
    STATE_LITERAL,  /* in true, false or null */
    STATE_MINUS,    /* behind a number's sign: a digit must follow */
    STATE_ZERO,     /* behind a leading 0 */
    STATE_INTEGER,  /* in the digits before a point */
    STATE_POINT,    /* a digit must follow */
    STATE_FRACTION, /* in the digits behind a point */
    STATE_EXPONENT, /* behind the e: a sign or a digit must follow */
    STATE_SIGN,     /* behind its sign: a digit must follow */
    STATE_POWER,    /* in its digits */
};

static_assert(TOOL_ARGUMENTS_DEPTH_MAX < 64, "tool_arguments.objects has a bit for each level");

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

static bool in_object(const struct tool_arguments *arguments)
{
    return arguments->objects >> arguments->depth & 1;
}

static int give_up(struct tool_arguments *arguments)
{
    arguments->broken = true;
    return 0;
}

/* Appends the comma that waits, and `text`. */
static int say(struct tool_arguments *arguments, const char *text, size_t len, struct buf *out)
{
    int r = arguments->comma ? buf_append_str(out, ",") : 0;
    arguments->comma = false;
    return r ? r : buf_append(out, text, len);
}

static int say_in(struct tool_arguments *arguments, enum state state, char c, struct buf *out)
{
    arguments->state = (uint8_t)state;
    return say(arguments, &c, 1, out);
}

/* --- brackets --- */

static int open_bracket(struct tool_arguments *arguments, char bracket, struct buf *out)
{
    uint64_t bit = UINT64_C(1) << (arguments->depth + 1);
    if (arguments->depth == TOOL_ARGUMENTS_DEPTH_MAX)
        return give_up(arguments);
    arguments->depth++;
    arguments->objects = bracket == '{' ? arguments->objects | bit : arguments->objects & ~bit;
    return say_in(arguments, bracket == '{' ? STATE_KEY : STATE_ELEMENT, bracket, out);
}

static int close_bracket(struct tool_arguments *arguments, struct buf *out)
{
    char bracket = in_object(arguments) ? '}' : ']';
    arguments->comma = false;
    arguments->depth--;
    arguments->closed = arguments->depth == 0;
    return say_in(arguments, STATE_NEXT, bracket, out);
}

/* --- strings --- */

/* A half of a surrogate pair that came without the other. */
static int say_lost_half(struct tool_arguments *arguments, struct buf *out)
{
    bool lost = arguments->high != 0;
    arguments->high = 0;
    return lost ? buf_append_str(out, replacement) : 0;
}

static int say_utf8(uint32_t code, struct buf *out)
{
    char text[4];
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        text[i] = (char)(0x80 | (code & 0x3f));
    static const unsigned char first[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    text[0] = (char)(first[len] | code);
    return buf_append(out, text, len);
}

static int say_plain_unit(uint16_t unit, struct buf *out)
{
    if (unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return buf_append_str(out, replacement);
    if (unit < 0x20 || unit == '"' || unit == '\\')
        return buf_appendf(out, "\\u%04x", unit);
    return say_utf8(unit, out);
}

static int say_unit(struct tool_arguments *arguments, struct buf *out)
{
    uint16_t unit = arguments->unit, high = arguments->high;
    if (high && unit >= 0xdc00 && unit <= 0xdfff) {
        arguments->high = 0;
        return say_utf8(0x10000 + ((high - 0xd800u) << 10) + (unit - 0xdc00u), out);
    }
    int r = say_lost_half(arguments, out);
    if (r || (unit >= 0xd800 && unit <= 0xdbff)) {
        arguments->high = unit;
        return r;
    }
    return say_plain_unit(unit, out);
}

static int take_hex(struct tool_arguments *arguments, char c, struct buf *out)
{
    if (!isxdigit((unsigned char)c))
        return give_up(arguments);
    int digit = isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
    arguments->unit = (uint16_t)(arguments->unit << 4 | digit);
    if (++arguments->hex_digits < 4)
        return 0;
    arguments->state = STATE_STRING;
    return say_unit(arguments, out);
}

static int take_escape(struct tool_arguments *arguments, char c, struct buf *out)
{
    if (c == 'u') {
        arguments->state = STATE_HEX;
        arguments->hex_digits = 0;
        arguments->unit = 0;
        return 0;
    }
    if (c == '\0' || !strchr("\"\\/bfnrt", c))
        return give_up(arguments);
    int r = say_lost_half(arguments, out);
    arguments->state = STATE_STRING;
    return r ? r : buf_append(out, (char[]){'\\', c}, 2);
}

static int end_string(struct tool_arguments *arguments, struct buf *out)
{
    int r = say_lost_half(arguments, out);
    arguments->state = arguments->key ? STATE_COLON : STATE_NEXT;
    return r ? r : buf_append_str(out, "\"");
}

static int say_control(struct tool_arguments *arguments, char c, struct buf *out)
{
    int r = say_lost_half(arguments, out);
    static const char letters[] = "\nn\tt\rr";
    for (size_t i = 0; !r && i + 1 < sizeof(letters); i += 2)
        if (letters[i] == c)
            return buf_append(out, (char[]){'\\', letters[i + 1]}, 2);
    return r ? r : say_plain_unit((uint8_t)c, out);
}

static int take_in_string(struct tool_arguments *arguments, char c, struct buf *out)
{
    if (c == '"')
        return end_string(arguments, out);
    if (c == '\\') {
        arguments->state = STATE_ESCAPE;
        return 0;
    }
    if ((uint8_t)c < 0x20)
        return say_control(arguments, c, out);
    int r = say_lost_half(arguments, out);
    return r ? r : buf_append(out, &c, 1);
}

/* --- numbers --- */

static bool number_is_whole(enum state state)
{
    return state == STATE_ZERO || state == STATE_INTEGER || state == STATE_FRACTION ||
           state == STATE_POWER;
}

/* What a number is in once `c` follows; STATE_NEXT where `c` is no part of it. */
static enum state number_step(enum state state, char c)
{
    bool digit = isdigit((unsigned char)c), exponent = c == 'e' || c == 'E';
    switch (state) {
    case STATE_MINUS:
        return c == '0' ? STATE_ZERO : digit ? STATE_INTEGER : STATE_NEXT;
    case STATE_ZERO:
        return c == '.' ? STATE_POINT : exponent ? STATE_EXPONENT : STATE_NEXT;
    case STATE_INTEGER:
        return digit ? STATE_INTEGER : number_step(STATE_ZERO, c);
    case STATE_POINT:
        return digit ? STATE_FRACTION : STATE_NEXT;
    case STATE_FRACTION:
        return digit ? STATE_FRACTION : exponent ? STATE_EXPONENT : STATE_NEXT;
    case STATE_EXPONENT:
        return digit ? STATE_POWER : c == '+' || c == '-' ? STATE_SIGN : STATE_NEXT;
    default:
        return digit ? STATE_POWER : STATE_NEXT;
    }
}

/* False where no reader takes a number with `c` at its end. One place is kept for the digit that
 * may have to make it whole. */
static bool add_to_number(struct tool_arguments *arguments, enum state next, char c)
{
    char *number = arguments->number;
    size_t len = strlen(number), limit = TOOL_ARGUMENTS_NUMBER_MAX - !number_is_whole(next);
    if (len >= limit)
        return false;
    number[len] = c;
    number[len + 1] = '\0';
    return next != STATE_POWER || isfinite(strtod(number, NULL));
}

static int take(struct tool_arguments *arguments, char c, struct buf *out);

static int take_in_number(struct tool_arguments *arguments, char c, struct buf *out)
{
    enum state state = arguments->state, next = number_step(state, c);
    if (next == STATE_NEXT && number_is_whole(state)) {
        arguments->state = STATE_NEXT;
        return take(arguments, c, out);
    }
    if (next == STATE_NEXT || !add_to_number(arguments, next, c))
        return give_up(arguments);
    return say_in(arguments, next, c, out);
}

/* --- values --- */

static int begin_string(struct tool_arguments *arguments, bool key, struct buf *out)
{
    arguments->key = key;
    return say_in(arguments, STATE_STRING, '"', out);
}

static int begin_literal(struct tool_arguments *arguments, char c, struct buf *out)
{
    static const char *const literals[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof(literals) / sizeof(*literals); i++) {
        if (*literals[i] != c)
            continue;
        arguments->literal = literals[i] + 1;
        return say_in(arguments, STATE_LITERAL, c, out);
    }
    return give_up(arguments);
}

static int take_in_literal(struct tool_arguments *arguments, char c, struct buf *out)
{
    if (c != *arguments->literal)
        return give_up(arguments);
    return say_in(arguments, *++arguments->literal ? STATE_LITERAL : STATE_NEXT, c, out);
}

static int begin_value(struct tool_arguments *arguments, char c, struct buf *out)
{
    if (c == '{' || c == '[')
        return open_bracket(arguments, c, out);
    if (c == '"')
        return begin_string(arguments, false, out);
    if (c != '-' && !isdigit((unsigned char)c))
        return begin_literal(arguments, c, out);
    arguments->number[0] = c;
    arguments->number[1] = '\0';
    return say_in(arguments, c == '-' ? STATE_MINUS : number_step(STATE_MINUS, c), c, out);
}

static int take_next(struct tool_arguments *arguments, char c, struct buf *out)
{
    bool object = in_object(arguments);
    if (c == (object ? '}' : ']'))
        return close_bracket(arguments, out);
    if (c != ',')
        return give_up(arguments);
    arguments->comma = true;
    arguments->state = object ? STATE_KEY : STATE_ELEMENT;
    return 0;
}

static int take_between(struct tool_arguments *arguments, char c, struct buf *out)
{
    switch ((enum state)arguments->state) {
    case STATE_START:
        return c == '{' ? open_bracket(arguments, c, out) : give_up(arguments);
    case STATE_KEY:
        if (c == '"')
            return begin_string(arguments, true, out);
        return c == '}' && !arguments->comma ? close_bracket(arguments, out) : give_up(arguments);
    case STATE_COLON:
        return c == ':' ? say_in(arguments, STATE_VALUE, c, out) : give_up(arguments);
    case STATE_ELEMENT:
        if (c == ']' && !arguments->comma)
            return close_bracket(arguments, out);
        return begin_value(arguments, c, out);
    case STATE_VALUE:
        return begin_value(arguments, c, out);
    default:
        return take_next(arguments, c, out);
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static int take(struct tool_arguments *arguments, char c, struct buf *out)
{
    switch ((enum state)arguments->state) {
    case STATE_STRING:
        return take_in_string(arguments, c, out);
    case STATE_ESCAPE:
        return take_escape(arguments, c, out);
    case STATE_HEX:
        return take_hex(arguments, c, out);
    case STATE_LITERAL:
        return take_in_literal(arguments, c, out);
    case STATE_START:
    case STATE_KEY:
    case STATE_COLON:
    case STATE_VALUE:
    case STATE_ELEMENT:
    case STATE_NEXT:
        return is_blank(c) ? 0 : take_between(arguments, c, out);
    default:
        return take_in_number(arguments, c, out);
    }
}

int tool_arguments_push(
        struct tool_arguments *arguments, const char *text, size_t len, struct buf *out)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < len && !arguments->closed && !arguments->broken; i++)
        r = take(arguments, text[i], out);
    return r;
}

bool tool_arguments_complete(const struct tool_arguments *arguments)
{
    return arguments->closed;
}

/* What makes the token whole that is being said, and a member that has only its name. */
static int close_token(struct tool_arguments *arguments, struct buf *out)
{
    enum state state = arguments->state;
    int r = 0;
    if (state == STATE_STRING || state == STATE_ESCAPE || state == STATE_HEX)
        r = end_string(arguments, out);
    else if (state == STATE_LITERAL)
        r = buf_append_str(out, arguments->literal);
    else if (state == STATE_VALUE)
        r = buf_append_str(out, "null");
    else if (state >= STATE_MINUS && !number_is_whole(state))
        r = buf_append_str(out, "0");
    if (!r && arguments->state == STATE_COLON)
        r = buf_append_str(out, ":null");
    return r;
}

int tool_arguments_close(struct tool_arguments *arguments, struct buf *out)
{
    if (arguments->closed)
        return 0;
    int r = arguments->state == STATE_START ? open_bracket(arguments, '{', out)
                                            : close_token(arguments, out);
    while (!r && arguments->depth > 0)
        r = close_bracket(arguments, out);
    return r;
}
