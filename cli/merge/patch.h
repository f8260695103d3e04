/* What the members of a patch mean (merge.h), for every format. Pure; borrowed from the patch. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>

/* The name of a member without its '?'. */
const char *patch_name(const cJSON *member);
/* True where the member must not replace what is there. */
bool patch_is_default(const cJSON *member);
/* The member that says which object of a list this is; NULL: none does. */
const cJSON *patch_identity(const cJSON *element);
/* True for an array of which every element has an identity. */
bool patch_is_keyed(const cJSON *array);
