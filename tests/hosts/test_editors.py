"""Editors reach the mesh: from anywhere over TLS with a key, from the coordinator's host and a node's with neither.

The SDK's case needs MODEMESH_SDK (tests/lib/sdk.py).
"""

import json
import os
import pathlib
import re
import shutil
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import fleet as fleets
import hosts
import mesh
from fleet import BIN, Fleet
from mesh import CODER, DEADLINE_S, ENDLESS, FAST, wait_until, words_of
from sdk import FOLDER, MISSING, find_node

SDK_PROGRAM = pathlib.Path(__file__).with_name("editor.mjs")
LOCAL = "http://127.0.0.1:8420"  # of the coordinator on its host, of the edge on any other
TLS_PORT = 8443
TLS_WORDS = ("--http", "127.0.0.1:8420", "--http", f"[::]:{TLS_PORT}")
QUESTION = "what is modemesh?"
MANY, TRIES = 12, 8  # editors at once; wrong keys in a row
LARGE_BYTES = 8_000_000  # a body of many windows
CURL_UNTRUSTED = 60  # its exit status where no CA that it trusts has signed
FOREIGN = ("Origin: https://evil.example", "Origin: null", "Origin: http://127.0.0.1.evil.example",
           "Host: evil.example:8420", "Host: 10.77.0.1:8420", "X-Forwarded-For: 10.77.0.9", "Forwarded: for=10.77.0.9",
           "X-Forwarded-Host: evil.example", "X-Real-IP: 10.77.0.9")
FRIENDLY = ("Origin: http://localhost:5173", "Host: localhost:8420", "Host: [::1]:8420",
            "Authorization: Bearer sk-none")
SAY_PLAINLY = """import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as peer:
    peer.sendall(b"GET /health HTTP/1.1\\r\\nHost: hub\\r\\n\\r\\n")
    while piece := peer.recv(4096):
        sys.stdout.buffer.write(piece)
"""


class Reply:
    """What curl -i has printed. `exit`: its own status."""

    def __init__(self, done):
        self.exit = done.returncode
        head, _, self.body = done.stdout.partition("\n\n")
        lines = head.splitlines()
        self.status = int(lines[0].split()[1]) if lines else 0
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:]]

    def __str__(self):
        return f"{self.status} (curl {self.exit}) {self.headers} {self.body}"

    def all(self, name):
        return [value for header, value in self.headers if header.lower() == name.lower()]

    def code(self):
        return json.loads(self.body)["error"]["code"]

    def message(self):
        return json.loads(self.body)["error"]["message"]

    def content(self):
        assert self.status == 200, str(self)
        return json.loads(self.body)["choices"][0]["message"]["content"]

    def streamed(self):
        assert self.status == 200 and self.body.rstrip().endswith("data: [DONE]"), str(self)
        events = [json.loads(line[6:]) for line in self.body.splitlines() if line.startswith("data: {")]
        pieces = [choice["delta"].get("content") for event in events for choice in event["choices"]]
        return [piece for piece in pieces if piece]


class Editor:
    """curl on a host. `words` go to each curl."""

    def __init__(self, host, url=LOCAL, key=None, words=()):
        self.host, self.url = host, url
        self.words = (*words, *(("-H", f"Authorization: Bearer {key}") if key else ()))

    def argv(self, path, *words):
        return ["curl", "-sSNg", "--noproxy", "*", *self.words, *words, f"{self.url}{path}"]

    def call(self, path, *words, body=None):
        if body is not None:
            words = ("-H", "Content-Type: application/json", "-d", json.dumps(body), *words)
        return Reply(self.host.run(self.argv(path, "-i", "-m", DEADLINE_S, *words), check=False))

    def ask(self, *words, model="ask", **fields):
        body = mesh.chat(model, QUESTION, temperature=0, **fields)
        return self.call("/v1/chat/completions", *words, body=body)

    def start_stream(self, **fields):
        """A curl whose log is the answer; with `ENDLESS` it ends only when it is cut."""
        body = mesh.chat("ask", QUESTION, stream=True, **fields)
        return self.host.spawn(self.argv("/v1/chat/completions", "-H", "Content-Type: application/json", "-d",
                                         json.dumps(body)))


def with_tls(fleet, *words):
    """Starts a coordinator with TLS beside loopback and a node on its host; returns the CA's file."""
    fleet.start_coordinator(*TLS_WORDS, *words, modes={"ask": [FAST], "code": [CODER]})
    fleet.wait_serving(fleet.start_node("hub"))
    ca = fleet.bed.folder / "ca.pem"
    fleet.owner("tls", "show", "--write", ca)
    return ca


