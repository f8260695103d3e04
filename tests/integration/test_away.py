"""Nodes that are away, by the real programs: who waits for them, who does not, and what they are told meanwhile."""

import pathlib
import signal
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import CODER, FAST, Mesh, chat, wait_until

MODES = {"ask": [FAST], "code": {"models": [CODER]}}


class Waiting:
    """A request that is asked in a thread of its own, as its headers come when it is answered."""

    def __init__(self, cluster, name, **fields):
        self.answer = None

        def ask():
            self.answer = cluster.ask(name, "hello", max_tokens=2, temperature=0, **fields)

        self.thread = threading.Thread(target=ask)
        self.thread.start()

    def end(self):
        self.thread.join()
        return self.answer


def explained(cluster, *words):
    done = cluster.cli("explain", "--tokens", "100", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def mode(cluster, name):
    return next(mode for mode in cluster.status()["modes"] if mode["name"] == name)


def a_request_waits_until_its_node_is_back():
    with Mesh(MODES) as cluster:
        halo1 = cluster.add_node("halo1", [FAST])
        cluster.add_node("halo2", [CODER])
        halo1.daemon.kill()
        halo1.wait_state("offline")
        asked = [Waiting(cluster, name) for name in ("ask", FAST)]
        cluster.wait_queued(2)
        for words in (("--mode", "ask"), ("--model", FAST)):
            shown = explained(cluster, *words)
            assert "Waits for halo1, which is away.\n" in shown, shown
        assert mode(cluster, "ask")["reason"] == "halo1, which has the model, is away", mode(cluster, "ask")
        # Others are served past them.
        answer = cluster.ask("code", "hello", max_tokens=2)
        assert answer.headers["X-Modemesh-Node"] == "halo2", answer.body
        assert cluster.queued() == 2
        halo1.start()
        for waiting in asked:
            answer = waiting.end()
            assert answer.status == 200 and answer.headers["X-Modemesh-Node"] == "halo1", answer.body
            assert " s in the queue" in answer.headers["X-Modemesh-Reason"], answer.headers.as_string()
        assert "Goes to " in explained(cluster, "--mode", "ask")


def a_stream_is_told_whom_it_waits_for():
    with Mesh(MODES) as cluster:
        halo1 = cluster.add_node("halo1", [FAST])
        halo1.daemon.kill()
        halo1.wait_state("offline")
        connection = cluster.connection()
        stream = mesh.Stream(connection, chat("ask", "hello", temperature=0))
        opened = stream.open()  # headers come after 15 s
        assert opened.status == 200 and "halo1, which has the model, is away" in opened.headers["X-Modemesh-Reason"]
        halo1.start()
        stream.read_all()
        assert stream.finish == "stop" and stream.content and not stream.error, stream.error


def a_node_that_sleeps_is_waited_for():
    with Mesh(MODES) as cluster:
        laptop = cluster.add_node("laptop", [FAST])
        laptop.daemon.signal(signal.SIGSTOP)
        laptop.wait_state("offline")
        waiting = Waiting(cluster, "ask")
        cluster.wait_queued(1)
        laptop.daemon.signal(signal.SIGCONT)
        assert waiting.end().status == 200, waiting.answer.body


def what_a_node_had_begun_is_begun_again():
    with Mesh(MODES) as cluster:
        halo1 = cluster.add_node("halo1", [FAST])
        engine = halo1.engine(FAST)
        engine.freeze()
        waiting = Waiting(cluster, "ask")
        cluster.wait_running(1)
        halo1.daemon.kill()
        cluster.wait_queued(1)
        wait_until("the engine is gone", lambda: not mesh.read_proc(engine.pid, "cmdline"))
        halo1.start()
        assert waiting.end().status == 200, waiting.answer.body


def what_a_node_had_begun_goes_by_another_rule():
    """Where no node has the model of the one that it came by; and so does what waits behind it."""
    modes = {"code": {"models": [FAST, CODER], "up-to": {"1k": [FAST]}}}
    with Mesh(modes) as cluster:
        halo1 = cluster.add_node("halo1", [FAST], slots=1)
        cluster.add_node("halo2", [CODER])
        halo1.engine(FAST).freeze()
        asked = [Waiting(cluster, "code") for _ in range(3)]  # one lies beside the slot, one waits
        cluster.wait_running(2)
        cluster.wait_queued(1)
        halo1.daemon.kill()
        for waiting in asked:
            answer = waiting.end()
            assert answer.status == 200 and answer.headers["X-Modemesh-Node"] == "halo2", answer.body
            reason = answer.headers["X-Modemesh-Reason"]
            assert reason.startswith(f"code up to 1k: {FAST}; no node has one of those for it now; "), reason
        answer = cluster.ask("code", "hello", max_tokens=2)
        assert answer.headers["X-Modemesh-Reason"].startswith("code where no rule's model can: "), answer.headers.as_string()


def its_names_are_known_meanwhile():
    with Mesh({"code": [CODER]}) as cluster:
        halo1 = cluster.add_node("halo1", [FAST])  # which no mode names
        halo1.daemon.kill()
        halo1.wait_state("offline")
        waiting = Waiting(cluster, FAST)
        cluster.wait_queued(1)
        answer = cluster.ask("nobody's", "hello")
        assert answer.status == 404, answer.body
        halo1.start()
        assert waiting.end().status == 200, waiting.answer.body


def who_does_not_wait_is_told():
    modes = {"ask": [FAST], "brief": {"models": [FAST], "patience": "1s"}, "once": {"models": [FAST], "when-none": "refuse"},
             "else": {"models": [FAST], "when-none": "code"}, "code": [CODER]}
    with Mesh(modes) as cluster:
        halo1 = cluster.add_node("halo1", [FAST])
        cluster.add_node("halo2", [CODER])
        answer = cluster.ask("code", "hello", max_tokens=2)
        assert answer.status == 200, answer.body
        halo1.daemon.kill()
        halo1.wait_state("offline")
        answer = cluster.ask("brief", "hello")
        assert answer.status == 503 and "halo1, which has the model, is away; waited 1." in answer.error(), answer.body
        assert " s, as long as the mode's patience; " in answer.error(), answer.body
        answer = cluster.ask("once", "hello")
        assert answer.status == 503 and "no connected node has the model" in answer.error(), answer.body
        assert "Is refused: no connected node has the model.\n" in explained(cluster, "--mode", "once")
        answer = cluster.ask("else", "hello", max_tokens=2)
        assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == "code", answer.body
        assert f"Goes to {CODER} on halo2 now" in explained(cluster, "--mode", "else")
        # Who may not come back is waited for no longer.
        waiting = Waiting(cluster, "ask")
        cluster.wait_queued(1)
        assert cluster.owner("nodes", "revoke", "halo1").returncode == 0
        answer = waiting.end()
        assert answer.status == 503 and "no connected node has the model" in answer.error(), answer.body


def another_model_of_the_mode_answers_meanwhile():
    modes = {"ask": {"models": [FAST, CODER], "up-to": {"4k": [FAST], "8k": [CODER]}},
             "strict": {"models": [FAST, CODER], "up-to": {"4k": [FAST]}, "quality": {FAST: 60, CODER: 50}, "floor": 60,
                        "patience": "1s"}}
    with Mesh(modes) as cluster:
        cluster.add_node("halo2", [CODER])
        # No node has had the first rule's model.
        answer = cluster.ask("ask", "hello", max_tokens=2)
        assert answer.headers["X-Modemesh-Reason"].startswith(f"ask up to 8k: {CODER}; "), answer.headers.as_string()
        halo1 = cluster.add_node("halo1", [FAST])
        answer = cluster.ask("ask", "hello", max_tokens=2)
        assert answer.headers["X-Modemesh-Reason"].startswith(f"ask up to 4k: {FAST}; "), answer.headers.as_string()
        halo1.daemon.kill()
        halo1.wait_state("offline")
        answer = cluster.ask("ask", "hello", max_tokens=2)
        assert answer.headers["X-Modemesh-Reason"].startswith(f"ask up to 8k: {CODER}; "), answer.headers.as_string()
        assert f"Goes to {CODER} on halo2" in explained(cluster, "--mode", "ask")
        # The other one is not good enough.
        answer = cluster.ask("strict", "hello", max_tokens=2)
        assert answer.status == 503 and "halo1, which has the model, is away; waited " in answer.error(), answer.body


if __name__ == "__main__":
    mesh.run(a_request_waits_until_its_node_is_back, a_stream_is_told_whom_it_waits_for, a_node_that_sleeps_is_waited_for,
             what_a_node_had_begun_is_begun_again, what_a_node_had_begun_goes_by_another_rule,
             its_names_are_known_meanwhile, who_does_not_wait_is_told, another_model_of_the_mode_answers_meanwhile)
