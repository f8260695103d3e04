"""Every request that a real client was seen to send, at its real size, against a real mesh: the answer must be what
that client reads, by the validator of its API. One thing is changed: the large ones ask for few tokens, see
skeletons.load. Where a client names no limit, the engine's --predict ends the answer."""

import contextlib
import http.client
import json
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

import mesh
import skeletons
from gguf_patch import add_fim
from mesh import CODER, FAST, MODELS, THINKER, Mesh
from validators import Broken, anthropic_messages, answer, errors, models, ollama
from validators.rules import must

# The names that the captured clients had in their settings; "m" is what the SDKs were asked for in passing.
MODES = {"code": [CODER], "fast": [FAST], "plan": [FAST], "gpt-5": [FAST], "embed": [THINKER], "m": [FAST, THINKER]}
CONTEXT = 32768  # what the demo models were trained with
TOKENS = 64      # of each answer
QUICK_S = 3.0    # for what nothing is computed; Codex loses 6 s where it is not told at once
SLOW_S = 120     # for a prompt of 80 KB on a small machine
HOSTED = ("web_search", "image_generation")  # tools that the client wants the server to run itself


# --- the mesh


# The demo models' own template takes no tools. This one has their names only: with their schemas, of which a client
# sends 50 KB, each prompt would cost a small machine half a minute.
TEMPLATE = """{% if tools %}<|im_start|>system
{% for tool in tools %}{{ tool.function.name }}
{% endfor %}<|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}{% for call in m.tool_calls or [] %}<tool_call>
{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@contextlib.contextmanager
def a_mesh():
    with Mesh(MODES) as cluster:
        template = cluster.folder / "tools.jinja"
        template.write_text(TEMPLATE)
        add_node(cluster, "workstation", [FAST, CODER], "--chat-template-file", str(template))
        add_node(cluster, "vectors", [THINKER], "--embeddings", "--pooling", "mean")
        yield cluster


def add_node(cluster, name, names, *words):
    """Like Mesh.add_node, with the whole context for one request at a time, and tokens to fill in the middle."""
    node = cluster.add_node(name, names, slots=1, words=("--predict", str(TOKENS), "--temp", "0", *words), start=False)
    config = json.loads(node.config.read_text())
    config["engine"]["context"] = CONTEXT
    node.config.write_text(json.dumps(config))
    if CODER in names:
        add_fim(MODELS / f"{CODER}.gguf", node.models / f"{CODER}.gguf")
    node.start()
    node.wait_resident(*names)


class Sent:
    """A request that was sent, and its whole answer."""

    def __init__(self, cluster, request):
        self.asked = request.get("body") or {}
        host, _, port = cluster.http.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=SLOW_S)
        with contextlib.closing(connection):
            start = time.monotonic()
            connection.request(request["method"], request["path"],
                               skeletons.written(self.asked) if self.asked else None,
                               headers_of(request))
            response = connection.getresponse()
            self.status, self.headers, self.raw = response.status, response.headers, response.read()
            self.seconds = time.monotonic() - start


def headers_of(request):
    """With what a client's HTTP library adds on top."""
    upgrade = {"Connection": "Upgrade"} if "upgrade" in request["headers"] else {}
    return {**request["headers"], **upgrade}


# --- what each kind of request must get


def generated(api):
    def check(sent, request):
        found = answer.check(api, sent.asked, sent.status, sent.headers, sent.raw)
        check_routed(sent)
        check_skipped(sent)
        check_read(sent.asked, PROMPT_TOKENS[api](found))
    return check


# How many tokens of prompt each API's answer tells of; embeddings have no conversation to lose.
PROMPT_TOKENS = {
    "openai_chat": lambda found: found["usage"]["prompt_tokens"],
    "openai_responses": lambda found: found["usage"]["input_tokens"],
    "openai_embeddings": lambda found: 0,
    "anthropic_messages": lambda found: anthropic_messages.prompt_tokens(found["usage"]),
    "ollama": lambda found: found["final"]["prompt_eval_count"],
}


def check_read(asked, tokens):
    """All of the conversation reached the engine: each of our words in it is one token."""
    conversation = skeletons.written({key: asked.get(key) for key in ("system", "messages", "input")}).decode()
    known = sum(conversation.count(word) for word in skeletons.WORDS.split())
    must(tokens >= known, f"{known} words were sent, but the engine read {tokens} tokens")


