"""A mode gets another model, of another quantisation and at another context, while clients use it: no request fails."""

import json
import pathlib
import re
import signal
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import gguf_make
import mesh
from mesh import Mesh, wait_until

OLD, NEW = "older", "newer"
QUANTISATION = {OLD: "F16", NEW: "Q8_0"}
OLD_SLOTS, OLD_CONTEXT = 2, 1024  # the engine section that tests/lib/mesh.py gives a node
NEW_SLOTS, NEW_CONTEXT, NEW_KV = 3, 2048, "q8_0"
CLIENTS = 4
ANSWERS = 3  # of each model to each client, before and after
TOKENS, MANY_TOKENS = 6, 300  # of an answer; the first client has the old model finish long ones
LOADING = re.compile(r"model loading .*model=(\w+)")
MARGIN = 1.1  # of the larger one's need that memory for one is: not enough for both


def needs(cluster, node, slots, context, *words):
    """What each model takes, by `modemesh fit`."""
    done = cluster.cli("fit", node.models, "--context", str(context), "--slots", str(slots), "--json", *words)
    assert done.returncode == 0, done.stderr
    models = json.loads(done.stdout)["models"]
    return {name: next(model["contexts"][0]["total_bytes"] for model in models if model["name"] == name)
            for name in QUANTISATION}


class Client(threading.Thread):
    """Asks the mode again and again, every second time for a stream; keeps which model answered, and what went wrong."""

    def __init__(self, cluster, number):
        super().__init__()
        self.cluster, self.number = cluster, number
        self.wants = {"max_tokens": TOKENS if number else MANY_TOKENS, "ignore_eos": True}
        self.models, self.wrong, self.stop = [], [], threading.Event()

    def ask_whole(self):
        answer = self.cluster.ask("code", f"client {self.number}", **self.wants)
        complete = answer.status == 200 and answer.json()["choices"][0]["finish_reason"] in ("stop", "length")
        return answer.headers["X-Modemesh-Model"], None if complete else (answer.status, answer.body)

    def ask_stream(self):
        stream = self.cluster.stream("code", f"client {self.number}", **self.wants)
        response = stream.open()
        model = response.headers["X-Modemesh-Model"]
        stream.read_all()
        complete = response.status == 200 and stream.done and not stream.error and stream.finish in ("stop", "length")
        return model, None if complete else (response.status, stream.error, stream.content)

    def run(self):
        while not self.stop.is_set():
            try:
                model, wrong = self.ask_stream() if len(self.models) % 2 else self.ask_whole()
            except Exception as why:  # a client must not end unseen
                model, wrong = None, repr(why)
            self.models.append(model)
            if wrong:
                self.wrong.append(wrong)

    def answers_of(self, model):
        return self.models.count(model)


class Load:
    """Clients that use the mode all the while."""

    def __init__(self, cluster):
        self.clients = [Client(cluster, number) for number in range(CLIENTS)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.stop.set()
        for client in self.clients:
            client.join()

    def wrong(self):
        return [wrong for client in self.clients for wrong in client.wrong]

    def wait_for(self, model):
        """Until each client has had that many more answers of the model."""
        before = [client.answers_of(model) for client in self.clients]
        wait_until(lambda: f"{model} answers, now {[client.models[-3:] for client in self.clients]}, {self.wrong()[:2]}",
                   lambda: all(client.answers_of(model) >= had + ANSWERS
                               for client, had in zip(self.clients, before)))


def start(cluster, memory_for):
    """A node with both models; `memory_for` is one or two of them."""
    node = cluster.add_node("halo1", [], slots=OLD_SLOTS, start=False)
    for name, quantisation in QUANTISATION.items():
        gguf_make.make(node.models / f"{name}.gguf", name, layers=4, experts=32, type=quantisation)
    old = needs(cluster, node, OLD_SLOTS, OLD_CONTEXT)[OLD]
    new = needs(cluster, node, NEW_SLOTS, NEW_CONTEXT, "--kv", NEW_KV)[NEW]
    limit = int(MARGIN * (max(old, new) if memory_for == 1 else old + new))
    assert memory_for == 2 or limit < old + new, (old, new)
    node.memory_limit = str(limit)
    node.start()
    wait_until(lambda: f"the models are told, now {node.status()}", lambda: all(node.model(name) for name in QUANTISATION))
    return node


def deploy(cluster, *words):
    done = cluster.owner("deploy", f"code={NEW}", "--context", str(NEW_CONTEXT), "--slots", str(NEW_SLOTS), "--kv", NEW_KV,
                         "--json", *words)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout), done.stderr


