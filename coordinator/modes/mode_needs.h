/* What a model must be able to do for a mode of that name, whatever its requests need besides:
 * what the mode's own kind of request asks for, chat for most. Pure. */
#pragma once

#include <stdint.h>

/* One of CAPABILITY_…. */
uint32_t mode_needs(const char *mode);
/* "chat", "fill in the middle"; for people. */
const char *mode_needs_words(uint32_t needs);
