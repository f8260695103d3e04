/* From a path that is inference to a running job: the dialect reads the request, the name that was
 * asked for becomes a mode or a model that the caller may use, and the job takes over.
 *
 * What is asked for, first match: the header X-Modemesh-Mode; the path's mode (/mode/MODE/v1/…); a
 * mode's or a model's name in `model` (modes/mode_names.h has the spellings and the order;
 * mesh-MODE-MODEL leaves only the models that begin so, for the caller writes their tokens);
 * nothing, which is the mode of the kind of request (chat "auto", infill "autocomplete", embeddings
 * "embed", rerank "rerank", transcription "transcribe") or, where the owner has configured no such
 * mode, any model that can. "auto", wherever it stands, is the mode of the kind of request too, and
 * what that means for a chat is told by the request itself (auto_call.h). Infill that asks for a
 * mode none of whose models has FIM tokens goes to the mode "autocomplete". */
#pragma once

#include "coordinator/api/caller.h"

/* Answers by itself, now or later. */
void inference_serve(const struct call *call);

enum { INFERENCE_KNOWN_MAX = 400 };
/* What the caller may name in `model`: "mesh-ask, mesh-auto, small", at the end "…" where there is
 * more, "none yet" where there is nothing. Returns `text`. */
const char *inference_known_names(const struct call *call, char text[INFERENCE_KNOWN_MAX]);

struct inference_name {      /* what a name in `model` asks for */
    const struct mode *mode; /* borrowed from the modes in force; NULL: a model, `model` */
    const char *by; /* what the mode was found by: the name, or what stands for it; borrowed */
    char model[MSG_NAME_MAX + 1];
};

/* True where the name asks for the mode that the request tells. */
bool inference_asks_auto(const struct admin_view *view, const char *name);
/* Of any other name, whoever may use it. -ENOENT: nothing that is known. */
MUST_CHECK int inference_find_name(
        const struct admin_view *view, const char *name, struct inference_name *ret_name);
/* Where infill goes that asks for `mode`: to "autocomplete", should there be one, where no model of
 * `mode` has FIM tokens. */
const struct mode *inference_mode_for_infill(
        const struct admin_view *view, const struct mode *mode);
