"""Bodies that nobody means well with, to every path that takes one: too large, too deep, not UTF-8, ambiguous, of the
wrong types, costly to read. Each is refused with a 4xx in its API's own shape, which names the field or the place; no
engine hears of it, no log repeats it, the coordinator's memory stays within what its limits allow, and whoever asks
next is served.

The paths are read from the coordinator's own tables: one that this file does not know makes it fail. The mesh is real
but for its engine, which is scripted, so that it can do everything and tells what it was asked.
"""

import contextlib
import http.client
import itertools
import json
import pathlib
import re
import sys
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

import mesh
from gguf_patch import add_fim
from mesh import CODER, FAST, MODELS, REPO, THINKER, Answer, Mesh, UnixConnection, read_proc, wait_until
from scripted_engine import Script, add_node
from validators import Broken, errors

API = REPO / "coordinator/api"
MODES = {"ask": [CODER], "autocomplete": [CODER], "transcribe": [CODER], "embed": [FAST], "rerank": [THINKER]}
FAMILIES = {"openai": "openai", "anthropic": "anthropic", "ollama": "ollama", "llamacpp": "llama_cpp"}
ANSWER_S = 30      # until an answer: the coordinator has one thread, and a sanitizer takes its time
MARK = "hostile4711"  # in every body: no log may have it
SHOWN = 160        # characters of a body or an answer in a report

KIB, MIB = 1024, 1024 * 1024
BODY_MAX = 32 * MIB  # HTTP_BODY_MAX
VALUES_MAX = 1_000_000  # of json_limits_request, keys included
DEPTH = 100_000
AT_ONCE = 8


# --- the paths and what belongs there


class Target:
    """One path that takes a POST."""

    def __init__(self, path, family, reader):
        self.path, self.family, self.reader = path.replace("*", "x"), FAMILIES[family], reader
        self.kind = KINDS.get(reader)
        self.owners = path.startswith("/mesh/")

    def connection(self, cluster):
        if not self.owners:
            host, _, port = cluster.http.rpartition(":")
            return http.client.HTTPConnection(host, int(port), timeout=ANSWER_S)
        connection = UnixConnection(str(cluster.state / "admin.sock"))
        connection.timeout = ANSWER_S
        return connection


class Kind:
    """What one reader of bodies takes. `good`: a body that is served, unless `served` is False: then its words are
    sound, and what they name is not there; `fields`: what it looks at, and values that it must refuse there."""

    def __init__(self, good, fields, served=True):
        self.good, self.fields, self.served = good, fields, served
        self.first = next(iter(fields))


NO_TEXT = (7, True, [], {})
NO_FLAG = ("true", 1, [], {})
NO_LIST = ("x", 7, True, {})
NO_OBJECT = ("x", 7, True, [])
NO_NUMBER = ("7", True, [], {}, 1e308, -1e308)
NO_COUNT = (*NO_NUMBER, -2, 7.5)
NO_WORDS = (7, True, {}, [7], ["x", {}])  # a text or a list of texts
NO_MESSAGES = (*NO_LIST, [7], ["x"], [[]], [{}], [{"role": 7, "content": "x"}], [{"role": MARK, "content": "x"}],
               [{"role": "user", "content": 7}])
NO_PARTS = ([{"role": "user", "content": [7]}], [{"role": "user", "content": [{"type": MARK}]}],
            [{"role": "user", "content": [{"type": "text", "text": 7}]}])
NAME = {"model": (*NO_TEXT, "x" * 129)}
STREAM = {"stream": NO_FLAG}
USAGE = {"stream_options": (*NO_OBJECT, {"include_usage": "x"})}
# Known to engines and their clients, whatever the API.
SAMPLERS = {key: NO_NUMBER for key in ("top_k", "min_p", "typical_p", "repeat_penalty", "repeat_last_n", "mirostat",
                                       "mirostat_tau", "mirostat_eta")}
SAMPLING = {"temperature": NO_NUMBER, "top_p": NO_NUMBER, "frequency_penalty": NO_NUMBER,
            "presence_penalty": NO_NUMBER, "seed": (*NO_NUMBER, 7.5), "logit_bias": NO_OBJECT,
            "stop": (*NO_WORDS, ["x"] * 65), "max_tokens": NO_COUNT, "max_completion_tokens": NO_COUNT, **SAMPLERS}
CHOICES = {"n": (*NO_COUNT, 0, 17)}
TOOLS = (*NO_LIST, [7], ["x"], [{"type": "function"}], [{"type": "function", "function": {"name": 7}}],
         [{"type": "function", "function": {"name": ""}}],
         [{"type": "function", "function": {"name": "x", "parameters": "x"}}])
TOOL_CHOICE = (7, True, [], {}, MARK, {"type": "function", "function": {"name": MARK}})
SCHEMA_FORMAT = (*NO_OBJECT, {"type": MARK}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": 7},
                 {"type": "json_schema", "json_schema": {"schema": 7}})
CHAT = {"model": "ask", "messages": [{"role": "user", "content": "ping"}]}
OPTIONS = {"options": NO_OBJECT, "options.stop": NO_WORDS,
           **{f"options.{key}": NO_NUMBER for key in ("temperature", "top_p", "seed", "num_predict", *SAMPLERS)}}
