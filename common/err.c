#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>

/* Foreign bytes go into error texts, and an error text is one line. */
static void flatten(char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c == 0x7f)
            *text = ' ';
    }
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;

    struct err made = {.text = ""};
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(made.text, sizeof(made.text), fmt, args);
    va_end(args);
    flatten(made.text);
    *err = made;
    return code;
}

int err_prefix(struct err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;

    struct err head = {.text = ""};
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(head.text, sizeof(head.text), fmt, args);
    va_end(args);
    return err_set(err, code, "%s: %s", head.text, err->text);
}
