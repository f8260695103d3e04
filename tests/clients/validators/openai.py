"""What chat and legacy completions of OpenAI share: the envelope, usage, logprobs, how a choice ends."""

from .rules import an_object, count, equals, items, member, must, name, number, objects, text, the


class Envelope:
    """`id`, `model`, `created` and `object` of an answer: in a stream the same in each chunk."""

    def __init__(self, kind):
        self.kind, self.first = kind, None

    def take(self, answer, where):
        equals(answer, "object", self.kind, where)
        found = (name(answer, "id", where), name(answer, "model", where), count(answer, "created", where))
        must(found[2] > 0, f"{where}: `created` must be a time")
        must(self.first in (None, found), f"{where}: id, model or created is not that of the first chunk: {found}")
        self.first = found

    @property
    def named(self):
        return dict(zip(("id", "model", "created"), self.first))


def check_usage(holder, asked, where, prompt=True):
    """`prompt` False: an answer with no completion (embeddings)."""
    usage = member(holder, "usage", where)
    prompt_tokens, total = count(usage, "prompt_tokens", "usage"), count(usage, "total_tokens", "usage")
    completion = count(usage, "completion_tokens", "usage") if prompt else 0
    must(total == prompt_tokens + completion, f"usage: the total is not the sum: {usage}")
    check_part(usage, "prompt_tokens_details", "cached_tokens", prompt_tokens)
    check_part(usage, "completion_tokens_details", "reasoning_tokens", completion)
    most = limit(asked)
    must(most is None or completion <= most, f"usage: {completion} tokens, more than the {most} asked for")
    return usage


def limit(asked):
    """The most tokens that all choices together may have, None where nothing was said."""
    each = asked.get("max_completion_tokens", asked.get("max_tokens"))
    prompts = asked.get("prompt")
    many = len(prompts) if is_many(prompts) else 1
    return None if each is None or each < 1 else each * (asked.get("n") or 1) * many


def is_many(prompts):
    return isinstance(prompts, list) and bool(prompts) and not isinstance(prompts[0], int)


def check_part(usage, details, key, whole):
    if usage.get(details) is not None:
        part = an_object(usage[details], f"usage: `{details}`").get(key, 0)
        must(number(part, f"usage: `{key}`") <= whole, f"usage: `{key}` is more than the whole: {usage}")


def take_index(choice, choices, where):
    index = count(choice, "index", where)
    must(index < choices, f"{where}: index {index} of {choices} choices")
    return index


def check_text_end(content, asked):
    """The stop words are no part of the text."""
    stops = asked.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        must(stop not in content, f"the stop word {stop!r} is in the text")


def check_logprobs(choice, asked, has_text, where):
    """Chat's form."""
    found = choice.get("logprobs")
    if not asked.get("logprobs"):
        must(found is None, f"{where}: logprobs that nobody asked for")
    elif has_text:
        for token in objects(member(choice, "logprobs", where), "content", "logprobs"):
            check_token(token, asked.get("top_logprobs") or 0)


def check_token(token, top):
    text(token, "token", "a logprob")
    must(number(the(token, "logprob", "a logprob"), "a logprob") <= 0, "a logprob is more than 0")
    for byte in items(token, "bytes", "a logprob") if token.get("bytes") is not None else []:
        must(byte in range(256), f"a logprob's byte is {byte!r}")
    for other in objects(token, "top_logprobs", "a logprob"):
        text(other, "token", "a top logprob")
    must(len(token["top_logprobs"]) <= top, f"{len(token['top_logprobs'])} top logprobs, {top} were asked for")


def check_error(error, where="the error"):
    """The four members that the SDKs read."""
    an_object(error, where)
    name(error, "message", where)
    name(error, "type", where)
    for key in ("param", "code"):
        must(isinstance(the(error, key, where), (str, type(None))), f"{where}: `{key}` must be a string or null")


def split_error(objects_of_stream, failed):
    """Takes a failing stream's error event off its end; `failed` False wants none anywhere."""
    at = next((i for i, value in enumerate(objects_of_stream) if "error" in value), None)
    if not failed:
        must(at is None, f"the stream has an error: {objects_of_stream[at or 0]}")
        return objects_of_stream
    must(at is not None and at == len(objects_of_stream) - 1, "a stream that fails must end with its error event")
    return objects_of_stream[:at]
