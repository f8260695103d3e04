#include "cli/setup/config_file.h"

#include "cli/merge/merge.h"
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NEW_FOLDER_MODE = 0700,
    MODE_BITS = 07777,
};

/* Takes `errno` of the call that has just failed. */
static int fail_errno(struct err *err, const char *verb, const char *path)
{
    int code = errno;

    return err_set(err, -code, "cannot %s %s: %s", verb, path, strerror(code));
}

static int resolve(struct config_file *file, const char *path, struct err *err)
{
    struct stat link;

    if (realpath(path, file->path))
        return 0;
    if (errno != ENOENT)
        return fail_errno(err, "follow", path);
    if (lstat(path, &link) == 0)
        return err_set(err, -ENOENT, "%s is a link that leads nowhere: remove or mend it", path);
    if (snprintf(file->path, sizeof(file->path), "%s", path) >= (int)sizeof(file->path))
        return err_set(err, -ENAMETOOLONG, "the path %s is too long", path);
    return 0;
}

static int read_file(struct config_file *file, struct err *err)
{
    if (stat(file->path, &file->stat) == 0) {
        file->exists = true;
        return file_read(file->path, MERGE_FILE_MAX, &file->text, &file->len, err);
    }
    if (errno != ENOENT)
        return fail_errno(err, "look at", file->path);
    file->text = strdup("");
    return file->text ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* As root we would follow the links of somebody else's folder to any file, and leave him folders
 * and files that he cannot change. */
static int check_folder(const char *path, struct err *err)
{
    char folder[PATH_MAX];
    struct stat st = {.st_uid = 0};
    char *slash;

    if (geteuid() != 0)
        return 0;
    snprintf(folder, sizeof(folder), "%s", path);
    do {
        slash = strrchr(folder, '/');
        if (slash)
            *slash = '\0';
    } while (slash && slash != folder && stat(folder, &st) < 0);
    if (st.st_uid == 0)
        return 0;
    return err_set(err, -EPERM, "%s belongs to user %u: run this as that user, not as root", folder,
            (unsigned)st.st_uid);
}

int config_file_open(struct config_file *file, const char *path, struct err *err)
{
    int rc;

    *file = (struct config_file){.exists = false};
    rc = check_folder(path, err);
    if (rc == 0)
        rc = resolve(file, path, err);
    return rc < 0 ? rc : read_file(file, err);
}

void config_file_close(struct config_file *file)
{
    if (file->text)
        explicit_bzero(file->text, file->len);
    free(file->text);
}

/* --- replacing --- */

static int make_parents(const char *path, struct err *err)
{
    char part[PATH_MAX];

    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, NEW_FOLDER_MODE) < 0 && errno != EEXIST)
            return fail_errno(err, "make the folder", part);
        *slash = '/';
    }
    return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return fsync(fd);
}

/* Gives a new file the owner and mode of the one that it copies or replaces. */
static int take_after(int fd, const struct config_file *file, struct err *err)
{
    if (!file->exists)
        return 0;
    if ((file->stat.st_uid != geteuid() || file->stat.st_gid != getegid()) &&
            fchown(fd, file->stat.st_uid, file->stat.st_gid) < 0)
        return err_set(err, -EPERM,
                "%s belongs to user %u and group %u, which we cannot keep: run this as its owner",
                file->path, (unsigned)file->stat.st_uid, (unsigned)file->stat.st_gid);
    if (fchmod(fd, file->stat.st_mode & MODE_BITS) < 0)
        return fail_errno(err, "set the mode of", file->path);
    return 0;
}

/* Closes `fd`; removes `path` where that fails. */
static int fill(int fd, const char *path, const struct config_file *file, const char *data,
        size_t len, struct err *err)
{
    int rc = take_after(fd, file, err);

    if (rc == 0 && write_all(fd, data, len) < 0)
        rc = fail_errno(err, "write", path);
    if (close(fd) < 0 && rc == 0)
        rc = fail_errno(err, "write", path);
    if (rc < 0)
        unlink(path);
    return rc;
}

static int make_backup(const struct config_file *file, char path[PATH_MAX], struct err *err)
{
    for (int i = 1; i <= CONFIG_FILE_BACKUPS_MAX; i++) {
        int fd, len = snprintf(path, PATH_MAX, "%s.modemesh-backup-%d", file->path, i);

        if (len >= PATH_MAX)
            return err_set(
                    err, -ENAMETOOLONG, "the path of a backup of %s is too long", file->path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
            return fill(fd, path, file, file->text, file->len, err);
        if (errno != EEXIST)
            return fail_errno(err, "make the backup", path);
    }
    return err_set(err, -EEXIST, "%s has %d backups of ours already: remove some", file->path,
            CONFIG_FILE_BACKUPS_MAX);
}

static int check_unchanged(const struct config_file *file, struct err *err)
{
    struct stat now;
    bool there = stat(file->path, &now) == 0;
    bool same = there == file->exists &&
                (!there || (now.st_ino == file->stat.st_ino && now.st_size == file->stat.st_size &&
                                   now.st_mtim.tv_sec == file->stat.st_mtim.tv_sec &&
                                   now.st_mtim.tv_nsec == file->stat.st_mtim.tv_nsec));

    if (same)
        return 0;
    return err_set(err, -EBUSY, "somebody else has just changed %s: run this again", file->path);
}

static int put_in_place(const struct config_file *file, const struct buf *text, struct err *err)
{
    char temp[PATH_MAX];
    int fd, rc;

    if (snprintf(temp, sizeof(temp), "%s.XXXXXX", file->path) >= (int)sizeof(temp))
        return err_set(err, -ENAMETOOLONG, "the path %s is too long", file->path);
    fd = mkostemp(temp, O_CLOEXEC); /* makes it with mode 0600 */
    if (fd < 0)
        return fail_errno(err, "make a temporary file beside", file->path);
    rc = fill(fd, temp, file, buf_at(text), text->len, err);
    if (rc < 0)
        return rc;
    rc = check_unchanged(file, err);
    if (rc == 0 && rename(temp, file->path) < 0)
        rc = fail_errno(err, "replace", file->path);
    if (rc < 0)
        unlink(temp);
    return rc;
}

int config_file_replace(const struct config_file *file, const struct buf *text,
        char ret_backup[PATH_MAX], struct err *err)
{
    char backup[PATH_MAX] = "";
    int rc = file->exists ? make_backup(file, backup, err) : make_parents(file->path, err);

    if (rc < 0)
        return rc;
    rc = put_in_place(file, text, err);
    if (rc < 0 && file->exists)
        unlink(backup);
    if (rc == 0)
        strcpy(ret_backup, backup);
    return rc;
}
