#include "node/hardware/oom_watch.h"

#include "common/text.h"
#include "node/hardware/cgroup.h"
#include "node/hardware/host_memory.h"
#include "node/hardware/kernel_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VMSTAT_MAX = 16384,
    SIZE_TEXT_MAX = 32,
    PATH_SHOWN_MAX = 160, /* bytes of a group's path, with its NUL */
    ROOM_TEXT_MAX = PATH_SHOWN_MAX + SIZE_TEXT_MAX + 32,
};

/* A threaded group, and a path that is the host's, have no count: the next group above has it. */
static bool read_group(const char *root, uint64_t *ret_count)
{
    struct cgroup group;

    if (cgroup_own(root, &group) < 0)
        return false;
    do
        if (cgroup_oom_kills(&group, ret_count) == 0)
            return true;
    while (cgroup_climb(&group));
    return false;
}

static bool read_host(const char *root, uint64_t *ret_count)
{
    static const char name[] = "\noom_kill ";
    char text[VMSTAT_MAX];
    const char *line;

    if (kernel_file_read(text, sizeof text, "%s/proc/vmstat", root) < 0)
        return false;
    line = strstr(text, name);
    if (line == NULL)
        return false;
    *ret_count = strtoull(line + strlen(name), NULL, 10);
    return true;
}

static void take(struct oom_count *count, bool known, uint64_t value, uint64_t now_ms)
{
    if (known && count->known && value > count->value) {
        count->rose = true;
        count->rose_ms = now_ms;
    }
    count->known = known;
    count->value = value;
}

void oom_watch_look(struct oom_watch *watch)
{
    uint64_t now_ms = env_now_ms(watch->env), value = 0;
    bool known = read_group(watch->root, &value);

    take(&watch->group, known, value, now_ms);
    known = read_host(watch->root, &value);
    take(&watch->host, known, value, now_ms);
}

void oom_watch_init(struct oom_watch *watch, const char *root, const struct env *env)
{
    *watch = (struct oom_watch){.root = root, .env = env};
    oom_watch_look(watch);
}

static bool rose_lately(const struct oom_watch *watch, const struct oom_count *count)
{
    return count->rose && env_now_ms(watch->env) - count->rose_ms < OOM_WATCH_RECENT_MS;
}

/* False where no group that can be seen has a limit. */
static bool lowest_limit(const char *root, struct cgroup *ret_group, uint64_t *ret_bytes)
{
    struct cgroup group;
    uint64_t lowest = UINT64_MAX;

    if (cgroup_own(root, &group) < 0)
        return false;
    do {
        uint64_t bytes = cgroup_limit_bytes(&group);
        if (bytes < lowest) {
            lowest = bytes;
            *ret_group = group;
        }
    } while (cgroup_climb(&group));
    *ret_bytes = lowest;
    return lowest < UINT64_MAX;
}

/* Cut, and printable ASCII only: a report must be UTF-8, and a group may be called anything. */
static const char *shown_path(const struct cgroup *group, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%s", cgroup_path(group));
    for (char *at = buf; *at != '\0'; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    return buf;
}

/* "memory cgroup /box, limit 2.0 GiB", "this host has 24.0 GiB". */
static void describe_room(const char *root, char *text, size_t size)
{
    struct host_memory memory = {0};
    struct cgroup group;
    uint64_t limit = 0;
    char room[SIZE_TEXT_MAX], path[PATH_SHOWN_MAX];

    if (lowest_limit(root, &group, &limit))
        (void)snprintf(text, size, "memory cgroup %s, limit %s",
                shown_path(&group, path, sizeof path), text_format_size(limit, room, sizeof room));
    else if (host_memory_read(root, &memory, NULL) == 0)
        (void)snprintf(text, size, "this host has %s",
                text_format_size(memory.total_bytes, room, sizeof room));
    else
        (void)snprintf(text, size, "no more is known");
}

bool oom_watch_explain(struct oom_watch *watch, bool in_our_group, char *ret_text, size_t size)
{
    char room[ROOM_TEXT_MAX];
    bool exact;

    oom_watch_look(watch);
    exact = in_our_group && watch->group.known;
    if (!rose_lately(watch, exact ? &watch->group : &watch->host))
        return false;
    if (exact) {
        describe_room(watch->root, room, sizeof room);
        (void)snprintf(ret_text, size, "killed by the kernel for want of memory (%s)", room);
    } else {
        (void)snprintf(ret_text, size,
                "killed, probably by the kernel, which just then killed a process of this host for "
                "want of memory");
    }
    return true;
}
