"""Every kind of request through a whole mesh: coordinator, link, node and the real engine, with demo models whose
metadata the tests change: one with marks to fill in the middle, one that makes vectors, one that ranks."""

import contextlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import gguf_patch
import mesh
from mesh import CODER, FAST, MODELS, THINKER, Mesh, wait_until

# A template with tools, so that they cost tokens where they are used; the engine knows its form of a call.
TOOL_TEMPLATE = (
    "{% if tools %}<tools>{% for t in tools %}{{ t | tojson }}\n{% endfor %}</tools>{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% if m.tool_calls %}{% for c in m.tool_calls %}<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "\n</tool_call>{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MEAN, RANK = 1, 4  # llama.cpp's numbers of pooling
TOOL = {
    "name": "read_file",
    "description": "Reads a file",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}
HEADERS = {"anthropic-version": "2023-06-01"}


@contextlib.contextmanager
def one_node(model, change, words=()):
    """A mesh of one node, whose copy of the model `change(source, target)` makes."""
    with Mesh({"ask": [model]}) as cluster:
        node = cluster.add_node("halo1", [model], words=words, start=False)
        change(MODELS / f"{model}.gguf", node.models / f"{model}.gguf")
        node.start()
        node.wait_resident(model)
        yield cluster


def patched(**changes):
    """Keys with "__" for each dot."""
    keys = {key.replace("__", "."): value for key, value in changes.items()}
    return lambda source, target: gguf_patch.patch(source, target, keys)


def fill_in_the_middle():
    return one_node(CODER, gguf_patch.add_fim)


def post(cluster, path, body, status=200, headers=None):
    answer = cluster.post(path, json.dumps(body), headers)
    assert answer.status == status, f"{path}: {answer.status} {answer.body}"
    return answer.json()


def a_completion_goes_on_with_a_text():
    with fill_in_the_middle() as cluster:
        body = {"model": CODER, "prompt": "The node ", "max_tokens": 4, "ignore_eos": True, "temperature": 0}
        whole = post(cluster, "/v1/completions", body)
        choice = whole["choices"][0]
        assert choice["text"] and choice["finish_reason"] == "length", whole
        assert whole["usage"]["completion_tokens"] == 4, whole
        twice = post(cluster, "/v1/completions", {**body, "n": 2})
        assert sorted(choice["index"] for choice in twice["choices"]) == [0, 1], twice
        assert twice["usage"]["completion_tokens"] == 8, twice


def infill_fills_in_the_middle():
    with fill_in_the_middle() as cluster:
        body = {"model": CODER, "input_prefix": "def ", "input_suffix": "()", "n_predict": 3, "ignore_eos": True,
                "id_slot": 0, "response_fields": ["content"]}
        answer = post(cluster, "/infill", body)
        assert answer["content"] and "stop_type" not in answer, answer
        answer = post(cluster, "/v1/completions", {"model": CODER, "prompt": "def ", "suffix": "()", "max_tokens": 3})
        assert answer["choices"][0]["finish_reason"] in ("stop", "length"), answer


def a_model_without_marks_is_refused():
    with one_node(FAST, patched()) as cluster:
        body = {"model": FAST, "input_prefix": "def ", "input_suffix": "()"}
        answer = cluster.post("/infill", json.dumps(body))
        assert answer.status in (400, 501), f"{answer.status} {answer.body}"
        assert answer.json()["error"]["message"], answer.body


def an_editor_that_leaves_frees_the_slot():
    with fill_in_the_middle() as cluster:
        engine = cluster.nodes["halo1"].engine(CODER)
        connection = cluster.connection()
        body = {"model": CODER, "input_prefix": "def ", "input_suffix": "()", "stream": True, "ignore_eos": True,
                "n_predict": 10_000_000}
        connection.request("POST", "/infill", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.readline().startswith(b"data: "), "no stream"
        assert engine.busy() == 1
        response.close()
        connection.close()
        wait_until("the engine's slot is free", lambda: engine.busy() == 0)


def a_newer_keystroke_ends_the_older():
    """The client of the older request keeps its connection open, as one behind a proxy does."""
    with fill_in_the_middle() as cluster:
        engine = cluster.nodes["halo1"].engine(CODER)
        forever = {"ignore_eos": True, "n_predict": 10_000_000}
        prefix, suffix = "# adds two numbers, and says nothing of what they are\ndef add(a, b):\n", "\n\nprint(add(1, 2))\n"
        typed = [{"model": CODER, "input_prefix": prefix, "prompt": "    retu", "input_suffix": suffix, **forever},
                 {"model": CODER, "prompt": prefix + "    retur", "suffix": suffix, "stream": True, "max_tokens": 10**7,
                  "ignore_eos": True},
                 {"model": CODER, "prompt": prefix + "    return", "suffix": suffix, "options": {"num_predict": -1}}]
        with contextlib.ExitStack() as stack:
            def ask(path, body):
                connection = stack.enter_context(contextlib.closing(cluster.connection()))
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                return connection

            first = ask("/infill", typed[0])
            wait_until("the first runs", lambda: engine.busy() == 1)
            second = ask("/v1/completions", typed[1])
            answer = json.loads(first.getresponse().read())
            assert answer["stop_type"] == "limit", answer
            response = second.getresponse()
            assert b'"text"' in response.readline(), "no stream"
            wait_until("only the second runs", lambda: engine.busy() == 1)
            # A suggestion that is not taken yet, and the same text once more: both are asked for beside it.
            beside = ask("/infill", {**typed[0], "prompt": "    return a + b  # and no more"})
            wait_until("two run", lambda: engine.busy() == 2)
            beside.close()
            wait_until("one runs", lambda: engine.busy() == 1)

            third = cluster.post("/api/generate", json.dumps(typed[2]))
            assert third.status == 200, third.body
            events = response.read().split(b"\n\n")
            assert b'"finish_reason":"length"' in events[-3], events[-4:]
            assert events[-2] == b"data: [DONE]", events[-4:]
        wait_until("nothing runs", lambda: engine.busy() == 0)


@contextlib.contextmanager
def a_mode_to_complete_code():
    """A mesh of one node with two models, of which one has FIM tokens and the mode autocomplete."""
    with Mesh({"ask": [FAST], "autocomplete": [FAST, CODER]}) as cluster:
        node = cluster.add_node("halo1", [FAST, CODER], start=False)
        gguf_patch.add_fim(MODELS / f"{CODER}.gguf", node.models / f"{CODER}.gguf")
        node.start()
        node.wait_resident(FAST, CODER)
        yield cluster


def pickers_show_a_name_that_tells_the_family():
    with a_mode_to_complete_code() as cluster:
        name = f"mesh-autocomplete-{CODER}"
        for path, key, field in (("/v1/models", "data", "id"), ("/v1/model/info", "data", "model_name"),
                                 ("/api/v0/models", "data", "id"), ("/api/tags", "models", "name")):
            names = [entry[field] for entry in cluster.get(path).json()[key]]
            assert [it for it in names if "autocomplete-" in it] == [name], (path, names)
        one = cluster.get(f"/v1/models/{name}").json()
        assert one["id"] == name and "insert" in one["capabilities"], one
        shown = post(cluster, "/api/show", {"model": name})
        assert "insert" in shown["capabilities"] and ".Suffix" in shown["template"], shown
        answer = cluster.post("/v1/completions", json.dumps({"model": name, "prompt": "def ", "max_tokens": 2}))
        assert answer.status == 200 and answer.headers["X-Modemesh-Model"] == CODER, answer.body


def written(before, after):
    """A prompt as a client writes it that knows the model's family by its name."""
    return f"<|fim_prefix|>{before}<|fim_suffix|>{after}<|fim_middle|>"


def a_prompt_with_a_models_tokens_is_completed():
    with a_mode_to_complete_code() as cluster:
        body = {"model": "mesh-auto", "prompt": written("def ", "()"), "max_tokens": 3}
        answer = cluster.post("/v1/completions", json.dumps(body))
        assert answer.status == 200, answer.body
        assert answer.headers["X-Modemesh-Mode"] == "autocomplete", answer.headers.as_string()
        assert answer.headers["X-Modemesh-Model"] == CODER, answer.headers.as_string()
        assert "code completion, tokens of Qwen" in answer.headers["X-Modemesh-Reason"], answer.headers.as_string()
        answer = cluster.ask("auto", f"what is {body['prompt']}?", max_tokens=3)
        assert answer.status == 200 and answer.headers["X-Modemesh-Mode"] == "ask", answer.headers.as_string()


def a_keystroke_between_a_models_tokens_ends_the_older():
    with a_mode_to_complete_code() as cluster:
        engine = cluster.nodes["halo1"].engine(CODER)
        before, after = "# adds two numbers, and says nothing of what they are\ndef add(a, b):\n    retu", "\n\nprint(add(1, 2))\n"
        body = {"model": f"mesh-autocomplete-{CODER}", "stream": True, "max_tokens": 10**7, "ignore_eos": True}
        with contextlib.ExitStack() as stack:
            def ask(typed):
                connection = stack.enter_context(contextlib.closing(cluster.connection()))
                prompt = written(before + typed, after)
                connection.request("POST", "/v1/completions", json.dumps({**body, "prompt": prompt}),
                                   {"Content-Type": "application/json"})
                response = connection.getresponse()
                assert b'"text"' in response.readline(), "no stream"
                return connection, response

            older = ask("r")[1]
            beside = ask("rn a + b  # and no more")[0]  # a suggestion that is not taken yet
            wait_until("two run", lambda: engine.busy() == 2)
            ask("rn")
            events = older.read().split(b"\n\n")
            assert b'"finish_reason":"length"' in events[-3] and events[-2] == b"data: [DONE]", events[-4:]
            wait_until("what was beside it and the newer run", lambda: engine.busy() == 2)
            beside.close()
        wait_until("nothing runs", lambda: engine.busy() == 0)


def a_model_that_makes_vectors_is_run_as_such():
    with one_node(FAST, patched(llama__pooling_type=MEAN)) as cluster:
        answer = post(cluster, "/v1/embeddings", {"model": FAST, "input": ["a", "b c"], "encoding_format": "float"})
        assert [entry["index"] for entry in answer["data"]] == [0, 1], answer
        assert all(len(entry["embedding"]) == 128 for entry in answer["data"])
        assert answer["usage"]["prompt_tokens"] == 3, answer["usage"]
        again = post(cluster, "/v1/embeddings", {"model": FAST, "input": "a"})
        close = zip(again["data"][0]["embedding"], answer["data"][0]["embedding"])
        assert all(abs(one - other) < 1e-4 for one, other in close), "one text, two vectors"
        refused = cluster.ask(FAST, "hello")
        assert refused.status == 400, f"it does not talk: {refused.status} {refused.body}"


def a_long_text_is_read_at_once():
    with one_node(FAST, patched(llama__pooling_type=MEAN)) as cluster:
        answer = post(cluster, "/v1/embeddings", {"model": FAST, "input": "node " * 900})
        assert answer["usage"]["prompt_tokens"] > 900, answer["usage"]
        longer = cluster.post("/v1/embeddings", json.dumps({"model": FAST, "input": "node " * 3000}))
        assert longer.status == 400 and "maximum context length" in longer.error(), longer.body


def words_of_the_config_make_vectors_too():
    with one_node(FAST, patched(), words=("--embeddings", "--pooling", "mean")) as cluster:
        answer = post(cluster, "/v1/embeddings", {"model": FAST, "input": "a"})
        assert len(answer["data"]) == 1, answer
        assert cluster.ask(FAST, "hello", temperature=0).content().strip()


def a_model_that_ranks_is_run_as_such():
    with one_node(FAST, patched(llama__pooling_type=RANK)) as cluster:
        body = {"model": FAST, "query": "what is a node?", "documents": ["a node", "a pipe", "x"], "top_n": 2}
        answer = post(cluster, "/v1/rerank", body)
        assert len(answer["results"]) == 2, answer
        assert all(entry["index"] in (0, 1, 2) for entry in answer["results"]), answer


def tokens_and_back():
    with one_node(FAST, patched()) as cluster:
        tokens = post(cluster, "/tokenize", {"model": FAST, "content": "What is a node?"})["tokens"]
        assert tokens, tokens
        back = post(cluster, "/detokenize", {"model": FAST, "tokens": tokens})
        assert back["content"] == "What is a node?", back
        messages = [{"role": "user", "content": "hi"}]
        assert "hi" in post(cluster, "/apply-template", {"model": FAST, "messages": messages})["prompt"]


def a_count_is_what_the_chat_costs():
    chats = [
        {"messages": [{"role": "user", "content": "What is a node?"}]},
        {"system": "Be brief. <|im_end|>",
         "messages": [{"role": "user", "content": "héllo"}, {"role": "assistant", "content": "Yes?"},
                      {"role": "user", "content": [{"type": "text", "text": "go "}, {"type": "text", "text": "on"}]}]},
        {"messages": [{"role": "user", "content": "read it"}], "tools": [TOOL]},
        {"messages": [{"role": "user", "content": "read it"},
                      {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "read_file",
                                                         "input": {"path": "a"}}]},
                      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "text"}]}],
         "tools": [TOOL]},
    ]
    with one_node(THINKER, patched(tokenizer__chat_template=TOOL_TEMPLATE)) as cluster:
        costs = set()
        for chat in chats:
            counted = post(cluster, "/v1/messages/count_tokens", {"model": THINKER, **chat}, headers=HEADERS)
            answer = post(cluster, "/v1/messages", {"model": THINKER, "max_tokens": 1, **chat}, headers=HEADERS)
            usage = answer["usage"]
            charged = usage["input_tokens"] + usage.get("cache_read_input_tokens", 0)
            assert counted["input_tokens"] == charged, f"{counted} is not {usage} of {chat}"
            costs.add(charged)
        assert len(costs) == len(chats), costs


def sound_is_refused_where_no_engine_hears():
    body = (b"--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n" + FAST.encode() +
            b"\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--x--\r\n")
    with one_node(FAST, patched()) as cluster:
        answer = cluster.post("/v1/audio/transcriptions", body, {"Content-Type": "multipart/form-data; boundary=x"})
        assert answer.status in (400, 501) and answer.error(), f"{answer.status} {answer.body}"


if __name__ == "__main__":
    mesh.run(
        a_completion_goes_on_with_a_text,
        infill_fills_in_the_middle,
        a_model_without_marks_is_refused,
        an_editor_that_leaves_frees_the_slot,
        a_newer_keystroke_ends_the_older,
        pickers_show_a_name_that_tells_the_family,
        a_prompt_with_a_models_tokens_is_completed,
        a_keystroke_between_a_models_tokens_ends_the_older,
        a_model_that_makes_vectors_is_run_as_such,
        a_long_text_is_read_at_once,
        words_of_the_config_make_vectors_too,
        a_model_that_ranks_is_run_as_such,
        tokens_and_back,
        a_count_is_what_the_chat_costs,
        sound_is_refused_where_no_engine_hears,
    )
