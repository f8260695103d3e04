/* What stands for modes and for foreign models in the config: `mode-aliases`, and `model-aliases`.
 * A part of mode_config.h, which says what is refused. */
#pragma once

#include "common/config/config.h"
#include "coordinator/modes/modes.h"

/* Adds the aliases to `modes`, whose list is complete; also where it fails, some of them. -EINVAL
 * names the place in the file and the alias; -ENOMEM. */
MUST_CHECK int mode_aliases_read(const struct config *config, struct modes *modes, struct err *err);
