#include "coordinator/api/access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

enum { HOST_MAX = 256 };

struct host { /* of "NAME:PORT" or "[ADDRESS]:PORT" */
    char name[HOST_MAX];
    bool bracketed;
};

/* "" or ":PORT" */
static bool is_port_or_end(const char *text)
{
    if (*text == '\0')
        return true;
    return *text == ':' && text[1 + strspn(text + 1, "0123456789")] == '\0';
}

static bool parse_host(const char *text, struct host *ret_host)
{
    bool bracketed = *text == '[';
    const char *name = text + bracketed;
    size_t len = strcspn(name, bracketed ? "]" : ":");
    if (len == 0 || len >= HOST_MAX || (bracketed && name[len] != ']') ||
            !is_port_or_end(name + len + bracketed))
        return false;
    memcpy(ret_host->name, name, len);
    ret_host->name[len] = '\0';
    ret_host->bracketed = bracketed;
    return true;
}

static bool is_loopback_v6(const char *name)
{
    struct in6_addr v6;
    return inet_pton(AF_INET6, name, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool is_loopback_name_or_v4(const char *name)
{
    static const char suffix[] = ".localhost";
    size_t len = strlen(name), suffix_len = sizeof(suffix) - 1;
    struct in_addr v4;
    if (strcasecmp(name, "localhost") == 0)
        return true;
    if (len > suffix_len && strcasecmp(name + len - suffix_len, suffix) == 0)
        return true;
    return inet_pton(AF_INET, name, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

static bool is_loopback(const struct host *host)
{
    return host->bracketed ? is_loopback_v6(host->name) : is_loopback_name_or_v4(host->name);
}

bool access_is_loopback(const char *text)
{
    struct host host;
    return is_loopback_v6(text) || (parse_host(text, &host) && is_loopback(&host));
}

static bool is_literal(const struct host *host)
{
    struct in6_addr address; /* large enough for both */
    return inet_pton(host->bracketed ? AF_INET6 : AF_INET, host->name, &address) == 1;
}

static bool is_own_name(const struct host *host, const char *own_name)
{
    size_t len = own_name ? strlen(own_name) : 0;
    if (host->bracketed || len == 0 || strncasecmp(host->name, own_name, len) != 0)
        return false;
    return host->name[len] == '\0' || strcasecmp(host->name + len, ".local") == 0;
}

static bool names_this_host(const struct access_facts *facts)
{
    struct host host;
    return facts->host && parse_host(facts->host, &host) &&
           (is_literal(&host) || is_loopback(&host) || is_own_name(&host, facts->own_name));
}

static int check_local(const struct access_facts *facts, struct err *err)
{
    if (facts->forwarded)
        return err_set(err, -EACCES,
                "a request that was forwarded by a proxy is not taken on a loopback address "
                "without a key");
    if (!facts->host || !access_is_loopback(facts->host))
        return err_set(err, -EACCES,
                "Host \"%.100s\" is not this machine's loopback; use http://127.0.0.1 or "
                "http://localhost, or show an API key",
                facts->host ? facts->host : "");
    return 0;
}

static int check_network(const struct access_facts *facts, struct err *err)
{
    if (!facts->keyless)
        return err_set(err, -EPERM,
                "this address needs an API key of the mesh: send it as \"Authorization: Bearer "
                "mm_…\"");
    if (!names_this_host(facts))
        return err_set(err, -EACCES,
                "Host \"%.100s\" is not this machine's name; use its IP address, or show an API "
                "key",
                facts->host ? facts->host : "");
    return 0;
}

static int check_keyless(const struct access_facts *facts, struct err *err)
{
    if (facts->listener == ACCESS_SOCKET)
        return 0;
    return facts->listener == ACCESS_NETWORK ? check_network(facts, err) : check_local(facts, err);
}

/* What stands behind "http://" or "https://"; NULL where neither is in front. */
static const char *http_host(const char *origin)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncasecmp(origin, schemes[i], strlen(schemes[i])) == 0)
            return origin + strlen(schemes[i]);
    return NULL;
}

/* On the network our own page is one that came from the host that the request goes to. On this
 * machine it is any page that a program here serves. */
static bool is_own_origin(const struct access_facts *facts)
{
    const char *host = strstr(facts->origin, "://");
    if (facts->listener != ACCESS_NETWORK)
        return host && access_is_loopback(host + strlen("://"));
    host = http_host(facts->origin);
    return host && facts->host && *host && strcasecmp(host, facts->host) == 0;
}

int access_check(const struct access_facts *facts, struct err *err)
{
    int r = facts->has_key ? 0 : check_keyless(facts, err);
    if (!r && facts->origin && !facts->origin_allowed && !is_own_origin(facts))
        r = err_set(err, -EACCES,
                "a page from \"%.100s\" may not use this endpoint; the setting cors-origins lets "
                "it",
                facts->origin);
    return r;
}

/* NULL unless a token stands behind the scheme. */
static const char *bearer_token(const char *authorization)
{
    static const char scheme[] = "Bearer ";
    const size_t len = sizeof(scheme) - 1;
    if (strncasecmp(authorization, scheme, len) != 0)
        return NULL;
    const char *token = authorization + len + strspn(authorization + len, " ");
    return *token ? token : NULL;
}

const char *access_key(const char *authorization, const char *x_api_key)
{
    const char *token = authorization ? bearer_token(authorization) : NULL;
    return token ? token : x_api_key;
}
