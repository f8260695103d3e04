#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_c0(unsigned char byte)
{
    return (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
}

size_t terminal_strip(char *text, size_t len)
{
    size_t kept = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];

        /* Looks at what was kept: a byte taken out between the two must not make them one. */
        if (kept && (unsigned char)text[kept - 1] == 0xc2 && byte >= 0x80 && byte < 0xa0)
            kept--;
        else if (!is_c0(byte))
            text[kept++] = text[i];
    }
    return kept;
}

const char *terminal_line(const char *text, char *buf, size_t size)
{
    snprintf(buf, size, "%s", text);
    buf[terminal_strip(buf, strlen(buf))] = '\0';
    for (char *at = buf; *at; at++)
        if (*at == '\n' || *at == '\t')
            *at = ' ';
    return buf;
}

bool terminal_is_smart(FILE *out)
{
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");

    return isatty(fileno(out)) && term && strcmp(term, "dumb") != 0 && !(no_color && *no_color);
}
