#include "common/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    TEXT_FRACTION_DIGITS = 6,
    TEXT_FRACTION_ONE = 1000000, /* ten to the power of TEXT_FRACTION_DIGITS */
    TEXT_TOKENS_LEN = 16,        /* letters of a number of tokens */
    TEXT_NEAREST_MAX = 128,      /* names longer than this are near to nothing */
};

#define KI ((uint64_t)1 << 10)
#define MI ((uint64_t)1 << 20)
#define GI ((uint64_t)1 << 30)
#define TI ((uint64_t)1 << 40)

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
        {"", 1},
        {"B", 1},
        {"K", KI},
        {"KB", KI},
        {"KiB", KI},
        {"M", MI},
        {"MB", MI},
        {"MiB", MI},
        {"G", GI},
        {"GB", GI},
        {"GiB", GI},
        {"T", TI},
        {"TB", TI},
        {"TiB", TI},
        {NULL, 0},
};

static const struct unit duration_units[] = {
        {"ms", 1},
        {"s", 1000},
        {"m", UINT64_C(60) * 1000},
        {"h", UINT64_C(60) * 60 * 1000},
        {"d", UINT64_C(24) * 60 * 60 * 1000},
        {NULL, 0},
};

static const struct unit *unit_find(const struct unit *units, const char *name)
{
    for (; units->name; units++) {
        if (strcasecmp(units->name, name) == 0)
            return units;
    }
    return NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads at least one digit and moves `*at` behind the last. */
static int parse_digits(const char **at, uint64_t *ret_value)
{
    const char *p = *at;
    uint64_t value = 0;
    if (!is_digit(*p))
        return -EINVAL;
    for (; is_digit(*p); p++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
                __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return -ERANGE;
    }
    *at = p;
    *ret_value = value;
    return 0;
}

/* Reads ".5" as 500000 millionths; nothing there is 0. */
static int parse_fraction(const char **at, uint64_t *ret_millionths)
{
    const char *p = *at;
    uint64_t value = 0, place = TEXT_FRACTION_ONE;
    if (*p == '.') {
        p++;
        if (!is_digit(*p))
            return -EINVAL;
        for (; is_digit(*p); p++) {
            place /= 10;
            if (place == 0)
                return -EINVAL;
            value += place * (uint64_t)(*p - '0');
        }
    }
    *at = p;
    *ret_millionths = value;
    return 0;
}

static int scale(uint64_t whole, uint64_t millionths, uint64_t factor, uint64_t *ret_value)
{
    uint64_t value;
    if (factor == 1 && millionths != 0)
        return -EINVAL;
    if (__builtin_mul_overflow(whole, factor, &value) ||
            __builtin_add_overflow(value, millionths * factor / TEXT_FRACTION_ONE, &value))
        return -ERANGE;
    *ret_value = value;
    return 0;
}

static int parse_with_unit(const char *text, const struct unit *units, uint64_t *ret_value)
{
    const char *at = text;
    uint64_t whole = 0, millionths = 0;
    int r = parse_digits(&at, &whole);
    if (r == 0)
        r = parse_fraction(&at, &millionths);
    if (r < 0)
        return r;
    const struct unit *unit = unit_find(units, at);
    return unit ? scale(whole, millionths, unit->factor, ret_value) : -EINVAL;
}

int text_parse_size(const char *text, uint64_t *ret_bytes, struct err *err)
{
    int r = parse_with_unit(text, size_units, ret_bytes);
    if (r == -ERANGE)
        return err_set(err, r, "size \"%s\" is more than %" PRIu64 " bytes", text, UINT64_MAX);
    if (r < 0)
        return err_set(
                err, r, "\"%s\" is not a size; write it as 512, 16K, 1.5G, 64MB or 96GiB", text);
    return 0;
}

int text_parse_duration(const char *text, uint64_t *ret_ms, struct err *err)
{
    if (strcmp(text, "0") == 0) {
        *ret_ms = 0;
        return 0;
    }
    int r = parse_with_unit(text, duration_units, ret_ms);
    if (r == -ERANGE)
        return err_set(err, r, "duration \"%s\" is more than %" PRIu64 " ms", text, UINT64_MAX);
    if (r < 0)
        return err_set(err, r,
                "\"%s\" is not a duration; write it as 250ms, 3s, 1.5s, 10m, 2h or 7d", text);
    return 0;
}

int text_parse_tokens(const char *text, uint32_t *ret_tokens, struct err *err)
{
    uint64_t tokens = 0;

    if (strlen(text) > TEXT_TOKENS_LEN || strpbrk(text, "bBtTgG") != NULL ||
            text_parse_size(text, &tokens, NULL) < 0 || tokens == 0 || tokens > TEXT_TOKENS_MAX)
        return err_set(err, -EINVAL,
                "\"%.40s\" is no number of tokens from 1 to 16M, written as 8k, 1M or 40960", text);
    *ret_tokens = (uint32_t)tokens;
    return 0;
}

const char *text_format_tokens(uint32_t tokens, char *buf, size_t size)
{
    bool even = tokens > 0 && tokens % KI == 0;

    if (even && tokens % MI == 0)
        (void)snprintf(buf, size, "%" PRIu64 "M", tokens / MI);
    else if (even)
        (void)snprintf(buf, size, "%" PRIu64 "k", tokens / KI);
    else
        (void)snprintf(buf, size, "%" PRIu32, tokens);
    return buf;
}

int text_parse_u64(const char *text, uint64_t *ret_value, struct err *err)
{
    const char *at = text;
    uint64_t value;
    int r = parse_digits(&at, &value);
    if (r == -ERANGE)
        return err_set(err, r, "number \"%s\" is more than %" PRIu64, text, UINT64_MAX);
    if (r < 0 || *at)
        return err_set(
                err, -EINVAL, "\"%s\" is not a whole number; write it in decimal, as 42", text);
    *ret_value = value;
    return 0;
}

const char *text_format_size(uint64_t bytes, char *buf, size_t size)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    const double next_shown = 1023.95; /* what "%.1f" would print as 1024.0 */

    if (bytes < KI) {
        (void)snprintf(buf, size, "%" PRIu64 " B", bytes);
        return buf;
    }
    size_t unit = 0;
    double value = (double)bytes / (double)KI;
    for (; value >= next_shown; unit++)
        value /= (double)KI;
    (void)snprintf(buf, size, "%.1f %s", value, names[unit]);
    return buf;
}

