#include "common/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PRIVATE_DIR_MODE = 0700 };

/* What the ways to read differ in is `forbidden`: mode bits that the file may not have, and what is
 * said of a file that has one. */
struct want {
    const char *path;
    size_t max_bytes;
    mode_t forbidden;
    const char *complaint;
};

/* Takes `errno` of the call that has just failed. */
static int fail_errno(struct err *err, const char *verb, const char *path)
{
    int code = errno;
    return err_set(err, -code, "cannot %s %s: %s", verb, path, strerror(code));
}

static int make_dirs(const char *path, struct err *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof(part))
        return err_set(err, -ENAMETOOLONG, "cannot make folder %s: the path is too long", path);
    memcpy(part, path, len + 1);

    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, PRIVATE_DIR_MODE) < 0 && errno != EEXIST)
            return fail_errno(err, "make folder", part);
        part[i] = path[i];
    }
    return 0;
}

static int make_private(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_errno(err, "look at folder", path);
    if (st.st_mode & S_ISVTX)
        return err_set(err, -EPERM, "folder %s is shared by all users; name one below it", path);
    if (st.st_uid != geteuid())
        return err_set(err, -EPERM,
                "folder %s belongs to user %u, and we are user %u; chown it or name another", path,
                (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & 07777) != PRIVATE_DIR_MODE && fchmod(fd, PRIVATE_DIR_MODE) < 0)
        return fail_errno(err, "set mode 0700 on folder", path);
    return 0;
}

int file_make_private_dir(const char *path, struct err *err)
{
    int r = make_dirs(path, err);
    if (r < 0)
        return r;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "open folder", path);
    r = make_private(fd, path, err);
    close(fd);
    return r;
}

static int check_file(const struct want *want, const struct stat *st, struct err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, -EINVAL, "cannot read %s: not a regular file", want->path);
    if (st->st_mode & want->forbidden)
        return err_set(err, -EPERM, "%s %s (mode %04o); run: chmod 600 %s", want->path,
                want->complaint, (unsigned)(st->st_mode & 07777), want->path);
    if ((uint64_t)st->st_size > want->max_bytes)
        return err_set(err, -EFBIG, "%s is larger than the limit of %zu bytes", want->path,
                want->max_bytes);
    return 0;
}

/* Reads until the end or until `size` bytes are there. */
static int read_up_to(int fd, char *data, size_t size, size_t *ret_len)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, data + len, size - len);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        len += (size_t)n;
    }
    *ret_len = len;
    return 0;
}

/* One allocation of the final size, since growing would leave copies of a secret behind. Files of
 * /proc have the size 0, so for them it is the limit. */
static int read_whole(int fd, const struct want *want, size_t size, char **ret_data,
        size_t *ret_len, struct err *err)
{
    size_t limit = size ? size : want->max_bytes;
    char *data = malloc(limit + 1);
    if (!data)
        return err_set(err, -ENOMEM, "cannot read %s: out of memory", want->path);

    size_t len = 0;
    int r = read_up_to(fd, data, limit + 1, &len);
    if (r < 0)
        err_set(err, r, "cannot read %s: %s", want->path, strerror(-r));
    else if (len > limit)
        r = err_set(err, -EFBIG, "%s holds more than %zu bytes", want->path, limit);
    if (r < 0) {
        explicit_bzero(data, limit + 1);
        free(data);
        return r;
    }
    data[len] = '\0';
    *ret_data = data;
    *ret_len = len;
    return 0;
}

static int read_wanted(const struct want *want, char **ret_data, size_t *ret_len, struct err *err)
{
    assert(want->max_bytes < SIZE_MAX);
    /* Without O_NONBLOCK, opening a FIFO would wait for its writer. */
    int fd = open(want->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail_errno(err, "open", want->path);

    struct stat st;
    int r = fstat(fd, &st) < 0 ? fail_errno(err, "look at", want->path)
                               : check_file(want, &st, err);
    if (r == 0)
        r = read_whole(fd, want, (size_t)st.st_size, ret_data, ret_len, err);
    close(fd);
    return r;
}

int file_read(const char *path, size_t max, char **ret_data, size_t *ret_len, struct err *err)
{
    const struct want want = {.path = path, .max_bytes = max};
    return read_wanted(&want, ret_data, ret_len, err);
}

int file_read_secret(
        const char *path, size_t max, char **ret_data, size_t *ret_len, struct err *err)
{
    const struct want want = {.path = path,
            .max_bytes = max,
            .forbidden = S_IRWXG | S_IRWXO,
            .complaint = "holds a secret and is open to other users"};
    return read_wanted(&want, ret_data, ret_len, err);
}

int file_read_guarded(
        const char *path, size_t max, char **ret_data, size_t *ret_len, struct err *err)
{
    const struct want want = {.path = path,
            .max_bytes = max,
            .forbidden = S_IWGRP | S_IWOTH,
            .complaint = "decides who is trusted and other users can write it"};
    return read_wanted(&want, ret_data, ret_len, err);
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Closes `fd` in any case. */
static int write_and_sync(int fd, const void *data, size_t len)
{
    int r = write_all(fd, data, len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    return r;
}

/* Makes a rename last over a power cut. Its failure changes nothing that a reader sees, so it is
 * none. */
static void sync_folder_of(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 0;
    if (len >= sizeof(dir))
        return;
    memcpy(dir, path, len);
    dir[len] = '\0';
    int fd = open(len ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

int file_write_private(const char *path, const void *data, size_t len, struct err *err)
{
    char temp[PATH_MAX];
    int size = snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
    if (size < 0 || (size_t)size >= sizeof(temp))
        return err_set(err, -ENAMETOOLONG, "cannot write %s: the path is too long", path);
    int fd = mkostemp(temp, O_CLOEXEC); /* makes it with mode 0600 */
    if (fd < 0)
        return fail_errno(err, "make a temporary file beside", path);

    int r = write_and_sync(fd, data, len);
    if (r == 0 && rename(temp, path) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlink(temp);
        return err_set(err, r, "cannot write %s: %s", path, strerror(-r));
    }
    sync_folder_of(path);
    return 0;
}

int file_join(char *buf, size_t size, const char *dir, const char *name)
{
    size_t need = strlen(dir) + strlen(name) + sizeof("/");
    if (need > size)
        return -ENAMETOOLONG;
    (void)snprintf(buf, size, "%s/%s", dir, name);
    return 0;
}
