#include "node/hardware/cgroup.h"

#include "node/hardware/kernel_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 8192 };

/* Version 1 says "no limit" as the largest whole number of pages, of up to 64 KiB. */
static const uint64_t v1_no_limit = INT64_MAX & ~(uint64_t)0xffff;

static const struct version {
    const char *mount, *limit, *high, *used, *kills; /* files */
    const char *cached[2];                           /* lines of memory.stat */
} versions[CGROUP_VERSION_COUNT] = {
        [CGROUP_V1] = {.mount = "/sys/fs/cgroup/memory",
                .limit = "memory.limit_in_bytes",
                .used = "memory.usage_in_bytes",
                .kills = "memory.oom_control",
                .cached = {"total_active_file", "total_inactive_file"}},
        [CGROUP_V2] = {.mount = "/sys/fs/cgroup",
                .limit = "memory.max",
                .high = "memory.high",
                .used = "memory.current",
                .kills = "memory.events",
                .cached = {"active_file", "inactive_file"}},
};

static const struct version *version_of(const struct cgroup *group)
{
    return &versions[group->version];
}

/* --- which group --- */

static bool lists_memory(const char *controllers, size_t len)
{
    static const char memory[] = "memory";

    while (len > 0) {
        const char *comma = memchr(controllers, ',', len);
        size_t word = comma == NULL ? len : (size_t)(comma - controllers);
        if (word == strlen(memory) && memcmp(controllers, memory, word) == 0)
            return true;
        word += comma != NULL;
        controllers += word;
        len -= word;
    }
    return false;
}

/* Of a line "4:memory:/box", or "0::/box" of version 2, the path; NULL where it is about other
 * controllers. `line` is a string. */
static char *path_of(char *line, enum cgroup_version *ret_version)
{
    char *controllers = strchr(line, ':');
    char *path = controllers == NULL ? NULL : strchr(++controllers, ':');

    if (path == NULL || path[1] != '/')
        return NULL;
    if (strncmp(line, "0::", 3) == 0)
        *ret_version = CGROUP_V2;
    else if (lists_memory(controllers, (size_t)(path - controllers)))
        *ret_version = CGROUP_V1;
    else
        return NULL;
    return path + 1;
}

/* From /proc/self/cgroup, which is cut; NULL where no line is about memory. */
static const char *own_path(char *text, enum cgroup_version *ret_version)
{
    const char *found = NULL;
    char *rest = text, *line;

    while ((line = strsep(&rest, "\n")) != NULL) {
        enum cgroup_version version;
        char *path = path_of(line, &version);
        if (path == NULL || (found != NULL && version == CGROUP_V2))
            continue;
        found = path;
        *ret_version = version;
    }
    return found;
}

/* "/../…" is above what this container sees of the hierarchy. */
static bool leads_out(const char *path)
{
    return strstr(path, "/..") != NULL;
}

int cgroup_own(const char *root, struct cgroup *ret_group)
{
    char text[TEXT_MAX];
    enum cgroup_version version = CGROUP_V2;
    const char *path, *mount;
    int len, rc = kernel_file_read(text, sizeof text, "%s/proc/self/cgroup", root);

    if (rc < 0)
        return rc;
    path = own_path(text, &version);
    if (path == NULL)
        return -ENOENT;
    if (leads_out(path) || strcmp(path, "/") == 0)
        path = "";
    mount = versions[version].mount;
    len = snprintf(ret_group->folder, sizeof ret_group->folder, "%s%s%s", root, mount, path);
    if (len < 0 || (size_t)len >= sizeof ret_group->folder)
        return -ENAMETOOLONG;
    ret_group->version = version;
    ret_group->mount_len = strlen(root) + strlen(mount);
    return 0;
}

bool cgroup_climb(struct cgroup *group)
{
    if (strlen(group->folder) <= group->mount_len)
        return false;
    *strrchr(group->folder, '/') = '\0';
    return true;
}

const char *cgroup_path(const struct cgroup *group)
{
    const char *path = group->folder + group->mount_len;

    return *path == '\0' ? "/" : path;
}

/* --- what its files say --- */

/* Of a file of one number; "max", and a missing file (the root, a threaded group, a controller that
 * is off), are no limit. */
static uint64_t number_of(const struct cgroup *group, const char *name)
{
    uint64_t bytes;

    return kernel_file_u64(&bytes, "%s/%s", group->folder, name) < 0 ? UINT64_MAX : bytes;
}

uint64_t cgroup_limit_bytes(const struct cgroup *group)
{
    uint64_t bytes = number_of(group, version_of(group)->limit);

    return group->version == CGROUP_V1 && bytes >= v1_no_limit ? UINT64_MAX : bytes;
}

uint64_t cgroup_high_bytes(const struct cgroup *group)
{
    const char *name = version_of(group)->high;

    return name == NULL ? UINT64_MAX : number_of(group, name);
}

/* Of the line "NAME 1234" of a file with one such line for each name. */
static int line_value(const char *text, const char *name, uint64_t *ret_value)
{
    size_t len = strlen(name);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) != 0 || line[len] != ' ')
            continue;
        *ret_value = strtoull(line + len, NULL, 10);
        return 0;
    }
    return -ENODATA;
}

uint64_t cgroup_used_bytes(const struct cgroup *group)
{
    const struct version *version = version_of(group);
    char text[TEXT_MAX];
    uint64_t used;

    if (kernel_file_u64(&used, "%s/%s", group->folder, version->used) < 0)
        return 0;
    if (kernel_file_read(text, sizeof text, "%s/memory.stat", group->folder) < 0)
        return used;
    for (size_t i = 0; i < 2; i++) {
        uint64_t cached = 0;
        if (line_value(text, version->cached[i], &cached) == 0)
            used -= cached < used ? cached : used;
    }
    return used;
}

int cgroup_oom_kills(const struct cgroup *group, uint64_t *ret_count)
{
    char text[TEXT_MAX];
    int rc = kernel_file_read(text, sizeof text, "%s/%s", group->folder, version_of(group)->kills);

    return rc < 0 ? rc : line_value(text, "oom_kill", ret_count);
}
