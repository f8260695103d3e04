#include "coordinator/http/unix_listener.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_TURN = 32,
    RETRY_MS = 100, /* after accept() found no descriptor or no memory */
    SOCKET_MODE = 0600,
};

struct unix_listener {
    unix_listener_fn fn;
    void *ctx;
    struct sockaddr_un addr;
    int fd;           /* -1: quiesced, or not open yet */
    struct stat made; /* the file, to know it again; st_ino 0: none */
    struct loop_watch *watch;
    struct loop_timer *retry;
};

static int fail_errno(struct err *err, const char *path)
{
    int code = errno;
    return err_set(err, -code, "cannot listen on %s: %s", path, strerror(code));
}

static bool is_ours_or_roots(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

/* False where there is nothing more to accept now. */
static bool accept_one(struct unix_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && is_ours_or_roots(fd)) {
        listener->fn(listener->ctx, fd);
        return true;
    }
    if (fd >= 0) {
        close(fd);
        return true;
    }
    /* The connection stays in the queue, and the watch would fire without end. */
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        loop_watch_set(listener->watch, 0);
        loop_timer_start(listener->retry, RETRY_MS, 0);
    }
    return errno == EINTR || errno == ECONNABORTED;
}

static void on_readable(void *ctx, int status, int events)
{
    struct unix_listener *listener = ctx;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(listener); i++)
        ;
}

static void on_retry(void *ctx)
{
    struct unix_listener *listener = ctx;
    loop_watch_set(listener->watch, UV_READABLE);
}

static bool somebody_listens(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    bool listens =
            connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno != ECONNREFUSED;
    close(fd);
    return listens;
}

static int clear_path(const struct sockaddr_un *addr, struct err *err)
{
    struct stat st;
    const char *path = addr->sun_path;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : fail_errno(err, path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, -EEXIST, "cannot listen on %s: a file is there; move it away", path);
    if (somebody_listens(addr))
        return err_set(
                err, -EADDRINUSE, "cannot listen on %s: another program listens there", path);
    return unlink(path) < 0 && errno != ENOENT ? fail_errno(err, path) : 0;
}

/* Nobody can connect before listen(), so the mode is set in time. */
static int open_socket(struct unix_listener *listener, struct err *err)
{
    const char *path = listener->addr.sun_path;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return fail_errno(err, path);
    if (bind(listener->fd, (const struct sockaddr *)&listener->addr, sizeof(listener->addr)) < 0)
        return fail_errno(err, path);
    if (lstat(path, &listener->made) < 0 || chmod(path, SOCKET_MODE) < 0 ||
            listen(listener->fd, SOMAXCONN) < 0)
        return fail_errno(err, path);
    return 0;
}

static int join_loop(struct unix_listener *listener, struct loop *loop, struct err *err)
{
    listener->watch = loop_watch_create(loop, listener->fd, on_readable, listener);
    listener->retry = loop_timer_create(loop, on_retry, listener);
    if (!listener->watch || !listener->retry)
        return err_set(err, -ENOMEM, "no memory to listen on %s", listener->addr.sun_path);
    loop_watch_set(listener->watch, UV_READABLE);
    return 0;
}

int unix_listener_create(struct loop *loop, const char *path, unix_listener_fn fn, void *ctx,
        struct unix_listener **ret_listener, struct err *err)
{
    size_t len = strlen(path);
    if (len > UNIX_LISTENER_PATH_MAX)
        return err_set(err, -ENAMETOOLONG,
                "cannot listen on %s: a socket's path has %d bytes at most", path,
                UNIX_LISTENER_PATH_MAX);
    struct unix_listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return err_set(err, -ENOMEM, "no memory to listen on %s", path);
    listener->fn = fn;
    listener->ctx = ctx;
    listener->fd = -1;
    listener->addr.sun_family = AF_UNIX;
    memcpy(listener->addr.sun_path, path, len);
    int r = clear_path(&listener->addr, err);
    if (r == 0)
        r = open_socket(listener, err);
    if (r == 0)
        r = join_loop(listener, loop, err);
    if (r < 0)
        unix_listener_destroy(listener);
    else
        *ret_listener = listener;
    return r;
}

const char *unix_listener_path(const struct unix_listener *listener)
{
    return listener->addr.sun_path;
}

/* While our socket is open no other file gets the number of ours. */
static void remove_file(const struct unix_listener *listener)
{
    struct stat st;
    const char *path = listener->addr.sun_path;
    bool is_ours = listener->made.st_ino != 0 && lstat(path, &st) == 0 &&
                   st.st_ino == listener->made.st_ino && st.st_dev == listener->made.st_dev;
    if (is_ours)
        (void)unlink(path);
}

void unix_listener_quiesce(struct unix_listener *listener)
{
    if (listener->fd < 0)
        return;
    loop_watch_destroy(listener->watch);
    loop_timer_destroy(listener->retry);
    remove_file(listener);
    close(listener->fd);
    listener->fd = -1;
}

void unix_listener_destroy(struct unix_listener *listener)
{
    if (!listener)
        return;
    unix_listener_quiesce(listener);
    free(listener);
}
