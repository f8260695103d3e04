#include "tests/lib/recorded_host.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

/* Found from where this file was compiled. */
const char *recorded_host(const char *name)
{
    static char path[PATH_MAX];
    const char *slash = strrchr(__FILE__, '/');

    must(snprintf(path, sizeof path, "%.*s/hardware/%s", (int)(slash - __FILE__), __FILE__, name) <
                    PATH_MAX,
            "snprintf");
    must(access(path, R_OK) == 0, path);
    return path;
}

static const char *standin(const char *file, const char *answers)
{
    static char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    must(len > 0, "readlink");
    path[len] = '\0';
    slash = strrchr(path, '/');
    must(snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "%s", file) > 0, "snprintf");
    must(access(path, R_OK) == 0, path);
    must(setenv("MODEMESH_NVML_ANSWERS", answers == NULL ? "" : answers, 1) == 0, "setenv");
    return path;
}

const char *recorded_nvml(const char *answers)
{
    return standin("libnvml_standin.so", answers);
}

const char *recorded_old_nvml(const char *answers)
{
    return standin("libnvml_standin_old.so", answers);
}

const char *recorded_nvml_of(const char *name)
{
    char path[PATH_MAX];

    must(snprintf(path, sizeof path, "%s/nvml", recorded_host(name)) < PATH_MAX, "snprintf");
    return recorded_nvml(path);
}
