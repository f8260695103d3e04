"""A node in a memory cgroup, where the kernel itself holds the limit: a real engine, models of 0.6 GB, and weights that
are not mapped (pages of mapped files are cache, which the kernel drops when memory is short: they prove nothing)."""

import itertools
import json
import math
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import cgroup
import gguf_make
import mesh
from mesh import FAST, Engine, Mesh, wait_until

MIB = 1 << 20
NAMES = ("alpha", "beta", "gamma")
SHAPE = {"layers": 6, "experts": 64}
SLOTS, CONTEXT, PLACES = 2, 1024, 2
REQUESTS, BURST_MIN, BURST_MAX = 200, 4, 24
DAEMON_BYTES = 400 * MIB  # the node and its guards, also with sanitizers, and what engines take beside their models
PACE_S = 0.05  # of a client that asks again and again: each request costs sanitizers memory that they keep
KEPT = 16 / 15  # the node keeps a sixteenth of a small pool free
HALFWAY_BYTES = 300 * MIB  # of a load
LOADING = re.compile(r"model loading .*model=(\w+)")
REASON = "killed by the kernel for want of memory (memory cgroup "
KILLED = re.compile(r"engine died .*while=loading .*" + re.escape(REASON))


def unmapped():
    """The engine's words for it, which changed from one version to another."""
    said = subprocess.run([os.environ["MODEMESH_LLAMA_SERVER"], "--help"], capture_output=True, text=True,
                          timeout=mesh.DEADLINE_S).stdout
    return ("--load-mode", "none") if "--load-mode" in said else ("--no-mmap",)


def make_models(node):
    for name in NAMES:
        gguf_make.make(node.models / f"{name}.gguf", name, **SHAPE)


def need_bytes():
    """What one of them takes, by `modemesh fit`."""
    with tempfile.TemporaryDirectory(prefix="made-") as folder:
        path = pathlib.Path(folder, "one.gguf")
        gguf_make.make_sparse(path, **SHAPE)
        words = ["fit", path, "--context", str(CONTEXT), "--slots", str(SLOTS), "--json"]
        done = subprocess.run([pathlib.Path(os.environ["MODEMESH_BIN"], "modemesh"), *words], check=True,
                              capture_output=True, text=True, timeout=mesh.DEADLINE_S)
        return json.loads(done.stdout)["models"][0]["contexts"][0]["total_bytes"]


def room():
    """A cgroup that holds two of them and not three."""
    need = need_bytes()
    limit = int((PLACES * need + DAEMON_BYTES) * KEPT)
    assert limit < (PLACES + 1) * need, (limit, need)
    return cgroup.Cgroup(limit)


def add_node(cluster, group, resident=()):
    node = cluster.add_node("halo1", resident, slots=SLOTS, words=unmapped(), start=False)
    node.cgroup, node.memory_limit = group, "1024G"  # only the cgroup limits it
    return node


def start(node, names):
    node.start()
    wait_until(lambda: f"the models are told, now {node.status()}", lambda: all(node.model(name) for name in names))


def loads_of(node):
    return len(LOADING.findall(node.daemon.text()))


# --- requests of many clients


def bursts(dice):
    """Who asks at once: each time some of the models are at work."""
    left = REQUESTS
    while left:
        at_work = dice.sample(NAMES, dice.randint(1, len(NAMES)))
        count = min(left, dice.randint(BURST_MIN, BURST_MAX))
        yield [dice.choice(at_work) for _ in range(count)]
        left -= count


def after(here, wanted):
    """Who can be there when all that are wanted have been, with one load for each that was not."""
    missing = wanted - here
    if not missing:
        return [here]
    everybody = sorted(here | wanted)
    kept = itertools.combinations(everybody, min(PLACES, len(everybody)))
    return [there for there in map(frozenset, kept) if there & missing]


def fewest_loads(sets):
    """With the best choice of who leaves, which takes knowing the future: every way there is, step by step."""
    costs = {frozenset(): 0}
    for wanted in sets:
        next_costs = {}
        for here, loads in costs.items():
            for there in after(here, wanted):
                next_costs[there] = min(next_costs.get(there, math.inf), loads + len(wanted - here))
        costs = next_costs
    return min(costs.values())


def ask_at_once(cluster, names, dice):
    """Each by a client of its own; returns what went wrong."""
    wrong = []

    def ask(name, text, fields, streamed):
        if streamed:
            stream = cluster.stream(name, text, **fields).read_all()
            good = stream.done and not stream.error
            said = stream.error
        else:
            answer = cluster.ask(name, text, **fields)
            good, said = answer.status == 200, answer.body
        if not good:
            wrong.append((name, said))
    clients = [threading.Thread(target=ask, args=(name, "hello " * dice.randint(1, 20),
                                                  {"max_tokens": dice.randint(1, 6), "temperature": 0},
                                                  dice.random() < 0.5)) for name in names]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return wrong


class Watch:
    """Reads in /proc, again and again, what the engines in the group have in memory."""

    def __init__(self, group):
        self.group, self.most_bytes, self.most_engines, self.looks = group, 0, 0, 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.stop.wait(mesh.POLL_S):
            sizes = [engine_rss(pid) for pid in self.group.pids()]
            self.most_bytes = max(self.most_bytes, sum(sizes))
            self.most_engines = max(self.most_engines, sum(size > HALFWAY_BYTES for size in sizes))
            self.looks += 1

    def end(self):
        self.stop.set()
        self.thread.join()


def engine_rss(pid):
    """0 of what is no engine, or has gone."""
    if not mesh.is_engine(mesh.words_of(pid)):
        return 0
    found = re.search(rb"VmRSS:\s+(\d+) kB", mesh.read_proc(pid, "status"))
    return int(found[1]) * 1024 if found else 0


