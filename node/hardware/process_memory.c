#include "node/hardware/process_memory.h"

#include "common/saturating.h"
#include "node/hardware/kernel_file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_MAX = 8192, CHILDREN_MAX = 2048 };

/* Processes whose memory is to be added, those behind `done` not yet. */
struct family {
    int64_t pids[PROCESS_MEMORY_MAX];
    size_t count, done;
};

/* The value of the line "NAME:  1234 kB". */
static int status_bytes(const char *status, const char *name, uint64_t *ret_bytes)
{
    const char *line = strstr(status, name);
    unsigned long long kib;

    if (line == NULL || sscanf(line + strlen(name), ": %llu kB", &kib) != 1)
        return -ENODATA;
    *ret_bytes = saturating_product(kib, 1024);
    return 0;
}

/* Of what it has mapped, pages that are locked are not available either. */
static uint64_t locked_bytes(const char *status)
{
    uint64_t locked = 0, mapped = 0;

    if (status_bytes(status, "\nVmLck", &locked) < 0 ||
            status_bytes(status, "\nRssFile", &mapped) < 0)
        return 0;
    return locked < mapped ? locked : mapped;
}

static int own_bytes(const char *root, int64_t pid, uint64_t *ret_bytes)
{
    char status[STATUS_MAX];
    uint64_t anonymous = 0, shared = 0;
    int rc = kernel_file_read(status, sizeof status, "%s/proc/%" PRId64 "/status", root, pid);

    if (rc == 0)
        rc = status_bytes(status, "\nRssAnon", &anonymous);
    if (rc == 0)
        rc = status_bytes(status, "\nRssShmem", &shared);
    if (rc == 0)
        *ret_bytes = saturating_sum(saturating_sum(anonymous, shared), locked_bytes(status));
    return rc;
}

static void add_pids(char *text, struct family *family)
{
    char *at = text, *end;

    for (; family->count < PROCESS_MEMORY_MAX; at = end) {
        long long child = strtoll(at, &end, 10);
        if (end == at || child <= 0)
            return;
        family->pids[family->count++] = child;
    }
}

/* Of all its threads. -ENODATA: the kernel does not say whose children are whose. */
static int add_children(const char *root, int64_t pid, struct family *family)
{
    char path[PATH_MAX], text[CHILDREN_MAX];
    struct dirent *thread;
    bool told = false;
    DIR *threads;

    if ((size_t)snprintf(path, sizeof path, "%s/proc/%" PRId64 "/task", root, pid) >= sizeof path)
        return -ENODATA;
    threads = opendir(path);
    if (threads == NULL)
        return -ENODATA;
    while ((thread = readdir(threads)) != NULL) {
        if (thread->d_name[0] == '.' ||
                kernel_file_read(text, sizeof text, "%s/%s/children", path, thread->d_name) < 0)
            continue;
        told = true;
        add_pids(text, family);
    }
    closedir(threads);
    return told ? 0 : -ENODATA;
}

int process_memory_read(const char *root, int64_t pid, uint64_t *ret_bytes)
{
    struct family family = {.pids = {pid}, .count = 1};
    uint64_t sum, bytes;
    int rc = own_bytes(root, pid, &sum);

    if (rc < 0)
        return rc;
    rc = add_children(root, pid, &family);
    if (rc < 0)
        return rc;
    while (++family.done < family.count) {
        int64_t child = family.pids[family.done];
        /* One that has ended meanwhile holds nothing. */
        if (own_bytes(root, child, &bytes) == 0)
            sum = saturating_sum(sum, bytes);
        (void)add_children(root, child, &family);
    }
    *ret_bytes = sum;
    return 0;
}
