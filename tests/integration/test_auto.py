"""How a mode is told where nobody names one: by what a request is, by its editor, by a small model; and by the path."""

import contextlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import CODER, FAST, THINKER, Mesh, wait_until

MODES = {"ask": [FAST], "code": [CODER], "debug": [THINKER], "architect": [THINKER, FAST]}
FILE = "```c src/part{}.c\n{}\n```\n"
LINE = "static int value_of(const struct part *part) { return part->value + 1; }\n"


@contextlib.contextmanager
def three_nodes(*words):
    """`words` go to the coordinator."""
    with Mesh(MODES) as cluster:
        if words:
            assert cluster.coordinator.stop() == 0
            cluster.start_coordinator(*words)
        for name, model in (("workstation", CODER), ("halo1", THINKER), ("halo2", FAST)):
            cluster.add_node(name, [model])
        yield cluster


def told(answer):
    return answer.headers["X-Modemesh-Mode"], answer.headers["X-Modemesh-Reason"]


def assert_told(answer, mode, words):
    found, reason = told(answer)
    assert found == mode and words in reason, (found, reason, answer.status, answer.body[:500])


def post(cluster, messages, headers=None, path="/v1/chat/completions", **more):
    body = {"model": "auto", "messages": messages, "max_tokens": 80, "temperature": 0, **more}
    return cluster.post(path, json.dumps(body), headers)


def user(text):
    return [{"role": "user", "content": text}]


def the_first_users_cases_go_where_people_would_send_them():
    """Prompts that are longer than what a demo model holds are refused by it: the mode was told all the same."""
    with three_nodes() as cluster:
        whole = "".join(FILE.format(number, LINE * 700) for number in range(12))
        five = "".join(FILE.format(number, LINE * 350) for number in range(5))
        cases = (
            ("Explain briefly what this function does:\n```c\n" + LINE + "```", "ask", FAST, "facts: question"),
            ("Refactor these five files so that the parser knows no printer.\n" + five, "code", CODER, "5 files"),
            ("Design a new service that hands out leases: API, storage, how it scales.", "architect", THINKER,
             "facts: design"),
            ("Two of three nodes lost their lease and all writes hang. Why?\nERROR node2 lease lost\n"
             "ERROR node3 lease lost\nERROR node3 timeout", "debug", THINKER, "3 trace lines"),
            ("Here is our whole code base. What are its layers?\n" + whole, "architect", THINKER, "facts: design"),
        )
        for text, mode, model, words in cases:
            answer = post(cluster, user(text))
            assert_told(answer, mode, words)
            assert answer.headers["X-Modemesh-Model"] == model, answer.headers.as_string()
            assert answer.status == (200 if len(text) < 1000 else 400), (answer.status, answer.body)


def a_path_names_the_mode_in_every_api():
    with three_nodes() as cluster:
        for path in ("/mode/code/v1/chat/completions", "/mode/code/v1/messages", "/mode/code/api/chat"):
            answer = post(cluster, user("hello"), path=path, stream=False)
            assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == "code", (path, answer.body)
        answer = post(cluster, user("hello"), {"X-Modemesh-Mode": "ask"}, "/mode/code/v1/chat/completions",
                      model="debug")
        assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == "ask", answer.body
        assert_told(post(cluster, user("refactor it"), path="/mode/auto/v1/chat/completions"), "code", "facts: code")
        answer = post(cluster, user("hello"), path="/mode/nope/v1/chat/completions")
        assert answer.status == 404 and all(mode in answer.error() for mode in MODES), answer.body
        assert cluster.get("/mode/code/v1/models").json() == cluster.get("/v1/models").json()


