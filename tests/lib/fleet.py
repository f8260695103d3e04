"""modemesh on the hosts of a Bed: a coordinator on one, nodes on the others, all with their default state directories,
so that nothing but a model folder is configured.

    with Fleet("hub", "alpha", "beta") as fleet:
        fleet.start_coordinator()
        node = fleet.start_node("alpha")
        fleet.wait_pending(node)
"""

import json
import os
import pathlib
import shutil
import sys
import time

from hosts import Bed
from mesh import DEADLINE_S, ENGINE_WORDS, FAST, MODELS, chat, wait_until

BIN = pathlib.Path(os.environ.get("MODEMESH_BIN", ""))
ENGINE = os.environ.get("MODEMESH_LLAMA_SERVER", "")
# With this set, how long things take is held against the project's goals; else it is only told.
STRICT = bool(os.environ.get("MODEMESH_HOSTS_STRICT"))


def took(what, seconds, goal_s):
    """Tells a measured time, and fails where it counts and is too long."""
    print(f"# {what}: {seconds:.2f} s (goal {goal_s} s)", flush=True)
    assert not STRICT or seconds <= goal_s, f"{what} took {seconds:.2f} s, the goal is {goal_s} s"


class Node:
    def __init__(self, fleet, host, models):
        self.fleet, self.host, self.name = fleet, host, host.name
        self.models = fleet.bed.folder / f"{host.name}.models"
        self.models.mkdir()
        for model in models:
            shutil.copy(MODELS / f"{model}.gguf", self.models)
        self.config = fleet.bed.folder / f"{host.name}.yaml"
        self.config.write_text(json.dumps({"models": str(self.models), "resident": list(models), "memory-limit": "4G",
                                           "engine": {"command": [ENGINE], "extra-args": list(ENGINE_WORDS),
                                                      "slots": 2, "context": 1024}}))
        self.daemon, self.started = None, 0

    def start(self, *words, env=None):
        self.started = time.monotonic()
        self.daemon = self.host.spawn([BIN / "modemesh-node", "--config", self.config, *words], env=env)
        return self

    def stop(self):
        assert self.daemon.stop() == 0, self.daemon.text()

    def key(self):
        return self.host.run([BIN / "modemesh-node", "--print-key"]).stdout.strip()

    def text(self):
        return self.daemon.text()

    def status(self):
        return next((node for node in self.fleet.status()["nodes"] if node["name"] == self.name), {})

    def serves(self):
        return self.status().get("state") == "up" and any(
            model["state"] == "resident" for model in self.status().get("models", []))

    def pending(self):
        return next((entry for entry in self.fleet.nodes()["pending"] if entry["name"] == self.name), None)


class Fleet:
    """The first name is the coordinator's host."""

    def __init__(self, *names):
        self.names = names
        self.bed, self.hub, self.coordinator = Bed(), None, None
        self.hosts, self.daemons = {}, []

    def __enter__(self):
        self.bed.__enter__()
        try:
            self.hosts = {name: self.bed.host(name) for name in self.names}
            self.hub = self.hosts[self.names[0]]
        except BaseException:
            self.bed.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *why):
        self.bed.__exit__(*why)

    # Daemons

    def start_coordinator(self, *words, modes=None):
        config = self.bed.folder / "coordinator.yaml"
        modes = modes or {"ask": [FAST]}
        config.write_text(json.dumps({"modes": {name: {"models": models} for name, models in modes.items()}}))
        self.coordinator = self.hub.spawn([BIN / "modemesh-coordinator", "--config", config, *words])
        wait_until("the coordinator is up", lambda: self.works() and "coordinator is up" in self.coordinator.text())

    def works(self):
        assert self.coordinator.alive(), f"the coordinator ended: {self.coordinator.text()}"
        return True

    def add_node(self, name, models=(FAST,)):
        return Node(self, self.hosts[name], models)

    def start_node(self, name, *words, models=(FAST,), env=None):
        return self.add_node(name, models).start(*words, env=env)

    # Who runs the mesh, on the coordinator's host

    def owner(self, *words, check=True):
        return self.hub.run([BIN / "modemesh", *words], check=check)

    def nodes(self):
        return json.loads(self.owner("nodes", "list", "--json").stdout)

    def status(self):
        return json.loads(self.owner("status", "--json").stdout)

    def approve(self, node):
        """By the command that the node's own log says."""
        def told():
            return [line for line in node.text().splitlines() if "modemesh nodes approve" in line]

        marks = wait_until(lambda: f"{node.name} says what to run", told)
        words = marks[-1].split('"')[1].split()
        assert words[:3] == ["modemesh", "nodes", "approve"], marks
        return self.owner(*words[1:])

    def join(self, node):
        """Waits until the node is pending, approves it, waits until it serves."""
        wait_until(lambda: f"{node.name} is pending: {self.nodes()}", node.pending)
        self.approve(node)
        self.wait_serving(node)

    def wait_serving(self, node):
        wait_until(lambda: f"{node.name} serves: {node.status()}", node.serves)

    # Editors

    def ask(self, text="what is modemesh?", host=None, url="http://127.0.0.1:8420", words=(), **fields):
        """curl on a host; returns (status, body)."""
        body = json.dumps(chat("ask", text, temperature=0, **fields))
        done = (host or self.hub).run(
            ["curl", "-sS", "-m", str(DEADLINE_S), "-w", "\n%{http_code}", f"{url}/v1/chat/completions",
             "-H", "Content-Type: application/json", *words, "-d", "@-"], input=body, check=False)
        text, _, status = done.stdout.rpartition("\n")
        return int(status or 0), text or done.stderr

    def wait_answer(self, **how):
        wait_until(lambda: f"an answer: {self.ask(**how)}", lambda: self.ask(**how)[0] == 200)
