"""The command `modemesh` against a real mesh."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import CODER, FAST, THINKER, Mesh, chat, wait_until

TALKATIVE = ("--ignore-eos", "--predict", "10000000")  # words for an engine whose answers have no end
NOBODY = "http://127.0.0.1:1"
KEY = "sk-4711_not_for_others"  # none of ours: on loopback it is not looked at


def one_node(cluster, **options):
    return cluster.add_node("halo1", [FAST], **options)


def run_program(name, *words):
    return subprocess.run([pathlib.Path(os.environ["MODEMESH_BIN"], name), *words], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=mesh.DEADLINE_S)


def assert_failed(done, status, *words):
    assert done.returncode == status, done
    for word in words:
        assert word in done.stderr, done
    assert KEY not in done.stderr + done.stdout


def every_program_knows_help_and_version():
    versions = set()
    for name in ("modemesh", "modemesh-coordinator", "modemesh-node", "modemesh-sim", "bench-decision"):
        done = run_program(name, "--help")
        assert done.returncode == 0 and done.stdout.startswith(f"usage: {name} ") and done.stderr == "", (name, done)
        if name != "bench-decision":
            done = run_program(name, "--version")
            word, version = done.stdout.split()
            assert done.returncode == 0 and word == name and done.stderr == "", (name, done)
            versions.add(version)
    assert len(versions) == 1, versions
    told = run_program("bench-decision", "--help").stdout.split()
    printed = run_program("bench-decision", "1000").stdout.splitlines()
    names = {re.sub("_(p[0-9.]+|max)_ns$", "_SHARE_ns", line.split("\t")[0]) for line in printed}
    assert "own_SHARE_ns" in names and names <= set(told), (names, told)
    done = run_program("bench-decision", "12x")
    assert done.returncode == 2 and "not '12x'; usage: " in done.stderr and done.stdout == "", done


def status_shows_the_mesh():
    with Mesh({"ask": [FAST, CODER]}) as cluster:
        away = cluster.add_node("halo2", [FAST])
        away.daemon.stop()
        away.wait_state("offline")
        node = one_node(cluster, available=[THINKER])
        done = cluster.cli("status")
        assert done.returncode == 0 and done.stderr == "", done
        for word in ("1 of 2 nodes up", "halo1", "halo2", "offline", FAST, "resident", "ask", cluster.http):
            assert word in done.stdout, (word, done.stdout)
        parsed = json.loads(cluster.cli("status", "--json").stdout)
        assert {entry["name"]: entry["state"] for entry in parsed["nodes"]} == {"halo1": "up", "halo2": "offline"}
        assert node.key in {entry["key"] for entry in parsed["nodes"]}


def told_models(cluster):
    rows = json.loads(cluster.cli("models", "--json").stdout)["models"]
    return {row["name"]: row for row in rows}, json.loads(cluster.cli("status", "--json").stdout)["nodes"][0]["models"]


def told_alike(cluster):
    """What `models` and `status` tell, where they tell the same of each model; None where they do not."""
    models, known = told_models(cluster)
    alike = all(models[model["name"]][key] == model[key]
                for model in known for key in ("pinned", "file_bytes", "memory_bytes"))
    return (models, known) if alike else None


def modes_and_models_are_tables_and_json():
    with Mesh({"ask": [FAST, CODER], "code": [CODER]}) as cluster:
        one_node(cluster, available=[THINKER], slots=3)
        assert f"{FAST}, {CODER}" in cluster.cli("modes").stdout
        modes = {row["name"]: row for row in json.loads(cluster.cli("modes", "--json").stdout)["modes"]}
        assert modes["ask"]["models"] == [FAST, CODER] and modes["ask"]["node"] == "halo1", modes
        assert modes["code"]["reason"] and not modes["code"]["node"], modes
        # A load is measured a moment after it, maybe between the two looks: then they are taken again.
        models, known = wait_until("models and status tell the same bytes", lambda: told_alike(cluster))
        assert models[FAST]["state"] == "resident" and models[FAST]["slots"] == 3, models
        assert models[THINKER]["state"] == "available" and models[THINKER]["file_bytes"] > 0, models
        for model in known:
            row = models[model["name"]]
            assert set(row) - {"node"} <= set(model), (row, model)
            assert row["memory_bytes"] > 0 or model["state"] == "available", (row, model)
        assert models[FAST]["pinned"] is True and models[THINKER]["pinned"] is False, models
        raw = [line.split(" ") for line in cluster.cli("models", "--raw").stdout.splitlines()]
        assert raw[0][:3] == ["name", "node", "state"] and [FAST, "halo1", "resident"] in [row[:3] for row in raw[1:]]


def keys_are_for_modes_and_models_that_are_there():
    with Mesh({"ask": [FAST], "debug": [FAST]}) as cluster:
        one_node(cluster)
        done = cluster.owner("keys", "create", "a", "--modes", "nosuch")
        assert done.returncode == 1 and not done.stdout, done
        assert 'there is no mode "nosuch"; known are: ask, debug' in done.stderr, done.stderr
        done = cluster.owner("keys", "create", "a", "--modes", "chat", "--models", f"{FAST},nosuch")
        assert done.returncode == 0 and done.stdout.startswith("mm_") and done.stdout.count("\n") == 1, done
        assert '"chat" is the mode ask: the key is for that.\n' in done.stderr, done.stderr
        assert 'warning: there is no model "nosuch" yet' in done.stderr and f'"{FAST}"' not in done.stderr, done.stderr
        [key] = cluster.owner_get("keys")["keys"]
        assert key["modes"] == ["ask"] and key["models"] == [FAST, "nosuch"], key


def explain_names_the_node():
    with Mesh({"ask": [FAST, CODER]}) as cluster:
        one_node(cluster, slots=3)
        asked = ["explain", "--mode", "ask", "--tokens", "100"]
        done = cluster.cli(*asked)
        assert done.returncode == 0 and done.stderr == "", done
        for word in (f"Goes to {FAST} on halo1 now: ", "PREFILL", "TOTAL", "chosen: ", "no connected node has it"):
            assert word in done.stdout, (word, done.stdout)
        told = json.loads(cluster.cli(*asked, "--json").stdout)
        assert told["verdict"] == "run" and told["chosen"] == {"node": "halo1", "model": FAST}, told
        seconds = told["instances"][0]["seconds"]
        terms = sum(value for term, value in seconds.items() if term not in ("time_to_first_token", "total"))
        assert abs(terms - seconds["total"]) < 1e-3 and told["instances"][0]["slots"] == 3, told
        raw = cluster.cli("explain", "--model", FAST, "--tokens", "9k", "--raw").stdout.splitlines()
        assert [line.split(" ")[:3] for line in raw] == [["node", "model", "state"], ["halo1", FAST, "resident"]], raw
        assert_failed(cluster.cli("explain", "--mode", "nobody", "--tokens", "1"), 1, "nobody", "known are: ask")
        assert_failed(cluster.cli(*asked, "--needs", "wings"), 2, '--needs: "wings" is none of chat, tools, vision, ')
        assert_failed(cluster.cli("explain", "--model", "nobody"), 1, '"nobody"', f"known are: mesh-ask, mesh-auto, {FAST}")
        assert_failed(cluster.cli("explain", "--mode", "ask", "--tokens", "many"), 2, "--tokens", '"many"')
        assert_failed(cluster.cli("explain"), 2, "--mode or --model is missing")
        short = cluster.cli("explain", "--mode", "ask")
        assert short.returncode == 0 and short.stdout.startswith("Without --tokens, a prompt of 100 tokens.\n"), short


def explain_knows_a_conversation():
    with Mesh({"ask": [FAST]}) as cluster:
        cluster.add_node("halo1", [FAST])
        cluster.add_node("halo2", [FAST])
        text = "a long story " * 200
        body = json.dumps(chat("ask", text, max_tokens=1))
        answer = cluster.post("/v1/chat/completions", body, {"session-id": "story-1"})
        where = answer.headers["X-Modemesh-Node"]
        asked = ["explain", "--mode", "ask", "--tokens", "800", "--json", "--session"]
        told = json.loads(cluster.cli(*asked, "story-1").stdout)
        assert answer.status == 200 and told["session"]["known"], (answer, told)
        assert told["session"]["node"] == told["chosen"]["node"] == where, (where, told)
        held = {row["node"]: row["held_tokens"] for row in told["instances"]}
        assert held.pop(where) > 0 and set(held.values()) == {0}, told
        told = json.loads(cluster.cli(*asked, "story-2").stdout)
        assert not told["session"]["known"] and all(row["held_tokens"] == 0 for row in told["instances"]), told


def ask_says_what_the_engine_says():
    with Mesh({"ask": [FAST]}) as cluster:
        question = "what is a node?"
        wanted = one_node(cluster, words=("--temp", "0")).engine(FAST).ask(chat(FAST, question)).content
        for words, text in ((["ask", *question.split()], "not read"), (["ask", "-"], question), (["ask"], question),
                            (["ask", "--mode", "ask", question], ""), (["ask", "--model", FAST, "-"], question)):
            done = cluster.cli(*words, input=text)
            assert done.returncode == 0 and done.stderr == "", done
            assert done.stdout == wanted + "\n", (words, done.stdout, wanted)


def ask_without_a_question_says_so():
    with Mesh({"ask": [FAST]}) as cluster:
        for words, text, why in ((["ask"], "", "standard input is empty"), (["ask"], " \n\n", "standard input is empty"),
                                 (["ask", "-"], "\t", "standard input is empty"),
                                 (["ask", " "], "not read", "the words are blank")):
            assert_failed(cluster.cli(*words, input=text), 2, f"nothing to ask: {why}", "modemesh help ask")
        terminal, end = os.openpty()
        done = subprocess.run([cluster.bin / "modemesh", "ask"], env=cluster.cli_env(), stdin=end, capture_output=True,
                              text=True, timeout=mesh.DEADLINE_S)
        os.close(terminal)
        os.close(end)
        assert_failed(done, 2, "nothing to ask: no words, and standard input is a terminal")


def ask_puts_standard_input_below_the_words():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = one_node(cluster, words=("--temp", "0")).engine(FAST)
        wanted = engine.ask(chat(FAST, "explain this\n\nint x;\n")).content
        done = cluster.cli("ask", "explain", "this", "-", input="int x;\n")
        assert done.returncode == 0 and done.stdout == wanted + "\n", (done, wanted)


def status_counts_who_waits_for_a_slot():
    with Mesh({"ask": [FAST]}) as cluster:
        one_node(cluster, slots=1, words=TALKATIVE)
        asks = [cluster.cli_start("ask", "hello") for _ in range(3)]

        def lines():
            return cluster.cli("status").stdout.splitlines()

        # The instance has one more than it has slots for; which goes where next is open for the third.
        wait_until("two wait", lambda: "2 requests running, 1 of them waits for a slot; 1 queued" in lines())
        assert any(line.split()[0] == "ask" and line.split()[-1] == "1" for line in lines() if line), lines()
        # The node tells the coordinator about its slots a little later.
        wait_until("one of one slot is busy", lambda: any(
            line.startswith(FAST) and line.split()[3:5] == ["1", "1"] for line in lines()))
        for ask in asks:
            ask.kill()
            ask.communicate()


def ask_shows_who_answers():
    with Mesh({"ask": [FAST]}) as cluster:
        one_node(cluster)
        shown = cluster.cli("ask", "--show", "hello").stderr
        for header in ("Mode: ask", f"Model: {FAST}", "Node: halo1", "Reason: ", "Request: "):
            assert f"X-Modemesh-{header}" in shown, shown


def ask_streams_and_ctrl_c_cancels():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = one_node(cluster, slots=1, words=TALKATIVE).engine(FAST)
        ask = cluster.cli_start("--key", KEY, "ask", "hello")
        # The answer has no end: what is read here was printed while the engine works.
        assert len(os.read(ask.stdout.fileno(), 20)) > 0 and engine.busy() == 1
        assert KEY not in " ".join(mesh.words_of(ask.pid)), "the key stays in the process list"
        ask.send_signal(signal.SIGINT)
        out, err = ask.communicate(timeout=mesh.DEADLINE_S)
        assert ask.returncode == 130 and err == b"" and out.endswith(b"\n"), (ask.returncode, err, out[-80:])
        wait_until("the engine's slot is free", lambda: engine.busy() == 0)


def a_killed_ask_frees_the_slot():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = one_node(cluster, slots=1, words=TALKATIVE).engine(FAST)
        ask = cluster.cli_start("ask", "hello")
        assert os.read(ask.stdout.fileno(), 20) and engine.busy() == 1
        ask.kill()
        ask.communicate()
        wait_until("the engine's slot is free", lambda: engine.busy() == 0)


def ask_that_breaks_off_fails_aloud():
    with Mesh({"ask": [FAST]}) as cluster:
        engine = one_node(cluster, slots=1, words=TALKATIVE).engine(FAST)
        ask = cluster.cli_start("ask", "hello")
        assert os.read(ask.stdout.fileno(), 20)
        engine.kill()
        out, err = ask.communicate(timeout=mesh.DEADLINE_S)
        assert ask.returncode == 1 and out.endswith(b"\n") and err.startswith(b"modemesh: "), (ask.returncode, err)

        wait_until("another engine serves", lambda: cluster.nodes["halo1"].model(FAST).get("restarts"))
        cluster.nodes["halo1"].wait_resident(FAST)
        ask = cluster.cli_start("ask", "hello")
        assert os.read(ask.stdout.fileno(), 20)
        cluster.coordinator.kill()
        out, err = ask.communicate(timeout=mesh.DEADLINE_S)
        assert ask.returncode == 1 and b"before" in err, (ask.returncode, err)


def refusals_say_why():
    with Mesh({"ask": [FAST], "code": [CODER]}) as cluster:
        one_node(cluster)
        assert_failed(cluster.cli("ask", "--model", "gpt-5", "hello"), 1, "gpt-5", FAST)
        assert_failed(cluster.cli("--key", KEY, "ask", "--mode", "code", "hello"), 1, "code")
        for words in (["nodes"], ["models", "unload", FAST], ["plan"]):
            assert_failed(cluster.cli(*words), 1, "on the coordinator's host as its user", "`modemesh keys create NAME --admin`")
        assert_failed(cluster.cli("stauts"), 2, "status")
        assert_failed(cluster.cli("status", "--jsno"), 2, "--json")
        assert_failed(cluster.cli("ask", "--mode", "ask", "--model", FAST, "hello"), 2, "--mode", "--model")
        assert_failed(cluster.cli("ask", "-"), 2, "empty")
        assert_failed(cluster.cli(), 2, "help")
        assert_failed(cluster.cli("status", MODEMESH_COORDINATOR="ftp://x"), 2, "http://", "'ftp://x'")


def commands_of(text):
    """The names below "Commands:" of a help."""
    rows = text.partition("\nCommands:\n")[2].partition("\n\n")[0].splitlines()
    return [row[2:26].strip() for row in rows]


def every_wrong_command_line_exits_with_2():
    with Mesh() as cluster:
        names = commands_of(cluster.cli("help").stdout)
        names += [name for group in names for name in commands_of(cluster.cli("help", group).stdout)]
        assert len(names) == len(set(names)) > 30, names
        for name in names:
            words = name.split()
            assert "Exit codes: 0 done, 1 " in cluster.cli(*words, "--help").stdout, name
            assert_failed(cluster.cli(*words, "--no-such-flag"), 2, "'--no-such-flag'", "modemesh help")
        for name in ("status", "modes", "explain", "operations", "plan", "nodes list", "keys list", "version"):
            assert_failed(cluster.cli(*name.split(), "word"), 2, "unexpected word 'word'")
        for name in ("deploy", "models load", "nodes approve", "nodes drain", "token revoke", "keys create"):
            assert_failed(cluster.cli(*name.split()), 2, f"incomplete: modemesh {name} ")


def without_a_coordinator_it_says_what_to_do():
    with Mesh() as cluster:
        words = (NOBODY, "modemesh-coordinator", "--coordinator", "MODEMESH_COORDINATOR")
        for command in (["status"], ["ask", "hello"], ["modes"], ["models"]):
            assert_failed(cluster.cli("--coordinator", NOBODY, "--key", KEY, *command), 3, *words)
            assert_failed(cluster.cli(*command, MODEMESH_COORDINATOR=NOBODY, MODEMESH_KEY=KEY), 3, *words)


def addresses_are_taken_as_people_write_them():
    with Mesh() as cluster:
        for url in (cluster.http, f"{cluster.http}/", f"http://{cluster.http}/v1", f"{cluster.http}/v1/"):
            done = cluster.cli("--coordinator", url, "status")
            assert done.returncode == 0 and f"at http://{cluster.http}," in done.stdout, done
        link = cluster.link.removeprefix("tcp://")
        for words in (["status"], ["ask", "hello"]):
            assert_failed(cluster.cli("--coordinator", link, *words), 3, link, "speaks no HTTP", "8420")


def help_and_version_need_no_coordinator():
    with Mesh() as cluster:
        version = cluster.cli("version", MODEMESH_COORDINATOR=NOBODY)
        assert version.returncode == 0 and version.stdout.startswith("modemesh "), version
        assert cluster.cli("--version").stdout == version.stdout
        for words in (["help"], ["--help"]):
            text = cluster.cli(*words).stdout
            for word in ("status", "ask", "modes", "models", "version", "Exit codes", "130"):
                assert word in text, text
        assert cluster.cli("help", "ask").stdout == cluster.cli("ask", "--help").stdout
        assert "--mode" in cluster.cli("help", "ask").stdout and "Examples:" in cluster.cli("help", "ask").stdout


if __name__ == "__main__":
    mesh.run(
        every_program_knows_help_and_version,
        status_shows_the_mesh,
        modes_and_models_are_tables_and_json,
        keys_are_for_modes_and_models_that_are_there,
        explain_names_the_node,
        explain_knows_a_conversation,
        ask_says_what_the_engine_says,
        ask_without_a_question_says_so,
        ask_puts_standard_input_below_the_words,
        status_counts_who_waits_for_a_slot,
        ask_shows_who_answers,
        ask_streams_and_ctrl_c_cancels,
        a_killed_ask_frees_the_slot,
        ask_that_breaks_off_fails_aloud,
        refusals_say_why,
        every_wrong_command_line_exits_with_2,
        without_a_coordinator_it_says_what_to_do,
        addresses_are_taken_as_people_write_them,
        help_and_version_need_no_coordinator,
    )
