"""Engines that run already. An Ollama stand-in is adopted, loaded, asked and unloaded: by the node's own parts (the test
named "real" of tests/unit/test_engines.c) and by a mesh; the stand-in tells what was really asked of it. A real
llama-server that was started by hand answers through the mesh and outlives the node."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import CODER, FAST, MODELS, THINKER, Mesh, wait_until
from ollama_standin import ANSWER, BYTES_PER_TOKEN, MODELS as OLLAMA_MODELS, OllamaStandin

LLAMA, CLOUD = "llama3.2:latest", "gpt-oss:120b-cloud"
MIB, GIB = 1 << 20, 1 << 30


def post(ollama, path, **body):
    """(status, text) of what the stand-in answers."""
    request = urllib.request.Request(ollama.url + path, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def asked(ollama, path):
    return [body for _, at, body in ollama.requests if at == path]


def adopt(ollama):
    program = pathlib.Path(os.environ["MODEMESH_BIN"]) / "test_engines"
    done = subprocess.run([program], env={**os.environ, "MODEMESH_OLLAMA": ollama.url}, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ok \d+ - test_a_real_ollama$", done.stdout, re.MULTILINE), done.stdout


def an_ollama_is_adopted_loaded_and_unloaded():
    with OllamaStandin() as ollama:
        adopt(ollama)
        assert ollama.loads(LLAMA) == 1, "it was loaded more than once: did a request ask for another context?"
        assert ollama.unloads(LLAMA) == 1
        assert ollama.loaded() == {}
        chat, = asked(ollama, "/v1/chat/completions")
        assert chat["model"] == LLAMA and chat["stream"] is True
        load = asked(ollama, "/api/generate")[0]
        assert load["keep_alive"] == "900s" and "options" not in load, load


def a_model_that_somebody_has_loaded_is_adopted_too():
    with OllamaStandin() as ollama:
        assert post(ollama, "/api/generate", model=LLAMA)[0] == 200
        adopt(ollama)
        assert ollama.loads(LLAMA) == 1


def what_another_computer_answers_is_not_touched():
    with OllamaStandin() as ollama:
        adopt(ollama)
        assert all((body or {}).get("model") != CLOUD for _, _, body in ollama.requests)


def the_standin_has_ollamas_trap():
    """A chat over OpenAI's endpoint cannot say num_ctx, and has the model loaded anew with the default."""
    with OllamaStandin() as ollama:
        post(ollama, "/api/generate", model=LLAMA, options={"num_ctx": 32768})
        assert ollama.loaded() == {LLAMA: 32768}
        post(ollama, "/v1/chat/completions", model=LLAMA, stream=True)
        assert ollama.loaded() == {LLAMA: 4096}
        assert ollama.loads(LLAMA) == 2


def the_standin_refuses_what_makes_no_sense():
    with OllamaStandin() as ollama:
        for wish in (0, -1, "8192", 1.5, True, None):
            assert post(ollama, "/api/generate", model=LLAMA, options={"num_ctx": wish})[0] == 400, wish
        assert post(ollama, "/v1/chat/completions", model=LLAMA, stream=True, num_ctx=8192)[0] == 400
        assert post(ollama, "/api/generate", model="nobody")[0] == 404
        assert post(ollama, "/api/generate", model="nomic-embed-text")[0] == 400
        ollama.memory_bytes = 1 << 30
        status, words = post(ollama, "/api/generate", model=LLAMA)
        assert status == 500 and "more system memory" in words
        assert ollama.loaded() == {}


# --- by a mesh


def listed(cluster):
    """{name: row} of `modemesh models`."""
    return {row["name"]: row for row in json.loads(cluster.cli("models", "--json").stdout)["models"]}


def logged(node, words):
    return [line for line in node.daemon.text().splitlines() if words in line]


def chat(cluster, model):
    answer = cluster.ask(model, "hello")
    assert answer.status == 200, answer.body
    return answer.content()


