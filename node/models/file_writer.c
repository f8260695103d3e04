#include "node/models/file_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>
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

/* Network file systems give leases by rules of their own, and refuse them for reasons of their own.
 */
static bool is_local(int fd)
{
    static const uint32_t remote[] = {0x6969 /* NFS */, 0xff534d42 /* CIFS */,
            0xfe534d42 /* SMB2 */, 0x517b /* SMB */, 0x65735546 /* FUSE */, 0x00c36400 /* Ceph */,
            0x01021997 /* 9P */, 0x5346414f /* AFS */, 0x6b414653 /* kAFS */,
            0x01161970 /* GFS2 */};
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return false;
    for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
        if ((uint32_t)fs.f_type == remote[i])
            return false;
    return true;
}

enum file_writer file_writer_of(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum file_writer writer;

    if (fd < 0)
        return FILE_WRITER_UNKNOWN;
    writer = is_local(fd) ? ask_for_lease(fd) : FILE_WRITER_UNKNOWN;
    close(fd);
    return writer;
}
