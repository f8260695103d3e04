"""How long completion takes while its host computes prompts for others: a mesh of one node on this machine, whose engines
compute on the processors. One model completes what is typed; four prompts of 8,000 tokens run in the engine of another. The
person at the cursor must not feel the others.

    bench_autocomplete.py BIN [RUNS=240]

Blocks of completions, in turns and in an order that changes: with nothing beside them, with the prompts in an engine whose
niceness the node has chosen, and with the same in one of niceness 0. The prompts go to the engine itself, so that all four
run at once (the coordinator would send them one by one), and are replaced when they are done. A completion is measured as
its editor sees it, through coordinator and node, 16 tokens long; from one to the next a letter is typed. A block is the
beginning of a line, so that each has the same part of completions for which the engine's cache has little: those at the first
letters of a line, as the text that is sent begins a line later. MODEMESH_LLAMA_SERVER names the engine. Exits with 1 where the
95th percentile with the prompts is more than 1.5 times that without.
"""

import contextlib
import itertools
import json
import os
import pathlib
import random
import socket
import statistics
import sys
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests" / "lib"))

import gguf_patch
from mesh import FAST, MODELS, THINKER, Mesh, chat, wait_until

GOAL = 1.5  # 95th percentile with the prompts, beside that without
RUNS_DEFAULT, RUNS_MIN = 240, 2
BLOCK = 20  # completions, each a letter further on a line
PROMPTS, PROMPT_TOKENS, COMPLETION_TOKENS = 4, 8000, 16
CONTEXT = 2 * PROMPT_TOKENS
LINES_BEFORE, LINES_AFTER = 40, 10
CANCEL_S = 600  # an engine looks for cancelled requests between its batches, and the one that stands back has few of them
TYPING_S = (0.03, 0.12)  # from an answer to the next letter
NICE, PLAIN = "chat", "chat-nice-0"
SOURCE = REPO / "coordinator" / "job" / "job.c"  # what is typed


def text_of(words):
    """Never the same twice, so that no cache has it."""
    return " ".join(f"{random.choice(('node', 'engine', 'prompt', 'cache'))}{random.randrange(1000)}" for _ in range(words))


class Typist:
    """Completes at a cursor that goes on by a letter each time, as llama.vim does: the line before the cursor comes last, so
    that the engine's cache has all but that."""

    def __init__(self, cluster):
        self.cluster, self.lines = cluster, SOURCE.read_text().splitlines(keepends=True)
        self.rows = itertools.cycle(row for row in range(LINES_BEFORE, len(self.lines) - LINES_AFTER)
                                    if len(self.lines[row]) > BLOCK)

    def type_line(self):
        """Returns milliseconds of each completion."""
        row = next(self.rows)
        return [self.complete(row, column) for column in range(1, BLOCK + 1)]

    def complete(self, row, column):
        line = self.lines[row]
        body = {"model": FAST, "input_prefix": "".join(self.lines[row - LINES_BEFORE:row]), "prompt": line[:column],
                "input_suffix": line[column:] + "".join(self.lines[row + 1:row + LINES_AFTER]),
                "n_predict": COMPLETION_TOKENS, "ignore_eos": True, "temperature": 0}
        time.sleep(random.uniform(*TYPING_S))
        begin = time.perf_counter()
        answer = self.cluster.post("/infill", json.dumps(body))
        wall_ms = (time.perf_counter() - begin) * 1000
        assert answer.status == 200, answer.body
        return wall_ms


class Prompts:
    """Use as a context manager: as long as it lasts, PROMPTS prompts run in the engine."""

    def __init__(self, engine, words):
        self.engine, self.words, self.done = engine, words, False
        self.threads = [threading.Thread(target=self.ask_on) for _ in range(PROMPTS)]
        self.lock, self.open = threading.Lock(), set()

    def ask_on(self):
        while not self.done:
            connection = self.engine.connection()
            connection.connect()
            with self.lock:
                self.open.add(connection.sock)
            with contextlib.suppress(OSError):  # cut off at the end
                body = chat("", text_of(self.words), max_tokens=1)
                connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                assert answer.status == 200, answer.read()
                answer.read()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until("all prompts run", lambda: self.engine.busy() == PROMPTS)

    def __exit__(self, *_):
        running = sum(thread.is_alive() for thread in self.threads)
        self.done = True
        while any(thread.is_alive() for thread in self.threads):
            with self.lock:
                for sock in self.open:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
            for thread in self.threads:
                thread.join(0.1)
        wait_until("none runs", lambda: self.engine.busy() == 0, CANCEL_S)
        if running < PROMPTS:
            raise RuntimeError(f"{PROMPTS - running} of {PROMPTS} prompts have failed: what was measured had less beside it")


