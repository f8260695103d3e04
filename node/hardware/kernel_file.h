/* Reads the small text files in which the kernel tells its numbers, below /proc and /sys. What is
 * not there, or is no number, is an error that the caller weighs: none of these files is sure to
 * exist. */
#pragma once

#include "common/buf.h"

#include <stddef.h>
#include <stdint.h>

/* The file at the formatted path, cut at `size` - 1 bytes and terminated. 0 or a negative errno. */
MUST_CHECK int kernel_file_read(char *ret_text, size_t size, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

/* A file of one decimal number and a newline. -EINVAL, -ERANGE where it is something else. */
MUST_CHECK int kernel_file_u64(uint64_t *ret_value, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