const char *text_format_age(uint64_t ms, char *buf, size_t size)
{
    const uint64_t s = ms / 1000, min = s / 60, h = min / 60, d = h / 24;
    if (d)
        (void)snprintf(buf, size, "%" PRIu64 " d", d);
    else if (h)
        (void)snprintf(buf, size, "%" PRIu64 " h", h);
    else if (min)
        (void)snprintf(buf, size, "%" PRIu64 " min", min);
    else
        (void)snprintf(buf, size, "%" PRIu64 " s", s);
    return buf;
}

/* An IPv6 address with or without a scope: "fe80::1%eth0". */
static bool is_ipv6(const char *host)
{
    char bare[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    size_t len = strcspn(host, "%");
    if (len >= sizeof(bare) || (host[len] == '%' && host[len + 1] == '\0'))
        return false;
    memcpy(bare, host, len);
    bare[len] = '\0';
    return inet_pton(AF_INET6, bare, &addr) == 1;
}

/* A name, or an IPv4 address: what looks like one has to be one. */
static bool is_name_or_ipv4(const char *host)
{
    struct in_addr addr;
    bool numeric = true;
    for (const char *p = host; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
            return false;
        numeric = numeric && (is_digit(*p) || *p == '.');
    }
    return *host && (!numeric || inet_pton(AF_INET, host, &addr) == 1);
}

static int parse_port(const char *text, uint16_t *ret_port)
{
    uint64_t port = 0;
    if (text_parse_u64(text, &port, NULL) < 0 || port > UINT16_MAX)
        return -EINVAL;
    *ret_port = (uint16_t)port;
    return 0;
}

/* Writes the host without its brackets. NULL, or what is wrong with it. */
static const char *parse_host(const char *text, size_t len, struct text_addr *addr)
{
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (bracketed) {
        text++;
        len -= 2;
    }
    if (len == 0)
        return "the host is missing";
    if (len >= sizeof(addr->host))
        return "the host is too long";
    memcpy(addr->host, text, len);
    addr->host[len] = '\0';
    if (bracketed)
        return is_ipv6(addr->host) ? NULL : "no IPv6 address is between the brackets";
    if (is_ipv6(addr->host))
        return "an IPv6 address needs brackets";
    return is_name_or_ipv4(addr->host) ? NULL : "the host is neither a name nor an address";
}

int text_parse_addr(const char *text, struct text_addr *ret_addr, struct err *err)
{
    static const char form[] = "write it as 127.0.0.1:8420, [::1]:8420 or box.local:8420";
    struct text_addr addr = {.port = 0};
    const char *colon = strrchr(text, ':');
    const char *wrong = "the port is missing";
    if (colon && !strchr(colon, ']'))
        wrong = parse_host(text, (size_t)(colon - text), &addr);
    if (!wrong && parse_port(colon + 1, &addr.port) < 0)
        wrong = "the port is not a number from 0 to 65535";
    if (wrong)
        return err_set(err, -EINVAL, "address \"%s\": %s; %s", text, wrong, form);
    *ret_addr = addr;
    return 0;
}

static size_t min_of_three(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's distance, one row at a time. Both are at most TEXT_NEAREST_MAX long. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[TEXT_NEAREST_MAX + 1];
    size_t b_len = strlen(b);
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            size_t differs = tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]);
            row[j] = min_of_three(above + 1, row[j - 1] + 1, diagonal + differs);
            diagonal = above;
        }
    }
    return row[b_len];
}

