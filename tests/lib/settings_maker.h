/* Settings of models for tests. */
#pragma once

#include "node/models/model_settings.h"

#include <stdbool.h>
#include <stdint.h>

/* With nothing said but these: context 0 is the node's choice. For who takes them. */
struct model_settings *settings_make(uint32_t context, uint32_t slots, bool pin);
