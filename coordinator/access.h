/* Who may speak to a loopback listener without a key: a program on this machine, not a page in its
 * browser and not a proxy that carries strangers. So: a loopback Host, no Origin but a loopback
 * one, no forwarding headers (DESIGN "Trust", the loopback rule). Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>

struct access_facts { /* header values; NULL where absent */
    const char *host, *origin;
    const char *forwarded; /* Forwarded, X-Forwarded-For, X-Forwarded-Host or X-Real-IP, whichever
                              is there */
};

/* 0, or -EACCES with which header is wrong. */
MUST_CHECK int access_check(const struct access_facts *facts, struct err *err);

/* True for "localhost", names that end in ".localhost", and 127.0.0.0/8, each with or without
 * ":PORT"; for ::1, "[::1]" and "[::1]:PORT". Other spellings of these addresses ("127.1",
 * "::ffff:127.0.0.1") are not taken. */
bool access_is_loopback(const char *host);
