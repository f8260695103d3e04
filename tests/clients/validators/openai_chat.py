"""OpenAI /v1/chat/completions. Both checks return {id, model, created, choices: [{text, reasoning, calls, finish}],
usage}; a call is {id, name, arguments}, arguments the text as it came."""

from . import openai, sse, tools
from .rules import an_object, count, equals, items, member, must, name, objects, one_of, parse_object, text, the

FINISHES = ("stop", "length", "tool_calls", "content_filter")


class Choice:
    """One choice of an answer as it grows."""

    def __init__(self):
        self.text, self.reasoning, self.calls, self.finish, self.opened = "", "", [], None, False

    def take_delta(self, delta, where):
        must(self.finish is None, f"{where}: a delta after the finish_reason")
        if not self.opened:
            equals(delta, "role", "assistant", f"{where}: the first delta of a choice")
            self.opened = True
        else:
            must("role" not in delta, f"{where}: a role after the first delta")
        self.take_reasoning(text_or_none(delta, "reasoning_content", where), where)
        self.take_text(text_or_none(delta, "content", where), where)
        for piece in objects(delta, "tool_calls", where) if delta.get("tool_calls") is not None else []:
            self.take_call(piece, where)

    def take_reasoning(self, piece, where):
        must(not piece or not (self.text or self.calls), f"{where}: reasoning after content or tool calls")
        self.reasoning += piece or ""

    def take_text(self, piece, where):
        must(not piece or not self.calls, f"{where}: content after tool calls")
        self.text += piece or ""

    def take_call(self, piece, where):
        index = count(piece, "index", f"{where}: a tool call")
        if index == len(self.calls):
            self.calls.append(opened_call(piece, where))
            return
        must(index == len(self.calls) - 1, f"{where}: tool call index {index} after {len(self.calls)} calls")
        function = member(piece, "function", where)
        must(not piece.get("id") and not function.get("name"),
             f"{where}: id or name again in a later piece of a tool call")
        self.calls[-1]["arguments"] += text(function, "arguments", f"{where}: a piece of a tool call")

    def check_end(self, asked):
        must(self.opened, "a choice has no chunk")
        must(self.finish, "a choice has no finish_reason (opencode loops, Cline fails)")
        cut = self.finish == "length"
        tools.of_functions(asked).check(self.calls, cut)
        must(cut or (self.finish == "tool_calls") == bool(self.calls),
             f"{len(self.calls)} tool calls end with {self.finish}")
        openai.check_text_end(self.text, asked)
        if (asked.get("response_format") or {}).get("type") in ("json_schema", "json_object") and self.finish == "stop":
            parse_object(self.text, "the text asked for as JSON")

    def result(self):
        return {"text": self.text, "reasoning": self.reasoning, "calls": self.calls, "finish": self.finish}


def text_or_none(holder, key, where):
    value = holder.get(key)
    must(isinstance(value, (str, type(None))), f"{where}: `{key}` must be a string or null")
    return value


def opened_call(piece, where):
    """The first piece of a call: id, type and name, and the first of the arguments."""
    return {**named_call(piece, where), "arguments": text(member(piece, "function", where), "arguments", where)}


def named_call(call, where):
    equals(call, "type", "function", f"{where}: a tool call")
    return {"id": name(call, "id", f"{where}: a tool call"),
            "name": name(member(call, "function", where), "name", where)}


class Stream:
    """Fed with each event's JSON, in order."""

    def __init__(self, asked):
        self.asked, self.envelope = asked, openai.Envelope("chat.completion.chunk")
        self.choices = [Choice() for _ in range(asked.get("n") or 1)]
        self.usage, self.wants_usage = None, bool((asked.get("stream_options") or {}).get("include_usage"))

    def take(self, chunk):
        self.envelope.take(chunk, "a chunk")
        must(self.usage is None, "a chunk after the usage chunk")
        choices = objects(chunk, "choices", "a chunk")
        if not choices:
            self.take_usage(chunk)
        else:
            must(chunk.get("usage") is None, "usage in a chunk that has choices")
        for choice in choices:
            self.take_choice(choice)

    def take_usage(self, chunk):
        must(self.wants_usage, "a chunk without choices, and no usage was asked for")
        must(all(choice.finish for choice in self.choices), "the usage chunk comes before a finish_reason")
        self.usage = openai.check_usage(chunk, self.asked, "the usage chunk")

    def take_choice(self, entry):
        where = "a chunk's choice"
        choice = self.choices[openai.take_index(entry, len(self.choices), where)]
        delta = member(entry, "delta", where)
        openai.check_logprobs(entry, self.asked, bool(delta.get("content")), where)
        choice.take_delta(delta, where)
        if the(entry, "finish_reason", where) is not None:
            choice.finish = one_of(entry, "finish_reason", FINISHES, where)

    def end(self):
        for choice in self.choices:
            choice.check_end(self.asked)
        must(self.usage or not self.wants_usage, "include_usage was asked for, but no usage chunk came")
        return {**self.envelope.named, "choices": [choice.result() for choice in self.choices], "usage": self.usage}


def check_stream(raw, asked, failed=False):
    chunks = sse.unnamed_objects(raw, done=not failed or raw.endswith(b"data: [DONE]\n\n"))
    stream = Stream(asked)
    for chunk in openai.split_error(chunks, failed):
        stream.take(chunk)
    if not failed:
        return stream.end()
    must(not any(choice.finish for choice in stream.choices), "a stream that fails must not say how it finished")
    openai.check_error(chunks[-1]["error"])
    return chunks[-1]["error"]


def check_whole(raw, asked):
    answer = parse_object(raw, "the answer")
    envelope = openai.Envelope("chat.completion")
    envelope.take(answer, "the answer")
    entries = objects(answer, "choices", "the answer")
    wanted = asked.get("n") or 1
    must([entry.get("index") for entry in entries] == list(range(wanted)),
         f"the answer must have choices 0 to {wanted - 1}")
    choices = [whole_choice(entry, asked) for entry in entries]
    usage = openai.check_usage(answer, asked, "the answer")
    return {**envelope.named, "choices": choices, "usage": usage}


def whole_choice(entry, asked):
    where = "a choice"
    message = member(entry, "message", where)
    equals(message, "role", "assistant", where)
    content = the(message, "content", where)
    calls = [whole_call(call) for call in items(message, "tool_calls", where)] if message.get("tool_calls") else []
    must(isinstance(content, str) or (content is None and calls), f"{where}: `content` must be a string")
    openai.check_logprobs(entry, asked, bool(content), where)
    choice = Choice()
    choice.opened, choice.calls = True, calls
    choice.text, choice.reasoning = content or "", text_or_none(message, "reasoning_content", where) or ""
    choice.finish = one_of(entry, "finish_reason", FINISHES, where)
    choice.check_end(asked)
    return choice.result()


def whole_call(call):
    where = "a tool call"
    an_object(call, where)
    return {**named_call(call, where), "arguments": text(member(call, "function", where), "arguments", where)}
