"""A server that answers as Ollama does, with recorded answers and no model: the shapes are those of its docs/api.md and
of version 0.13. What is loaded and what is not changes as it does there, and so does the trap that its OpenAI endpoints
are: a chat cannot say num_ctx, runs with the default, and has the model loaded anew where it has another context.

    with OllamaStandin() as ollama:
        node = {"engines": [ollama.url]}
        ...
        assert ollama.loaded() == {"llama3.2:latest": 4096}
        assert ollama.loads("llama3.2:latest") == 1

As a program: ollama_standin.py [--port N] prints its URL and serves until its standard input ends.

What a test can set: `default_context` (OLLAMA_CONTEXT_LENGTH), `load_s` (how long a load takes), `memory_bytes` (a load
that does not fit is refused in Ollama's own words), `token_s` and `tokens` (of a chat). What it can look at: loaded(),
loads(name), unloads(name), requests (method, path, body), aborted (chats whose client went away).

It is stricter than Ollama where a caller's mistake would else go unseen: num_ctx that is no whole number above 0, and
num_ctx on an OpenAI endpoint, are refused with status 400.
"""

import argparse
import contextlib
import dataclasses
import datetime
import http.server
import json
import re
import select
import socket
import sys
import threading
import time

VERSION = "0.13.4"
KEEP_ALIVE_S = 300
BYTES_PER_TOKEN = 64 * 1024  # of the context, when a model is loaded
ANSWER = ["A", " stand-in", " has", " no", " model,", " these", " words", " are", " all", " it", " can", " say."]

MODELS = {
    "llama3.2:latest": {
        "size": 2019393189, "digest": "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
        "family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M", "parameters": 3212749888,
        "trained": 131072, "num_ctx": None, "capabilities": ["completion", "tools"]},
    "qwen3:8b": {
        "size": 5225388164, "digest": "500a1f067a9f782620b40bee6f7b0c89e17ae61f686b92c24933e4ca4b2b8b41",
        "family": "qwen3", "parameter_size": "8.2B", "quantization_level": "Q4_K_M", "parameters": 8190735360,
        "trained": 40960, "num_ctx": 16384, "capabilities": ["completion", "tools", "thinking"]},
    "nomic-embed-text:latest": {
        "size": 274302450, "digest": "0a109f422b47e3a30ba2b10eca18548e944e8a23073ee3f3e947efcf3c45e59f",
        "family": "nomic-bert", "parameter_size": "137M", "quantization_level": "F16", "parameters": 136727040,
        "trained": 2048, "num_ctx": 8192, "capabilities": ["embedding"]},
    "gpt-oss:120b-cloud": {
        "size": 384, "digest": "569662207105c2e4b4a6a0a3b5d9b2d1e1e9f5a2b0c6d7e8f9a0b1c2d3e4f5a6",
        "family": "gptoss", "parameter_size": "116.8B", "quantization_level": "MXFP4", "parameters": 116829156672,
        "trained": 131072, "num_ctx": None, "capabilities": ["completion", "tools", "thinking"],
        "remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443"},
}


class Refusal(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


@dataclasses.dataclass
class Runner:
    """A loaded model."""
    context: int
    keep_s: float
    expires: float = 0.0
    busy: int = 0

    def touch(self):
        self.expires = time.monotonic() + self.keep_s


def seconds(keep_alive):
    """Of "900s", "5m", 300, 0 or -1 (for ever)."""
    if isinstance(keep_alive, (int, float)):
        number = float(keep_alive)
    else:
        match = re.fullmatch(r"(-?[0-9.]+)(ms|s|m|h)", str(keep_alive))
        if not match:
            raise Refusal(400, f'time: invalid duration "{keep_alive}"')
        number = float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]]
    return number if number >= 0 else float("inf")


def wished_context(options):
    if "num_ctx" not in options:
        return None
    wish = options["num_ctx"]
    if isinstance(wish, bool) or not isinstance(wish, int) or wish < 1:
        raise Refusal(400, f"option \"num_ctx\" must be a whole number above 0, not {wish!r}")
    return wish


def details(model):
    return {"parent_model": "", "format": "gguf", "family": model["family"], "families": [model["family"]],
            "parameter_size": model["parameter_size"], "quantization_level": model["quantization_level"]}


def stamp(after_s=0.0):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=min(after_s, 1e9))
    return at.isoformat().replace("+00:00", "Z")


