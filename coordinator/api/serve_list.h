/* The paths that tell what there is to ask for, each in its API's words (list_*.h). */
#pragma once

#include "coordinator/api/caller.h"

void serve_models(const struct call *call); /* GET /v1/models, OpenAI's or Anthropic's */
void serve_model(const struct call *call);  /* GET /v1/models/ID */
void serve_litellm(const struct call *call);
void serve_lmstudio(const struct call *call);
void serve_ollama_tags(const struct call *call);
void serve_ollama_show(const struct call *call);
void serve_ollama_ps(const struct call *call);
void serve_ollama_version(const struct call *call);
void serve_ollama_refusal(const struct call *call); /* of all that would change models */
void serve_props(const struct call *call);
void serve_slots(const struct call *call);
