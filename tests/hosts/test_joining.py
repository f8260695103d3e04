"""Machines join by being started: found with no configuration, approved by one command, or let in by a token."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import hosts
import mesh
from fleet import Fleet, took
from mesh import wait_until

NODES = ("alpha", "beta", "gamma")
FOUND_S, SERVES_S = 3, 2


def nodes_are_found_pending_approved_and_serve():
    with Fleet("hub", *NODES) as fleet:
        fleet.start_coordinator()
        for name in NODES:
            node = fleet.start_node(name)
            wait_until(lambda: f"{name} is pending by its name: {fleet.nodes()['pending']}", node.pending)
            took(f"{name} found and pending", time.monotonic() - node.started, FOUND_S)
            assert not node.status(), "it serves before it was approved"
            wait_until("its engine is ready", lambda: "model resident" in node.text())
            began = time.monotonic()
            fleet.approve(node)
            fleet.wait_serving(node)
            took(f"{name} serves after approval", time.monotonic() - began, SERVES_S)
        assert [entry["source"] for entry in fleet.nodes()["nodes"]] == ["approved"] * len(NODES)
        assert fleet.nodes()["pending"] == []
        assert fleet.ask()[0] == 200


def a_token_needs_no_approval():
    with Fleet("hub", "alpha") as fleet:
        fleet.start_coordinator()
        token = fleet.owner("token", "create", "--uses", "1").stdout.strip()
        node = fleet.start_node("alpha", env={"MODEMESH_JOIN": token})
        fleet.wait_serving(node)
        took("alpha serves by token", time.monotonic() - node.started, FOUND_S + SERVES_S)
        assert fleet.nodes()["nodes"][0]["source"].startswith("token ")
        node.stop()
        node.start()  # without the token
        fleet.wait_serving(node)


def a_window_takes_whoever_comes_and_lists_them():
    with Fleet("hub", "alpha", "beta") as fleet:
        fleet.start_coordinator()
        fleet.owner("nodes", "accept", "--for", "10m")
        for name in ("alpha", "beta"):
            fleet.wait_serving(fleet.start_node(name))
        assert {entry["name"]: entry["source"] for entry in fleet.nodes()["nodes"]} == {
            "alpha": "window", "beta": "window"}
        fleet.owner("nodes", "accept", "--for", "0")
        assert fleet.nodes()["accept_ms_left"] == 0


def a_node_on_the_coordinators_host_joins_by_itself():
    with Fleet("hub") as fleet:
        fleet.start_coordinator()
        node = fleet.start_node("hub")
        fleet.wait_serving(node)
        assert fleet.nodes()["pending"] == [] and fleet.nodes()["nodes"][0]["source"] == "local"
        assert fleet.ask()[0] == 200


def nodes_announce_name_models_and_memory():
    with Fleet("hub", "alpha") as fleet:
        fleet.start_coordinator()
        node = fleet.start_node("alpha")
        fleet.join(node)
        quiet = fleet.add_node("hub").start("--no-mdns", "--name", "quiet")
        wait_until("alpha's models are announced", lambda: mesh.FAST in announced(fleet, "alpha"))
        assert "free=" in announced(fleet, "alpha")
        assert "quiet" not in announced(fleet, "quiet") and quiet.daemon.alive()


def announced(fleet, name):
    """The TXT record of a node's announcement, as text; "" where there is none."""
    done = fleet.hub.ask_avahi("ResolveService", "int32:-1", "int32:0", f"string:{name}",
                               "string:_modemesh-node._tcp", "string:local", "int32:0", "uint32:0", check=False)
    return done.stdout


if __name__ == "__main__":
    hosts.skip_if_missing()
    mesh.run(
        nodes_are_found_pending_approved_and_serve,
        a_token_needs_no_approval,
        a_window_takes_whoever_comes_and_lists_them,
        a_node_on_the_coordinators_host_joins_by_itself,
        nodes_announce_name_models_and_memory,
    )
