"""An engine whose words are written by the test, and which else behaves as llama-server does: same command line, same
HTTP, same JSON. A node runs it through engine.command, so that all of the mesh is real and only the words are not.

    with Mesh({"code": [CODER]}) as mesh:
        script = Script(mesh.folder / "script", {"when": {"user": "pong"}, "answer": {"text": "pong"}})
        add_node(mesh, script, "alpha", [CODER])
        mesh.ask("code", "say pong")
        assert script.chats()[0]["body"]["messages"][-1]["content"] == "say pong"

As a program: scripted_engine.py --scripted FOLDER [words of llama-server]. Of these it heeds --host X.sock, -m, -c,
--parallel, --embeddings and --reranking. FOLDER holds script.json, the gates (see below), and log.jsonl. The script is
read anew for each request. What comes out depends on the script and the requests only, not on time or chance.

The script: {"rules": [RULE...], "props": {...}}. `props` goes over what GET /props says (objects are merged), as
{"modalities": {"vision": true}}. A chat that no rule matches is refused with status 500, so that a test sees it.

RULE: {"when": MATCH, "answer": ANSWER, "times": N}. The first rule that matches answers; after N answers it is used up.

MATCH: every member must hold; {} always does. A pattern is a regular expression that is searched for; its named groups
(?P<word>...) replace {{word}} in each string of the answer.
    path           "/v1/chat/completions" unless said otherwise. The other endpoints answer by themselves where no rule
                   matches; a rule for /v1/completions, /completion or /infill says the text, for others "result" or
                   "error"
    model          pattern, in the name of the engine's model file without .gguf
    user           pattern, in the last message of role user (of other endpoints: in the prompt, the prefix, the input)
    last           pattern, in the last message, whoever it is from
    system         pattern, in all messages of role system or developer
    text           pattern, in all messages, their reasoning and tool calls included
    tool_result    pattern, in the last message of role tool
    tool_results   so many messages of role tool are in the whole body
    tools          [names]: one of these tools is offered; []: none is
    body           {...}: the body has these members with exactly these values

ANSWER, in the order in which it is sent:
    late_headers   true: no headers before the first piece, as an engine that says nothing while it reads the prompt
    delay_ms       before the first piece
    wait_for       "NAME": before the first piece, until Script.open(NAME)
    reasoning      string, cut into pieces after each word; or a list of pieces
    text           as `reasoning`
    tool_calls     [{"name", "arguments": object or raw text, "id", "fragment": N}]: parallel calls, one after another:
                   first id and name, then the arguments in fragments of N characters (12)
    steps          [STEP...], after these
    token_ms       before each piece but the first
    finish         "stop", "tool_calls" or "length" as fits, unless said otherwise; null: there is no finish_reason
    usage          {"prompt_tokens", "completion_tokens", "cached_tokens"}: in place of what was counted
    done           false: no [DONE]
    error          {"status": 503, "message", "type", "headers": {"Retry-After": "2"}, ...} in place of all this: an
                   HTTP error in llama-server's shape, with every other member in it; with "body" (any JSON, or text)
                   just that
    result         JSON that is the whole answer, with status 200; of an endpoint that does not generate

STEP: {"text"}, {"reasoning"}, {"tool_calls"}, {"wait_ms": N}, {"wait_for": "NAME"} as above;
    {"endless": "word "}    that piece for ever, until the client goes away
    {"error": {...}}        an error in the middle of the stream, which ends it
    {"raw": "text"}         these bytes in the stream
    {"cut": true}           the connection is lost
    {"die": true}           the engine is

The log has one line as a request comes in: {"id", "path", "body", "rule" (its index, or null), "model"}; and one as it
ends: {"id", "ending", "pieces"} with the ending "done", "refused", "aborted" (the client went away), "cut" or "died".
Other methods than POST are not in the log. Script.requests() joins the two.
"""

import argparse
import base64
import contextlib
import email
import hashlib
import http.server
import itertools
import json
import os
import pathlib
import select
import signal
import socket
import socketserver
import struct
import sys
import threading
import time

