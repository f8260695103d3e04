"""What must not leak, and who must not get in."""

import pathlib
import select
import signal
import socket
import stat
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import FAST, Mesh, wait_until

REFUSALS = 5  # tries of a stranger to wait for
QUESTION = "is xylophone-4711 a secret word?"


class CountingProxy:
    """Carries TCP connections to `target` ("tcp://ADDR:PORT") and counts them."""

    def __init__(self, target):
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self.target, self.count = (host.strip("[]"), int(port)), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.link = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            near = self.listener.accept()[0]
            self.count += 1
            threading.Thread(target=self.carry, args=(near,), daemon=True).start()

    def carry(self, near):
        with near, socket.create_connection(self.target) as far:
            peers = {near: far, far: near}
            while True:
                for ready in select.select(list(peers), [], [])[0]:
                    try:
                        data = ready.recv(65536)
                        peers[ready].sendall(data)
                    except OSError:
                        return
                    if not data:
                        return


def secrets_of(state, public):
    """The words of a key file that are no public key."""
    words = (state / "link.key").read_text().split()
    found = [word for word in words if len(word) >= 32 and word != public]
    assert found, f"no secret key in {state}/link.key"
    return found


def assert_private(state):
    assert stat.S_IMODE(state.stat().st_mode) == 0o700, f"{state}: {oct(state.stat().st_mode)}"
    for path in state.rglob("*"):
        mode = path.lstat().st_mode
        wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
        assert stat.S_ISSOCK(mode) or stat.S_IMODE(mode) & ~wanted == 0, f"{path}: {oct(mode)}"


def state_is_private_and_secrets_stay_in_it():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST])
        cluster.ask("ask", QUESTION, temperature=0)
        node.daemon.signal(signal.SIGHUP)
        cluster.coordinator.signal(signal.SIGHUP)
        said = [cluster.get("/mesh/v1/status").body.decode(), cluster.get("/v1/models").body.decode(),
                *(cluster.cli(*words).stdout for words in (["status"], ["status", "--json"], ["models"], ["modes"]))]
        said += [" ".join(mesh.words_of(pid)) for pid in cluster.processes()]
        assert_private(cluster.state)
        assert_private(node.state)
        assert node.daemon.stop() == 0 and cluster.coordinator.stop() == 0
        said += [node.daemon.text(), cluster.coordinator.text()]
        for secret in (*secrets_of(cluster.state, cluster.key), *secrets_of(node.state, node.key), "xylophone"):
            assert not any(secret in text for text in said), f"{secret[:4]}… was printed"


def a_key_that_others_can_read_is_refused():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [], start=False)
        (node.state / "link.key").chmod(0o644)
        node.start()
        status = wait_until("the node ends", lambda: None if node.daemon.alive() else (node.daemon.popen.wait(),))
        assert status != (0,) and "link.key" in node.daemon.text(), node.daemon.text()


def strangers_get_nowhere_and_are_logged_once():
    with Mesh({"ask": [FAST]}) as cluster:
        proxies = {name: CountingProxy(cluster.link) for name in ("stranger1", "stranger2")}
        strangers = [cluster.add_node(name, [FAST], trusted=False, start=False) for name in proxies]
        for stranger in strangers:
            stranger.start(proxies[stranger.name].link)
        wait_until(lambda: f"each has tried {REFUSALS} times, now {[proxy.count for proxy in proxies.values()]}",
                   lambda: all(proxy.count >= REFUSALS for proxy in proxies.values()))
        assert cluster.status()["nodes"] == [] and cluster.get("/health").json()["nodes"] == 0
        assert cluster.ask("ask", "hello").status == 503
        for stranger in strangers:
            lines = [line for line in cluster.coordinator.text().splitlines() if stranger.key in line]
            assert len(lines) == 1, lines
            phrase = next(entry["phrase"] for entry in cluster.pending() if entry["key"] == stranger.key)
            assert f"modemesh nodes approve {stranger.name} --phrase {phrase}" in stranger.daemon.text()

        cluster.approve(strangers[0])
        strangers[0].wait_resident(FAST)
        assert cluster.ask("ask", "hello", temperature=0).content()
        assert strangers[1].status() == {}


def a_node_talks_to_its_own_coordinator_only():
    with Mesh({"ask": [FAST]}) as cluster, Mesh({"ask": [FAST]}) as other:
        proxy = CountingProxy(other.link)
        node = cluster.add_node("halo1", [FAST])
        node.daemon.stop()
        cluster.coordinator.stop()
        node.start(proxy.link)
        wait_until(lambda: f"the node has tried {REFUSALS} times, now {proxy.count}", lambda: proxy.count >= REFUSALS)
        assert other.status()["nodes"] == [] and other.pending() == [], "its own coordinator's key was not asked for"


if __name__ == "__main__":
    mesh.run(
        state_is_private_and_secrets_stay_in_it,
        a_key_that_others_can_read_is_refused,
        strangers_get_nowhere_and_are_logged_once,
        a_node_talks_to_its_own_coordinator_only,
    )