NATIVE = {**NAME, **STREAM, "n_predict": NO_NUMBER, "n_cmpl": (*NO_NUMBER, 0, 17), "id_slot": NO_NUMBER,
          "response_fields": (*NO_LIST, [7]), "temperature": NO_NUMBER, "top_p": NO_NUMBER, "seed": NO_NUMBER,
          **SAMPLERS}
MESSAGES = {**NAME, "messages": (*NO_MESSAGES, *NO_PARTS, []), "system": (7, True, {}, [7], [{"type": MARK}]),
            "temperature": NO_NUMBER, "top_p": NO_NUMBER, "top_k": NO_COUNT, "stop_sequences": (*NO_LIST, [7], [""]),
            "thinking": (*NO_OBJECT, {"type": "enabled"}, {"type": "enabled", "budget_tokens": 1e308}),
            "tools": (*NO_LIST, [7], [{}], [{"name": 7}], [{"name": "x", "input_schema": 7}]),
            "tool_choice": (*NO_OBJECT, {}, {"type": MARK}, {"type": "tool"}),
            "output_format": (*NO_OBJECT, {"type": MARK}, {"type": "json_schema", "schema": 7})}

KINDS = {
    "openai_chat": Kind(CHAT, {
        **NAME, "messages": (*NO_MESSAGES, *NO_PARTS, []), **STREAM, **USAGE, **SAMPLING, **CHOICES,
        "logprobs": NO_FLAG, "top_logprobs": (*NO_COUNT, 21), "tools": TOOLS, "tool_choice": TOOL_CHOICE,
        "parallel_tool_calls": NO_FLAG, "functions": NO_LIST, "response_format": SCHEMA_FORMAT,
        "reasoning": (*NO_OBJECT, {"effort": 7}), "reasoning_effort": NO_TEXT, "modalities": (*NO_LIST, ["audio"])}),
    "openai_completions": Kind({"model": "ask", "prompt": "ping"}, {
        **NAME, "prompt": (7, True, {}, [], [True], [[1], [2]], ["x", "y"], [1e308]), **STREAM, **USAGE, **SAMPLING,
        **CHOICES, "suffix": NO_TEXT, "echo": NO_FLAG, "best_of": NO_COUNT, "logprobs": (*NO_COUNT, 21)}),
    "openai_fim": Kind({"model": "ask", "prompt": "ping", "suffix": "pong"}, {
        **NAME, "prompt": NO_TEXT, "suffix": NO_TEXT, **STREAM, **USAGE, **SAMPLING, "random_seed": (*NO_NUMBER, 7.5)}),
    "openai_embeddings": Kind({"model": "embed", "input": "ping"}, {
        **NAME, "input": (7, True, {}, [], "", [""], [True], [{}], [1e308], ["x"] * 2049),
        "encoding_format": (*NO_TEXT, MARK), "dimensions": (*NO_COUNT, 0)}),
    "openai_rerank": Kind({"model": "rerank", "query": "ping", "documents": ["pong"]}, {
        **NAME, "query": (*NO_TEXT, ""), "documents": (*NO_LIST, [], [7], [{}], [{"text": 7}], ["x"] * 2049),
        "top_n": (*NO_COUNT, 0), "return_documents": NO_FLAG}),
    "responses": Kind({"model": "ask", "input": "ping"}, {
        **NAME, "input": (7, True, {}, [7], ["x"], [{"role": 7}], [{"role": MARK, "content": "x"}],
                          [{"role": "user", "content": 7}], [{"role": "user", "content": [7]}],
                          [{"type": "function_call", "name": 7}], [{"type": "compaction"}]),
        "instructions": NO_TEXT, "previous_response_id": NO_TEXT, "prompt_cache_key": NO_TEXT, "user": NO_TEXT,
        "service_tier": NO_TEXT, "safety_identifier": NO_TEXT, "truncation": (*NO_TEXT, MARK), "include": NO_LIST,
        "metadata": NO_OBJECT, "reasoning": (*NO_OBJECT, {"effort": 7}), **STREAM, "stream_options": NO_OBJECT,
        "background": NO_FLAG, "store": NO_FLAG, "parallel_tool_calls": NO_FLAG, "conversation": ("x", {"id": "x"}),
        "prompt": ({"id": "x"},), "temperature": NO_NUMBER, "top_p": NO_NUMBER, "max_output_tokens": (*NO_COUNT, 0),
        "max_tool_calls": NO_COUNT, "top_logprobs": (*NO_COUNT, 21), "presence_penalty": NO_NUMBER,
        "frequency_penalty": NO_NUMBER, "seed": (*NO_NUMBER, 7.5), **SAMPLERS,
        "text": (*NO_OBJECT, {"format": {"type": MARK}}, {"format": {"type": "json_schema", "schema": 7}}),
        "tools": (*NO_LIST, [7], ["x"], [{"type": "function"}], [{"type": "function", "name": 7}],
                  [{"type": "namespace", "name": 7}]),
        "tool_choice": (7, True, [], {}, MARK, {"type": MARK})}),
    "anthropic_messages": Kind({**CHAT, "max_tokens": 8}, {**MESSAGES, **STREAM, "max_tokens": (*NO_COUNT, 0)}),
    "anthropic_count": Kind(CHAT, MESSAGES),
    "ollama_chat": Kind({**CHAT, "stream": False}, {
        **NAME, "messages": NO_MESSAGES, **STREAM, **OPTIONS, "tools": (*NO_LIST, [7], [{}]),
        "format": (7, True, [], MARK), "think": (7, [], {}, MARK), "logprobs": NO_FLAG,
        "top_logprobs": (*NO_NUMBER, -1, 21)}),
    "ollama_generate": Kind({"model": "ask", "prompt": "ping", "stream": False}, {
        **NAME, "prompt": NO_TEXT, "suffix": NO_TEXT, "system": NO_TEXT, "template": (*NO_TEXT, MARK), **STREAM,
        "raw": NO_FLAG, "images": (*NO_LIST, [7], [MARK]), "context": (*NO_LIST, [7]), **OPTIONS,
        "format": (7, True, [], MARK), "think": (7, [], {}, MARK), "logprobs": NO_FLAG}),
    "ollama_embed": Kind({"model": "embed", "input": "ping"}, {
        **NAME, "input": (7, True, {}, [7], [""], ["x"] * 4097), "dimensions": (*NO_NUMBER, -1)}),
    "ollama_embeddings": Kind({"model": "embed", "prompt": "ping"}, {**NAME, "prompt": NO_TEXT}),
    "llamacpp_completion": Kind({"model": "ask", "prompt": "ping"}, {
        **NATIVE, "prompt": (7, True, {}, [], [True], ["x", "y"], [[1]]), "max_tokens": NO_NUMBER,
        "n_probs": (*NO_NUMBER, -1, 1001), "return_tokens": (7, [], {})}),
    "llamacpp_infill": Kind({"model": "ask", "input_prefix": "ping", "input_suffix": "pong"}, {
        **NATIVE, "input_prefix": NO_TEXT, "input_suffix": NO_TEXT, "prompt": NO_TEXT,
        "input_extra": (*NO_LIST, [7], [{}], [{"text": 7}], [{"text": "x"}] * 4097)}),
    "llamacpp_tokenize": Kind({"model": "ask", "content": "ping"}, {**NAME, "content": (7, True, {}, [True], [{}])}),
    "llamacpp_detokenize": Kind({"model": "ask", "tokens": [1]}, {
        **NAME, "tokens": (*NO_LIST, ["x"], [True], [-1], [7.5], [1e308])}),
    "llamacpp_template": Kind(CHAT, {**NAME, "messages": (*NO_LIST, [], [7], [{}], [{"role": 7}])}),
    "serve_ollama_show": Kind({"model": "ask"}, {"model": (*NO_TEXT, "", MARK)}),
    "accept_nodes": Kind({"for_ms": 0}, {"for_ms": NO_COUNT}),
    "approve_node": Kind({"node": "x"}, {"node": (*NO_TEXT, ""), "phrase": NO_TEXT, "name": NO_TEXT,
                                         "roles": (*NO_LIST, [7])}, served=False),
    "revoke_node": Kind({"node": "x"}, {"node": (*NO_TEXT, "")}, served=False),
    "forget_node": Kind({"node": "x"}, {"node": (*NO_TEXT, "")}, served=False),
    "create_token": Kind({"uses": 1}, {"uses": (*NO_COUNT, 0), "roles": (*NO_LIST, [7]), "addresses": (*NO_LIST, [7]),
                                       "expires_in_ms": NO_COUNT}),
    "revoke_token": Kind({"id": "x"}, {"id": (*NO_TEXT, "")}, served=False),
    "create_key": Kind({"name": "x"}, {"name": (*NO_TEXT, ""), "admin": NO_FLAG, "modes": (*NO_LIST, [7]),
                                       "models": (*NO_LIST, [7]), "requests_per_minute": NO_COUNT}),
    "revoke_key": Kind({"name": "y"}, {"name": (*NO_TEXT, "")}, served=False),
}
FORMS = {"openai_transcriptions"}                               # take no JSON
UNREAD = {"responses_serve_cancel", "serve_ollama_refusal"}     # do not look at their body
CONVERSATIONS = ("openai_chat", "responses", "anthropic_messages", "ollama_chat", "llamacpp_template")


