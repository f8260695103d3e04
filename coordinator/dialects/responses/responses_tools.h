/* The tools of OpenAI's Responses API for a neutral chat, whose tools are all functions, and the
 * way back from the name of a function to what the client called it:
 *
 * - A function stands flat ({"type":"function","name":…}) or as in chat completions.
 * - A namespace's tools become functions "NAMESPACE__NAME".
 * - A custom tool (free text, perhaps with a grammar) becomes a function with one text, "input".
 * - What the provider itself would run (web search, …) is skipped and named.
 * - A choice of one tool, or of some, is "required" or "auto" with the others left out: engines
 * know no other.
 *
 * What a function stands for, where that is not the function of its own name, is noted in
 * `aliases`: {"NAMESPACE__NAME": {"name": "…", "namespace": "…", "custom": true}}; the last two
 * where they apply. Pure. */
#pragma once

#include "common/buf.h"
#include "common/err.h"
#include "coordinator/dialects/conversation.h"
#include "coordinator/dialects/name_set.h"
#include "coordinator/request.h"

#include <cjson/cJSON.h>
#include <stddef.h>

enum {
    RESPONSES_TOOLS_MAX = 1024,   /* of one request, those in namespaces too */
    RESPONSES_OFFERED_MAX = 4096, /* … with those that come again, or were not chosen */
};

struct responses_tools {
    struct conversation *conversation; /* borrowed */
    struct request *request;           /* borrowed; notes what is skipped */
    const cJSON *choice;               /* `tool_choice`; borrowed; may be NULL */
    cJSON *names;                      /* object: what the model is told of, by name */
    cJSON *aliases;                    /* object */
    struct name_set chosen;            /* the only tools and namespaces that count, where `some` */
    bool some;
    size_t count, offered; /* of the tools that the model is told of; of all */
};

/* -ENOMEM. What is borrowed outlives `tools`. Pairs with responses_tools_fini() in any case. */
MUST_CHECK int responses_tools_init(struct responses_tools *tools,
        struct conversation *conversation, struct request *request, const cJSON *choice);
void responses_tools_fini(struct responses_tools *tools);

/* Adds the array `list`; NULL and null are none. -EINVAL with `*ret_param` "tools", -ENOMEM. */
MUST_CHECK int responses_tools_add(
        struct responses_tools *tools, const cJSON *list, const char **ret_param, struct err *err);
/* When all tools are added: sets a chat's "tool_choice" in `body`, where it means something.
 * -EINVAL with `*ret_param` "tool_choice" where it has no known form or asks for what is not there;
 * -ENOMEM. */
MUST_CHECK int responses_tools_choose(
        struct responses_tools *tools, cJSON *body, const char **ret_param, struct err *err);

/* The name of the function that stands for a tool. `space` may be NULL. NULL for lack of memory;
 * the caller frees. */
char *responses_tools_flat_name(const char *space, const char *name);
/* A custom tool's text as its function's arguments. NULL for lack of memory; the caller frees. */
char *responses_tools_wrap_input(const char *input);
/* … and back. What a model wrote need not be the arguments that it was asked for: then all of it is
 * the text. NULL for lack of memory; the caller frees. */
char *responses_tools_unwrap_input(const char *arguments, size_t len);
