/* Reads out of an engine's log, line by line, what memory it has taken: the truth that corrects the
 * estimate (common/model/estimate.h). For llama-server and what prints as it does; since May 2026
 * (pull request 23021) it says so from verbosity 4 on. The lines, after any time stamps, levels and
 * colours:
 *
 *   load_tensors:        CUDA0 model buffer size = 11536.18 MiB
 *   llama_kv_cache:        CPU KV buffer size =     4.00 MiB
 *   llama_memory_recurrent:    Vulkan0 RS buffer size =   201.00 MiB
 *   llama_dsv4_comp_state:      CUDA0 DSV4 csa state buffer size =     1.31 MiB
 *   llama_context:  CUDA_Host  output buffer size =     0.58 MiB
 *   sched_reserve:      ROCm0 compute buffer size =   408.01 MiB
 *   clip_ctx: CLIP using CUDA0 backend
 *   load_hparams: model size:         800.43 MiB
 *   alloc_compute_meta:        CPU compute buffer size =   322.49 MiB
 *
 *   load_model: initializing, n_slots = 2, n_ctx_slot = 2048, kv_unified = 'false'
 *   load_model: prompt cache is enabled, size limit: 8192 MiB
 *
 * One for each device, and for each cache where there are several; before 2025 without "model". The
 * last three are of a projector. A context that reserves again prints its compute buffers again:
 * the last size counts.
 *
 * Before it loads, a current engine rehearses to see what fits, and prints the same lines for that:
 * they are told apart by "print_info: no_alloc = 1" before them (and "= 0" before the true ones),
 * and all is forgotten at "fitting params to free memory took" where an engine does not print that.
 * Numbers are printed in hundredths of a MiB. The log is foreign text: any line is taken, none
 * allocates. Pure; no I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENGINE_DEVICES_MAX = 32,      /* further ones are counted into the last */
    ENGINE_DEVICE_NAME_MAX = 32,  /* bytes with the final NUL; longer names are cut */
    ENGINE_MEMORY_LINE_MAX = 512, /* bytes of a line that are looked at */
};

enum engine_buffer {
    ENGINE_BUFFER_TENSORS,
    ENGINE_BUFFER_CACHE,
    ENGINE_BUFFER_STATE,
    ENGINE_BUFFER_OUTPUT,
    ENGINE_BUFFER_COMPUTE,
    ENGINE_BUFFER_PROJECTOR, /* its weights */
    ENGINE_BUFFER_PROJECTOR_COMPUTE,
    ENGINE_BUFFER_COUNT,
};

/* "tensors", "cache", "state", …; static. */
const char *engine_buffer_name(enum engine_buffer buffer);

struct engine_device {
    char name[ENGINE_DEVICE_NAME_MAX]; /* "CPU", "CPU_Mapped", "CUDA0", "CUDA_Host", "Vulkan0" */
    bool host; /* the host's own memory, also where a GPU's driver pins it */
    uint64_t bytes[ENGINE_BUFFER_COUNT];
    uint64_t context_compute_bytes; /* private: of the context that is being made */
};

struct engine_memory {
    struct engine_device devices[ENGINE_DEVICES_MAX];
    size_t device_count;
    uint32_t output_rows; /* rows of logits that it reserves (its n_outputs_max); 0: it did not say,
                             so one for each token of a batch */
    uint64_t prompt_cache_bytes; /* that it may take for earlier prompts, beside what it has taken;
                                    0: none, no limit, or it did not say */
    bool unified;                /* all sequences share one cache */
    /* private */
    bool rehearsal;      /* what it prints now is not allocated */
    bool tells_no_alloc; /* it says when it rehearses */
    char projector_device[ENGINE_DEVICE_NAME_MAX];
};

void engine_memory_init(struct engine_memory *memory);

/* Takes one line, with or without its end. */
void engine_memory_take(struct engine_memory *memory, const char *line, size_t len);

/* True where it has said all of what every model needs: weights, and what a step takes. */
bool engine_memory_is_whole(const struct engine_memory *memory);
/* Sum of all devices; saturates. 0: the log said nothing. */
uint64_t engine_memory_total(const struct engine_memory *memory);
/* Of one kind over all devices. */
uint64_t engine_memory_of(const struct engine_memory *memory, enum engine_buffer buffer);
/* In the host's memory (`host`), or on all other devices. */
uint64_t engine_memory_on(const struct engine_memory *memory, bool host);
