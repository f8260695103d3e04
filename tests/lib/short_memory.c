#include "tests/lib/short_memory.h"

#include <stdlib.h>
#include <string.h>

/* The linker's names, as of --wrap. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static bool is_short, has_failed;
static size_t left;

static bool fails(void)
{
    if (!is_short || has_failed || left-- > 0)
        return false;
    has_failed = true;
    return true;
}

void short_memory_begin(size_t allocations)
{
    is_short = true;
    has_failed = false;
    left = allocations;
}

bool short_memory_end(void)
{
    is_short = false;
    return has_failed;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}
/* NOLINTEND(bugprone-reserved-identifier) */
