#include "node/file_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* The kernel grants a lease for reading where nobody writes (fcntl(2), F_SETLEASE). One who opens
 * the file to write before the lease is given back waits for that, and we are sent a signal: one
 * that is ignored unless somebody wants it. */
static enum file_writer ask_for_lease(int fd)
{
    if (fcntl(fd, F_SETSIG, SIGURG) < 0)
        return FILE_WRITER_UNKNOWN;
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return errno == EAGAIN ? FILE_WRITER_SOME : FILE_WRITER_UNKNOWN;
    (void)fcntl(fd, F_SETLEASE, F_UNLCK);
    return FILE_WRITER_NONE;
}

enum file_writer file_writer_of(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum file_writer writer;

    if (fd < 0)
        return FILE_WRITER_UNKNOWN;
    writer = ask_for_lease(fd);
    close(fd);
    return writer;
}