def table(path, entry):
    """The entries of a table of the coordinator, all of them."""
    text = re.sub(r"\s+", " ", (API / path).read_text())
    found = re.findall(entry, text)
    assert len(found) == text.count('{"POST",') > 0, f"{path}: not every entry was understood"
    return found


def targets():
    routes = table("api.c", r'\{"POST", "([^"]+)", SCOPE_\w+, &family_(\w+), (\w+), (?:&dialect_(\w+)|NULL)\}')
    operations = table("operations.c", r'\{"POST", "([^"]+)", (\w+)\}')
    return [Target(path, family, dialect or serve) for path, family, serve, dialect in routes] + \
           [Target(path, "openai", run) for path, run in operations]


def one_of_each(what):
    """One path that takes JSON of each reader, or of each family."""
    return list({getattr(target, what): target for target in targets() if target.kind}.values())


def target_of(reader):
    return next(target for target in targets() if target.reader == reader)


# --- the mesh


@contextlib.contextmanager
def a_mesh():
    with Mesh(MODES) as cluster:
        script = Script(cluster.folder / "script",
                        {"when": {"path": "/v1/chat/completions", "body": {"user": "largest"}},
                         "answer": {"error": {"status": 400, "message": "so many words"}}},
                        {"answer": {"text": "pong"}}, props={"modalities": {"vision": True, "audio": True}})
        node = add_node(cluster, script, "writer", [CODER], start=False)
        add_fim(MODELS / f"{CODER}.gguf", node.models / f"{CODER}.gguf")
        node.start()
        add_node(cluster, script, "embedder", [FAST], words=("--embeddings",))
        add_node(cluster, script, "ranker", [THINKER], words=("--reranking",))
        node.wait_resident(CODER)
        cluster.script = script
        yield cluster


