#include "node/process/runtime_dir.h"

#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *absolute(const char *variable)
{
    const char *path = getenv(variable);

    return path != NULL && path[0] == '/' ? path : NULL;
}

static bool make_below(const char *base, const char *node, struct runtime_dir *dir)
{
    int len = snprintf(
            dir->path, sizeof dir->path, "%s/modemesh-%.20s-%ld", base, node, (long)getpid());

    return (size_t)len < sizeof dir->path && mkdir(dir->path, 0700) == 0;
}

int runtime_dir_open(const char *node, struct runtime_dir *ret_dir, struct err *err)
{
    const char *given = absolute("RUNTIME_DIRECTORY"), *base = absolute("XDG_RUNTIME_DIR");
    struct runtime_dir dir = {.is_ours = true};

    if (given != NULL && strlen(given) < sizeof dir.path) {
        dir.is_ours = false;
        strcpy(dir.path, given);
    } else if (base == NULL || !make_below(base, node, &dir)) {
        strcpy(dir.path, "/tmp/modemesh-XXXXXX");
        if (mkdtemp(dir.path) == NULL)
            return err_set(
                    err, -errno, "cannot make a runtime directory below /tmp: %s", strerror(errno));
    }
    *ret_dir = dir;
    return 0;
}

void runtime_dir_close(const struct runtime_dir *dir)
{
    if (dir->is_ours && rmdir(dir->path) < 0)
        log_warn("runtime directory not removed", LOG_S("path", dir->path),
                LOG_S("reason", strerror(errno)));
}
