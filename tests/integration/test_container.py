#!/usr/bin/env python3
"""An engine in a container: the command that the node starts is only the container's client, the engine is the child of
somebody else, and signals to the client do not reach it. It is stopped by its own means, also where the node was killed.

The container here is a stand-in made of two scripts and this process, which plays the runtime's daemon: what is tested is
the node's side of it, with the real engine behind."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh  # noqa: E402
from mesh import FAST, Mesh, wait_until  # noqa: E402

RUN = """#!/bin/sh
# run NAME -- COMMAND...: hands the command to the runtime and stays until the container ends, deaf to SIGTERM.
trap '' TERM
cd {folder} || exit 1
name=$1
shift 2
printf '%s\\n' "$@" >"$name.new"
mv "$name.new" "$name.run"
while [ ! -e "$name.over" ]; do sleep 0.05; done
"""
STOP = """#!/bin/sh
# stop NAME: returns when the container has ended.
cd {folder} || exit 1
: >"$1.stop"
while [ ! -e "$1.over" ]; do sleep 0.05; done
"""


class Runtime:
    """Runs each container that is asked for as a child of this process."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.names, self.ended = {}, threading.Event()
        for script, text in (("run", RUN), ("stop", STOP)):
            path = self.folder / script
            path.write_text(text.format(folder=self.folder))
            path.chmod(0o700)
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        for process in self.names.values():
            process.kill()
            process.wait()

    def serve(self):
        while not self.ended.wait(0.02):
            for path in self.folder.glob("*.run"):
                if path.stem not in self.names:
                    self.names[path.stem] = subprocess.Popen(path.read_text().splitlines(), stdin=subprocess.DEVNULL,
                                                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for name, process in list(self.names.items()):
                if (self.folder / f"{name}.stop").exists():
                    process.terminate()
                if process.poll() is not None:
                    (self.folder / f"{name}.over").touch()

    def running(self):
        return [name for name, process in self.names.items() if process.poll() is None]


@contextlib.contextmanager
def contained_node():
    with Mesh({"ask": [FAST]}) as cluster, Runtime(cluster.folder / "runtime") as runtime:
        node = cluster.add_node("halo1", [FAST], start=False)
        config = json.loads(node.config.read_text())
        config["engine"].update({
            "command": [str(runtime.folder / "run"), "{instance}", "--", os.environ["MODEMESH_LLAMA_SERVER"]],
            "stop-command": [str(runtime.folder / "stop"), "{instance}"]})
        node.config.write_text(json.dumps(config))
        node.start()
        node.wait_resident(FAST)
        yield cluster, node, runtime


def an_engine_in_a_container_answers():
    with contained_node() as (cluster, node, runtime):
        (name,) = runtime.running()
        assert name.startswith(FAST), name
        assert mesh.parent_of(runtime.names[name].pid) == os.getpid()
        assert cluster.ask("ask", "hello", temperature=0).content()
        assert node.daemon.stop() == 0
        assert not runtime.running(), "the container outlived the node"


def a_killed_node_stops_its_container():
    with contained_node() as (_, node, runtime):
        assert len(runtime.running()) == 1
        node.daemon.kill()
        wait_until(lambda: f"no container runs, now {runtime.running()}", lambda: not runtime.running())


def a_container_that_dies_is_started_again_under_another_name():
    with contained_node() as (cluster, node, runtime):
        (first,) = runtime.running()
        runtime.names[first].kill()
        wait_until(lambda: f"another container runs, now {runtime.running()}",
                   lambda: runtime.running() not in ([], [first]))
        node.wait_resident(FAST)
        assert node.model(FAST)["restarts"] >= 1
        assert cluster.ask("ask", "hello", temperature=0).content()


mesh.run(an_engine_in_a_container_answers, a_killed_node_stops_its_container,
         a_container_that_dies_is_started_again_under_another_name)