def mode(cluster):
    return next(mode for mode in cluster.status()["modes"] if mode["name"] == "code")


def runs_as_asked(node):
    engine = node.engine(NEW)
    props = mesh.call(engine.connection(), "GET", "/props").json()
    assert props["total_slots"] == NEW_SLOTS, props
    assert props["default_generation_settings"]["n_ctx"] == NEW_CONTEXT, props
    words = mesh.words_of(engine.pid)
    assert words[words.index("--cache-type-k") + 1] == words[words.index("--cache-type-v") + 1] == NEW_KV, words
    node.wait_resident(NEW)  # a STATE may come after the answers
    told = node.model(NEW)
    assert (told["slots"], told["context"]) == (NEW_SLOTS, NEW_CONTEXT), told


def files_of_engines(node):
    """The model files that engines of the node have in their command lines."""
    return {word for pid in node.engine_pids() for word in mesh.words_of(pid) if word.endswith(".gguf")}


def nothing_is_left_of_the_old_one(node):
    wait_until(lambda: f"{OLD} is gone, now {node.model(OLD)}, {files_of_engines(node)}",
               lambda: node.model(OLD)["state"] == "available"
               and files_of_engines(node) == {str(node.models / f"{NEW}.gguf")})


def loads_of(node):
    return LOADING.findall(node.daemon.text())


def is_deployed_under_load(memory_for, way, sentence):
    with Mesh({"code": [OLD]}) as cluster:
        node = start(cluster, memory_for)
        with Load(cluster) as load:
            load.wait_for(OLD)
            said, _ = deploy(cluster, "--dry-run")
            assert said["way"] == way and sentence in said["message"], said
            assert mode(cluster)["models"] == [OLD] and not mode(cluster)["deployed"]
            done, notes = deploy(cluster)
            assert (done["state"], done["way"], done["node"]) == ("done", way, "halo1"), done
            assert sentence in notes.splitlines()[0], notes
            load.wait_for(NEW)
        assert load.wrong() == [], load.wrong()
        served = [model for client in load.clients for model in client.models]
        print(f"# {way}: {served.count(OLD)} answers of the old model, {served.count(NEW)} of the new one; {done['message']}")
        assert set(served) == {OLD, NEW}, set(served)
        assert mode(cluster)["models"] == [NEW] and mode(cluster)["replaced"] == [OLD], mode(cluster)
        runs_as_asked(node)
        nothing_is_left_of_the_old_one(node)
        assert loads_of(node).count(NEW) == 1, loads_of(node)


def beside_the_old_one():
    is_deployed_under_load(2, "beside", "fits beside")


def in_its_place():
    is_deployed_under_load(1, "swap", "has finished its requests")


def what_does_not_fit_leaves_all_as_it_is():
    with Mesh({"code": [OLD]}) as cluster:
        node = start(cluster, 1)
        assert cluster.ask("code", "hello", max_tokens=1).status == 200
        done = cluster.owner("deploy", f"code={NEW}", "--context", "16M")
        assert done.returncode == 1 and "fit" in done.stderr, (done.returncode, done.stderr)
        assert mode(cluster)["models"] == [OLD]
        node.wait_resident(OLD)
        answer = cluster.ask("code", "hello", max_tokens=1)
        assert answer.headers["X-Modemesh-Model"] == OLD


