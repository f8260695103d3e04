#include "common/model/fingerprint.h"
#include "common/model/gguf.h"
#include "common/model/shape.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
    const uint8_t *data;
    size_t len;
    uint64_t served;
};

static ssize_t read_memory(void *ctx, uint64_t offset, void *ret_data, size_t len)
{
    struct memory *memory = ctx;

    assert(offset < memory->len);
    if (len > memory->len - offset)
        len = memory->len - (size_t)offset;
    memcpy(ret_data, memory->data + offset, len);
    memory->served += len;
    return (ssize_t)len;
}

static void check_info(const struct gguf_info *info, size_t size)
{
    assert(memchr(info->name, '\0', sizeof info->name) != NULL);
    assert(memchr(info->architecture, '\0', sizeof info->architecture) != NULL);
    assert(info->quantisation != NULL);
    assert(info->tensor_count < size);
    assert(info->version == 2 || info->version == 3);
    assert(info->pooling < GGUF_POOLING_COUNT);
    assert(info->tensor_count > 0 || info->parameters == 0);
}

static void check_layers(const struct gguf_per_layer *layers)
{
    assert(layers->count <= MODEL_LAYERS_MAX);
    assert(layers->array || layers->count <= 1);
    assert(!layers->overlong || (layers->array && layers->count == 0));
}

static void check_facts(const struct gguf_facts *facts, size_t size)
{
    check_info(&facts->info, size);
    check_layers(&facts->head_count);
    check_layers(&facts->head_count_kv);
    check_layers(&facts->feed_forward_length);
    check_layers(&facts->sliding_window_pattern);
    check_layers(&facts->recurrent_layers);
    /* They are in the file, whatever it says of them, where no two lie on each other. */
    assert(facts->info.tensor_count > 1 || facts->tensor_bytes <= size);
}

static void check_shape(const struct gguf_facts *facts, const struct model_shape *shape)
{
    assert(shape->full.layers > 0 || (shape->full.k_elements == 0 && shape->full.v_elements == 0));
    assert(shape->window.layers == 0 || shape->window_tokens > 0);
    assert(shape->window.layers > 0 ||
            (shape->window.k_elements == 0 && shape->window.v_elements == 0));
    assert(shape->tensor_bytes == facts->tensor_bytes);
    assert(!shape->bound || shape->window.layers == 0);
}

static bool holds(const struct model_shape *more, const struct model_shape *less)
{
    return more->full.k_elements >= less->full.k_elements &&
           more->full.v_elements >= less->full.v_elements && more->state_bytes >= less->state_bytes;
}

/* More heads or wider ones never cost less, and nothing that is known costs more than the bound. */
static void check_growth(struct gguf_facts *facts, const struct model_shape *shape)
{
    struct model_shape more, bound;
    uint32_t heads = facts->head_count_kv.values[0], width = facts->numbers.key_length;

    if (facts->head_count_kv.count > 0 && heads > 0 && heads < UINT32_MAX / 2) {
        facts->head_count_kv.values[0] = heads * 2;
        model_shape_of(facts, &more);
        assert(holds(&more, shape) && more.window.k_elements >= shape->window.k_elements);
        facts->head_count_kv.values[0] = heads;
    }
    if (width < GGUF_NOT_SAID - 1) {
        facts->numbers.key_length = width + 1;
        model_shape_of(facts, &more);
        assert(holds(&more, shape) && more.window.k_elements >= shape->window.k_elements);
        facts->numbers.key_length = width;
    }
    strcpy(facts->info.architecture, "not-yet-invented");
    model_shape_of(facts, &bound);
    assert(bound.bound);
    assert(bound.full.k_elements >= shape->full.k_elements);
    assert(bound.full.k_elements >= shape->window.k_elements);
}

static void check_fingerprint(const struct gguf_source *source)
{
    struct fingerprint first, second;
    struct err err;

    assert(fingerprint_read(source, 1, &first, &err) == 0);
    assert(fingerprint_read(source, 1, &second, &err) == 0);
    assert(memcmp(&first, &second, sizeof first) == 0);
}

/* Whatever the file says: one pass over it at most, facts that are whole or untouched, sums that do
 * not go around, and costs that grow with what they depend on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gguf_facts facts, untouched;
    struct memory memory = {.data = data, .len = size};
    struct gguf_source source = {.read_at = read_memory, .ctx = &memory, .size_bytes = size};
    struct model_shape shape;
    struct err err;
    int rc;

    memset(&facts, 0x5a, sizeof facts);
    memset(&untouched, 0x5a, sizeof untouched);
    rc = gguf_parse_facts(&source, 1, &facts, &err);
    assert(memory.served <= size);
    if (rc < 0) {
        assert(memcmp(&facts, &untouched, sizeof facts) == 0);
        assert(err.text[0] != '\0');
        return 0;
    }
    check_facts(&facts, size);
    model_shape_of(&facts, &shape);
    check_shape(&facts, &shape);
    check_growth(&facts, &shape);
    check_fingerprint(&source);
    return 0;
}
