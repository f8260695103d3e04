/* Reads Ollama's own API: GET /api/version, /api/tags, /api/ps and POST /api/show, of version 0.5
 * to 0.40 (https://github.com/ollama/ollama, docs/api.md). What older ones do not say is not told.
 *
 * A model that Ollama only passes on to another computer (`remote_host`, its cloud models) is left
 * out: who asks for a model of the mesh does not ask for that.
 *
 * The context of a request is the one that the model was loaded with, and OpenAI's endpoints cannot
 * ask for another: a request that comes that way runs with the model's own `num_ctx`, else with the
 * default of this Ollama, and Ollama loads the model anew where it has another one. So what /api/ps
 * tells after a load with no `num_ctx` is what every request gets; of a model that is not loaded
 * only its own `num_ctx` is known, and nothing where it has none. Pure. */
#pragma once

#include "node/backends/found/found_engine.h"

MUST_CHECK int found_ollama_recognise(
        const char *text, size_t len, enum engine_kind *ret_kind, struct err *err);

/* Both are found_read_fn. Tags: what is on its disk. Ps: what is in its memory; a model that it
 * names is resident, all others are not. */
MUST_CHECK int found_ollama_tags(
        const char *text, size_t len, struct found_list *list, struct err *err);
MUST_CHECK int found_ollama_ps(
        const char *text, size_t len, struct found_list *list, struct err *err);
/* Completes one model with what /api/show tells of it. -EREMOTE: another computer answers for it;
 * -EPROTO, -ENOMEM. `model` is then as it was. */
MUST_CHECK int found_ollama_show(
        const char *text, size_t len, struct found_model *model, struct err *err);
