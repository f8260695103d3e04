"""Breaks one rule of rules.py at a time, and sees that the test of that rule fails: mutants.py [WORD...]

The sources are copied to build/mutants/src and built beside it. First every test that the table names must pass; then
each mutant is made there, built, given to its test and taken back. It is killed where the test says by its own TAP line
that it failed: what does not build, what crashes and what says nothing is no kill. WORDs choose the rules whose words,
place or test have one of them. Prints TAP: a case for each mutant, and one for the table as a whole.

MODEMESH_LLAMA_SERVER and MODEMESH_SDK as for test_sdks.py; where that cannot run, the mutants for it are skipped.
"""

import collections
import concurrent.futures
import contextlib
import fcntl
import filecmp
import itertools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from rules import RULES

REPO = pathlib.Path(__file__).resolve().parents[2]
ROOM = REPO / "build" / "mutants"
SOURCES, BUILD, RUNS = ROOM / "src", ROOM / "build", ROOM / "runs"
PROGRAMS = ("modemesh-coordinator", "modemesh-node", "modemesh")
RUNNERS = 2          # tests that run while the next mutant is built
AHEAD = 4            # mutants that are built and not yet judged
BUILD_LIMIT_S = 900
RUN_LIMIT_S = 240    # of one mutant's test
FIRST_LIMIT_S = 600  # of a program's tests with nothing broken
END_LIMIT_S = 90     # for a mesh to end what it has started
LIMIT_S = 3600       # of all mutants: what has not begun by then has failed
TAIL_LINES = 25
TAP_LINE = re.compile(r"^(not )?ok \d+ - (.*)$", re.MULTILINE)
SKIPPED = re.compile(r"^1\.\.0 # SKIP (.*)$", re.MULTILINE)
CRASH = "Test failed with exception"  # cmocka's words where a signal ended a case


class Unfit(Exception):
    """No mutant can be judged: a sentence, and what was printed."""


def tell(text):
    print(f"# {text}", flush=True)


# --- processes


class Children:
    """The processes that run now. SIGINT lets a test end the mesh that it has started."""

    def __init__(self):
        self.lock, self.running, self.ending = threading.Lock(), set(), False

    def run(self, words, limit_s, **env):
        """Returns (exit status, output); the status is None where it took too long."""
        with self.lock:
            if self.ending:
                return None, "not begun"
            child = subprocess.Popen([str(word) for word in words], env={**os.environ, **env}, text=True,
                                     errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)
            self.running.add(child)
        try:
            return self.finish(child, limit_s)
        finally:
            with self.lock:
                self.running.discard(child)

    @staticmethod
    def finish(child, limit_s):
        try:
            output = child.communicate(timeout=limit_s)[0]
            return child.returncode, output
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
        try:
            output = child.communicate(timeout=END_LIMIT_S)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            output = child.communicate()[0]
        return None, f"{output}\nno end after {limit_s} s"

    def end(self):
        """Nothing is begun after this."""
        with self.lock:
            self.ending = True
            for child in self.running:
                child.send_signal(signal.SIGINT)


CHILDREN = Children()


# --- the sources


def source_files():
    words = ["git", "ls-files", "-coz", "--exclude-standard"]
    listed = subprocess.run(words, cwd=REPO, check=True, capture_output=True, text=True)
    names = [name for name in listed.stdout.split("\0") if name]
    return {name for name in names if (REPO / name).is_file()}


