/* What a model can do, told from its file: before its engine runs, and for what an engine does not
 * say of itself. Pure. */
#pragma once

#include "common/model/gguf.h"

#include <stdint.h>

/* CAPABILITY_…, without CAPABILITY_EXACT, _SENSES, _VISION and _AUDIO: a projector is another file.
 * A model that makes vectors does nothing else. */
uint32_t capabilities_of_file(const struct gguf_info *info);
/* CAPABILITY_SENSES, _VISION and _AUDIO, for a model that is run with this projector; 0: its file
 * does not say. Without any projector it is CAPABILITY_SENSES alone. */
uint32_t capabilities_of_projector(const struct gguf_info *info);
