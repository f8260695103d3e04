#include "coordinator/http/tls_names.h"

#include "common/host_addrs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { IPV4_BYTES = sizeof(struct in_addr), IPV6_BYTES = sizeof(struct in6_addr) };

/* The length of the address in `bytes`, or 0 where `text` is none. */
static unsigned parse_address(const char *text, uint8_t bytes[IPV6_BYTES])
{
    if (inet_pton(AF_INET, text, bytes) == 1)
        return IPV4_BYTES;
    return inet_pton(AF_INET6, text, bytes) == 1 ? IPV6_BYTES : 0;
}

static bool format_address(const uint8_t *bytes, size_t len, char *text, socklen_t size)
{
    if (len != IPV4_BYTES && len != IPV6_BYTES)
        return false;
    return inet_ntop(len == IPV4_BYTES ? AF_INET : AF_INET6, bytes, text, size) != NULL;
}

static bool is_dns_name(const char *text)
{
    static const char letters[] =
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t len = strlen(text);
    return len > 0 && len <= TLS_NAME_LEN && strspn(text, letters) == len && !strchr("-.", *text) &&
           !strstr(text, "..");
}

static bool has(const struct tls_names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcasecmp(names->at[i], text) == 0)
            return true;
    }
    return false;
}

/* -EINVAL, or -E2BIG; 0 also where it is there already. */
static int add(struct tls_names *names, const char *text)
{
    char name[TLS_NAME_LEN + 1];
    uint8_t bytes[IPV6_BYTES];
    unsigned len = parse_address(text, bytes);
    if (len == 0 && !is_dns_name(text))
        return -EINVAL;
    /* An address has many spellings, and a certificate none. */
    if (len == 0 || !format_address(bytes, len, name, sizeof(name)))
        (void)snprintf(name, sizeof(name), "%s", text);
    if (has(names, name))
        return 0;
    if (names->count == TLS_NAMES_MAX)
        return -E2BIG;
    memcpy(names->at[names->count++], name, sizeof(name));
    return 0;
}

/* For names that nobody has asked for: what does not fit in is left out. */
static void add_if_fit(struct tls_names *names, const char *text)
{
    (void)add(names, text);
}

static void add_own(struct tls_names *names)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "::1"};
    char host[HOST_NAME_MAX + 1], local[sizeof(host) + sizeof(".local")];
    if (gethostname(host, sizeof(host)) == 0) {
        (void)snprintf(local, sizeof(local), "%.*s.local", (int)strcspn(host, "."), host);
        add_if_fit(names, host);
        add_if_fit(names, local);
    }
    for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++)
        add_if_fit(names, loopback[i]);
}

static int add_more(struct tls_names *names, const char *const *more, struct err *err)
{
    for (; more && *more; more++) {
        int r = add(names, *more);
        if (r == -EINVAL)
            return err_set(err, r, "\"%s\" is neither a host name nor an IP address", *more);
        if (r < 0)
            return err_set(err, r, "too many names for a certificate: %d fit", TLS_NAMES_MAX);
    }
    return 0;
}

int tls_names_gather(const char *const *more, struct tls_names *ret_names, struct err *err)
{
    struct host_addrs addrs;
    struct tls_names names = {.count = 0};
    add_own(&names);
    int r = add_more(&names, more, err);
    if (r == 0)
        r = host_addrs_get(&addrs, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < addrs.count; i++)
        add_if_fit(&names, addrs.at[i]);
    *ret_names = names;
    return 0;
}

void tls_names_of(gnutls_x509_crt_t certificate, struct tls_names *ret_names)
{
    char data[TLS_NAME_LEN + 1], address[INET6_ADDRSTRLEN];
    ret_names->count = 0;
    for (unsigned i = 0;; i++) {
        size_t size = sizeof(data);
        int type = gnutls_x509_crt_get_subject_alt_name(certificate, i, data, &size, NULL);
        if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return;
        if (type == GNUTLS_SAN_DNSNAME)
            add_if_fit(ret_names, data);
        else if (type == GNUTLS_SAN_IPADDRESS &&
                 format_address((const uint8_t *)data, size, address, sizeof(address)))
            add_if_fit(ret_names, address);
    }
}

static int put(const char *name, gnutls_x509_crt_t certificate)
{
    uint8_t bytes[IPV6_BYTES];
    unsigned len = parse_address(name, bytes);
    if (len > 0)
        return gnutls_x509_crt_set_subject_alt_name(
                certificate, GNUTLS_SAN_IPADDRESS, bytes, len, GNUTLS_FSAN_APPEND);
    return gnutls_x509_crt_set_subject_alt_name(
            certificate, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

int tls_names_put(const struct tls_names *names, gnutls_x509_crt_t certificate)
{
    int r = 0;
    for (size_t i = 0; i < names->count && r == 0; i++)
        r = put(names->at[i], certificate);
    return r;
}

bool tls_names_equal(const struct tls_names *a, const struct tls_names *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; i < a->count && equal; i++)
        equal = has(b, a->at[i]);
    return equal;
}