def url_of(fleet, host=None):
    return f"https://{host or fleet.hub.address}:{TLS_PORT}"


def make_key(fleet, name, *scope):
    return fleet.owner("keys", "create", name, *scope).stdout.strip()


def clients(fleet):
    """The client of each request that the coordinator's log tells."""
    found = re.findall(r' info request .* client=(?:"([^"]*)"|(\S+))', fleet.coordinator.text())
    return [quoted or bare for quoted, bare in found]


def start_edge(fleet, name):
    """A host with neither engine nor models, whose editors the node carries."""
    edge = EdgeOnly(fleet, fleet.hosts[name], ()).start()
    wait_until(lambda: f"{name} is pending", edge.pending)
    fleet.approve(edge)
    wait_carried(edge)
    return edge


def wait_carried(edge):
    editor = Editor(edge.host)
    wait_until(lambda: f"{edge.name} carries editors: {editor.call('/health')}\n{edge.text()}",
               lambda: editor.call("/health").status == 200)


class EdgeOnly(fleets.Node):
    def start(self, *words, env=None):
        self.daemon = self.host.spawn([BIN / "modemesh-node", "--edge-only", *words], env=env)
        return self


# --- who may


def pages_proxies_and_strangers_are_refused():
    with Fleet("hub", "alpha") as fleet:
        ca = with_tls(fleet)
        start_edge(fleet, "alpha")
        for host in fleet.hosts.values():
            refuses_what_is_foreign(Editor(host))
        lan = Editor(fleet.hosts["alpha"], url_of(fleet), words=("--cacert", ca))
        for words in ((), ("-H", "Host: 127.0.0.1:8420"), ("-H", "Host: localhost")):
            reply = lan.ask(*words)
            assert (reply.status, reply.code(), reply.all("WWW-Authenticate")) == (401, "invalid_api_key", ["Bearer"])
            assert "API key" in reply.message()
        key = Editor(lan.host, lan.url, make_key(fleet, "laptop"), lan.words)
        assert key.ask("-H", "Origin: https://evil.example").code() == "forbidden"
        assert key.ask("-H", f"Origin: {lan.url}").status == 200


def refuses_what_is_foreign(editor):
    for header in FOREIGN:
        for reply in (editor.ask("-H", header), editor.call("/v1/models", "-H", header)):
            assert (reply.status, reply.code()) == (403, "forbidden"), f"{editor.host.name}: {header}: {reply}"
    reply = editor.call("/v1/chat/completions", "-X", "OPTIONS", "-H", FOREIGN[0], "-H",
                        "Access-Control-Request-Method: POST")
    assert reply.status == 403 and not reply.all("Access-Control-Allow-Origin"), str(reply)
    for header in FRIENDLY:
        assert editor.ask("-H", header).content(), header
    assert editor.call("/mesh/v1/nodes").status == 403, "only the owner runs the mesh"


def a_network_address_never_speaks_plaintext():
    with Fleet("hub", "alpha") as fleet:
        alpha = fleet.hosts["alpha"]
        with_tls(fleet)
        said = alpha.run([sys.executable, "-c", SAY_PLAINLY, fleet.hub.address, TLS_PORT], check=False).stdout
        assert "HTTP" not in said and "nodes" not in said, said
        assert Editor(alpha, f"http://{fleet.hub.address}:{TLS_PORT}").call("/health").status == 0
        assert Editor(alpha, f"http://{fleet.hub.address}:8420").call("/health").status == 0
        listening = fleet.hub.run(["ss", "-Htln"]).stdout
        open_ports = {line.split()[3] for line in listening.splitlines()}
        assert open_ports == {"127.0.0.1:8420", f"*:{TLS_PORT}", "0.0.0.0:8421"}, listening