def two_of_three_at_a_time():
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    with room() as group, Mesh({name: [name] for name in NAMES}) as cluster:
        node = add_node(cluster, group)
        make_models(node)
        start(node, NAMES)
        asked = list(bursts(dice))
        watch = Watch(group)
        try:
            for names in asked:
                wrong = ask_at_once(cluster, names, dice)
                assert not wrong, (seed, wrong)
        finally:
            watch.end()
        loads, fewest = loads_of(node), fewest_loads([frozenset(names) for names in asked])
        limit, peak = node.status()["memory"]["limit_bytes"], group.peak_bytes()
        print(f"# seed {seed}: {REQUESTS} requests in {len(asked)} bursts, {loads} loads, {fewest} with foresight; "
              f"{watch.looks} looks: engines at most {watch.most_bytes // MIB} MiB, node's limit {limit // MIB}, "
              f"cgroup's limit {group.limit_bytes // MIB}, its most {peak and peak // MIB}, killed {group.oom_kills()}")
        # With two places no rule that does not know the future can promise less than this (Sleator and Tarjan, 1985).
        assert fewest <= loads <= PLACES * fewest + PLACES, (seed, loads, fewest)
        assert watch.looks > len(asked) and watch.most_engines == PLACES, (seed, watch.looks, watch.most_engines)
        assert 0 < watch.most_bytes < limit < group.limit_bytes, (seed, watch.most_bytes, limit)
        assert group.oom_kills() == 0, (seed, group.oom_kills())
        assert all(not node.model(name).get("restarts") for name in NAMES), (seed, node.status())


# --- an engine that the kernel kills


class Asker:
    """Asks for one model, one request after the other, until it is told to end or has had `count` answers."""

    def __init__(self, cluster, name, count=math.inf):
        self.cluster, self.name, self.count, self.answers = cluster, name, count, []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()

    def ask(self):
        while len(self.answers) < self.count and not self.stop.wait(PACE_S):
            self.answers.append(self.cluster.ask(self.name, "hello", max_tokens=2, temperature=0))

    def end(self):
        self.stop.set()
        self.thread.join()
        return self.answers


def half_loaded(group, name):
    """The engine that has a good part of this model in memory, None where there is none."""
    for pid in group.pids():
        words = mesh.words_of(pid)
        if engine_rss(pid) > HALFWAY_BYTES and any(word.endswith(f"/{name}.gguf") for word in words):
            return Engine(pid, words)
    return None


def shrink(node, group, engine):
    """The group shrinks to what it holds, so that the next page is one too many, and is as large as before when the
    engine is dead. The node, which looks once a second, stands still for that moment: where it came first, it would see
    that no memory is left and end the load itself."""
    engine.freeze()
    node.daemon.signal(signal.SIGSTOP)
    try:
        group.shrink()
        engine.thaw()
        wait_until("the engine is dead", lambda: not engine_rss(engine.pid))
    finally:
        group.widen()
        node.daemon.signal(signal.SIGCONT)


def shrink_during_each_load(cluster, node, group, name):
    """Returns how who asks for the model is told at last, after so many loads."""
    asker, loads = Asker(cluster, name, 1), 0
    try:
        while asker.thread.is_alive():
            engine = half_loaded(group, name)
            if engine:
                shrink(node, group, engine)
                loads += 1
            time.sleep(mesh.POLL_S)
    finally:
        answer = asker.end()[0]
    return answer, loads


def a_load_that_the_kernel_kills():
    kept, killed, others = FAST, NAMES[0], NAMES[1:]
    with room() as group, Mesh({name: [name] for name in (kept, *NAMES)}) as cluster:
        node = add_node(cluster, group, [kept])
        make_models(node)
        start(node, (kept, *NAMES))
        node.wait_resident(kept)
        engine = node.engine(kept).pid
        asker = Asker(cluster, kept)
        try:
            answer, loads = shrink_during_each_load(cluster, node, group, killed)
        finally:
            statuses = [meanwhile.status for meanwhile in asker.end()]
        print(f"# {loads} loads, {group.oom_kills()} killed by the kernel; {len(statuses)} requests for {kept} "
              f"meanwhile; told: {answer.error()}")
        assert set(statuses) == {200}, statuses
        assert answer.status == 502 and REASON in answer.error(), (answer.status, answer.body)
        assert loads == group.oom_kills() == len(KILLED.findall(node.daemon.text())) > 0, node.daemon.text()
        assert REASON in node.model(killed)["note"], node.model(killed)
        assert REASON in cluster.cli("models", "--json").stdout, cluster.cli("models").stdout
        assert node.daemon.alive() and node.engine(kept).pid == engine
        it_drives_nobody_out(cluster, node, killed, others)


def it_drives_nobody_out(cluster, node, killed, others):
    """Others take the memory, and keep it however often somebody asks for the one that failed."""
    for name in others:
        assert cluster.ask(name, "hello", max_tokens=2).status == 200
    engines, loads = [node.engine(name).pid for name in others], loads_of(node)
    for name in others:
        answer = cluster.ask(killed, "hello")
        assert answer.status == 503, (answer.status, answer.body)
        assert cluster.ask(name, "hello", max_tokens=2).status == 200
    print(f"# told later: {answer.error()}")
    assert loads_of(node) == loads, node.daemon.text()
    assert [node.engine(name).pid for name in others] == engines


if __name__ == "__main__":
    mesh.run(two_of_three_at_a_time, a_load_that_the_kernel_kills)