def a_mesh_loads_and_asks_an_ollama():
    with OllamaStandin() as ollama, Mesh() as cluster:
        node = cluster.add_node("halo1", [], available=[FAST], engines=[ollama.url])
        wait_until(lambda: f"the models are listed, now {listed(cluster)}", lambda: LLAMA in listed(cluster))
        models = listed(cluster)
        assert CLOUD not in models and models[LLAMA]["state"] == "available", models
        assert models[LLAMA]["engine"] == "ollama" and models[FAST]["engine"] == "llama-server", models
        assert "Ollama" in logged(node, "engine found")[0], node.daemon.text()
        assert ollama.loaded() == {}, "looking at it has loaded something"

        answer = cluster.stream(LLAMA, "hello").read_all()
        assert answer.content == "".join(ANSWER) and answer.finish == "stop" and answer.chunks > 1, vars(answer)
        assert ollama.loads(LLAMA) == 1
        node.wait_resident(LLAMA)
        assert listed(cluster)[LLAMA]["context"] == 4096
        assert chat(cluster, LLAMA) == "".join(ANSWER) and ollama.loads(LLAMA) == 1

        ollama.unload(LLAMA)
        wait_until("it is seen that Ollama has unloaded the model", lambda: node.model(LLAMA)["state"] == "available")
        assert node.model(LLAMA)["note"] == "", node.model(LLAMA)
        assert chat(cluster, LLAMA) == "".join(ANSWER) and ollama.loads(LLAMA) == 2
        assert node.daemon.stop() == 0
        assert ollama.loaded() == {}, "what the mesh has loaded outlives the node"


def a_kind_that_ollama_does_not_serve_is_refused():
    with OllamaStandin() as ollama, Mesh() as cluster:
        node = cluster.add_node("halo1", [], engines=[ollama.url])
        wait_until("the models are listed", lambda: node.model(LLAMA))
        answer = cluster.post("/tokenize", json.dumps({"model": LLAMA, "content": "hello"}))
        assert answer.status == 501, (answer.status, answer.body)


