#include "node/inventory.h"

#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SMALL_FILE_MAX = 8192 };

/* Reads a small file, cut at the buffer's end. */
static int read_small(const char *path, char *ret_text, size_t size)
{
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    n = read(fd, ret_text, size - 1);
    close(fd);
    if (n < 0)
        return -EIO;
    ret_text[n] = '\0';
    return 0;
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

/* A cgroup's file of one number; "max" and a missing file give -ENODATA. */
static int cgroup_value(const char *folder, const char *name, uint64_t *ret_bytes)
{
    char path[PATH_MAX + 32], text[64];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (read_small(path, text, sizeof text) < 0)
        return -ENODATA;
    text[strcspn(text, "\n")] = '\0';
    return text_parse_u64(text, ret_bytes, NULL) < 0 ? -ENODATA : 0;
}

/* Cached pages of files that the cgroup is charged for, and that the kernel gives back when asked.
 */
static uint64_t cgroup_cache(const char *folder)
{
    static const char *const names[] = {"\nactive_file ", "\ninactive_file "};
    char path[PATH_MAX + 32], text[SMALL_FILE_MAX];
    uint64_t sum = 0;

    (void)snprintf(path, sizeof path, "%s/memory.stat", folder);
    if (read_small(path, text, sizeof text) < 0)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *line = strstr(text, names[i]);
        if (line != NULL)
            sum += strtoull(line + strlen(names[i]), NULL, 10);
    }
    return sum;
}

static void apply_cgroup(const char *folder, struct inventory *inventory)
{
    uint64_t limit, used, cache, left;

    if (cgroup_value(folder, "memory.max", &limit) < 0)
        return;
    if (cgroup_value(folder, "memory.current", &used) < 0)
        used = 0;
    cache = cgroup_cache(folder);
    used = used > cache ? used - cache : 0;
    left = used < limit ? limit - used : 0;
    if (limit < inventory->memory_total_bytes)
        inventory->memory_total_bytes = limit;
    if (left < inventory->memory_available_bytes)
        inventory->memory_available_bytes = left;
}

/* The limits of our own cgroup and of every one above it hold. */
static void apply_cgroups(const char *root, struct inventory *inventory)
{
    char text[SMALL_FILE_MAX], folder[PATH_MAX], path[PATH_MAX];
    size_t base_len;
    char *own;

    (void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (read_small(path, text, sizeof text) < 0)
        return;
    own = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (own == NULL)
        return;
    own = strchr(own, '/');
    if (own == NULL)
        return;
    own[strcspn(own, "\n")] = '\0';
    base_len = strlen(root) + strlen("/sys/fs/cgroup");
    if ((size_t)snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s", root, own) >= sizeof folder)
        return;
    while (strlen(folder) >= base_len) {
        apply_cgroup(folder, inventory);
        *strrchr(folder, '/') = '\0';
    }
}

int inventory_read(const char *root, struct inventory *ret_inventory, struct err *err)
{
    char text[SMALL_FILE_MAX], path[PATH_MAX];
    struct inventory inventory;
    int rc;

    (void)snprintf(path, sizeof path, "%s/proc/meminfo", root);
    rc = read_small(path, text, sizeof text);
    if (rc < 0)
        return err_set(err, rc, "cannot read %s: %s", path, strerror(-rc));
    rc = meminfo_value(text, "MemTotal", &inventory.memory_total_bytes);
    if (rc == 0)
        rc = meminfo_value(text, "MemAvailable", &inventory.memory_available_bytes);
    if (rc < 0)
        return err_set(err, rc, "%s has no MemTotal or no MemAvailable", path);
    apply_cgroups(root, &inventory);
    *ret_inventory = inventory;
    return 0;
}
