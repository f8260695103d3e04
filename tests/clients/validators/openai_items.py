"""The output items of /v1/responses: what each must hold, and one as it grows in a stream."""

from .rules import equals, items, member, must, name, objects, one_of, text

REASONS = ("summary", "content")  # where a reasoning item has its text
# Of each kind of call: the field of what it is called with.
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
# Of each event that makes a text grow: the item's kind, what counts its parts, the part's type.
TEXTS = {
    "response.output_text": ("message", "content_index", "output_text"),
    "response.reasoning_text": ("reasoning", "content_index", "reasoning_text"),
    "response.reasoning_summary_text": ("reasoning", "summary_index", "summary_text"),
}
PARTS = {
    "response.content_part": ("content_index", "content"),
    "response.reasoning_summary_part": ("summary_index", "summary"),
}
INPUTS = {"response.function_call_arguments": "function_call", "response.custom_tool_call_input": "custom_tool_call"}


class Item:
    """One output item as it grows: its parts, or what a call is called with."""

    def __init__(self, item, index):
        self.item, self.index, self.kind, self.done = item, index, item["type"], False
        self.parts = {"content": [], "summary": []}
        self.part, self.part_list, self.text, self.text_done = None, None, "", False

    def take(self, event, stem, last):
        """An event of this item: what stands before its last dot, and behind it."""
        kind = event["type"]
        must(not self.done, f"{kind} after its item is done")
        equals(event, "item_id", self.item["id"], kind)
        if stem in PARTS:
            take = {"added": self.open_part, "done": self.close_part}.get(last, refuse)
            take(event, PARTS[stem], kind)
        elif stem in TEXTS:
            self.check_part(event, TEXTS[stem], kind)
            self.grow(event, last, "text", kind)
        else:
            wanted = INPUTS[stem]
            must(self.kind == wanted, f"{kind} in an item of type {self.kind}")
            self.grow(event, last, CALLS[wanted], kind)

    def open_part(self, event, form, where):
        index_key, part_list = form
        must(self.part is None, f"{where} before the part before it is done")
        equals(event, index_key, len(self.parts[part_list]), where)
        self.part, self.part_list, self.text, self.text_done = member(event, "part", where), part_list, "", False
        equals(self.part, "text", "", where)
        if self.part.get("type") == "output_text":
            items(self.part, "annotations", where)

    def close_part(self, event, form, where):
        index_key, part_list = form
        must(self.part is not None and self.part_list == part_list, f"{where}, but no such part is open")
        equals(event, index_key, len(self.parts[part_list]), where)
        must(self.text_done, f"{where} before its text is done")
        part = member(event, "part", where)
        equals(part, "type", self.part["type"], where)
        equals(part, "text", self.text, where)
        self.parts[part_list].append(part)
        self.part = None

    def check_part(self, event, form, where):
        """A text grows in a part of its kind that is open."""
        kind, index_key, part_type = form
        must(self.kind == kind and self.part is not None, f"{where}, but no part of its kind is open")
        equals(self.part, "type", part_type, where)
        equals(event, index_key, len(self.parts[self.part_list]), where)
        if kind == "message":
            items(event, "logprobs", where)

    def grow(self, event, last, key, where):
        must(not self.text_done, f"{where} after the {key} is done")
        if last == "delta":
            self.text += text(event, "delta", where)
        elif last == "done":
            equals(event, key, self.text, where)
            if "name" in event:
                equals(event, "name", self.item["name"], where)
            self.text_done = True
        else:
            refuse(event, None, where)

    def close(self, item, where):
        must(not self.done, f"{where} a second time")
        must(self.part is None, f"{where}: a part is not done")
        for key in ("id", "type"):
            equals(item, key, self.item[key], where)
        if self.kind != "reasoning":
            one_of(item, "status", ("completed", "incomplete"), where)
        if self.kind in CALLS:
            self.check_call(item, where)
        else:
            self.check_parts(item, where)
        self.item, self.done = item, True

    def check_call(self, item, where):
        must(self.text_done, f"{where}: what it is called with is not done")
        for key in ("name", "call_id"):
            equals(item, key, self.item[key], where)
        equals(item, CALLS[self.kind], self.text, where)

    def check_parts(self, item, where):
        for key, parts in self.parts.items():
            given = [part.get("text") for part in objects(item, key, where)] if key in item else []
            must(given == [part["text"] for part in parts], f"{where}: `{key}` is not what was streamed")


def refuse(_event, _form, where):
    must(False, f"{where} is no event that an engine's answer needs")


def check_added(item, where):
    """An item that has just begun."""
    check_item(item, where)
    for key in ("arguments", "input", "content", "summary"):
        must(not item.get(key), f"{where}: the item has `{key}` already")
    must(item.get("status") in (None, "in_progress"), f"{where}: the item's status must be in_progress")


def check_item(item, where):
    kind = one_of(item, "type", ("message", "reasoning", *CALLS), where)
    name(item, "id", where)
    if kind == "message":
        equals(item, "role", "assistant", where)
        for part in objects(item, "content", where):
            check_text_part(part, where)
    elif kind in CALLS:
        name(item, "name", where)
        name(item, "call_id", where)
        text(item, CALLS[kind], where)
    else:
        items(item, "summary", where)
        for part in [part for key in REASONS if key in item for part in objects(item, key, where)]:
            text(part, "text", where)


def check_text_part(part, where):
    one_of(part, "type", ("output_text", "refusal"), where)
    if part["type"] == "output_text":
        text(part, "text", where)
        items(part, "annotations", where)
