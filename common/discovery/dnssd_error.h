/* What an error of libavahi-client says about the connection to avahi-daemon. */
#pragma once

#include <avahi-common/error.h>
#include <stdbool.h>

/* True where avahi-daemon gave no sensible answer, so that only a new connection helps: it is gone,
 * hangs (D-Bus's timeout comes as DBUS_ERROR), or knows nothing of our objects. Else it answered,
 * and refused. */
static inline bool dnssd_lost(int avahi_error)
{
    switch (avahi_error) {
    case AVAHI_ERR_DBUS_ERROR:
    case AVAHI_ERR_DISCONNECTED:
    case AVAHI_ERR_NO_DAEMON:
    case AVAHI_ERR_NO_MEMORY:
    case AVAHI_ERR_BAD_STATE:
    case AVAHI_ERR_INVALID_OBJECT:
        return true;
    default:
        return false;
    }
}
