#include "common/model/cache_type.h"

#include "common/saturating.h"
#include "common/text.h"

#include <assert.h>
#include <errno.h>
#include <strings.h>

#define ALL_NAMES "f16, f32, bf16, q8_0, q5_1, q5_0, q4_1, q4_0 and iq4_nl"

struct layout {
    uint8_t block_elements, block_bytes;
};

static const struct layout layouts[CACHE_TYPE_COUNT] = {[CACHE_TYPE_F16] = {1, 2},
        [CACHE_TYPE_F32] = {1, 4},
        [CACHE_TYPE_BF16] = {1, 2},
        [CACHE_TYPE_Q8_0] = {32, 34},
        [CACHE_TYPE_Q5_1] = {32, 24},
        [CACHE_TYPE_Q5_0] = {32, 22},
        [CACHE_TYPE_Q4_1] = {32, 20},
        [CACHE_TYPE_Q4_0] = {32, 18},
        [CACHE_TYPE_IQ4_NL] = {32, 18}};

static const char *const names[CACHE_TYPE_COUNT + 1] = {[CACHE_TYPE_F16] = "f16",
        [CACHE_TYPE_F32] = "f32",
        [CACHE_TYPE_BF16] = "bf16",
        [CACHE_TYPE_Q8_0] = "q8_0",
        [CACHE_TYPE_Q5_1] = "q5_1",
        [CACHE_TYPE_Q5_0] = "q5_0",
        [CACHE_TYPE_Q4_1] = "q4_1",
        [CACHE_TYPE_Q4_0] = "q4_0",
        [CACHE_TYPE_IQ4_NL] = "iq4_nl",
        [CACHE_TYPE_COUNT] = NULL};

const char *cache_type_name(enum cache_type type)
{
    assert(type < CACHE_TYPE_COUNT);
    return names[type];
}

int cache_type_parse(const char *text, enum cache_type *ret_type, struct err *err)
{
    const char *nearest;

    for (unsigned type = 0; type < CACHE_TYPE_COUNT; type++) {
        if (strcasecmp(text, names[type]) == 0) {
            *ret_type = (enum cache_type)type;
            return 0;
        }
    }
    nearest = text_nearest(text, names);
    return err_set(err, -EINVAL, "\"%.40s\" is no cache type%s%s%s; there are " ALL_NAMES, text,
            nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

uint64_t cache_type_bytes(enum cache_type type, uint64_t elements)
{
    const struct layout *layout;
    uint64_t blocks;

    assert(type < CACHE_TYPE_COUNT);
    layout = &layouts[type];
    blocks = elements / layout->block_elements + (elements % layout->block_elements > 0);
    return saturating_product(blocks, layout->block_bytes);
}
