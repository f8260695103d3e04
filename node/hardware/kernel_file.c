#include "node/hardware/kernel_file.h"

#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NUMBER_MAX = 32 };

static int read_text(const char *path, char *ret_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    int rc;

    if (fd < 0)
        return -errno;
    n = read(fd, ret_text, size - 1);
    rc = n < 0 ? -errno : 0;
    close(fd);
    if (rc == 0)
        ret_text[n] = '\0';
    return rc;
}

__attribute__((format(printf, 3, 0))) static int read_at(
        char *ret_text, size_t size, const char *fmt, va_list args)
{
    char path[PATH_MAX];
    int len = vsnprintf(path, sizeof path, fmt, args);

    if (len < 0 || (size_t)len >= sizeof path)
        return -ENAMETOOLONG;
    return read_text(path, ret_text, size);
}

int kernel_file_read(char *ret_text, size_t size, const char *fmt, ...)
{
    va_list args;
    int rc;

    va_start(args, fmt);
    rc = read_at(ret_text, size, fmt, args);
    va_end(args);
    return rc;
}

int kernel_file_u64(uint64_t *ret_value, const char *fmt, ...)
{
    char text[NUMBER_MAX];
    va_list args;
    int rc;

    va_start(args, fmt);
    rc = read_at(text, sizeof text, fmt, args);
    va_end(args);
    if (rc < 0)
        return rc;
    text[strcspn(text, "\n")] = '\0';
    return text_parse_u64(text, ret_value, NULL);
}
