#include "node/hardware/host_memory.h"

#include "node/hardware/kernel_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 8192 };

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The value of the line "MemTotal:  1234 kB". */
static int meminfo_value(const char *text, const char *name, uint64_t *ret_bytes)
{
    size_t len = strlen(name);
    unsigned long long kib;

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && sscanf(line + len, ": %llu kB", &kib) == 1 &&
                kib <= UINT64_MAX / 1024) {
            *ret_bytes = kib * 1024;
            return 0;
        }
    }
    return -ENODATA;
}

/* --- cgroups: Documentation/admin-guide/cgroup-v2.rst of the kernel, "Memory" --- */

/* Of a file of one number; "max" and a missing file (the root, a threaded cgroup, a controller that
 * is off) limit nothing. */
static uint64_t cgroup_limit(const char *folder, const char *name)
{
    uint64_t bytes;

    return kernel_file_u64(&bytes, "%s/%s", folder, name) < 0 ? UINT64_MAX : bytes;
}

static uint64_t stat_value(const char *text, const char *name)
{
    const char *line = strstr(text, name);

    return line == NULL ? 0 : strtoull(line + strlen(name), NULL, 10);
}

/* What the cgroup uses, without the cached pages of files, which the kernel gives back when asked.
 */
static uint64_t cgroup_used(const char *folder)
{
    char text[TEXT_MAX];
    uint64_t used, cache[2];

    if (kernel_file_u64(&used, "%s/memory.current", folder) < 0)
        return 0;
    if (kernel_file_read(text, sizeof text, "%s/memory.stat", folder) < 0)
        return used;
    cache[0] = stat_value(text, "\nactive_file ");
    cache[1] = stat_value(text, "\ninactive_file ");
    for (size_t i = 0; i < 2; i++)
        used -= lesser(cache[i], used);
    return used;
}

/* memory.high is no wall, but who is above it is slowed down until it is below. */
static void apply_cgroup(const char *folder, struct host_memory *memory)
{
    uint64_t limit =
            lesser(cgroup_limit(folder, "memory.max"), cgroup_limit(folder, "memory.high"));
    uint64_t used;

    if (limit == UINT64_MAX)
        return;
    used = cgroup_used(folder);
    memory->total_bytes = lesser(limit, memory->total_bytes);
    memory->available_bytes = lesser(limit - lesser(used, limit), memory->available_bytes);
}

/* The path of our own cgroup, from the line "0::/user.slice/…"; "" where there is none, or where it
 * is above what this container sees of the hierarchy ("/../…"). `text` is cut. */
static const char *own_cgroup(char *text)
{
    char *line = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
    char *path;

    if (line == NULL)
        return "";
    path = strchr(line, '/');
    path[strcspn(path, "\n")] = '\0';
    return strstr(path, "/..") == NULL ? path : "";
}

/* The limits of our own cgroup and of every one above it hold. */
static void apply_cgroups(const char *root, struct host_memory *memory)
{
    size_t base_len = strlen(root) + strlen("/sys/fs/cgroup");
    char text[TEXT_MAX], folder[PATH_MAX];

    if (kernel_file_read(text, sizeof text, "%s/proc/self/cgroup", root) < 0)
        return;
    if ((size_t)snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s", root, own_cgroup(text)) >=
            sizeof folder)
        return;
    while (strlen(folder) >= base_len) {
        apply_cgroup(folder, memory);
        *strrchr(folder, '/') = '\0';
    }
}

/* --- pressure: Documentation/accounting/psi.rst --- */

static float read_pressure(const char *root)
{
    char text[TEXT_MAX];
    float pct;

    if (kernel_file_read(text, sizeof text, "%s/proc/pressure/memory", root) < 0 ||
            sscanf(text, "some avg10=%f", &pct) != 1 || !(pct >= 0 && pct <= 100))
        return -1;
    return pct;
}

int host_memory_read(const char *root, struct host_memory *ret_memory, struct err *err)
{
    struct host_memory memory;
    char text[TEXT_MAX];
    int rc = kernel_file_read(text, sizeof text, "%s/proc/meminfo", root);

    if (rc < 0)
        return err_set(err, rc, "cannot read %s/proc/meminfo: %s", root, strerror(-rc));
    rc = meminfo_value(text, "MemTotal", &memory.total_bytes);
    if (rc == 0)
        rc = meminfo_value(text, "MemAvailable", &memory.available_bytes);
    if (rc < 0)
        return err_set(err, rc, "%s/proc/meminfo has no MemTotal or no MemAvailable", root);
    memory.pressure_some_pct = read_pressure(root);
    apply_cgroups(root, &memory);
    *ret_memory = memory;
    return 0;
}
