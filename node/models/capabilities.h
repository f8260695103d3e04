/* What a model can do, told from its file: before its engine runs, and for what an engine does not
 * say of itself. Pure. */
#pragma once

#include "common/model/gguf.h"

#include <stdint.h>

/* CAPABILITY_…, without CAPABILITY_EXACT, _VISION and _AUDIO: a projector is another file. A model
 * that makes vectors does nothing else. */
uint32_t capabilities_of_file(const struct gguf_info *info);