def an_ollama_makes_room_and_room_is_made_for_it():
    # It takes what the node expects of its size: 512 MiB more.
    models = {LLAMA: {**OLLAMA_MODELS[LLAMA], "size": GIB, "num_ctx": 512 * MIB // BYTES_PER_TOKEN}}
    with OllamaStandin(models=models) as ollama, Mesh() as cluster:
        node = cluster.add_node("halo1", [], available=[FAST, CODER, THINKER], engines=[ollama.url], start=False)
        node.memory_limit = "1547M"  # the model of Ollama's and one of ours (8 MB each), or three of ours
        node.start()
        wait_until("the models are listed", lambda: node.model(LLAMA))
        chat(cluster, LLAMA)
        chat(cluster, FAST)
        assert ollama.unloads(LLAMA) == 0
        chat(cluster, CODER)
        assert ollama.unloads(LLAMA) == 1 and ollama.loaded() == {}
        wait_until("it is available", lambda: node.model(LLAMA)["state"] == "available")
        chat(cluster, THINKER)
        assert chat(cluster, LLAMA) == "".join(ANSWER)
        assert ollama.loads(LLAMA) == 2 and len(node.engine_pids()) == 1


def what_somebody_has_loaded_is_used_and_left_alone():
    with OllamaStandin() as ollama, Mesh() as cluster:
        assert post(ollama, "/api/generate", model=LLAMA)[0] == 200
        node = cluster.add_node("halo1", [], engines=[ollama.url])
        node.wait_resident(LLAMA)
        assert node.model(LLAMA)["memory_bytes"] == ollama.ps()["models"][0]["size"]
        assert chat(cluster, LLAMA) == "".join(ANSWER)
        assert node.daemon.stop() == 0
        assert ollama.loads(LLAMA) == 1 and ollama.unloads(LLAMA) == 0
        assert len(asked(ollama, "/api/generate")) == 1, "somebody's model was loaded or unloaded by the mesh"


def an_ollama_that_stops_and_comes_back():
    with Mesh() as cluster:
        with OllamaStandin() as ollama:
            port = int(ollama.url.rpartition(":")[2])
            node = cluster.add_node("halo1", [FAST], engines=[ollama.url])
            wait_until("the models are listed", lambda: node.model(LLAMA))
            chat(cluster, LLAMA)
        wait_until(lambda: f"its models are gone, now {node.status()}", lambda: not node.model(LLAMA))
        assert chat(cluster, FAST)
        with OllamaStandin(port) as ollama:
            wait_until("its models are back", lambda: node.model(LLAMA))
            assert chat(cluster, LLAMA) == "".join(ANSWER) and ollama.loads(LLAMA) == 1
        assert len(logged(node, "engine found")) == 2 and len(logged(node, "no engine to use")) == 1, node.daemon.text()


class ByHand:
    """A llama-server that somebody has started, no child of the mesh."""

    def __init__(self, model):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.popen = subprocess.Popen(
            [os.environ["MODEMESH_LLAMA_SERVER"], "--model", MODELS / f"{model}.gguf", "--host", "127.0.0.1", "--port",
             str(port), "--ctx-size", "512", "--parallel", "1", *mesh.ENGINE_WORDS],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        wait_until("the llama-server is well", self.is_well)
        return self

    def __exit__(self, *exc):
        self.popen.send_signal(signal.SIGTERM)
        self.popen.wait()

    def is_well(self):
        assert self.popen.poll() is None, "the llama-server ended"
        try:
            return urllib.request.urlopen(f"{self.url}/health", timeout=5).status == 200
        except OSError:
            return False


def a_llama_server_started_by_hand_is_used_and_outlives_the_node():
    with ByHand(FAST) as engine, Mesh() as cluster:
        node = cluster.add_node("halo1", [], engines=[engine.url])
        node.wait_resident(FAST)
        model = listed(cluster)[FAST]
        assert model["engine"] == "openai" and model["context"] == 512 and model["slots"] == 1, model
        answer = cluster.stream(FAST, mesh.questions()[0], temperature=0).read_all()
        assert answer.content and answer.finish == "stop", vars(answer)
        assert not node.engine_pids(), "the node has started an engine of its own"
        assert node.daemon.stop() == 0
        assert engine.is_well()


def a_mesh_is_no_engine_of_itself():
    with OllamaStandin() as ollama, Mesh() as cluster:
        node = cluster.add_node("halo1", [FAST], engines=[f"http://{cluster.http}", ollama.url])
        wait_until("the coordinator is recognised", lambda: logged(node, "no engine to use"))
        assert "answers=mesh" in logged(node, "no engine to use")[0]
        wait_until("the others are found", lambda: node.model(LLAMA))
        assert FAST in listed(cluster) and not any(name.startswith("mesh-") for name in listed(cluster))


def a_node_that_only_carries_editors_looks_for_no_engines():
    with OllamaStandin() as ollama, Mesh() as cluster:
        node = cluster.add_node("laptop", [], engines=[ollama.url], start=False)
        node.start(words=("--edge-only",))
        node.wait_state("up")
        assert not ollama.requests and not node.status()["models"]


if __name__ == "__main__":
    mesh.run(
        an_ollama_is_adopted_loaded_and_unloaded,
        a_model_that_somebody_has_loaded_is_adopted_too,
        what_another_computer_answers_is_not_touched,
        the_standin_has_ollamas_trap,
        the_standin_refuses_what_makes_no_sense,
        a_mesh_loads_and_asks_an_ollama,
        a_kind_that_ollama_does_not_serve_is_refused,
        an_ollama_makes_room_and_room_is_made_for_it,
        what_somebody_has_loaded_is_used_and_left_alone,
        an_ollama_that_stops_and_comes_back,
        a_llama_server_started_by_hand_is_used_and_outlives_the_node,
        a_mesh_is_no_engine_of_itself,
        a_node_that_only_carries_editors_looks_for_no_engines,
    )
