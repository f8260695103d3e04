"""A scripted engine's answer: what it says piece by piece, and the JSON in which llama-server says the same."""

import copy
import itertools
import json
import re

from scripted_rules import CHAT, plain_input, whole_text

MS = 1000
FRAGMENT_CHARS = 12
TOKEN_BYTES = 3  # a token is so many bytes of text, and its id holds them
TIMING_MS = 1.0  # of each token
BUILD = "scripted"
CREATED = 1700000000
ERROR_TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error",
               501: "not_supported_error", 503: "unavailable_error"}


# --- text and tokens


def cut(text):
    """Pieces of an answer's text."""
    return text if isinstance(text, list) else re.findall(r"\s*\S+|\s+$", text)


def tokenize(text):
    data = text.encode()
    return [int.from_bytes(b"\1" + data[at:at + TOKEN_BYTES], "big") for at in range(0, len(data), TOKEN_BYTES)]


def bytes_of(token):
    return token.to_bytes((token.bit_length() + 7) // 8, "big")[1:]


def with_piece(token):
    piece = bytes_of(token)
    try:
        return {"id": token, "piece": piece.decode()}
    except UnicodeDecodeError:
        return {"id": token, "piece": list(piece)}


def template(body):
    """What the model would read."""
    turns = [f"<|im_start|>{message.get('role')}\n{whole_text(message)}<|im_end|>\n"
             for message in body.get("messages") or []]
    tools = body.get("tools") or []
    if tools:
        turns.insert(0, f"<|im_start|>tools\n{json.dumps(tools)}<|im_end|>\n")
    return f"{''.join(turns)}<|im_start|>assistant\n"


# --- answers


class Aborted(Exception):
    """The client went away."""


class Cut(Exception):
    """The script says that the connection is lost."""


class Died(Exception):
    """The script says that the engine dies."""


class Refused(Exception):
    """An HTTP error; `error` as a rule has it."""

    def __init__(self, error):
        super().__init__(error.get("message"))
        self.error = error

    def status(self):
        return self.error.get("status", 500)

    def headers(self):
        return self.error.get("headers", {})

    def body(self):
        return self.error["body"] if "body" in self.error else {"error": error_body(self.error)}


def error_body(error):
    status = error.get("status", 500)
    more = {name: value for name, value in error.items() if name not in ("status", "headers")}
    return {"code": status, "message": "the script says so", "type": ERROR_TYPES.get(status, "server_error"), **more}


class Answer:
    """One answer as it is made: the deltas of a chat's chunks, and what there is to say at its end."""

    def __init__(self, answer, request, prompt, peer):
        self.answer, self.request, self.peer = answer, request, peer
        self.calls = self.pieces = 0
        self.prompt_tokens = len(tokenize(prompt))
        self.limit = request.limit()
        self.cut_short = self.failed = False

    def steps(self):
        for name, step in (("delay_ms", "wait_ms"), ("wait_for", "wait_for"), ("reasoning", "reasoning"),
                           ("text", "text"), ("tool_calls", "tool_calls")):
            if name in self.answer:
                yield {step: self.answer[name]}
        yield from self.answer.get("steps", [])

    def deltas(self):
        """Yields what goes into `delta`, and {"raw"} and {"error"} as a step has them."""
        for delta in self.unlimited_deltas():
            if self.pieces and "token_ms" in self.answer:
                self.peer.wait_ms(self.answer["token_ms"])
            if self.pieces == self.limit:
                self.cut_short = True
                return
            self.pieces += 1
            yield delta
            if "error" in delta:
                self.failed = True
                return

    def unlimited_deltas(self):
        for step in self.steps():
            (name, value), = step.items()
            yield from STEPS[name](self, value)

    def say(self, name, pieces):
        return ({name: piece} for piece in pieces)

    def call_tools(self, calls):
        for call in calls:
            yield from self.call_tool(call)

    def call_tool(self, call):
        index, self.calls = self.calls, self.calls + 1
        text = call.get("arguments", {})
        text = text if isinstance(text, str) else json.dumps(text)
        size = call.get("fragment", FRAGMENT_CHARS)
        yield {"tool_calls": [{"index": index, "id": call.get("id", f"call_{index}"), "type": "function",
                               "function": {"name": call["name"], "arguments": ""}}]}
        for at in range(0, len(text), size):
            yield {"tool_calls": [{"index": index, "function": {"arguments": text[at:at + size]}}]}

    def wait(self, wait, value):
        wait(value)
        return ()

    def fail(self, how):
        raise how

    def finish(self):
        fitting = "length" if self.cut_short else "tool_calls" if self.calls else "stop"
        return self.answer.get("finish", fitting)

    def counts(self):
        """Of the prompt, of the answer, of the prompt from the cache."""
        said = self.answer.get("usage", {})
        return (said.get("prompt_tokens", self.prompt_tokens), said.get("completion_tokens", self.pieces),
                said.get("cached_tokens", 0))

    def usage(self):
        prompt, completion, cached = self.counts()
        return {"completion_tokens": completion, "prompt_tokens": prompt, "total_tokens": prompt + completion,
                "prompt_tokens_details": {"cached_tokens": cached}}

    def timings(self):
        prompt, completion, cached = self.counts()
        return {"cache_n": cached, **timing("prompt", prompt - cached), **timing("predicted", completion)}


def timing(what, count):
    return {f"{what}_n": count, f"{what}_ms": count * TIMING_MS, f"{what}_per_token_ms": TIMING_MS,
            f"{what}_per_second": MS / TIMING_MS}


STEPS = {
    "text": lambda answer, text: answer.say("content", cut(text)),
    "reasoning": lambda answer, text: answer.say("reasoning_content", cut(text)),
    "tool_calls": Answer.call_tools,
    "endless": lambda answer, piece: answer.say("content", itertools.repeat(piece)),
    "wait_ms": lambda answer, ms: answer.wait(answer.peer.wait_ms, ms),
    "wait_for": lambda answer, gate: answer.wait(answer.peer.wait_for, gate),
    "error": lambda answer, error: [{"error": error_body(error)}],
    "raw": lambda answer, text: [{"raw": text}],
    "cut": lambda answer, _: answer.fail(Cut),
    "die": lambda answer, _: answer.fail(Died),
}


# --- shapes: how each endpoint says an answer


class ChatShape:
    says_done = True

    def __init__(self, engine, answer, number):
        self.answer, self.stream_options = answer, answer.request.body.get("stream_options") or {}
        self.choices = answer.request.body.get("n") or 1
        self.common = {"created": CREATED, "id": f"chatcmpl-{number}", "model": engine.model_path,
                       "system_fingerprint": BUILD, "object": "chat.completion.chunk"}

    def chunk(self, delta, finish=None):
        for index in range(self.choices):
            yield {"choices": [{"finish_reason": finish, "index": index, "delta": delta}], **self.common}

    def begin(self):
        return self.chunk({"role": "assistant", "content": None})

    def piece(self, delta):
        return self.chunk(delta)

    def end(self):
        chunks = list(self.chunk({}, self.answer.finish())) if self.answer.finish() else []
        if self.stream_options.get("include_usage"):
            chunks.append({"choices": [], **self.common, "usage": self.answer.usage()})
        if chunks:
            chunks[-1]["timings"] = self.answer.timings()
        return chunks

    def whole(self, deltas):
        message = merge(deltas)
        choices = [{"finish_reason": self.answer.finish(), "index": index, "message": message}
                   for index in range(self.choices)]
        return {"choices": choices, **self.common, "object": "chat.completion", "usage": self.answer.usage(),
                "timings": self.answer.timings()}


def merge(deltas):
    """The message that deltas make."""
    message = {"role": "assistant", "content": ""}
    for delta in deltas:
        for name in ("content", "reasoning_content"):
            if name in delta:
                message[name] = message.get(name, "") + delta[name]
        for call in delta.get("tool_calls", []):
            merge_call(message.setdefault("tool_calls", []), call)
    return message


def merge_call(calls, part):
    if "id" in part:
        calls.append({name: copy.copy(value) for name, value in part.items() if name != "index"})
    else:
        calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]


