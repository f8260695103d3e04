"""Modes, models and refusals, as an editor sees them: a coordinator, three nodes, the real engine."""

import contextlib
import json
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import CODER, ENDLESS, FAST, THINKER, Answer, Mesh, chat, wait_until

MODES = {
    "ask": [FAST, THINKER],
    "code": [CODER, FAST],
    "architect": [THINKER, FAST],
    "debug": [THINKER, CODER],
}
BODY_MAX = 32 * 1024 * 1024
NODES = {"workstation": [FAST, CODER], "halo1": [THINKER], "halo2": [FAST, THINKER]}


@contextlib.contextmanager
def three_nodes():
    with Mesh(MODES) as cluster:
        for name, models in NODES.items():
            cluster.add_node(name, models)
        yield cluster


def assert_served(answer, mode, model):
    assert answer.status == 200, answer.body
    assert answer.headers["X-Modemesh-Mode"] == mode, answer.headers.as_string()
    assert answer.headers["X-Modemesh-Model"] == model, answer.headers.as_string()
    assert model in NODES[answer.headers["X-Modemesh-Node"]], answer.headers.as_string()
    assert answer.headers["X-Modemesh-Request"] and answer.headers["X-Modemesh-Reason"]
    assert answer.content().strip() and answer.json()["choices"][0]["finish_reason"] == "stop", answer.body


def models_of_modes(cluster):
    return {mode["name"]: mode["models"] for mode in cluster.status()["modes"]}


def four_modes_answer_from_their_models():
    with three_nodes() as cluster:
        for mode, models in MODES.items():
            assert_served(cluster.ask(mode, "what is modemesh?", temperature=0), mode, models[0])


def auto_is_ask_and_a_model_is_that_model():
    with three_nodes() as cluster:
        assert_served(cluster.ask("auto", "hello", temperature=0), "ask", FAST)
        answer = cluster.ask(CODER, "hello", temperature=0)
        assert answer.status == 200 and answer.headers["X-Modemesh-Model"] == CODER, answer.body
        assert answer.headers["X-Modemesh-Node"] == "workstation"
        listed = {entry["id"] for entry in cluster.get("/v1/models").json()["data"]}
        assert {*(f"mesh-{mode}" for mode in MODES), "mesh-auto", FAST, CODER, THINKER} <= listed, listed


def add_called(cluster, name, model, aliases):
    """A node with one resident model that has aliases."""
    node = cluster.add_node(name, [model], start=False)
    config = json.loads(node.config.read_text())
    node.config.write_text(json.dumps({**config, "model-settings": {model: {"aliases": aliases}}}))
    node.start()
    node.wait_resident(model)
    return node


def an_alias_is_a_name_like_any_other():
    with Mesh({"code": ["coder"]}) as cluster:
        halo1 = add_called(cluster, "halo1", FAST, ["coder", "nick"])
        halo2 = add_called(cluster, "halo2", CODER, ["coder", FAST])
        first = min(FAST, CODER)  # of two models with one alias
        done = cluster.owner("models", "load", "nick", "--context", "512")
        assert done.returncode == 0 and halo1.model(FAST)["context"] == 512, (done.stdout, done.stderr)
        for name, model in (("nick", FAST), ("coder", first), ("code", first), (FAST, FAST)):
            answer = cluster.ask(name, "hello", max_tokens=2)
            assert answer.status == 200 and answer.json()["model"] == model, (name, answer.body)
        listed = sorted(entry["id"] for entry in cluster.get("/v1/models").json()["data"])
        assert listed == sorted(["mesh-code", "mesh-auto", FAST, CODER, "coder", "nick"]), listed
        assert listed == sorted(entry["name"] for entry in cluster.get("/api/tags").json()["models"])
        told = {(name, entry["alias"]): entry["model"] for node, name in ((halo1, FAST), (halo2, CODER))
                for entry in node.model(name)["aliases_of_others"]}
        assert told == {(max(FAST, CODER), "coder"): first, (CODER, FAST): FAST}, told
        shown = " ".join(cluster.cli("models").stdout.split())
        assert f"its alias coder means {first}" in shown, shown
        answer = cluster.ask("nic", "hello")
        assert answer.status == 404 and "nick" in answer.error(), answer.body


