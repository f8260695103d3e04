"""Refusals, in the shape and with the headers of each API, so that the client's own retry works."""

import re

from . import anthropic_messages, llama_cpp, ollama, openai
from .rules import equals, member, must, name, parse_object, the

FAMILIES = ("openai", "anthropic", "ollama", "llama_cpp")
ANTHROPIC_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
                   404: "not_found_error",
                   413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 503: "overloaded_error",
                   529: "overloaded_error"}
RETRY = (429, 503, 529)
OVERFLOW = re.compile(r"request \((\d+) tokens\) exceeds the available context size \((\d+) tokens\): "
                      r"prompt is too long, maximum context length is (\d+) tokens")
OVERFLOW_ANTHROPIC = re.compile(r"prompt is too long: (\d+) tokens > (\d+) maximum")
VETOED = ("rate limit", "per minute")  # Cline takes a text with these for a rate limit, not for an overflow


def check(family, status, headers, raw, asked_status=None):
    """Returns {message, type, code}; `headers` maps names to values whatever their case (http.client's does)."""
    must(asked_status in (None, status), f"the status is {status}, not {asked_status}: {raw[:300]!r}")
    must(400 <= status <= 599, f"{status} is no refusal")
    check_headers(status, headers)
    value = parse_object(raw, "the error")
    return CHECKS[family](value, status)


def check_headers(status, headers):
    kind = headers.get("Content-Type") or ""
    must(kind.split(";")[0] == "application/json", f"an error's content type is {kind!r}, not application/json")
    if status in RETRY:
        after = headers.get("Retry-After") or ""
        must(re.fullmatch(r"[1-9]\d*", after), f"{status} needs Retry-After in whole seconds, not {after!r}")


def check_openai(value, _status):
    error = member(value, "error", "the error")
    openai.check_error(error)
    return {"message": error["message"], "type": error["type"], "code": error["code"]}


def check_anthropic(value, status):
    error = anthropic_messages.check_error(value)
    equals(error, "type", ANTHROPIC_TYPES.get(status, error["type"]), f"an error with status {status}")
    name(value, "request_id", "the error")
    return {"message": error["message"], "type": error["type"], "code": None}


def check_ollama(value, _status):
    return {"message": ollama.check_error(value), "type": None, "code": None}


def check_llama_cpp(value, status):
    error = llama_cpp.check_error(the(value, "error", "the error"))
    equals(error, "code", status, "the error")
    return {"message": error["message"], "type": error["type"], "code": status}


CHECKS = {"openai": check_openai, "anthropic": check_anthropic, "ollama": check_ollama, "llama_cpp": check_llama_cpp}


def check_overflow(family, status, headers, raw):
    """A prompt past the context: the words that make each client shorten its history. Returns (tokens, most)."""
    error = check(family, status, headers, raw, 400)
    message = error["message"]
    for words in VETOED:
        must(words not in message.lower(), f"`{words}` in the text of an overflow: {message}")
    found = (OVERFLOW_ANTHROPIC if family == "anthropic" else OVERFLOW).search(message)
    must(found, f"not the words that clients look for: {message}")
    tokens, most = int(found[1]), int(found[2])
    must(tokens > most, f"{tokens} tokens do not exceed {most}")
    if family == "openai":
        must(error["code"] == "context_length_exceeded",
             f"the code must be context_length_exceeded, not {error['code']}")
        must(error["type"] == "invalid_request_error", f"the type must be invalid_request_error, not {error['type']}")
        equals(parse_object(raw, "the error")["error"], "param", "messages", "the error")
    return tokens, most
