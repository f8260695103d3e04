"""What it brings that the mesh chooses the node: conversations that grow turn by turn, on the real engine, with three nodes of
which two are slowed by CPU quota. Beside the mesh's own choice, the same mesh with each node in turn and with the fewest
requests (the coordinator's setting `routing`), each with engines of its own, so that none finds what another has cached.

    bench_affinity.py BIN [--conversations 20] [--turns 8] [--tokens 8192] [--at-once 1] [--answer 32] [--slow 0.25]

Round after round, each policy gets one turn of every conversation, in an order that changes; so a machine that gets slower or
busier does so for all of them. So many are asked at once; a conversation's next turn comes in the next round. The time to
the first token is measured as a client sees it. As it is set it takes about forty minutes on two cores, most of it for
the other policies. With --at-once 2 it takes twenty, and the mesh's choice gains less (the median was 2.8 times as good as in
turn, one at a time 3.6): both are asked of the fast node, and share it. MODEMESH_LLAMA_SERVER is the engine. Exits with 1 where
a goal is missed, and with 2 where nothing can be measured, as where no cgroup can be made.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import re
import signal
import statistics
import sys
import time
import unittest

REPO = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests" / "lib"))

import cgroup
import mesh

POLICIES = ("best", "round-robin", "least-requests")
GOAL_FASTER, GOAL_CACHED, GOAL_ERROR = 3.0, 0.85, 0.20
MODEL = mesh.FAST
SLOTS = 4
CACHE_RAM = "1G"  # of each engine, for the conversations that are in none of its slots
CONTEXT_STEP = 1024
BYTES_PER_TOKEN = 3.0  # of the questions' words by the demo models' tokenizer, about
WORDS = sorted(set(re.findall(r"[a-z]{4,}", (REPO / "configs/demo/train/corpus.txt").read_text())))
SEED = 6
REASON = re.compile(r"first token in about ([\d.]+) s(?: after ([\d.]+) s in the queue)?, (\d+) of about (\d+) tokens")
LOGGED = re.compile(r"\brequest=(\S+).*\bexpected_ms=(\d+)")


@dataclasses.dataclass
class Turn:
    """One request and what became of it. Times in seconds."""

    number: int
    node: str
    ttft_s: float
    expected_s: float  # from when it came, by the decision then
    sent_s: float  # the same, by the decision that sent it: its wait until then, and what was left
    prompt: int
    cached: int
    possible: int  # tokens of it that an engine has had before: the turn before, with its answer
    held: int  # … that the coordinator thought it had
    request: str


class Conversation:
    def __init__(self, number, options):
        self.number, self.options = number, options
        self.random = random.Random(SEED * 1000 + number)
        self.messages, self.turns = [], 0
        self.tokens = 0  # of its last prompt and answer
        self.session = f"bench-{number}"

    def question(self):
        """So long that the conversation has grown by its share of the tokens with the answer."""
        self.turns += 1
        lacking = self.options.tokens * self.turns / self.options.turns - self.tokens - self.options.answer
        words, length = [], 0
        while length < lacking * BYTES_PER_TOKEN:
            words.append(self.random.choice(WORDS))
            length += len(words[-1]) + 1
        return " ".join(words)

    def ask(self, cluster):
        self.messages.append({"role": "user", "content": self.question()})
        body = {"model": MODEL, "messages": self.messages, "stream": True, "stream_options": {"include_usage": True},
                "max_tokens": self.options.answer, "temperature": 0, "ignore_eos": True}
        begin = time.perf_counter()
        connection = cluster.connection()
        with contextlib.closing(connection):
            connection.request("POST", "/v1/chat/completions", json.dumps(body),
                               {"Content-Type": "application/json", "X-Session-Id": self.session})
            return self.read(connection.getresponse(), begin)

    def read(self, response, begin):
        if response.status != 200:
            raise RuntimeError(f"HTTP status {response.status}: {response.read()[:500]}")
        answer, ttft_s, usage = "", None, None
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if "error" in event:
                raise RuntimeError(f"a stream failed: {event['error']}")
            text = "".join(choice["delta"].get("content") or "" for choice in event.get("choices", []))
            if text and ttft_s is None:
                ttft_s = time.perf_counter() - begin
            answer += text
            usage = event.get("usage") or usage
        self.messages.append({"role": "assistant", "content": answer})
        return self.note(response.headers, usage, ttft_s)

    def note(self, headers, usage, ttft_s):
        told = REASON.search(headers["X-Modemesh-Reason"])
        possible, self.tokens = self.tokens, usage["prompt_tokens"] + usage["completion_tokens"]
        return Turn(self.turns, headers["X-Modemesh-Node"], ttft_s, 0, float(told[1]) + float(told[2] or 0),
                    usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"], possible, int(told[3]),
                    headers["X-Modemesh-Request"])


class Side:
    """A mesh with one policy, and its conversations."""

    def __init__(self, policy, options, groups, stack):
        self.policy, self.options = policy, options
        self.conversations = [Conversation(number, options) for number in range(options.conversations)]
        self.turns = []
        self.mesh = stack.enter_context(mesh.Mesh({"chat": [MODEL]}, words=("--routing", policy)))
        context = -(-int(options.tokens * 1.25 + options.answer) // CONTEXT_STEP) * CONTEXT_STEP
        for name, group in (("fast", None), *((f"slow{i}", group) for i, group in enumerate(groups, 1))):
            node = self.mesh.add_node(name, [MODEL], slots=SLOTS, start=False,
                                      engine={"context": context, "cache-ram": CACHE_RAM})
            node.cgroup = group
            node.start()
            node.wait_resident(MODEL)

    def round(self, order):
        """One turn of each conversation."""
        with concurrent.futures.ThreadPoolExecutor(self.options.at_once) as pool:
            self.turns += pool.map(lambda number: self.conversations[number].ask(self.mesh), order)

    def read_log(self):
        """What was expected when each request came."""
        expected = {request: int(ms) / 1000 for request, ms in LOGGED.findall(self.mesh.coordinator.text())}
        for turn in self.turns:
            turn.expected_s = expected[turn.request]


# --- what is told


def percentile(values, share):
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def ttfts(side):
    return [turn.ttft_s for turn in side.turns]


def cached_share(side):
    return sum(turn.cached for turn in side.turns) / max(sum(turn.possible for turn in side.turns), 1)


def error(turn, predicted):
    return abs(getattr(turn, predicted) - turn.ttft_s) / turn.ttft_s


def median_error(side, predicted):
    return statistics.median(error(turn, predicted) for turn in side.turns)


def bias(side, predicted):
    """By which factor it was too much (or too little, below 1), at the median."""
    return statistics.median(getattr(turn, predicted) / turn.ttft_s for turn in side.turns)


def times(side, first, share):
    return percentile(ttfts(side), share) / percentile(ttfts(first), share)


def row(side, first):
    seconds = ttfts(side)
    nodes = [turn.node for turn in side.turns]
    return [side.policy, *(f"{percentile(seconds, share):.3f}" for share in (0.5, 0.25, 0.75, 0.95)), f"{max(seconds):.3f}",
            f"{times(side, first, 0.5):.2f}", f"{times(side, first, 0.95):.2f}", f"{cached_share(side):.1%}",
            f"{median_error(side, 'expected_s'):.0%} (×{bias(side, 'expected_s'):.2f})",
            f"{median_error(side, 'sent_s'):.0%} (×{bias(side, 'sent_s'):.2f})",
            "/".join(str(nodes.count(name)) for name in ("fast", "slow1", "slow2"))]


def print_table(lines):
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def report(sides, options, wall_s):
    first = sides[0]
    print(f"{options.conversations} conversations of {options.turns} turns up to {max(t.prompt for t in first.turns)} tokens, "
          f"{options.at_once} at once; two of three nodes have {options.slow:.0%} of a processor; {wall_s:.0f} s, load "
          f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print("Seconds to the first token; × is against the mesh's own choice. Error: of what was predicted when a request came, and "
          "when it was sent to its node.")
    print_table([["routing", "median", "p25", "p75", "p95", "slowest", "× median", "× p95", "cached", "error, came", "error, sent",
                  "fast/slow/slow"], *(row(side, first) for side in sides)])
    print("\nThe median by turn:")
    print_table([["routing", *(str(number + 1) for number in range(options.turns))],
                 *([side.policy, *(f"{statistics.median(t.ttft_s for t in side.turns if t.number == number + 1):.3f}"
                                   for number in range(options.turns))] for side in sides)])


def missed(sides):
    """Goals that were not reached, and tells all."""
    best, turns = sides[0], sides[1]
    goals = [("median against round-robin", times(turns, best, 0.5), GOAL_FASTER, "× at least", True),
             ("cached of what was possible", cached_share(best), GOAL_CACHED, "at least", True),
             ("error of the prediction", median_error(best, "expected_s"), GOAL_ERROR, "at most", False)]
    print()
    for what, value, goal, words, more in goals:
        print(f"goal: {what} {words} {goal:.2f}: {value:.2f}")
    return [what for what, value, goal, _, more in goals if (value < goal if more else value > goal)]


def dump(path, sides):
    """Every turn, for who wants to look closer."""
    path.write_text(json.dumps({side.policy: [dataclasses.asdict(turn) for turn in side.turns] for side in sides}))


# --- the run


def measure(sides, options):
    """Fills the turns of each side."""
    chance = random.Random(SEED)
    for number in range(options.turns):
        order = chance.sample(range(options.conversations), options.conversations)
        for side in chance.sample(sides, len(sides)):
            print(f"turn {number + 1} of {options.turns}: {side.policy}", file=sys.stderr)
            side.round(order)
    for side in sides:
        side.read_log()


def run(options):
    with contextlib.ExitStack() as stack:
        groups = [stack.enter_context(cgroup.SlowCgroup(options.slow)) for _ in range(2)]
        sides = [Side(policy, options, groups, stack) for policy in POLICIES]
        begin = time.monotonic()
        measure(sides, options)
        wall_s = time.monotonic() - begin
    report(sides, options, wall_s)
    if options.dump:
        dump(options.dump, sides)
    return 1 if missed(sides) else 0


def at_least(kind, least):
    def read(text):
        value = kind(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return value
    return read


def options_of(words):
    parser = argparse.ArgumentParser(prog="bench_affinity.py")
    parser.add_argument("bin", type=pathlib.Path, help="folder of the programs")
    parser.add_argument("--conversations", type=at_least(int, 2), default=20)
    parser.add_argument("--turns", type=at_least(int, 2), default=8, help="of each conversation")
    parser.add_argument("--tokens", type=at_least(int, 256), default=8192, help="of the last turn, about")
    parser.add_argument("--at-once", type=at_least(int, 1), default=1, help="requests at any moment")
    parser.add_argument("--answer", type=at_least(int, 1), default=32, help="tokens of each answer")
    parser.add_argument("--slow", type=at_least(float, 0.1), default=0.25, help="share of a processor of the slowed nodes")
    parser.add_argument("--dump", type=pathlib.Path, help="write every turn into this file, as JSON")
    return parser.parse_args(words)


def main(words):
    options = options_of(words)
    os.environ["MODEMESH_BIN"] = str(options.bin.resolve())
    if not os.environ.get("MODEMESH_LLAMA_SERVER"):
        print("bench_affinity.py: MODEMESH_LLAMA_SERVER names no engine (./dev engine)", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what it started is ended all the same
    try:
        return run(options)
    except unittest.SkipTest as why:
        print(f"bench_affinity.py: nodes cannot be slowed: {why}. Run it as root, or with systemd in a group of your own: "
              "systemd-run --user --scope -p Delegate=yes ./dev bench affinity", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
