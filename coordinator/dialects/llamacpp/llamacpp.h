/* The endpoints of llama.cpp's server that have a shape of their own. Slots are the mesh's
 * business: `id_slot` is accepted and does nothing. */
#pragma once

#include "coordinator/dialects/dialect.h"

/* POST /completion. One prompt a request: a string, or an array of token ids with strings between
 * them. */
extern const struct dialect dialect_llamacpp_completion;
/* POST /infill */
extern const struct dialect dialect_llamacpp_infill;
/* POST /tokenize, /detokenize, /apply-template */
extern const struct dialect dialect_llamacpp_tokenize;
extern const struct dialect dialect_llamacpp_detokenize;
extern const struct dialect dialect_llamacpp_template;
