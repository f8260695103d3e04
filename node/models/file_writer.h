/* Whether a file is open for writing, by anybody on this host: what is still being copied or
 * downloaded is, also while nothing comes. Blocking, any thread. */
#pragma once

enum file_writer {
    FILE_WRITER_NONE,
    FILE_WRITER_SOME,
    FILE_WRITER_UNKNOWN, /* another user's file, a network folder, or it cannot be opened */
};

enum file_writer file_writer_of(const char *path);