def check_routed(sent):
    mode = sent.asked["model"].removeprefix("mesh-")
    must(sent.headers["X-Modemesh-Mode"] == mode,
         f"{sent.asked['model']} went to mode {sent.headers['X-Modemesh-Mode']}")


def check_skipped(sent):
    """A tool that only the client's own vendor can run is left out, and said to be."""
    kinds = [tool.get("type") or "" for tool in sent.asked.get("tools") or []]
    hosted = [word for word in HOSTED if any(kind.startswith(word) for kind in kinds)]
    said = sent.headers["X-Modemesh-Skipped"] or ""
    must(all(word in said for word in hosted), f"X-Modemesh-Skipped is {said!r}, but {hosted} cannot be run here")


def listed(check):
    def checked(sent, _request):
        answer.check_type(sent.headers, answer.JSON)
        must(sent.status == 200, f"the status is {sent.status}: {sent.raw[:300]!r}")
        must(sent.seconds < QUICK_S, f"the answer took {sent.seconds:.1f} s")
        return check(sent.raw, sent.asked)
    return checked


def models_in_the_caller_s_form(sent, request):
    anthropic = "anthropic-version" in request["headers"]
    return listed(models.check_anthropic if anthropic else models.check_openai)(sent, request)


def no_websocket(sent, _request):
    """Codex goes on with HTTP at once on 426; on any other refusal it tries six times more."""
    errors.check("openai", sent.status, sent.headers, sent.raw, 426)
    must(sent.seconds < QUICK_S, f"the answer took {sent.seconds:.1f} s")


def quick_and_empty(sent, _request):
    must(sent.status in (200, 404), f"the status is {sent.status}")
    must(not sent.raw and sent.seconds < QUICK_S, f"{sent.raw!r} after {sent.seconds:.1f} s")


CHECKS = {
    ("POST", "/v1/chat/completions"): generated("openai_chat"),
    ("POST", "/chat/completions"): generated("openai_chat"),
    ("POST", "/v1/responses"): generated("openai_responses"),
    ("GET", "/v1/responses"): no_websocket,
    ("POST", "/v1/embeddings"): generated("openai_embeddings"),
    ("GET", "/v1/models"): models_in_the_caller_s_form,
    ("GET", "/v1/model/info"): listed(models.check_litellm),
    ("GET", "/model/info"): listed(models.check_litellm),
    ("POST", "/v1/messages"): generated("anthropic_messages"),
    ("POST", "/v1/messages/count_tokens"): listed(anthropic_messages.check_count),
    ("HEAD", "/api/hello"): quick_and_empty,
    ("POST", "/api/chat"): generated("ollama"),
    ("POST", "/api/generate"): generated("ollama"),
    ("POST", "/api/embed"): listed(ollama.check_embed),
    ("POST", "/api/show"): listed(ollama.check_show),
    ("GET", "/api/tags"): listed(ollama.check_tags),
    ("GET", "/api/ps"): listed(ollama.check_ps),
    ("GET", "/api/version"): listed(ollama.check_version),
}


def broken_rule(cluster, request):
    """Sends one request; returns what is wrong with its answer, or None."""
    check = CHECKS[request["method"], request["path"].partition("?")[0]]
    try:
        sent = Sent(cluster, request)
        check(sent, request)
    except Broken as broken:
        return f"{request['name']}, {request['method']} {request['path']}: {broken}"
    print(f"# {request['name']}: {sent.status}, {len(sent.raw)} bytes after {sent.seconds:.1f} s", flush=True)
    return None


def check_client(client):
    with a_mesh() as cluster:
        broken = [broken_rule(cluster, request) for request in skeletons.load(client, TOKENS)]
        assert not any(broken), "\n".join(filter(None, broken))


# --- the cases


def claude_code_is_answered():
    check_client("claude-code")


def cline_is_answered():
    check_client("cline")


def codex_is_answered():
    check_client("codex")


def continue_is_answered():
    check_client("continue-cn")


def opencode_is_answered():
    check_client("opencode")


def openai_js_is_answered():
    check_client("sdk-openai")


def anthropic_js_is_answered():
    check_client("sdk-anthropic")


def ollama_js_is_answered():
    check_client("sdk-ollama")


def claude_code_counts(cluster, system):
    """What a request of Claude Code counts with other system blocks."""
    request = next(each for each in skeletons.load("claude-code") if each["name"] == "claude-tool-2")
    body = {**{key: request["body"][key] for key in ("model", "messages", "tools")}, "system": system}
    sent = Sent(cluster, {**request, "path": "/v1/messages/count_tokens?beta=true", "body": body})
    must(sent.status == 200, f"the status is {sent.status}: {sent.raw[:300]!r}")
    return anthropic_messages.check_count(sent.raw)


