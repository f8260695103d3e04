/* The table of the coordinator's settings: their names in the file, on the command line and in the
 * environment. */
#pragma once

#include "common/config/config.h"

extern const struct config_key coordinator_keys[];