def next_model_answers_when_a_node_dies():
    with three_nodes() as cluster:
        assert_served(cluster.ask("code", "hello", temperature=0), "code", CODER)
        workstation = cluster.nodes["workstation"]
        workstation.daemon.kill()
        workstation.wait_state("offline")
        answer = cluster.ask("code", "hello", temperature=0)
        assert_served(answer, "code", FAST)
        assert answer.headers["X-Modemesh-Node"] == "halo2"
        # Its engine's socket stays behind, as after any crash; the next start of the node cleans up.
        workstation.start()
        workstation.wait_resident(CODER)
        assert_served(cluster.ask("code", "hello", temperature=0), "code", CODER)


def a_prompt_too_long_for_a_mode_goes_to_the_next():
    modes = {"ask": {"models": [FAST], "when-none": "code"}, "code": [CODER], "debug": {"models": [CODER], "when-none": "ask"}}
    with Mesh(modes) as cluster:
        cluster.add_node("halo1", [FAST], slots=1, engine={"context": 512})
        cluster.add_node("halo2", [CODER], slots=1, engine={"context": 2048})
        answer = cluster.ask("ask", "hello", max_tokens=2)
        assert answer.headers["X-Modemesh-Mode"] == "ask", answer.headers.as_string()
        answer = cluster.ask("ask", "hello " * 400, max_tokens=2)
        assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == "code", (answer.status, answer.body)
        shown = cluster.cli("explain", "--mode", "ask", "--tokens", "1000").stdout
        assert ("The mode ask has none for it, and code is asked instead: prompt and answer are longer than the context of "
                "each node, of at most 512 tokens.\n") in shown and f"Goes to {CODER} on halo2 now" in shown, shown
        # Too long for both, in either order: the longest says so.
        for name in ("ask", "debug"):
            answer = cluster.ask(name, "hello " * 8000, max_tokens=2)
            assert answer.status == 400 and "(2048 tokens)" in answer.error(), (answer.status, answer.body)


def what_is_too_long_for_all_loads_no_model():
    with Mesh({"ask": [FAST]}) as cluster:
        idle = cluster.add_node("halo1", [], [FAST], slots=1)
        wait_until("its model is told", lambda: idle.model(FAST))
        answer = cluster.ask("ask", "hello " * 8000, max_tokens=2)
        assert answer.status == 400, (answer.status, answer.body)
        error = json.loads(answer.body)["error"]
        assert error["code"] == "context_length_exceeded" and error["param"] == "messages", error
        assert f" tokens, and the longest context, that of {FAST}, is 1024: prompt is too long, maximum context" in \
            error["message"], error
        shown = cluster.cli("explain", "--mode", "ask", "--tokens", "12000").stdout
        assert f"about 12000 tokens, and the longest context, that of {FAST}, is 1024" in shown, shown
        # Where one is loaded it counts them.
        loaded = cluster.add_node("halo2", [FAST], slots=1)
        answer = cluster.ask("ask", "hello " * 8000, max_tokens=2)
        assert answer.status == 400 and "exceeds the available context size (1024 tokens)" in answer.error(), answer.body
        assert answer.headers["X-Modemesh-Node"] == "halo2", answer.headers.as_string()
        shown = cluster.cli("explain", "--mode", "ask", "--tokens", "12000").stdout
        assert "longer than every context: its engine counts the tokens" in shown, shown
        assert loaded.model(FAST)["state"] == "resident" and idle.model(FAST)["state"] == "available"


