"""Who must not get in: each is refused, counted, told once in the log, and the mesh serves on."""

import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import hosts
import mesh
from fleet import BIN, Fleet
from mesh import wait_until

LINK_PORT = 8421
TRIES = 3
CERTIFIED_S = 3600
READY = b"\5READY"  # CurveZMQ's answer to who has proved its key and may come in
COORDINATOR, NODE = "/var/lib/modemesh-coordinator", "/var/lib/modemesh-node"
MEMBERSHIP = "10s"  # the shortest there is

# The crowd. The limits are those of coordinator/trust/pending.h and told.h.
STRANGERS, ADDRESSES, FIRST_STRANGERS = 10_000, 40, 1000
SHARE = STRANGERS // ADDRESSES
PENDING_MAX, PENDING_PER_ADDRESS_MAX, PENDING_NEW_PER_MINUTE, TOLD_LINES_PER_MINUTE = 256, 8, 120, 20
GROWTH_MAX_KIB = 6144  # of the coordinator while all of them knock: 600 bytes of each

# What AddressSanitizer keeps of freed memory would hide whether we keep any.
os.environ["ASAN_OPTIONS"] = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=1",
                                                    "thread_local_quarantine_size_kb=16")))

# Carries connections to a coordinator and keeps what was said, one file for each connection and side.
RECORDER = """
import pathlib, socket, sys, threading
target, folder = (sys.argv[1], int(sys.argv[2])), pathlib.Path(sys.argv[3])
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
def carry(here, there, path):
    with open(path, "wb", 0) as file:
        try:
            while data := here.recv(65536):
                file.write(data)
                there.sendall(data)
            there.shutdown(socket.SHUT_WR)
        except OSError:
            pass
number = 0
while True:
    near, far = listener.accept()[0], socket.create_connection(target)
    number += 1
    for here, there, side in ((near, far, "node"), (far, near, "coordinator")):
        threading.Thread(target=carry, args=(here, there, folder / f"{number}.{side}"), daemon=True).start()
"""
# Says what a file holds; prints what comes back, in hexadecimal, until the other side hangs up.
REPLAYER = """
import socket, sys
heard = b""
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as peer:
    try:
        peer.sendall(open(sys.argv[3], "rb").read())
        while data := peer.recv(65536):
            heard += data
    except ConnectionError:
        pass
print(heard.hex())
"""


class Liar:
    """hostile-node on a host; each call returns the line that it prints."""

    def __init__(self, fleet, host):
        self.fleet, self.host = fleet, host
        self.link = f"tcp://{fleet.hub.address}:{LINK_PORT}"
        self.key = coordinator_key(fleet)

    def run(self, *words):
        return self.host.run([BIN / "hostile-node", *words]).stdout.strip()

    def knock(self, count=1):
        return self.run("knock", self.link, self.key, count)

    def hello(self, key_file, name, *certificate):
        return self.run("hello", self.link, self.key, key_file, name, *certificate)


def coordinator_key(fleet):
    return fleet.hub.run([BIN / "modemesh-coordinator", "--print-key"]).stdout.strip()


def certify(host, seed_file, key, name):
    return host.run([BIN / "hostile-node", "certify", seed_file, key, name, CERTIFIED_S]).stdout.strip()


def refused(fleet, kind):
    return fleet.nodes()["refused"][kind]


def lines(fleet, *words):
    return [line for line in fleet.coordinator.text().splitlines() if all(word in line for word in words)]


def assert_refused(fleet, kind, address, said, act):
    """Whoever tries it some times is told so each time, counted each time, and logged once."""
    before = refused(fleet, kind)
    for _ in range(TRIES):
        answer = act()
        assert answer == said, f"{kind}: {answer}"
    assert refused(fleet, kind) >= before + TRIES, fleet.nodes()["refused"]
    logged = lines(fleet, "node refused", f"kind={kind}", f"address={address} ")
    assert len(logged) == 1, logged
    assert_serves(fleet)


def assert_serves(fleet):
    status, body = fleet.ask()
    assert status == 200, body


# --- one by one


def start_two(fleet, *words):
    """A coordinator and two members."""
    fleet.start_coordinator(*words)
    nodes = [fleet.start_node(name) for name in ("alpha", "beta")]
    for node in nodes:
        fleet.join(node)
    return nodes


def a_stranger_is_pending_and_no_more():
    with Fleet("hub", "alpha", "mallory") as fleet:
        fleet.start_coordinator()
        fleet.join(fleet.start_node("alpha"))
        mallory = fleet.hosts["mallory"]
        liar = Liar(fleet, mallory)
        assert_refused(fleet, "stranger", mallory.address, "refused",
                       lambda: liar.hello("/run/home/link.key", "mallory"))
        assert [entry["address"] for entry in fleet.nodes()["pending"]] == [mallory.address]
        assert fleet.nodes()["pending"][0]["knocks"] == TRIES
        assert [node["name"] for node in fleet.status()["nodes"]] == ["alpha"]


