/* engine_memory: any log is taken. Its devices stay few, have printable names and differ, the sums
 * agree however they are made, and a line's end makes no difference. */
#include "node/backends/engine_memory.h"

#include "common/saturating.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each line in memory of its own, so that a look past its end is seen. */
static void take_copy(struct engine_memory *memory, const uint8_t *line, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    assert(copy);
    memcpy(copy, line, len);
    engine_memory_take(memory, copy, len);
    free(copy);
}

static void take_lines(struct engine_memory *memory, const uint8_t *data, size_t size, size_t ends)
{
    engine_memory_init(memory);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;
        take_copy(memory, data, len + (end ? ends : 0));
        len += end ? 1 : 0;
        data += len;
        size -= len;
    }
}

static void check_device(const struct engine_memory *memory, size_t i)
{
    const struct engine_device *device = &memory->devices[i];

    assert(memchr(device->name, '\0', sizeof device->name));
    assert(device->name[0] != '\0');
    for (const char *p = device->name; *p != '\0'; p++)
        assert(*p > ' ' && *p <= '~');
    for (size_t other = 0; other < i; other++)
        assert(strcmp(device->name, memory->devices[other].name) != 0);
    assert(device->context_compute_bytes <= device->bytes[ENGINE_BUFFER_COMPUTE]);
}

static void check_same(const struct engine_memory *a, const struct engine_memory *b)
{
    assert(a->device_count == b->device_count && a->output_rows == b->output_rows);
    for (size_t i = 0; i < a->device_count; i++) {
        assert(strcmp(a->devices[i].name, b->devices[i].name) == 0);
        assert(memcmp(a->devices[i].bytes, b->devices[i].bytes, sizeof a->devices[i].bytes) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct engine_memory memory, with_ends;
    uint64_t total;

    take_lines(&memory, data, size, 0);
    take_lines(&with_ends, data, size, 1);
    assert(memory.device_count <= ENGINE_DEVICES_MAX);
    for (size_t i = 0; i < memory.device_count; i++)
        check_device(&memory, i);
    total = engine_memory_total(&memory);
    assert(total ==
            saturating_sum(engine_memory_on(&memory, true), engine_memory_on(&memory, false)));
    for (unsigned buffer = 0; buffer < ENGINE_BUFFER_COUNT; buffer++)
        assert(engine_memory_of(&memory, (enum engine_buffer)buffer) <= total);
    check_same(&memory, &with_ends);
    return 0;
}
