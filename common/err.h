/* Error text for people. A function that can fail returns 0 or a negative errno and writes into the
 * caller's `struct err` what was tried, with which value, and what to do about it. The caller owns
 * the struct (usually on its stack); every function here accepts NULL for "nobody reads it".
 * Any thread. */
#pragma once

#include <stddef.h>

enum { ERR_TEXT_MAX = 512 };

struct err {
    char text[ERR_TEXT_MAX]; /* one line, no final newline, cut at the limit, never unterminated */
};

/* Formats the text and returns `code` (a negative errno), so that `return err_set(err, -EINVAL, …)`
 * is the whole error path. Arguments may point into `err->text` itself. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<formatted>: " before the text that is already there and returns `code`. */
int err_prefix(struct err *err, int code, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
