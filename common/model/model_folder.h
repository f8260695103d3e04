/* The GGUF files below a folder, and what people call the models in them, which is how a node names
 * them too. What is in a file is not looked at here. Blocking and without shared state: any thread.
 */
#pragma once

#include "common/buf.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

enum {
    MODEL_FOLDER_DEPTH_MAX = 16,      /* folders in folders */
    MODEL_FOLDER_FILES_MAX = 4096,    /* GGUF files and problems */
    MODEL_FOLDER_ENTRIES_MAX = 65536, /* directory entries of any kind */
    MODEL_FOLDER_NAME_SIZE = 2 * NAME_MAX + 2,
};

/* What a walk tells, in no order. A result below 0 ends it. `path` is borrowed. */
struct model_folder_events {
    /* `root` or a folder below it, before it is listed. 1: it is passed over. May be NULL. */
    int (*on_folder)(void *ctx, const char *path);
    /* X.gguf, a regular file or a link to one, each part of a split by itself. */
    int (*on_file)(void *ctx, const char *path, const struct stat *st);
    /* mmproj*.gguf, likewise. NULL: projectors are passed over. */
    int (*on_projector)(void *ctx, const char *path, const struct stat *st);
    /* A folder or a link that cannot be read, or more than the limits above: a sentence for people.
     */
    int (*on_problem)(void *ctx, const char *path, const char *text);
};

/* Links to files are followed, links to folders are not, so there are no cycles; names that begin
 * with a dot are passed over. Where `root` itself cannot be read: -ENOENT, -ENOTDIR, -EACCES …;
 * else what an event returned. */
MUST_CHECK int model_folder_walk(
        const char *root, const struct model_folder_events *events, void *ctx);

/* True where the name says that it is no model but a part of one that sees or hears. Pure. */
bool model_folder_is_projector(const char *path);

/* The name of `path` without folder, ".gguf" and "-00001-of-00003". `*ret_part` counts from 1, and
 * `*ret_parts` is 1 where the file is not split. Pure. */
void model_folder_stem(
        const char *path, char ret_stem[NAME_MAX + 1], unsigned *ret_part, unsigned *ret_parts);

/* What people call the model in `path`, a file below `root`: FOLDER/model.gguf and
 * FOLDER/ggml-model-Q4_K_M.gguf are FOLDER, any other X.gguf is X. `again`: another file has that
 * name already, so that this one is FOLDER/X, where it lies in a folder below `root`. Pure. */
void model_folder_name(
        const char *root, const char *path, bool again, char ret_name[MODEL_FOLDER_NAME_SIZE]);