class Attempts:
    """What is sent to one path after another, and what is wrong with the answers. Ends with an ordinary request, and
    fails with all that was wrong."""

    def __init__(self, cluster):
        self.cluster, self.wrong, self.count, self.open = cluster, [], 0, {}
        self.heard = len(cluster.script.requests())

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for connection in self.open.values():
            connection.close()
        if kind is None:
            self.check_after()

    def check_after(self):
        heard = len(self.cluster.script.requests()) - self.heard
        # Where the coordinator stood still for too long, its nodes come back first.
        wait_until("an ordinary request is served", lambda: is_served(self.cluster))
        logs = [daemon.name for daemon in self.cluster.daemons if MARK in daemon.text()]
        assert not self.wrong, f"{len(self.wrong)} of {self.count} are wrong:\n" + "\n".join(self.wrong)
        assert heard == 0, f"an engine was asked {heard} times"
        assert not logs, f"words of a body are in the logs of {logs}"
        print(f"# {self.count} bodies")

    def post(self, target, body, headers):
        """On a connection that stays, as long as the coordinator lets it."""
        connection = self.open.setdefault(target.path, target.connection(self.cluster))
        try:
            connection.request("POST", target.path, body, {"Content-Type": "application/json", **headers})
            return Answer(connection.getresponse())
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    def refuse(self, target, what, body, named=None, status=None, headers=None):
        """`named` is searched for in the error's words; `status` None: any 4xx."""
        self.count += 1
        try:
            answer = self.post(target, body, headers or {})
            check_refusal(target, answer, named, status)
        except (OSError, http.client.HTTPException, Broken) as why:
            self.wrong.append(f"{target.path} {what}: {type(why).__name__} {why}"[:4 * SHOWN])


def is_served(cluster):
    answer = cluster.ask("ask", "ping")
    return answer.status == 200 and answer.content() == "pong"


def check_refusal(target, answer, named, status):
    said = f"{answer.status} {answer.body[:SHOWN]}"
    if status is None and not 400 <= answer.status <= 499:
        raise Broken(f"this is no refusal: {said}")
    error = errors.check(target.family, answer.status, answer.headers, answer.body, status)
    words = f"{error['message']} ({param(answer)})"
    if named and not re.search(named, words):
        raise Broken(f"no `{named}` in the error: {said}")


def param(answer):
    """The field that OpenAI's errors name beside their message."""
    error = answer.json()["error"]
    return error.get("param") if isinstance(error, dict) else None


# --- bodies


PLACE = r"line \d+, column \d+"
NOT_UTF8 = {"cut": b"\xe2\x82", "overlong of 2": b"\xc0\xaf", "overlong of 3": b"\xe0\x80\xaf",
            "overlong of 4": b"\xf0\x80\x80\xaf", "overlong nul": b"\xc0\x80", "surrogate": b"\xed\xa0\x80",
            "surrogate pair": b"\xed\xa0\x80\xed\xb0\x80", "past U+10FFFF": b"\xf4\x90\x80\x80", "alone": b"\x80",
            "five bytes": b"\xf8\x88\x80\x80\x80", "0xff": b"\xff"}
NOT_TEXT = {"nul": b"\0", "control": b"\x01", "line": b"\n", "escaped nul": rb"\u0000", "high half": rb"\ud800",
            "low half": rb"\udc00", "two high halves": rb"\ud800\ud800", "half and letter": rb"\ud800x",
            "unknown escape": rb"\x41", "short escape": rb"\u12", "no hex": rb"\u12g4"}
NOT_NUMBERS = {"1e999": b"1e999", "-1e999": b"-1e999", "400 digits": b"7" * 400, "400 decimals": b"0." + b"7" * 400,
               "hex": b"0x10", "octal": b"017", "plus": b"+1", "no digit before": b".5", "no digit behind": b"1.",
               "no exponent": b"1e", "minus": b"-", "NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity"}


def raw(body):
    return json.dumps(body).encode()


