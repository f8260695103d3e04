#include "tests/lib/loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int must(const char *what, int result)
{
    if (result >= 0)
        return result;
    perror(what);
    abort();
}

static struct sockaddr_in address_of(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
            .sin_port = htons(port)};
}

int loopback_bind(uint16_t *ret_port)
{
    struct sockaddr_in address = address_of(0);
    socklen_t size = sizeof(address);
    int fd = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    must("bind", bind(fd, (struct sockaddr *)&address, size));
    must("getsockname", getsockname(fd, (struct sockaddr *)&address, &size));
    *ret_port = ntohs(address.sin_port);
    return fd;
}

int loopback_listen(uint16_t *ret_port)
{
    int fd = loopback_bind(ret_port);
    must("listen", listen(fd, SOMAXCONN));
    return fd;
}

/* On loopback a connection comes about at once or, in a full queue, never. One that is closed again
 * keeps its place in the queue. */
static bool takes_one_more(uint16_t port)
{
    struct sockaddr_in address = address_of(port), peer;
    socklen_t size = sizeof(peer);
    int fd = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) && errno != EINPROGRESS)
        must("connect", -1);
    bool taken = getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
    close(fd);
    return taken;
}

int loopback_mute(uint16_t *ret_port)
{
    int fd = loopback_bind(ret_port);
    must("listen", listen(fd, 0));
    while (takes_one_more(*ret_port))
        continue;
    return fd;
}
