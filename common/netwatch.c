#include "common/netwatch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NEWS_BYTES_MAX = 16 * 1024, READS_MAX = 64 /* in one turn */ };

struct netwatch {
    int fd;
    struct loop_watch *watch;
    loop_fn fn;
    void *ctx;
};

/* What it says does not matter: who is told looks for himself. ENOBUFS: news were lost, which is
 * news too; the loop takes it for an error, after which it watches no more. */
static void on_news(void *ctx, int status, int events)
{
    struct netwatch *watch = ctx;
    char news[NEWS_BYTES_MAX];
    (void)events;
    for (int i = 0; i < READS_MAX; i++)
        if (recv(watch->fd, news, sizeof(news), MSG_DONTWAIT) < 0 && errno != ENOBUFS)
            break;
    if (status < 0)
        loop_watch_set(watch->watch, UV_READABLE);
    watch->fn(watch->ctx);
}

static int open_socket(void)
{
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK,
            .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

struct netwatch *netwatch_create(struct loop *loop, loop_fn fn, void *ctx)
{
    struct netwatch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    watch->fn = fn;
    watch->ctx = ctx;
    watch->fd = open_socket();
    if (watch->fd >= 0)
        watch->watch = loop_watch_create(loop, watch->fd, on_news, watch);
    if (!watch->watch) {
        netwatch_destroy(watch);
        return NULL;
    }
    loop_watch_set(watch->watch, UV_READABLE);
    return watch;
}

void netwatch_destroy(struct netwatch *watch)
{
    if (!watch)
        return;
    loop_watch_destroy(watch->watch);
    if (watch->fd >= 0)
        close(watch->fd);
    free(watch);
}