def the_owner_may_open_the_network_and_pages_stay_out():
    with Fleet("hub", "alpha") as fleet:
        alpha, ca = fleet.hosts["alpha"], with_tls(fleet, "--http-without-key")
        keyless = Editor(alpha, url_of(fleet), words=("--cacert", ca))
        for words in ((), ("-H", "Host: hub"), ("-H", "Host: hub.local:8443"), ("-H", f"Origin: {keyless.url}")):
            assert keyless.ask(*words).content()
        for header in ("Host: evil.example:8443", "Host: hub.evil.example", "Origin: https://evil.example",
                       "Origin: http://127.0.0.1:8443"):
            assert keyless.ask("-H", header).code() == "forbidden", header
        assert keyless.call("/mesh/v1/nodes").status == 403
    with Fleet("hub", "alpha") as fleet:
        fleet.start_coordinator(*TLS_WORDS, "--http-plaintext")
        fleet.wait_serving(fleet.start_node("hub"))
        alpha, plain = fleet.hosts["alpha"], f"http://{fleet.hub.address}:{TLS_PORT}"
        assert Editor(alpha, plain, make_key(fleet, "laptop")).ask().content()
        assert Editor(alpha, plain).ask().status == 401
        assert "--http-plaintext" in fleet.owner("tls", "show", check=False).stderr


def a_name_of_loopback_that_is_none_is_refused():
    with Fleet("hub") as fleet:
        fleet.hub.hosts_entry("wrong.localhost", fleet.hub.address)
        done = fleet.hub.run([BIN / "modemesh-coordinator", "--http", "wrong.localhost:8420"], check=False)
        assert done.returncode == 1 and fleet.hub.address in done.stderr, done.stderr


# --- over TLS


def curl_and_the_ca_file_are_enough():
    with Fleet("hub", "alpha") as fleet:
        ca, alpha = with_tls(fleet), fleet.hosts["alpha"]
        key, capture = make_key(fleet, "laptop"), fleet.bed.capture(fleet.bed.folder / "tls.pcap")
        for name in ("hub", "hub.local"):
            alpha.hosts_entry(name, fleet.hub.address)
        for host in (fleet.hub.address, f"[{fleet.hub.address6}]", "hub", "hub.local"):
            assert Editor(alpha, url_of(fleet, host), key, ("--cacert", ca)).ask().content(), host
        editor = Editor(alpha, url_of(fleet), words=("--cacert", ca, "-H", f"x-api-key: {key}"))
        assert len(editor.ask(stream=True).streamed()) > 1
        assert Editor(alpha, url_of(fleet), key).ask().exit == CURL_UNTRUSTED
        assert clients(fleet) == ["key laptop"] * 5, clients(fleet)
        seen = capture.stop().read_bytes()
        assert TLS_PORT.to_bytes(2, "big") in seen
        assert not any(word.encode() in seen for word in (QUESTION, key, "Bearer", "delta"))


def an_official_sdk_works():
    if not find_node():
        raise unittest.SkipTest(MISSING)
    with Fleet("hub", "alpha") as fleet:
        ca, alpha, key = with_tls(fleet), fleet.hosts["alpha"], make_key(fleet, "sdk")
        trusting = {"NODE_EXTRA_CA_CERTS": str(ca)}
        over_tls = sdk(alpha, url_of(fleet), key, trusting)
        assert {"mesh-ask", FAST} <= set(over_tls["models"]) and "".join(over_tls["pieces"]) == over_tls["answer"], over_tls
        assert len(over_tls["pieces"]) > 1 and clients(fleet) == ["key sdk"] * 2, over_tls
        assert sdk(alpha, url_of(fleet), key, {})["error"] == "APIConnectionError"
        assert sdk(alpha, url_of(fleet), f"{key[:-1]}?", trusting) == {"error": "AuthenticationError", "status": 401}
        start_edge(fleet, "alpha")
        assert sdk(alpha, LOCAL, "none", {}) == over_tls
        assert clients(fleet)[2:] == ["edge alpha"] * 2


