"""OpenAI /v1/completions. Both checks return {id, model, created, choices: [{text, finish}], usage}."""

from . import openai, sse
from .rules import items, member, must, name, number, objects, one_of, parse_object, text, the

FINISHES = ("stop", "length", "content_filter")


class Stream:
    """Fed with each event's JSON, in order."""

    def __init__(self, asked):
        self.asked, self.envelope = asked, openai.Envelope("text_completion")
        self.choices = [{"text": "", "finish": None} for _ in range(choices_of(asked))]
        self.usage, self.wants_usage = None, bool((asked.get("stream_options") or {}).get("include_usage"))

    def take(self, chunk):
        self.envelope.take(chunk, "a chunk")
        must(self.usage is None, "a chunk after the usage chunk")
        choices = objects(chunk, "choices", "a chunk")
        if not choices:
            self.take_usage(chunk)
        else:
            must(chunk.get("usage") is None, "usage in a chunk that has choices")
        for entry in choices:
            self.take_choice(entry)

    def take_usage(self, chunk):
        must(self.wants_usage, "a chunk without choices, and no usage was asked for")
        must(all(choice["finish"] for choice in self.choices), "the usage chunk comes before a finish_reason")
        self.usage = openai.check_usage(chunk, self.asked, "the usage chunk")

    def take_choice(self, entry):
        choice = self.choices[openai.take_index(entry, len(self.choices), "a choice")]
        must(choice["finish"] is None, "text after the finish_reason")
        choice["text"] += checked_text(entry, self.asked)
        if the(entry, "finish_reason", "a choice") is not None:
            choice["finish"] = one_of(entry, "finish_reason", FINISHES, "a choice")

    def end(self):
        for choice in self.choices:
            must(choice["finish"], "a choice has no finish_reason")
            openai.check_text_end(choice["text"], self.asked)
        must(self.usage or not self.wants_usage, "include_usage was asked for, but no usage chunk came")
        return {**self.envelope.named, "choices": self.choices, "usage": self.usage}


def choices_of(asked):
    prompts = asked.get("prompt")
    return (asked.get("n") or 1) * (len(prompts) if openai.is_many(prompts) else 1)


def checked_text(entry, asked):
    """The text of a choice; its logprobs are four lists of one length, or null."""
    piece = text(entry, "text", "a choice")
    if asked.get("logprobs") is None:
        must(entry.get("logprobs") is None, "logprobs that nobody asked for")
    elif piece:
        check_logprobs(member(entry, "logprobs", "a choice"))
    return piece


def check_logprobs(found):
    """The old four lists, or what chat has: llama.cpp answers so."""
    if "content" in found:
        for token in objects(found, "content", "logprobs"):
            name(token, "token", "a logprob")
        return
    tokens = items(found, "tokens", "logprobs")
    lists = [items(found, key, "logprobs") for key in ("token_logprobs", "top_logprobs", "text_offset")]
    must(all(len(other) == len(tokens) for other in lists), "the lists of logprobs have different lengths")
    for value in lists[0]:
        must(value is None or number(value, "a logprob") <= 0, "a logprob is more than 0")


def check_stream(raw, asked, failed=False):
    chunks = sse.unnamed_objects(raw, done=not failed or raw.endswith(b"data: [DONE]\n\n"))
    stream = Stream(asked)
    for chunk in openai.split_error(chunks, failed):
        stream.take(chunk)
    if not failed:
        return stream.end()
    must(not any(choice["finish"] for choice in stream.choices), "a stream that fails must not say how it finished")
    openai.check_error(chunks[-1]["error"])
    return chunks[-1]["error"]


def check_whole(raw, asked):
    answer = parse_object(raw, "the answer")
    envelope = openai.Envelope("text_completion")
    envelope.take(answer, "the answer")
    entries = objects(answer, "choices", "the answer")
    wanted = choices_of(asked)
    must([entry.get("index") for entry in entries] == list(range(wanted)),
         f"the answer must have choices 0 to {wanted - 1}")
    choices = [whole_choice(entry, asked) for entry in entries]
    return {**envelope.named, "choices": choices, "usage": openai.check_usage(answer, asked, "the answer")}


def whole_choice(entry, asked):
    piece = checked_text(entry, asked)
    openai.check_text_end(piece, asked)
    return {"text": piece, "finish": one_of(entry, "finish_reason", FINISHES, "a choice")}
