"""A whole HTTP answer of one API: status, content type, then the body by what was asked for."""

from . import (anthropic_messages, llama_cpp, ollama, openai_chat, openai_completions, openai_embeddings, openai_rerank,
               openai_responses)
from .rules import must

SSE, NDJSON, JSON = "text/event-stream", "application/x-ndjson", "application/json"
# For each API that streams: its module, the content type of its streams, and whether it streams unless told not to.
STREAMING = {
    "openai_chat": (openai_chat, SSE, False),
    "openai_completions": (openai_completions, SSE, False),
    "openai_responses": (openai_responses, SSE, False),
    "anthropic_messages": (anthropic_messages, SSE, False),
    "ollama": (ollama, NDJSON, True),
    "llama_cpp": (llama_cpp, SSE, False),
}
WHOLE = {"openai_embeddings": openai_embeddings.check_whole, "openai_rerank": openai_rerank.check_whole}


def streams(api, asked):
    return api in STREAMING and asked.get("stream", STREAMING[api][2])


def check(api, asked, status, headers, raw):
    """Returns what the API's own check returns."""
    must(status == 200, f"the status is {status}: {raw[:500]!r}")
    if streams(api, asked):
        module, kind, _ = STREAMING[api]
        check_type(headers, kind)
        check_stream_headers(headers)
        return module.check_stream(raw, asked)
    check_type(headers, JSON)
    return (WHOLE.get(api) or STREAMING[api][0].check_whole)(raw, asked)


def check_type(headers, wanted):
    kind = headers.get("Content-Type") or ""
    must(kind.split(";")[0] == wanted, f"the content type is {kind!r}, not {wanted}")


def check_stream_headers(headers):
    """A proxy or cache that holds a stream back makes it no stream."""
    must("no-cache" in (headers.get("Cache-Control") or ""), "a stream needs Cache-Control: no-cache")
    must(headers.get("Content-Length") is None, "a stream has a Content-Length")
    must((headers.get("Content-Encoding") or "identity") == "identity", "a stream is compressed")
