/* The file or files of one model, open for reading: X.gguf, or all parts of a split beside its
 * first, X-00001-of-0000N.gguf. Blocking and without shared state: any thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/model/gguf_reader.h"

#include <stddef.h>
#include <stdint.h>

enum { MODEL_PARTS_MAX = 512 }; /* files of one split; each is open while the model is read */

struct model_file;

/* Opens `path` and, where it is the first part of a split, the others beside it. -ENOENT (names the
 * part that is missing), -EINVAL: a later part, or no regular file; -EMSGSIZE: too many parts;
 * -EACCES, -EMFILE …, -ENOMEM. */
MUST_CHECK int model_file_open(const char *path, struct model_file **ret_file, struct err *err);
/* Takes NULL. */
void model_file_close(struct model_file *file);

/* The parts in their order; borrowed until the file is closed. */
const struct gguf_source *model_file_parts(const struct model_file *file);
size_t model_file_part_count(const struct model_file *file);
/* Of all parts. */
uint64_t model_file_bytes(const struct model_file *file);
