"""`modemesh fit` on a model of 100 GB, which must take no longer than it takes to read the file's header: people try it
on every file that they have, also on a slow disk. Beside it, with the same command: a model of 1 MB, and no file at all
(--params), which is what the program costs by itself.

    bench_fit.py BIN [RUNS=50]

The 100 GB are a sparse file with a real header. "cold" means that the header was not in the page cache before the run, as
on the first run after a start of the machine. Exits with 1 where a median misses the goal.
"""

import os
import pathlib
import sys
import tempfile

import side_by_side

REPO = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests" / "lib"))

import gguf_make

GOAL_MS = 100
RUNS_DEFAULT, RUNS_MIN = 50, 2
SMALL = REPO / "configs" / "demo" / "models" / "modemesh-demo-fast.gguf"
# 100 GB at F16, with a vocabulary as large models have it.
LARGE = {"layers": 56, "embedding": 8192, "heads": 64, "kv_heads": 8, "head": 128, "feed_forward": 28672,
         "vocabulary": 128256, "context": 131072}


def forget(path):
    """Drops what the page cache has of the file. On a file system in memory it stays, and "cold" reads nothing from disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def subjects_of(binary, large):
    fit = [str(binary), "fit", "--memory", "128G"]
    return [
        side_by_side.Subject("no file (--params 8b)", [*fit, "--params", "8b"]),
        side_by_side.Subject("1 MB", [*fit, str(SMALL)]),
        side_by_side.Subject("1 MB, cold", [*fit, str(SMALL)], lambda: forget(SMALL)),
        side_by_side.Subject("100 GB", [*fit, str(large)]),
        side_by_side.Subject("100 GB, cold", [*fit, str(large)], lambda: forget(large)),
    ]


def main(binary, runs=RUNS_DEFAULT):
    # No tool of an engine on PATH, which fit would ask about some models, and no settings of the user's.
    env = {"PATH": "/nonexistent", "LC_ALL": "C.UTF-8"}
    with tempfile.TemporaryDirectory(prefix="bench-fit-", dir=binary.resolve().parent) as folder:
        large = pathlib.Path(folder, "large.gguf")
        _, header_bytes = gguf_make.make_sparse(large, **LARGE)
        subjects = subjects_of(binary, large)
        side_by_side.measure(subjects, runs, env)
        print(f"modemesh fit, {runs} runs each, interleaved; the large file has {large.stat().st_size / 1e9:.1f} GB, "
              f"its header {side_by_side.size(header_bytes)}")
        side_by_side.report(subjects)
    slowest = max(subject.median("wall_ms") for subject in subjects)
    print(f"goal: below {GOAL_MS} ms; the slowest median is {slowest:.1f} ms")
    return 0 if slowest < GOAL_MS else 1


def usage():
    print(f"usage: bench_fit.py BIN [RUNS]; RUNS is a whole number of at least {RUNS_MIN}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    words = sys.argv[1:]
    if not 1 <= len(words) <= 2 or (len(words) == 2 and (not words[1].isdecimal() or int(words[1]) < RUNS_MIN)):
        sys.exit(usage())
    sys.exit(main(pathlib.Path(words[0], "modemesh"), *map(int, words[1:])))
