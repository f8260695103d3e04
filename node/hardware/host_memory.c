#include "node/hardware/host_memory.h"

#include "node/hardware/cgroup.h"
#include "node/hardware/kernel_file.h"

#include <errno.h>
#include <stdio.h>
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

/* --- cgroups --- */

/* memory.high is no wall, but who is above it is slowed down until it is below. */
static void apply_cgroup(const struct cgroup *group, struct host_memory *memory)
{
    uint64_t limit = lesser(cgroup_limit_bytes(group), cgroup_high_bytes(group));

    if (limit == UINT64_MAX)
        return;
    memory->total_bytes = lesser(limit, memory->total_bytes);
    memory->available_bytes =
            lesser(limit - lesser(cgroup_used_bytes(group), limit), memory->available_bytes);
}

/* The limits of our own cgroup and of every one above it hold. */
static void apply_cgroups(const char *root, struct host_memory *memory)
{
    struct cgroup group;

    if (cgroup_own(root, &group) < 0)
        return;
    do
        apply_cgroup(&group, memory);
    while (cgroup_climb(&group));
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