def the_billing_block_is_no_part_of_the_prompt():
    """It changes with each conversation, and would cost the prompt cache of all that follows it."""
    block = {"type": "text", "text": "You answer in one word."}
    with a_mesh() as cluster:
        plain = claude_code_counts(cluster, [block])
        for version in ("2.1.329.651", "2.1.329.08f; cch=1a2b3"):
            billing = {"type": "text", "text": f"x-anthropic-billing-header: cc_version={version}; cc_entrypoint=cli;"}
            assert claude_code_counts(cluster, [billing, block]) == plain
        assert claude_code_counts(cluster, [block, block]) > plain


# Requests that must be refused in the form of their API: the body less its text, and where the text stands.
GENERATE = {
    "openai": [("/v1/chat/completions", {}, lambda text: {"messages": [{"role": "user", "content": text}]}),
               ("/v1/responses", {}, lambda text: {"input": text}),
               ("/v1/completions", {}, lambda text: {"prompt": text})],
    "anthropic": [("/v1/messages", {"anthropic-version": "2023-06-01"},
                   lambda text: {"max_tokens": 16, "messages": [{"role": "user", "content": text}]})],
    "ollama": [("/api/chat", {}, lambda text: {"messages": [{"role": "user", "content": text}]}),
               ("/api/generate", {}, lambda text: {"prompt": text})],
    "llama_cpp": [("/completion", {}, lambda text: {"prompt": text})],
}
UNKNOWN = [("openai", "/v1/nothing", {}), ("anthropic", "/v1/nothing", {"anthropic-version": "2023-06-01"}),
           ("ollama", "/api/nothing", {})]


def refusals(model, text):
    """Yields family, path and answer of each endpoint, asked for `text` by `model`."""
    with a_mesh() as cluster:
        for family, endpoints in GENERATE.items():
            for path, headers, body in endpoints:
                sent = Sent(cluster,
                            {"method": "POST", "path": path, "headers": {"content-type": "application/json", **headers},
                                      "body": {"model": model, **body(text)}})
                yield family, path, sent


def all_of(verdicts):
    broken = list(filter(None, verdicts))
    assert not broken, "\n".join(broken)


def verdict(path, check, *args):
    try:
        check(*args)
    except Broken as broken:
        return f"{path}: {broken}"
    return None


def a_prompt_past_the_context_is_refused_in_the_words_that_make_clients_compact():
    text = skeletons.words(CONTEXT * len(skeletons.WORDS) // 2)
    all_of(verdict(path, errors.check_overflow, family, sent.status, sent.headers, sent.raw)
           for family, path, sent in refusals("mesh-code", text))


def an_unknown_model_is_refused_in_each_form():
    all_of(verdict(path, errors.check, family, sent.status, sent.headers, sent.raw, 404)
           for family, path, sent in refusals("mesh-nothing", "hello"))


def an_unknown_path_is_refused_at_once_in_the_caller_s_form():
    with a_mesh() as cluster:
        for family, path, headers in UNKNOWN:
            sent = Sent(cluster, {"method": "GET", "path": path, "headers": headers})
            errors.check(family, sent.status, sent.headers, sent.raw, 404)
            assert sent.seconds < QUICK_S, sent.seconds


def a_skeleton_has_the_size_of_its_capture():
    for path in skeletons.CAPTURES.glob("*.json"):
        captured = json.loads(path.read_text())
        for skeleton, request in zip(captured["requests"], skeletons.load(path.stem)):
            size = len(skeletons.written(request["body"])) if "body" in request else None
            assert size == skeleton.get("bytes"), f"{request['name']}: {size} bytes, not {skeleton.get('bytes')}"


CASES = [a_skeleton_has_the_size_of_its_capture, claude_code_is_answered, cline_is_answered, codex_is_answered,
         continue_is_answered, opencode_is_answered, openai_js_is_answered, anthropic_js_is_answered,
         ollama_js_is_answered, the_billing_block_is_no_part_of_the_prompt,
         a_prompt_past_the_context_is_refused_in_the_words_that_make_clients_compact,
         an_unknown_model_is_refused_in_each_form, an_unknown_path_is_refused_at_once_in_the_caller_s_form]

if __name__ == "__main__":
    wanted = sys.argv[1:]  # names of cases; none means all
    mesh.run(*(case for case in CASES if not wanted or case.__name__ in wanted))
