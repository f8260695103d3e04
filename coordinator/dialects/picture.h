/* Pictures in a conversation stand in the request itself. Nothing is fetched for a client: an
 * address of its choice would be asked from inside the mesh's own network. Pure. */
#pragma once

#include <stdbool.h>

/* True for "data:image/…;base64,…". Of all dialects only such a URL goes to an engine, which would
 * fetch any other. */
bool picture_is_inline(const char *url);
