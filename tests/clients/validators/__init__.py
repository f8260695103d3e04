"""One validator per API: each is given what a client asked and the bytes that came back, and raises rules.Broken with a
sentence that names the broken rule. They know the APIs and wire.md, not this server.

    chat = openai_chat.check_stream(raw, asked)            # chat["choices"][0]["text"]
    message = anthropic_messages.check_whole(raw, asked)
    errors.check("ollama", status, headers, raw)
    answer.check("anthropic_messages", asked, status, headers, raw)   # status, content type, then stream or whole

`raw` is the body as it came (bytes), `asked` the request's JSON. check_stream(…, failed=True) wants a stream that
ends in the API's own error event instead.
"""

from . import (anthropic_messages, answer, errors, llama_cpp, models, ollama, openai_chat, openai_completions,
               openai_embeddings, openai_rerank, openai_responses, pace)
from .rules import Broken

__all__ = ["Broken", "anthropic_messages", "answer", "errors", "llama_cpp", "models", "ollama", "openai_chat",
           "openai_completions", "openai_embeddings", "openai_rerank", "openai_responses", "pace"]
