/* Tells when this host's network changes: an address or a link comes, goes, or goes up or down
 * (rtnetlink(7)). Only a hint to look again. Loop thread. */
#pragma once

#include "common/loop.h"

struct netwatch;

/* `fn` is called once for each burst of news. NULL where the kernel or malloc refuses; errno says
 * why: all goes on without it, only later. */
struct netwatch *netwatch_create(struct loop *loop, loop_fn fn, void *ctx);
void netwatch_destroy(struct netwatch *watch); /* takes NULL */
