"""The coordinator's scheduling and others' on simulated model nodes: the runs that docs/SIMULATOR.md publishes, as tables
in its form, held against the goals.

    bench_sim.py BIN [SEEDS=10]

MODEMESH_TRACES is a folder with Mooncake's traces (mooncake-conversation.jsonl, mooncake-synthetic.jsonl) and Azure's
(azure-2023-conv.csv, azure-2023-code.csv); what needs one that is not there is left out, and said. Plots go to BIN/../bench-sim.
Exits with 1 where a goal is missed.
"""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

SEEDS_DEFAULT = 10
CONVERSATION, SYNTHETIC, AZURE = "mooncake-conversation.jsonl", "mooncake-synthetic.jsonl", "azure-2023-conv.csv"
AT_OBJECTIVE = ["--until-objective", "0.75"]
TERMS = "all,no-prompts,no-session,no-affinity,no-speeds,no-decode"
FLOOD = "modemesh,unfair,least-requests,speed-weighted"
FEW = "modemesh,least-requests,hash-by-speed,speed-weighted,lmetric,dynamo"


@dataclasses.dataclass
class Run:
    """One command, and by how much the first policy's p95 has to be better than others'."""

    title: str
    words: list
    trace: str = ""
    policies: str = FEW
    goals: dict = dataclasses.field(default_factory=dict)
    more_seeds: int = 1  # × as many: what is compared varies much
    flood_goal: float = 0  # the p95 of the others grows by less than this factor; 0: no goal


RUNS = [
    Run("Conversations, 1 fast + 2 slow", AT_OBJECTIVE, CONVERSATION, TERMS,
        {"round-robin": 10, "port-per-mode": 8, "least-requests": 2.5, "bounded-hash": 1.7, "speed-weighted": 1.3}),
    Run("Conversations, 8 fast + 16 slow", ["--fleet", "8+16", *AT_OBJECTIVE], CONVERSATION, TERMS,
        {"least-requests": 3, "speed-weighted": 1.8}),
    Run("Tools and agents (synthetic), 8 fast + 16 slow: the prefix term alone", ["--fleet", "8+16", *AT_OBJECTIVE],
        SYNTHETIC, "no-session,no-affinity", {"no-affinity": 3}, more_seeds=4),
    Run("Tools and agents (synthetic), 8 fast + 16 slow", ["--fleet", "8+16", *AT_OBJECTIVE], SYNTHETIC, TERMS),
    Run("Tools and agents (synthetic), 1 fast + 2 slow", AT_OBJECTIVE, SYNTHETIC, TERMS),
    Run("Tools and agents (synthetic), 24 equal nodes", ["--fleet", "equal:24", *AT_OBJECTIVE], SYNTHETIC, TERMS),
    Run("Low load: conversations, 1 fast + 2 slow", ["--load", "0.01"], CONVERSATION),
    Run("Low load: conversations, 8 fast + 16 slow", ["--load", "0.1", "--fleet", "8+16"], CONVERSATION),
    Run("Equal nodes: conversations, 3 of them", ["--fleet", "equal:3", *AT_OBJECTIVE], CONVERSATION),
    Run("Equal nodes: conversations, 24 of them", ["--fleet", "equal:24", *AT_OBJECTIVE], CONVERSATION),
    Run("The first users' machines, made-up sessions", ["--fleet", "first-users", "--load", "0.2"]),
    Run("Made-up sessions, 1 fast + 2 slow", AT_OBJECTIVE),
    Run("Nothing to reuse: Azure's conversations, 1 fast + 2 slow", AT_OBJECTIVE, AZURE),
    Run("Told speeds off by up to 50 %: conversations, 1 fast + 2 slow", ["--rate-error", "0.5", *AT_OBJECTIVE],
        CONVERSATION),
    Run("Index late by 30 s, with room for half: synthetic, 8 fast + 16 slow",
        ["--fleet", "8+16", "--index-lag", "30", "--index-share", "0.5", *AT_OBJECTIVE], SYNTHETIC),
    Run("Nodes die every 20 min: conversations, 1 fast + 2 slow", ["--mtbf", "1200", "--load", "0.04"], CONVERSATION),
    Run("A flood, made-up sessions: one of ten users sends 50 times its share; the others before and after",
        ["--scenario", "flood", "--load", "0.5"], policies=FLOOD, flood_goal=1.25),
    Run("A flood of Azure's conversations", ["--scenario", "flood", "--load", "0.15"], AZURE, FLOOD, flood_goal=1.25),
    Run("A flood of Mooncake's conversations, whose prompts are long", ["--scenario", "flood", "--load", "0.04"],
        CONVERSATION, FLOOD),
]


