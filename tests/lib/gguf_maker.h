/* Makes small GGUF files for tests, piece by piece: head, then keys, then tensors, then data.
 * Appends to a caller's buffer; a failed append aborts, as nothing can be tested then. */
#pragma once

#include "common/buf.h"

#include <stddef.h>
#include <stdint.h>

void gguf_put_u32(struct buf *out, uint32_t value);
void gguf_put_u64(struct buf *out, uint64_t value);
void gguf_put_text(struct buf *out, const char *text);

void gguf_put_head(struct buf *out, uint32_t version, uint64_t tensors, uint64_t keys);
void gguf_put_key_text(struct buf *out, const char *key, const char *value);
void gguf_put_key_u32(struct buf *out, const char *key, uint32_t value);
/* An array of `count` texts "token". */
void gguf_put_key_texts(struct buf *out, const char *key, uint64_t count);
/* A one-dimensional F32 tensor whose data is `offset` bytes into the data section. */
void gguf_put_tensor(struct buf *out, const char *name, uint64_t offset);
/* Zeros to the alignment of 32, then `len` bytes of data. */
void gguf_put_data(struct buf *out, size_t len);

/* A whole model of one tensor: architecture "llama", context 2048, `data_bytes` of data. */
void gguf_put_model(struct buf *out, size_t data_bytes);
/* gguf_put_model() into the file `path`. */
void gguf_write_model(const char *path, size_t data_bytes);
