"""Nothing stays where it was: addresses change, daemons restart, cables are pulled, keys are replaced; and the mesh is
well again by itself, with no approval asked a second time."""

import contextlib
import datetime
import json
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import hosts
import mesh
from fleet import BIN, STRICT, Fleet, took
from mesh import ENDLESS, wait_until

AGAIN_S = 3  # from the event, or from the healing, until all is well
SILENT_S = 3 + 2  # … where only silence tells a node that its coordinator is gone
CUT_S = float(os.environ.get("MODEMESH_HOSTS_CUT_S", "30" if STRICT else "4"))
NAME_LATE_S = 3  # a VPN that comes up after the programs which want to use it
FAR_MS = 10
HUB = "hub.mesh"  # what hosts that hear no multicast call the coordinator's host
MEMBERSHIP_S = 15
PIECES = 20  # of an answer that goes on meanwhile


# --- a mesh to do things to


@contextlib.contextmanager
def small_mesh(*words):
    """A coordinator with `words`, a node beside it that was found and approved, and a routed one that came by name."""
    with Fleet("hub", "alpha") as fleet:
        fleet.start_coordinator(*words)
        alpha = fleet.start_node("alpha")
        fleet.join(alpha)
        add_far_host(fleet)
        name_hub(fleet, "far")
        far = start_far_node(fleet)
        fleet.wait_serving(far)
        yield fleet, alpha, far


def add_far_host(fleet):
    fleet.hosts["far"] = fleet.bed.routed_host("far", FAR_MS)


def name_hub(fleet, host):
    """The host's own list of names says where the coordinator's host is, and nothing about others."""
    (fleet.hosts[host].folder / "hosts").write_text(f"127.0.0.1 localhost\n{fleet.hub.address} {HUB}\n")


def start_far_node(fleet):
    token = make_token(fleet, f"{HUB}:8421")
    return fleet.start_node("far", "--coordinator", HUB, env={"MODEMESH_JOIN": token})


def make_token(fleet, address):
    return fleet.owner("token", "create", "--uses", "1", "--address", address).stdout.strip()


def is_back(node, began):
    """It serves, in a session that began after the event."""
    return node.serves() and node.status()["connected_ms"] < (time.monotonic() - began) * 1000


def well_again(fleet, what, began, *nodes, goal_s=AGAIN_S):
    for node in nodes:
        wait_until(lambda node=node: f"{node.name} is back: {node.status()}", lambda node=node: is_back(node, began))
    fleet.wait_answer()
    took(what, time.monotonic() - began, goal_s)
    asks_nobody(fleet, *nodes)


def asks_nobody(fleet, *nodes):
    """No node has knocked since it is a member."""
    assert fleet.nodes()["pending"] == []
    for node in nodes:
        last_joined, last_waited = (node.text().rfind(f" {event} prog=") for event in
                                    ("joined", "this node waits for approval"))
        assert last_joined > last_waited, node.text()
        assert "approval is needed again" not in node.text()


def sees_gone(fleet, *nodes):
    for node in nodes:
        wait_until(lambda node=node: f"{node.name} is missed: {node.status()}",
                   lambda node=node: node.status()["state"] == "offline")


def keys_of(fleet):
    return {entry["name"]: entry["key"] for entry in fleet.nodes()["nodes"]}


def is_pending(fleet, key):
    return any(entry["key"] == key for entry in fleet.nodes()["pending"])


# --- joining from afar


def a_routed_host_joins_by_name_and_token():
    with Fleet("hub", "alpha", "beta", "gamma") as fleet:
        fleet.start_coordinator()
        near = [fleet.start_node(name) for name in ("alpha", "beta", "gamma")]
        for node in near:
            fleet.join(node)
        add_far_host(fleet)
        far = start_far_node(fleet)
        wait_until("it says why it does not come", lambda: "no link to" in far.text() and HUB in far.text())
        time.sleep(max(0, far.started + NAME_LATE_S - time.monotonic()))
        assert not far.status()
        name_hub(fleet, "far")
        began = time.monotonic()
        well_again(fleet, "a routed host by its coordinator's name", began, far)
        assert [node for node in near if not node.serves()] == []
        far.stop()
        began = time.monotonic()
        far.start()  # with what it remembers
        well_again(fleet, "a routed host with what it remembers", began, far)


