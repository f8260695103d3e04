#include "node/models/folder_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { NEWS_BYTES_MAX = 16 * 1024, READS_MAX = 64 /* in one turn */ };

static const uint32_t news_wanted = IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB |
                                    IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;

struct watched {
    int wd;
    unsigned round; /* in which it was added last */
};

/* The folders belong to who goes the round, all else to the loop. */
struct folder_watch {
    int fd;
    struct loop_watch *poll;
    struct loop_timer *pause;
    folder_watch_fn fn;
    void *ctx;
    const char *suffix;
    uint32_t pause_ms;
    struct watched *folders; /* by wd */
    size_t count, cap, max;
    unsigned round;
};

/* --- on the loop --- */

static bool name_matters(const struct folder_watch *watch, const char *name)
{
    size_t len = strlen(name), suffix_len = watch->suffix == NULL ? 0 : strlen(watch->suffix);

    return len >= suffix_len &&
           (suffix_len == 0 || strcmp(name + len - suffix_len, watch->suffix) == 0);
}

/* An event without a name is about the folder; IN_IGNORED says that we watch it no more, which
 * either is our own doing or comes after another event. */
static bool matters(const struct folder_watch *watch, const struct inotify_event *event)
{
    if ((event->mask & IN_IGNORED) != 0)
        return false;
    return event->len == 0 || (event->mask & IN_ISDIR) != 0 || name_matters(watch, event->name);
}

struct news {
    bool any, lost;
};

static void take_events(
        const struct folder_watch *watch, const char *data, size_t len, struct news *news)
{
    const struct inotify_event *event;

    for (size_t at = 0; at < len; at += sizeof *event + event->len) {
        event = (const void *)(data + at); /* the kernel aligns each */
        news->lost |= (event->mask & IN_Q_OVERFLOW) != 0;
        news->any |= matters(watch, event);
    }
}

static struct news read_news(const struct folder_watch *watch)
{
    _Alignas(struct inotify_event) char data[NEWS_BYTES_MAX];
    struct news news = {.any = false};

    for (int i = 0; i < READS_MAX; i++) {
        ssize_t len = read(watch->fd, data, sizeof data);
        if (len <= 0)
            break;
        take_events(watch, data, (size_t)len, &news);
    }
    return news;
}

static void on_pause_over(void *ctx)
{
    struct folder_watch *watch = ctx;

    loop_watch_set(watch->poll, UV_READABLE);
}

/* What comes during the pause waits in the kernel's queue, where equal events are one. */
static void on_readable(void *ctx, int status, int events)
{
    struct folder_watch *watch = ctx;
    struct news news = read_news(watch);

    (void)events;
    if (status == 0 && !news.any)
        return;
    loop_watch_set(watch->poll, 0);
    loop_timer_start(watch->pause, watch->pause_ms, 0);
    watch->fn(watch->ctx, news.lost || status < 0);
}

static int open_inotify(struct folder_watch *watch, struct loop *loop)
{
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0)
        return -errno;
    watch->poll = loop_watch_create(loop, watch->fd, on_readable, watch);
    watch->pause = loop_timer_create(loop, on_pause_over, watch);
    return watch->poll == NULL || watch->pause == NULL ? -ENOMEM : 0;
}

int folder_watch_create(struct loop *loop, const struct folder_watch_config *config,
        folder_watch_fn fn, void *ctx, struct folder_watch **ret_watch, struct err *err)
{
    struct folder_watch *watch = calloc(1, sizeof *watch);
    int rc;

    if (watch == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    watch->fn = fn;
    watch->ctx = ctx;
    watch->suffix = config->suffix;
    watch->max = config->folders_max == 0 ? FOLDER_WATCH_MAX : config->folders_max;
    watch->pause_ms = config->pause_ms == 0 ? FOLDER_WATCH_PAUSE_MS : config->pause_ms;
    rc = open_inotify(watch, loop);
    if (rc < 0) {
        folder_watch_destroy(watch);
        return err_set(err, rc, "cannot watch folders: %s", strerror(-rc));
    }
    loop_watch_set(watch->poll, UV_READABLE);
    *ret_watch = watch;
    return 0;
}

void folder_watch_stop(struct folder_watch *watch)
{
    if (watch == NULL)
        return;
    loop_watch_destroy(watch->poll);
    watch->poll = NULL;
    loop_timer_destroy(watch->pause);
    watch->pause = NULL;
}

void folder_watch_destroy(struct folder_watch *watch)
{
    if (watch == NULL)
        return;
    folder_watch_stop(watch);
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch->folders);
    free(watch);
}

/* --- rounds --- */

/* Where `wd` is, or belongs. */
static size_t place_of(const struct folder_watch *watch, int wd)
{
    size_t low = 0, high = watch->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (watch->folders[middle].wd < wd)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int make_room(struct folder_watch *watch, struct err *err)
{
    size_t cap = watch->cap == 0 ? 64 : watch->cap * 2;
    struct watched *grown;

    if (watch->count == watch->max)
        return err_set(err, -ENOSPC, "at most %zu folders are watched", watch->max);
    if (watch->count < watch->cap)
        return 0;
    grown = reallocarray(watch->folders, cap, sizeof *grown);
    if (grown == NULL)
        return err_set(err, -ENOMEM, "out of memory");
    watch->folders = grown;
    watch->cap = cap;
    return 0;
}

static int insert(struct folder_watch *watch, size_t place, int wd, struct err *err)
{
    int rc = make_room(watch, err);

    if (rc < 0) {
        (void)inotify_rm_watch(watch->fd, wd);
        return rc;
    }
    memmove(&watch->folders[place + 1], &watch->folders[place],
            (watch->count - place) * sizeof watch->folders[0]);
    watch->folders[place] = (struct watched){.wd = wd, .round = watch->round};
    watch->count++;
    return 0;
}

void folder_watch_begin(struct folder_watch *watch)
{
    watch->round++;
}

/* The kernel gives a folder that is watched already its number again. */
int folder_watch_add(struct folder_watch *watch, const char *path, struct err *err)
{
    int wd = inotify_add_watch(watch->fd, path, news_wanted | IN_ONLYDIR | IN_EXCL_UNLINK);
    size_t place;

    if (wd < 0 && errno == ENOSPC)
        return err_set(err, -ENOSPC,
                "the kernel watches no more folders for this user; raise "
                "fs.inotify.max_user_watches");
    if (wd < 0)
        return err_set(err, -errno, "cannot watch %s: %s", path, strerror(errno));
    place = place_of(watch, wd);
    if (place == watch->count || watch->folders[place].wd != wd)
        return insert(watch, place, wd, err);
    watch->folders[place].round = watch->round;
    return 0;
}

/* The kernel may have dropped the watch of a removed folder by itself: an error here tells nothing.
 */
void folder_watch_end(struct folder_watch *watch)
{
    size_t kept = 0;

    for (size_t i = 0; i < watch->count; i++) {
        if (watch->folders[i].round == watch->round)
            watch->folders[kept++] = watch->folders[i];
        else
            (void)inotify_rm_watch(watch->fd, watch->folders[i].wd);
    }
    watch->count = kept;
}

size_t folder_watch_count(const struct folder_watch *watch)
{
    return watch->count;
}
