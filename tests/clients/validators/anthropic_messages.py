"""Anthropic /v1/messages and /v1/messages/count_tokens. Both checks of messages return {id, model, text, thinking,
calls, stop_reason, stop_sequence, usage, content}; a call is {id, name, arguments}, arguments an object."""

from . import sse, tools
from .rules import count, equals, member, must, name, objects, one_of, parse_object, text, the

STOPS = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal", "pause_turn",
         "model_context_window_exceeded")
CUT = ("max_tokens", "model_context_window_exceeded")
# A delta's type, the block's type that it goes to, and the field that it adds to.
DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "input_json_delta": ("tool_use", "partial_json"),
}
EMPTY = {"text": {"text": ""}, "thinking": {"thinking": ""}, "tool_use": {"input": {}}}


class Stream:
    """Fed with each event, in order."""

    def __init__(self, asked):
        self.asked = asked
        self.message, self.blocks, self.open = None, [], None
        self.json, self.delta, self.stopped = "", None, False

    def take(self, event):
        kind = event["type"]
        must(self.message is not None or kind == "message_start", f"the first event is {kind}, not message_start")
        must(not self.stopped, f"{kind} after message_stop")
        known = {"message_start": self.take_start, "content_block_start": self.open_block, "ping": lambda _: None,
                 "content_block_delta": self.take_delta, "content_block_stop": self.close_block,
                 "message_delta": self.take_message_delta, "message_stop": self.take_stop}
        must(kind in known, f"an event of type {kind}: {event}")
        known[kind](event)

    def take_start(self, event):
        where = "message_start"
        must(self.message is None, "a second message_start")
        self.message = member(event, "message", where)
        check_message(self.message, where)
        for key, wanted in (("content", []), ("stop_reason", None), ("stop_sequence", None)):
            equals(self.message, key, wanted, where)
        check_usage(member(self.message, "usage", where), where)

    def open_block(self, event):
        where = "content_block_start"
        must(self.delta is None, f"{where} after message_delta")
        must(self.open is None, f"{where} before the block before it stopped")
        equals(event, "index", len(self.blocks), where)
        block = dict(member(event, "content_block", where))
        check_block(block, where)
        for key, value in EMPTY[block["type"]].items():
            equals(block, key, value, where)
        must(block["type"] != "thinking" or not said(self.blocks), "thinking after text or tool_use")
        self.open, self.json = block, ""

    def take_delta(self, event):
        where = "content_block_delta"
        must(self.open is not None, f"{where}, but no block is open")
        equals(event, "index", len(self.blocks), where)
        delta = member(event, "delta", where)
        kind, field = DELTAS[one_of(delta, "type", tuple(DELTAS), where)]
        must(self.open["type"] == kind, f"{delta['type']} in a block of type {self.open['type']}")
        must(not self.open.get("signature"), f"{delta['type']} after the signature")
        self.add(field, text(delta, field, where))

    def add(self, field, piece):
        if field == "partial_json":
            self.json += piece
        else:
            self.open[field] = self.open.get(field, "") + piece

    def close_block(self, event):
        where = "content_block_stop"
        must(self.open is not None, f"{where}, but no block is open")
        equals(event, "index", len(self.blocks), where)
        if self.open["type"] == "tool_use":
            self.open["input"] = self.json
        self.blocks.append(self.open)
        self.open = None

    def take_message_delta(self, event):
        where = "message_delta"
        must(self.open is None, f"{where}, but a block is open")
        must(self.delta is None, "a second message_delta")
        self.delta = member(event, "delta", where)
        usage = member(event, "usage", where)
        count(usage, "output_tokens", where)
        self.message = {**self.message, **self.delta, "usage": {**self.message["usage"], **usage}}

    def take_stop(self, _event):
        must(self.delta is not None, "message_stop before message_delta")
        self.stopped = True

    def end(self):
        must(self.stopped, "the stream has no message_stop")
        cut = self.message.get("stop_reason") in CUT
        for number, block in enumerate(self.blocks, 1):
            if block["type"] == "tool_use":
                block["input"] = joined(block, cut and number == len(self.blocks))
        return check_end({**self.message, "content": self.blocks}, self.asked)


