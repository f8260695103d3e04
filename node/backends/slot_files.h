/* What the slots of engines held when these ended, in files until the same model is loaded in the
 * same way again: FOLDER/KEY/SESSION-SLOT.state, where KEY stands for the file's content and for
 * all that the engine was started with, so that a state never meets another model or another type
 * of cache. They hold people's prompts: the folders are 0700, the files 0600 by the process's
 * umask, a file is gone once it was restored, and in any case after SLOT_FILES_AGE_S; all of them
 * together take no more than a limit, and the oldest go first. Engines write them; here they are
 * named, listed and removed. Loop thread; blocking on a few names. */
#pragma once

#include "common/buf.h"
#include "common/env.h"
#include "common/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SLOT_FILES_MAX = 256,                 /* of one key */
    SLOT_FILES_AGE_S = 24 * 60 * 60,      /* since it was written */
    SLOT_FILES_FREE_DIVISOR = 4,          /* of what is free on the disk one such part at most */
    SLOT_FILE_NAME_MAX = 16 + 1 + 10 + 7, /* bytes with the final NUL */
};

struct slot_files;

/* `env` is borrowed, its wall clock is. Makes the folder and removes what is too old or too much.
 * `max_bytes` 0: removes all that is there and the folder, and gives NULL. Errors: those of
 * file_make_private_dir(), -ENOMEM. */
MUST_CHECK int slot_files_open(const char *folder, uint64_t max_bytes, const struct env *env,
        struct slot_files **ret_files, struct err *err);
/* Takes NULL. */
void slot_files_close(struct slot_files *files);

/* The folder of `key` (letters and digits), made where it is not there. */
MUST_CHECK int slot_files_folder(
        const struct slot_files *files, const char *key, char ret_path[PATH_MAX], struct err *err);
/* How many bytes may still be written at once. */
uint64_t slot_files_room(const struct slot_files *files);
/* Removes what is too old, and then the oldest until all are within the limit. */
void slot_files_prune(const struct slot_files *files);

struct slot_file {
    uint64_t session; /* 0: not known */
    uint32_t slot;
    char name[SLOT_FILE_NAME_MAX];
};

void slot_file_name(struct slot_file *file); /* from session and slot */
/* Those in the folder of one key; removes what is too old or is no such file. Returns how many. */
size_t slot_files_list(const struct slot_files *files, const char *folder,
        struct slot_file ret_list[SLOT_FILES_MAX]);
void slot_file_remove(const char *folder, const struct slot_file *file);