def a_node_that_drains_does_not_say_how_long_a_prompt_may_be():
    with Mesh({"ask": [FAST]}) as cluster:
        longest = cluster.add_node("halo1", [FAST], slots=1, engine={"context": 2048})
        cluster.add_node("halo2", [FAST], slots=1)
        assert cluster.owner("nodes", "drain", "halo1").returncode == 0
        wait_until(lambda: f"it drains, now {longest.status()}", lambda: longest.status()["draining"])
        answer = cluster.ask("ask", "hello " * 2000, max_tokens=2)
        assert answer.status == 400 and "exceeds the available context size (1024 tokens)" in answer.error(), answer.body
        assert answer.headers["X-Modemesh-Node"] == "halo2", answer.headers.as_string()
        assert longest.model(FAST)["state"] == "resident"


def a_line_in_the_config_moves_the_mode():
    with three_nodes() as cluster:
        assert_served(cluster.ask("ask", "hello", temperature=0), "ask", FAST)
        cluster.write_modes({**MODES, "ask": [THINKER]})
        cluster.coordinator.signal(signal.SIGHUP)
        wait_until("SIGHUP moves the mode", lambda: {"ask": [THINKER]}.items() <= models_of_modes(cluster).items())
        assert_served(cluster.ask("ask", "hello", temperature=0), "ask", THINKER)

        cluster.write_modes({**MODES, "ask": [CODER]})
        assert cluster.coordinator.stop() == 0
        cluster.start_coordinator()
        for name, models in NODES.items():
            cluster.nodes[name].wait_resident(*models)
        assert_served(cluster.ask("ask", "hello", temperature=0), "ask", CODER)


def a_bad_config_changes_nothing_on_reload():
    with Mesh({"ask": [FAST]}) as cluster:
        cluster.add_node("halo2", [FAST])
        cluster.config.write_text('{"modes": {"ask": {"modles": ["x"]}}}')
        cluster.coordinator.signal(signal.SIGHUP)
        wait_until("the coordinator says what is wrong", lambda: "modles" in cluster.coordinator.text())
        assert "models" in cluster.coordinator.text(), "the nearest known key is not named"
        assert cluster.ask("ask", "hello").status == 200


def yaml_blocks(path):
    return [block.partition("```")[0] for block in path.read_text().split("```yaml\n")[1:]]


def what_the_readme_shows_can_be_copied():
    blocks = yaml_blocks(mesh.REPO / "README.md")
    assert blocks, "the README shows no config"
    for block in blocks:
        with Mesh() as cluster:
            assert cluster.coordinator.stop() == 0
            cluster.config.write_text(block)
            cluster.start_coordinator()
            modes = {mode["name"]: mode for mode in cluster.status()["modes"]}
            assert not cluster.status()["modes_derived"] and len(modes) > 1, modes
            assert modes["code"]["next"] in modes, modes["code"]


def reload_config(cluster, **config):
    """A coordinator's config, read again; JSON is YAML."""
    cluster.config.write_text(json.dumps(config))
    cluster.coordinator.signal(signal.SIGHUP)


def a_reload_says_what_needs_a_restart():
    with Mesh({"ask": [FAST]}) as cluster:
        modes = {"modes": {"ask": {"models": [CODER]}}}
        reload_config(cluster, **modes, **{"tls-names": ["attic"], "membership": "7d"})
        wait_until("the new modes count", lambda: models_of_modes(cluster) == {"ask": [CODER]})
        told = [line for line in cluster.coordinator.text().splitlines() if "needs a restart to count" in line]
        assert len(told) == 2 and all("the old one stays" in line for line in told), told
        for key, line in zip(("tls-names", "membership"), told):
            assert f"key={key} " in line and f"at={cluster.config}:1" in line, told

        cluster.config.write_text('{"modes": {"ask": {"models": ["x"], "when-none": "nobody"}}, "membership": "8d"}')
        cluster.coordinator.signal(signal.SIGHUP)
        wait_until("the coordinator says what is wrong", lambda: "settings not reloaded; the old ones stay" in
                   cluster.coordinator.text())
        last = cluster.coordinator.text().splitlines()[-1]
        assert "nobody" in last and "when-none" in last and str(cluster.config) in last, last
        assert models_of_modes(cluster) == {"ask": [CODER]}, models_of_modes(cluster)


