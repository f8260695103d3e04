"""A node by itself: its settings, its state directory, and what it says of an engine that fails."""

import json
import os
import pathlib
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import gguf_patch
import mesh
from mesh import CODER, FAST, MODELS, THINKER, Mesh, wait_until


def wait_log(daemon, *words):
    wait_until(lambda: f"{daemon.name} logs {words}",
               lambda: any(all(word in line for word in words) for line in daemon.text().splitlines()))


def write_config(node, **engine):
    config = json.loads(node.config.read_text())
    config["engine"].update(engine)
    node.config.write_text(json.dumps(config))


def a_reload_warns_and_looks_for_models():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST])
        shutil.copy(MODELS / f"{CODER}.gguf", node.models)
        write_config(node, **{"start-timeout": "7m"})
        node.daemon.signal(signal.SIGHUP)
        wait_log(node.daemon, "needs a restart to count; the old one stays", "engine.start-timeout", str(node.config))
        wait_until("the new model is offered", lambda: node.model(CODER))
        assert node.model(FAST)["slots"] == 2


def a_reload_takes_up_settings_of_models():
    """The engine of the one whose settings have changed is another afterwards; the other's is not."""
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST, CODER])
        wait_until("both are resident",
                   lambda: all(node.model(m)["state"] == "resident" for m in (FAST, CODER)))
        before = node.engine_pids()
        config = json.loads(node.config.read_text())
        config["model-settings"] = {FAST: {"slots": 1, "context": 512, "kv": "q8_0"}, "none": {"pin": True}}
        node.config.write_text(json.dumps(config))
        node.daemon.signal(signal.SIGHUP)
        wait_log(node.daemon, "setting of no use", "no model and no file of a model has this name")
        wait_until("the new settings count", lambda: node.model(FAST)["slots"] == 1)
        wait_until("it is resident again", lambda: node.model(FAST)["state"] == "resident")
        assert node.model(FAST)["context"] == 512, node.model(FAST)
        assert node.model(CODER)["slots"] == 2
        after = node.engine_pids()
        assert len(set(before) & set(after)) == 1, (before, after)


def a_reload_of_broken_settings_changes_nothing():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST])
        node.config.write_text("resident: [\n")
        node.daemon.signal(signal.SIGHUP)
        wait_log(node.daemon, "settings not reloaded", node.config.name)
        assert cluster.ask("ask", "hello", temperature=0).content()


def a_reload_takes_up_the_log_level():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST])
        node.config.write_text(json.dumps({**json.loads(node.config.read_text()), "log-level": "debug"}))
        assert "debug" not in node.daemon.text()
        node.daemon.signal(signal.SIGHUP)
        wait_until("the node answers", lambda: cluster.ask("ask", "hello", temperature=0).status == 200)
        wait_log(node.daemon, "debug")
        assert "needs a restart" not in node.daemon.text()


def a_state_directory_serves_one_node():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST])
        second = cluster.spawn("second", "modemesh-node", "--config", node.config, "--state", node.state,
                               "--coordinator", cluster.link)
        assert second.popen.wait(mesh.DEADLINE_S) == 1
        assert "another daemon" in second.text() and str(node.state) in second.text(), second.text()
        assert cluster.print_key("modemesh-node", node.state) == node.key
        assert cluster.ask("ask", "hello", temperature=0).content()


def an_engine_that_cannot_run_names_the_way_out():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST], start=False)
        write_config(node, command=["/nonexistent/engine"])
        node.start()
        wait_until(lambda: f"the engine has failed, now {node.model(FAST)}",
                   lambda: node.model(FAST).get("state") == "failed")
        note = node.model(FAST)["note"]
        assert "the engine's command /nonexistent/engine cannot be run: No such file" in note and "set engine.command" in note, note


def a_prompt_past_the_context_is_the_clients_fault():
    with Mesh({"ask": [FAST]}) as cluster:
        cluster.add_node("halo1", [FAST])
        answer = cluster.ask("ask", "0" * 5000)
        error = answer.json()["error"]
        assert answer.status == 400 and error["code"] == "context_length_exceeded", answer.body
        assert "prompt is too long, maximum context length is 1024 tokens" in error["message"], error


def a_model_can_stand_back():
    """On busy processors the one that completes what is typed goes first."""
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [FAST, CODER], start=False)
        config = json.loads(node.config.read_text())
        config["engine"]["nice"] = 3
        config["model-settings"] = {CODER: {"nice": 0}}
        node.config.write_text(json.dumps(config))
        node.start()
        node.wait_resident(FAST, CODER)
        own = os.getpriority(os.PRIO_PROCESS, node.daemon.pid)
        assert os.getpriority(os.PRIO_PROCESS, node.engine(FAST).pid) == min(own + 3, 19)
        assert os.getpriority(os.PRIO_PROCESS, node.engine(CODER).pid) == own


def who_talks_stands_back_for_who_completes():
    """Nobody has said anything of niceness; engines compute on the processors."""
    with Mesh({"ask": [THINKER]}) as cluster:
        node = cluster.add_node("halo1", [FAST, THINKER], start=False)
        gguf_patch.add_fim(MODELS / f"{FAST}.gguf", node.models / f"{FAST}.gguf")
        for file in node.models.iterdir():
            if not file.is_symlink():  # nobody writes them any more: both are found in one look
                os.utime(file, (time.time() - 60,) * 2)
        node.start()
        node.wait_resident(FAST, THINKER)
        own = os.getpriority(os.PRIO_PROCESS, node.daemon.pid)
        assert os.getpriority(os.PRIO_PROCESS, node.engine(THINKER).pid) == min(own + 10, 19)
        assert os.getpriority(os.PRIO_PROCESS, node.engine(FAST).pid) == own


def an_idle_node_that_stops_says_so():
    with Mesh({"ask": [FAST]}) as cluster:
        node = cluster.add_node("halo1", [], available=[FAST])
        wait_until("the node has joined", lambda: node.model(FAST))
        assert node.daemon.stop() == 0
        wait_log(cluster.coordinator, "node gone", "it has shut down")


if __name__ == "__main__":
    mesh.run(
        a_reload_warns_and_looks_for_models,
        a_reload_takes_up_settings_of_models,
        a_reload_of_broken_settings_changes_nothing,
        a_reload_takes_up_the_log_level,
        a_state_directory_serves_one_node,
        an_engine_that_cannot_run_names_the_way_out,
        a_prompt_past_the_context_is_the_clients_fault,
        a_model_can_stand_back,
        who_talks_stands_back_for_who_completes,
        an_idle_node_that_stops_says_so,
    )
