/* What the slots of engines held when these ended, in files until the same model is loaded in the
 * same way again: FOLDER/KEY/SESSION-SLOT.state, where KEY (slot_key.h) stands for all that decides
 * what a prompt becomes in the cache, so that a state never meets another model, type of cache or
 * adapter. They hold people's prompts: the folders are 0700, the files 0600 by the process's
 * umask, a file is gone once it was restored, and in any case after SLOT_FILES_AGE_S; all of them
 * together, and what is promised to engines that write just now, take no more than a limit, and the
 * oldest go first. Engines write them, under another name (….state.part) until they are whole; here
 * they are named, listed and removed. Loop thread; blocking on a few names. */
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
    SLOT_FILE_PART_MAX = SLOT_FILE_NAME_MAX + 5,
};

struct slot_files;

/* `env` is borrowed, its wall clock is. Makes the folder and removes what is too old, too much,
 * or not whole.
 * `max_bytes` 0: removes all that is there and the folder, and gives NULL. Errors: those of
 * file_make_private_dir(), -ENOMEM. */
MUST_CHECK int slot_files_open(const char *folder, uint64_t max_bytes, const struct env *env,
        struct slot_files **ret_files, struct err *err);
/* Takes NULL. */
void slot_files_close(struct slot_files *files);

/* The folder of `key` (letters and digits), made where it is not there. */
MUST_CHECK int slot_files_folder(
        const struct slot_files *files, const char *key, char ret_path[PATH_MAX], struct err *err);
/* How many bytes may be written beside those that are promised. */
uint64_t slot_files_room(const struct slot_files *files);
/* So many are about to be written: the oldest make room. Each is to be taken back when its file is
 * whole, or nothing comes of it. */
void slot_files_promise(struct slot_files *files, uint64_t bytes);
void slot_files_take_back(struct slot_files *files, uint64_t bytes);
/* Removes what is too old, and then the oldest until all are within the limit.
 * What is being written is left alone. */
void slot_files_prune(const struct slot_files *files);

struct slot_file {
    uint64_t session; /* 0: not known */
    uint32_t slot;
    char name[SLOT_FILE_NAME_MAX];
};

void slot_file_name(struct slot_file *file); /* from session and slot */
/* What it is called while an engine writes it. */
void slot_file_part(const struct slot_file *file, char ret_name[SLOT_FILE_PART_MAX]);
/* It is whole. False where it is not there. */
bool slot_file_keep(const char *folder, const struct slot_file *file);
/* No engine writes there any more: removes what is not whole. */
void slot_files_drop_parts(const char *folder);
/* Those in the folder of one key that are whole; removes what is too old or is no such file.
 * Returns how many. */
size_t slot_files_list(const struct slot_files *files, const char *folder,
        struct slot_file ret_list[SLOT_FILES_MAX]);
/* Also what is written of it. */
void slot_file_remove(const char *folder, const struct slot_file *file);
