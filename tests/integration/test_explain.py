"""What `modemesh explain` and the NOW of the modes say, held against what the live request then gets: real nodes and
engines, whose answers go on until the test ends them."""

import contextlib
import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import gguf_patch
import mesh
from mesh import CODER, ENDLESS, FAST, MODELS, THINKER, Mesh, chat

MEAN = 1  # llama.cpp's number of a way of pooling
FULL = "every instance that could serve it soon is full"
TOOL = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}


def explained(cluster, mode, *words, **env):
    done = cluster.cli("explain", "--mode", mode, *words, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(cluster, mode, *words):
    return json.loads(explained(cluster, mode, "--json", *words))


def now(cluster, mode, headers=None):
    modes = cluster.get("/mesh/v1/status", headers).json()["modes"]
    return next(entry for entry in modes if entry["name"] == mode)


def hold(cluster, stack, model, count):
    """So many answers without end, the first two of them under way: they have a slot before a third is asked for, which an
    engine might take first."""
    streams = []
    for i in range(count):
        streams.append(cluster.stream(model, f"tell me story {i}", **ENDLESS))
        stack.callback(streams[-1].close)
        if i < 2:
            streams[-1].read_content(1)
    cluster.wait_running(count)
    return streams


def who_holds_all_slots_beside_others_is_told_what_it_gets():
    modes = {"one": {"models": [FAST], "when-none": "refuse"}, "ask": [FAST], "code": [CODER]}
    with Mesh(modes) as cluster, contextlib.ExitStack() as stack:
        cluster.add_node("halo1", [FAST])
        cluster.add_node("halo2", [CODER])
        made = cluster.owner("keys", "create", "neighbour")
        assert made.returncode == 0, made.stderr
        key = made.stdout.strip()
        neighbour = {"Authorization": f"Bearer {key}"}
        answer = cluster.post("/v1/chat/completions", json.dumps(chat("code", "hello", max_tokens=2)), neighbour)
        assert answer.status == 200, answer.body
        hold(cluster, stack, FAST, 2)
        waiting = []
        for queued in range(2):  # nothing waits; one does
            shown = explained(cluster, "one")
            assert f"Is refused: {FULL}.\n" in shown and "chosen, and full now" in shown, shown
            assert now(cluster, "one")["now"] is None and now(cluster, "one")["reason"] == FULL, now(cluster, "one")
            answer = cluster.ask("one", "hello", max_tokens=2)
            assert answer.status == 503 and FULL in answer.error(), answer.body
            assert f"Waits for {FAST} on halo1: {FULL}.\n" in explained(cluster, "ask")
            entry = now(cluster, "ask")
            assert entry["now"] is None and entry["waits_for"] == {"model": FAST, "node": "halo1"}, entry
            assert f"waits for {FAST} halo1" in " ".join(cluster.cli("modes").stdout.split())
            waiting.append(cluster.stream("ask", "hello", max_tokens=2))
            stack.callback(waiting[-1].close)
            cluster.wait_queued(queued + 1)
        # What is left beside the slots is the other client's.
        assert f"Goes to {FAST} on halo1 now" in explained(cluster, "ask", MODEMESH_KEY=key)
        assert now(cluster, "ask", neighbour)["now"] == {"model": FAST, "node": "halo1"}, now(cluster, "ask", neighbour)


def a_mode_that_refuses_takes_no_more_than_the_slots():
    """Others are given one request beyond them, which waits inside the engine."""
    with Mesh({"one": {"models": [FAST], "when-none": "refuse"}, "ask": [FAST]}) as cluster, contextlib.ExitStack() as stack:
        cluster.add_node("halo1", [FAST])
        hold(cluster, stack, FAST, 2)
        assert f"Is refused: {FULL}.\n" in explained(cluster, "one")
        answer = cluster.ask("one", "hello", max_tokens=2)
        assert answer.status == 503 and FULL in answer.error(), answer.body
        assert f"Goes to {FAST} on halo1 now" in explained(cluster, "ask")
        stack.callback(cluster.stream("ask", "hello", max_tokens=2).close)
        cluster.wait_running(3)


def a_slot_that_is_free_elsewhere_is_not_the_one_that_is_waited_for():
    modes = {"debug": {"models": [THINKER, FAST], "quality": {THINKER: 100, FAST: 1}, "when-none": "refuse"}}
    with Mesh(modes) as cluster, contextlib.ExitStack() as stack:
        cluster.add_node("halo1", [THINKER])
        cluster.add_node("halo2", [FAST])
        streams = hold(cluster, stack, THINKER, 3)
        shown = explained(cluster, "debug")
        assert f"Waits for {THINKER} on halo1: another has a slot free, and costs more than to wait.\n" in shown, shown
        assert "chosen, and full now" in shown, shown
        live = cluster.stream("debug", "hello", max_tokens=2)
        stack.callback(live.close)
        cluster.wait_queued(1)
        for stream in streams:
            stream.close()
        assert live.open().status == 200 and live.open().getheader("X-Modemesh-Model") == THINKER


def assert_agree(entry, answer):
    """Explained as it was answered, and by which mode."""
    headers = answer.headers
    assert entry["mode"] == headers["X-Modemesh-Mode"], (entry, headers.as_string())
    chosen = entry["chosen"] or {"model": "-", "node": "-"}
    assert chosen == {"model": headers["X-Modemesh-Model"], "node": headers["X-Modemesh-Node"]}, (entry, headers.as_string())
    passed = "".join(f"{step['mode']} has none for it; " for step in entry["passed"])
    assert headers["X-Modemesh-Reason"].startswith(f"{passed}{entry['rule']}"), (entry, headers.as_string())


def assert_same(cluster, mode, text, tokens, **fields):
    words = ("--needs", "tools") if "tools" in fields else ()
    entry = told(cluster, mode, "--tokens", str(tokens), "--output", "2", *words)
    answer = cluster.ask(mode, text, max_tokens=2, **fields)
    assert_agree(entry, answer)
    return entry, answer


def the_modes_that_are_asked_instead_are_gone_through_to_their_end():
    modes = {"plan": {"models": ["absent"], "when-none": "ask"}, "ask": {"models": [FAST], "when-none": "code"},
             "code": [CODER], "debug": {"models": [CODER], "when-none": "last"}, "last": [FAST]}
    with Mesh(modes) as cluster:
        cluster.add_node("halo1", [FAST], slots=1, engine={"context": 512})
        cluster.add_node("halo2", [CODER], slots=1, engine={"context": 2048})
        entry, answer = assert_same(cluster, "plan", "hello", 20)
        assert entry["mode"] == "ask" and answer.status == 200, (entry, answer.body)
        entry = now(cluster, "plan")
        assert entry["now"] == {"model": FAST, "node": "halo1"}, entry
        assert entry["reason"] == "plan has none for it; ask: the only instance", entry
        entry, answer = assert_same(cluster, "plan", "hello " * 400, 1000)
        assert entry["mode"] == "code" and len(entry["passed"]) == 2 and answer.status == 200, (entry, answer.body)
        shown = explained(cluster, "plan", "--tokens", "1000")
        assert shown.startswith("The mode plan has none for it, and ask is asked instead: no connected node has the model.\n"
                                "The mode ask has none for it, and code is asked instead: prompt and answer are longer than "
                                "the context of each node, of at most 512 tokens.\n"
                                f"Rule: code any model: {CODER} ("), shown
        assert f"Goes to {CODER} on halo2 now: the only instance.\n" in shown, shown
        # Too long for all, in either order: the longest counts the tokens.
        for name, last in (("plan", "code"), ("debug", "debug")):
            entry, answer = assert_same(cluster, name, "hello " * 8000, 20000)
            assert entry["mode"] == last and "longer than every context" in entry["why"], entry
            assert answer.status == 400 and "(2048 tokens)" in answer.error(), answer.body
        # None takes tools.
        entry, answer = assert_same(cluster, "debug", "hello", 20, tools=[TOOL])
        assert entry["mode"] == "last" and entry["verdict"] == "none", entry
        assert answer.status == 400 and '"debug"' in answer.error() and "cannot call tools" in answer.error(), answer.body


def a_request_of_another_kind_goes_where_it_is_told_to_go():
    """FAST can but chat, CODER fills in the middle too, THINKER makes vectors and nothing else."""
    modes = {"code": [FAST], "ask": [THINKER], "debug": [CODER], "autocomplete": [CODER]}
    changes = {FAST: shutil.copy, CODER: gguf_patch.add_fim,
               THINKER: lambda source, target: gguf_patch.patch(source, target, {"llama.pooling_type": MEAN})}
    with Mesh(modes) as cluster:
        node = cluster.add_node("halo1", changes, start=False)
        for model, change in changes.items():
            change(MODELS / f"{model}.gguf", node.models / f"{model}.gguf")
        node.start()
        node.wait_resident(*changes)
        gap = {"input_prefix": "def ", "input_suffix": "()", "n_predict": 2}
        for mode, served in (("code", "autocomplete"), ("debug", "debug"), ("autocomplete", "autocomplete")):
            answer = cluster.post("/infill", json.dumps({"model": mode, **gap}))
            assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == served, answer.headers.as_string()
            assert_agree(told(cluster, mode, "--needs", "fim"), answer)
        answer = cluster.post("/v1/embeddings", json.dumps({"model": "ask", "input": "hello"}))
        assert answer.status == 200, answer.body
        assert_agree(told(cluster, "ask", "--needs", "embeddings"), answer)
        answer = cluster.ask("ask", "hello", max_tokens=2)
        assert answer.status == 400 and "cannot chat" in answer.error(), answer.body
        assert told(cluster, "ask")["verdict"] == "none"


if __name__ == "__main__":
    mesh.run(
        who_holds_all_slots_beside_others_is_told_what_it_gets,
        a_mode_that_refuses_takes_no_more_than_the_slots,
        a_slot_that_is_free_elsewhere_is_not_the_one_that_is_waited_for,
        the_modes_that_are_asked_instead_are_gone_through_to_their_end,
        a_request_of_another_kind_goes_where_it_is_told_to_go,
    )
