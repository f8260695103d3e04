#include "node/residency/measurements.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is printed as text that is taken, and that is printed as the same. */
static void check_again(const struct measurements *taken)
{
    struct measurements *again = measurements_create();
    struct buf first, second;

    assert(again);
    buf_init(&first, MEASUREMENTS_TEXT_MAX);
    buf_init(&second, MEASUREMENTS_TEXT_MAX);
    assert(measurements_print(taken, &first) == 0);
    assert(measurements_parse(again, buf_at(&first), first.len, NULL) == 0);
    assert(measurements_print(again, &second) == 0);
    assert(first.len == second.len && memcmp(buf_at(&first), buf_at(&second), first.len) == 0);
    buf_fini(&first);
    buf_fini(&second);
    measurements_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct measurements *measurements = measurements_create();
    struct err err = {""};

    assert(measurements);
    if (measurements_parse(measurements, (const char *)data, size, &err) == 0)
        check_again(measurements);
    else
        assert(err.text[0] != '\0');
    measurements_destroy(measurements);
    return 0;
}