const char *text_nearest(const char *text, const char *const *names)
{
    size_t len = strlen(text);
    if (len == 0 || len > TEXT_NEAREST_MAX)
        return NULL;
    size_t allowed = len / 3 > 2 ? len / 3 : 2;
    size_t best = (allowed < len ? allowed : len - 1) + 1;
    const char *nearest = NULL;
    for (; *names; names++) {
        if (strlen(*names) > TEXT_NEAREST_MAX)
            continue;
        size_t distance = edit_distance(text, *names);
        if (distance < best) {
            best = distance;
            nearest = *names;
        }
    }
    return nearest;
}

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* The lengths and the ranges of the second byte are those of RFC 3629, section 4: no overlong
 * forms, no surrogates, nothing past U+10FFFF. */
static size_t sequence_len(const unsigned char *s, size_t len)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t need = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len < need)
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if (!is_continuation(s[i]))
            return 0;
    }
    return need;
}

size_t text_utf8_seq(const char *data, size_t len)
{
    const unsigned char *s = (const unsigned char *)data;
    if (len == 0)
        return 0;
    return s[0] < 0x80 ? 1 : sequence_len(s, len);
}

size_t text_utf8_cut(const char *data, size_t len, size_t max)
{
    if (len <= max)
        return len;
    size_t lead = max;
    while (lead > 0 && max - lead < 3 && is_continuation((unsigned char)data[lead]))
        lead--;
    return lead + text_utf8_seq(data + lead, len - lead) > max ? lead : max;
}

/* Without the part of a character at its end. */
static size_t whole_characters(const char *text, size_t len)
{
    size_t last = len;
    while (last > 0 && is_continuation((unsigned char)text[last - 1]))
        last--;
    if (last == 0)
        return 0;
    last--;
    return last + text_utf8_seq(text + last, len - last) == len ? len : last;
}

void text_write(struct text_writer *to, const char *fmt, ...)
{
    size_t room = to->size - to->len;
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(to->text + to->len, room, fmt, args);
    va_end(args);
    if (len < 0)
        return;
    if ((size_t)len < room) {
        to->len += (size_t)len;
        return;
    }
    to->len += whole_characters(to->text + to->len, room - 1);
    to->text[to->len] = '\0';
    to->size = to->len + 1; /* full */
}

bool text_write_name(struct text_writer *to, const char *name)
{
    const char *comma = to->len > 0 ? ", " : "";
    if (to->len + strlen(comma) + strlen(name) + sizeof(", …") <= to->size) {
        text_write(to, "%s%s", comma, name);
        return true;
    }
    text_write(to, "%s…", comma);
    to->size = to->len + 1; /* full */
    return false;
}