class OllamaStandin:
    def __init__(self, port=0, models=None):
        self.models = dict(MODELS if models is None else models)
        self.default_context, self.memory_bytes = 4096, 64 << 30
        self.load_s = self.token_s = 0.0
        self.tokens = len(ANSWER)
        self.requests, self.aborted = [], 0
        self._runners, self._loads, self._unloads = {}, [], []
        self._lock = threading.RLock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        self._server.daemon_threads = True
        self._server.standin = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # --- for tests ---

    def loaded(self):
        """{name: context} of what is in memory."""
        with self._lock:
            self._expire()
            return {name: runner.context for name, runner in self._runners.items()}

    def loads(self, name):
        with self._lock:
            return self._loads.count(name)

    def unloads(self, name):
        with self._lock:
            return self._unloads.count(name)

    def unload(self, name):
        """As `ollama stop` does."""
        with self._lock:
            self._drop(name)

    # --- models ---

    def model(self, name):
        for known in (name, f"{name}:latest"):
            if known in self.models:
                return known, self.models[known]
        raise Refusal(404, f"model '{name}' not found")

    def context_of(self, model, wish):
        return min(wish or model["num_ctx"] or self.default_context, model["trained"])

    def memory_of(self, name, context):
        return self.models[name]["size"] + context * BYTES_PER_TOKEN

    def _drop(self, name):
        if self._runners.pop(name, None):
            self._unloads.append(name)

    def _expire(self):
        for name in [n for n, r in self._runners.items() if not r.busy and r.expires <= time.monotonic()]:
            self._drop(name)

    def _load(self, name, context):
        used = sum(self.memory_of(n, r.context) for n, r in self._runners.items())
        need = self.memory_of(name, context)
        if need > self.memory_bytes - used:
            raise Refusal(500, f"model requires more system memory ({need / 2**30:.1f} GiB) than is available "
                               f"({(self.memory_bytes - used) / 2**30:.1f} GiB)")
        time.sleep(self.load_s)
        self._loads.append(name)
        return Runner(context, KEEP_ALIVE_S)

    @contextlib.contextmanager
    def runner(self, name, wish, keep_alive):
        """The loaded model, loaded anew where it has another context than is asked for."""
        with self._lock:
            self._expire()
            context = self.context_of(self.models[name], wish)
            runner = self._runners.get(name)
            if runner and runner.context != context:
                self._drop(name)
                runner = None
            if not runner:
                runner = self._runners[name] = self._load(name, context)
            if keep_alive is not None:
                runner.keep_s = seconds(keep_alive)
            runner.busy += 1
        try:
            yield runner
        finally:
            with self._lock:
                runner.busy -= 1
                runner.touch()

    # --- answers ---

    def tags(self):
        return {"models": [
            {"name": name, "model": name, "modified_at": "2025-10-03T23:34:03.409490317-07:00", "size": model["size"],
             "digest": model["digest"], "details": details(model),
             **{key: model[key] for key in ("remote_model", "remote_host") if key in model}}
            for name, model in self.models.items()]}

    def ps(self):
        with self._lock:
            self._expire()
            return {"models": [
                {"name": name, "model": name, "size": self.memory_of(name, runner.context),
                 "digest": self.models[name]["digest"], "details": details(self.models[name]),
                 "expires_at": stamp(runner.expires - time.monotonic()),
                 "size_vram": self.memory_of(name, runner.context), "context_length": runner.context}
                for name, runner in self._runners.items()]}

    def show(self, body):
        _, model = self.model(body.get("model") or body.get("name") or "")
        lines = [f"num_ctx                        {model['num_ctx']}"] if model["num_ctx"] else []
        return {"license": "", "modelfile": "# Modelfile generated by \"ollama show\"",
                "parameters": "\n".join([*lines, "stop                           \"<|eot_id|>\""]),
                "template": "{{ .Prompt }}", "details": details(model),
                "model_info": {"general.architecture": model["family"],
                               "general.parameter_count": model["parameters"],
                               f"{model['family']}.context_length": model["trained"],
                               "tokenizer.ggml.tokens": None},
                "capabilities": model["capabilities"], "modified_at": "2025-10-03T23:34:03.409490317-07:00",
                **{key: model[key] for key in ("remote_model", "remote_host") if key in model}}

    def generate(self, body):
        """Loads and unloads; a prompt is none of its business."""
        name, model = self.model(body.get("model", ""))
        if body.get("prompt"):
            raise Refusal(501, "this stand-in generates over /v1/chat/completions only")
        keep_alive, wish = body.get("keep_alive"), wished_context(body.get("options", {}))
        answer = {"model": name, "created_at": stamp(), "response": "", "done": True, "done_reason": "load"}
        if keep_alive is not None and seconds(keep_alive) == 0:
            self.unload(name)
            return {**answer, "done_reason": "unload"}
        if "completion" not in model["capabilities"]:
            raise Refusal(400, f'"{name}" does not support generate')
        with self.runner(name, wish, keep_alive):
            return answer

    def embed(self, body):
        name, model = self.model(body.get("model", ""))
        if "embedding" not in model["capabilities"]:
            raise Refusal(400, "this model does not support embeddings")
        texts = body.get("input", [])
        with self.runner(name, wished_context(body.get("options", {})), body.get("keep_alive")):
            return {"model": name, "embeddings": [[0.25, -0.5] for _ in ([texts] if isinstance(texts, str) else texts)]}

    def openai_embeddings(self, body):
        name, _ = self.model(body.get("model", ""))
        answer = self.embed({"model": name, "input": body.get("input", [])})
        return {"object": "list", "model": name, "usage": {"prompt_tokens": 2, "total_tokens": 2},
                "data": [{"object": "embedding", "index": i, "embedding": vector}
                         for i, vector in enumerate(answer["embeddings"])]}

    def chunks(self, name, runner):
        """The events of a chat."""
        head = {"id": "chatcmpl-311", "object": "chat.completion.chunk", "created": 1759559643, "model": name,
                "system_fingerprint": "fp_ollama"}
        for i in range(self.tokens):
            yield {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ANSWER[i % len(ANSWER)]},
                                        "finish_reason": None}]}
            time.sleep(self.token_s)
        yield {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""},
                                    "finish_reason": "stop"}]}
        yield {**head, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": self.tokens,
                                                "total_tokens": 9 + self.tokens}}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    @property
    def standin(self):
        return self.server.standin

    def reply(self, status, body, content_type="application/json; charset=utf-8"):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, refusal):
        openai = self.path.startswith("/v1/")
        error = {"message": str(refusal), "type": "api_error", "param": None, "code": None} if openai else str(refusal)
        self.reply(refusal.status, json.dumps({"error": error}))

    def do_GET(self):
        self.standin.requests.append(("GET", self.path, None))
        answers = {"/api/version": lambda: {"version": VERSION}, "/api/tags": self.standin.tags,
                   "/api/ps": self.standin.ps}
        if self.path == "/":
            self.reply(200, "Ollama is running", "text/plain; charset=utf-8")
        elif self.path in answers:
            self.reply(200, json.dumps(answers[self.path]()))
        else:
            self.reply(404, "404 page not found", "text/plain")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        self.standin.requests.append(("POST", self.path, body))
        answers = {"/api/show": self.standin.show, "/api/generate": self.standin.generate,
                   "/api/embed": self.standin.embed, "/v1/embeddings": self.standin.openai_embeddings}
        try:
            if self.path.startswith("/v1/") and ("num_ctx" in body or "num_ctx" in body.get("options", {})):
                raise Refusal(400, "num_ctx has no effect here: the caller believes in a context that it does not get")
            if self.path == "/v1/chat/completions":
                self.chat(body)
            elif self.path in answers:
                self.reply(200, json.dumps(answers[self.path](body)))
            else:
                self.reply(404, "404 page not found", "text/plain")
        except Refusal as refusal:
            self.refuse(refusal)

    def client_is_gone(self):
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def chat(self, body):
        name, model = self.standin.model(body.get("model", ""))
        if "completion" not in model["capabilities"]:
            raise Refusal(400, f'"{name}" does not support chat')
        if not body.get("stream"):
            raise Refusal(501, "this stand-in only streams")
        with self.standin.runner(name, None, None) as runner:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            try:
                for chunk in self.standin.chunks(name, runner):
                    if self.client_is_gone():
                        raise BrokenPipeError
                    if chunk["choices"] or body.get("stream_options", {}).get("include_usage"):
                        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                        self.wfile.flush()
                self.wfile.write(b"data: [DONE]\n\n")
            except OSError:
                self.standin.aborted += 1


def main():
    parser = argparse.ArgumentParser(description="answers as Ollama does, without a model")
    parser.add_argument("--port", type=int, default=0)
    with OllamaStandin(parser.parse_args().port) as standin:
        print(standin.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
