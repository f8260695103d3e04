#include "coordinator/http/tls_handshakes.h"

#include <stdlib.h>
#include <sys/socket.h>

struct tls_handshake {
    struct tls_handshakes *all;
    struct list link;
    int fd;
};

void tls_handshakes_init(struct tls_handshakes *handshakes, size_t max)
{
    *handshakes = (struct tls_handshakes){.max = max};
    list_init(&handshakes->under_way);
}

static void leave(struct tls_handshake *handshake)
{
    if (!list_linked(&handshake->link))
        return;
    list_del(&handshake->link);
    handshake->all->count--;
}

/* The client's Finished: only who takes part in the handshake can send it. */
static int on_finished(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
        const gnutls_datum_t *message)
{
    (void)type;
    (void)when;
    (void)message;
    if (incoming)
        leave(gnutls_db_get_ptr(session));
    return 0;
}

static void cut_oldest(struct tls_handshakes *handshakes)
{
    struct tls_handshake *oldest =
            list_entry(handshakes->under_way.next, struct tls_handshake, link);
    leave(oldest);
    shutdown(oldest->fd, SHUT_RDWR);
}

struct tls_handshake *tls_handshake_create(
        struct tls_handshakes *handshakes, gnutls_session_t session, int fd)
{
    struct tls_handshake *handshake = calloc(1, sizeof(*handshake));
    if (!handshake)
        return NULL;
    handshake->all = handshakes;
    handshake->fd = fd;
    gnutls_db_set_ptr(session, handshake);
    gnutls_handshake_set_hook_function(
            session, GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST, on_finished);
    if (handshakes->count == handshakes->max)
        cut_oldest(handshakes);
    list_push_back(&handshakes->under_way, &handshake->link);
    handshakes->count++;
    return handshake;
}

void tls_handshake_free(struct tls_handshake *handshake)
{
    if (!handshake)
        return;
    leave(handshake);
    free(handshake);
}
