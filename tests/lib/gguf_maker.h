/* Makes small GGUF files for tests, piece by piece: head, then keys, then tensors, then data.
 * Appends to a caller's buffer; a failed append aborts, as nothing can be tested then. */
#pragma once

#include "common/buf.h"
#include "common/model/gguf_reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes in memory as the source of a file (struct gguf_source) that counts what is read of it. */
struct gguf_memory {
    const struct buf *file;
    uint64_t size_bytes; /* where it is more than `file`: a sparse file, zeros behind it */
    uint64_t served;     /* bytes handed out in sum */
    uint64_t end;        /* the last byte that was handed out lies before it */
};

struct gguf_source gguf_memory_source(struct gguf_memory *memory);

void gguf_put_u32(struct buf *out, uint32_t value);
void gguf_put_u64(struct buf *out, uint64_t value);
void gguf_put_text(struct buf *out, const char *text);

void gguf_put_head(struct buf *out, uint32_t version, uint64_t tensors, uint64_t keys);
void gguf_put_key_text(struct buf *out, const char *key, const char *value);
void gguf_put_key_u32(struct buf *out, const char *key, uint32_t value);
void gguf_put_key_bool(struct buf *out, const char *key, bool value);
/* An array of `count` texts "token". */
void gguf_put_key_texts(struct buf *out, const char *key, uint64_t count);
/* Arrays of numbers and of booleans. */
void gguf_put_key_u32s(struct buf *out, const char *key, const uint32_t *values, size_t count);
void gguf_put_key_bools(struct buf *out, const char *key, const uint32_t *values, size_t count);
/* A one-dimensional F32 tensor of 8 elements whose data is `offset` bytes into the data section. */
void gguf_put_tensor(struct buf *out, const char *name, uint64_t offset);
/* A tensor of rows by columns in ggml's type `type`. */
void gguf_put_matrix(struct buf *out, const char *name, uint64_t columns, uint64_t rows,
        uint32_t type, uint64_t offset);
/* Zeros to the alignment of 32, then `len` bytes of data. */
void gguf_put_data(struct buf *out, size_t len);

/* A whole file of hyper-parameters without tensors: `keys` is "name=number name=1,0,2 …" without
 * the architecture before the names. "1,0@6" is 1,0 over and over up to six numbers; a name that
 * ends with '?' is of booleans. */
void gguf_put_hyper(struct buf *out, const char *architecture, const char *keys);

/* A whole model of one tensor: architecture "llama", context 2048, `data_bytes` of data. */
void gguf_put_model(struct buf *out, size_t data_bytes);
/* gguf_put_model() into the file `path`. */
void gguf_write_model(const char *path, size_t data_bytes);
