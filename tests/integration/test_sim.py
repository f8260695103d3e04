"""`modemesh-sim`: the real binary on a few made-up requests and on traces of a few lines."""

import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh

BINARY = pathlib.Path(os.environ.get("MODEMESH_BIN", "."), "modemesh-sim")
SMALL = ["--duration", "600", "--seeds", "2"]
FEW = ["--duration", "60", "--seeds", "1", "--policy", "modemesh"]
BASELINES = ["round-robin", "port-per-mode", "port-by-speed", "least-requests", "power-of-two", "bounded-hash",
             "hash-by-speed", "speed-weighted", "lmetric", "dynamo"]


def sim(*words):
    return subprocess.run([BINARY, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=mesh.DEADLINE_S)


def sim_json(*words):
    done = sim(*words, "--format", "json")
    assert done.returncode == 0 and done.stderr == "", done
    return json.loads(done.stdout)


def assert_refused(done, status, *words):
    assert done.returncode == status and done.stdout == "", done
    assert done.stderr.startswith("modemesh-sim: ") and done.stderr.count("\n") == 1, done
    for word in words:
        assert word in done.stderr, (word, done)


def mooncake(path, sessions, turns=3):
    """Sessions that grow by a block a turn, a turn a minute."""
    lines = []
    for turn in range(turns):
        for session in range(sessions):
            ids = [session * 100 + block for block in range(turn + 1)]
            lines.append({"timestamp": turn * 60000 + session, "input_length": 512 * (turn + 1), "output_length": 20,
                          "hash_ids": ids})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return len(lines)


def every_policy_is_in_the_table():
    done = sim(*SMALL)
    assert done.returncode == 0 and done.stderr == "", done
    rows = [line.split()[0] for line in done.stdout.splitlines()[2:]]
    assert rows == ["modemesh", *BASELINES], done.stdout


def all_policies_fit_in_one_run():
    variants = ["no-prompts", "no-session", "no-affinity", "no-speeds", "no-decode", "no-interference", "early",
                "unfair"]
    with tempfile.TemporaryDirectory() as folder:
        plot = pathlib.Path(folder, "plot.svg")
        few = ["--duration", "60", "--seeds", "1", "--plot", plot, "--policy"]
        [report] = sim_json(*few, ",".join(["dynamo", "all", *variants]))
        names = [policy["policy"] for policy in report["policies"]]
        assert names == ["dynamo", "modemesh", *BASELINES[:-1], *variants], names
        looks = {(line.get("stroke"), line.get("stroke-dasharray"))
                 for line in xml.etree.ElementTree.parse(plot).getroot().iter("{http://www.w3.org/2000/svg}polyline")}
        assert len(looks) == len(names), looks
    assert_refused(sim("--policy", "all,modemesh"), 2, "--policy all,modemesh has 'modemesh' twice")
    assert_refused(sim("--policy", "early,all,early"), 2, "has 'early' twice")


def the_same_command_gives_the_same_bytes():
    words = [*SMALL, "--policy", "all,no-prompts,early", "--rate-error", "0.5", "--mtbf", "300", "--format", "json"]
    first, second = sim(*words), sim(*words)
    assert first.returncode == 0 and first.stdout == second.stdout, (first, second)
    other = sim(*words, "--seed", "9")
    assert other.stdout != first.stdout, other


def all_requests_of_a_trace_are_served():
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace.jsonl")
        count = mooncake(trace, 20)
        [report] = sim_json("--trace", trace, "--seeds", 1)
        assert len(report["policies"]) == 1 + len(BASELINES), report
        for policy in report["policies"]:
            assert policy["requests"]["mean"] == count and policy["tries"]["mean"] == 1, policy
        ideal = 1 - 3 / 6  # of six blocks of a session three are new
        by_name = {policy["policy"]: policy for policy in report["policies"]}
        assert by_name["modemesh"]["cached"]["mean"] > 0.9 * ideal, by_name["modemesh"]
        assert by_name["round-robin"]["cached"]["mean"] < 0.9 * ideal, by_name["round-robin"]


def an_azure_trace_shares_nothing():
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace.csv")
        rows = "".join(f"2023-11-16 18:17:{second:02}.5000000,2000,30\n" for second in range(60))
        trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
        [report] = sim_json("--trace", trace, "--seeds", 1, "--policy", "modemesh,least-requests")
        for policy in report["policies"]:
            assert policy["requests"]["mean"] == 60 and policy["cached"]["mean"] == 0, policy


def plots_are_svg_with_a_line_for_each_policy():
    with tempfile.TemporaryDirectory() as folder:
        plot = pathlib.Path(folder, "plot.svg")
        for words in (["--load", "1"], ["--sweep", "0.5,1"]):
            done = sim(*SMALL, *words, "--policy", "modemesh,round-robin", "--plot", plot)
            assert done.returncode == 0, done
            root = xml.etree.ElementTree.parse(plot).getroot()
            names = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
            assert "modemesh" in names and "round-robin" in names, names
            assert any("s" == name.split(", ")[-1] for name in names), names
            assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 2


def points(plot):
    """Of each line, as pairs of x and y."""
    root = xml.etree.ElementTree.parse(plot).getroot()
    return [[tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
            for line in root.iter("{http://www.w3.org/2000/svg}polyline")]


def a_sweep_is_drawn_in_order_of_load():
    with tempfile.TemporaryDirectory() as folder:
        plots = [pathlib.Path(folder, name) for name in ("sorted.svg", "unsorted.svg")]
        for plot, loads in zip(plots, ("0.2,0.5,0.8", "0.8,0.2,0.5")):
            done = sim(*SMALL, "--sweep", loads, "--policy", "modemesh,round-robin", "--plot", plot)
            assert done.returncode == 0, done
        assert plots[0].read_bytes() == plots[1].read_bytes()
        for line in points(plots[1]):
            assert len(line) == 3 and line == sorted(line) and 70 < line[0][0] and line[-1][0] <= 670, line


def a_plot_is_written_last_and_whole():
    """That it can be written is known before the runs; where they fail nothing is there that was not."""
    with tempfile.TemporaryDirectory() as folder:
        new, old = pathlib.Path(folder, "new.svg"), pathlib.Path(folder, "old.svg")
        old.write_text("mine")
        for plot in (new, old):
            assert_refused(sim("--duration", "60", "--until-busy", "1", "--seeds", "1", "--policy", "modemesh",
                               "--plot", plot), 1, "--until-busy 1: ")
        assert not new.exists() and old.read_text() == "mine"


def options_that_would_do_nothing_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace.jsonl")
        mooncake(trace, 2)
        for name in ("duration", "sessions", "turns", "zipf", "system-tokens", "tokens-max"):
            for words in (("--trace", trace, f"--{name}=5"), (f"--{name}=5", "--trace", trace)):
                assert_refused(sim(*words), 2, f"--{name} does nothing beside --trace: leave one of them out")
        done = sim("--trace", trace, "--users", 2, "--seeds", 1, "--policy", "modemesh")
        assert done.returncode == 0, done
        done = sim("--trace", trace, "--load", 0, "--policy", "modemesh")
        assert done.stdout.splitlines()[0].endswith("in 5 seeds; a larger --load"), done  # no option that is refused
    for scenario in ([], ["--scenario", "plain"]):
        assert_refused(sim(*scenario, "--flood-times", 20), 2, "--flood-times does nothing without --scenario flood: ")
    for name in ("repair", "missed"):
        for mtbf in ([], ["--mtbf", 0]):
            assert_refused(sim(f"--{name}", 5, *mtbf), 2, f"--{name} does nothing without --mtbf: give that too")
        assert sim(*FEW, f"--{name}", 5, "--mtbf", 600).returncode == 0
    assert_refused(sim("--objective", 10, "--objective-s", 3), 2, "--objective does nothing beside --objective-s: ")
    assert sim(*FEW, "--objective", 10, "--objective-s", 0).returncode == 0


def any_name_of_a_trace_can_be_shown():
    with tempfile.TemporaryDirectory() as folder:
        plot = pathlib.Path(folder, "plot.svg")
        for name, shown in ((b"a<b>&\"']]>.jsonl", "a<b>&\"']]>.jsonl"),
                            (b"\xff\x01\x1b[2J\xc2\x9b\x7f.jsonl", "???[2J???.jsonl"), ("ä€".encode(), "ä€")):
            trace = os.fsencode(folder) + b"/" + name
            mooncake(pathlib.Path(os.fsdecode(trace)), 2)
            words = [BINARY, "--trace", trace, "--seeds", "1", "--policy", "modemesh", "--plot", plot]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=mesh.DEADLINE_S)
            assert done.returncode == 0 and done.stdout.decode().startswith(f"{shown} on 1+2, load 1: "), done
            root = xml.etree.ElementTree.parse(plot).getroot()
            names = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
            assert f"{shown} on 1+2" in names, names


def a_plot_goes_to_a_file_of_its_own():
    with tempfile.TemporaryDirectory() as folder:
        trace, other, pipe = (pathlib.Path(folder, name) for name in ("trace.jsonl", "other", "pipe"))
        mooncake(trace, 2)
        before = trace.read_bytes()
        os.link(trace, other)
        for plot in (trace, other):
            assert_refused(sim("--trace", trace, "--seeds", 1, "--policy", "modemesh", "--plot", plot), 2,
                           f"--plot {plot}: it is the trace itself")
        assert trace.read_bytes() == before
        os.mkfifo(pipe)
        for plot in (pipe, "/dev/full", "/dev/stdout"):
            assert_refused(sim(*FEW, "--plot", plot), 2, f"--plot {plot}: it is no regular file")
        done = sim(*FEW, "--plot", "/dev/null")
        assert done.returncode == 0 and done.stderr == "", done


def a_plot_goes_through_links():
    fails = ["--duration", "60", "--until-busy", "1", "--seeds", "1", "--policy", "modemesh"]
    with tempfile.TemporaryDirectory() as folder:
        link, target = pathlib.Path(folder, "link"), pathlib.Path(folder, "target.svg")
        link.symlink_to("target.svg")
        assert_refused(sim(*fails, "--plot", link), 1, "--until-busy 1: ")
        assert link.is_symlink() and not target.exists()
        assert sim(*FEW, "--plot", link).returncode == 0
        whole = target.read_text()
        assert link.is_symlink() and whole.endswith("</svg>\n")
        target.write_text("old " * 100_000)  # longer than the plot
        assert sim(*FEW, "--plot", link).returncode == 0 and target.read_text() == whole


def a_plot_without_room_tells_the_cause():
    with tempfile.TemporaryDirectory() as folder:
        plot = pathlib.Path(folder, "plot.svg")
        done = subprocess.run([BINARY, *FEW, "--plot", plot], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=mesh.DEADLINE_S, restore_signals=False,  # SIGXFSZ is ignored
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
        assert done.returncode == 1 and done.stderr == f"modemesh-sim: --plot {plot}: File too large\n", done
        assert not plot.exists()


def a_flood_is_shown_beside_the_run_without_it():
    calm, flood = sim_json(*SMALL, "--scenario", "flood", "--flood-times", 20, "--policy", "modemesh,least-requests")
    for before, after in zip(calm["policies"], flood["policies"]):
        assert before["requests"]["mean"] == after["requests"]["mean"] > 0, (before, after)
    worse = [after["ttft_p95_s"]["mean"] / before["ttft_p95_s"]["mean"]
             for before, after in zip(calm["policies"], flood["policies"])]
    assert worse[0] < worse[1], worse


def a_flood_that_nobody_sends_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace.jsonl")
        mooncake(trace, 1)
        flood = ["--trace", trace, "--scenario", "flood", "--policy", "modemesh", "--users"]
        assert_refused(sim(*flood, 4000), 1, "who is to send the flood has no request", "fewer --users than 4000")
        assert "That one sends 50 times its share, the others:\n" in sim(*flood, 1).stdout
    some = sim("--scenario", "flood", "--users", 4, "--sessions", 0.002, "--duration", 1800, "--policy", "modemesh").stdout
    assert re.search(r"sends 50 times its share \(in [1-4] of [2-5] seeds it sends nothing\), the others:", some), some


def a_thousand_nodes_are_served():
    [report] = sim_json("--fleet", "300+700", "--sessions", 2, "--duration", 200, "--seeds", 1, "--policy", "all")
    assert all(policy["goodput"]["mean"] > 0.9 for policy in report["policies"]), report


def where_no_request_is_left_words_say_so():
    none = ["--load", "0.0001", "--duration", "60", "--policy", "modemesh,round-robin"]
    done = sim(*none)
    assert done.returncode == 0 and "nan" not in done.stdout.lower(), done
    head, _, *rows = done.stdout.splitlines()
    assert "no request left to measure in 5 seeds; a larger --load" in head, done.stdout
    assert [row.split() for row in rows] == [[name, *["-"] * 9] for name in ("modemesh", "round-robin")], done.stdout
    [report] = sim_json(*none)
    for policy in report["policies"]:
        assert policy["requests"]["mean"] == 0 and policy["ttft_p95_versus_first"] is None, policy
        assert policy["ttft_p95_s"] == {"mean": None, "low": None, "high": None, "by_seed": [None] * 5}, policy


def one_seed_has_no_interval():
    one = ["--duration", "600", "--seeds", "1", "--policy", "modemesh,round-robin"]
    done = sim(*one)
    _, _, first, second = done.stdout.splitlines()
    assert "s [-] " in first and "s [-] " in second and "x [-] " in second, done.stdout
    [report] = sim_json(*one)
    for policy in report["policies"]:
        figure = policy["ttft_p95_s"]
        assert figure["mean"] > 0 and figure["low"] is None and figure["high"] is None, figure
        assert policy["ttft_p95_versus_first"] > 0 and policy["ttft_p95_versus_first_low"] is None, policy


def seeds_without_a_request_do_not_count():
    few = ["--load", "0.1", "--duration", "200", "--policy", "modemesh"]
    head = sim(*few).stdout.splitlines()[0]
    [report] = sim_json(*few)
    counts = report["policies"][0]["requests"]["by_seed"]
    first_tokens = report["policies"][0]["ttft_p95_s"]
    empty, some = counts.count(0), [value for value in first_tokens["by_seed"] if value is not None]
    assert 0 < empty < 5 and head.endswith(f", 5 seeds, {empty} of them without one, which do not count"), head
    assert len(some) == 5 - empty and abs(first_tokens["mean"] - sum(some) / len(some)) < 1e-4, first_tokens


def a_plot_without_requests_says_so():
    with tempfile.TemporaryDirectory() as folder:
        plot = pathlib.Path(folder, "plot.svg")
        for words, is_empty in ((["--load", "0.0001"], True), (["--sweep", "0.0001,0.0002"], True),
                                (["--sweep", "0.0001,1"], False)):
            done = sim("--duration", "200", "--policy", "modemesh", "--plot", plot, *words)
            assert done.returncode == 0, done
            text = plot.read_text()
            xml.etree.ElementTree.fromstring(text)
            assert ("no request left to measure" in text) == is_empty, text
            assert not [word for word in ("nan", "inf") if word in text.replace("infinity", "").lower()], text


def a_search_that_finds_no_load_says_why():
    few = ["--duration", "60", "--seeds", "2", "--policy", "modemesh"]
    assert_refused(sim(*few, "--until-busy", "1"), 1, "--until-busy 1: ", "even at a load of 64", "--fleet")
    assert_refused(sim(*few, "--until-busy", "1e-9"), 1, "--until-busy 1e-09: ", "at every load", "fewer --sessions")
    assert_refused(sim(*few, "--until-objective", "1", "--objective", "0.01"), 1, "--until-objective 1: ",
                   "at every load that leaves a request", "--objective")
    assert_refused(sim(*few, "--until-objective", "0.5", "--sessions", "1e-6"), 1,
                   "no request left to measure up to a load of 64: give more --sessions")


def output_that_has_no_room_is_a_failure():
    much = [*FEW, "--sweep", ",".join(["1"] * 32)]  # more than stdio keeps
    for words in (FEW, much, [*FEW, "--format", "json"], [*much, "--format", "json"], ["--help"], ["--version"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([BINARY, *words], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=mesh.DEADLINE_S)
        assert done.returncode == 1, (words, done)
        assert done.stderr == "modemesh-sim: cannot write to standard output: No space left on device\n", (words, done)


def requests_past_a_limit_are_not_said_to_be_too_few():
    one = ["--seeds", "1", "--policy", "modemesh"]
    limits = "more than 4194304 requests or sessions, or 268435456 blocks of prompts: lower --load"
    assert_refused(sim(*one, "--sessions", "1e4", "--duration", "1e5"), 1, "a load of 1 has " + limits,
                   "--load, --sessions or --duration\n")
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace.jsonl")
        mooncake(trace, 100)
        assert_refused(sim(*one[:2], "--policy", "round-robin", "--trace", trace, "--load", "64", "--users", "1",
                           "--scenario", "flood", "--flood-times", "1000"), 1, "a load of 64 has " + limits,
                       "--load, or --flood-times, or shorten the --trace\n")


def sessions_that_are_all_too_long_are_said_to_be():
    long = ["--tokens-max", "1", "--policy", "modemesh", "--seeds", "2"]
    wanted = ["begins with a prompt of more than --tokens-max 1: give a larger --tokens-max"]
    assert_refused(sim(*long), 1, *wanted)
    assert_refused(sim(*long, "--until-busy", "0.5"), 1, *wanted)
    few = sim("--tokens-max", "3000", "--duration", "600", "--policy", "modemesh")
    assert few.returncode == 0 and "do not count" in few.stdout, few


def a_run_that_would_never_end_says_so():
    assert_refused(sim("--mtbf", "1", "--seeds", "1", "--policy", "modemesh", "--duration", "100"), 1,
                   "modemesh: a prompt of ", " 1000 times", "give a longer --mtbf than 1")
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace.jsonl")
        trace.write_text("".join(json.dumps({"timestamp": at, "input_length": 512, "output_length": 1, "hash_ids": [1]})
                                 + "\n" for at in (0, 9007199254740991)))
        assert_refused(sim("--trace", trace, "--mtbf", "600", "--seeds", "1", "--policy", "round-robin"), 1,
                       "nodes died 10000000 times", "give a longer --mtbf than 600", "shorter --duration or --trace")


def help_names_every_policy():
    done = sim("--help")
    assert done.returncode == 0 and all(name in done.stdout for name in ["modemesh", "no-prompts", *BASELINES]), done


def errors_name_the_value():
    assert_refused(sim("--nonsense", "1"), 2, "--nonsense")
    assert_refused(sim("--load"), 2, "--load")
    assert_refused(sim("--load", "x"), 2, "'x'")
    assert_refused(sim("--load", "65"), 2, "'65'")
    assert_refused(sim("--seeds", "1.5"), 2, "'1.5'")
    assert_refused(sim("--policy", "magic"), 2, "'magic'")
    assert_refused(sim("--fleet", "3x"), 2, "'3x'")
    assert_refused(sim("--fleet", "1x1e39/4/1/1"), 2, "1 to 10000000 prompt tok/s, not 1e+39")
    assert_refused(sim("--fleet", "1.5+2"), 2, "1 to 1000 nodes, whole ones, not 1.5")
    for loads in ("1,,2", "1,", "0", "0.5,5e-324", "0.5,65", ",".join(["0.5"] * 33)):
        assert_refused(sim("--sweep", loads), 2, f"--sweep takes up to 32 loads from 1e-06 to 64, not '{loads}'")
    assert_refused(sim("--scenario", "rain"), 2, "'rain'")
    assert_refused(sim("--scenario", "flood", "--sweep", "0.1,0.2"), 2, "not at --sweep 0.1,0.2: give it as --load")
    assert_refused(sim("--format", "xml"), 2, "'xml'")
    for name in ("--trace", "--sweep", "--fleet", "--policy", "--scenario", "--format", "--plot"):
        assert_refused(sim(name, ""), 2, f"{name} takes ", "not ''")
        assert_refused(sim(f"{name}="), 2, f"{name} takes ", "not ''")
    for first, second in (("--load=1", "--sweep=0.5,1"), ("--load=1", "--until-busy=0.5"),
                          ("--until-objective=0.7", "--until-busy=0.5"), ("--sweep=1", "--until-objective=0.7")):
        for words in ((first, second), (second, first)):
            assert_refused(sim(*words), 2, f"{first.split('=')[0]} or {second.split('=')[0]}, not both")
    assert_refused(sim("--seeds", "2", "--load=1", "--seeds=2"), 2, "--seeds is given twice")
    assert_refused(sim("--trace", "/nonexistent/trace.jsonl"), 2, "/nonexistent/trace.jsonl")
    assert_refused(sim(*SMALL, "--plot", "/nonexistent/plot.svg"), 2, "--plot /nonexistent/plot.svg: No such file")
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace.jsonl")
        mooncake(trace, 2)
        with trace.open("a") as file:
            file.write("oops\n")
        assert_refused(sim("--trace", trace), 2, f"{trace}: line 7: column 1: ")
        trace.write_text("# modemesh\n")
        assert_refused(sim("--trace", trace), 2, f"{trace}: line 1: column 1: ", "neither Mooncake's", "nor Azure's")


if __name__ == "__main__":
    mesh.run(
        every_policy_is_in_the_table,
        all_policies_fit_in_one_run,
        the_same_command_gives_the_same_bytes,
        all_requests_of_a_trace_are_served,
        an_azure_trace_shares_nothing,
        plots_are_svg_with_a_line_for_each_policy,
        a_sweep_is_drawn_in_order_of_load,
        a_plot_is_written_last_and_whole,
        options_that_would_do_nothing_are_refused,
        any_name_of_a_trace_can_be_shown,
        a_plot_goes_to_a_file_of_its_own,
        a_plot_goes_through_links,
        a_plot_without_room_tells_the_cause,
        a_flood_is_shown_beside_the_run_without_it,
        a_flood_that_nobody_sends_is_refused,
        a_thousand_nodes_are_served,
        where_no_request_is_left_words_say_so,
        one_seed_has_no_interval,
        seeds_without_a_request_do_not_count,
        a_plot_without_requests_says_so,
        a_search_that_finds_no_load_says_why,
        output_that_has_no_room_is_a_failure,
        requests_past_a_limit_are_not_said_to_be_too_few,
        sessions_that_are_all_too_long_are_said_to_be,
        a_run_that_would_never_end_says_so,
        help_names_every_policy,
        errors_name_the_value,
    )
