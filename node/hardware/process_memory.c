#include "node/hardware/process_memory.h"

#include "common/saturating.h"
#include "node/hardware/kernel_file.h"

#include <errno.h>
#include <inttypes.h>
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
        *ret_bytes = saturating_sum(anonymous, shared);
    return rc;
}

/* Of its first thread, which is all that engines start processes from. */
static void add_children(const char *root, int64_t pid, struct family *family)
{
    char text[CHILDREN_MAX];
    char *at = text, *end;

    if (kernel_file_read(text, sizeof text, "%s/proc/%" PRId64 "/task/%" PRId64 "/children", root,
                pid, pid) < 0)
        return;
    for (; family->count < PROCESS_MEMORY_MAX; at = end) {
        long long child = strtoll(at, &end, 10);
        if (end == at || child <= 0)
            return;
        family->pids[family->count++] = child;
    }
}

int process_memory_read(const char *root, int64_t pid, uint64_t *ret_bytes)
{
    struct family family = {.pids = {pid}, .count = 1};
    uint64_t sum, bytes;
    int rc = own_bytes(root, pid, &sum);

    if (rc < 0)
        return rc;
    add_children(root, pid, &family);
    while (++family.done < family.count) {
        int64_t child = family.pids[family.done];
        /* One that has ended meanwhile holds nothing. */
        if (own_bytes(root, child, &bytes) == 0)
            sum = saturating_sum(sum, bytes);
        add_children(root, child, &family);
    }
    *ret_bytes = sum;
    return 0;
}
