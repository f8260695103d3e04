"""Coding agents as people install them finish a task through the mesh: they read two files and write a third one from
what these hold.

The mesh is real, and so are the agents; only the model's words are a script's (lib/scripted_engine.py). The words in
the files are new each time and the script does not know them: they come out only if the agent really read, the mesh
really brought what was read to the engine, and the agent really wrote what came back. All of it runs where there is no
network but loopback.

Needs MODEMESH_AGENTS: the folder into which agents/package-lock.json was installed.
"""

import collections
import json
import os
import pathlib
import platform
import re
import socket
import subprocess
import sys
import threading
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from hosts import PATH
from mesh import CODER, FAST, Mesh, wait_until
from scripted_engine import CHAT, Script, add_node

AGENTS = pathlib.Path(os.environ.get("MODEMESH_AGENTS", ""), "node_modules")
AGENT_DEADLINE_S = 180
SKIPPED = 77  # exit status by which test runners know it
TAIL_LINES = 40
MODEL, SMALL_MODEL = "mesh-code", "mesh-fast"
CONTEXT = 65536
KEY = "sk-local"
FILES = {"one.txt": "The first word is", "two.txt": "The second word is"}
OUTPUT = "answer.txt"
TASK = f"Read {' and '.join(FILES)}. Then write the two words that they name into {OUTPUT}, with a dash between them."
# In either order: agents run reads side by side and may tell the result of the second one first.
WORDS = r"(?s)(?=.*The first word is (?P<first>[0-9a-f]{32}))(?=.*The second word is (?P<second>[0-9a-f]{32}))"
WRITTEN = "{{first}}-{{second}}"

