#include "bench/sim/report/plot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct plot_file {
    char *path;
    int fd;
    bool is_regular;
    char *unwritten; /* what to remove: a new file, behind links; NULL: it stays */
};

enum { NEW_FILE_MODE = 0666, FLAGS = O_WRONLY | O_NONBLOCK | O_CLOEXEC };

static int open_new(struct plot_file *file)
{
    file->fd = open(file->path, FLAGS | O_CREAT, NEW_FILE_MODE);
    if (file->fd < 0)
        return -errno;
    file->unwritten = realpath(file->path, NULL);
    return 0;
}

static int open_any(struct plot_file *file)
{
    file->fd = open(file->path, FLAGS);
    if (file->fd >= 0)
        return 0;
    return errno == ENOENT ? open_new(file) : -errno;
}

static bool is_null_device(const struct stat *at)
{
    struct stat null;

    return S_ISCHR(at->st_mode) && stat("/dev/null", &null) == 0 && at->st_rdev == null.st_rdev;
}

static bool is_same_file(const struct stat *at, const char *path)
{
    struct stat other;

    return stat(path, &other) == 0 && at->st_dev == other.st_dev && at->st_ino == other.st_ino;
}

static int check(struct plot_file *file, const char *trace, struct err *err)
{
    struct stat at;

    if (fstat(file->fd, &at) < 0)
        return err_set(err, -errno, "--plot %s: %s", file->path, strerror(errno));
    file->is_regular = S_ISREG(at.st_mode);
    if (!file->is_regular && !is_null_device(&at))
        return err_set(err, -EINVAL, "--plot %s: it is no regular file", file->path);
    if (*trace && is_same_file(&at, trace))
        return err_set(
                err, -EINVAL, "--plot %s: it is the trace itself; name another file", file->path);
    return 0;
}

static int open_checked(struct plot_file *file, const char *trace, struct err *err)
{
    int r = open_any(file);

    if (r == -ENXIO) /* a pipe that nobody reads, or a socket */
        return err_set(err, -EINVAL, "--plot %s: it is no regular file", file->path);
    if (r < 0)
        return err_set(err, r, "--plot %s: %s", file->path, strerror(-r));
    return check(file, trace, err);
}

int plot_file_open(
        const char *path, const char *trace, struct plot_file **ret_file, struct err *err)
{
    struct plot_file *file = calloc(1, sizeof(*file));
    int r;

    if (!file)
        return err_set(err, -ENOMEM, "no memory for the plot");
    file->fd = -1;
    file->path = strdup(path);
    r = file->path ? open_checked(file, trace, err)
                   : err_set(err, -ENOMEM, "no memory for the plot");
    if (r < 0) {
        plot_file_close(file);
        return r;
    }
    *ret_file = file;
    return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* Some file systems tell only here that there is no room. */
static int close_fd(struct plot_file *file)
{
    int fd = file->fd;

    file->fd = -1;
    return close(fd) < 0 ? -errno : 0;
}

int plot_file_write(struct plot_file *file, const struct buf *text, struct err *err)
{
    int r = file->is_regular && ftruncate(file->fd, 0) < 0 ? -errno : 0;

    if (r == 0)
        r = write_all(file->fd, buf_at(text), text->len);
    if (r == 0)
        r = close_fd(file);
    if (r < 0)
        return err_set(err, r, "--plot %s: %s", file->path, strerror(-r));
    free(file->unwritten);
    file->unwritten = NULL;
    return 0;
}

void plot_file_close(struct plot_file *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    if (file->unwritten)
        unlink(file->unwritten);
    free(file->unwritten);
    free(file->path);
    free(file);
}
