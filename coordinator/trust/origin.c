#include "coordinator/trust/origin.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <string.h>

enum {
    NETWORK_BYTES = 8, /* of an IPv6 address */
    PREFIX_BYTES = 12, /* of "::ffff:", before the bytes of IPv4 */
};

/* Without the scope of "fe80::1%eth0". */
static bool parse_v6(const char *address, struct in6_addr *ret_v6)
{
    char bare[INET6_ADDRSTRLEN];
    size_t len = strcspn(address, "%");
    if (len >= sizeof(bare))
        return false;
    memcpy(bare, address, len);
    bare[len] = '\0';
    return inet_pton(AF_INET6, bare, ret_v6) == 1;
}

struct origin origin_of(const char *address)
{
    struct origin origin = {.named = false};
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1) {
        memset(origin.bytes + PREFIX_BYTES - 2, 0xff, 2);
        memcpy(origin.bytes + PREFIX_BYTES, &v4, sizeof(v4));
    } else if (parse_v6(address, &v6)) {
        memcpy(origin.bytes, &v6, IN6_IS_ADDR_V4MAPPED(&v6) ? sizeof(v6) : NETWORK_BYTES);
    } else {
        origin.named = true;
        (void)crypto_generichash(origin.bytes, sizeof(origin.bytes), (const uint8_t *)address,
                strlen(address), NULL, 0);
    }
    return origin;
}

bool origin_same(const struct origin *a, const struct origin *b)
{
    return a->named == b->named && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
