"""What a request needs beside words, held against models that are loaded and models that are not: real nodes, whose demo
models take no tools but where a test gives one another chat template."""

import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import gguf_patch
import mesh
from mesh import FAST, MODELS, THINKER, Mesh

TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
TAKES_TOOLS = "{% if tools %}{% for t in tools %}{{ t | tojson }}\n{% endfor %}{% endif %}" + TURNS
NAMES_TOOLS = "{# tools: none #}" + TURNS  # as one that was read without its engine would be taken to be able
TOOL = {"type": "function", "function": {"name": "read_file", "description": "reads a file",
                                         "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
NO_TOOLS = "cannot call tools: its chat template takes none"


def give(node, model, template=None):
    """A model in the node's folder, with this chat template."""
    source, target = MODELS / f"{model}.gguf", node.models / f"{model}.gguf"
    if template:
        gguf_patch.patch(source, target, {"tokenizer.chat_template": template})
    else:
        shutil.copy(source, target)


def add_node(cluster, name, models, **more):
    """A node that has loaded none of its models: their names with their templates."""
    node = cluster.add_node(name, [], start=False, **more)
    for model, template in models.items():
        give(node, model, template)
    node.start()
    mesh.wait_until(f"{name} has its models", lambda: all(node.model(model) for model in models))
    return node


def ask_with_tools(cluster, mode="ask"):
    return cluster.ask(mode, "read the file a", max_tokens=4, temperature=0, tools=[TOOL])


def explain(cluster, needs="tools"):
    done = cluster.cli("explain", "--mode", "ask", "--tokens", "20", "--needs", needs, "--json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def assert_refused(cluster, words=NO_TOOLS, nodes=()):
    """Live and explained, and no engine was started for it."""
    answer = ask_with_tools(cluster)
    assert answer.status == 400 and words in answer.error(), answer.body
    told = explain(cluster)
    assert told["verdict"] == "none" and told["chosen"] is None, told
    assert {row["why"] for row in told["instances"]} == {words}, told["instances"]
    for node in nodes:
        assert not node.engine_pids(), node.status()


def assert_answered(cluster, model, node):
    answer = ask_with_tools(cluster)
    assert answer.status == 200, answer.body
    where = (answer.headers["X-Modemesh-Model"], answer.headers["X-Modemesh-Node"])
    assert where == (model, node.name), answer.headers.as_string()


def a_copy_that_is_not_loaded_is_not_taken_for_able():
    with Mesh({"ask": [FAST]}) as cluster:
        cluster.add_node("halo1", [FAST])
        unloaded = add_node(cluster, "halo2", {FAST: None})
        assert_refused(cluster, nodes=[unloaded])
        assert cluster.ask("ask", "hello", max_tokens=4).status == 200


def what_is_read_before_counts_where_nothing_is_loaded():
    with Mesh({"ask": [FAST]}) as cluster:
        node = add_node(cluster, "halo1", {FAST: None})
        assert_refused(cluster, nodes=[node])
        question = {"role": "user", "content": [{"type": "text", "text": "what is this?"}, PICTURE]}
        answer = cluster.post("/v1/chat/completions", json.dumps({"model": "ask", "messages": [question]}))
        assert answer.status == 400 and "cannot see images" in answer.error(), answer.body
        assert [row["why"] for row in explain(cluster, "vision")["instances"]] == ["cannot see images"]
        assert not node.engine_pids(), node.status()


def what_can_is_loaded_for_it():
    with Mesh({"ask": [FAST, THINKER]}) as cluster:
        cluster.add_node("halo1", [FAST])
        able = add_node(cluster, "halo2", {FAST: None, THINKER: TAKES_TOOLS})
        assert explain(cluster)["chosen"] == {"node": "halo2", "model": THINKER}
        assert_answered(cluster, THINKER, able)
        assert able.model(FAST)["state"] == "available", able.status()


def an_engine_that_turns_out_unable_answers_nothing():
    with Mesh({"ask": [FAST, THINKER]}) as cluster:
        unable = add_node(cluster, "halo1", {FAST: NAMES_TOOLS})
        able = add_node(cluster, "halo2", {THINKER: TAKES_TOOLS})
        assert explain(cluster)["chosen"] == {"node": "halo1", "model": FAST}  # nobody knows yet
        assert_answered(cluster, THINKER, able)
        assert unable.model(FAST)["state"] == "resident" and FAST in unable.daemon.text(), unable.status()
        assert explain(cluster)["chosen"] == {"node": "halo2", "model": THINKER}


def what_an_engine_said_holds_for_the_next():
    with Mesh({"ask": [FAST]}) as cluster:
        first = add_node(cluster, "halo1", {FAST: NAMES_TOOLS})
        answer = ask_with_tools(cluster)
        assert answer.status == 400 and NO_TOOLS in answer.error(), answer.body
        second = add_node(cluster, "halo2", {FAST: NAMES_TOOLS})  # the same file
        assert_refused(cluster, nodes=[second])
        done = cluster.owner("models", "unload", FAST)
        assert done.returncode == 0, (done.stdout, done.stderr)
        mesh.wait_until("the engine is gone", lambda: not first.engine_pids())
        assert {row["node"]: row["why"] for row in explain(cluster)["instances"]}["halo1"] == NO_TOOLS


def a_template_of_the_owners_is_tried():
    with Mesh({"ask": [FAST]}) as cluster:
        template = cluster.folder / "mine.jinja"
        template.write_text(TAKES_TOOLS)
        node = add_node(cluster, "halo1", {FAST: None}, words=("--chat-template-file", str(template)))
        assert explain(cluster)["chosen"] == {"node": "halo1", "model": FAST}
        assert_answered(cluster, FAST, node)


if __name__ == "__main__":
    mesh.run(
        a_copy_that_is_not_loaded_is_not_taken_for_able,
        what_is_read_before_counts_where_nothing_is_loaded,
        what_can_is_loaded_for_it,
        an_engine_that_turns_out_unable_answers_nothing,
        what_an_engine_said_holds_for_the_next,
        a_template_of_the_owners_is_tried,
    )
