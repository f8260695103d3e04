#include "coordinator/dialects/exact_numbers.h"

#include <errno.h>
#include <float.h>
#include <stdbool.h>
#include <string.h>

struct scan { /* of the text, which is known to be JSON */
    const char *at, *end;
    const char *key;
};

static void skip_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end && *scan->at != '"'; scan->at++)
        scan->at += *scan->at == '\\';
    scan->at++;
}

/* Length of the next number; it begins at `scan->at`. */
static size_t find_number(struct scan *scan)
{
    while (scan->at < scan->end && !strchr("-0123456789", *scan->at)) {
        if (*scan->at == '"')
            skip_string(scan);
        else
            scan->at++;
    }
    size_t len = 0;
    while (len < (size_t)(scan->end - scan->at) && strchr("-+.eE0123456789", scan->at[len]))
        len++;
    return len;
}

static int make_raw(cJSON *number, const char *text, size_t len)
{
    char *copy = cJSON_malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, text, len);
    copy[len] = '\0';
    number->valuestring = copy;
    number->type = (number->type & ~0xff) | cJSON_Raw;
    return 0;
}

static int keep_number(struct scan *scan, cJSON *number, bool below)
{
    size_t len = find_number(scan);
    int r = below && len > DBL_DIG ? make_raw(number, scan->at, len) : 0;
    scan->at += len;
    return r;
}

/* Walks the tree in the order of the text. */
static int keep(struct scan *scan, cJSON *json, bool below)
{
    cJSON *item;
    int r = cJSON_IsNumber(json) ? keep_number(scan, json, below) : 0;
    cJSON_ArrayForEach(item, json)
    {
        if (!r)
            r = keep(scan, item, below || (item->string && strcmp(item->string, scan->key) == 0));
    }
    return r;
}

int exact_numbers_keep(cJSON *json, const char *key, const char *text, size_t len)
{
    struct scan scan = {.at = text, .end = text + len, .key = key};
    return keep(&scan, json, false);
}
