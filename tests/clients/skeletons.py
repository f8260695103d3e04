"""The requests that real clients were seen to send (captures/*.json), without their prose, and how they are filled up.

A skeleton keeps what a server can break on: path, headers, fields, types, ids, names of tools and of their parameters.
Prose is a marker of its length; the test fills it with words of its own until the body has the size that was captured:

    {"$text": 576}                        text of so many characters; with "head", it starts so
    {"$json": {…}, "chars": 586}          an object in a string, filled up to so many characters
    {"$tools": "tools-1"}                 one of the file's lists of tools
    "$schema_of": {"keys", "params"}      in a tool: build a JSON schema of these keys and parameters; with "$nested",
                                          the tool in OpenAI's chat form
    "<uuid>", "<hex64>", "<id>", "<key>"  what stood there was an id or a key

`also` names the captures of the same client that were the same request.
"""

import json
import pathlib

CAPTURES = pathlib.Path(__file__).resolve().parent / "captures"
# Each is one token of the demo models, so that a large request takes a small machine little time.
WORDS = " coordinator inference modemesh"
PLACES = {"<uuid>": "00000000-0000-4000-8000-000000000001", "<hex64>": "0123456789abcdef" * 4,
          "<id>": "0123456789abcdefABCDEF0123", "<key>": "sk-placeholder"}
LARGE_BYTES = 5000
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
SCHEMA_URL = "http://json-schema.org/draft-07/schema#"


def load(client, most=None):
    """The filled requests of one client: dicts of name, method, path, headers and, where there is one, body. With
    `most`, the large ones ask for no more tokens than that: a small model that reads only filler finds no end."""
    captured = json.loads((CAPTURES / f"{client}.json").read_text())
    return [Filled(shortened(skeleton, most), captured["tools"]).request for skeleton in captured["requests"]]


def shortened(skeleton, most):
    if most is None or skeleton.get("bytes", 0) < LARGE_BYTES:
        return skeleton
    limits = {key: min(value, most) for key, value in skeleton["body"].items() if key in LIMITS}
    return {**skeleton, "body": {**skeleton["body"], **limits}}


def words(chars):
    return (WORDS * (chars // len(WORDS) + 1))[:chars]


def written(body):
    """The body as JavaScript and Rust write JSON: no spaces, UTF-8 as it is."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


class Filled:
    """One skeleton as a request. What the body still lacks, the descriptions of the tools' parameters take up, whose
    text was not captured; without tools the longest text does."""

    def __init__(self, skeleton, tools):
        self.tools, self.descriptions, self.longest = tools, [], None
        self.anthropic = "/messages" in skeleton["path"]
        self.request = {key: skeleton[key] for key in ("name", "method", "path")}
        self.request["headers"] = {name: self.expand(value) for name, value in skeleton["headers"].items()}
        self.longest = None
        if "body" in skeleton:
            self.request["body"] = self.expand(skeleton["body"])
            self.stretch(skeleton["bytes"])

    def expand(self, value):
        if isinstance(value, str):
            return placed(value)
        if isinstance(value, list):
            return [self.expand(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$text" in value:
            head = value.get("head", "")
            return head + words(value["$text"] - len(head))
        if "$json" in value:
            return inner_json(self.expand(value["$json"]), value["chars"])
        if "$tools" in value:
            return [self.tool(tool) for tool in self.tools[value["$tools"]]]
        return self.members(value)

    def members(self, value):
        found = {}
        for key, item in value.items():
            found[key] = self.expand(item)
            if isinstance(item, dict) and item.get("$text", 0) > self.longest_chars():
                self.longest = (found, key)
        return found

    def longest_chars(self):
        return len(self.longest[0][self.longest[1]]) if self.longest else 0

    def tool(self, skeleton):
        plain = {key: self.expand(item) for key,
                 item in skeleton.items() if key not in ("$schema_of", "$nested", "tools")}
        if "tools" in skeleton:
            plain["tools"] = [self.tool(inner) for inner in skeleton["tools"]]
        if "$schema_of" in skeleton:
            plain["input_schema" if self.anthropic else "parameters"] = self.schema(**skeleton["$schema_of"])
        if not skeleton.get("$nested"):
            return plain
        kind = plain.pop("type")
        return {"type": kind, "function": plain}

    def schema(self, keys, params):
        properties = {name: self.parameter(kind) for name, kind in params.items()}
        known = {"$schema": SCHEMA_URL, "type": "object", "properties": properties, "required": list(params)[:1],
                 "additionalProperties": False, "description": ""}
        return {key: known[key] for key in keys}

    def parameter(self, kind):
        items = {"items": {"type": "string"}} if kind == "array" else {}
        self.descriptions.append({"type": kind, "description": "", **items})
        return self.descriptions[-1]

    def stretch(self, size):
        """Fills the body up to its real size, in bytes."""
        missing = size - len(written(self.request["body"]))
        if missing > 0 and self.descriptions:
            each, rest = divmod(missing, len(self.descriptions))
            for i, holder in enumerate(self.descriptions):
                holder["description"] = words(each + (i < rest))
        elif missing:
            holder, key = self.longest
            holder[key] = words(len(holder[key]) + missing)


def inner_json(value, chars):
    padding = chars - len(json.dumps({**value, "padding": ""}, separators=(",", ":")))
    return json.dumps({**value, "padding": words(padding)}, separators=(",", ":"))


def placed(text):
    for mark, value in PLACES.items():
        text = text.replace(mark, value)
    return text
