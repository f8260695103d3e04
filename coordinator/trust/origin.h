/* Whose doings are counted together: an IPv4 address, an IPv6 /64 network (a household, in which
 * one address is as good as another), or another name. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { ORIGIN_BYTES = 16 };

struct origin {                  /* plain values */
    bool named;                  /* no address: the hash of the name */
    uint8_t bytes[ORIGIN_BYTES]; /* else as IPv6 writes it, the second half zero for a network */
};

/* The scope of "fe80::1%eth0" does not count; IPv4 is the same in either writing. */
struct origin origin_of(const char *address);
bool origin_same(const struct origin *a, const struct origin *b);
