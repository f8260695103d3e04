"""Three models of a real engine in memory that holds two of them."""

import json
import pathlib
import random
import re
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import gguf_make
import mesh
from mesh import Mesh, wait_until

NAMES = ("alpha", "beta", "gamma")
SLOTS, CONTEXT = 2, 1024
REQUESTS = 40
MARGIN = 1.1  # of two models' need that the limit is: not enough for a third
LOADING = re.compile(r"model loading .*model=(\w+)")


def three_models(node):
    for name in NAMES:
        gguf_make.make(node.models / f"{name}.gguf", name, layers=8, experts=64)


def need_bytes(cluster, node):
    """What one of them takes, by `modemesh fit`; they are all alike."""
    done = cluster.cli("fit", node.models, "--context", str(CONTEXT), "--slots", str(SLOTS), "--json")
    needs = {model["contexts"][0]["total_bytes"] for model in json.loads(done.stdout)["models"]}
    assert len(needs) == 1, needs
    return needs.pop()


def fewest_loads(wanted, places):
    """Of the best plan there is (Belady): who is not needed for longest leaves."""
    here, loads = set(), 0
    for i, name in enumerate(wanted):
        if name in here:
            continue
        loads += 1
        if len(here) == places:
            rest = wanted[i:]
            here.remove(max(here, key=lambda other: rest.index(other) if other in rest else len(rest)))
        here.add(name)
    return loads


def loads_of(node):
    return LOADING.findall(node.daemon.text())


def engine_count(node):
    """Of one moment, by their sockets: one that has ended since it was found does not count."""
    found = [(pid, mesh.words_of(pid)) for pid in node.engine_pids()]
    return len({words[words.index("--host") + 1] for pid, words in found
                if "--host" in words and pathlib.Path(f"/proc/{pid}/exe").exists()})


class Watch:
    """Looks again and again how many engines there are and what the node counts."""

    def __init__(self, cluster, node):
        self.cluster, self.node = cluster, node
        self.engines = self.used = self.looks = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while not self.stop.is_set():
            self.engines = max(self.engines, engine_count(self.node))
            self.used = max(self.used, self.node.status().get("memory", {}).get("used_bytes", 0))
            self.looks += 1

    def end(self):
        self.stop.set()
        self.thread.join()


def start(cluster):
    node = cluster.add_node("halo1", [], slots=SLOTS, start=False)
    three_models(node)
    need = need_bytes(cluster, node)
    node.memory_limit = str(int(2 * MARGIN * need))
    node.start()
    wait_until(lambda: f"the models are told, now {node.status()}", lambda: all(node.model(name) for name in NAMES))
    for name in NAMES:
        assert node.model(name)["memory_bytes"] == need, (node.model(name), need)
    return node


def models_take_turns():
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    with Mesh({name: [name] for name in NAMES}) as cluster:
        node = start(cluster)
        watch = Watch(cluster, node)
        wanted = [dice.choice(NAMES) for _ in range(REQUESTS)]
        try:
            for name in wanted:
                answer = cluster.ask(name, "hello", max_tokens=2, temperature=0)
                assert answer.status == 200, (seed, name, answer.body)
        finally:
            watch.end()
        loads, fewest = len(loads_of(node)), fewest_loads(wanted, 2)
        print(f"# seed {seed}: {REQUESTS} requests, {loads} loads, {fewest} with a crystal ball, {watch.looks} looks")
        assert fewest <= loads <= 2 * fewest, (seed, loads, fewest)
        assert watch.looks > REQUESTS and watch.engines <= 2, (seed, watch.engines)
        assert 0 < watch.used <= int(node.memory_limit), (seed, watch.used, node.memory_limit)


def all_at_once():
    """Six clients ask for three models at once: nobody is refused, and none waits for ever."""
    with Mesh({name: [name] for name in NAMES}) as cluster:
        node = start(cluster)
        answers = []

        def ask(name):
            for _ in range(3):
                answers.append(cluster.ask(name, "hello", max_tokens=2, temperature=0).status)
        clients = [threading.Thread(target=ask, args=(name,)) for name in NAMES * 2]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert answers == [200] * (3 * len(clients)), answers
        assert engine_count(node) <= 2


def what_never_fits_is_refused_with_the_numbers():
    with Mesh({name: [name] for name in NAMES}) as cluster:
        node = cluster.add_node("halo1", [], slots=SLOTS, start=False)
        three_models(node)
        node.memory_limit = str(need_bytes(cluster, node) // 2)
        node.start()
        wait_until(lambda: f"the models are told, now {node.status()}", lambda: all(node.model(name) for name in NAMES))
        answer = cluster.ask("alpha", "hello")
        assert answer.status == 503 and b"alpha" in answer.body, (answer.status, answer.body)
        assert not loads_of(node)


def what_swaps_serves_batch_work_alone():
    """Larger than the memory, by no more than its swap allowance: nobody who waits for an answer gets it."""
    only_batch = "only modes with batch: true may use it"
    with Mesh({"ask": ["alpha"], "night": {"models": ["alpha"], "batch": True}}) as cluster:
        node = cluster.add_node("halo1", [], slots=SLOTS, start=False)
        gguf_make.make(node.models / "alpha.gguf", "alpha", layers=8, experts=64)
        need = need_bytes(cluster, node)
        node.memory_limit = str(need * 3 // 4)
        node.start(words=("--swap-allowance", str(need // 2)))
        wait_until(lambda: f"the model is told, now {node.status()}", lambda: node.model("alpha").get("batch_only"))
        for name in ("ask", "alpha"):
            answer = cluster.ask(name, "hello", max_tokens=2)
            assert answer.status == 503 and only_batch in answer.error(), (name, answer.body)
        assert not loads_of(node)
        answer = cluster.ask("night", "hello", max_tokens=2)
        assert answer.status == 200 and answer.json()["model"] == "alpha", answer.body
        node.wait_resident("alpha")  # a STATE may come after the answer
        answer = cluster.ask("alpha", "hello", max_tokens=2)  # no more than before, now that it is loaded
        assert answer.status == 503 and only_batch in answer.error(), answer.body
        modes = {mode["name"]: mode for mode in cluster.status()["modes"]}
        assert modes["night"]["now"]["model"] == "alpha", modes
        assert modes["ask"]["now"] is None and only_batch in modes["ask"]["reason"], modes


if __name__ == "__main__":
    mesh.run(models_take_turns, all_at_once, what_never_fits_is_refused_with_the_numbers,
             what_swaps_serves_batch_work_alone)
