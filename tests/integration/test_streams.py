"""Many streams at once, and what happens to the engine when a client goes away."""

import concurrent.futures
import itertools
import json
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import ENDLESS, FAST, Mesh, chat, questions, wait_until

STREAMS = 100
SLOTS = {"halo1": 8, "halo2": 4}


def hundred_streams_say_what_the_engine_says():
    with Mesh({"ask": [FAST]}) as cluster:
        nodes = [cluster.add_node(name, [FAST], slots=slots) for name, slots in SLOTS.items()]
        engines = [node.engine(FAST) for node in nodes]
        direct = {text: engines[0].ask(chat(FAST, text, temperature=0)) for text in questions()[:20]}
        assert all(answer.content and answer.finish == "stop" for answer in direct.values())

        # While the engines stand still nothing can finish: each has one more than it has slots for,
        # and for the others it is open who will have room first.
        for engine in engines:
            engine.freeze()
        asked = list(itertools.islice(itertools.cycle(direct), STREAMS))
        streams = [cluster.stream("ask", text, temperature=0) for text in asked]
        cluster.wait_running(sum(slots + 1 for slots in SLOTS.values()))
        cluster.wait_queued(STREAMS - sum(slots + 1 for slots in SLOTS.values()))
        for node in nodes:
            assert node.status()["requests"]["running"] == SLOTS[node.name] + 1, cluster.status()["nodes"]
        for engine in engines:
            engine.thaw()

        with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
            answers = list(pool.map(mesh.Stream.read_all, streams))
        for text, answer in zip(asked, answers):
            assert answer.done and answer.finish == "stop" and answer.error is None, (text, answer.error)
            assert answer.content == direct[text].content, (text, answer.content, direct[text].content)
        cluster.wait_running(0)
        assert {answer.response.getheader("X-Modemesh-Node") for answer in answers} == set(SLOTS)


def a_client_that_leaves_frees_the_slot():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = cluster.add_node("halo1", [FAST], slots=2).engine(FAST)
        stays = cluster.stream("ask", "hello", **ENDLESS).read_content()
        leaves = cluster.stream("ask", "hello", **ENDLESS).read_content(5)
        assert engine.busy() == 2
        leaves.close()
        wait_until("one slot is free", lambda: engine.busy() == 1)
        cluster.wait_running(1)
        stays.read_content(stays.chunks + 5)
        stays.close()
        wait_until("both slots are free", lambda: engine.busy() == 0)
        cluster.wait_running(0)


def a_client_that_leaves_the_queue_is_forgotten():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = cluster.add_node("halo1", [FAST], slots=1).engine(FAST)
        first = cluster.stream("ask", "hello", **ENDLESS).read_content()
        second = cluster.stream("ask", "hello", **ENDLESS)
        cluster.wait_running(2)
        third = cluster.stream("ask", "hello", **ENDLESS)
        cluster.wait_queued(1)
        third.close()
        cluster.wait_queued(0)
        cluster.wait_running(2)
        second.close()
        cluster.wait_running(1)
        first.read_content(first.chunks + 5)
        first.close()
        # Were the second still in the engine's queue, it would now hold the only slot for ever.
        assert cluster.ask("ask", "hello", temperature=0).status == 200
        wait_until("the slot is free", lambda: engine.busy() == 0)


def a_client_that_leaves_during_prefill_frees_the_slot():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = cluster.add_node("halo1", [FAST], slots=1).engine(FAST)
        engine.freeze()
        stream = cluster.stream("ask", "what is a node? " * 60, **ENDLESS)
        cluster.wait_running(1)
        stream.close()
        cluster.wait_running(0)
        engine.thaw()
        assert cluster.ask("ask", "hello", temperature=0).status == 200
        wait_until("the slot is free", lambda: engine.busy() == 0)


def a_whole_answer_is_cancelled_too():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = cluster.add_node("halo1", [FAST], slots=1).engine(FAST)
        connection = cluster.connection()
        connection.request("POST", "/v1/chat/completions", json.dumps(chat("ask", "hello", **ENDLESS)))
        wait_until("the engine works", lambda: engine.busy() == 1)
        connection.close()
        wait_until("the slot is free", lambda: engine.busy() == 0)
        cluster.wait_running(0)


def a_slow_reader_holds_nobody_up():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = cluster.add_node("halo1", [FAST], slots=2).engine(FAST)
        slow = cluster.stream("ask", "hello", **ENDLESS).read_content()
        for text in questions()[:10]:
            assert cluster.ask("ask", text, temperature=0).json()["choices"][0]["finish_reason"] == "stop"
        slow.read_content(slow.chunks + 1000)
        slow.close()
        wait_until("the slots are free", lambda: engine.busy() == 0)


def a_stopping_coordinator_tells_its_clients():
    with Mesh({"ask": [FAST]}) as cluster:
        cluster.add_node("halo1", [FAST], slots=1)
        stream = cluster.stream("ask", "hello", **ENDLESS).read_content()
        cluster.coordinator.signal(signal.SIGTERM)
        stream.read_all()
        assert not stream.done and stream.error["code"] == "stopping", stream.error
        assert cluster.coordinator.wait() == 0  # a second signal, so late, would kill what has let go of its handlers


if __name__ == "__main__":
    mesh.run(
        hundred_streams_say_what_the_engine_says,
        a_client_that_leaves_frees_the_slot,
        a_client_that_leaves_the_queue_is_forgotten,
        a_client_that_leaves_during_prefill_frees_the_slot,
        a_whole_answer_is_cancelled_too,
        a_slow_reader_holds_nobody_up,
        a_stopping_coordinator_tells_its_clients,
    )
