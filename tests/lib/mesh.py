"""A mesh of real processes for the integration tests, and the small TAP program around them.

MODEMESH_BIN is the folder with modemesh-coordinator, modemesh-node and modemesh; MODEMESH_LLAMA_SERVER is the engine.
Everything lives below one temporary folder, on ports that the kernel picks. Whatever is waited for is an event with a
deadline. When a Mesh ends, its daemons must exit with 0 and leave no process and no socket file, or the test fails.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import unittest
import uuid

REPO = pathlib.Path(__file__).resolve().parents[2]
MODELS = REPO / "configs" / "demo" / "models"
FAST, CODER, THINKER = ("modemesh-demo-fast", "modemesh-demo-coder", "modemesh-demo-thinker")
DEADLINE_S = 60  # of every wait: an event that does not come is a failure, however slow the machine
POLL_S = 0.02
LOG_TAIL_LINES = 40
# More threads spin, and take the cores from what is tested.
ENGINE_WORDS = ("--context-shift", "--threads", "1")
# With ignore_eos and an engine that shifts its context, a generation that only a cancel ends.
ENDLESS = {"ignore_eos": True, "max_tokens": 10_000_000, "temperature": 0}


def wait_until(what, probe, seconds=DEADLINE_S):
    """Returns the first true value of probe(); fails with what was waited for."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain until {what() if callable(what) else what}")
        time.sleep(POLL_S)


# --- processes


def read_proc(pid, name):
    """Returns the bytes of /proc/PID/NAME, b"" where the process is gone or a zombie."""
    try:
        return pathlib.Path("/proc", str(pid), name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def parent_of(pid):
    """Returns the parent's id, 0 where the process is gone."""
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def words_of(pid):
    return [word.decode(errors="replace") for word in read_proc(pid, "cmdline").split(b"\0")[:-1]]


class Daemon:
    """One modemesh-coordinator or modemesh-node with its log."""

    def __init__(self, name, argv, log, env):
        self.name, self.log = name, log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def text(self):
        return self.log.read_text(errors="replace")

    def signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        """As a crash: no time to clean up."""
        self.popen.kill()
        self.popen.wait()

    def stop(self):
        """Asks it to end and returns its exit status."""
        if self.alive():
            self.popen.terminate()
        return self.wait()

    def wait(self):
        """Returns its exit status when it has ended, as it was asked to."""
        try:
            return self.popen.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end after SIGTERM") from None


# --- HTTP


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=DEADLINE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    """A whole HTTP answer."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.json()["error"]["message"]

    def content(self):
        return self.json()["choices"][0]["message"]["content"]


def call(connection, method, path, body=None, headers=None):
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        return Answer(connection.getresponse())


class Stream:
    """A chat answer as server-sent events, read as they come."""

    def __init__(self, connection, body):
        self.connection = connection
        connection.request("POST", "/v1/chat/completions", json.dumps({**body, "stream": True}),
                           {"Content-Type": "application/json"})
        self.sock = connection.sock
        self.response = None
        self.content, self.finish, self.error, self.done, self.chunks = "", None, None, False, 0

    def open(self):
        """Waits for the headers."""
        if self.response is None:
            self.response = self.connection.getresponse()
        return self.response

    def events(self):
        """Yields each event's JSON; ends with [DONE] or with the connection. Comments alone, which come as long as a
        request waits, are in the end a failure."""
        response = self.open()
        last = time.monotonic()
        while line := self.read_line(response):
            if not line.startswith(b"data: "):
                if time.monotonic() - last > DEADLINE_S:
                    raise AssertionError(f"no event in {DEADLINE_S} s after {self.chunks} pieces, the last line {line}")
                continue
            last = time.monotonic()
            data = line[6:].strip()
            if data == b"[DONE]":
                self.done = True
                return
            yield json.loads(data)

    @staticmethod
    def read_line(response):
        """One whole line; b"" where the connection ended, also in the middle of one, as a killed server leaves it."""
        try:
            line = response.readline()
        except (http.client.IncompleteRead, ConnectionError):
            return b""
        return line if line.endswith(b"\n") else b""

    def take(self, event):
        self.error = event.get("error", self.error)
        for choice in event.get("choices", []):
            piece = choice.get("delta", {}).get("content") or ""
            self.content += piece
            self.chunks += bool(piece)
            self.finish = choice.get("finish_reason") or self.finish

    def read_content(self, chunks=1):
        """Reads until so many pieces of text are in."""
        for event in self.events():
            self.take(event)
            if self.chunks >= chunks:
                return self
        raise AssertionError(f"the stream ended after {self.chunks} pieces: {self.error or self.content}")

    def read_all(self):
        for event in self.events():
            self.take(event)
        self.close()
        return self

    def close(self):
        """As an editor that goes away: the connection is closed whatever still comes."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        if self.response:
            self.response.close()
        self.connection.close()
        self.sock.close()


# --- the engine


class Engine:
    """A llama-server that a node has started, found through the processes; asked on its own Unix socket."""

    def __init__(self, pid, words):
        self.pid = pid
        self.socket = words[words.index("--host") + 1]

    def connection(self):
        return UnixConnection(self.socket)

    def slots(self):
        return call(self.connection(), "GET", "/slots").json()

    def busy(self):
        return sum(slot["is_processing"] for slot in self.slots())

    def ask(self, body):
        return Stream(self.connection(), body).read_all()

    def guard(self):
        """Id of the process between node and engine."""
        return next(pid for pid in ancestors(self.pid) if is_guard(words_of(pid)))

    def freeze(self):
        os.kill(self.pid, signal.SIGSTOP)
        wait_until("the engine stands still", lambda: b"State:\tT" in read_proc(self.pid, "status"))

    def thaw(self):
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)