def an_editors_mark_moves_its_conversation_and_no_other():
    with three_nodes() as cluster:
        first, second = {"session-id": "one"}, {"session-id": "two"}
        plan = '<user_input mode="plan">refactor it</user_input>'
        assert_told(post(cluster, user(plan), first), "architect", 'mark "plan" of Cline')
        assert_told(post(cluster, user("refactor it"), first), "architect", "its conversation, by a mark")
        assert_told(post(cluster, user("refactor it"), second), "code", "facts: code")
        assert_told(post(cluster, user("design it"), second), "architect", "facts: design")
        assert_told(post(cluster, user("refactor it"), second), "architect", "its conversation")
        title = [{"role": "system", "content": "You are a title generator. You output ONLY a title."}, *user(plan)]
        assert_told(post(cluster, title, second), "ask", 'mark "title" of opencode')
        answer = cluster.ask("code", plan, max_tokens=1)
        assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == "code", answer.headers.as_string()


def a_small_model_is_asked_where_nothing_else_speaks():
    """Whatever it says: that it has said something in time is what the reason tells."""
    with three_nodes("--auto-model", FAST) as cluster:
        answer = wait_until("the small model has answered in time",
                            lambda: next(iter(a for a in [post(cluster, user("hm"))] if "small model" in told(a)[1]),
                                         None))
        assert answer.status == 200 and told(answer)[0] in MODES, answer.body
        assert_told(post(cluster, user("refactor it")), "code", "facts: code")


def key_of(cluster, name, *words):
    made = cluster.owner("keys", "create", name, *words)
    assert made.returncode == 0, made.stderr
    return {"Authorization": f"Bearer {made.stdout.strip()}"}


def a_key_is_offered_auto_among_its_own_modes():
    with three_nodes() as cluster:
        narrow = key_of(cluster, "narrow", "--modes", "debug")
        listed = {entry["id"] for entry in cluster.get("/v1/models", narrow).json()["data"]}
        assert listed == {"mesh-debug", "mesh-auto", THINKER}, listed
        assert listed == {entry["name"] for entry in cluster.get("/api/tags", narrow).json()["models"]}
        answer = post(cluster, user("refactor it"), narrow, model="mesh-auto")
        assert_told(answer, "debug", "facts: code")
        assert_told(answer, "debug", "; the key may not use code; debug any model: ")
        assert answer.status == 200, answer.body
        answer = cluster.post("/tokenize", json.dumps({"model": "mesh-auto", "content": "hm"}), narrow)
        assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == "debug", answer.body


def a_small_model_is_asked_by_the_key_that_asks():
    """What it is asked is a request of that key in the log; a key that may not use it does without."""
    with three_nodes("--auto-model", FAST) as cluster:
        def questions(name):
            return [line for line in cluster.coordinator.text().splitlines()
                    if f'client="key {name}"' in line and "what auto asks of a small model" in line]

        narrow, wide = key_of(cluster, "narrow", "--modes", "code,debug"), key_of(cluster, "wide")
        answer = wait_until("the small model has answered in time",
                            lambda: next((a for a in [post(cluster, user("hm"), wide)] if "small model" in told(a)[1]),
                                         None))
        assert answer.status == 200 and questions("wide"), cluster.coordinator.text()
        answer = post(cluster, user("hm"), narrow)
        assert_told(answer, "code", "default: nothing says more")
        assert answer.status == 200 and not questions("narrow"), (answer.body, questions("narrow"))


def a_small_model_that_hangs_holds_nobody_up():
    with three_nodes("--auto-model", THINKER) as cluster:
        engine = cluster.nodes["halo1"].engine(THINKER)
        engine.freeze()
        try:
            answer = post(cluster, user("hm"))
            assert_told(answer, "ask", "default: nothing says more")
            assert answer.status == 200, answer.body
        finally:
            engine.thaw()
        wait_until("its slot is free again", lambda: engine.busy() == 0)


if __name__ == "__main__":
    mesh.run(
        the_first_users_cases_go_where_people_would_send_them,
        a_path_names_the_mode_in_every_api,
        an_editors_mark_moves_its_conversation_and_no_other,
        a_small_model_is_asked_where_nothing_else_speaks,
        a_key_is_offered_auto_among_its_own_modes,
        a_small_model_is_asked_by_the_key_that_asks,
        a_small_model_that_hangs_holds_nobody_up,
    )
