#include "common/host_addrs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

static bool v4_valid(const struct in_addr *addr)
{
    const uint32_t ip = ntohl(addr->s_addr);
    const uint32_t net = ip >> 24;
    return net != 0 && net != IN_LOOPBACKNET && net < 224; /* 224/4 and up: multicast, reserved */
}

static bool v6_valid(const struct in6_addr *addr)
{
    return !IN6_IS_ADDR_UNSPECIFIED(addr) && !IN6_IS_ADDR_LOOPBACK(addr) &&
           !IN6_IS_ADDR_LINKLOCAL(addr) && !IN6_IS_ADDR_MULTICAST(addr) &&
           !IN6_IS_ADDR_V4MAPPED(addr) && !IN6_IS_ADDR_V4COMPAT(addr);
}

bool host_addr_valid(const char *text)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strlen(text) > HOST_ADDR_LEN)
        return false;
    if (inet_pton(AF_INET, text, &v4) == 1)
        return v4_valid(&v4);
    return inet_pton(AF_INET6, text, &v6) == 1 && v6_valid(&v6);
}

static const void *bytes_of(const struct sockaddr *addr)
{
    return addr->sa_family == AF_INET
                   ? (const void *)&((const struct sockaddr_in *)(const void *)addr)->sin_addr
                   : (const void *)&((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr;
}

static bool holds(const struct host_addrs *addrs, const char *text)
{
    for (size_t i = 0; i < addrs->count; i++) {
        if (strcmp(addrs->at[i], text) == 0)
            return true;
    }
    return false;
}

static void add(struct host_addrs *addrs, const struct sockaddr *addr)
{
    char text[HOST_ADDR_LEN + 1];
    if (addrs->count == HOST_ADDRS_MAX ||
            !inet_ntop(addr->sa_family, bytes_of(addr), text, sizeof(text)))
        return;
    if (host_addr_valid(text) && !holds(addrs, text))
        memcpy(addrs->at[addrs->count++], text, sizeof(text));
}

static void add_family(struct host_addrs *addrs, const struct ifaddrs *list, sa_family_t family)
{
    for (const struct ifaddrs *it = list; it; it = it->ifa_next) {
        if (it->ifa_addr && it->ifa_addr->sa_family == family && (it->ifa_flags & IFF_UP))
            add(addrs, it->ifa_addr);
    }
}

int host_addrs_get(struct host_addrs *ret_addrs, struct err *err)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) < 0)
        return err_set(err, -errno, "the addresses of this host: %s", strerror(errno));
    *ret_addrs = (struct host_addrs){.count = 0};
    add_family(ret_addrs, list, AF_INET);
    add_family(ret_addrs, list, AF_INET6);
    freeifaddrs(list);
    return 0;
}
