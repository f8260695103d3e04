"""Counts test cases: summary.py [--reports DIR] BUILD_DIR...

Reads what `meson test` logged in each build directory, shows what failed, and ends with the line "N passed, N failed".
A case is a line of a TAP program, or a program without TAP. A program that crashes, runs out of time, says nothing or
did not run has at least one failed case. So has the run for each report that a sanitizer wrote, from any process.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

TAP_LINE = re.compile(r"^\s*(not )?ok \d+\b[^#\n]*(?:#\s*(skip|todo)\b)?", re.IGNORECASE | re.MULTILINE)
SKIPPED_PROGRAM = re.compile(r"^1\.\.0\s*#\s*skip", re.IGNORECASE | re.MULTILINE)
REPORT = re.compile(r"ERROR: |runtime error: ")
TAIL_LINES = 40


def count_cases(entry, is_tap):
    """Returns (passed, failed, skipped) of one program."""
    good = entry["result"] == "OK"
    if not is_tap:
        return (1, 0, 0) if good else (0, 1, 0)
    if entry["result"] == "SKIP" and SKIPPED_PROGRAM.search(entry.get("stdout", "")):
        return 0, 0, 1
    passed = failed = skipped = 0
    for bad, directive in TAP_LINE.findall(entry.get("stdout", "")):
        if directive:
            skipped += 1
        elif bad:
            failed += 1
        else:
            passed += 1
    all_skipped = entry["result"] == "SKIP" and skipped > 0
    if failed == 0 and not all_skipped and (not good or passed + skipped == 0):
        failed = 1
    return passed, failed, skipped


def introspect(build):
    """Returns {name: is_tap} of the tests that the build directory knows, named as in the log: "project:suite / name"."""
    text = subprocess.run(["meson", "introspect", "--tests", build], check=True, capture_output=True, text=True).stdout
    return {f"{test['suite'][0]} / {test['name']}": test["protocol"] == "tap" for test in json.loads(text)}


def read_log(build):
    """Returns {name: entry}."""
    log = pathlib.Path(build, "meson-logs", "testlog.json")
    if not log.exists():
        return {}
    entries = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    return {entry["name"]: entry for entry in entries}


def show(title, text):
    print(f"--- {title}")
    print("\n".join(text.splitlines()[-TAIL_LINES:]))


def count_build(build):
    passed = failed = skipped = 0
    log = read_log(build)
    for name, is_tap in introspect(build).items():
        bare_name = name.rpartition(" / ")[2]  # as the log says it where there is one suite
        entry = log.get(name) or log.get(bare_name, {"result": "did not run"})
        counts = count_cases(entry, is_tap)
        if counts[1]:
            show(f"{name}: {entry['result']}", entry.get("stdout", "") + entry.get("stderr", ""))
        passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    return passed, failed, skipped


def count_reports(folder):
    found = 0
    for report in sorted(pathlib.Path(folder).iterdir()):
        text = report.read_text(encoding="utf-8", errors="replace")
        if REPORT.search(text):  # and not a warning, as of an allocation that a test means to fail
            show(report.name, text)
            found += 1
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reports", metavar="DIR")
    parser.add_argument("builds", metavar="BUILD_DIR", nargs="+")
    args = parser.parse_args()

    counts = [count_build(build) for build in args.builds]
    passed, failed, skipped = (sum(column) for column in zip(*counts))
    if args.reports:
        failed += count_reports(args.reports)
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
