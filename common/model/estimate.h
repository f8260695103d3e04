/* What an engine of llama.cpp's kind will take in memory for a model, before it is started: sums
 * over the model's shape and over how it would be run. What an engine then says that it took
 * (node/backends/engine_memory.h) is worth more than this. Pure; all sums saturate.
 *
 * total = tensors + cache + recurrent state + compute + projector + draft. In full:
 *
 * Cache. Cells are tokens, padded to 256 (llama_context). One cache for each sequence, or a unified
 * one with the cells of all:
 *   full attention    cells = pad256(context)
 *   sliding window    cells = pad256(min(context, window · (unified ? sequences : 1) + batch))
 *   bytes = cells · (k_elements · bytes of type_k + v_elements · bytes of type_v)
 * Held against what engines printed (tests/unit/test_estimate.c): exact to the two decimals.
 *
 * Compute. The engine reserves for the largest graph that it can be given: a batch of `batch`
 * tokens while the cache is full (llama_context::sched_reserve). Its buffer is reused from step to
 * step, so that the largest step counts:
 *   compute = carried + max(layer, logits) + output
 *   carried = 4 · 5 · embedding · batch
 *   layer   = 2 · cells · batch + 4 · 3 · max(feed_forward, embedding) · batch
 *   logits  = 4 · output_rows · vocabulary
 *   output  = 4 · sequences · vocabulary
 * A layer has attention's mask (f16) and what its feed-forward part makes; `output` is what was
 * sampled from, an "output buffer" in the host's memory. `cells` are those of one sequence's
 * caches, full and window together (of all sequences in a unified one). Without flash attention the
 * mask is f32, and beside it are the scores of a whole batch, 4 · heads · cells · batch, or the
 * feed-forward part, whichever is larger.
 *
 * Measured with llama-server b11669 (processor only) on models of the llama architecture: embedding
 * 128 to 2048, feed-forward 1.4 to 6 times that, up to 16 experts of 32 at once (feed_forward is
 * theirs together), contexts to 32,768, 1 to 64 slots, batches of 32 to 2,048, f16, q8_0 and q4_0:
 * compute within 3 % with flash attention (most: 0.3 %), 5 % without. A feed-forward part no wider
 * than the embedding took up to a quarter less. More was taken where heads together are much wider
 * than the feed-forward part (half more at 4 times its width), and where experts are narrower than
 * half the embedding (4 · experts at once · embedding · batch more: 32 MiB for Qwen3-30B-A3B).
 *
 * Logits: engines since June 2026 (llama.cpp, pull request 23861) reserve a row for each sequence,
 * older ones for each token of the batch, which is most of their buffer where the vocabulary is
 * large (gpt-oss-20b: 393 of 420 MiB, gemma-3-4b: 512 of 517). Which one an engine is shows in its
 * log only, so that `output_rows` 0 means the older: for a model of 0.5 GB with 131,072 tokens that
 * is half too much, for one of 20 GB 1 %.
 *
 * Not in it, and what the margin is for: the second copies of mask and embeddings in the host's
 * memory beside a GPU, the f32 mask that older engines convert on the device (4 · cells · batch),
 * layers that a GPU has no fused kernel for (gated delta nets on Vulkan: 280 MiB seen), the
 * projector's own compute buffer, and the runtime of the GPU's driver. What the engine keeps of
 * earlier prompts in the host's memory (--cache-ram) is counted beside it (node/residency/). */
#pragma once

#include "common/model/cache_type.h"
#include "common/model/shape.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ESTIMATE_CONTEXT_STEP = 256, /* engines round the context of a sequence up to this */
    ESTIMATE_BATCH_DEFAULT = 512,
};

struct model_run {      /* how an engine would be started */
    uint32_t context;   /* tokens of one sequence */
    uint32_t sequences; /* slots; 0: 1 */
    bool unified;       /* one cache for all sequences (llama-server --kv-unified) with context ·
                           sequences cells, of which one sequence may take more than its part */
    enum cache_type type_k, type_v;
    uint32_t batch_tokens;   /* ubatch; 0: ESTIMATE_BATCH_DEFAULT */
    uint32_t output_rows;    /* rows of logits that the engine reserves; 0: one a token of the batch
                                (older engines, embeddings); newer: its n_outputs_max, which is one a
                                sequence */
    bool no_flash_attention; /* --flash-attn off, or a device that has none for this model */
    uint64_t projector_bytes, draft_bytes;
};

struct model_memory {
    uint64_t tensor_bytes;
    uint64_t full_bytes, window_bytes; /* the cache */
    uint64_t state_bytes;
    uint64_t compute_bytes;
    uint64_t projector_bytes, draft_bytes;
    uint64_t total_bytes;  /* all of the above */
    uint64_t margin_bytes; /* what to leave free beside it: max(1 GiB, 5 %); not in the total */
};

void estimate_memory(const struct model_shape *shape, const struct model_run *run,
        struct model_memory *ret_memory);

/* What to leave free beside `bytes` of estimates: max(1 GiB, 5 %). A host leaves it once, for all
 * of its models together. */
uint64_t estimate_margin(uint64_t bytes);

/* The most that the models of a host with `memory_bytes` may take together, so that this margin is
 * left beside them. At most a sixteenth of the memory is left, else hosts of a few GiB would have
 * no room even for small models. One answer for the table that `modemesh fit` prints and for what a
 * node loads (node/residency/memory.h): what the table says fits is what a node of that size then
 * takes. */
uint64_t estimate_usable_bytes(uint64_t memory_bytes);

/* Largest context of one sequence, a multiple of ESTIMATE_CONTEXT_STEP and at most the trained
 * length (where that is not known: 2^20), whose total is within `bytes`; 0: none. `run->context` is
 * not read. */
uint32_t estimate_context(
        const struct model_shape *shape, const struct model_run *run, uint64_t bytes);
