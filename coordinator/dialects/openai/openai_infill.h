/* A prompt and its suffix as a request to fill in the middle, in the form of llama.cpp's /infill.
 * Everything else in the body goes along. */
#pragma once

#include "coordinator/dialects/openai/openai_body.h"

/* Notes the cursor between `prompt`, where that is a text, and `suffix`, which may be absent;
 * nothing where no token is asked for. After openai_read_sampling(). */
void openai_infill_note_cursor(struct openai_body *body);
/* Notes likewise where the prompt of a completion has a model's own tokens for it. After
 * openai_read_sampling(). */
void openai_infill_note_tokens(struct openai_body *body);
/* After openai_read_sampling(). Sets kind, lane and needs; `suffix` may be absent. -EINVAL where
 * `prompt` or `suffix` is no string. */
MUST_CHECK int openai_infill_make(struct openai_body *body);
