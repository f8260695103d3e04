/* What a model's hyper-parameters mean for memory, added up so that it travels between hosts in a
 * few numbers. Made from a file's facts (common/model/gguf.h) or from a size alone
 * (common/model/nominal.h); read by the estimator (common/model/estimate.h). Plain values. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct model_cell { /* what one token takes in the cache, over all layers of one kind */
    uint32_t layers;
    uint64_t k_elements, v_elements;
};

struct model_shape {
    uint64_t tensor_bytes;    /* of all tensors as stored (all parts of a split) */
    uint64_t input_bytes;     /* of these: the input embedding, which stays in the host's memory
                                 beside a GPU; not where it is the output as well, which the
                                 engine then has on the GPU too */
    struct model_cell full;   /* full attention; latent attention (MLA) has v_elements 0 */
    struct model_cell window; /* sliding window */
    uint32_t window_tokens;
    uint64_t state_bytes; /* recurrent state of one sequence, f32: conv + ssm */
    uint32_t layers, embedding, vocabulary, feed_forward, heads; /* for the compute buffers */
    uint32_t context_trained;
    bool bound; /* the architecture is not known, or the file says too little of it: an upper bound,
                    not an estimate */
};

struct gguf_facts;

/* What a file's facts come to; how: DESIGN "Memory and residency", common/model/architecture.h.
 * Where the architecture is not known, or the file says less than its architecture needs, `bound`
 * is set and each layer counts as full attention with whatever else it may have. Layers that are
 * not said are as many as there are tensors, a width that is not said is as large as the vocabulary
 * leaves room for. Of a projector only the tensors count. All sums saturate. */
void model_shape_of(const struct gguf_facts *facts, struct model_shape *ret_shape);