POLICY = {
    "ask": {"models": [FAST, THINKER], "quality": {FAST: 50, THINKER: 80}, "up-to": {"2k": [FAST], "8k": [THINKER]},
            "floor": 60, "floor-up-to": {"2k": 50}, "when-none": "code", "patience": "20m"},
    "code": {"models": [CODER], "when-none": "refuse"},
}


def a_policy_is_shown_and_words_mean_modes():
    with Mesh(POLICY) as cluster:
        cluster.add_node("workstation", [FAST, CODER])
        reload_config(cluster, modes=POLICY, **{
            "mode-aliases": {"review": "code"}, "model-aliases": {"gpt-4o": "ask", "claude-*": "review"}})
        wait_until("the aliases are there", lambda: any(not alias["known"] for alias in cluster.status()["aliases"]))
        for name, mode, model in (("review", "code", CODER), ("mesh-review", "code", CODER), ("agent", "code", CODER),
                                  ("fast", "ask", FAST), ("gpt-4o", "ask", FAST), ("claude-opus-4", "code", CODER)):
            assert_served(cluster.ask(name, "hello", temperature=0), mode, model)
        listed = {entry["id"] for entry in cluster.get("/v1/models").json()["data"]}
        assert {"mesh-review", "gpt-4o"} <= listed and not {"mesh-agent", "claude-*"} & listed, listed
        key = cluster.owner("keys", "create", "bot", "--models", "gpt-4o")
        assert key.returncode == 1 and '"gpt-4o" is the mode ask, and no model' in key.stderr, key
        key = cluster.owner("keys", "create", "bot", "--modes", "gpt-4o")
        assert key.returncode == 0 and '"gpt-4o" is the mode ask: the key is for that.\n' in key.stderr, key
        bot = {"Authorization": f"Bearer {key.stdout.strip()}"}
        answer = cluster.post("/v1/chat/completions", json.dumps(chat("gpt-4o", "hello", temperature=0)), bot)
        assert_served(answer, "ask", FAST)
        answer = cluster.post("/v1/chat/completions", json.dumps(chat("claude-opus-4", "hello")), bot)
        assert answer.status == 403 and '"code"' in answer.error(), answer.body
        shown = " ".join(cluster.cli("modes").stdout.split())
        for words in (f"{FAST} 50, {THINKER} 80", "asks code", "refuses", f"ask up to 2k {FAST} 50",
                      f"ask up to 8k {THINKER} 60", "ask above 8k any that holds it 60", "claude-* review config",
                      "agent code what editors say"):
            assert words in shown, (words, shown)
        told = json.loads(cluster.cli("modes", "--json").stdout)
        ask = next(mode for mode in told["modes"] if mode["name"] == "ask")
        assert [rule["up_to"] for rule in ask["rules"]] == [2048, 8192] and ask["patience_ms"] == 1_200_000, ask
        assert not told["derived"] and {"gpt-4o", "claude-*", "review", "fast"} <= {a["name"] for a in told["aliases"]}


def the_mode_that_takes_the_place_of_another_says_so():
    with Mesh({"code": {"models": [CODER], "when-none": "ask"}, "ask": [FAST, THINKER],
               "debug": {"models": ["absent"], "when-none": "review"}, "review": ["absent"]}) as cluster:
        cluster.add_node("workstation", [FAST])
        answer = cluster.ask("code", "hello", temperature=0)
        assert_served(answer, "ask", FAST)
        reason = answer.headers["X-Modemesh-Reason"]
        assert reason.startswith(f"code has none for it; ask any model: {FAST}"), reason
        told = cluster.cli("explain", "--mode", "code", "--tokens", "20").stdout
        assert told.startswith("The mode code has none for it, and ask is asked instead: no connected node has the model.\n"
                               f"Rule: ask any model: {FAST}"), told
        cluster.add_node("halo1", [CODER, THINKER])
        tool = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}
        answer = cluster.ask("mesh-code", "hello", tools=[tool])
        assert answer.status == 400, answer.body
        assert (f'"mesh-code" ({CODER}) has none for it, and "ask" ({FAST}, …) cannot call tools' in answer.error()
                ), answer.error()
        answer = cluster.ask("debug", "hello")
        assert answer.status == 503 and 'serve "debug" now, nor "review" in its place: ' in answer.error(), answer.body


