#include "cli/merge/text_lines.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int merge_fail_at(const char *text, size_t at, struct err *err, const char *fmt, ...)
{
    char problem[ERR_TEXT_MAX];
    size_t line = 1;
    va_list args;

    for (size_t i = 0; i < at; i++)
        line += text[i] == '\n';
    va_start(args, fmt);
    vsnprintf(problem, sizeof(problem), fmt, args);
    va_end(args);
    return err_set(err, -EINVAL, "line %zu: %s", line, problem);
}

size_t line_start(const char *text, size_t at)
{
    while (at > 0 && text[at - 1] != '\n')
        at--;
    return at;
}

size_t line_end(const char *text, size_t len, size_t at)
{
    while (at < len && text[at] != '\n')
        at++;
    return at > 0 && at < len && text[at - 1] == '\r' ? at - 1 : at;
}

const char *line_break(const char *text, size_t len)
{
    const char *first = memchr(text, '\n', len);
    const char *end = first ? first : text + len;

    return end > text && end[-1] == '\r' ? "\r\n" : "\n";
}
