"""How long the coordinator takes to decide which node answers a request: 1,000 nodes with 20 models each, three models that may
answer, and a prefix index that is filled to its bound of 64 MB (bench/decision.c).

    bench_decision.py BIN [RUNS=5]

Each run is a process of its own, with another seed. The table has the median of the runs and, behind it, the least and the
most of them. Exits with 1 where the median of the 99th percentiles misses the goal.
"""

import os
import pathlib
import statistics
import subprocess
import sys

GOAL_US = 50
RUNS_DEFAULT, RUNS_MIN = 5, 2
SHARES = ["p50", "p90", "p99", "p99.9", "max"]
ROWS = {"decision": "a decision", "find": "  what of the prompt is held", "choose": "  which instance answers",
        "own": "a decision, own time", "arithmetic": "arithmetic as long as the median"}


def run_once(binary, seed):
    text = subprocess.run([str(binary), "200000", str(seed)], check=True, capture_output=True, text=True).stdout
    return dict(line.split("\t") for line in text.splitlines())


def cell(runs, name):
    values = [int(run[name + "_ns"]) / 1000 for run in runs]
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def table(runs):
    lines = [["µs", *SHARES]]
    for row, label in ROWS.items():
        lines.append([label, *(cell(runs, f"{row}_{share}") for share in SHARES)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = [line[0].ljust(widths[0])] + [text.rjust(width) for text, width in zip(line[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def counter(runs, name):
    values = [run[name] for run in runs]
    if not all(value.isdecimal() for value in values):
        return f"{name} a decision: {values[0]}"
    return f"{name} a decision: {statistics.median(map(int, values)):.0f}"


def report(runs):
    first = runs[0]
    print(f"{len(runs)} runs of {first['decisions']} decisions; in the first one {first['run']} were sent at once, {first['wait']} "
          f"wait for a slot, {first['reused']} found more of their prompt than all begin with; the index holds "
          f"{int(first['index_held']):,} blocks in {int(first['index_bytes']) / 1e6:.1f} MB")
    table(runs)
    print(f"a reading of the clock takes {first['clock_ns']} ns, of which each part has one; of the thread's own clock "
          f"{first['own_clock_ns']} ns")
    print(f"other programs took the processor away {statistics.median(int(run['preempted']) for run in runs):.0f} times a run; "
          f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(counter(runs, "cycles"))
    print(counter(runs, "instructions"))


def main(folder, runs=RUNS_DEFAULT):
    results = [run_once(folder / "bench-decision", seed) for seed in range(1, runs + 1)]
    report(results)
    median_us = statistics.median(int(run["decision_p99_ns"]) for run in results) / 1000
    added_us = statistics.median(int(run["arithmetic_p99_ns"]) - int(run["arithmetic_p50_ns"]) for run in results) / 1000
    print(f"goal: 99 of 100 within {GOAL_US} µs; the median of the runs is {median_us:.1f} µs, where arithmetic as long as the "
          f"median decision takes {added_us:.1f} µs more in one of 100, by what the machine does besides")
    return 0 if median_us <= GOAL_US else 1


def usage():
    print(f"usage: bench_decision.py BIN [RUNS]; RUNS is a whole number of at least {RUNS_MIN}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    words = sys.argv[1:]
    if not 1 <= len(words) <= 2 or (len(words) == 2 and (not words[1].isdecimal() or int(words[1]) < RUNS_MIN)):
        sys.exit(usage())
    sys.exit(main(pathlib.Path(words[0]), *map(int, words[1:])))
