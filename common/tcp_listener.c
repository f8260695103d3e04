#include "common/tcp_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int bind_error(const struct text_addr *addr, int code, struct err *err)
{
    static const struct {
        int code;
        const char *way_out;
    } hints[] = {
            {-EADDRINUSE, "another program listens there: stop it, or choose another port"},
            {-EACCES, "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one"},
            {-EADDRNOTAVAIL, "this host has no such address: use one of its own, or 127.0.0.1"},
    };
    const char *way_out = "";
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        if (hints[i].code == code)
            way_out = hints[i].way_out;
    }
    return err_set(err, code, "cannot listen for HTTP on %s port %u: %s%s%s", addr->host,
            addr->port, strerror(-code), *way_out ? "; " : "", way_out);
}

static int listen_on(const struct addrinfo *info, int *ret_fd)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Where this fails, only a quick restart suffers, and says so. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int open_any(const struct text_addr *addr, int *ret_fd, struct err *err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *infos;
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", addr->port);
    int r = getaddrinfo(addr->host, port, &hints, &infos);
    if (r != 0)
        return err_set(err, -EADDRNOTAVAIL,
                "cannot listen for HTTP on %s: %s; use an address of this host, or 127.0.0.1",
                addr->host, gai_strerror(r));
    r = -EADDRNOTAVAIL;
    for (const struct addrinfo *info = infos; info && r < 0; info = info->ai_next)
        r = listen_on(info, ret_fd);
    freeaddrinfo(infos);
    return r < 0 ? bind_error(addr, r, err) : 0;
}

static int name_bound(int fd, char *name, struct err *err)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    char host[INET6_ADDRSTRLEN], port[8];
    if (getsockname(fd, (struct sockaddr *)&bound, &size) < 0)
        return err_set(err, -errno, "cannot tell the address that was bound: %s", strerror(errno));
    int r = getnameinfo((struct sockaddr *)&bound, size, host, sizeof(host), port, sizeof(port),
            NI_NUMERICHOST | NI_NUMERICSERV);
    if (r != 0)
        return err_set(
                err, -EADDRNOTAVAIL, "cannot tell the address that was bound: %s", gai_strerror(r));
    bool brackets = bound.ss_family == AF_INET6;
    (void)snprintf(name, TCP_LISTENER_NAME_MAX + 1, "%s%s%s:%s", brackets ? "[" : "", host,
            brackets ? "]" : "", port);
    return 0;
}

int tcp_listener_open(const struct text_addr *addr, int *ret_fd,
        char ret_name[TCP_LISTENER_NAME_MAX + 1], struct err *err)
{
    int fd = -1;
    int r = open_any(addr, &fd, err);
    if (r < 0)
        return r;
    r = name_bound(fd, ret_name, err);
    if (r < 0)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}