def certificates_that_do_not_fit_are_refused():
    """With the link key of a member, stolen as it were, while that one is away."""
    with Fleet("hub", "alpha", "beta") as fleet:
        alpha, beta = start_two(fleet)
        key, other_key = alpha.key(), beta.key()
        alpha.stop()
        here = alpha.host
        liar = Liar(fleet, here)
        sound = certify(fleet.hub, f"{COORDINATOR}/mesh.key", key, "alpha")
        foreign = certify(here, "/run/home/mesh.key", key, "alpha")
        of_another = certify(fleet.hub, f"{COORDINATOR}/mesh.key", other_key, "alpha")

        def hello(name, certificate):
            return lambda: liar.hello(f"{NODE}/link.key", name, certificate)

        answer = hello("alpha", sound)()
        assert answer == "welcome", f"else nothing of this proves anything: {answer}"
        assert_refused(fleet, "foreign_mesh", here.address, "refuse foreign_mesh", hello("alpha", foreign))
        assert_refused(fleet, "bad_certificate", here.address, "refuse bad_certificate", hello("alpha", of_another))
        before = refused(fleet, "bad_certificate")
        assert hello("alpha", "AAAA")() == hello("alpha", sound[:-4] + "AAAA")() == "refuse bad_certificate"
        assert refused(fleet, "bad_certificate") == before + 2
        assert_refused(fleet, "others_name", here.address, "refuse name_taken", hello("beta", sound))
        assert beta.status()["state"] == "up"


def who_is_revoked_stays_out():
    with Fleet("hub", "alpha", "beta") as fleet:
        start_two(fleet)
        fleet.owner("nodes", "revoke", "alpha")
        wait_until("it has tried to come back", lambda: refused(fleet, "revoked") >= TRIES)
        assert len(lines(fleet, "kind=revoked")) == 1
        states = {entry["name"]: entry["state"] for entry in fleet.nodes()["nodes"]}
        assert states == {"alpha": "revoked", "beta": "up"} and fleet.nodes()["pending"] == [], states
        assert [node["name"] for node in fleet.status()["nodes"] if node["state"] == "up"] == ["beta"]
        assert_serves(fleet)


def who_was_away_for_too_long_needs_approval_again():
    with Fleet("hub", "alpha", "beta") as fleet:
        alpha, beta = start_two(fleet, "--membership", MEMBERSHIP)
        alpha.stop()

        def is_over():
            record = next(entry for entry in fleet.nodes()["nodes"] if entry["name"] == "alpha")
            return record["not_after_ms"] / 1000 + 1 < time.time()

        wait_until("alpha's membership is over", is_over)
        alpha.start()
        wait_until(lambda: f"alpha is pending: {fleet.nodes()}", alpha.pending)
        wait_until("it has tried again", lambda: refused(fleet, "expired") >= TRIES)
        assert len(lines(fleet, "kind=expired")) == 1
        assert "was a member as alpha" in alpha.pending()["note"]
        assert beta.status()["state"] == "up", "who stays is renewed by itself"
        assert_serves(fleet)
        wait_until("alpha says what to do", lambda: "membership has ended" in alpha.text())
        fleet.approve(alpha)
        fleet.wait_serving(alpha)
        assert [entry["name"] for entry in fleet.nodes()["nodes"]] == ["alpha", "beta"]


# --- recorded


class Recorder:
    def __init__(self, fleet, host):
        self.folder = fleet.bed.folder / "recorded"
        self.folder.mkdir()
        self.daemon = host.spawn([sys.executable, "-c", RECORDER, fleet.hub.address, LINK_PORT, self.folder])
        self.port = wait_until("the recorder listens", lambda: self.daemon.text().split())[1]

    def said(self):
        """The files of what the node said on each connection on which it said anything."""
        return [path for path in sorted(self.folder.glob("*.node")) if path.stat().st_size]

    @staticmethod
    def answer(path):
        return path.with_suffix(".coordinator").read_bytes()


def assert_one_line_of_bad_handshakes(fleet, host):
    """And one of those that were gone before anybody could see where they came from."""
    told = [re.search("address=(\\S+)", line)[1] for line in lines(fleet, "kind=bad_handshake")]
    assert sorted(told) in ([host.address], ["-", host.address], ["-"]), told