def copy_sources():
    """What has not changed stays as it is, so that little is built anew."""
    wanted = source_files()
    for name in wanted:
        source, target = REPO / name, SOURCES / name
        if not (target.exists() and filecmp.cmp(source, target, shallow=False)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
    for path in [path for path in SOURCES.rglob("*") if path.is_file()]:
        if str(path.relative_to(SOURCES)) not in wanted:
            path.unlink()


def configure():
    if (BUILD / "build.ninja").exists():
        return
    words = ["meson", "setup", BUILD, SOURCES, "-Dbuildtype=debug", "-Dtests=enabled"]
    status, output = CHILDREN.run(words, BUILD_LIMIT_S)
    if status != 0:
        raise Unfit("meson setup failed", output)


def build(targets):
    return CHILDREN.run(["ninja", "-C", BUILD, *sorted(targets)], BUILD_LIMIT_S)


@contextlib.contextmanager
def broken(mutant):
    path = SOURCES / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise Unfit(f"what a mutant changes stands {text.count(mutant.old)} times in {mutant.file}", mutant.old)
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        yield
    finally:
        path.write_text(text)


# --- tests


def programs_of(test):
    return (f"test_{test.program}",) if test.kind == "unit" else PROGRAMS


def keep_programs(test, folder):
    """What was built, out of the next build's way."""
    folder.mkdir(parents=True)
    for name in programs_of(test):
        shutil.copy(BUILD / name, folder)


def exactly(cases):
    return "^(" + "|".join(re.escape(case) for case in cases) + ")$"


def run_tests(kind, program, cases, folder, limit_s):
    """Runs these cases, at least, with the programs of the folder; returns the output."""
    scripts, env = SOURCES / "tests" / "clients", {"MODEMESH_BIN": str(folder)}
    if kind == "unit":
        return CHILDREN.run([folder / f"test_{program}"], limit_s)[1]
    if kind == "captures":
        return CHILDREN.run([sys.executable, "-B", scripts / "test_captures.py", *cases], limit_s, **env)[1]
    words = [sys.executable, "-B", scripts / "test_sdks.py", f"{program}.cases.mjs"]
    return CHILDREN.run(words, limit_s, MODEMESH_ONLY=exactly(cases), **env)[1]


def verdict(case, output):
    """True where the case passed, False where it failed, None where it said neither, or crashed."""
    passed = {name: not bad for bad, name in TAP_LINE.findall(output)}
    return None if CRASH in output else passed.get(case)


def check_unbroken(rules):
    """Every test passes before anything is broken. Returns {kind: why} of those that cannot run here."""
    tell("building")
    status, output = build({name for rule in rules for name in programs_of(rule.test)})
    if status != 0:
        raise Unfit("the sources do not build", output)
    programs, skipped = collections.defaultdict(set), {}
    for rule in rules:
        programs[rule.test.kind, rule.test.program].add(rule.test.case)
    for (kind, program), cases in sorted(programs.items()):
        tell(f"nothing is broken: {kind} {program}")
        output = run_tests(kind, program, sorted(cases), BUILD, FIRST_LIMIT_S)
        if found := SKIPPED.search(output):
            skipped[kind] = found[1]
        elif bad := [case for case in sorted(cases) if not verdict(case, output)]:
            raise Unfit(f"these fail though nothing is broken: {bad}", output)
    return skipped


# --- mutants


class Report:
    def __init__(self, count):
        self.lock, self.numbers, self.failures = threading.Lock(), itertools.count(1), 0
        print(f"1..{count}", flush=True)

    def case(self, good, name, output="", skip=None):
        with self.lock:
            for line in [] if good else output.splitlines()[-TAIL_LINES:]:
                tell(line)
            self.failures += not good
            print(f"{'ok' if good else 'not ok'} {next(self.numbers)} - {name}{f' # SKIP {skip}' if skip else ''}",
                  flush=True)


class Judge:
    """Builds mutants one after another; their tests run beside."""

    def __init__(self, report):
        self.report, self.room, self.numbers = report, threading.BoundedSemaphore(AHEAD), itertools.count(1)
        self.pool, self.judged = concurrent.futures.ThreadPoolExecutor(RUNNERS), []

    def try_mutant(self, rule, mutant, name):
        folder = RUNS / str(next(self.numbers))
        with broken(mutant):
            status, output = build(programs_of(rule.test))
            if status == 0:
                keep_programs(rule.test, folder)
        if status != 0:
            self.report.case(False, f"{name}: it does not build", output)
            return
        self.room.acquire()
        self.judged.append(self.pool.submit(self.judge, rule.test, name, folder))

    def judge(self, test, name, folder):
        try:
            output = run_tests(test.kind, test.program, [test.case], folder, RUN_LIMIT_S)
            passed = verdict(test.case, output)
            how = {True: ": it survived", False: "", None: ": the test says nothing of it"}
            self.report.case(passed is False, name + how[passed], output)
        finally:
            shutil.rmtree(folder)
            self.room.release()

    def finish(self):
        for future in self.judged:
            future.result()


def numbered(rules):
    """[(rule, mutant, name)], those of one file together: little is built anew."""
    found = [(rule, mutant, f"{rule.words} [{number}]") for rule in rules
             for number, mutant in enumerate(rule.mutants, 1)]
    return sorted(found, key=lambda entry: (entry[1], entry[0].test))


def try_all(rules, skipped, report):
    end = time.monotonic() + LIMIT_S
    judge = Judge(report)
    for rule, mutant, name in numbered(rules):
        if rule.test.kind in skipped:
            report.case(True, name, skip=skipped[rule.test.kind])
        elif time.monotonic() > end:
            report.case(False, f"{name}: no time was left")
        else:
            judge.try_mutant(rule, mutant, name)
    judge.finish()


def is_chosen(rule, words):
    said = " ".join((rule.words, rule.where, rule.test.program, rule.test.case)).lower()
    return not words or any(word.lower() in said for word in words)


def run(words):
    """Returns how many cases failed."""
    rules = [rule for rule in RULES if is_chosen(rule, words)]
    if not rules:
        raise Unfit(f"no rule has one of {words}", "")
    shutil.rmtree(RUNS, ignore_errors=True)
    SOURCES.mkdir(parents=True, exist_ok=True)
    copy_sources()
    configure()
    skipped = check_unbroken(rules)
    report = Report(sum(len(rule.mutants) for rule in rules) + 1)
    try_all(rules, skipped, report)
    report.case(all(rule.test.case and rule.mutants for rule in RULES),
                f"each of the {len(RULES)} rules has a test and a mutant")
    return report.failures


def stop(*_):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, stop)
    ROOM.mkdir(parents=True, exist_ok=True)
    with open(ROOM / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return 1 if run(sys.argv[1:]) else 0
        except Unfit as why:
            sentence, output = why.args
            for line in output.splitlines()[-TAIL_LINES:]:
                tell(line)
            print(f"Bail out! {sentence}")
            return 1
        finally:
            CHILDREN.end()


if __name__ == "__main__":
    sys.exit(main())
