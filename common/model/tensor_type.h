/* How tensors are stored: the types of ggml by their numbers in a GGUF file, each in blocks of some
 * elements and bytes (ggml.c, type_traits). Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Bytes of a row of `elements`; a part of a block counts as a whole one. Saturates. False where
 * `type` is not known. */
bool tensor_type_row_bytes(uint32_t type, uint64_t elements, uint64_t *ret_bytes);