def simulate(binary, run, seeds, trace):
    command = [binary, *run.words, "--policy", run.policies, "--seeds", str(seeds * run.more_seeds), "--format", "json"]
    if trace:
        command += ["--trace", trace]
    plot = binary.parent.parent / "bench-sim" / (re.sub(r"[^a-z0-9]+", "-", run.title.lower()) + ".svg")
    plot.parent.mkdir(exist_ok=True)
    done = subprocess.run([*command, "--plot", plot], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def seconds(value):
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s" if value < 99.95 else f"{value:.0f} s"


def row(policy, first):
    p95, times = policy["ttft_p95_s"], "1"
    if policy is not first:
        low, high = policy["ttft_p95_versus_first_low"], policy["ttft_p95_versus_first_high"]
        spread = "-" if low is None else f"{low:.2f} … {high:.2f}"  # of one seed there is none
        times = f"**{policy['ttft_p95_versus_first']:.2f}** ({spread})"
    return (f"| {policy['policy']} | {seconds(policy['ttft_p50_s']['mean'])} | {seconds(p95['mean'])} | {times} | "
            f"{seconds(policy['ttft_p99_s']['mean'])} | {seconds(policy['e2e_p95_s']['mean'])} | "
            f"{policy['goodput']['mean']:.1%} | {policy['cached']['mean']:.1%} |")


def show(report):
    print(f"\nload {report['load']:.4g}, {report['policies'][0]['requests']['mean']:.0f} requests a seed\n")
    print("| policy | TTFT p50 | p95 | × first's p95 (95 %) | p99 | E2E p95 | goodput | cached |")
    print("|---|---|---|---|---|---|---|---|")
    for policy in report["policies"]:
        print(row(policy, report["policies"][0]))


def missed(run, report):
    """Goals that were not reached, and tells all."""
    by_name = {policy["policy"]: policy["ttft_p95_versus_first"] for policy in report["policies"]}
    for name, goal in run.goals.items():
        print(f"\ngoal: {name} ≥ {goal} ×: {by_name[name]:.2f}")
    return [name for name, goal in run.goals.items() if by_name[name] < goal]


def flooded(run, before, after):
    """How many times longer the others wait, with modemesh."""
    growth = after["policies"][0]["ttft_p95_s"]["mean"] / before["policies"][0]["ttft_p95_s"]["mean"]
    print(f"\ngoal: modemesh's p95 grows by less than {run.flood_goal} ×: {growth:.2f}")
    return growth


def main(binary, seeds=SEEDS_DEFAULT):
    traces, failures = os.environ.get("MODEMESH_TRACES", ""), []
    for run in RUNS:
        trace = pathlib.Path(traces, run.trace) if run.trace else None
        print(f"\n### {run.title}")
        if trace and not (traces and trace.is_file()):
            print(f"\nleft out: MODEMESH_TRACES has no {run.trace}")
            continue
        reports = simulate(binary, run, seeds, trace)
        for report in reports:
            show(report)
        failures += [f"{run.title}: {name}" for name in missed(run, reports[-1])]
        if run.flood_goal and flooded(run, *reports) >= run.flood_goal:
            failures.append(run.title)
    print("\ngoals missed:", *(failures or ["none"]), sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    if not 1 <= len(words) <= 2 or (len(words) == 2 and not words[1].isdecimal()):
        sys.exit("usage: bench_sim.py BIN [SEEDS]")
    sys.exit(main(pathlib.Path(words[0], "modemesh-sim").resolve(), *map(int, words[1:])))