from scripted_answer import (BUILD, CREATED, MS, SHAPES, Aborted, Answer, ChatShape, Cut, Died, Refused, bytes_of,
                             template, tokenize, with_piece)
from scripted_rules import CHAT, Request, check, fill, match, plain_input

POLL_S = 0.02
EMBEDDING_SIZE = 8
CONTEXT, SLOTS = 65536, 1  # where the command line says nothing
DEATH_STATUS = 134  # as after abort()
CAN = ("supports_object_arguments", "supports_parallel_tool_calls", "supports_string_content", "supports_system_role",
       "supports_tool_calls", "supports_tools")
CANNOT = ("supports_preserve_reasoning", "supports_reasoning_effort", "supports_typed_content")


# --- the test's end


class Script:
    """What an engine says, and what it was told. `engine` is {"props": {...}}."""

    def __init__(self, folder, *rules, **engine):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.engine = engine
        self.write(*rules)

    def write(self, *rules):
        """New rules, from the next request on. How often a rule was used stays where it is the same in its place."""
        for rule in rules:
            check(rule)
        late = self.folder / "script.new"
        late.write_text(json.dumps({**self.engine, "rules": rules}))
        late.rename(self.folder / "script.json")

    def command(self):
        """The engine.command of a node."""
        return [sys.executable, "-B", str(pathlib.Path(__file__).resolve()), "--scripted", str(self.folder)]

    def open(self, gate):
        """Ends each "wait_for" of this name."""
        (self.folder / f"{gate}.gate").touch()

    def chats(self):
        return self.requests(CHAT)

    def requests(self, path=None):
        """What reached the engine, in this order; those that still run have no "ending"."""
        found = {}
        for line in lines_of(self.folder / "log.jsonl"):
            entry = json.loads(line)
            found.setdefault(entry["id"], {}).update(entry)
        return [entry for entry in found.values() if path in (None, entry["path"])]


def lines_of(path):
    """Whole lines of a file that somebody writes."""
    text = path.read_text() if path.exists() else ""
    return text.split("\n")[:-1]


def add_node(mesh, script, name, models, slots=2, context=CONTEXT, words=(), start=True):
    """Adds a node to the Mesh whose engines follow the script; with `start`, its models are resident."""
    node = mesh.add_node(name, models, slots=slots, words=words, start=False)
    config = json.loads(node.config.read_text())
    config["engine"].update(command=script.command(), context=context)
    node.config.write_text(json.dumps(config))
    if start:
        node.start()
        node.wait_resident(*models)
    return node


# --- what is worked out


def embed(text):
    """A vector of length 1."""
    numbers = [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:EMBEDDING_SIZE]]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


def relevance(query, document):
    """The part of the query's words that the document has."""
    wanted = query.lower().split()
    return sum(word in document.lower().split() for word in wanted) / max(len(wanted), 1)


# --- the engine