def start_node(cluster):
    node = cluster.add_node("host", [FAST], start=False)
    config = json.loads(node.config.read_text())
    config["resident"] = [FAST, NICE, PLAIN]
    config["engine"].update({"extra-args": [], "slots": PROMPTS, "context": CONTEXT})
    config["model-settings"] = {PLAIN: {"nice": 0}}
    node.config.write_text(json.dumps(config))
    gguf_patch.add_fim(MODELS / f"{FAST}.gguf", node.models / f"{FAST}.gguf")
    for name in (NICE, PLAIN):
        gguf_patch.patch(MODELS / f"{THINKER}.gguf", node.models / f"{name}.gguf", {})
    node.start()
    node.wait_resident(FAST, NICE, PLAIN)
    return node


def words_of_prompt(cluster):
    sample = 200
    answer = cluster.post("/tokenize", json.dumps({"model": NICE, "content": text_of(sample)})).json()
    return PROMPT_TOKENS * sample // len(answer["tokens"])


def measure(cluster, runs):
    node = start_node(cluster)
    words = words_of_prompt(cluster)
    beside = {"nothing beside it": None, "4 prompts, as the node does it": node.engine(NICE),
              "4 prompts, nice 0": node.engine(PLAIN)}
    typist, times = Typist(cluster), {name: [] for name in beside}
    typist.type_line()  # not counted: the engine is new
    while len(times["nothing beside it"]) < runs:
        for name in random.sample(list(beside), len(beside)):
            with Prompts(beside[name], words) if beside[name] else contextlib.nullcontext():
                times[name] += typist.type_line()
    return times


def p95(values):
    return statistics.quantiles(values, n=20)[-1]


def report(times):
    idle = times["nothing beside it"]
    print(f"{'':32} {'median ms':>9} {'quartiles':>16} {'p95':>7} {'slowest':>8} {'p95 to idle':>11}")
    for name, values in times.items():
        low, median, high = statistics.quantiles(values, n=4)
        print(f"{name:32} {median:9.1f} {f'{low:.1f} to {high:.1f}':>16} {p95(values):7.1f} {max(values):8.1f} "
              f"{p95(values) / p95(idle):11.2f}")


def main(binary, runs=RUNS_DEFAULT):
    os.environ["MODEMESH_BIN"] = str(binary)
    if not os.environ.get("MODEMESH_LLAMA_SERVER"):
        print("bench_autocomplete.py: set MODEMESH_LLAMA_SERVER", file=sys.stderr)
        return 2
    with Mesh({"autocomplete": [FAST]}) as cluster:
        times = measure(cluster, runs)
    print(f"completion of {COMPLETION_TOKENS} tokens, {len(times['nothing beside it'])} runs each, in turns; "
          f"{PROMPTS} prompts of {PROMPT_TOKENS} tokens beside it; {os.cpu_count()} processors")
    report(times)
    ratio = p95(times["4 prompts, as the node does it"]) / p95(times["nothing beside it"])
    print(f"goal: at most {GOAL} times as long at the 95th percentile; it is {ratio:.2f}")
    return 0 if ratio <= GOAL else 1


def usage():
    print(f"usage: bench_autocomplete.py BIN [RUNS]; RUNS is a whole number of at least {RUNS_MIN}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    args = sys.argv[1:]
    if not 1 <= len(args) <= 2 or (len(args) == 2 and (not args[1].isdecimal() or int(args[1]) < RUNS_MIN)):
        sys.exit(usage())
    sys.exit(main(pathlib.Path(args[0]).resolve(), *map(int, args[1:])))