def texts_of(deltas):
    return "".join(delta.get("content", "") for delta in deltas)


class CompletionShape:
    says_done = True

    def __init__(self, engine, answer, number):
        self.answer = answer
        self.common = {"created": CREATED, "model": engine.model_path, "system_fingerprint": BUILD,
                       "object": "text_completion", "id": f"chatcmpl-{number}"}

    def chunk(self, text, finish=None, **more):
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
        return {"choices": [choice], **self.common, **more}

    def begin(self):
        return ()

    def piece(self, delta):
        return [self.chunk(delta.get("content", ""))]

    def last(self, text):
        return self.chunk(text, self.answer.finish(), usage=self.answer.usage(), timings=self.answer.timings())

    def end(self):
        return [self.last("")] if self.answer.finish() else []

    def whole(self, deltas):
        return self.last(texts_of(deltas))


class LlamaShape:
    """Of llama.cpp's own /completion and /infill."""

    says_done = False

    def __init__(self, engine, answer, number):
        self.engine, self.answer = engine, answer

    def counts(self):
        prompt, completion, _ = self.answer.counts()
        return {"tokens_predicted": completion, "tokens_evaluated": prompt}

    def begin(self):
        return ()

    def piece(self, delta):
        text = delta.get("content", "")
        return [{"index": 0, "content": text, "tokens": tokenize(text), "stop": False, "id_slot": -1, **self.counts()}]

    def last(self, text):
        stop_type = "limit" if self.answer.finish() == "length" else "eos"
        return {"index": 0, "content": text, "tokens": [], "id_slot": 0, "stop": True, "model": self.engine.model_path,
                **self.counts(), "generation_settings": {}, "prompt": plain_input(self.answer.request.body),
                "has_new_line": "\n" in text, "truncated": False, "stop_type": stop_type, "stopping_word": "",
                "tokens_cached": sum(self.answer.counts()[:2]), "timings": self.answer.timings()}

    def end(self):
        return [self.last("")] if self.answer.finish() else []

    def whole(self, deltas):
        return self.last(texts_of(deltas))


SHAPES = {CHAT: ChatShape, "/v1/completions": CompletionShape, "/completion": LlamaShape, "/infill": LlamaShape}
