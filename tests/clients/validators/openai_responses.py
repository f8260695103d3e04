"""OpenAI /v1/responses. Both checks return {id, model, status, text, reasoning, calls, items, usage, response}; a call
is {id, name, arguments}, its id the call_id."""

from . import openai, sse, tools
from .openai_items import CALLS, INPUTS, PARTS, REASONS, TEXTS, Item, check_added, check_item, refuse
from .rules import count, equals, flag, items, member, must, name, number, objects, one_of, parse_object, the

ENDS = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}
STATES = ("response.created", "response.queued", "response.in_progress")
# What the SDKs' type of a response always has, be it null.
ALWAYS = ("error", "incomplete_details", "instructions", "metadata", "parallel_tool_calls", "temperature",
          "tool_choice", "tools", "top_p")


class Stream:
    """Fed with each event, in order."""

    def __init__(self, asked):
        self.asked, self.sequence, self.items = asked, 0, []
        self.response, self.started, self.ended = None, False, None

    def take(self, event):
        kind = event["type"]
        equals(event, "sequence_number", self.sequence, kind)
        self.sequence += 1
        must(self.ended is None, f"{kind} after the response ended")
        must(self.response or kind == "response.created", f"the first event is {kind}, not response.created")
        if kind in STATES:
            self.take_state(event, kind)
        elif kind != "keepalive":
            must(self.started, f"{kind} before response.in_progress")
            self.take_content(event, kind)

    def take_content(self, event, kind):
        stem, _, last = kind.rpartition(".")
        if kind in ENDS:
            self.take_end(event, kind)
        elif kind == "response.output_item.added":
            self.take_added(event, kind)
        elif kind == "response.output_item.done":
            self.item_of(event, kind).close(checked_item(event, kind), kind)
        elif stem in PARTS or stem in TEXTS or stem in INPUTS:
            self.item_of(event, kind).take(event, stem, last)
        else:
            refuse(event, None, kind)

    def item_of(self, event, kind):
        index = count(event, "output_index", kind)
        must(index < len(self.items), f"{kind} of output_index {index}, but {len(self.items)} items were added")
        return self.items[index]

    def take_state(self, event, kind):
        """`response.in_progress` again and again is the sign of life; it may tell what there is so far."""
        response = member(event, "response", kind)
        check_response(response, self.asked, kind)
        one_of(response, "status", ("queued", "in_progress"), kind)
        told = [item["id"] for item in response["output"]]
        must(told in ([], [item.item["id"] for item in self.items]), f"{kind}: `output` is not what there is so far")
        must(kind != "response.created" or not self.response, "a second response.created")
        self.check_same(response, kind)
        self.started = self.started or kind == "response.in_progress"
        self.response = response

    def check_same(self, response, kind):
        for key in ("id", "model", "created_at") if self.response else ():
            equals(response, key, self.response[key], kind)

    def take_added(self, event, kind):
        """Parallel calls may grow side by side; all else comes one after the other."""
        equals(event, "output_index", len(self.items), kind)
        item = member(event, "item", kind)
        check_added(item, kind)
        begun = [other.kind for other in self.items if not other.done] + [item["type"]]
        must(len(begun) == 1 or set(begun) <= set(CALLS), f"{kind} before the item before it is done: {begun}")
        must(item["id"] not in [other.item["id"] for other in self.items], f"{kind}: an item's id again: {item['id']}")
        self.items.append(Item(item, len(self.items)))

    def take_end(self, event, kind):
        response = member(event, "response", kind)
        equals(response, "status", ENDS[kind], kind)
        self.check_same(response, kind)
        if kind != "response.failed":
            must(all(item.done for item in self.items), f"{kind}, but an output item is not done")
            equals(response, "output", [item.item for item in self.items], kind)
        self.ended, self.response = kind, response

    def end(self, failed):
        must(self.ended, "the stream has no response.completed, .incomplete or .failed (Codex fails)")
        must((self.ended == "response.failed") == failed,
             f"the response ended with {self.ended}: {self.response.get('error')}")
        return checked_end(self.response, self.asked)


