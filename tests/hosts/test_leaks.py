"""Secrets stay where they are kept: no log, no command line, no environment and no core dump has one."""

import base64
import json
import os
import pathlib
import re
import signal
import stat
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import hosts
import mesh
from fleet import BIN, Fleet
from mesh import FAST, is_engine, is_guard, read_proc, wait_until, words_of

HUB_URL = "https://10.77.0.1:8443"
QUESTION = "what is modemesh?"
JOINERS = ("alpha", "beta", "gamma")  # by a token on the command line, in the environment, in a file
SECRET_FILES = ("link.key", "link.key.next", "mesh.key", "tls/ca.key", "tls/server.key", "local.token")
TOKEN_SECRET = slice(73, 105)  # of a join token's bytes: see common/trust/join_token.h
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
WORD_MIN = 32  # letters: shorter ones may be in a text by chance


# --- what is secret, and how it may be written


def z85_bytes(text):
    number = (sum(Z85.index(letter) * 85 ** (4 - at) for at, letter in enumerate(text[five:five + 5]))
              for five in range(0, len(text), 5))
    return b"".join(value.to_bytes(4, "big") for value in number)


def z85_text(raw):
    words = (int.from_bytes(raw[at:at + 4], "big") for at in range(0, len(raw), 4))
    return "".join(Z85[word // 85 ** power % 85] for word in words for power in (4, 3, 2, 1, 0))


def base64_bytes(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def forms(raw):
    """Bytes as programs write them."""
    codes = (raw.hex(), raw.hex().upper(), base64.b64encode(raw).decode().rstrip("="),
             base64.urlsafe_b64encode(raw).decode().rstrip("="))
    return {*codes, *((z85_text(raw),) if len(raw) == 32 else ())}


def of_text(text, raw):
    """A secret that is passed as text: as it is, in base64 (as HTTP's Basic has it), and what it stands for."""
    return {text, *forms(text.encode()), *forms(raw)}


def of_token(text):
    raw = base64_bytes(text.removeprefix("mmj_"))
    return {text, *forms(text.encode()), *forms(raw[TOKEN_SECRET])}


def of_key_file(text):
    """Of what stands in a file: a link key in Z85, the mesh's seed in base64url, a join token, or PEM."""
    if "PRIVATE KEY" in text:
        return {line for line in text.splitlines() if len(line) >= WORD_MIN and not line.startswith("-")}
    text = text.strip()
    if text.startswith("mmj_"):
        return of_token(text)
    return of_text(text, z85_bytes(text) if len(text) == 40 else base64_bytes(text))


def state_of(host, program):
    """The daemon's state directory, seen from outside of the host."""
    return pathlib.Path("/proc", str(host.namespace.pid), "root/var/lib", program)


def files_of(state):
    return [path for path in state.rglob("*") if path.is_file()]


def secrets_in(state):
    found = [state / name for name in SECRET_FILES if (state / name).exists()]
    assert state / "link.key" in found, files_of(state)
    return {word for path in found for word in of_key_file(path.read_text())}


def assert_absent(secrets, text, where):
    assert all(len(secret) >= WORD_MIN for secret in secrets)
    found = [secret for secret in secrets if secret in text]
    assert not found, f"{where} has {[secret[:8] for secret in found]}…"


# --- where it may not be


def assert_dumps_nothing(pid):
    limits = read_proc(pid, "limits").decode().splitlines()
    core = next(line for line in limits if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"], f"{words_of(pid)}: {core}"


def assert_clean(pid, secrets):
    for name in ("cmdline", "environ"):
        text = read_proc(pid, name).decode(errors="replace")
        assert text, f"/proc/{pid}/{name} cannot be read"
        assert_absent(secrets, text, f"/proc/{pid}/{name} ({words_of(pid)[:2]})")
    assert_dumps_nothing(pid)


def assert_private(state):
    for path in (state, *state.rglob("*")):
        mode = path.lstat().st_mode
        wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
        assert stat.S_IMODE(mode) == wanted, f"{path}: {oct(mode)}"


class World:
    """A fleet that has gone every way on which a secret is handled: three ways to join, keys, TLS."""

    def __init__(self, fleet):
        self.fleet, self.hub = fleet, fleet.hub
        fleet.start_coordinator("--http", "127.0.0.1:8420", "--http", "[::]:8443", "--log-level", "debug")
        self.ca = fleet.bed.folder / "ca.pem"
        fleet.owner("tls", "show", "--write", self.ca)
        self.tokens = [fleet.owner("token", "create").stdout.strip() for _ in JOINERS]
        self.keys = [fleet.owner("keys", "create", name, *words).stdout.strip()
                     for name, *words in (("laptop",), ("boss", "--admin"), ("gone",))]
        self.nodes = [fleet.start_node("hub", "--log-level", "debug"), *self.start_joiners()]
        for node in self.nodes:
            fleet.wait_serving(node)

    def start_joiners(self):
        def start(name, *words, env=None):
            return self.fleet.start_node(name, "--log-level", "debug", *words, env=env)
        file = self.fleet.bed.folder / "join.token"
        file.write_text(self.tokens[2])
        file.chmod(0o600)
        return [start("alpha", f"--join={self.tokens[0]}"), start("beta", env={"MODEMESH_JOIN": self.tokens[1]}),
                start("gamma", "--join", file)]

    def states(self):
        return [state_of(self.hub, "modemesh-coordinator"),
                *(state_of(node.host, "modemesh-node") for node in self.nodes)]

    def secrets(self):
        words = set().union(*(secrets_in(state) for state in self.states()), *(of_token(text) for text in self.tokens))
        return words.union(*(of_text(text, base64_bytes(text.removeprefix("mm_"))) for text in self.keys))

    def daemons(self):
        return [self.fleet.coordinator, *(node.daemon for node in self.nodes)]

    def engines(self):
        """Ids of all engines and their guards."""
        pids = [pid for host in self.fleet.hosts.values() for pid in host.processes()]
        guards = [pid for pid in pids if is_guard(words_of(pid))]
        engines = [pid for pid in pids if is_engine(words_of(pid))]
        assert len(guards) == len(engines) == len(self.nodes)
        return guards + engines

    def remote(self, key, *words, check=True, flag=False):
        words = ("--key", key, *words) if flag else words
        return self.hub.run(self.command(*words), env={} if flag else {"MODEMESH_KEY": key}, check=check)

    def command(self, *words):
        return [BIN / "modemesh", "--coordinator", HUB_URL, "--ca", self.ca, *words]

    def use_everything(self):
        """Each key in each way, also wrong ones; tokens too late and mistyped; returns all that the CLI printed."""
        laptop, boss, gone = self.keys
        done = [self.remote(laptop, "ask", QUESTION), self.remote(laptop, "status", "--json", flag=True),
                self.remote(boss, "nodes", "list", "--json"), self.remote(boss, "keys", "list", "--json", flag=True),
                self.remote(boss, "token", "list", "--json"), self.remote(boss, "tls", "show", "--json"),
                self.remote(gone, "models"), self.fleet.owner("keys", "revoke", "gone"),
                self.remote(gone, "models", check=False), self.remote(laptop, "keys", "revoke", boss, check=False),
                self.remote(boss, "token", "revoke", self.tokens[0], check=False),
                self.hub.run([BIN / "modemesh-node", "--join", f"{self.tokens[0]}x", "--state", "/run/late"],
                             check=False)]
        for words in (("-H", f"Authorization: Bearer {laptop}"), ("-H", f"x-api-key: {laptop}"),
                      ("-H", f"Authorization: Bearer {laptop}x"), ("-H", f"Authorization: Basic {laptop}")):
            self.fleet.ask(url=HUB_URL, words=("--cacert", self.ca, *words))
        return "".join(each.stdout + each.stderr for each in done)


def no_secret_is_in_a_log_or_seen_in_proc():
    with Fleet("hub", *JOINERS) as fleet:
        world = World(fleet)
        said = world.use_everything()
        secrets = world.secrets()
        for daemon in world.daemons():
            assert_clean(daemon.pid, secrets)
        for pid in world.engines():
            assert_clean(pid, secrets)
        for daemon in world.daemons():
            daemon.signal(signal.SIGHUP)
        wait_until("settings are read again", lambda: "settings reloaded" in fleet.coordinator.text())
        assert fleet.ask()[0] == 200
        assert not re.search(r"mmj?_[\w-]{8}", said), said
        assert_absent(secrets | world.secrets(), said, "what the CLI said")
        for daemon in reversed(world.daemons()):
            assert daemon.stop() == 0
            assert_absent(secrets, daemon.text(), f"the log of {daemon.name}")


def the_command_hides_its_key():
    with Fleet("hub") as fleet:
        fleet.start_coordinator("--http", "127.0.0.1:8420", "--http", "[::]:8443")
        ca, key = fleet.bed.folder / "ca.pem", fleet.owner("keys", "create", "boss", "--admin").stdout.strip()
        fleet.owner("tls", "show", "--write", ca)
        fleet.coordinator.signal(signal.SIGSTOP)  # each of them waits for an answer
        words = [BIN / "modemesh", "--coordinator", HUB_URL, "--ca", ca]
        commands = [fleet.hub.spawn([*words, "--key", key, "status"]),
                    fleet.hub.spawn([*words, f"--key={key}", "status"]),
                    fleet.hub.spawn([*words, "status"], env={"MODEMESH_KEY": key})]
        for command in commands:
            wait_until(lambda: f"it has connected: {command.text()}", lambda: has_socket(command.pid))
            assert_clean(command.pid, of_text(key, base64_bytes(key.removeprefix("mm_"))))
        fleet.coordinator.signal(signal.SIGCONT)
        assert [command.popen.wait(mesh.DEADLINE_S) for command in commands] == [0, 0, 0]


def has_socket(pid):
    try:
        return any(os.readlink(path).startswith("socket:") for path in pathlib.Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:  # one that was closed meanwhile
        return False


def state_is_for_its_owner_only():
    with Fleet("hub", *JOINERS) as fleet:
        world = World(fleet)
        world.use_everything()
        for state in world.states():
            assert_private(state)
        hub = world.states()[0]
        names = {str(path.relative_to(hub)) for path in files_of(hub)}
        assert set(SECRET_FILES) | {"api-keys.json", "tokens.json", "members.json"} <= names, names
        keys = {entry["name"]: entry for entry in json.loads((hub / "api-keys.json").read_text())["keys"]}
        assert set(keys) == {"laptop", "boss"} and all(len(entry["hash"]) == 64 for entry in keys.values()), keys
        for path in files_of(hub):
            kept = secrets_in(hub) if str(path.relative_to(hub)) in SECRET_FILES else set()
            assert_absent(world.secrets() - kept, path.read_bytes().decode("latin-1"), path)  # the ledger is no text
        for node, state in zip(world.nodes, world.states()[1:], strict=True):
            assert_absent(world.secrets() - secrets_in(state), (state / "membership.json").read_text(), node.name)


if __name__ == "__main__":
    hosts.skip_if_missing()
    mesh.run(
        no_secret_is_in_a_log_or_seen_in_proc,
        the_command_hides_its_key,
        state_is_for_its_owner_only,
    )