# --- moving


def a_node_moves_to_another_address():
    with small_mesh() as (fleet, alpha, far):
        for address, address6 in (("10.77.0.50", "fd77::50"), ("10.77.0.51", "fd77::51")):
            began = time.monotonic()
            alpha.host.set_address(address, address6)
            well_again(fleet, "a node at another address", began, alpha)
            assert alpha.status()["address"] in (address, address6)
        began = time.monotonic()
        far.host.set_address("10.77.1.50", "fd77:0:0:1::50")
        well_again(fleet, "a routed node at another address", began, far)
        assert alpha.serves()


def the_coordinator_moves_to_another_address():
    with small_mesh() as (fleet, alpha, far):
        began = time.monotonic()
        fleet.hub.set_address("10.77.0.60", "fd77::60")
        well_again(fleet, "a coordinator at another address, by discovery", began, alpha, goal_s=SILENT_S)
        sees_gone(fleet, far)
        name_hub(fleet, "far")
        well_again(fleet, "a coordinator at another address, by its name", time.monotonic(), far)


def the_coordinator_restarts():
    with small_mesh() as (fleet, alpha, far):
        began = time.monotonic()
        assert fleet.coordinator.stop() == 0
        fleet.start_coordinator()
        well_again(fleet, "a coordinator that was restarted", began, alpha, far)
        began = time.monotonic()
        fleet.coordinator.kill()
        fleet.start_coordinator()
        well_again(fleet, "a coordinator that crashed", began, alpha, far)


# --- cables


def a_bridge_is_cut_and_healed():
    with small_mesh() as (fleet, alpha, far):
        fleet.bed.cut()
        began = time.monotonic()
        sees_gone(fleet, alpha, far)
        assert fleet.ask(words=["-m", "1"])[0] != 200
        time.sleep(max(0, began + CUT_S - time.monotonic()))
        fleet.bed.heal()
        well_again(fleet, f"a bridge that was cut for {CUT_S:.0f} s", time.monotonic(), alpha, far)


def cables_are_pulled_and_put_back():
    with small_mesh() as (fleet, alpha, far):
        for host, nodes in (alpha.host, [alpha]), (fleet.hub, [alpha, far]):
            host.cut()
            sees_gone(fleet, *nodes)
            host.heal()
            well_again(fleet, f"the cable of {host.name}", time.monotonic(), *nodes)


# --- avahi-daemon


def avahi_restarts_on_every_host():
    with Fleet("hub", "alpha", "beta") as fleet:
        fleet.start_coordinator()
        alpha = fleet.start_node("alpha")
        fleet.join(alpha)
        beta = fleet.add_node("beta")
        key = beta.key()
        for host in fleet.hosts.values():
            host.stop_avahi()
        beta.start()
        wait_until("nodes notice", lambda: "no avahi-daemon answers" in alpha.text() and
                   "no avahi-daemon answers" in beta.text())
        began = start_avahi_everywhere(fleet)
        wait_until("a stranger finds the coordinator", lambda: is_pending(fleet, key))
        took("avahi-daemon restarted: a stranger is pending", time.monotonic() - began, AGAIN_S)
        assert alpha.serves() and fleet.ask()[0] == 200
        assert alpha.text().count(" joined prog=") == 1, "its session did not last"
        fleet.join(beta)


def a_node_needs_no_avahi():
    with Fleet("hub", "alpha", "beta") as fleet:
        for host in fleet.hosts.values():
            host.avahi.kill()
        fleet.start_coordinator()
        alpha = fleet.start_node("alpha", "--coordinator", fleet.hub.address,
                                 env={"MODEMESH_JOIN": make_token(fleet, f"{fleet.hub.address}:8421")})
        fleet.wait_serving(alpha)
        began = time.monotonic()
        fleet.coordinator.kill()
        fleet.start_coordinator()
        well_again(fleet, "a coordinator that crashed where no avahi-daemon is", began, alpha)
        beta = fleet.start_node("beta")
        wait_until("beta finds nobody", lambda: "no coordinator was found" in beta.text())
        key = beta.key()
        began = start_avahi_everywhere(fleet)
        wait_until("beta finds the coordinator", lambda: is_pending(fleet, key))
        took("avahi-daemon started late: a stranger is pending", time.monotonic() - began, AGAIN_S)
        fleet.join(beta)


