/* A model known by what people call it, "32b" and "Q4_K_M", before any file of it is there: about
 * how large it is, and a bound on what its cache takes.
 *
 * Weights: parameters × bits per weight. The bits are averages over a whole file as llama.cpp's
 * quantize measured them (tools/quantize/README.md, Llama-3.1-8B; MXFP4: gpt-oss), so that the
 * layers which it keeps at a higher precision are counted. Names are rounded ("7b" may have 7.6,
 * "8b" 8.2): within 10 % of the file, and nearer where the size is given as "32.8b".
 *
 * Cache: a guess on the safe side, marked by model_shape.bound. The size says nothing of layers and
 * heads, so the shape is that of the published dense model with grouped-query attention of this
 * size whose cache is largest: all layers with full attention, 8 key-value heads of 128 (Qwen3,
 * Qwen2.5, Llama 3, Mistral Large). Of a mixture of experts ("235b-a22b") the cache follows neither
 * the total nor the active parameters; their geometric mean gave more than the real cache for each
 * of Qwen3-30B-A3B, Qwen3-235B-A22B, GLM-4.5-Air, Mixtral-8x7B, gpt-oss and Llama 4 Scout. Models
 * with sliding windows, latent attention or recurrent layers take much less. Models with as many
 * key-value heads as heads (before 2024: Llama 2 7B and 13B, Phi 3 mini, Command R) take up to
 * four times as much: no bound for those. Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/model/shape.h"

#include <stdint.h>

struct nominal_size {
    uint64_t parameters;
    uint64_t active; /* that one token goes through; = parameters where all are */
};

/* "7b", "0.6B", "270m", "1.5T", "235b-a22b", "8x7b" (a mixture of eight; taken as 8 times 7, of
 * which 2 are active). -EINVAL names the text and the forms; -ERANGE: below 1 million or above
 * 100 trillion, or more active than there are. */
MUST_CHECK int nominal_parse(const char *text, struct nominal_size *ret_size, struct err *err);

/* Thousandths of a bit per weight for "Q4_K_M", "bf16", …; case is ignored. -EINVAL names the
 * nearest. */
MUST_CHECK int nominal_parse_quantisation(
        const char *text, uint32_t *ret_millibits, struct err *err);

void nominal_shape(
        const struct nominal_size *size, uint32_t millibits, struct model_shape *ret_shape);
