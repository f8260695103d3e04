/* Reader of GGUF metadata (llama.cpp, docs/gguf.md): the few facts that a node needs to offer a
 * model file: what it is, and what it can do. Versions 2 and 3, little-endian. The file is foreign:
 * every length is compared with the bytes that remain and with a named limit before it is used, no
 * allocation depends on the file, and what is not needed (tokenizer arrays are large) is skipped.
 * Blocking and without shared state: any thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    GGUF_TEXT_MAX = 128,            /* bytes kept of a text, with its final NUL */
    GGUF_KEY_MAX = 256,             /* bytes of a key or a tensor's name; longer ones are refused */
    GGUF_KEYS_MAX = 65536,          /* key-value pairs in one file */
    GGUF_TENSORS_MAX = 1024 * 1024, /* tensors in one file */
    GGUF_DIMENSIONS_MAX = 4,        /* of one tensor */
    GGUF_ARRAY_DEPTH_MAX = 4,       /* arrays in arrays */
    GGUF_METADATA_MAX = 512 * 1024 * 1024, /* bytes before the tensors' data */
    GGUF_TEMPLATE_MAX = 1024 * 1024,       /* bytes of a chat template that are looked at */
};

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
    uint64_t tensor_count;
    uint64_t context_length;          /* tokens that the model was trained for; 0: not said */
    uint16_t split_no, split_count;   /* split_count 0: not split */
    char architecture[GGUF_TEXT_MAX]; /* "llama", "qwen3moe", "clip" (a projector) */
    char name[GGUF_TEXT_MAX];         /* general.name, "" where absent */
    char type[GGUF_TEXT_MAX]; /* general.type: "model", "adapter", "mmproj"; "" where absent */
    const char *quantisation; /* "Q4_K_M", static; "" where not said or not known */
    uint64_t parameters;      /* elements of all tensors of this file */
    enum gguf_pooling pooling;
    bool fim; /* it has tokens to fill in the middle, named by its keys or known by their text */
    bool template_tools, template_thinking; /* its chat template speaks of them */
};

/* Where the bytes come from. */
struct gguf_source {
    /* As pread(2): bytes read, 0 at the end, or a negative errno. */
    ssize_t (*read_at)(void *ctx, uint64_t offset, void *ret_data, size_t len);
    void *ctx;
    uint64_t size_bytes;
};

/* -EBADMSG: not GGUF, or broken; -ENODATA: the file ends before its own data begins or before the
 * last tensor (cut off, or still being copied); -ENOTSUP: version or byte order; -EMSGSIZE: a limit
 * above; or what read_at said. */
MUST_CHECK int gguf_parse(
        const struct gguf_source *source, struct gguf_info *ret_info, struct err *err);

/* gguf_parse() of an open regular file of `size_bytes`. */
MUST_CHECK int gguf_parse_fd(
        int fd, uint64_t size_bytes, struct gguf_info *ret_info, struct err *err);

/* A file that holds a model to talk to: not a projector, an adapter or a vocabulary. Pure. */
bool gguf_is_model(const struct gguf_info *info);

/* Recognises "<stem>-00002-of-00003" (without ".gguf"). Numbers count from 1 here, as in file
 * names. Pure. */
bool gguf_split_name(
        const char *stem, size_t *ret_stem_len, unsigned *ret_part, unsigned *ret_parts);