def what_makes_no_sense_is_named_and_changes_nothing():
    with Mesh({"ask": [FAST]}) as cluster:
        cluster.add_node("halo2", [FAST])
        for config, words in (
                ({"mode-aliases": {"agent": "coding"}}, 'agent\\" means \\"coding\\", which is no mode'),
                ({"model-aliases": {"gpt-4": "nobody"}}, "which is neither a mode nor a model of one"),
                ({"modes": {"ask": {"models": [FAST], "up-to": {"8k": ["fats"]}}}}, "up-to 8k of mode"),
                ({"modes": {"ask": {"models": [FAST], "when-none": "help"}}}, "write wait, refuse or the name of one")):
            reload_config(cluster, **{"modes": {"ask": {"models": [FAST]}}, **config})
            wait_until(lambda: f"the log says: {words}", lambda: words in cluster.coordinator.text())
            assert "coordinator.yaml:1: " in cluster.coordinator.text(), cluster.coordinator.text()
        assert cluster.ask("ask", "hello").status == 200


def policies(cluster):
    """The modes as they are in force, less what answers now."""
    return {mode["name"]: {key: value for key, value in mode.items() if key not in ("now", "reason", "waiting")}
            for mode in cluster.status()["modes"]}


def modes_are_derived_and_can_be_kept():
    with Mesh() as cluster:
        reload_config(cluster)
        wait_until("the config has no modes", lambda: cluster.status()["modes_derived"])
        assert not cluster.status()["modes"]
        assert "no node has a model to derive them from" in cluster.cli("modes").stdout
        cluster.add_node("workstation", [FAST, CODER])
        cluster.add_node("halo1", [THINKER])
        wait_until("all models are in a mode",
                   lambda: {FAST, CODER, THINKER} == set(models_of_modes(cluster).get("code", [])))
        assert models_of_modes(cluster)["code"][0] == CODER, models_of_modes(cluster)
        assert "modes derived from what the nodes have" in cluster.coordinator.text()
        assert "Derived from what the nodes have" in cluster.cli("modes").stdout
        assert_served(cluster.ask("code", "hello", temperature=0), "code", CODER)
        derived = policies(cluster)

        kept = cluster.cli("modes", "--suggest")
        assert kept.returncode == 0 and kept.stdout.startswith("# Derived"), (kept.stdout, kept.stderr)
        cluster.config.write_text(kept.stdout)
        cluster.coordinator.signal(signal.SIGHUP)
        wait_until("they are the config's", lambda: not cluster.status()["modes_derived"])
        assert policies(cluster) == derived, (policies(cluster), derived)
        assert cluster.cli("modes", "--suggest").stdout.partition("\n")[2] == kept.stdout.partition("\n")[2]

        # Its nodes are away: its modes are still there, and say so.
        reload_config(cluster)
        wait_until("they are derived again", lambda: cluster.status()["modes_derived"] and policies(cluster) == derived)
        cluster.nodes["halo1"].daemon.kill()
        cluster.nodes["halo1"].wait_state("offline")
        assert THINKER in models_of_modes(cluster)["ask"], models_of_modes(cluster)


def a_name_that_cannot_be_announced_is_refused():
    with Mesh() as cluster:
        for name in ("my box", "büro", ""):
            second = cluster.spawn("second", "modemesh-coordinator", "--state", cluster.folder / "second", "--name",
                                   name, "--print-key")
            assert second.popen.wait(mesh.DEADLINE_S) == 1, name
            assert "--name" in second.text(), second.text()


def unknown_model_is_404_and_names_the_known():
    with three_nodes() as cluster:
        answer = cluster.ask("gpt-5", "hello")
        assert answer.status == 404 and "gpt-5" in answer.error(), answer.body
        for name in (*MODES, FAST, CODER, THINKER):
            assert name in answer.error(), f"{name} is not in: {answer.error()}"


