/* The modes and their aliases as the config has them: section `modes`, and what stands for them in
 * `mode-aliases` and `model-aliases`. Start-up and reload only. */
#pragma once

#include "common/config/config.h"
#include "coordinator/modes/modes.h"

/* All that modes and aliases say of each other fits: who names a model in a rule, or points for it,
 * names one of its mode's; no rule asks for more than its models have; each mode that is asked
 * instead of another exists, and they do not go round in a circle; each alias means something. A
 * config without modes has no such names to hold aliases against: then they may mean any, and the
 * modes are `derived`, from what comes.
 *
 * -EINVAL names the place in the file, the mode, the value and the way out; -ENOMEM. */
MUST_CHECK int modes_from_config(
        const struct config *config, struct modes *ret_modes, struct err *err);
