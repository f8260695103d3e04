/* What a GGUF file says of its model: what it is and can do, and the hyper-parameters that decide
 * what it costs in memory. Told from the file's header alone (common/model/gguf_reader.h). A key
 * "ARCHITECTURE.name" may come before general.architecture. No allocation depends on the file.
 * Blocking and without shared state: any thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "common/model/gguf_reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GGUF_TEXT_MAX = 128,     /* bytes kept of a text, with its final NUL */
    MODEL_LAYERS_MAX = 1024, /* layers that are told apart; llama.cpp refuses more than 512 */
};

#define GGUF_NOT_SAID UINT32_MAX /* a hyper-parameter that the file does not have */

enum gguf_pooling { /* what the file says of how token vectors become one; others are not known */
    GGUF_POOLING_NOT_SAID,
    GGUF_POOLING_NONE, /* from here on one more than llama.cpp's enum llama_pooling_type */
    GGUF_POOLING_MEAN,
    GGUF_POOLING_CLS,
    GGUF_POOLING_LAST,
    GGUF_POOLING_RANK, /* one number: how well two texts match */
    GGUF_POOLING_COUNT,
};

struct gguf_info {
    uint32_t version;
    uint64_t tensor_count;            /* of a split: of all parts that were read */
    uint64_t context_length;          /* tokens that the model was trained for; 0: not said */
    uint16_t split_no, split_count;   /* split_count 0: not split */
    char architecture[GGUF_TEXT_MAX]; /* "llama", "qwen3moe", "clip" (a projector) */
    char name[GGUF_TEXT_MAX];         /* general.name, "" where absent */
    char type[GGUF_TEXT_MAX]; /* general.type: "model", "adapter", "mmproj"; "" where absent */
    const char *quantisation; /* "Q4_K_M", static; "" where not said or not known */
    uint64_t parameters;      /* elements of all tensors */
    enum gguf_pooling pooling;
    bool fim; /* it has tokens to fill in the middle, named by its keys or known by their text */
    bool template_read;                     /* it has a chat template, all of which was read … */
    bool template_tools, template_thinking; /* … and speaks of them */
    bool sees, hears;                       /* a projector, and it takes pictures, sound */
};

/* Scalars by the file's names without "ARCHITECTURE."; GGUF_NOT_SAID where absent, and one less
 * stands for all that is greater. */
struct gguf_numbers {
    uint32_t block_count, nextn_predict_layers, num_loops;
    uint32_t context_length, vocab_size, embedding_length, pooling_type;
    uint32_t expert_count, expert_used_count, expert_feed_forward_length;
    uint32_t expert_shared_feed_forward_length;
    uint32_t key_length, value_length, key_length_swa, value_length_swa; /* attention.… */
    uint32_t key_length_mla, value_length_mla, indexer_key_length;
    uint32_t sliding_window, shared_kv_layers;
    uint32_t full_attention_interval;
    uint32_t conv_kernel, inner_size, state_size, group_count;        /* ssm.… */
    uint32_t kda_head_dim, wkv_head_size, token_shift_count, l_cache; /* other recurrent kinds */
};

/* A number of each layer: one for all, or an array. */
struct gguf_per_layer {
    uint32_t count; /* 0: not said; 1 for a number that counts for all */
    bool array;
    bool overlong; /* more than MODEL_LAYERS_MAX: nothing is kept of it */
    uint32_t values[MODEL_LAYERS_MAX];
};

/* About 20 KiB. */
struct gguf_facts {
    struct gguf_info info;
    struct gguf_numbers numbers;
    struct gguf_per_layer head_count, head_count_kv, feed_forward_length;
    struct gguf_per_layer
            sliding_window_pattern; /* one: period; array: whether each has a window */
    struct gguf_per_layer recurrent_layers;
    uint32_t tokens;            /* in the tokenizer's list; 0: none */
    uint64_t tensor_bytes;      /* as stored; where a type is not known, all of the file's data */
    uint64_t token_bytes;       /* of these: the embedding of the tokens */
    uint64_t layer_token_bytes; /* and their further embedding for each layer (gemma3n) */
    bool has_output;            /* not tied to the embedding */
};

/* Facts of one file, or of all parts of a split in their order: keys are in the first, tensors in
 * all. -EBADMSG, -ENODATA, -ENOTSUP, -EMSGSIZE, or what read_at said, as gguf_read(); -EBADMSG also
 * where a part says that it is another, -EINVAL where there are no parts. */
MUST_CHECK int gguf_parse_facts(const struct gguf_source *parts, size_t part_count,
        struct gguf_facts *ret_facts, struct err *err);

/* The short part of one file's facts. */
MUST_CHECK int gguf_parse(
        const struct gguf_source *source, struct gguf_info *ret_info, struct err *err);

/* gguf_parse() of an open regular file of `size_bytes`. */
MUST_CHECK int gguf_parse_fd(
        int fd, uint64_t size_bytes, struct gguf_info *ret_info, struct err *err);

/* A file that holds a model to talk to: not a projector, an adapter or a vocabulary. Pure. */
bool gguf_is_model(const struct gguf_info *info);
/* A file that turns pictures or sound into what a model reads (mmproj). Pure. */
bool gguf_is_projector(const struct gguf_info *info);

/* Recognises "<stem>-00002-of-00003" (without ".gguf"). Numbers count from 1 here, as in file
 * names. Pure. */
bool gguf_split_name(
        const char *stem, size_t *ret_stem_len, unsigned *ret_part, unsigned *ret_parts);