# --- the mesh


class Node:
    def __init__(self, mesh, name, config):
        self.mesh, self.name = mesh, name
        self.state, self.models = mesh.folder / name, mesh.folder / f"{name}.models"
        self.config = mesh.folder / f"{name}.yaml"
        self.config.write_text(json.dumps(config))
        self.key, self.daemon = None, None
        self.join = mesh.state / "local.token"  # None: it is a stranger, who knows the coordinator's key
        self.memory_limit = "4G"
        self.cgroup = None  # it runs in (tests/lib/cgroup.py)

    def start(self, link=None, words=()):
        """A stranger knocks and waits; `link`: dialled beside what the node remembers."""
        if self.join:
            words = ("--join", self.join, *words)
        else:
            words = ("--coordinator-key", self.mesh.folder / "coordinator.key", *words)
            link = link or self.mesh.link
        if link:
            words = ("--coordinator", link, *words)
        self.daemon = self.mesh.spawn(self.name, "modemesh-node", "--config", self.config, "--state", self.state,
                                      "--name", self.name, "--models", self.models, "--memory-limit", self.memory_limit,
                                      "--no-mdns", *words, before=self.cgroup.words() if self.cgroup else ())

    def status(self):
        """What the coordinator says of it, {} where it says nothing."""
        return next((node for node in self.mesh.status()["nodes"] if node["name"] == self.name), {})

    def model(self, name):
        return next((model for model in self.status().get("models", []) if model["name"] == name), {})

    def wait_resident(self, *names):
        for name in names:
            wait_until(lambda name=name: f"{self.name} serves {name}, now {self.status()}",
                       lambda name=name: self.model(name).get("state") == "resident")

    def wait_state(self, state):
        wait_until(lambda: f"{self.name} is {state}, now {self.status()}",
                   lambda: self.status().get("state") == state)

    def engine_pids(self):
        return [pid for pid in self.mesh.processes() if self.daemon.pid in ancestors(pid) and is_engine(words_of(pid))]

    def engine(self, model):
        """The running engine of a model; waits for it."""
        def find():
            engines = ((pid, words_of(pid)) for pid in self.engine_pids())
            return next((Engine(pid, words) for pid, words in engines
                         if any(word.endswith(f"/{model}.gguf") for word in words)), None)
        return wait_until(f"{self.name} has an engine for {model}", find)


def ancestors(pid):
    while pid := parent_of(pid):
        yield pid


def is_guard(words):
    return "guard" in words[1:2]


def is_engine(words):
    return "--host" in words and not is_guard(words)


