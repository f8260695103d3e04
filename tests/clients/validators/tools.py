"""What a request says of tools, out of each API's own words, and whether the calls of an answer keep to it."""

import re

from .rules import an_object, must, parse

AUTO, NONE, REQUIRED = "auto", "none", "required"


class Tools:
    """`choice` is AUTO, NONE, REQUIRED or the name of the one tool that must be called."""

    def __init__(self, names, choice=AUTO, parallel=True):
        self.names, self.choice, self.parallel = {name for name in names if name}, choice, parallel

    def check(self, calls, cut):
        """`calls` are dicts of id, name and arguments (text or object); `cut`: the answer ended at its token limit."""
        for call in calls:
            must(call["name"] in self.names, f"a call of `{call['name']}`, which is no tool of the request")
            must(self.choice in (AUTO, REQUIRED, call["name"]),
                 f"tool_choice is {self.choice}: no call of `{call['name']}`")
        must(cut or calls or self.choice in (AUTO, NONE), f"tool_choice is {self.choice}, but no tool is called")
        must(self.parallel or len(calls) < 2, "two calls where the request forbids parallel calls")
        ids = [call["id"] for call in calls]
        must(len(ids) == len(set(ids)), f"two calls have one id: {ids}")
        for call in calls[:-1] if cut else calls:
            check_arguments(call)


def check_arguments(call):
    arguments = call["arguments"]
    where = f"the arguments of `{call['name']}`"
    an_object(parse(arguments, where) if isinstance(arguments, str) else arguments, where)


def of_functions(asked):
    """OpenAI chat and Ollama: {type: function, function: {name}}; Cursor sends them flat."""
    names = [tool.get("function", tool).get("name") for tool in asked.get("tools") or []]
    return Tools(names, chosen(asked), asked.get("parallel_tool_calls") is not False)


def of_responses(asked):
    """The tools of a namespace are called by their own name, or by both names with something between."""
    names = []
    for tool in asked.get("tools") or []:
        inner = [nested.get("name") for nested in tool.get("tools", [])]
        joined = [f"{tool.get('name')}{between}{name}" for name in inner for between in ("__", ".")]
        names += joined + inner if inner else [tool.get("name")]
    return Tools(names, chosen(asked), asked.get("parallel_tool_calls") is not False)


def of_anthropic(asked):
    choice = asked.get("tool_choice") or {}
    kind = {"any": REQUIRED, "none": NONE, "tool": choice.get("name")}.get(choice.get("type"), AUTO)
    names = [tool.get("name") for tool in asked.get("tools") or []]
    return Tools(names, kind, not choice.get("disable_parallel_tool_use"))


def chosen(asked):
    choice = asked.get("tool_choice") or AUTO
    if isinstance(choice, dict):
        return choice.get("function", choice).get("name", AUTO)
    return choice


def check_anthropic_id(value):
    must(re.fullmatch(r"[a-zA-Z0-9_-]+", value), f"a tool_use id may hold letters, digits, _ and - only: {value!r}")
