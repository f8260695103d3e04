/* What the coordinator is asked for and takes longer than a request: begun, followed with its
 * progress, and told how it ended (coordinator/api/model_operations.h). Ctrl-C ends the following,
 * never the operation. */
#pragma once

#include "cli/cli.h"

#include <cjson/cJSON.h>

enum {
    OPERATION_POLL_MS = 300,
    OPERATION_LOST_MAX = 10, /* looks in a row at which the coordinator does not know it */
};

#define OPERATIONS_PATH "/mesh/v1/operations"

/* POSTs `request` to `path`, then looks again and again until the operation has ended; new progress
 * goes to `cli->notes` a line each, where `tell`. The caller frees `*ret_operation` (a member of
 * the list, as it ended well) by cJSON_Delete(). -EREMOTEIO: refused, or it has failed: the text is
 * the coordinator's; -EINTR after a word on how to look after it; or what client.h returns. */
MUST_CHECK int operation_run(const struct cli *cli, const char *path, const cJSON *request,
        bool tell, cJSON **ret_operation, struct err *err);

/* The same, and prints how it ended: its message, or with --json the operation. */
MUST_CHECK int operation_perform(const struct cli *cli, const struct command_line *line,
        const char *path, const cJSON *request, struct err *err);

/* Adds what the flags --node, --context, --slots and --kv say. -EINVAL names the flag. */
MUST_CHECK int operation_add_node(const struct command_line *line, cJSON *request, struct err *err);
MUST_CHECK int operation_add_settings(
        const struct command_line *line, cJSON *request, struct err *err);
MUST_CHECK int operation_add_true(cJSON *request, const char *key, struct err *err);
