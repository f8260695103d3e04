"""By which model a mode answers, live: the shipped rules by context (configs/by-context) on three nodes, whose demo models
play the roles of that file. Every number of tokens in it is a sixteenth here, and so is every prompt: no CPU reads 150k tokens
in a test. What the rules are, and their order, is the file's."""

import contextlib
import functools
import json
import pathlib
import re
import shutil
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import CODER, ENDLESS, FAST, THINKER, Mesh, wait_until

LONG = "modemesh-demo-long"  # the thinker again, with more context
ROLES = {"gpt-oss-20b": FAST, "qwen3-coder-30b": CODER, "gpt-oss-120b": THINKER, "qwen3-thinking-30b": LONG}
SCALE = 16
CONTEXT, LONG_CONTEXT = 8192, 16384  # of 131072 and 262144
ROUNDS = 2  # the first begins with no knowledge of tokenizers and speeds, the second with some
WORD = "a node "  # tokens of 3.5 bytes, as those of prose and code are
TOOL = {"type": "function", "function": {"name": "read_file", "description": "reads a file",
                                         "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}}


def scaled(kilo):
    return kilo * 1024 // SCALE


def words(tokens):
    """As modemesh writes a number of tokens."""
    return f"{tokens // 1024}k" if tokens % 1024 == 0 else str(tokens)


def config():
    text = (mesh.REPO / "configs/by-context/coordinator.yaml").read_text()
    text = re.sub(r"\b(\d+)k:", lambda limit: f"{scaled(int(limit[1]))}:", text)
    for role, model in ROLES.items():
        text = text.replace(role, model)
    return text


def add_node(cluster, name, models, context):
    node = cluster.add_node(name, [], slots=1, start=False, engine={"context": context})
    node.config.write_text(json.dumps({**json.loads(node.config.read_text()), "resident": models}))
    for model in models:
        shutil.copy(mesh.MODELS / f"{THINKER if model == LONG else model}.gguf", node.models / f"{model}.gguf")
    node.start()
    node.wait_resident(*models)
    return node


@contextlib.contextmanager
def three_nodes():
    with Mesh() as cluster:
        cluster.config.write_text(config())
        cluster.coordinator.signal(signal.SIGHUP)
        wait_until("the shipped rules are in force",
                   lambda: any(mode["name"] == "orchestrator" for mode in cluster.status()["modes"]))
        add_node(cluster, "workstation", [FAST, CODER], CONTEXT)
        add_node(cluster, "halo1", [THINKER], CONTEXT)
        add_node(cluster, "halo2", [LONG], LONG_CONTEXT)
        yield cluster


@functools.lru_cache
def bytes_per_token(cluster, model):
    answer = cluster.post("/tokenize", json.dumps({"model": model, "content": WORD * 1000}))
    return len(WORD) * 1000 / len(answer.json()["tokens"])


def text_of(cluster, kilo, begin):
    """About so many tokens, by the tokenizer of the small model; `kilo` as people say it, before it is scaled."""
    return begin + " " + WORD * int(kilo * 1024 / SCALE * bytes_per_token(cluster, FAST) / len(WORD))


def ask(cluster, mode, kilo, begin="look at this:", **fields):
    return cluster.ask(mode, text_of(cluster, kilo, begin), max_tokens=4, temperature=0, **fields)


def assert_goes(answer, mode, model, rule):
    assert answer.status == 200, (rule, answer.body)
    reason = answer.headers["X-Modemesh-Reason"]
    assert answer.headers["X-Modemesh-Mode"] == mode, (rule, reason)
    assert answer.headers["X-Modemesh-Model"] == model, (rule, answer.headers.as_string())
    assert reason.startswith(f"{rule}: {model}"), (rule, reason)


def up_to(mode, kilo):
    return f"{mode} up to {words(scaled(kilo))}"


# Mode, tokens in thousands, who answers, and the rule.
TABLE = (
    ("ask", 3, FAST, up_to("ask", 8)),
    ("ask", 17, CODER, up_to("ask", 32)),
    ("code", 6, FAST, up_to("code", 16)),
    ("code", 33, CODER, up_to("code", 65)),
    ("code", 115, LONG, up_to("code", 202)),
    ("architect", 33, THINKER, up_to("architect", 65)),
    ("plan", 33, THINKER, up_to("architect", 65)),
    ("architect", 115, LONG, up_to("architect", 262)),
    ("debug", 17, THINKER, up_to("debug", 65)),
    ("debug", 115, LONG, up_to("debug", 262)),
    ("orchestrator", 17, CODER, up_to("orchestrator", 65)),
)

CASES = (
    ("ask", 1, "What does this function do?", FAST, up_to("ask", 8)),
    ("code", 32, "Refactor these five files:", CODER, up_to("code", 65)),
    ("architect", 2, "Design a new service:", THINKER, up_to("architect", 65)),
    ("debug", 20, "Why do these five hosts disagree?", THINKER, up_to("debug", 65)),
    ("code", 150, "This is our code base:", LONG, up_to("code", 202)),
)


def each_row_of_the_table_goes_where_people_send_it():
    with three_nodes() as cluster:
        for turn in range(ROUNDS):
            for asked, kilo, model, rule in TABLE:
                assert_goes(ask(cluster, asked, kilo, f"round {turn}:"), rule.split()[0], model, rule)


def the_five_cases_go_where_people_send_them():
    with three_nodes() as cluster:
        for _ in range(ROUNDS):
            for mode, kilo, begin, model, rule in CASES:
                assert_goes(ask(cluster, mode, kilo, begin), mode, model, rule)


def a_planning_call_goes_to_who_reasons():
    """As the editor says that it plans; tools would say so too, but the demo models can call none."""
    with three_nodes() as cluster:
        for _ in range(ROUNDS):
            plan = '<user_input mode="plan">'
            assert_goes(ask(cluster, "orchestrator", 2, plan), "orchestrator", THINKER, "orchestrator planning")
            assert_goes(ask(cluster, "orchestrator", 2), "orchestrator", CODER, up_to("orchestrator", 65))


def where_no_model_can_the_next_mode_says_why():
    with three_nodes() as cluster:
        answer = ask(cluster, "orchestrator", 2, tools=[TOOL])
        assert answer.status == 400 and "cannot call tools" in answer.error(), answer.body
        assert answer.headers["X-Modemesh-Mode"] == "code", answer.headers.as_string()


def a_busy_model_is_waited_for():
    """What its mode holds to be good enough, and nothing less; who waits in a stream is told its place, then who answers."""
    with three_nodes() as cluster, contextlib.ExitStack() as held, contextlib.ExitStack() as busy:
        first = cluster.stream("architect", "go on", **ENDLESS)
        busy.callback(first.close)
        first.read_content(1)
        busy.callback(cluster.stream("architect", "go on", **ENDLESS).close)  # one more lies at the engine
        cluster.wait_running(2)
        waiting = cluster.stream("architect", "and this?", max_tokens=4)
        held.callback(waiting.close)
        cluster.wait_queued(1)
        asked = cluster.cli_start("ask", "--mode", "architect", "--show", "and that?")
        response = waiting.open()
        assert response.status == 200 and response.getheader("X-Modemesh-Node") == "-", response.headers.as_string()
        assert response.getheader("X-Modemesh-Reason").startswith(up_to("architect", 65)), response.headers.as_string()
        lines = [response.readline().decode() for _ in range(3)]
        assert any(line.startswith(": queued, 0 before it, first token in about ") for line in lines), lines
        answer = cluster.ask("code", "and this?", max_tokens=4)
        assert_goes(answer, "code", FAST, up_to("code", 16))
        shown = [asked.stderr.readline().decode()]
        while not shown[-1].startswith("queued, "):
            assert shown[-1], shown
            shown.append(asked.stderr.readline().decode())
        assert "X-Modemesh-Node: -\n" in shown, shown
        busy.close()
        lines += [line.decode() for line in response]
        told = [line for line in lines if line.startswith(": modemesh ")]
        rule = f"model={THINKER} mode=architect reason={up_to('architect', 65)}"
        assert len(told) == 1 and re.match(f": modemesh node=\\S+ {re.escape(rule)}", told[0]), lines
        assert lines[-2:] == ["data: [DONE]\n", "\n"], lines
        rest = asked.stderr.read().decode()
        assert asked.wait(mesh.DEADLINE_S) == 0 and re.search(f"^modemesh node=\\S+ {re.escape(rule)}", rest, re.MULTILINE), rest


if __name__ == "__main__":
    mesh.run(
        each_row_of_the_table_goes_where_people_send_it,
        the_five_cases_go_where_people_send_them,
        a_planning_call_goes_to_who_reasons,
        where_no_model_can_the_next_mode_says_why,
        a_busy_model_is_waited_for,
    )