def what_was_recorded_opens_nothing():
    with Fleet("hub", "alpha", "mallory") as fleet:
        fleet.start_coordinator()
        recorder = Recorder(fleet, fleet.hosts["alpha"])
        key = fleet.bed.folder / "coordinator.key"
        key.write_text(f"{coordinator_key(fleet)}\n")
        alpha = fleet.start_node("alpha", "--no-mdns", "--coordinator", f"127.0.0.1:{recorder.port}",
                                 "--coordinator-key", key)
        wait_until("alpha says what to do", lambda: "modemesh nodes approve" in alpha.text())
        fleet.approve(alpha)
        fleet.wait_serving(alpha)
        let_in = [path for path in recorder.said() if READY in recorder.answer(path)]
        assert let_in and len(let_in) < len(recorder.said()), "it was refused, and then let in"

        before, joined = fleet.nodes()["refused"], len(lines(fleet, "node joined"))
        mallory = fleet.hosts["mallory"]
        for path in recorder.said():
            heard = mallory.run([sys.executable, "-c", REPLAYER, fleet.hub.address, LINK_PORT, path]).stdout
            assert READY not in bytes.fromhex(heard), heard
        count = len(recorder.said())
        print(f"# {count} connections replayed, {len(let_in)} of them had been let in", flush=True)
        wait_until(lambda: f"{count} handshakes are counted: {fleet.nodes()['refused']}",
                   lambda: refused(fleet, "bad_handshake") >= before["bad_handshake"] + count)
        assert fleet.nodes()["refused"]["stranger"] == before["stranger"], "the door was asked"
        assert_one_line_of_bad_handshakes(fleet, mallory)
        assert len(lines(fleet, "node joined")) == joined and alpha.status()["state"] == "up"
        assert_serves(fleet)


def noise_is_counted_and_no_more():
    with Fleet("hub", "alpha", "mallory") as fleet:
        fleet.start_coordinator()
        fleet.join(fleet.start_node("alpha"))
        mallory = fleet.hosts["mallory"]
        files = {name: fleet.bed.folder / name for name in ("http", "random")}
        files["http"].write_bytes(b"GET /v1/models HTTP/1.1\r\nHost: hub\r\n\r\n")
        files["random"].write_bytes(b"\xff" + bytes(range(256)) * 16)

        def say(name):
            mallory.run([sys.executable, "-c", REPLAYER, fleet.hub.address, LINK_PORT, files[name]])
            return refused(fleet, "bad_handshake")

        for name in files:
            before = refused(fleet, "bad_handshake")
            wait_until(f"{name} is counted", lambda: say(name) > before)
        assert_one_line_of_bad_handshakes(fleet, mallory)
        assert_serves(fleet)


# --- by the thousand


def memory_kib(daemon):
    return int(re.search(rb"VmRSS:\s*(\d+)", mesh.read_proc(daemon.pid, "status"))[1])


def crowd(fleet, host):
    """Starts hostile-node for one address after the other."""
    script = 'for address; do "$0" knock "tcp://$address:0;$link" "$key" "$share"; done'
    addresses = [f"10.77.0.{101 + number}" for number in range(ADDRESSES)]
    for address in addresses:
        host.ip(f"addr add {address}/24 dev {host.interface}")
    return host.spawn(["sh", "-c", script, BIN / "hostile-node", *addresses],
                      env={"link": f"{fleet.hub.address}:{LINK_PORT}", "key": coordinator_key(fleet),
                           "share": str(SHARE)})


def assert_bounded(fleet, minutes):
    listed = fleet.nodes()["pending"]
    addresses = [entry["address"] for entry in listed]
    assert len(listed) <= min(PENDING_MAX, PENDING_NEW_PER_MINUTE * (minutes + 1)), len(listed)
    assert max(map(addresses.count, addresses)) <= PENDING_PER_ADDRESS_MAX, addresses
    logged = lines(fleet, "node refused")
    assert len(logged) <= TOLD_LINES_PER_MINUTE * (minutes + 1), len(logged)


def ten_thousand_strangers_change_nothing():
    with Fleet("hub", "alpha", "mallory") as fleet:
        began = time.monotonic()
        fleet.start_coordinator()
        fleet.join(fleet.start_node("alpha"))
        mallory = fleet.hosts["mallory"]
        assert Liar(fleet, mallory).knock(FIRST_STRANGERS) == f"{FIRST_STRANGERS} refused"
        assert_serves(fleet)
        memory, counts, asked = memory_kib(fleet.coordinator), fleet.nodes()["refused"], 0
        strangers = crowd(fleet, mallory)
        while strangers.alive():
            assert_serves(fleet)
            asked += 1
        assert strangers.text().splitlines() == [f"{SHARE} refused"] * ADDRESSES, strangers.text()
        seconds = time.monotonic() - began
        grown = memory_kib(fleet.coordinator) - memory
        print(f"# {asked} answers meanwhile; memory {memory} KiB, {grown:+} KiB", flush=True)
        assert asked > 0 and grown <= GROWTH_MAX_KIB, f"the coordinator grew by {grown} KiB"
        now = fleet.nodes()["refused"]
        assert sum(now[kind] - counts[kind] for kind in ("stranger", "crowded")) == STRANGERS, (counts, now)
        assert_bounded(fleet, int(seconds // 60) + 1)
        assert_serves(fleet)
        assert [entry["name"] for entry in fleet.nodes()["nodes"]] == ["alpha"]


if __name__ == "__main__":
    hosts.skip_if_missing()
    mesh.run(
        a_stranger_is_pending_and_no_more,
        certificates_that_do_not_fit_are_refused,
        who_is_revoked_stays_out,
        who_was_away_for_too_long_needs_approval_again,
        what_was_recorded_opens_nothing,
        noise_is_counted_and_no_more,
        ten_thousand_strangers_change_nothing,
    )
