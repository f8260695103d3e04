/* Keeps a table of measurements in a file, so that a node that starts again knows what its engines
 * take. The file is read at the start, and written whole, in the work queue, after each change: a
 * disk may block. What stands in it is judged like a stranger's; where it cannot be used that is
 * told, the table is empty, and the next change replaces the file. Without a path the table lives
 * as long as this. Loop thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/loop.h"
#include "node/residency/measurements.h"

#define MEASUREMENT_FILE_NAME "measurements.json"

struct measurement_file;

/* `path` is copied; NULL: no file. -ENOMEM. */
MUST_CHECK int measurement_file_create(
        struct loop *loop, const char *path, struct measurement_file **ret_file, struct err *err);
/* What was not written yet still is (loop_fini() waits for it). Takes NULL. */
void measurement_file_destroy(struct measurement_file *file);

struct measurements *measurement_file_table(struct measurement_file *file);
/* The table has changed: writes it, now or when a write that is under way is over. A failure is
 * logged once, until a write succeeds. */
void measurement_file_save(struct measurement_file *file);