def what_cannot_do_it_is_refused():
    with Mesh({"code": [OLD], "autocomplete": ["elsewhere"]}) as cluster:
        start(cluster, 1)
        done = cluster.owner("deploy", f"autocomplete={NEW}")
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert f"{NEW} cannot fill in the middle, which the mode \"autocomplete\" is for" in done.stderr, done.stderr
        listed = {mode["name"]: mode["models"] for mode in cluster.status()["modes"]}
        assert listed == {"code": [OLD], "autocomplete": ["elsewhere"]}, listed


def a_deploy_outlives_the_coordinator_and_is_undone():
    with Mesh({"code": [OLD]}) as cluster:
        start(cluster, 2)
        deploy(cluster)
        assert cluster.coordinator.stop() == 0
        cluster.start_coordinator()
        wait_until(lambda: f"the mode is ready, now {mode(cluster)}", lambda: mode(cluster)["now"])
        assert mode(cluster)["models"] == [NEW], mode(cluster)
        assert cluster.ask("code", "hello", max_tokens=1).headers["X-Modemesh-Model"] == NEW
        cluster.write_modes({"code": [OLD], "ask": [OLD]})
        cluster.coordinator.signal(signal.SIGHUP)
        wait_until(lambda: f"the config is read again, now {cluster.status()['modes']}",
                   lambda: len(cluster.status()["modes"]) == 2)
        assert mode(cluster)["models"] == [NEW], mode(cluster)
        done = cluster.owner("deploy", "--undo", "code")
        assert done.returncode == 0, done.stderr
        assert mode(cluster)["models"] == [OLD] and not mode(cluster)["deployed"], mode(cluster)
        assert cluster.ask("code", "hello", max_tokens=1).headers["X-Modemesh-Model"] == OLD
        assert OLD in cluster.owner("operations").stdout


def models_are_loaded_pinned_and_let_go():
    with Mesh({"code": [OLD]}) as cluster:
        node = start(cluster, 2)
        done = cluster.owner("models", "load", OLD, "--slots", "1", "--keep")
        assert done.returncode == 0, done.stderr
        wait_until(lambda: f"it is loaded and pinned, now {node.model(OLD)}",
                   lambda: node.model(OLD)["state"] == "resident" and node.model(OLD)["pinned"])
        assert node.model(OLD)["slots"] == 1
        assert cluster.owner("models", "unpin", OLD).returncode == 0
        wait_until(lambda: f"it is not pinned, now {node.model(OLD)}", lambda: not node.model(OLD)["pinned"])
        assert cluster.owner("models", "unload", OLD).returncode == 0
        wait_until(lambda: f"it is gone, now {node.model(OLD)}", lambda: node.model(OLD)["state"] == "available")
        done = cluster.owner("models", "unload", OLD)
        assert done.returncode == 1 and "loaded on no connected node" in done.stderr, done.stderr


def a_drained_node_takes_no_requests():
    with Mesh({"code": [OLD], "once": {"models": [OLD], "when-none": "refuse"}}) as cluster:
        node = start(cluster, 2)
        assert cluster.owner("nodes", "drain", "halo1").returncode == 0
        wait_until(lambda: f"it drains, now {node.status()}", lambda: node.status()["draining"])
        answer = cluster.ask("once", "hello", max_tokens=1)
        assert answer.status == 503 and "is draining" in answer.error(), answer.body
        stream = cluster.stream("code", "hello", max_tokens=1)
        cluster.wait_queued(1)
        explained = cluster.cli("explain", "--mode", "code", "--tokens", "100").stdout
        assert "Waits for halo1, which is draining.\n" in explained, explained
        assert cluster.running() == 0 and cluster.queued() == 1
        assert cluster.owner("nodes", "resume", "halo1").returncode == 0
        wait_until(lambda: f"it is back, now {node.status()}", lambda: not node.status()["draining"])
        assert stream.read_all().finish == "length", stream.error
        assert cluster.owner("nodes", "drain", "nobody").returncode == 1


if __name__ == "__main__":
    mesh.run(beside_the_old_one, in_its_place, what_does_not_fit_leaves_all_as_it_is,
             what_cannot_do_it_is_refused, a_deploy_outlives_the_coordinator_and_is_undone,
             models_are_loaded_pinned_and_let_go, a_drained_node_takes_no_requests)