class Engine:
    """What all connections share."""

    def __init__(self, words):
        self.folder = pathlib.Path(words.scripted)
        self.model_path = words.model
        self.model = pathlib.Path(words.model).name.removesuffix(".gguf")
        self.slots = [None] * words.parallel  # the number of the request that has it
        self.context = (words.ctx_size or CONTEXT * words.parallel) // words.parallel
        self.embeddings, self.reranking = words.embeddings or words.reranking, words.reranking
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)
        self.used = {}  # how often each rule was

    def script(self):
        return json.loads((self.folder / "script.json").read_text())

    def choose(self, request):
        """Returns (index, answer) of the rule that matches, (None, None) where none does."""
        for index, rule in enumerate(self.script()["rules"]):
            groups = match(rule.get("when", {}), request)
            if groups is not None and self.use(index, rule):
                return index, fill(rule["answer"], groups)
        return None, None

    def use(self, index, rule):
        """False where it is used up."""
        key = (index, json.dumps(rule))
        with self.lock:
            self.used[key] = self.used.get(key, 0) + 1
            return "times" not in rule or self.used[key] <= rule["times"]

    def log(self, entry):
        with self.lock, open(self.folder / "log.jsonl", "a") as log:
            log.write(f"{json.dumps(entry)}\n")

    def take_slot(self, number):
        with self.lock:
            if None not in self.slots:
                return False
            self.slots[self.slots.index(None)] = number
            return True

    @contextlib.contextmanager
    def slot(self, number, peer):
        """Waits for a free one, as llama-server lets requests wait."""
        while not self.take_slot(number):
            peer.wait_ms(POLL_S * MS)
        try:
            yield
        finally:
            with self.lock:
                self.slots[self.slots.index(number)] = None

    # What it tells

    def health(self, _):
        return {"status": "ok"}

    def props(self, _):
        caps = {**dict.fromkeys(CAN, True), **dict.fromkeys(CANNOT, False)}
        props = {"default_generation_settings": {"params": {}, "n_ctx": self.context}, "total_slots": len(self.slots),
                 "model_alias": self.model_path, "model_ftype": "Q8_0", "model_path": self.model_path,
                 "modalities": {"vision": False, "video": False, "audio": False}, "media_marker": "<__media__>",
                 "endpoint_slots": True, "endpoint_props": False, "endpoint_metrics": False,
                 "chat_template": "scripted", "chat_template_caps": caps, "bos_token": "", "eos_token": "<|im_end|>",
                 "build_info": BUILD, "is_sleeping": False}
        return merge_objects(props, self.script().get("props", {}))

    def list_slots(self, _):
        with self.lock:
            return [{"id": index, "n_ctx": self.context, "speculative": False, "is_processing": number is not None}
                    for index, number in enumerate(self.slots)]

    def models(self, _):
        return {"object": "list", "data": [{"id": self.model_path, "object": "model", "created": CREATED,
                                            "owned_by": "llamacpp", "meta": {"n_ctx": self.context}}]}

    # What it works out

    def tokenize(self, body):
        tokens = tokenize(need(body, "content"))
        return {"tokens": [with_piece(token) for token in tokens] if body.get("with_pieces") else tokens}

    def detokenize(self, body):
        return {"content": b"".join(map(bytes_of, need(body, "tokens"))).decode(errors="replace")}

    def apply_template(self, body):
        need(body, "messages")
        return {"prompt": template(body)}

    def embed(self, body):
        if not self.embeddings:
            raise not_supported("This server does not support embeddings. Start it with `--embeddings`")
        inputs = need(body, "input")
        is_many = isinstance(inputs, list) and not all(isinstance(token, int) for token in inputs)
        texts = [text if isinstance(text, str) else json.dumps(text) for text in (inputs if is_many else [inputs])]
        data = [{"embedding": embed(text), "index": index, "object": "embedding"} for index, text in enumerate(texts)]
        if body.get("encoding_format") == "base64":
            for entry in data:
                entry.update(embedding=to_base64(entry["embedding"]), encoding_format="base64")
        return {"model": self.model_path, "object": "list", "usage": input_usage(texts), "data": data}

    def rerank(self, body):
        if not self.reranking:
            raise not_supported("This server does not support reranking. Start it with `--reranking`")
        query, documents = need(body, "query"), need(body, "documents")
        results = [{"index": index, "relevance_score": relevance(query, document)}
                   for index, document in enumerate(documents)]
        results.sort(key=lambda result: -result["relevance_score"])
        return {"model": self.model_path, "object": "list", "usage": input_usage([query, *documents]),
                "results": results[:body.get("top_n")]}

    def transcribe(self, body):
        if not self.props(None)["modalities"]["audio"]:
            raise not_supported("The current model does not support audio input.")
        file = need(body, "file")
        return {"type": "transcript.text.done", "text": f"{file['name']} has {file['bytes']} bytes",
                "usage": {"type": "tokens", "input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
                          "input_tokens_details": {"cached_tokens": 0}}}


