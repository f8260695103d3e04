#include "common/daemon.h"

#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int compose(char *buf, size_t size, const char *dir, const char *middle, const char *program,
        struct err *err)
{
    if (strlen(dir) + strlen(middle) + strlen("/") + strlen(program) >= size)
        return err_set(err, -ENAMETOOLONG,
                "the state directory below \"%.100s\" has too long a name; give --state DIR", dir);
    snprintf(buf, size, "%s%s/%s", dir, middle, program);
    return 0;
}

/* systemd gives a list, parted by colons, where a unit has several. */
static int first_of_list(char *buf, size_t size, const char *list, struct err *err)
{
    size_t len = strcspn(list, ":");
    if (len >= size)
        return err_set(err, -ENAMETOOLONG, "STATE_DIRECTORY has too long a name; give --state DIR");
    memcpy(buf, list, len);
    buf[len] = '\0';
    return 0;
}

int daemon_other_state_dir(const char *program, char *buf, size_t size, struct err *err)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (geteuid() == 0)
        return compose(buf, size, "/var/lib", "", program, err);
    if (xdg && *xdg == '/')
        return compose(buf, size, xdg, "", program, err);
    if (home && *home == '/')
        return compose(buf, size, home, "/.local/state", program, err);
    return err_set(err, -ENOENT, "no HOME to keep state in; give --state DIR");
}

int daemon_state_dir(const char *program, char *buf, size_t size, struct err *err)
{
    const char *given = getenv("STATE_DIRECTORY");
    if (given && *given == '/')
        return first_of_list(buf, size, given, err);
    return daemon_other_state_dir(program, buf, size, err);
}

int daemon_open_state(
        const char *program, const char *given, char *buf, size_t size, struct err *err)
{
    int r = 0;
    if (given && strlen(given) >= size)
        r = err_set(err, -ENAMETOOLONG, "--state \"%.100s…\" has too long a name", given);
    else if (given)
        strcpy(buf, given);
    else
        r = daemon_state_dir(program, buf, size, err);
    return r ? r : file_make_private_dir(buf, err);
}

int daemon_state_path(const char *dir, const char *name, char path[PATH_MAX], struct err *err)
{
    if (file_join(path, PATH_MAX, dir, name))
        return err_set(
                err, -ENAMETOOLONG, "the state directory \"%.100s\" has too long a name", dir);
    return 0;
}

int daemon_lock_state(const char *dir, struct err *err)
{
    char path[PATH_MAX];
    int r = daemon_state_path(dir, "lock", path, err);
    if (r)
        return r;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    r = errno == EWOULDBLOCK ? err_set(err, -EBUSY,
                                       "another daemon runs with the state directory %s; stop it, "
                                       "or give --state DIR",
                                       dir)
                             : err_set(err, -errno, "cannot lock %s: %s", path, strerror(errno));
    close(fd);
    return r;
}

void daemon_harden(void)
{
    struct rlimit files, no_core = {0, 0};
    umask(077);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* ASCII only, whatever the locale: names travel to other hosts. */
static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

void daemon_host_name(char *buf, size_t size)
{
    char name[HOST_NAME_MAX + 1];
    if (gethostname(name, sizeof(name)))
        *name = '\0';
    name[strcspn(name, ".")] = '\0';
    for (char *at = name; *at; at++)
        if (!is_plain(*at))
            *at = '-';
    snprintf(buf, size, "%s", *name ? name : "host");
}
