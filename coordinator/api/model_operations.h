/* The operations on models and nodes that take longer than a request (coordinator/deploy/tasks.h):
 * each answers {"operation": ID} at once, and GET operations tells how it goes.
 *
 *   POST deploy         {"mode", "model", "node"?, SETTINGS, "rehearse"?: true} or {"mode", "undo":
 *                       true, "node"?, "rehearse"?}
 *   POST models/load    {"model", "node"?, SETTINGS, "keep"?: true, "rehearse"?}
 *   POST models/unload  {"model", "node"?}
 *   POST models/pin     {"model", "node"?, "pinned": true|false}
 *   POST nodes/drain    {"node", "draining": true|false}
 *   POST plan           {"apply": true}: carry out what GET plan would say now (serve_plan.h)
 *   GET  operations     the last ones, the newest first
 *
 * SETTINGS: "context"? (tokens of one request), "slots"?, "kv"? (cache type of keys and values) or
 * "kv_k"? and "kv_v"?; what is left out is as the node's config has it. Without "node" a load goes
 * to the node that suits best, and the others to every node that is meant (plain_order.h).
 * "rehearse" changes nothing: the message says how it would go. Inside coordinator/api/ only. */
#pragma once

#include "coordinator/api/operations.h"

enum { MODEL_OPERATIONS = 7 };

extern const struct operation model_operations[MODEL_OPERATIONS];
