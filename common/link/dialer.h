/* Which of several addresses of one host answers: tries them all, a little after each other, and
 * the first TCP connection wins (RFC 8305's idea). Names are looked up on the way, each on the work
 * queue, so that one that resolves only later costs the others nothing. The connection is closed
 * again: what is wanted is the address. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"
#include "common/text.h"

#include <stddef.h>
#include <stdint.h>

enum {
    DIALER_TARGETS_MAX = 64,  /* of one dial; names count each address that they resolve to, what is
                                 past it is left out */
    DIALER_STAGGER_MS = 20,   /* between the starts of two tries */
    DIALER_TIMEOUT_MS = 1000, /* of one dial, names included; the next dial tries anew */
    DIALER_ADDRESS_MAX = 63,
};

struct dialer;

struct dialer_result {
    size_t target;                        /* index of what was given */
    char address[DIALER_ADDRESS_MAX + 1]; /* numeric, with "%INTERFACE" where it needs one */
    uint16_t port;
};

/* `result` NULL: none answered, and `reason` says what each of (the first few of) them said. Both
 * borrowed. May start the next dial or destroy the dialer as its last act. */
typedef void (*dialer_fn)(void *ctx, const struct dialer_result *result, const char *reason);

/* NULL where malloc refuses. */
struct dialer *dialer_create(struct loop *loop, dialer_fn fn, void *ctx);
/* Ends a dial without a word. Takes NULL. */
void dialer_destroy(struct dialer *dialer);
/* Begins; one that was under way ends without a word. `targets` are copied; a port is never 0. The
 * result comes from the loop, never from inside this call; an empty list is "no address is known".
 */
void dialer_dial(struct dialer *dialer, const struct text_addr *targets, size_t count);
