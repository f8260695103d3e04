#include "coordinator/access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

enum { HOST_MAX = 256 };

/* "" or ":PORT" */
static bool is_port_or_end(const char *text)
{
    if (*text == '\0')
        return true;
    return *text == ':' && text[1 + strspn(text + 1, "0123456789")] == '\0';
}

static bool copy(char host[HOST_MAX], const char *text, size_t len)
{
    if (len == 0 || len >= HOST_MAX)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    return true;
}

static bool is_loopback_v6(const char *host)
{
    struct in6_addr v6;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool is_loopback_name_or_v4(const char *host)
{
    static const char suffix[] = ".localhost";
    size_t len = strlen(host), suffix_len = sizeof(suffix) - 1;
    struct in_addr v4;
    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (len > suffix_len && strcasecmp(host + len - suffix_len, suffix) == 0)
        return true;
    return inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

bool access_is_loopback(const char *text)
{
    char host[HOST_MAX];
    if (*text == '[') {
        const char *end = strchr(text, ']');
        return end && is_port_or_end(end + 1) && copy(host, text + 1, (size_t)(end - text) - 1) &&
               is_loopback_v6(host);
    }
    if (is_loopback_v6(text))
        return true;
    size_t len = strcspn(text, ":");
    return is_port_or_end(text + len) && copy(host, text, len) && is_loopback_name_or_v4(host);
}

static bool is_loopback_origin(const char *origin)
{
    const char *host = strstr(origin, "://");
    return host && access_is_loopback(host + 3);
}

int access_check(const struct access_facts *facts, struct err *err)
{
    if (facts->forwarded)
        return err_set(err, -EACCES,
                "a request that was forwarded by a proxy is not taken on a loopback address "
                "without a key");
    if (!facts->host || !access_is_loopback(facts->host))
        return err_set(err, -EACCES,
                "Host \"%.100s\" is not this machine's loopback; use http://127.0.0.1 or "
                "http://localhost",
                facts->host ? facts->host : "");
    if (facts->origin && !is_loopback_origin(facts->origin))
        return err_set(
                err, -EACCES, "a page from \"%.100s\" may not use this endpoint", facts->origin);
    return 0;
}