LOOPBACK_ONLY = ("unshare", "--net", "--mount", "--propagation", "private",
                 "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
# Whatever the agent leaves behind ends with it.
ALONE = ("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--")


# --- between agent and mesh


class Recorder:
    """Passes connections on to the coordinator, and keeps an Exchange for each request. Use as a context manager."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.exchanges = []
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:  # it is closed
                return
            server, own = socket.create_connection(self.target), []
            for source, target, note in ((client, server, self.note_request), (server, client, self.note_answer)):
                threading.Thread(target=self.pump, args=(source, target, note, own), daemon=True).start()

    @staticmethod
    def pump(source, target, note, own):
        try:
            while piece := source.recv(65536):
                note(piece, own)
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # one of the two is gone, so the other may go
            for end in (source, target):
                end.close()

    def note_request(self, piece, own):
        if found := re.match(rb"([A-Z]+ [^ ?]+)\S* HTTP/1\.1\r\n", piece):
            own.append(Exchange(found[1].decode()))
            self.exchanges.append(own[-1])

    @staticmethod
    def note_answer(piece, own):
        if found := re.match(rb"HTTP/1\.1 ([2-5]\d\d) ", piece):
            own[-1].status = int(found[1])

    def posted(self):
        return [exchange for exchange in self.exchanges if exchange.asked.startswith("POST ")]


class Exchange:
    """`asked` is "METHOD PATH"; `status` None: no answer yet."""

    def __init__(self, asked):
        self.asked, self.status = asked, None

    def __str__(self):
        return f"{self.asked} {self.status}"


# --- agents


Call = collections.namedtuple("Call", "name arguments")


class Agent:
    """`program`: words, as patterns below the folder where agents are. `read(path)` and `write(path, text)` return a
    Call of one of its tools."""

    def __init__(self, program, read, write):
        self.program, self.read, self.write = program, read, write

    def argv(self):
        found = {pattern: sorted(AGENTS.glob(pattern)) for pattern in self.program}
        assert all(found.values()), f"not installed: {found}"
        return [str(paths[0]) for paths in found.values()]

    def rules(self, folder):
        reads = [self.read(folder / file) for file in FILES]
        write = self.write(folder / OUTPUT, WRITTEN)
        return (
            {"when": {"tools": [reads[0].name], "tool_results": 0},
             "answer": {"reasoning": "I should look.", "text": "First I read both.",
                        "tool_calls": [as_tool_call(f"call_read_{index}", call) for index, call in enumerate(reads)]}},
            {"when": {"tools": [write.name], "tool_results": len(reads), "text": WORDS},
             "answer": {"tool_calls": [as_tool_call("call_write", write)]}},
            {"when": {"tool_results": len(reads) + 1}, "answer": {"text": "It is written."}},
            {"when": {"tools": []}, "answer": {"text": "Two words"}},
        )


def as_tool_call(number, call):
    return {"id": number, "name": call.name, "arguments": call.arguments}


CLAUDE_CODE = Agent(
    ("@anthropic-ai/claude-code-linux-*/claude",),
    lambda path: Call("Read", {"file_path": str(path)}),
    lambda path, text: Call("Write", {"file_path": str(path), "content": text}))
CODEX = Agent(
    ("@openai/codex-linux-*/vendor/*/bin/codex",),
    lambda path: Call("exec_command", {"cmd": f"cat {path.name}"}),
    lambda path, text: Call("exec_command", {"cmd": f"printf %s {text} >{path.name}"}))
OPENCODE = Agent(
    ("opencode-linux-*/bin/opencode",),
    lambda path: Call("read", {"filePath": str(path)}),
    lambda path, text: Call("write", {"filePath": str(path), "content": text}))
CLINE = Agent(
    ("@cline/cli-linux-*/bin/cline",),
    lambda path: Call("read_files", {"files": [{"path": str(path)}]}),
    lambda path, text: Call("editor", {"path": str(path), "new_text": text}))
CONTINUE = Agent(
    ("node-linux-*/bin/node", "@continuedev/cli/dist/cn.js"),
    lambda path: Call("Read", {"filepath": str(path)}),
    lambda path, text: Call("Write", {"filepath": str(path), "content": text}))


# --- how each is set up: the words after the program's, a list for each command; and its environment beside HOME


def claude_code(home, url):
    return ([["-p", TASK, "--allowedTools", "Read,Write"]],
            {"CLAUDE_CONFIG_DIR": home / "claude", "ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": KEY,
             "ANTHROPIC_MODEL": MODEL, "ANTHROPIC_DEFAULT_HAIKU_MODEL": SMALL_MODEL,
             "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_CONTEXT_TOKENS": CONTEXT,
             "CLAUDE_CODE_ATTRIBUTION_HEADER": "0", "ENABLE_TOOL_SEARCH": "false"})


CODEX_QUIET = """
check_for_update_on_startup = false
[analytics]
enabled = false
[otel]
exporter = "none"
metrics_exporter = "none"
"""
CODEX_EXEC = ("exec", "--skip-git-repo-check", "-s", "danger-full-access", "--disable", "plugins", "--disable", "apps")


def codex(home, url):
    config = f"""
model = "{MODEL}"
model_provider = "mesh"
model_context_window = {CONTEXT}
{CODEX_QUIET}
[model_providers.mesh]
name = "mesh"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "MESH_KEY"
"""
    return [[*CODEX_EXEC, TASK]], {"CODEX_HOME": codex_home(home, config), "MESH_KEY": KEY}


def codex_home(home, config):
    folder = home / "codex"
    folder.mkdir()
    (folder / "config.toml").write_text(config)
    return folder


def codex_local(provider):
    """As if the mesh were Ollama or LM Studio."""
    def set_up(home, url):
        return ([[*CODEX_EXEC, "--oss", "--local-provider", provider, "-m", MODEL, TASK]],
                {"CODEX_HOME": codex_home(home, CODEX_QUIET), "CODEX_OSS_BASE_URL": f"{url}/v1"})
    return set_up


def opencode(library):
    def set_up(home, url):
        config, limit = home / "opencode.json", {"context": CONTEXT, "output": 4096}
        config.write_text(json.dumps({
            "model": f"mesh/{MODEL}", "small_model": f"mesh/{SMALL_MODEL}",
            "provider": {"mesh": {"npm": library, "name": "mesh", "options": {"baseURL": f"{url}/v1", "apiKey": KEY},
                                  "models": {MODEL: {"limit": limit}, SMALL_MODEL: {"limit": limit}}}}}))
        folders = {f"XDG_{name}_HOME": home / name for name in ("CONFIG", "DATA", "CACHE", "STATE")}
        return [["run", TASK]], {**folders, **dict.fromkeys(OPENCODE_SWITCHES, "1"), "OPENCODE_CONFIG": config}
    return set_up


OPENCODE_SWITCHES = ("OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_LSP_DOWNLOAD",
                     "OPENCODE_DISABLE_DEFAULT_PLUGINS")


def cline(_, url):
    return [["auth", "-p", "openai", "-k", KEY, "-m", MODEL, "-b", f"{url}/v1"], [TASK]], {}


def cline_as(provider, base=""):
    """With a provider that `cline auth` does not set up: its file, as the settings page writes it."""
    def set_up(home, url):
        file = home / ".cline" / "data" / "settings" / "providers.json"
        file.parent.mkdir(parents=True)
        settings = {"provider": provider, "apiKey": KEY, "model": MODEL, "baseUrl": f"{url}{base}"}
        file.write_text(json.dumps({"version": 1, "lastUsedProvider": provider, "modes": {}, "providers": {
            provider: {"settings": settings, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}}}))
        return [[TASK]], {}
    return set_up


def continue_as(provider, base=""):
    def set_up(home, url):
        config = home / "config.yaml"
        model = {"name": MODEL, "provider": provider, "model": MODEL, "apiBase": f"{url}{base}", "apiKey": KEY,
                 "roles": ["chat"]}
        config.write_text(json.dumps({"name": "mesh", "version": "1.0.0", "schema": "v1", "models": [model]}))
        return ([["--config", config, "--auto", "-p", TASK]],
                {"CONTINUE_GLOBAL_DIR": home / ".continue", "CONTINUE_TELEMETRY_ENABLED": "0"})
    return set_up


# --- the task


class Desk:
    """Where an agent works: a home of its own, and the folder with the files."""

    def __init__(self, folder):
        self.home, self.folder = folder / "home", folder / "work"
        self.home.mkdir(parents=True)
        self.folder.mkdir()
        self.words = [uuid.uuid4().hex for _ in FILES]
        for (file, sentence), word in zip(FILES.items(), self.words):
            (self.folder / file).write_text(f"{sentence} {word}\n")

    def env(self, more):
        return {"HOME": str(self.home), "PATH": PATH, "LANG": "C.UTF-8", "TERM": "dumb", "NO_PROXY": "*",
                **{name: str(value) for name, value in more.items()}}

    def run(self, words, env):
        """Returns the last lines of what the agent said."""
        log = self.home / "said.log"
        with open(log, "wb") as out:
            agent = subprocess.Popen([*ALONE, *map(str, words)], cwd=self.folder, env=self.env(env),
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            status = agent.wait(AGENT_DEADLINE_S)
        except subprocess.TimeoutExpired:
            agent.kill()
            status = agent.wait()
        said = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
        assert status == 0, f"{words[:2]} ended with {status}: {said}"
        return said

    def check(self, said):
        output = self.folder / OUTPUT
        assert output.exists(), f"nothing was written: {said}"
        assert output.read_text().rstrip("\n") == "-".join(self.words), f"{output.read_text()}: {said}"


def finish_task(agent, set_up, endpoint):
    """Returns what reached the engine without any tools."""
    with Mesh({"code": [CODER], "fast": [FAST]}) as running:
        desk = Desk(running.folder / "desk")
        script = Script(running.folder / "script", *agent.rules(desk.folder))
        add_node(running, script, "alpha", [CODER, FAST], context=CONTEXT)
        with Recorder(running.http) as recorder:
            commands, env = set_up(desk.home, recorder.url)
            said = [desk.run([*agent.argv(), *words], env) for words in commands][-1]
        counted = collections.Counter(map(str, recorder.exchanges)).items()
        print("#", "; ".join(f"{exchange} ({count})" for exchange, count in counted), flush=True)
        desk.check(said)
        posted = {str(exchange) for exchange in recorder.posted()}
        assert posted == {f"POST {endpoint} 200"}, f"{posted}: {said}"
        wait_until("the engine is done", lambda: all("ending" in request for request in script.chats()))
        check_turns([request for request in script.chats() if request["body"].get("tools")])
        return [request for request in script.chats() if not request["body"].get("tools")]


def check_turns(requests):
    """What the engine was really told: three turns, each of which only adds to the one before."""
    assert {(request["ending"], request["model"]) for request in requests} == {("done", CODER)}, requests
    bodies = [request["body"] for request in requests]
    results = [[message for message in body["messages"] if message["role"] == "tool"] for body in bodies]
    assert [len(found) for found in results] == [0, len(FILES), len(FILES) + 1], results
    for body, later in zip(bodies, bodies[1:]):
        assert later["tools"] == body["tools"]
        first = later["messages"][:len(body["messages"])]
        assert first == body["messages"], f"{body['messages']}, then {first}"
    answered = [found["tool_call_id"] for found in results[-1]]
    assert sorted(answered) == sorted(call["id"] for call in calls_of(bodies[-1])), answered


def calls_of(body):
    return [call for message in body["messages"] for call in message.get("tool_calls") or []]


def claude_code_finishes_a_task():
    assert not finish_task(CLAUDE_CODE, claude_code, "/v1/messages")


def codex_finishes_a_task():
    assert not finish_task(CODEX, codex, "/v1/responses")


def codex_finishes_a_task_as_with_ollama():
    assert not finish_task(CODEX, codex_local("ollama"), "/v1/responses")


def codex_finishes_a_task_as_with_lm_studio():
    preload, = finish_task(CODEX, codex_local("lmstudio"), "/v1/responses")
    assert preload["body"]["max_tokens"] == 1, preload


def opencode_finishes_a_task():
    title, = finish_task(OPENCODE, opencode("@ai-sdk/openai-compatible"), CHAT)
    assert title["model"] == FAST, title


def opencode_finishes_a_task_over_responses():
    title, = finish_task(OPENCODE, opencode("@ai-sdk/openai"), "/v1/responses")
    assert title["model"] == FAST, title


def opencode_finishes_a_task_over_messages():
    title, = finish_task(OPENCODE, opencode("@ai-sdk/anthropic"), "/v1/messages")
    assert title["model"] == FAST, title


def cline_finishes_a_task():
    assert not finish_task(CLINE, cline, CHAT)


def cline_finishes_a_task_over_messages():
    assert not finish_task(CLINE, cline_as("anthropic", "/v1"), "/v1/messages")


def cline_finishes_a_task_as_with_ollama():
    assert not finish_task(CLINE, cline_as("ollama"), "/api/chat")


def cline_finishes_a_task_as_with_lm_studio():
    assert not finish_task(CLINE, cline_as("lmstudio", "/v1"), CHAT)


def cline_finishes_a_task_as_with_litellm():
    assert not finish_task(CLINE, cline_as("litellm", "/v1"), CHAT)


def continue_finishes_a_task():
    assert not finish_task(CONTINUE, continue_as("openai", "/v1"), CHAT)


def continue_finishes_a_task_over_messages():
    assert not finish_task(CONTINUE, continue_as("anthropic", "/v1"), "/v1/messages")


def continue_finishes_a_task_as_with_ollama():
    assert not finish_task(CONTINUE, continue_as("ollama"), CHAT)


def continue_finishes_a_task_as_with_llama_server():
    assert not finish_task(CONTINUE, continue_as("llama.cpp"), "/chat/completions")


TASKS = (claude_code_finishes_a_task, codex_finishes_a_task, codex_finishes_a_task_as_with_ollama,
         codex_finishes_a_task_as_with_lm_studio, opencode_finishes_a_task, opencode_finishes_a_task_over_responses,
         opencode_finishes_a_task_over_messages, cline_finishes_a_task, cline_finishes_a_task_over_messages,
         cline_finishes_a_task_as_with_ollama, cline_finishes_a_task_as_with_lm_studio,
         cline_finishes_a_task_as_with_litellm, continue_finishes_a_task, continue_finishes_a_task_over_messages,
         continue_finishes_a_task_as_with_ollama, continue_finishes_a_task_as_with_llama_server)


# --- without a network


def missing():
    """Why the agents cannot run here, "" where they can."""
    if not os.environ.get("MODEMESH_AGENTS"):
        return "MODEMESH_AGENTS is not set"
    if platform.machine() != "x86_64":
        return f"the agents are installed for x86_64, and this is {platform.machine()}"
    if os.geteuid() != 0:
        return "a network of one's own needs root"
    trial = subprocess.run([*LOOPBACK_ONLY, *ALONE, "true"], env={**os.environ, "PATH": PATH}, capture_output=True,
                           text=True)
    return f"namespaces do not work here: {' '.join(trial.stderr.split())}" if trial.returncode else ""


def main():
    if sys.argv[1:] == ["inside"]:
        mesh.run(*TASKS)
    elif reason := missing():
        print(f"1..0 # SKIP {reason}")
        sys.exit(SKIPPED)
    else:
        os.execvpe("unshare", [*LOOPBACK_ONLY, sys.executable, "-B", __file__, "inside"], {**os.environ, "PATH": PATH})


if __name__ == "__main__":
    main()
