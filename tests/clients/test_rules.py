"""The table of rules (rules.py) is sound, and speaks of tests and of sources as they are now."""

import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

from mesh import run_one
from rules import MUST, RULES, SHOULD

# What stands in the sources of a program where the case is one of its cases.
PLACES = {
    "sdk": lambda test: (HERE / "sdk" / f"{test.program}.cases.mjs", rf'^test\("{re.escape(test.case)}", '),
    "unit": lambda test: (REPO / "tests" / "unit" / f"test_{test.program}.c", rf"[(]{re.escape(test.case)}\b"),
    "captures": lambda test: (HERE / "test_captures.py", rf"^def {re.escape(test.case)}\(\):"),
}


def text_of(path):
    return path.read_text() if path.exists() else ""


def no_entry_stands_twice_or_lacks_something():
    words = [(rule.words, rule.where) for rule in RULES]
    assert len(words) == len(set(words)), "two rules have the same words"
    bad = [rule.words for rule in RULES
           if not (rule.words and rule.level in (MUST, SHOULD) and re.match(r"[1-6]", rule.where) and rule.mutants)]
    assert not bad, f"these lack something: {bad}"


def every_named_test_exists():
    places = [(rule, *PLACES[rule.test.kind](rule.test)) for rule in RULES]
    missing = [f"{rule.words}: {rule.test.case}" for rule, path, pattern in places
               if not re.search(pattern, text_of(path), re.MULTILINE)]
    assert not missing, "no such test:\n" + "\n".join(missing)


def every_mutant_changes_one_place():
    bad = []
    for rule, mutant in ((rule, mutant) for rule in RULES for mutant in rule.mutants):
        count = text_of(REPO / mutant.file).count(mutant.old)
        if count != 1 or mutant.old == mutant.new:
            bad.append(f"{rule.words}: {count} times in {mutant.file}:\n{mutant.old}")
    assert not bad, "\n".join(bad)


if __name__ == "__main__":
    CASES = [no_entry_stands_twice_or_lacks_something, every_named_test_exists, every_mutant_changes_one_place]
    print(f"1..{len(CASES)}")
    sys.exit(not all([run_one(number, case) for number, case in enumerate(CASES, 1)]))
