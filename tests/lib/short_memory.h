/* Memory that runs out when a test says so: for what must survive each of its allocations failing.
 * The test's program is linked so that malloc, calloc, realloc and strdup of the project's own code
 * come here (meson.build: short_memory_tests); libraries are not concerned. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* After `allocations` more the next one fails, and only that one. */
void short_memory_begin(size_t allocations);
/* All succeed again. True where one has failed. */
bool short_memory_end(void);
