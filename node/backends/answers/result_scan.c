#include "node/backends/answers/result_scan.h"

#include <errno.h>
#include <string.h>

void result_scan_init(struct result_scan *scan, const char *wanted, size_t kept_max)
{
    *scan = (struct result_scan){.wanted = wanted};
    buf_init(&scan->kept, kept_max);
}

void result_scan_fini(struct result_scan *scan)
{
    buf_fini(&scan->kept);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool key_is_wanted(const struct result_scan *scan)
{
    size_t len = strlen(scan->wanted);

    return scan->key_len == len && memcmp(scan->key, scan->wanted, len) == 0;
}

/* The length goes on where there is no room, so that a longer key equals none. */
static void add_to_key(struct result_scan *scan, char c)
{
    if (scan->key_len < sizeof(scan->key))
        scan->key[scan->key_len] = c;
    scan->key_len++;
}

static void take_in_string(struct result_scan *scan, char c)
{
    if (scan->escaped)
        scan->escaped = false;
    else if (c == '\\')
        scan->escaped = true;
    else if (c == '"')
        scan->in_string = false;
    if (scan->in_string && scan->depth == 1 && !scan->after_colon)
        add_to_key(scan, c);
}

static int take_open(struct result_scan *scan, char c, struct err *err)
{
    if (scan->depth == RESULT_DEPTH_MAX)
        return err_set(err, -EMSGSIZE, "the engine's answer is nested deeper than %d levels",
                RESULT_DEPTH_MAX);
    scan->closers[scan->depth++] = c == '{' ? '}' : ']';
    return 0;
}

static bool take_close(struct result_scan *scan, char c)
{
    if (scan->depth == 0 || scan->closers[scan->depth - 1] != c)
        return false;
    scan->depth--;
    scan->over = scan->depth == 0;
    return true;
}

static void take_quote(struct result_scan *scan)
{
    scan->in_string = true;
    if (scan->depth == 1 && !scan->after_colon)
        scan->key_len = 0;
}

static void take_colon(struct result_scan *scan)
{
    if (scan->depth != 1 || scan->after_colon)
        return;
    scan->after_colon = true;
    scan->capturing = !scan->found && key_is_wanted(scan);
    scan->found |= scan->capturing;
}

static void take_comma(struct result_scan *scan)
{
    if (scan->depth == 1)
        scan->after_colon = scan->capturing = false;
    if (scan->depth == 2)
        scan->in_entry = false;
}

static void count_entry(struct result_scan *scan)
{
    if (scan->capturing && scan->depth == 2 && !scan->in_entry) {
        scan->in_entry = true;
        scan->entries++;
    }
}

static int fail(struct err *err)
{
    return err_set(err, -EPROTO, "the engine's answer is not the JSON that it should be");
}

/* One byte outside of strings, which is no blank. */
static int take_mark(struct result_scan *scan, char c, struct err *err)
{
    if (scan->over || (scan->depth == 0 && c != '{'))
        return fail(err);
    if (c != ',' && c != ']' && c != '}')
        count_entry(scan);
    switch (c) {
    case '"':
        take_quote(scan);
        return 0;
    case '{':
    case '[':
        return take_open(scan, c, err);
    case '}':
    case ']':
        return take_close(scan, c) ? 0 : fail(err);
    case ':':
        take_colon(scan);
        return 0;
    case ',':
        take_comma(scan);
        return 0;
    default:
        return 0;
    }
}

static int keep(struct result_scan *scan, const char *data, size_t len)
{
    int r = scan->too_long ? 0 : buf_append(&scan->kept, data, len);

    if (r != -ENOBUFS)
        return r;
    scan->too_long = true;
    buf_clear(&scan->kept);
    return 0;
}

static int take(struct result_scan *scan, char c, struct err *err)
{
    if (!scan->in_string)
        return is_blank(c) ? 0 : take_mark(scan, c, err);
    take_in_string(scan, c);
    return 0;
}

int result_scan_push(struct result_scan *scan, const char *data, size_t len, struct err *err)
{
    size_t start = 0; /* of what belongs to the wanted value */

    if (len > RESULT_BYTES_MAX - scan->bytes)
        return err_set(err, -EMSGSIZE, "the answer is longer than %d MiB: ask for less at once",
                RESULT_BYTES_MAX / 1024 / 1024);
    scan->bytes += len;
    for (size_t i = 0; i < len; i++) {
        bool before = scan->capturing;
        int r = take(scan, data[i], err);

        if (scan->over)
            scan->capturing = false;
        if (r == 0 && before && !scan->capturing)
            r = keep(scan, data + start, i - start);
        if (r < 0)
            return r;
        if (!before && scan->capturing)
            start = i + 1;
    }
    return scan->capturing ? keep(scan, data + start, len - start) : 0;
}

bool result_scan_complete(const struct result_scan *scan)
{
    return scan->over;
}