def checked_item(event, kind):
    item = member(event, "item", kind)
    check_item(item, kind)
    return item


def check_response(response, asked, where):
    """What holds for a response in any state."""
    equals(response, "object", "response", where)
    must(name(response, "id", where).startswith("resp_"),
         f"{where}: a response that is stored has an id that starts resp_")
    name(response, "model", where)
    must(number(the(response, "created_at", where), "created_at") > 0, f"{where}: `created_at` must be a time")
    for item in objects(response, "output", where):
        check_item(item, where)
    for key in ALWAYS:
        the(response, key, where)
    flag(response, "parallel_tool_calls", where)
    items(response, "tools", where)
    if asked.get("previous_response_id"):
        equals(response, "previous_response_id", asked["previous_response_id"], where)


def checked_end(response, asked):
    """Checks a response that has ended and returns what is in it."""
    where = "the ended response"
    check_response(response, asked, where)
    status = one_of(response, "status", tuple(ENDS.values()), where)
    if status == "failed":
        name(member(response, "error", where), "code", where)
        name(response["error"], "message", where)
        return summary(response)
    equals(response, "error", None, where)
    if status == "incomplete":
        details = member(response, "incomplete_details", where)
        one_of(details, "reason", ("max_output_tokens", "content_filter"), where)
    else:
        equals(response, "incomplete_details", None, where)
    check_output(response, asked, cut=status == "incomplete")
    check_usage(response, asked)
    return summary(response)


def check_output(response, asked, cut):
    output = response["output"]
    must(output or cut or not asked.get("input"), "a completed response has no output")
    kinds = [item["type"] for item in output]
    must("reasoning" not in kinds[kinds.index("message"):] if "message" in kinds else True,
         "reasoning after the message")
    tools.of_responses(asked).check(calls_of(output), cut)


def check_usage(response, asked):
    usage = member(response, "usage", "the ended response")
    read, written = count(usage, "input_tokens", "usage"), count(usage, "output_tokens", "usage")
    must(count(usage, "total_tokens", "usage") == read + written, f"usage: the total is not the sum: {usage}")
    for details, key in (("input_tokens_details", "cached_tokens"), ("output_tokens_details", "reasoning_tokens")):
        count(member(usage, details, "usage"), key, "usage")
    openai.check_part(usage, "input_tokens_details", "cached_tokens", read)
    openai.check_part(usage, "output_tokens_details", "reasoning_tokens", written)
    most = asked.get("max_output_tokens")
    must(not most or written <= most, f"usage: {written} tokens, more than the {most} asked for")


def calls_of(output):
    """What a custom tool is called with is any text."""
    return [{"id": item["call_id"], "name": item["name"],
             "arguments": item.get("arguments", {"input": item.get("input")})}
            for item in output if item["type"] in CALLS]


def texts_of(output, kind, keys):
    return "".join(part.get("text", "") for item in output if item["type"] == kind
                   for key in keys for part in item.get(key) or [])


def summary(response):
    output = response["output"]
    return {"id": response["id"], "model": response["model"], "status": response["status"], "items": output,
            "text": texts_of(output, "message", ["content"]), "calls": calls_of(output), "usage": response.get("usage"),
            "reasoning": texts_of(output, "reasoning", REASONS), "response": response}


def check_stream(raw, asked, failed=False):
    """A stream taken up again with starting_after is checked behind the events that came before."""
    stream = Stream(asked)
    for event in sse.named_objects(raw):
        stream.take(event)
    return stream.end(failed)


def check_whole(raw, asked):
    """A response that has ended; one of `background` that has not is checked by check_state()."""
    response = parse_object(raw, "the answer")
    must(response.get("status") != "failed", f"the response failed: {response.get('error')}")
    return checked_end(response, asked)


def check_state(raw, asked, status):
    response = parse_object(raw, "the answer")
    check_response(response, asked, "the answer")
    equals(response, "status", status, "the answer")
    return response
