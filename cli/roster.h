/* Who is in the mesh and who waits for approval: the answer of GET /mesh/v1/nodes as people and
 * scripts read it. Pure but for what it prints. */
#pragma once

#include "cli/table.h"
#include "common/buf.h"
#include "common/err.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* Text: members, then those who wait with the commands that approve them, refusals in brief, and
 * how long everybody is taken. TABLE_RAW: one row for each node of both kinds; those who wait have
 * the state "pending". -ENOMEM, -EIO. */
MUST_CHECK int roster_print(
        const cJSON *answer, enum table_format format, FILE *out, struct err *err);

/* The pending node that `what` (name, address, key or phrase) means. With a `phrase` (may be NULL)
 * the one of them that has it, or one that has it and whose name nobody announces: names are
 * anybody's to announce, a phrase is not. A phrase that none of them has is for the coordinator to
 * refuse. Borrowed from `answer`. -ENOENT and -EEXIST say what to do instead. */
MUST_CHECK int roster_find_pending(const cJSON *answer, const char *what, const char *phrase,
        const cJSON **ret_node, struct err *err);