class Mesh:
    """Use as a context manager. `modes` is {mode: [models]}, or {mode: {setting: value}}; `words` go to the coordinator."""

    def __init__(self, modes=None, words=()):
        self.words = words
        self.bin = pathlib.Path(os.environ["MODEMESH_BIN"])
        self.mark = f"MODEMESH_TEST={uuid.uuid4()}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mesh-"))
        (self.folder / "run").mkdir(mode=0o700)
        self.state, self.config = self.folder / "coordinator", self.folder / "coordinator.yaml"
        self.daemons, self.nodes = [], {}
        self.http = self.link = None
        self.coordinator = None
        self.write_modes(modes or {"ask": [FAST]})

    def __enter__(self):
        try:
            self.key = self.print_key("modemesh-coordinator", self.state)
            (self.folder / "coordinator.key").write_text(f"{self.key}\n")
            self.start_coordinator()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            self.shut_down(check=kind is None)
        except BaseException as late:
            kind = type(late)
            raise
        finally:
            if kind is not None:
                self.show_logs()
            shutil.rmtree(self.folder)

    def env(self):
        """The caller's, less the settings of a mesh of their own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MODEMESH_")}
        name, _, value = self.mark.partition("=")
        run = str(self.folder / "run")
        return {**kept, name: value, "XDG_RUNTIME_DIR": run, "TMPDIR": run,
                "MODEMESH_NODE_LOCAL_TOKEN": str(self.folder / "no.token")}

    def cli_env(self):
        return {**self.env(), "MODEMESH_COORDINATOR": f"http://{self.http}"}

    def owner_env(self):
        """Of who may run the mesh: by the Unix socket in the coordinator's state directory."""
        return {**self.env(), "MODEMESH_COORDINATOR_STATE": str(self.state)}

    # Daemons

    def spawn(self, name, program, *words, before=()):
        """`before`: the words of a command that becomes the program."""
        argv = [str(word) for word in (*before, self.bin / program, *words)]
        daemon = Daemon(name, argv, self.folder / f"{name}.log", self.env())
        self.daemons.append(daemon)
        return daemon

    def print_key(self, program, state):
        done = subprocess.run([self.bin / program, "--state", state, "--print-key"], env=self.env(), check=True,
                              capture_output=True, text=True, timeout=DEADLINE_S)
        return done.stdout.strip()

    def write_modes(self, modes):
        self.config.write_text(json.dumps({"modes": {
            name: told if isinstance(told, dict) else {"models": told} for name, told in modes.items()}}))

    def start_coordinator(self, *words):
        """A second start takes the addresses of the first."""
        addresses = [self.state / name for name in ("http.addr", "link.addr", "local.token")]
        for path in addresses:
            path.unlink(missing_ok=True)
        self.coordinator = self.spawn(
            "coordinator", "modemesh-coordinator", "--config", self.config, "--state", self.state, "--http",
            self.http or "127.0.0.1:0", "--link", self.link or "tcp://127.0.0.1:0", "--no-mdns", *self.words, *words)
        wait_until("the coordinator listens", lambda: self.coordinator_listens(addresses))
        self.http, self.link = (path.read_text().strip() for path in addresses[:2])

    def coordinator_listens(self, addresses):
        assert self.coordinator.alive(), "the coordinator ended"
        return all(path.exists() and path.read_text().endswith("\n") for path in addresses)

    def add_node(self, name, resident, available=(), slots=2, words=(), engines=("none",), trusted=True, start=True,
                 engine=None):
        """A node with these models; its engines can generate without end (see ENDLESS). `words` go to the engine, `engine`
        has more settings of it."""
        node = Node(self, name, {"resident": list(resident), "engines": list(engines), "engine": {
            "backend": "llama-server", "command": [os.environ["MODEMESH_LLAMA_SERVER"]],
            "extra-args": [*ENGINE_WORDS, *words], "slots": slots, "context": 1024, **(engine or {})}})
        node.models.mkdir()
        for model in (*resident, *available):
            shutil.copy(MODELS / f"{model}.gguf", node.models)
        node.key = self.print_key("modemesh-node", node.state)
        self.nodes[name] = node
        if not trusted:
            node.join = None
        if start:
            node.start()
            node.wait_resident(*resident)
        return node

    def pending(self):
        return self.owner_get("nodes")["pending"]

    def owner_get(self, what):
        done = subprocess.run([self.bin / "modemesh", what, "list", "--json"], env=self.owner_env(), check=True,
                              capture_output=True, text=True, timeout=DEADLINE_S)
        return json.loads(done.stdout)

    def owner(self, *words, input="", **env):
        """Runs `modemesh` as who may run the mesh; returns the finished process with its output as text."""
        return subprocess.run([self.bin / "modemesh", *words], env={**self.owner_env(), **env}, input=input,
                              capture_output=True, text=True, timeout=DEADLINE_S)

    def approve(self, node):
        """Waits until the node is pending and lets it in."""
        wait_until(lambda: f"{node.name} is pending, now {self.pending()}",
                   lambda: any(entry["key"] == node.key for entry in self.pending()))
        done = self.owner("nodes", "approve", "--name", node.name, "--yes", "--", node.key)
        assert done.returncode == 0, done.stderr

    # Requests

    def connection(self):
        host, _, port = self.http.rpartition(":")
        return http.client.HTTPConnection(host, int(port), timeout=DEADLINE_S)

    def get(self, path, headers=None):
        return call(self.connection(), "GET", path, headers=headers)

    def post(self, path, body, headers=None):
        return call(self.connection(), "POST", path, body, {"Content-Type": "application/json", **(headers or {})})

    def ask(self, model, text, **fields):
        return self.post("/v1/chat/completions", json.dumps(chat(model, text, **fields)))

    def stream(self, model, text, **fields):
        return Stream(self.connection(), chat(model, text, **fields))

    def status(self):
        return self.get("/mesh/v1/status").json()

    def running(self):
        """Requests that nodes work on."""
        return sum(node.get("requests", {}).get("running", 0) for node in self.status()["nodes"])

    def wait_running(self, count):
        wait_until(lambda: f"{count} requests run, now {self.running()}", lambda: self.running() == count)

    def queued(self):
        """Requests that no instance has yet."""
        return self.status()["queue"]["waiting"]

    def wait_queued(self, count):
        wait_until(lambda: f"{count} requests wait, now {self.queued()}", lambda: self.queued() == count)

    def cli(self, *words, input="", **env):
        """Runs `modemesh`; returns the finished process with its output as text."""
        return subprocess.run([self.bin / "modemesh", *words], env={**self.cli_env(), **env}, input=input,
                              capture_output=True, text=True, timeout=DEADLINE_S)

    def cli_start(self, *words):
        """Starts `modemesh` with pipes for its output; ends at the latest with the mesh."""
        return subprocess.Popen([self.bin / "modemesh", *words], env=self.cli_env(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    # The end

    def processes(self):
        """Ids of everything that this mesh has started, directly or not; zombies do not count."""
        mark = self.mark.encode()
        return [int(path.name) for path in pathlib.Path("/proc").iterdir()
                if path.name.isdigit() and mark in read_proc(path.name, "environ").split(b"\0")]

    def sockets(self):
        """Socket files, but the one that a killed coordinator could not remove and its next start replaces."""
        left = [path for path in self.folder.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]
        return [str(path) for path in left if path.name != "admin.sock" or not self.coordinator_was_killed()]

    def coordinator_was_killed(self):
        return self.coordinator.popen.poll() == -signal.SIGKILL

    def shut_down(self, check=True):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        killed = [daemon for daemon in self.daemons if daemon.popen.returncode is not None]
        try:
            statuses = {daemon.name: daemon.stop() for daemon in reversed(self.daemons) if daemon not in killed}
            if check:
                assert not any(statuses.values()), f"exit status {statuses}"
                wait_until(lambda: f"nothing runs, left: {[words_of(pid) for pid in self.processes()]}",
                           lambda: not self.processes())
                assert not self.sockets(), f"socket files are left: {self.sockets()}"
        finally:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def show_logs(self):
        for path in sorted(self.folder.glob("*.log")):
            print(f"# --- {path.name}")
            for line in path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]:
                print(f"# {line}")


def chat(model, text, **fields):
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def questions():
    """The first way to ask for each answer that every demo model has learnt by heart."""
    blocks = re.split(r"\n\s*\n", (REPO / "configs/demo/train/corpus.txt").read_text())
    asked = [re.findall(r"^Q: (.*)$", block, re.MULTILINE) for block in blocks if "\nM:" not in f"\n{block}"]
    return [ways[0] for ways in asked if ways]


# --- TAP


def run(*tests):
    """Runs each function as one TAP case and exits."""
    missing = [name for name in ("MODEMESH_BIN", "MODEMESH_LLAMA_SERVER") if not os.environ.get(name)]
    if missing:
        print(f"Bail out! {missing[0]} is not set")
        sys.exit(1)
    print(f"1..{len(tests)}")
    failures = sum(not run_one(number, test) for number, test in enumerate(tests, 1))
    sys.exit(1 if failures else 0)


def run_one(number, test):
    try:
        test()
    except unittest.SkipTest as why:
        print(f"ok {number} - {test.__name__} # SKIP {why}", flush=True)
        return True
    except Exception:  # every failure is a case that failed, and the next one runs
        for line in traceback.format_exc().splitlines():
            print(f"# {line}")
        print(f"not ok {number} - {test.__name__}", flush=True)
        return False
    print(f"ok {number} - {test.__name__}", flush=True)
    return True
