"""Engines, nodes and coordinators that die at the worst moment."""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import ENDLESS, FAST, Mesh, wait_until


def endless(cluster, count):
    """So many streams that have begun and do not end by themselves."""
    return [cluster.stream("ask", "hello", **ENDLESS).read_content() for _ in range(count)]


def assert_told(streams):
    """Each client hears of the failure: an error event, and nothing that looks like a whole answer."""
    for stream in streams:
        stream.read_all()
        assert stream.error and stream.error["message"], f"no error after: {stream.content[-80:]!r}"
        assert stream.finish is None, stream.finish


def a_killed_engine_is_reported_and_started_again():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST], slots=4)
        engine = node.engine(FAST)
        streams = endless(cluster, 4)
        engine.kill()
        assert_told(streams)
        wait_until(lambda: f"the restart is reported, now {node.model(FAST)}",
                   lambda: node.model(FAST).get("restarts", 0) >= 1)
        node.wait_resident(FAST)
        assert node.engine(FAST).pid != engine.pid
        assert cluster.ask("ask", "hello", temperature=0).content()
        assert "signal 9" in node.daemon.text(), "the node's log does not say why"


def what_had_not_begun_moves_to_another_node():
    with Mesh({"ask": [FAST]}) as cluster:
        nodes = [cluster.add_node(name, [FAST], slots=1) for name in ("halo1", "halo2")]
        doomed, other = (node.engine(FAST) for node in nodes)
        for engine in (doomed, other):
            engine.freeze()
        streams = [cluster.stream("ask", "what is a node?", temperature=0) for _ in nodes]
        wait_until(lambda: f"each node has a request, now {cluster.status()['nodes']}",
                   lambda: all(node.status()["requests"]["running"] == 1 for node in nodes))
        doomed.kill()
        other.thaw()
        answers = [stream.read_all() for stream in streams]
        assert all(answer.finish == "stop" and not answer.error for answer in answers), [a.error for a in answers]
        assert answers[0].content == answers[1].content


def a_killed_node_leaves_no_engine_and_comes_back():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST])
        engine = node.engine(FAST)
        streams = endless(cluster, 2)
        node.daemon.kill()
        assert_told(streams)
        wait_until("the engine is gone", lambda: not mesh.read_proc(engine.pid, "cmdline"))
        wait_until(lambda: f"only the coordinator runs: {[mesh.words_of(pid) for pid in cluster.processes()]}",
                   lambda: cluster.processes() == [cluster.coordinator.pid])
        node.wait_state("offline")
        waiting = cluster.stream("ask", "hello", temperature=0)
        cluster.wait_queued(1)
        node.start()
        assert waiting.read_all().content and waiting.finish == "stop", waiting.error


def a_killed_guard_takes_its_engine_along():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST])
        engine = node.engine(FAST)
        streams = endless(cluster, 1)
        os.kill(engine.guard(), signal.SIGKILL)
        assert_told(streams)
        wait_until("the engine is gone", lambda: not mesh.read_proc(engine.pid, "cmdline"))
        wait_until("another engine serves", lambda: node.model(FAST).get("restarts", 0) >= 1)
        node.wait_resident(FAST)
        assert cluster.ask("ask", "hello", temperature=0).content()


def a_killed_coordinator_comes_back():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST])
        engine = node.engine(FAST)
        streams = endless(cluster, 2)
        cluster.coordinator.kill()
        for stream in streams:
            assert stream.read_all().finish is None and not stream.done
        wait_until("nobody's answers are no longer made", lambda: engine.busy() == 0)
        cluster.start_coordinator()
        node.wait_resident(FAST)
        assert node.daemon.alive() and node.engine(FAST).pid == engine.pid
        assert cluster.ask("ask", "hello", temperature=0).content()


def a_node_that_is_told_to_stop_tells_its_clients():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST])
        streams = endless(cluster, 2)
        assert node.daemon.stop() == 0
        assert_told(streams)
        node.wait_state("offline")
        assert cluster.processes() == [cluster.coordinator.pid]
        assert "it has shut down" in cluster.coordinator.text(), "the node did not say that it drains"


def a_coordinator_that_is_told_to_stop_ends_its_streams():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = cluster.add_node("halo1", [FAST]).engine(FAST)
        stream = endless(cluster, 1)[0]
        assert cluster.coordinator.stop() == 0
        stream.read_all()
        assert stream.finish is None and not stream.done
        wait_until("the slot is free", lambda: engine.busy() == 0)


if __name__ == "__main__":
    mesh.run(
        a_killed_engine_is_reported_and_started_again,
        what_had_not_begun_moves_to_another_node,
        a_killed_node_leaves_no_engine_and_comes_back,
        a_killed_guard_takes_its_engine_along,
        a_killed_coordinator_comes_back,
        a_node_that_is_told_to_stop_tells_its_clients,
        a_coordinator_that_is_told_to_stop_ends_its_streams,
    )
