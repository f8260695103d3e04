"""Ollama's /api. check_stream and check_whole serve /api/chat and /api/generate and return {model, text, thinking,
calls, reason, final}; a call is {id, name, arguments}, arguments an object."""

import re

from . import sse, tools
from .openai_embeddings import check_vectors, inputs
from .rules import an_object, count, equals, flag, items, member, moment, must, name, objects, parse_object, text, the

REASONS = ("stop", "length", "load", "unload")
COUNTS = ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
DETAILS = ("format", "family", "parameter_size", "quantization_level")
VERSION_MIN = (0, 13, 4)  # Codex refuses an older one


class Stream:
    """Fed with each line's JSON, in order; also with the one of an answer that is whole."""

    def __init__(self, asked):
        self.asked, self.final = asked, None
        self.model, self.text, self.thinking, self.calls = None, "", "", []

    def take(self, value):
        line = an_object(value, "a line")
        must("error" not in line, f"the stream has an error: {line}")
        must(self.final is None, "a line after the one with done:true")
        moment(line, "created_at", "a line")
        must(self.model in (None, name(line, "model", "a line")), f"the model changes: {line['model']}")
        self.model = line["model"]
        done = flag(line, "done", "a line")
        self.take_said(line)
        if done:
            self.take_final(line)
        else:
            must(not set(COUNTS) & set(line), f"counts in a line that is not the last: {sorted(line)}")

    def take_said(self, line):
        """The words of a line: in `message` of a chat, in the line itself of a generate."""
        said, key = line, "response"
        if "messages" in self.asked:
            said, key = member(line, "message", "a line"), "content"
            equals(said, "role", "assistant", "a message")
        thought = said.get("thinking") or ""
        must(isinstance(thought, str), "`thinking` must be a string")
        must(not thought or not (self.text or self.calls), "thinking after content or tool calls")
        self.thinking += thought
        self.text += text(said, key, "a line")
        for call in objects(said, "tool_calls", "a message") if said.get("tool_calls") else []:
            self.take_call(call)

    def take_call(self, call):
        function = member(call, "function", "a tool call")
        arguments = member(function, "arguments", "a tool call")
        self.calls.append({"id": call.get("id") or f"call {len(self.calls)}",
                           "name": name(function, "name", "a tool call"),
                           "arguments": arguments})

    def take_final(self, line):
        reason = the(line, "done_reason", "the last line")
        must(reason in REASONS, f"done_reason must be one of {', '.join(REASONS)}, not {reason!r}")
        for key in COUNTS if reason in ("stop", "length") else ():
            count(line, key, "the last line")
        self.final = line

    def end(self):
        must(self.final, "no line has done:true")
        reason = self.final["done_reason"]
        tools.of_functions(self.asked).check(self.calls, cut=reason == "length")
        most = (self.asked.get("options") or {}).get("num_predict") or 0
        must(most <= 0 or self.final.get("eval_count", 0) <= most, f"eval_count is more than num_predict, {most}")
        return {"model": self.model, "text": self.text, "thinking": self.thinking, "calls": self.calls,
                "reason": reason,
                "final": self.final}


def check_stream(raw, asked, failed=False):
    lines = sse.lines(raw)
    stream = Stream(asked)
    for line in lines[:-1] if failed else lines:
        stream.take(line)
    if not failed:
        return stream.end()
    must(stream.final is None, "a stream that fails must not say done:true")
    return check_error(lines[-1])


def check_error(value):
    return name(an_object(value, "the error"), "error", "the error")


def check_whole(raw, asked):
    must(b"\n" not in raw.strip(), "an answer with stream:false must be one JSON value")
    stream = Stream(asked)
    stream.take(parse_object(raw, "the answer"))
    return stream.end()


def check_embed(raw, asked):
    """/api/embed; returns the vectors."""
    answer = parse_object(raw, "the answer")
    name(answer, "model", "the answer")
    vectors = items(answer, "embeddings", "the answer")
    must(len(vectors) == inputs(asked.get("input")),
         f"{len(vectors)} embeddings of {inputs(asked.get('input'))} inputs")
    check_vectors(vectors, asked.get("dimensions"))
    for key in ("total_duration", "load_duration", "prompt_eval_count"):
        count(answer, key, "the answer")
    return vectors


def check_embeddings(raw, _asked=None):
    """/api/embeddings, the old one with one prompt; returns the vector."""
    vector = items(parse_object(raw, "the answer"), "embedding", "the answer")
    check_vectors([vector])
    return vector


def check_tags(raw, _asked=None):
    """Returns the models; Zed reads each of these members with its type."""
    models = objects(parse_object(raw, "the answer"), "models", "the answer")
    for model in models:
        check_listed(model)
        moment(model, "modified_at", "a model")
    names = [model["name"] for model in models]
    must(len(names) == len(set(names)), f"a model is listed twice: {names}")
    return models


def check_listed(model):
    for key in ("name", "model", "digest"):
        name(model, key, "a model")
    must(count(model, "size", "a model") > 0, "a model of no bytes")
    check_details(member(model, "details", "a model"))


def check_details(details):
    for key in DETAILS:
        text(details, key, "details")
    must(isinstance(details.get("families"), (list, type(None))), "details: `families` must be a list or null")


def check_ps(raw, _asked=None):
    models = objects(parse_object(raw, "the answer"), "models", "the answer")
    for model in models:
        check_listed(model)
        moment(model, "expires_at", "a running model")
        count(model, "size_vram", "a running model")
    return models


def check_show(raw, _asked=None):
    """Returns {context, capabilities, answer}."""
    answer = parse_object(raw, "the answer")
    check_details(member(answer, "details", "the answer"))
    for key in ("modelfile", "template"):
        text(answer, key, "the answer")
    info = member(answer, "model_info", "the answer")
    key = f"{name(info, 'general.architecture', 'model_info')}.context_length"
    context = count(info, key, "model_info")
    must(context > 0, f"model_info: `{key}` is 0")
    must(re.search(r"^num_ctx +\d+$", text(answer, "parameters", "the answer"), re.MULTILINE),
         "`parameters` has no num_ctx")
    capabilities = items(answer, "capabilities", "the answer")
    check_capabilities(capabilities, answer["template"])
    return {"context": context, "capabilities": capabilities, "answer": answer}


def check_capabilities(capabilities, template):
    known = ("completion", "tools", "insert", "vision", "embedding", "thinking", "audio", "rerank")
    must(capabilities and all(each in known for each in capabilities),
         f"`capabilities` must be some of {', '.join(known)}: {capabilities}")
    must(("insert" in capabilities) == (".Suffix" in template), "`.Suffix` in the template and `insert` go together")


def check_version(raw, _asked=None):
    version = name(parse_object(raw, "the answer"), "version", "the answer")
    must(re.fullmatch(r"\d+\.\d+\.\d+", version), f"a version is three numbers, not {version!r}")
    must(tuple(map(int, version.split("."))) >= VERSION_MIN, f"{version} is older than 0.13.4, which Codex asks for")
    return version
