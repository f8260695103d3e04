#include "cli/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNAL_COUNT = sizeof(signals) / sizeof(signals[0]) };

static int event_fd = -1;
static unsigned depth;
static struct sigaction before[SIGNAL_COUNT];

static void on_signal(int number)
{
    const uint64_t one = 1;
    int saved = errno;
    ssize_t rc = write(event_fd, &one, sizeof(one));

    (void)number;
    (void)rc; /* the counter cannot be full, and a handler has nobody to tell */
    errno = saved;
}

int interrupt_arm(int *ret_fd, struct err *err)
{
    /* No SA_RESTART: a write to a stuck terminal must end too. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    if (depth > 0) {
        depth++;
        *ret_fd = event_fd;
        return 0;
    }
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0)
        return err_set(err, -errno, "eventfd: %s", strerror(errno));
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        sigaction(signals[i], NULL, &before[i]);
        /* Whoever starts us with a signal ignored (nohup) wants it so. */
        if (before[i].sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
    depth = 1;
    *ret_fd = event_fd;
    return 0;
}

void interrupt_disarm(void)
{
    if (--depth > 0)
        return;
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        sigaction(signals[i], &before[i], NULL);
    close(event_fd);
    event_fd = -1;
}
