"""Which rule of a scripted engine's script answers a request; the format is told in scripted_engine.py."""

import json
import re

CHAT = "/v1/chat/completions"
RULE_WORDS = {"when", "answer", "times"}
ANSWER_WORDS = {"late_headers", "delay_ms", "wait_for", "reasoning", "text", "tool_calls", "steps", "token_ms",
                "finish", "usage", "done", "error", "result"}
STEP_WORDS = {"text", "reasoning", "tool_calls", "wait_ms", "wait_for", "endless", "error", "raw", "cut", "die"}
PATTERNS = {"model", "user", "last", "system", "text", "tool_result"}
LIMITS = ("max_tokens", "max_completion_tokens", "n_predict")


def text_of(content):
    """Content as a string, as parts, or none."""
    if isinstance(content, list):
        return "\n".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content or ""


def whole_text(message):
    calls = json.dumps(message["tool_calls"]) if message.get("tool_calls") else ""
    return "\n".join(filter(None, (message.get("reasoning_content"), text_of(message.get("content")), calls)))


def plain_input(body):
    """What an endpoint without messages is asked about."""
    names = ("prompt", "input_prefix", "input", "query", "content")
    found = next((body[name] for name in names if body.get(name)), "")
    return found if isinstance(found, str) else json.dumps(found)


class Request:
    def __init__(self, path, body, model):
        self.path, self.body, self.model = path, body, model
        self.messages = [message for message in body.get("messages") or [] if isinstance(message, dict)]
        self.texts = [text_of(message.get("content")) for message in self.messages]

    def of_role(self, *roles):
        return [text for message, text in zip(self.messages, self.texts) if message.get("role") in roles]

    def last_of(self, role):
        """None where there is no such message."""
        return next(reversed(self.of_role(role)), None)

    def user(self):
        return self.last_of("user") if self.messages else plain_input(self.body)

    def tools(self):
        """Names, of nested tools and of flat ones."""
        return {tool.get("function", tool).get("name") for tool in self.body.get("tools") or []}

    def limit(self):
        limits = (self.body.get(name) for name in LIMITS)
        return next((limit for limit in limits if isinstance(limit, int) and limit >= 0), None)


# Each returns the named groups of what was found, and None where the request does not match.


def search(pattern, text):
    found = re.search(pattern, text) if text is not None else None
    return found.groupdict() if found else None


def holds(truth):
    return {} if truth else None


MATCHERS = {
    "path": lambda request, wanted: holds(wanted == request.path),
    "model": lambda request, wanted: search(wanted, request.model),
    "user": lambda request, wanted: search(wanted, request.user()),
    "last": lambda request, wanted: search(wanted, request.texts[-1] if request.texts else None),
    "system": lambda request, wanted: search(wanted, "\n".join(request.of_role("system", "developer"))),
    "text": lambda request, wanted: search(wanted, "\n".join(map(whole_text, request.messages))),
    "tool_result": lambda request, wanted: search(wanted, request.last_of("tool")),
    "tool_results": lambda request, wanted: holds(len(request.of_role("tool")) == wanted),
    "tools": lambda request, wanted: holds(request.tools() & set(wanted) if wanted else not request.tools()),
    "body": lambda request, wanted: holds(all(name in request.body and request.body[name] == value
                                              for name, value in wanted.items())),
}


def match(when, request):
    """The named groups of all patterns, None where one member does not hold."""
    groups = {}
    for name, wanted in {"path": CHAT, **when}.items():
        found = MATCHERS[name](request, wanted)
        if found is None:
            return None
        groups.update(found)
    return groups


def fill(value, groups):
    """The answer with {{word}} replaced in all its strings."""
    if isinstance(value, str):
        return re.sub(r"\{\{(\w+)\}\}", lambda place: groups.get(place[1]) or place[0], value)
    if isinstance(value, list):
        return [fill(item, groups) for item in value]
    if isinstance(value, dict):
        return {name: fill(item, groups) for name, item in value.items()}
    return value


def check(rule):
    """Fails on what the engine would not understand."""
    when, answer = rule.get("when", {}), rule["answer"]
    steps = answer.get("steps", [])
    unknown = [*(rule.keys() - RULE_WORDS), *(when.keys() - MATCHERS.keys()), *(answer.keys() - ANSWER_WORDS),
               *(name for step in steps for name in step.keys() - STEP_WORDS)]
    assert not unknown, f"a script has no {unknown}"
    assert all(len(step) == 1 for step in steps), f"a step is one thing: {steps}"
    for name in when.keys() & PATTERNS:
        re.compile(when[name])
