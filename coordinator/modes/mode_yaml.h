/* Modes as the config would have them, section `modes`: what is as by default is left out. Loaded
 * again they are the very same. */
#pragma once

#include "common/buf.h"
#include "coordinator/modes/modes.h"

/* Appends the section; nothing where there are no modes. -ENOBUFS, -ENOMEM: what was appended is of
 * no use. */
MUST_CHECK int mode_yaml_append(const struct modes *modes, struct buf *out);