def start_avahi_everywhere(fleet):
    """Returns when it began with the last one, the coordinator's."""
    for host in reversed(fleet.hosts.values()):
        began = time.monotonic()
        host.start_avahi()
    return began


def a_hung_avahi_hangs_nothing():
    with Fleet("hub", "alpha") as fleet:
        fleet.start_coordinator()
        alpha = fleet.start_node("alpha")
        fleet.join(alpha)
        stream = start_stream(fleet)
        fleet.hub.pause_avahi()
        fleet.hub.ip("addr add 10.77.0.70/24 dev eth0")  # which is announced, and nobody answers
        for _ in range(3):
            pieces = stream.text().count("data: ")
            wait_until("the answer goes on", lambda: stream.text().count("data: ") >= pieces + PIECES)
            assert fleet.ask()[0] == 200 and alpha.serves()
        assert alpha.text().count(" joined prog=") == 1, "its session did not last"
        stream.stop()
        assert "error" not in stream.text()
        began = time.monotonic()
        assert fleet.coordinator.stop() == 0
        fleet.start_coordinator()
        well_again(fleet, "a coordinator that was restarted beside a hung avahi-daemon", began, alpha)
        fleet.hub.resume_avahi()
        wait_until("the coordinator is announced", lambda: "announced on the local" in fleet.coordinator.text())


def start_stream(fleet):
    """An editor that reads an answer without end; what it has read is its log."""
    body = json.dumps(mesh.chat("ask", "count", stream=True, **ENDLESS))
    stream = fleet.hub.spawn(["curl", "-sSN", "http://127.0.0.1:8420/v1/chat/completions",
                              "-H", "Content-Type: application/json", "-d", body])
    wait_until(lambda: f"the answer begins: {stream.text()}", lambda: stream.text().count("data: ") > PIECES)
    return stream


# --- keys and certificates


def the_coordinators_link_key_rotates():
    with small_mesh() as (fleet, alpha, far):
        old = fleet.status()["coordinator"]["key"]
        for _ in range(2):  # nodes learn the next key each time
            began = time.monotonic()
            assert fleet.coordinator.stop() == 0
            new = fleet.hub.run([BIN / "modemesh-coordinator", "--rotate-key"]).stdout.strip()
            fleet.start_coordinator()
            assert fleet.status()["coordinator"]["key"] == new != old
            well_again(fleet, "a coordinator with another link key", began, alpha, far)
            old = new


def a_nodes_link_key_rotates():
    with small_mesh() as (fleet, alpha, far):
        for node in alpha, far:
            old = node.key()
            node.host.run(["cp", "/var/lib/modemesh-node/link.key", "/run/old.key"])
            new = node.host.run([BIN / "modemesh-node", "--config", node.config, "--rotate-key"]).stdout.strip()
            began = time.monotonic()
            node.daemon.signal(signal.SIGHUP)
            wait_until(lambda node=node: f"{node.name} has its new key: {fleet.nodes()}",
                       lambda node=node, new=new: keys_of(fleet)[node.name] == new)
            well_again(fleet, f"{node.name} with another link key", began, node)
            assert node.key() == new != old
        assert len(keys_of(fleet)) == 2
        for node in alpha, far:
            assert show_key(fleet, node, "/run/old.key") == "refused"


def show_key(fleet, node, path):
    """How the coordinator takes one who comes with the link key in a file of the node's host."""
    done = node.host.run([BIN / "hostile-node", "hello", f"tcp://{fleet.hub.address}:8421",
                          fleet.status()["coordinator"]["key"], path, node.name])
    return done.stdout.strip()


