#include "tests/lib/offline_loads.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int compare_asked(const void *a, const void *b)
{
    const struct offline_service *x = a, *y = b;

    return (x->asked_ms > y->asked_ms) - (x->asked_ms < y->asked_ms);
}

unsigned offline_loads(struct offline_service *services, size_t count, uint64_t limit_bytes)
{
    bool there[OFFLINE_MODELS_MAX] = {false};
    unsigned loads = 0;
    uint64_t sum = 0;

    qsort(services, count, sizeof *services, compare_asked);
    for (size_t k = 0; k < count; k++) {
        const struct offline_service *service = &services[k];
        assert(service->model < OFFLINE_MODELS_MAX);
        if (there[service->model])
            continue;
        sum += service->bytes;
        if (sum > limit_bytes) {
            memset(there, 0, sizeof there);
            sum = service->bytes;
            loads++;
        }
        there[service->model] = true;
    }
    return loads;
}