def merge_objects(old, new):
    both = isinstance(old, dict) and isinstance(new, dict)
    return {**old, **{name: merge_objects(old.get(name), value) for name, value in new.items()}} if both else new


def need(body, name):
    if name not in body:
        raise Refused({"status": 400, "message": f"'{name}' is required"})
    return body[name]


def not_supported(message):
    return Refused({"status": 501, "message": message})


def to_base64(numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def input_usage(texts):
    count = sum(len(tokenize(text)) for text in texts)
    return {"prompt_tokens": count, "total_tokens": count}


GET = {"/health": Engine.health, "/v1/health": Engine.health, "/props": Engine.props, "/slots": Engine.list_slots,
       "/v1/models": Engine.models, "/models": Engine.models}
POST = {"/tokenize": Engine.tokenize, "/detokenize": Engine.detokenize, "/apply-template": Engine.apply_template,
        "/v1/embeddings": Engine.embed, "/embeddings": Engine.embed, "/v1/rerank": Engine.rerank,
        "/rerank": Engine.rerank, "/reranking": Engine.rerank, "/v1/audio/transcriptions": Engine.transcribe}


# --- HTTP


class Peer:
    """The client of one request. Who waits for it learns that it went away."""

    def __init__(self, connection, folder):
        self.connection, self.folder = connection, folder

    def check(self):
        readable = select.select([self.connection], [], [], 0)[0]
        with contextlib.suppress(BlockingIOError):
            if readable and not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                raise Aborted

    def wait_ms(self, ms):
        end = time.monotonic() + ms / MS
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(POLL_S, left))
        self.check()

    def wait_for(self, gate):
        while not (self.folder / f"{gate}.gate").exists():
            self.wait_ms(POLL_S * MS)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.engine = self.server.engine
        self.peer = Peer(self.connection, self.engine.folder)

    def log_message(self, *_):
        """The node would keep it as what the engine says."""

    def version_string(self):
        return "llama.cpp"

    def do_GET(self):
        self.end_of(lambda: self.answer_with(GET.get(self.bare_path()), None))

    def do_POST(self):
        number, path, body = f"{os.getpid()}.{next(self.engine.numbers)}", self.bare_path(), self.read_body()
        request = Request(path, body if isinstance(body, dict) else {}, self.engine.model)
        index, answer = self.engine.choose(request)
        self.engine.log({"id": number, "path": path, "body": body, "rule": index, "model": self.engine.model})
        made = {"pieces": 0}
        ending = self.end_of(lambda: self.post(number, request, answer, made))
        self.engine.log({"id": number, "ending": ending, **made})
        if ending == "died":
            os._exit(DEATH_STATUS)

    def end_of(self, work):
        """Does it, and returns how it ended."""
        try:
            work()
        except Refused as refused:
            self.send_refused(refused)
            return "refused"
        except (Aborted, OSError):
            self.close_connection = True
            return "aborted"
        except (Cut, Died) as how:
            self.close_connection = True
            return type(how).__name__.lower()
        return "done"

    def bare_path(self):
        return self.path.partition("?")[0]

    def read_body(self):
        """JSON, or the fields of a form; text where it is neither."""
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            return form_fields(kind, raw)
        try:
            return json.loads(raw)
        except ValueError:
            return raw.decode(errors="replace")

    def post(self, number, request, answer, made):
        if answer and "error" in answer:
            raise Refused(answer["error"])
        if answer and "result" in answer:
            self.send_json(200, answer["result"])
        elif request.path in SHAPES:
            self.generate(number, request, answer, made)
        else:
            self.answer_with(POST.get(request.path), request.body)

    def answer_with(self, work, body):
        """Of what is worked out at once; `work` None: there is no such place."""
        if work is None:
            raise Refused({"status": 404, "message": "File Not Found", "type": "not_found_error"})
        self.send_json(200, work(self.engine, body))

    # Answers of a script

    def generate(self, number, request, answer, made):
        is_chat = SHAPES[request.path] is ChatShape
        if is_chat:
            need(request.body, "messages")
        if answer is None and is_chat:
            raise Refused({"status": 500, "message": "no rule of the script matches this request"})
        prompt = template(request.body) if is_chat else plain_input(request.body)
        self.refuse_long(len(tokenize(prompt)))
        with self.engine.slot(number, self.peer):
            said = Answer(answer or {"text": "scripted"}, request, prompt, self.peer)
            shape = SHAPES[request.path](self.engine, said, number)
            try:
                self.send_answer(said, shape)
            finally:
                made["pieces"] = said.pieces

    def refuse_long(self, tokens):
        if tokens >= self.engine.context:
            raise Refused({"status": 400, "type": "exceed_context_size_error", "n_prompt_tokens": tokens,
                           "n_ctx": self.engine.context,
                           "message": f"request ({tokens} tokens) exceeds the available context size "
                                      f"({self.engine.context} tokens), try increasing it"})

    def send_answer(self, said, shape):
        if said.request.body.get("stream"):
            self.send_stream(said, shape)
        else:
            deltas = list(said.deltas())
            self.send_json(200, shape.whole(deltas))

    def send_stream(self, said, shape):
        deltas = said.deltas()
        first = list(itertools.islice(deltas, 1)) if said.answer.get("late_headers") else []
        self.send_head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        self.send_events(shape.begin())
        for delta in itertools.chain(first, deltas):
            self.send_delta(delta, shape)
        if not said.failed:
            self.send_events(shape.end())
        if shape.says_done and not said.failed and said.answer.get("done", True):
            self.send_chunk("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def send_delta(self, delta, shape):
        if "raw" in delta:
            self.send_chunk(delta["raw"])
        elif "error" in delta:
            self.send_events([delta])
        else:
            self.send_events(shape.piece(delta))

    def send_events(self, events):
        self.send_chunk("".join(f"data: {compact(event)}\n\n" for event in events))

    def send_chunk(self, text):
        data = text.encode()
        self.peer.check()
        if data:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    # Whole answers

    def send_refused(self, refused):
        body = refused.body()
        self.close_connection = True
        if isinstance(body, str):
            self.send_whole(refused.status(), "text/plain", body, refused.headers())
        else:
            self.send_json(refused.status(), body, refused.headers())

    def send_json(self, status, answer, headers=None):
        self.send_whole(status, "application/json; charset=utf-8", compact(answer), headers or {})

    def send_whole(self, status, kind, text, headers):
        data = text.encode()
        connection = {"Connection": "close"} if self.close_connection else {}
        self.send_head(status, {"Content-Type": kind, "Content-Length": str(len(data)), **connection, **headers})
        with contextlib.suppress(OSError):
            self.wfile.write(data)

    def send_head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def form_fields(kind, raw):
    """{name: text}, of a file {"name", "bytes", "sha256"}."""
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw)
    fields = {}
    for part in message.get_payload():
        data, file = part.get_payload(decode=True), part.get_filename()
        name = part.get_param("name", header="content-disposition")
        fields[name] = data.decode() if file is None else {"name": file, "bytes": len(data),
                                                           "sha256": hashlib.sha256(data).hexdigest()}
    return fields


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, path, engine):
        self.engine = engine
        super().__init__(path, Handler)


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--scripted", metavar="FOLDER", required=True)
    parser.add_argument("--host", metavar="SOCKET", required=True)
    parser.add_argument("-m", "--model", default="scripted.gguf")
    parser.add_argument("-c", "--ctx-size", type=int, default=0)
    parser.add_argument("-np", "--parallel", type=int, default=SLOTS)
    parser.add_argument("--embeddings", "--embedding", action="store_true")
    parser.add_argument("--reranking", "--rerank", action="store_true")
    words, _ = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # as llama-server: its file stays, and that is no failure
    Server(words.host, Engine(words)).serve_forever()


if __name__ == "__main__":
    main()