def joined(block, may_be_cut):
    """The object that the pieces of input_json_delta make; none at all are {}."""
    if may_be_cut:
        return {}
    return parse_object(block["input"] or "{}", f"the joined partial_json of `{block['name']}`")


def said(blocks):
    return [block for block in blocks if block["type"] != "thinking"]


def check_message(message, where):
    equals(message, "type", "message", where)
    equals(message, "role", "assistant", where)
    name(message, "id", where)
    name(message, "model", where)


def check_block(block, where):
    kind = one_of(block, "type", tuple(EMPTY), where)
    if kind == "tool_use":
        tools.check_anthropic_id(name(block, "id", where))
        name(block, "name", where)
    else:
        text(block, kind, where)
        must(isinstance(block.get("signature", ""), str), f"{where}: `signature` must be a string")


def check_usage(usage, where):
    count(usage, "input_tokens", where)
    count(usage, "output_tokens", where)
    for key in ("cache_read_input_tokens", "cache_creation_input_tokens"):
        if usage.get(key) is not None:
            count(usage, key, where)


def check_end(message, asked):
    where = "the message"
    usage = member(message, "usage", where)
    check_usage(usage, where)
    must(prompt_tokens(usage) > 0, f"usage: no input tokens: {usage}")
    most = asked.get("max_tokens")
    must(not most or usage["output_tokens"] <= most, f"usage: {usage['output_tokens']} tokens, {most} were asked for")
    blocks = message["content"]
    calls = [{"id": block["id"], "name": block["name"], "arguments": block["input"]}
             for block in blocks if block["type"] == "tool_use"]
    check_stop(message, calls, asked)
    for sequence in asked.get("stop_sequences") or []:
        must(sequence not in join(blocks, "text"), f"the stop sequence {sequence!r} is in the text")
    return {"id": message["id"], "model": message["model"], "text": join(blocks, "text"), "calls": calls,
            "usage": usage,
            "thinking": join(blocks, "thinking"), "stop_reason": message["stop_reason"], "content": blocks,
            "stop_sequence": message["stop_sequence"]}


def prompt_tokens(usage):
    keys = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(usage.get(key) or 0 for key in keys)


def join(blocks, kind):
    return "".join(block[kind] for block in blocks if block["type"] == kind)


def check_stop(message, calls, asked):
    reason = one_of(message, "stop_reason", STOPS, "the message")
    tools.of_anthropic(asked).check(calls, reason in CUT)
    must(reason in CUT or (reason == "tool_use") == bool(calls), f"{len(calls)} tool calls end with {reason}")
    sequence = the(message, "stop_sequence", "the message")
    if reason == "stop_sequence":
        must(sequence in (asked.get("stop_sequences") or []), f"stop_sequence {sequence!r} was not asked for")
    else:
        must(sequence is None, f"stop_sequence {sequence!r} with stop_reason {reason}")


def check_stream(raw, asked, failed=False):
    events = sse.named_objects(raw)
    errors = [event for event in events if event["type"] == "error"]
    must(failed or not errors, f"the stream has an error: {errors}")
    stream = Stream(asked)
    for event in events[:-1] if failed else events:
        stream.take(event)
    if not failed:
        return stream.end()
    must(errors == events[-1:], "a stream that fails must end with one `event: error`")
    must(stream.delta is None, "a stream that fails must not say why it stopped")
    return check_error(events[-1])


def check_error(value):
    equals(value, "type", "error", "the error")
    error = member(value, "error", "the error")
    name(error, "type", "the error")
    name(error, "message", "the error")
    return error


def check_whole(raw, asked):
    message = parse_object(raw, "the answer")
    check_message(message, "the answer")
    for block in objects(message, "content", "the answer"):
        check_block(block, "a content block")
        if block["type"] == "tool_use":
            member(block, "input", "a content block")
    kinds = [block["type"] for block in message["content"]]
    must(kinds == sorted(kinds, key=lambda kind: kind != "thinking"), "thinking after text or tool_use")
    return check_end(message, asked)


def check_count(raw, _asked=None):
    """The answer of count_tokens: the number."""
    tokens = count(parse_object(raw, "the answer"), "input_tokens", "the answer")
    must(tokens > 0, "a request of no tokens")
    return tokens
