/* Ports of this host, for tests of who is dialled: one that refuses, one that answers, one that
 * says nothing. Each is a free port that its socket, which the caller closes, keeps from everybody
 * else. Aborts where the system refuses. */
#pragma once

#include <stdint.h>

/* Refused until somebody calls listen() on it. */
int loopback_bind(uint16_t *ret_port);
int loopback_listen(uint16_t *ret_port);
/* Its queue is full: a connection to it neither comes about nor fails. */
int loopback_mute(uint16_t *ret_port);
