"""Server-sent events, as the simplest of the clients read them: line by line, one `data:` line an event."""

import collections

from .rules import must, parse, parse_object

Event = collections.namedtuple("Event", "name data")
DONE = "[DONE]"


def parse_stream(raw):
    """Returns the Events of a whole body; `name` is None where there is no `event:` line."""
    must(raw, "the stream is empty")
    must(b"\r" not in raw, "the stream has a carriage return; every line ends with a line feed alone")
    must(raw.endswith(b"\n\n"), "the stream does not end with a blank line, so its last event is never dispatched")
    return [event(block.decode("utf-8", "replace")) for block in raw.strip(b"\n").split(b"\n\n")]


def event(block):
    event_name, data = None, None
    for line in block.split("\n"):
        must(not line.startswith(": ping"), "a comment starts with `: ping`: Continue takes it for the stream's end")
        must(not line.startswith(":"), f"a comment keeps no client waiting (Codex, OpenClaw): {line!r:.100}")
        field, colon, value = line.partition(": ")
        must(colon and field in ("event", "data"), f"a line is neither `event: …` nor `data: …`: {line!r:.100}")
        if field == "event":
            must(event_name is None and data is None,
                 f"`event:` must be the one first line of an event: {block!r:.200}")
            event_name = value
        else:
            must(data is None, f"an event has two `data:` lines: {block!r:.200}")
            data = value
    must(data is not None, f"an event has no `data:` line: {block!r:.200}")
    return Event(event_name, data)


def unnamed_objects(raw, done):
    """The JSON of each event of an API without event names; the last event is [DONE], or none is."""
    events = parse_stream(raw)
    must(all(event.name is None for event in events), "an `event:` line in an API that has no event names")
    data = [event.data for event in events]
    if done:
        must(data[-1] == DONE, "the last event is not [DONE]")
        data = data[:-1]
    must(DONE not in data, "[DONE] stands where it must not" if done else "[DONE] in an API that has none")
    return [parse_object(text, "an event's data") for text in data]


def named_objects(raw):
    """The JSON of each event of an API where `event:` repeats the `type` of the data."""
    found = []
    for event_name, data in parse_stream(raw):
        must(data != DONE, "[DONE] in an API that ends with an event of its own")
        must(event_name is not None, f"an event has no `event:` line: {data!r:.200}")
        value = parse_object(data, "an event's data")
        must(value.get("type") == event_name, f"`event: {event_name}` carries data of type {value.get('type')!r}")
        found.append(value)
    return found


def lines(raw):
    """The JSON of each line of an NDJSON body."""
    must(raw, "the stream is empty")
    must(raw.endswith(b"\n"), "the last line does not end with a line feed")
    found = raw[:-1].split(b"\n")
    must(all(line.strip() for line in found), "a blank line in NDJSON: Zed fails on it")
    return [parse(line, "a line") for line in found]