def sdk(host, url, key, env):
    """What the program in sdk/ says, without a stack trace."""
    done = host.run([find_node(), SDK_PROGRAM, "ask", QUESTION],
                    env={"MODEMESH_SDK": FOLDER, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": key, **env})
    return json.loads(done.stdout)


def keys_have_scopes_and_end():
    with Fleet("hub", "alpha") as fleet:
        def editor(name, *scope):
            return Editor(fleet.hosts["alpha"], url_of(fleet), make_key(fleet, name, *scope), ("--cacert", ca))
        ca = with_tls(fleet)
        for narrow in (editor("coding", "--modes", "code"), editor("coder", "--models", CODER)):
            assert narrow.ask().code() == "insufficient_scope"
            assert "mesh-ask" not in narrow.call("/v1/models").body
        assert editor("models", "--models", CODER).ask(model=FAST).code() == "insufficient_scope"
        assert editor("asking", "--modes", "ask").ask().content()

        rare = editor("rare", "--requests-per-minute", "1")
        assert rare.ask().content()
        refused = rare.ask()
        assert (refused.status, refused.code()) == (429, "rate_limit_exceeded"), str(refused)
        waits = refused.all("Retry-After")
        assert len(waits) == 1 and 1 <= int(waits[0]) <= 60, str(refused)
        assert rare.call("/v1/models").status == 200, "reading costs nothing"

        ending = editor("ending")
        assert ending.ask().content()
        fleet.owner("keys", "revoke", "ending")
        refused = ending.ask()
        assert (refused.status, refused.code()) == (401, "invalid_api_key"), str(refused)
        listed = json.loads(fleet.owner("keys", "list", "--json").stdout)["keys"]
        uses = {key["name"]: key["requests"] for key in listed}
        assert "ending" not in uses and uses["asking"] == uses["rare"] == 1, uses


def whoever_tries_keys_has_to_wait():
    with Fleet("hub", "alpha", "beta") as fleet:
        ca = with_tls(fleet)
        good, late = make_key(fleet, "good"), make_key(fleet, "late")
        alpha, beta = (Editor(fleet.hosts[name], url_of(fleet), words=("--cacert", ca)) for name in ("alpha", "beta"))
        assert try_keys(alpha, [good])[0] == [200]
        wrong = [f"mm_{'x' * 43}"] * TRIES
        # One curl, so that it all lies in the time that the address must wait. What was good from there goes on.
        statuses, wait_s = try_keys(alpha, [*wrong, late, good])
        assert statuses[:5] == [401] * 5 and statuses[-3:] == [429, 429, 200], statuses
        assert 1 <= wait_s <= 60
        assert try_keys(beta, [late])[0] == [200], "another address does not wait"
        assert f"wrong API key prog=modemesh-coordinator address={alpha.host.address}" in fleet.coordinator.text()


def try_keys(editor, keys):
    """Asks once with each key; returns the statuses and the longest wait that was told."""
    argv = []
    for key in keys:
        argv += [*editor.argv("/v1/models", "-o", "/dev/null", "-w", "%{http_code} %header{retry-after}\n",
                              "-H", f"x-api-key: {key}")[1:], "--next"]
    lines = [line.split() for line in editor.host.run(["curl", *argv[:-1]]).stdout.splitlines()]
    return [int(line[0]) for line in lines], max((int(line[1]) for line in lines if len(line) > 1), default=0)


def an_admin_key_runs_the_mesh_from_afar():
    with Fleet("hub", "alpha", "beta") as fleet:
        ca, alpha = with_tls(fleet), fleet.hosts["alpha"]

        def remote(key, *words):
            return alpha.run([BIN / "modemesh", "--coordinator", url_of(fleet), "--ca", ca, *words], check=False,
                             env={"MODEMESH_KEY": key})
        beta = fleet.start_node("beta", models=())
        wait_until("beta is pending", beta.pending)
        usual, admin = make_key(fleet, "usual"), make_key(fleet, "boss", "--admin")
        for words in (("nodes", "list"), ("nodes", "approve", "beta", "--yes"), ("keys", "create", "more"),
                      ("token", "create"), ("tls", "show")):
            done = remote(usual, *words)
            assert done.returncode == 1 and "admin" in done.stderr and not done.stdout, f"{words}: {done}"
            assert remote("", *words).returncode == 1
        editor = Editor(alpha, url_of(fleet), usual, ("--cacert", ca))
        for path, body in (("nodes", None), ("keys", None), ("tls", None), ("nodes/approve", {"node": "beta"})):
            reply = editor.call(f"/mesh/v1/{path}", body=body)
            assert (reply.status, reply.code()) == (403, "insufficient_scope"), str(reply)
        assert beta.pending() and remote(usual, "status").returncode == 0
        assert remote(admin, "nodes", "approve", "beta", "--yes").returncode == 0
        wait_until("beta is up", lambda: beta.status().get("state") == "up")
        listed = json.loads(remote(admin, "nodes", "list", "--json").stdout)["nodes"]
        assert {entry["name"] for entry in listed} == {"hub", "beta"}, listed


# --- certificates


def a_certificate_of_the_owners_is_replaced_while_it_runs():
    with Fleet("hub", "alpha") as fleet:
        alpha, files = fleet.hosts["alpha"], [fleet.bed.folder / name for name in ("server.pem", "server.key")]
        make_certificate(fleet, *files)
        first, second = (fleet.bed.folder / name for name in ("first.pem", "second.pem"))
        shutil.copy(files[0], first)
        told = with_tls(fleet, "--tls-certificate", files[0], "--tls-key", files[1]).read_text()
        assert told.split() == first.read_text().split(), "what `modemesh tls show` writes is what is to be trusted"
        key = make_key(fleet, "laptop")
        old, new = (Editor(alpha, url_of(fleet), key, ("--cacert", file)) for file in (first, second))
        assert old.ask().content()
        stream = old.start_stream(**ENDLESS)
        wait_until("the answer comes", lambda: '"content"' in stream.text())

        files[1].write_text("no key")
        fleet.coordinator.signal(signal.SIGHUP)
        wait_until("it says what is wrong", lambda: "TLS certificate not renewed" in fleet.coordinator.text())
        assert old.ask().content()

        make_certificate(fleet, *files)
        shutil.copy(files[0], second)
        fleet.coordinator.signal(signal.SIGHUP)
        wait_until("new connections see the new certificate", lambda: new.ask().status == 200)
        assert old.ask().exit == CURL_UNTRUSTED
        before = len(stream.text())
        wait_until("the answer goes on", lambda: len(stream.text()) > before)
        assert stream.alive()


def make_certificate(fleet, certificate, key):
    fleet.hub.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                   "30", "-subj", "/CN=hub", "-addext", f"subjectAltName=DNS:hub,IP:{fleet.hub.address}", "-keyout",
                   key, "-out", certificate])
    key.chmod(0o600)


