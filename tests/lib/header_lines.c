#include "tests/lib/header_lines.h"

#include <string.h>
#include <strings.h>

char *header_lines_read(struct header_lines *lines, char *text)
{
    for (char *end; (end = strchr(text, '\n')); text = end + 1) {
        *end = '\0';
        char *mark = strstr(text, ": ");
        if (end == text)
            return end + 1;
        if (!mark || lines->count == HEADER_LINES_MAX)
            continue;
        *mark = '\0';
        lines->names[lines->count] = text;
        lines->values[lines->count++] = mark + 2;
    }
    return text + strlen(text);
}

const char *header_lines_find(void *ctx, const char *name)
{
    const struct header_lines *lines = ctx;
    for (size_t i = 0; lines && i < lines->count; i++)
        if (strcasecmp(lines->names[i], name) == 0)
            return lines->values[i];
    return NULL;
}