def broken_requests_are_refused_in_the_api_s_shape():
    with Mesh({"ask": [FAST]}) as cluster:
        answer = cluster.post("/v1/chat/completions", '{"model": "ask",\n  oops}')
        assert answer.status == 400 and "line 2, column 3" in answer.error(), answer.body
        for body in ("", "[]", "{}", '{"model": 7, "messages": []}', "[" * 100_000):
            answer = cluster.post("/v1/chat/completions", body)
            assert answer.status == 400, (body[:80], answer.status, answer.body)
            assert {"message", "type", "param", "code"} <= answer.json()["error"].keys(), answer.body
        assert cluster.get("/v1/nothing").status == 404
        assert cluster.get("/v1/chat/completions").status == 405


def a_body_past_the_limit_is_413():
    with Mesh({"ask": [FAST]}) as cluster:
        answer = cluster.post("/v1/chat/completions", b" " * (BODY_MAX + 1))
        assert answer.status == 413 and answer.error(), answer.body
        # A promise that nobody would want to read to its end is refused before it is kept.
        connection = cluster.connection()
        with contextlib.closing(connection):
            connection.putrequest("POST", "/v1/chat/completions")
            connection.putheader("Content-Length", str(1000 * BODY_MAX))
            connection.endheaders()
            answer = Answer(connection.getresponse())
        assert answer.status == 413 and answer.error(), answer.body
        assert cluster.get("/health").json()["status"] == "ok"


def without_a_node_it_is_503_with_a_time_to_come_back():
    with Mesh({"ask": [FAST]}) as cluster:
        for extra in ({}, {"stream": True}):
            answer = cluster.ask("ask", "hello", **extra)
            assert answer.status == 503 and "ask" in answer.error(), answer.body
            assert int(answer.headers["Retry-After"]) > 0


def tokens_come_one_by_one():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = cluster.add_node("halo2", [FAST]).engine(FAST)
        stream = cluster.stream("ask", "hello", **ENDLESS)
        assert stream.open().status == 200
        assert stream.open().getheader("Content-Type").startswith("text/event-stream")
        # The generation has no end, so whatever arrives arrives before it.
        for chunks in (1, 2, 20):
            stream.read_content(chunks)
            assert stream.finish is None and engine.busy() == 1
        stream.close()
        wait_until("the engine's slot is free", lambda: engine.busy() == 0)


def a_stream_is_what_the_whole_answer_is():
    with Mesh({"ask": [FAST]}) as cluster:
        cluster.add_node("halo2", [FAST])
        whole = cluster.ask("ask", "what is a node?", temperature=0)
        stream = cluster.stream("ask", "what is a node?", temperature=0).read_all()
        assert stream.content == whole.content() and stream.chunks > 5
        assert stream.finish == "stop" and stream.done and stream.error is None
        assert json.loads(whole.body)["usage"]["completion_tokens"] > 5


if __name__ == "__main__":
    mesh.run(
        four_modes_answer_from_their_models,
        auto_is_ask_and_a_model_is_that_model,
        an_alias_is_a_name_like_any_other,
        next_model_answers_when_a_node_dies,
        a_prompt_too_long_for_a_mode_goes_to_the_next,
        what_is_too_long_for_all_loads_no_model,
        a_node_that_drains_does_not_say_how_long_a_prompt_may_be,
        a_line_in_the_config_moves_the_mode,
        a_bad_config_changes_nothing_on_reload,
        what_the_readme_shows_can_be_copied,
        a_reload_says_what_needs_a_restart,
        a_policy_is_shown_and_words_mean_modes,
        the_mode_that_takes_the_place_of_another_says_so,
        what_makes_no_sense_is_named_and_changes_nothing,
        modes_are_derived_and_can_be_kept,
        a_name_that_cannot_be_announced_is_refused,
        unknown_model_is_404_and_names_the_known,
        broken_requests_are_refused_in_the_api_s_shape,
        a_body_past_the_limit_is_413,
        without_a_node_it_is_503_with_a_time_to_come_back,
        tokens_come_one_by_one,
        a_stream_is_what_the_whole_answer_is,
    )
