/* A folder of one test's own, below $TMPDIR or /tmp, and files in it. What fails aborts. */
#pragma once

#include <limits.h>
#include <stddef.h>

struct scratch {
    char path[PATH_MAX / 2];
};

void scratch_init(struct scratch *scratch);
/* Removes the folder with all that is in it. */
void scratch_fini(struct scratch *scratch);

/* The full path of `name`; valid until the call after the next. */
const char *scratch_path(const struct scratch *scratch, const char *name);
/* Both make missing folders on the way. */
void scratch_mkdir(const struct scratch *scratch, const char *name);
void scratch_write(const struct scratch *scratch, const char *name, const char *text);
