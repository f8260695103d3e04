/* What a model on a node can do (CAPABILITY_…, codec.h): which of it is known to be missing, and in
 * which words people are told so, or say what they need. Pure. */
#pragma once

#include "common/err.h"
#include "proto/codec.h"

#include <stddef.h>
#include <stdint.h>

/* Of `needs` those that an instance is known to lack which says `said` of itself. What neither its
 * engine nor what was read before can tell is not known to be missing. 0 is a node of an earlier
 * version, which knows nothing but chat. */
uint32_t capability_lacking(uint32_t said, uint32_t needs);
/* What it cannot do, to stand behind "cannot": of several bits one is told. Static. */
const char *capability_lack_name(uint32_t lacking);
/* The name of the n-th ability that a request may need, "tools", and its bit. NULL past the last.
 * Static. */
const char *capability_need_at(size_t n, uint32_t *ret_need);
/* Of names with commas between them; "": none. -EINVAL: `err` has the one that is no such name, and
 * all that are. */
MUST_CHECK int capability_parse_needs(const char *text, uint32_t *ret_needs, struct err *err);
