/* AvahiPoll on our loop: what libavahi-client wants of an event loop (avahi-common/watch.h), made
 * of loop_watch's libuv. One thread, the loop's. */
#pragma once

#include "common/loop.h"

#include <avahi-common/watch.h>

struct avahi_poll;

/* NULL where malloc refuses. */
struct avahi_poll *avahi_poll_create(struct loop *loop);
/* After the client that used it is freed. Takes NULL. */
void avahi_poll_destroy(struct avahi_poll *poll);
/* What avahi_client_new() takes. Borrowed. */
const AvahiPoll *avahi_poll_get(struct avahi_poll *poll);
