"""Measures commands side by side: round after round each of them once, in an order that changes, so that a machine which
gets slower or busier meanwhile does so for all of them. What counts is the median; the quartiles and the slowest run say
how far it can be trusted. A command is measured as its user sees it, from its start to its end.
"""

import dataclasses
import os
import pathlib
import random
import statistics
import subprocess
import time

KIB, MIB = 1 << 10, 1 << 20
WARM_UP_ROUNDS = 2  # in which programs and files come into the page cache


@dataclasses.dataclass
class Run:
    """One run of a command."""

    wall_ms: float
    cpu_ms: float
    read_bytes: int  # by system calls, its own libraries too
    disk_bytes: int  # of these, what was not in the page cache


@dataclasses.dataclass
class Subject:
    """A command to measure; `prepare` is called before each run, outside the measured time."""

    name: str
    argv: list
    prepare: object = None
    runs: list = dataclasses.field(default_factory=list)

    def values(self, field):
        return [getattr(run, field) for run in self.runs]

    def median(self, field):
        return statistics.median(self.values(field))


def io_of(pid):
    counters = dict(line.split(": ") for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(counters["rchar"]), int(counters["read_bytes"])


def run_once(argv, env):
    begin = time.perf_counter()
    child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is still there to be asked
    wall_s = time.perf_counter() - begin
    read, disk = io_of(child.pid)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{argv} ended with {child.returncode}")
    return Run(wall_s * 1000, (usage.ru_utime + usage.ru_stime) * 1000, read, disk)


def measure(subjects, rounds, env=None):
    """Fills the runs of each subject."""
    order = list(subjects)
    for turn in range(WARM_UP_ROUNDS + rounds):
        random.shuffle(order)
        for subject in order:
            if subject.prepare is not None:
                subject.prepare()
            run = run_once(subject.argv, env)
            if turn >= WARM_UP_ROUNDS:
                subject.runs.append(run)


def size(count):
    return f"{count / MIB:.1f} MiB" if count >= MIB else f"{count / KIB:.0f} KiB"


def row(subject):
    wall = subject.values("wall_ms")
    low, _, high = statistics.quantiles(wall, n=4)
    return [subject.name, f"{subject.median('wall_ms'):.1f}", f"{low:.1f} to {high:.1f}", f"{max(wall):.1f}",
            f"{subject.median('cpu_ms'):.1f}", size(subject.median("read_bytes")), size(subject.median("disk_bytes"))]


def report(subjects):
    head = ["", "median ms", "quartiles", "slowest", "CPU ms", "read", "from disk"]
    lines = [head, *map(row, subjects)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  ".join(cells).rstrip())