def logged_at(node, words):
    """When its log said so first; Unix time."""
    line = next(line for line in node.text().splitlines() if words in line)
    return datetime.datetime.fromisoformat(line.split()[0]).timestamp()


def certificates_are_renewed():
    with small_mesh("--membership", f"{MEMBERSHIP_S}s") as (fleet, alpha, far):
        for node in alpha, far:
            wait_until(f"{node.name} has another certificate", lambda node=node: "certificate renewed" in node.text())
        ends = {entry["name"]: entry["not_after_ms"] / 1000 for entry in fleet.nodes()["nodes"]}
        waited_s = [logged_at(node, " certificate renewed ") - logged_at(node, " joined ") for node in (alpha, far)]
        assert max(waited_s) < MEMBERSHIP_S, f"the first renewal came too late: {waited_s}"
        wait_until("their first certificates would have ended, and the next ones too",
                   lambda: time.time() > max(ends.values()), 4 * MEMBERSHIP_S)
        for node in alpha, far:
            assert node.serves() and node.status()["connected_ms"] > MEMBERSHIP_S * 1000, "its session did not last"
        assert fleet.ask()[0] == 200
        asks_nobody(fleet, alpha, far)
        alpha.stop()
        began = time.monotonic()
        alpha.start()
        well_again(fleet, "a node with a renewed certificate", began, alpha)


def a_node_that_left_is_let_in_while_it_is_listed():
    with Fleet("hub", "alpha") as fleet:
        fleet.start_coordinator()
        alpha = fleet.start_node("alpha")
        fleet.join(alpha)
        keys = keys_of(fleet)
        alpha.stop()
        alpha.host.run([BIN / "modemesh-node", "--config", alpha.config, "--leave"])
        assert alpha.host.run(["test", "-e", "/var/lib/modemesh-node/membership.json"], check=False).returncode
        began = time.monotonic()
        alpha.start()
        well_again(fleet, "a node that had left", began, alpha)
        alpha.host.run(["test", "-s", "/var/lib/modemesh-node/membership.json"])
        assert keys_of(fleet) == keys


# --- names


def two_hosts_have_one_name():
    with Fleet("hub") as fleet:
        fleet.start_coordinator()
        nodes = [start_strix(fleet, label) for label in ("left", "right")]
        for node in nodes:
            wait_until(lambda node=node: f"{node.name} is pending: {fleet.nodes()}", lambda node=node: node.pending())
            fleet.owner("nodes", "approve", "--yes", "--", node.key())
        wait_until(lambda: f"both are members: {fleet.nodes()}", lambda: len(keys_of(fleet)) == 2)
        assert sorted(keys_of(fleet)) == ["strix", "strix-2"]
        for node in nodes:
            node.name = next(name for name, key in keys_of(fleet).items() if key == node.key())
            fleet.wait_serving(node)
        assert fleet.ask()[0] == 200


def start_strix(fleet, label):
    """A node on a host that calls itself "strix", as the test's `label` does not."""
    host = fleet.hosts[label] = fleet.bed.host(label, services=False)
    host.namespace.shell("echo strix >/proc/sys/kernel/hostname")
    host.name = "strix"
    (host.folder / "hostname").write_text("strix\n")
    (host.folder / "avahi.conf").write_text(hosts.AVAHI_CONFIG.format(name="strix", interface=host.interface))
    host.start_services()
    host.name = label
    node = fleet.start_node(label)
    node.name = "strix"
    return node


if __name__ == "__main__":
    hosts.skip_if_missing()
    mesh.run(
        a_routed_host_joins_by_name_and_token,
        a_node_moves_to_another_address,
        the_coordinator_moves_to_another_address,
        the_coordinator_restarts,
        a_bridge_is_cut_and_healed,
        cables_are_pulled_and_put_back,
        avahi_restarts_on_every_host,
        a_node_needs_no_avahi,
        a_hung_avahi_hangs_nothing,
        the_coordinators_link_key_rotates,
        a_nodes_link_key_rotates,
        certificates_are_renewed,
        a_node_that_left_is_let_in_while_it_is_listed,
        two_hosts_have_one_name,
    )