def with_raw(body, *members):
    """The JSON object with raw members ahead of its own, those of the same name left out."""
    names = {json.loads(b"[" + key + b"]")[0] for key, _ in members if is_json_text(key)}
    rest = {key: value for key, value in body.items() if key not in names}
    return b"{" + b",".join(key + b":" + value for key, value in members) + \
        (b"," + raw(rest)[1:] if rest else b"}")


def is_json_text(key):
    try:
        json.loads(key)
        return True
    except ValueError:
        return False


def quoted(text):
    return b'"' + MARK.encode() + text + b'"'


def no_object(_kind):
    for name, body in {"nothing": b"", "blanks": b" \n\t", "null": b"null", "list": b"[]", "number": b"0",
                       "text": quoted(b""), "true": b"true", "word": MARK.encode()}.items():
        yield name, body, rf"{PLACE}|object|\"\w+\""


def no_json(kind):
    text = raw({**kind.good, "x": MARK})
    bodies = {"cut in the middle": text[:len(text) // 2], "cut at the end": text[:-1], "twice": text + text,
              "one and a half": text + text[:9], "trailing word": text + MARK.encode(), "trailing nul": text + b"\0",
              "leading nul": b"\0" + text, "byte order mark": b"\xef\xbb\xbf" + text,
              "UTF-16": text.decode().encode("utf-16"),
              "comma at the end": text[:-1] + b",}", "comma at the start": b"{," + text[1:], "comment": text + b"// x",
              "single quotes": text.replace(b'"', b"'"), "no quotes": b"{model:1}", "no colon": b'{"x"}',
              "wrong bracket": text[:-1] + b"]"}
    for name, body in bodies.items():
        yield name, body, PLACE


def no_text(kind):
    for name, bad in {**NOT_UTF8, **NOT_TEXT}.items():
        yield f"{name} in a value", with_raw(kind.good, (b'"x"', quoted(bad))), PLACE
        yield f"{name} in a key", with_raw(kind.good, (quoted(bad), b"1")), PLACE
    for name, bad in NOT_UTF8.items():
        yield f"{name} between values", raw(kind.good) + bad, PLACE


def no_number(kind):
    for name, bad in NOT_NUMBERS.items():
        for key in ("x", kind.first):
            yield f"{name} in {key}", with_raw(kind.good, (raw(key), bad)), rf'{PLACE}|"{key}"'
        yield f"{name} deep", with_raw(kind.good, (b'"x"', b'[{"y":[' + bad + b"]}]")), rf'{PLACE}|"y"'


def too_deep(kind):
    arrays, objects = b"[" * DEPTH, b'{"a":' * DEPTH
    bodies = {"arrays": arrays, "closed arrays": arrays + b"]" * DEPTH, "objects": objects,
              "closed objects": objects + b"1" + b"}" * DEPTH, "mixed": b'[{"a":' * (DEPTH // 2)}
    for name, body in bodies.items():
        for what, deep in ((name, body), (f"{name} in a field", with_raw(kind.good, (raw(kind.first), body)))):
            yield what, deep, rf"{PLACE}.*\d+ levels|at most \d+ are accepted"


def ambiguous(kind):
    field = kind.first
    value = raw(kind.good.get(field, "x"))
    key = raw(field)
    escaped = b'"' + b"".join(b"\\u%04x" % ord(letter) for letter in field) + b'"'
    for name, members in {"twice": [(key, value), (key, value)], "two values": [(key, value), (key, b"null")],
                          "escaped": [(key, value), (escaped, value)]}.items():
        yield name, with_raw(kind.good, *members), f'"{field}"'
    for name, bad in {"deep": b'{"a":{"b":1,"c":2,"b":3}}', "in an array": b'[[{"b":1,"b":1}]]'}.items():
        yield name, with_raw(kind.good, (b'"x"', bad)), '"b"'
    many = b",".join(b'"k%d":0' % at for at in range(400))
    yield "among many", with_raw(kind.good, (b'"x"', b"{" + many + b',"k7":0}')), '"k7"'


def wrong_types(kind):
    """A field "options.seed" is a member of another. Errors may speak of a message where `messages` is meant."""
    for field, values in kind.fields.items():
        outer, _, inner = field.partition(".")
        for value in values:
            given = {inner: value} if inner else value
            yield f"{field} = {json.dumps(value)[:40]}", raw({**kind.good, outer: given}), \
                rf"\b{(inner or outer).rstrip('s')}"


# --- the cases


def every_path_is_known():
    unknown = {target.reader for target in targets()} - {*KINDS, *FORMS, *UNREAD}
    assert not unknown, f"add to KINDS what these take: {sorted(unknown)}"
    gone = {*KINDS, *FORMS, *UNREAD} - {target.reader for target in targets()}
    assert not gone, f"nothing reads with these any more: {sorted(gone)}"


def ordinary_bodies_are_served():
    """Else what is refused below might be refused for another reason."""
    with a_mesh() as cluster:
        for target in targets():
            if target.kind and target.kind.served:
                assert_served(target, ask(cluster, target, target.kind.good), target.kind.good)
        zeros = {**CHAT, **dict.fromkeys(("temperature", "seed", "top_p", "max_tokens", "top_k", "min_p"), -0.0)}
        chat = target_of("openai_chat")
        assert_served(chat, ask(cluster, chat, zeros), zeros)


def null_is_as_good_as_nothing():
    """But where something must be there."""
    with a_mesh() as cluster:
        for target in one_of_each("reader"):
            for field in () if target.owners else target.kind.fields:
                body = {**target.kind.good, field.partition(".")[0]: None}
                answer = ask(cluster, target, body)
                if field in target.kind.good and answer.status != 200:
                    check_refusal(target, answer, None, None)
                else:
                    assert_served(target, answer, body)


def ask(cluster, target, body):
    with contextlib.closing(target.connection(cluster)) as connection:
        connection.request("POST", target.path, raw(body), {"Content-Type": "application/json"})
        return Answer(connection.getresponse())


def assert_served(target, answer, body):
    assert answer.status == 200, f"{target.path} {raw(body)[:SHOWN]}: {answer.status} {answer.body[:SHOWN]}"


def refusals(*makers):
    """A case: to each path all that the makers make for what it takes: (what, body, what the error names)."""
    with a_mesh() as cluster, Attempts(cluster) as attempts:
        for target in targets():
            if not target.kind:
                continue  # takes a form, or does not look
            for what, body, named in itertools.chain(*(maker(target.kind) for maker in makers)):
                attempts.refuse(target, what, body, named)


def what_is_no_json_is_refused():
    refusals(no_object, no_json)


def what_is_no_text_is_refused():
    refusals(no_text)


def numbers_that_nobody_can_hold_are_refused():
    refusals(no_number)


def nesting_is_refused_before_it_costs():
    refusals(too_deep)


def keys_that_stand_twice_are_refused():
    refusals(ambiguous)


def fields_of_the_wrong_type_are_refused():
    refusals(wrong_types)


def forms_that_are_none_are_refused():
    with a_mesh() as cluster, Attempts(cluster) as attempts:
        for target in targets():
            if target.reader not in FORMS:
                continue
            for what, kind, body, named in forms():
                attempts.refuse(target, what, body, named, headers={"Content-Type": kind})


FORM = "multipart/form-data; boundary=cut"
SOUND = b"RIFF" + b"\0" * 99


def part(name, data=b"ask", filename=None, more=b""):
    shown = f'; name="{name}"' if name is not None else ""
    shown += f'; filename="{filename}"' if filename is not None else ""
    return b"--cut\r\nContent-Disposition: form-data" + shown.encode() + b"\r\n" + more + b"\r\n" + data + b"\r\n"


def form(*parts, end=b"--cut--\r\n"):
    return b"".join(parts) + end


def forms():
    """(what, Content-Type, body, what the error names)"""
    model, file = part("model"), part("file", SOUND, "a.wav")
    whole = form(model, file)
    for kind in ("application/json", "text/plain", "multipart/mixed; boundary=cut", "multipart/form-data", "",
                 "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 71):
        yield f"type {kind[:40]}", kind, whole, "form|boundary"
    yield "another boundary", "multipart/form-data; boundary=other", whole, "form|part|boundary"
    shown = b'--cut\r\nContent-Disposition: form-data; name="file"\r\n'
    for what, body in {"nothing": b"", "JSON": raw(CHAT), "only the end": b"--cut--\r\n",
                       "no end": form(model, file, end=b""), "cut in the data": whole[:-30],
                       "cut in the headers": model + shown[:20],
                       "cut behind the headers": model + shown + b"\r\n", "no blank line": shown + b"--cut--\r\n",
                       "no name": form(part(None), file), "empty name": form(part(""), file),
                       "long name": form(part("x" * 65), file), "no quote": form(part('file"', SOUND)[:-120], file),
                       "headers without end": form(part("model", more=b"X: " + b"x" * 5000 + b"\r\n"), file),
                       "too many parts": form(*[model] * 64, file)}.items():
        yield what, FORM, body, "form|part|file|boundary|name|header"
    for what, parts, named in (("no file", [model], '"file"'), ("two files", [file, file], '"file"'),
                               ("empty file", [part("file", b"", "a.wav")], '"file"'),
                               ("nul in a field", [part("language", b"e\0n"), file], '"language"'),
                               ("long field", [part("prompt", b"x" * (16 * KIB + 1)), file], '"prompt"'),
                               ("long model", [part("model", b"x" * 129), file], '"model"'),
                               ("format", [part("response_format", MARK.encode()), file], '"response_format"'),
                               ("large file", [part("file", b"x" * (24 * MIB + 1), "a.wav")], '"file"')):
        yield what, FORM, form(model, *parts), named
    for number in (b"hot", b"nan", b"inf", b"1e308", b"-1", b"0x1p4", b"", b"1 ", b"7" * 400):
        yield f"temperature {number[:9]}", FORM, form(model, part("temperature", number), file), '"temperature"'


# --- what is large


def too_large_is_told_at_every_path():
    body = b" " * (BODY_MAX + 1)
    with a_mesh() as cluster, Attempts(cluster) as attempts:
        for target in targets():
            attempts.refuse(target, "a byte too many", body, "too large", 413)
        for target in one_of_each("family"):
            attempts.refuse(target, "a byte too many in chunks", iter([body[:-1], body[-1:]]), "too large", 413)


def filled(start, end):
    """The largest body that is taken, which begins and ends so; a long text fills it up."""
    return start + b"x" * (BODY_MAX - len(start) - len(end)) + end


def long_text(good):
    """For what has room for a few bytes only."""
    field = b'"model":' if "model" in good else raw(next(iter(good))) + b":"
    return filled(b'{"pad":"' + MARK.encode(), b'",' + field + b"[]}")


MANY_VALUES = filled(b'{"pad":"', b'","x":[' + b"0," * VALUES_MAX + b"0]}")
# As many as are taken, each a text of its own; refused only for its name.
MOST_VALUES = filled(b'{"model":7,"pad":"', b'","x":[' + b'"",' * (VALUES_MAX - 20) + b'""]}')


def many_messages(reader):
    """A conversation of as many turns as may come in. They grow where they may lack their content."""
    may_lack = {"openai_chat": b"assistant", "llamacpp_template": b"assistant", "ollama_chat": b"user"}
    role = may_lack.get(reader, b"user")
    turn = b'{"role":"' + role + (b'"}' if reader in may_lack else b'","content":""}')
    turns = b",".join([turn] * ((VALUES_MAX - 100) // (3 if reader in may_lack else 5)))
    key = b"input" if reader == "responses" else b"messages"
    head = b'{"model":"nobody","max_tokens":8,"stream":false,"' + key + b'":[{"role":"user","content":"'
    return filled(head, b'"},' + turns + b"]}")


def the_largest_bodies_are_refused():
    with a_mesh() as cluster, Attempts(cluster) as attempts:
        for target in one_of_each("reader"):
            attempts.refuse(target, "a long text", long_text(target.kind.good), r'"\w+"|object|JSON')
        for target in one_of_each("family"):
            attempts.refuse(target, "many values", MANY_VALUES, "JSON")
            attempts.refuse(target, "most values", MOST_VALUES, '"model"|JSON')
        for reader in CONVERSATIONS:
            attempts.refuse(target_of(reader), "many messages", many_messages(reader), "nobody|too large")


def the_largest_body_reaches_an_engine_whole():
    with a_mesh() as cluster:
        head = b'{"model":"ask","user":"largest","messages":[{"role":"user","content":"'
        answer = cluster.post("/v1/chat/completions", filled(head, b'"}]}'))
        assert answer.status == 400 and "so many words" in answer.error(), answer.body[:SHOWN]
        said = cluster.script.chats()[-1]["body"]["messages"][0]["content"]
        assert len(said) == BODY_MAX - len(head) - len(b'"}]}')
        assert cluster.ask("ask", "ping").content() == "pong"


def costly():
    """Small enough to come in, and much work for who compares or copies all with all: (reader, what, body)."""
    def of(reader, **members):
        return json.dumps({"model": "nobody", "max_tokens": 8, **members}, separators=(",", ":")).encode()

    def function(name, **more):
        return {"type": "function", "function": {"name": name, "parameters": {}}, **more}

    many, long = 100_000, "x" * (8 * MIB)
    user = [{"role": "user", "content": "x"}]
    flat = [{"type": "function", "name": "a"}] * many
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "b"}] * many}
    space = {"type": "namespace", "name": long, "tools": [{"type": "function", "name": f"f{at}"} for at in range(1000)]}
    names = [f"{'x' * 8000}{at}" for at in range(1024)]
    others = [f"{'x' * 8000}{at}" for at in range(1024, 2048)]
    result = {"type": "tool_result", "tool_use_id": long, "content": [{"type": "text", "text": "x"}] * many}
    pictures = [{"type": "input_image", "image_url": "data:image/png;base64,x"}] * many
    yield "responses", "many tools, many allowed", of("responses", input="x", tools=flat, tool_choice=allowed)
    yield "responses", "a long namespace of many tools", of("responses", input="x", tools=[space])
    yield "responses", "many pictures in a result with a long id", of("responses", input=[
        {"type": "function_call_output", "call_id": long, "output": pictures}])
    yield "responses", "names that differ at their end", of(
        "responses", input="x", tools=[{"type": "function", "name": name} for name in names],
        tool_choice={"type": "allowed_tools", "tools": [{"name": name} for name in others]})
    yield "openai_chat", "many tools, many allowed", of(
        "openai_chat", messages=user, tools=[function("a")] * many, tool_choice=allowed)
    yield "openai_chat", "a long namespace of many tools", of("openai_chat", messages=user, tools=[space])
    yield "openai_chat", "names that differ at their end", of(
        "openai_chat", messages=user, tools=[function(name) for name in names],
        tool_choice={"type": "allowed_tools", "tools": [function(name) for name in others]})
    yield "openai_chat", "many items in a Responses-shaped body", of(
        "openai_chat", input=[{"type": "function_call_output", "call_id": long, "output": pictures}])
    yield "anthropic_messages", "a result of many blocks with a long id", of(
        "anthropic_messages", messages=[{"role": "user", "content": [result]}])
    yield "anthropic_messages", "many keys in one message", of(
        "anthropic_messages", messages=[{"role": "user", "content": "x", **{f"k{at}": 0 for at in range(4 * many)}}])
    yield "openai_chat", "many keys", of("openai_chat", messages=user, **{f"k{at}": 0 for at in range(4 * many)})
    yield "ollama_chat", "many keys", of("ollama_chat", messages=user, **{f"k{at}": 0 for at in range(4 * many)})
    yield "ollama_chat", "many calls and results", of("ollama_chat", messages=[
        {"role": "assistant", "tool_calls": [{"function": {"name": "x" * 4000, "arguments": {}}}] * 128},
        *[{"role": "tool", "tool_name": "y" * 80, "content": "x"}] * many])


COSTLY_S = 5  # the loop stands still for so long; what costs the square of its size takes minutes


def what_is_costly_to_read_costs_little():
    """Each is refused, if only for the name of its model, before it has cost much time."""
    with a_mesh() as cluster, Attempts(cluster) as attempts:
        most = COSTLY_S * (SLOWER if is_sanitized(cluster.coordinator.pid) else 1)
        for reader, what, body in costly():
            begin = time.monotonic()
            attempts.refuse(target_of(reader), what, body)
            took = time.monotonic() - begin
            print(f"# {reader}, {what}: {len(body) // KIB} KiB, {took:.1f} s")
            if took > most:
                attempts.wrong.append(f"{reader} {what}: took {took:.1f} s")
            if took > ANSWER_S:
                break  # it is busy with this one still


# --- memory


SLOWER = 4  # with sanitizers
# A value of a JSON tree: struct cJSON and the smallest block of malloc() for its key or text.
VALUE_BYTES = 80 + 32
TREE_BYTES = VALUES_MAX * VALUE_BYTES + BODY_MAX
# While one body is read: it as it came, in a buffer that grows; its tree, what is made of it, its text being printed,
# and the copy that goes to an engine. The coordinator reads one at a time; the others wait as they came.
ONE_BYTES = 2 * BODY_MAX + 2 * TREE_BYTES + 3 * BODY_MAX


def is_sanitized(pid):
    """AddressSanitizer maps its shadow memory at a fixed place."""
    maps = read_proc(pid, "maps")
    return b"libasan" in maps or re.search(rb"^0*7fff8000-", maps, re.MULTILINE) is not None


def memory(pid, name):
    """VmRSS or VmHWM in bytes."""
    found = re.search(rb"^" + name.encode() + rb":\s*(\d+) kB", read_proc(pid, "status"), re.MULTILINE)
    return int(found[1]) * KIB


def send(cluster, target, body, statuses):
    with contextlib.closing(target.connection(cluster)) as connection:
        connection.timeout = ANSWER_S * AT_ONCE
        connection.request("POST", target.path, body, {"Content-Type": "application/json"})
        statuses.append(Answer(connection.getresponse()).status)


def send_at_once(cluster, target, body, count):
    statuses = []
    threads = [threading.Thread(target=send, args=(cluster, target, body, statuses)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == count and all(400 <= status <= 499 for status in statuses), statuses


def memory_is_bounded():
    with a_mesh() as cluster:
        pid = cluster.coordinator.pid
        if is_sanitized(pid):
            raise unittest.SkipTest("AddressSanitizer keeps what was freed: its memory says nothing")
        at_rest = memory(pid, "VmRSS")
        bodies = {reader: many_messages(reader) for reader in CONVERSATIONS}
        for count, chosen in ((1, bodies), (AT_ONCE, ("responses", "ollama_chat"))):
            send_at_once(cluster, target_of("openai_chat"), MOST_VALUES, count)
            check_memory(pid, at_rest, count, "most values")
            for reader in chosen:
                send_at_once(cluster, target_of(reader), bodies[reader], count)
                check_memory(pid, at_rest, count, f"many messages, {reader}")
        wait_until("an ordinary request is served", lambda: is_served(cluster))


def check_memory(pid, at_rest, count, what):
    most, now = memory(pid, "VmHWM") - at_rest, memory(pid, "VmRSS") - at_rest
    bound = ONE_BYTES + (count - 1) * BODY_MAX
    print(f"# {count} x {what}: at most {most // MIB} MiB of {bound // MIB}, now {now // MIB} MiB")
    assert most <= bound, f"{count} x {what}: {most // MIB} MiB past {bound // MIB}"


if __name__ == "__main__":
    mesh.run(
        every_path_is_known,
        ordinary_bodies_are_served,
        null_is_as_good_as_nothing,
        what_is_no_json_is_refused,
        what_is_no_text_is_refused,
        numbers_that_nobody_can_hold_are_refused,
        nesting_is_refused_before_it_costs,
        keys_that_stand_twice_are_refused,
        fields_of_the_wrong_type_are_refused,
        forms_that_are_none_are_refused,
        too_large_is_told_at_every_path,
        the_largest_bodies_are_refused,
        the_largest_body_reaches_an_engine_whole,
        what_is_costly_to_read_costs_little,
        memory_is_bounded,
    )
