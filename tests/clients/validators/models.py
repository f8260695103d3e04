"""Lists of models, each as its readers need it. All return the entries."""

import re

from .rules import count, equals, flag, member, moment, must, name, objects, parse_object, the

# Roo, opencode and others read a meaning into these parts of a model's name.
TELLING = ("o1", "o3", "o4", "gpt", "claude", "deepseek-reasoner", "deepseek-r1")


def check_openai(raw, _asked=None):
    """/v1/models of OpenAI, with the members that editors take the context length from."""
    answer = parse_object(raw, "the answer")
    equals(answer, "object", "list", "the answer")
    models = objects(answer, "data", "the answer")
    for model in models:
        equals(model, "object", "model", "a model")
        equals(model, "type", "model", "a model")
        for key in ("id", "owned_by", "display_name"):
            name(model, key, "a model")
        must(count(model, "created", "a model") > 0, "`created` must be a time")
        moment(model, "created_at", "a model")
        check_lengths(model)
    check_names(models)
    return models


def check_lengths(model):
    """All that name the context agree, so that each editor sees one length."""
    context = count(model, "context_length", "a model")
    must(context > 0, f"{model['id']}: `context_length` is 0")
    for key in ("max_model_len", "max_input_tokens"):
        equals(model, key, context, model["id"])
    must(0 < count(model, "max_tokens", model["id"]) <= context,
         f"{model['id']}: `max_tokens` is not within the context")
    meta = member(model, "meta", model["id"])
    equals(meta, "n_ctx", context, f"{model['id']}: meta")
    must(count(meta, "n_ctx_train", f"{model['id']}: meta") > 0, f"{model['id']}: n_ctx_train is 0")


def check_names(models):
    names = [model["id"] for model in models]
    must(len(names) == len(set(names)), f"a model is listed twice: {names}")
    for mode in (known for known in names if known.startswith("mesh-")):
        must(re.fullmatch(r"[a-z0-9.-]+", mode), f"a mode's name is made of a-z, 0-9, . and -: {mode}")


def check_safe_names(names):
    """Of the built-in modes: no editor reads a meaning into them."""
    for known in names:
        must(not any(part in known for part in TELLING), f"editors read a meaning into the name {known}")


def check_anthropic(raw, _asked=None):
    """/v1/models for a caller with anthropic-version; Claude Code's picker keeps only ids with `claude` in them."""
    answer = parse_object(raw, "the answer")
    models = objects(answer, "data", "the answer")
    for model in models:
        equals(model, "type", "model", "a model")
        name(model, "id", "a model")
        name(model, "display_name", "a model")
        moment(model, "created_at", "a model")
    flag(answer, "has_more", "the answer")
    ends = (models[0]["id"], models[-1]["id"]) if models else (None, None)
    must((the(answer, "first_id", "the answer"), the(answer, "last_id", "the answer")) == ends,
         f"first and last are {ends}")
    check_names(models)
    claude = [model["id"] for model in models if model["id"].startswith("claude-mesh-")]
    must(claude or not any(model["id"].startswith("mesh-") for model in models),
         "no claude-mesh-… for Claude Code's picker")
    return models


def check_litellm(raw, _asked=None):
    """/v1/model/info of LiteLLM, from which Roo and Cline take the context length."""
    models = objects(parse_object(raw, "the answer"), "data", "the answer")
    for model in models:
        name(model, "model_name", "a model")
        name(member(model, "litellm_params", "a model"), "model", "litellm_params")
        info = member(model, "model_info", "a model")
        must(count(info, "max_input_tokens", "model_info") > 0, "model_info: `max_input_tokens` is 0")
        must(count(info, "max_tokens", "model_info") > 0, "model_info: `max_tokens` is 0")
        for key in ("supports_vision", "supports_function_calling"):
            flag(info, key, "model_info")
    return models


def check_lmstudio(raw, _asked=None):
    """/api/v0/models of LM Studio."""
    models = objects(parse_object(raw, "the answer"), "data", "the answer")
    for model in models:
        name(model, "id", "a model")
        equals(model, "object", "model", "a model")
        must(model.get("type") in ("llm", "vlm", "embeddings"), f"a model's type is {model.get('type')!r}")
        must(model.get("state") in ("loaded", "not-loaded"), f"a model's state is {model.get('state')!r}")
        must(count(model, "max_context_length", "a model") > 0, "`max_context_length` is 0")
    return models