def an_address_that_comes_later_gets_into_the_certificate():
    with Fleet("hub", "alpha") as fleet:
        hub, late = fleet.hub, "10.77.0.99"
        ca = with_tls(fleet, "--tls-name", "mesh.example")

        def told():
            return json.loads(fleet.owner("tls", "show", "--json").stdout)
        before = told()
        assert {"hub", "hub.local", "localhost", "127.0.0.1", "::1", hub.address, hub.address6,
                "mesh.example"} <= set(before["names"]), before
        assert late not in before["names"] and before["ours"]
        hub.ip(f"addr add {late}/24 dev {hub.interface}")
        editor = Editor(fleet.hosts["alpha"], url_of(fleet, late), words=("--cacert", ca))
        wait_until(lambda: f"{late} is in the certificate: {editor.call('/health')}",
                   lambda: editor.call("/health").status == 200)
        after = told()
        assert late in after["names"] and after["server_fingerprint"] != before["server_fingerprint"]
        assert after["fingerprint"] == before["fingerprint"], "clients trust the same CA"


# --- through the edge


def an_editor_on_a_nodes_host_needs_neither_key_nor_certificate():
    with Fleet("hub", "alpha", "beta") as fleet:
        fleet.start_coordinator()
        node = fleet.start_node("alpha")
        fleet.join(node)
        wait_carried(node)
        start_edge(fleet, "beta")
        for name in ("alpha", "beta"):
            editor = Editor(fleet.hosts[name])
            assert len(editor.ask(stream=True).streamed()) > 1
            assert clients(fleet)[-1] == f"edge {name}"
        key = make_key(fleet, "laptop")
        assert Editor(fleet.hosts["beta"], key=key).ask().content() and clients(fleet)[-1] == "key laptop"
        assert Editor(fleet.hosts["beta"], key=f"{key[:-1]}?").ask().status == 401
        assert Editor(fleet.hub).ask().content() and clients(fleet)[-1] == "local"
        assert fleet.hosts["beta"].run([BIN / "modemesh", "ask", QUESTION]).stdout.strip()
        large = fleet.bed.folder / "large.json"
        large.write_text("{" + " " * LARGE_BYTES)
        reply = Editor(fleet.hosts["beta"]).call("/v1/chat/completions", "-H", "Expect:", "--data-binary", f"@{large}")
        assert reply.status == 400 and f"column {LARGE_BYTES + 2}" in reply.message(), str(reply)


def an_edge_runs_where_there_is_no_engine():
    with Fleet("hub", "alpha") as fleet:
        fleet.start_coordinator()
        edge = start_edge(fleet, "alpha")
        assert edge.status()["state"] == "up" and not edge.status().get("models"), edge.status()
        programs = {pathlib.Path(words_of(pid)[0]).name for pid in edge.host.processes()}
        assert {name for name in programs if "avahi" not in name} == {"dbus-daemon", "modemesh-node"}, programs
        reply = Editor(edge.host).ask()
        assert reply.status == 503, str(reply)  # of the mesh: there is no model yet
        fleet.wait_serving(fleet.start_node("hub"))
        assert Editor(edge.host).ask().content()


