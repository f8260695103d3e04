/* Reads what servers with OpenAI's endpoints tell of their models: GET /v1/models, and what each
 * kind has beside it. Written after the documentation of llama.cpp (tools/server/README.md), vLLM,
 * LM Studio (REST API v0) and Lemonade (docs/api). Pure.
 *
 * The readers are found_read_fn. */
#pragma once

#include "node/backends/found/found_engine.h"

/* GET /v1/models. `owned_by` tells llama-server, vLLM and a modemesh from the rest. */
MUST_CHECK int found_openai_recognise(
        const char *text, size_t len, enum engine_kind *ret_kind, struct err *err);
/* What is listed is resident, but for what llama-server's router mode calls otherwise. */
MUST_CHECK int found_openai_models(
        const char *text, size_t len, struct found_list *list, struct err *err);

/* llama-server's GET /props, into the one model of the list; a list of none or several stays as it
 * is, as the answer does not say of which it speaks. */
MUST_CHECK int found_llama_props(
        const char *text, size_t len, struct found_list *list, struct err *err);

/* LM Studio's GET /api/v0/models. */
MUST_CHECK int found_lm_studio_recognise(
        const char *text, size_t len, enum engine_kind *ret_kind, struct err *err);
MUST_CHECK int found_lm_studio_models(
        const char *text, size_t len, struct found_list *list, struct err *err);

/* Lemonade's GET /api/v1/health, and its /api/v1/models. Models that talk, embed, rank or
 * transcribe; others (pictures, speech) are left out. */
MUST_CHECK int found_lemonade_recognise(
        const char *text, size_t len, enum engine_kind *ret_kind, struct err *err);
MUST_CHECK int found_lemonade_models(
        const char *text, size_t len, struct found_list *list, struct err *err);
MUST_CHECK int found_lemonade_health(
        const char *text, size_t len, struct found_list *list, struct err *err);
