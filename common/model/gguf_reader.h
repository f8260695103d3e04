/* Reader of GGUF files (ggml, docs/gguf.md): bytes in; keys, arrays and tensors out through
 * callbacks, in the order of the file and in one pass over its header. Versions 2 and 3,
 * little-endian. The file is foreign: every length is compared with the bytes that remain and with
 * a named limit before it is used, no allocation depends on the file, and what nobody asks for
 * (tokenizer arrays are large) is jumped over. The tensors' data is never read. What a key means is
 * the caller's business (common/model/gguf.h). Blocking and without shared state: any thread. */
#pragma once

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    GGUF_KEY_MAX = 256,             /* bytes of a key or a tensor's name; longer ones are refused */
    GGUF_KEYS_MAX = 65536,          /* key-value pairs in one file */
    GGUF_TENSORS_MAX = 1024 * 1024, /* tensors in one file */
    GGUF_DIMENSIONS_MAX = 4,        /* of one tensor */
    GGUF_ARRAY_DEPTH_MAX = 4,       /* arrays in arrays */
    GGUF_METADATA_MAX = 512 * 1024 * 1024, /* bytes before the tensors' data */
    GGUF_TEXT_READ_MAX = 1024 * 1024,      /* bytes of a text that are shown; the rest is skipped */
    GGUF_PIECE_MAX = 4096,                 /* of them in one piece */
    GGUF_ELEMENT_MAX = 256, /* bytes shown of a text in an array, with its final NUL */
};

enum gguf_type { /* the numbers of the format */
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT,
};

/* Where the bytes come from. */
struct gguf_source {
    /* As pread(2): bytes read, 0 at the end, or a negative errno. */
    ssize_t (*read_at)(void *ctx, uint64_t offset, void *ret_data, size_t len);
    void *ctx;
    uint64_t size_bytes;
};

struct gguf_tensor {
    const char *name;
    uint64_t elements;
    uint64_t bytes; /* as stored; 0 where its type is not known */
    bool type_known;
};

/* Who listens; any may be NULL. Texts are as they are in the file: any bytes, without a final NUL
 * unless said otherwise. Floating-point numbers and nested arrays are not shown. */
struct gguf_events {
    /* A piece of a text, in order; `at` bytes of it came before. An empty text is one empty piece.
     */
    void (*on_text)(void *ctx, const char *key, const char *piece, size_t len, uint64_t at);
    /* An integer that is not negative, or a boolean. */
    void (*on_number)(void *ctx, const char *key, uint64_t value);
    /* An array of texts or numbers begins. True: its elements are wanted. */
    bool (*on_array)(void *ctx, const char *key, enum gguf_type type, uint64_t count);
    /* Negative ones are 0. */
    void (*on_number_element)(void *ctx, uint64_t index, uint64_t value);
    /* With a final NUL, cut at GGUF_ELEMENT_MAX. */
    void (*on_text_element)(void *ctx, uint64_t index, const char *text);
    void (*on_tensor)(void *ctx, const struct gguf_tensor *tensor);
};

struct gguf_layout { /* of one file */
    uint32_t version;
    uint64_t tensor_count;
    uint64_t header_bytes; /* metadata and tensor infos: all that was read or jumped over */
    uint64_t data_offset;  /* of the tensors' data, aligned; at most the file's size */
};

/* -EBADMSG: not GGUF, or broken; -ENODATA: the file ends before its own data begins or within its
 * tensors (cut off, or still being copied); -ENOTSUP: version or byte order; -EMSGSIZE: a limit
 * above; or what read_at said. `events` NULL: only the layout is asked for. */
MUST_CHECK int gguf_read(const struct gguf_source *source, const struct gguf_events *events,
        void *ctx, struct gguf_layout *ret_layout, struct err *err);

/* Reads an open regular file of `size_bytes`; `fd` is borrowed and stays where the caller has it.
 */
struct gguf_source gguf_source_fd(int *fd, uint64_t size_bytes);