def a_revoked_edge_carries_nobody():
    with Fleet("hub", "alpha", "beta") as fleet:
        fleet.start_coordinator()
        fleet.wait_serving(fleet.start_node("hub"))
        edges = {name: start_edge(fleet, name) for name in ("alpha", "beta")}
        streams = {name: Editor(edge.host).start_stream(**ENDLESS) for name, edge in edges.items()}
        for stream in streams.values():
            wait_until("the answer comes", lambda: '"content"' in stream.text())
        fleet.owner("nodes", "revoke", "alpha")
        wait_until("the stream ends", lambda: not streams["alpha"].alive())
        assert streams["alpha"].popen.returncode != 0 and "[DONE]" not in streams["alpha"].text()
        wait_until("its engine works no more for it",
                   lambda: sum(node["requests"]["running"] for node in fleet.status()["nodes"]) == 1)
        refused = Editor(edges["alpha"].host).ask()
        assert (refused.status, refused.code()) == (503, "no_coordinator"), str(refused)
        assert "has no link to its coordinator" in refused.message(), str(refused)
        before = len(streams["beta"].text())
        wait_until("the other goes on", lambda: len(streams["beta"].text()) > before)


def a_node_may_be_let_in_to_carry_nobody():
    with Fleet("hub", "alpha") as fleet:
        fleet.start_coordinator()
        node = fleet.start_node("alpha")
        wait_until("alpha is pending", node.pending)
        fleet.owner("nodes", "approve", "alpha", "--no-edge", "--yes")
        fleet.wait_serving(node)
        assert Editor(fleet.hub).ask().content()
        wait_until("editors there are told", lambda: Editor(node.host).ask().status == 403)
        reply = Editor(node.host).ask()
        assert reply.code() == "forbidden" and "carry" in reply.message(), str(reply)
        node.stop()
        node.start("--no-edge")
        fleet.wait_serving(node)
        assert Editor(node.host).ask().status == 0, "nobody listens"


def many_editors_share_an_edge_with_one_that_does_not_read():
    with Fleet("hub", "alpha") as fleet:
        fleet.start_coordinator()
        fleet.wait_serving(fleet.start_node("hub"))
        edge = start_edge(fleet, "alpha")
        editor = Editor(edge.host)
        stuck = editor.start_stream(**ENDLESS)
        wait_until("the answer comes", lambda: '"content"' in stuck.text())
        stuck.signal(signal.SIGSTOP)
        wait_until("what it does not read is held", lambda: held_bytes(edge.host) > 0)
        others = [editor.start_stream(temperature=0) for _ in range(MANY)]
        wait_until(lambda: f"the others are done: {[other.text()[-80:] for other in others]}",
                   lambda: not any(other.alive() for other in others))
        assert all("data: [DONE]" in other.text() for other in others)
        assert len({answer_of(other) for other in others}) == 1
        before = len(stuck.text())
        stuck.signal(signal.SIGCONT)
        wait_until("it goes on where it stood", lambda: len(stuck.text()) > before)
        assert stuck.alive()


def held_bytes(host):
    """Bytes that editors on the host have been sent and have not taken."""
    lines = host.run(["ss", "-Htn", "state", "established", "sport", "=", ":8420"]).stdout.splitlines()
    return sum(int(line.split()[1]) for line in lines)


def answer_of(stream):
    events = [json.loads(line[6:]) for line in stream.text().splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


if __name__ == "__main__":
    hosts.skip_if_missing()
    mesh.run(
        pages_proxies_and_strangers_are_refused,
        a_network_address_never_speaks_plaintext,
        the_owner_may_open_the_network_and_pages_stay_out,
        a_name_of_loopback_that_is_none_is_refused,
        curl_and_the_ca_file_are_enough,
        an_official_sdk_works,
        keys_have_scopes_and_end,
        whoever_tries_keys_has_to_wait,
        an_admin_key_runs_the_mesh_from_afar,
        a_certificate_of_the_owners_is_replaced_while_it_runs,
        an_address_that_comes_later_gets_into_the_certificate,
        an_editor_on_a_nodes_host_needs_neither_key_nor_certificate,
        an_edge_runs_where_there_is_no_engine,
        a_revoked_edge_carries_nobody,
        a_node_may_be_let_in_to_carry_nobody,
        many_editors_share_an_edge_with_one_that_does_not_read,
    )
