/* Modes from a few lines of YAML, as the coordinator's config has them. */
#pragma once

#include "coordinator/modes/modes.h"

/* Errors as of config_load_text() and modes_from_config(); the file is called "test.yaml". */
MUST_CHECK int modes_maker_load(const char *yaml, struct modes *ret_modes, struct err *err);
/* Aborts where that fails, and says why. The caller frees with modes_fini(). */
struct modes modes_maker_make(const char *yaml);
