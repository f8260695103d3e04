"""llama.cpp's own endpoints. check_stream and check_whole serve /completion and /infill and return {text, final}."""

from . import sse
from .rules import an_object, count, equals, flag, items, member, must, name, number, objects, one_of, parse, text, the
from .rules import parse_object

STOP_TYPES = ("none", "eos", "limit", "word")
TIMINGS = ("prompt_n", "prompt_ms", "predicted_n", "predicted_ms")


def check_stream(raw, asked, failed=False):
    events = sse.unnamed_objects(raw, done=False)
    for event in events[:-1]:
        must("error" not in event, f"the stream has an error: {event}")
        text(event, "content", "an event")
        equals(event, "stop", False, "an event before the last")
    if failed:
        return check_error(the(events[-1], "error", "the last event"))
    must("error" not in events[-1], f"the stream has an error: {events[-1]}")
    check_last(events[-1], asked)
    return {"text": "".join(event.get("content", "") for event in events), "final": events[-1]}


def check_last(answer, asked):
    """One with `response_fields` has only those, `a/b` flat under that name (llama.vim, llama.vscode)."""
    fields = asked.get("response_fields")
    if fields:
        must(set(answer) <= set(fields), f"members that response_fields does not name: {set(answer) - set(fields)}")
    else:
        check_final(answer, asked)
    if not fields or "content" in fields:
        text(answer, "content", "the answer")


def check_final(answer, asked):
    where = "the last event"
    equals(answer, "stop", True, where)
    one_of(answer, "stop_type", STOP_TYPES, where)
    word = text(answer, "stopping_word", where)
    must(bool(word) == (answer["stop_type"] == "word"), f"stopping_word {word!r} with stop_type {answer['stop_type']}")
    for key in ("tokens_predicted", "tokens_evaluated"):
        count(answer, key, where)
    flag(answer, "truncated", where)
    name(answer, "model", where)
    most = asked.get("n_predict", -1)
    # llama-server itself predicts one token where none is asked for.
    must(most < 0 or answer["tokens_predicted"] <= max(most, 1), f"more tokens than n_predict, {most}")
    timings = member(answer, "timings", where)
    for key in TIMINGS:
        must(number(the(timings, key, "timings"), f"timings: {key}") >= 0, f"timings: {key} is less than 0")


def check_whole(raw, asked):
    """Returns {text, final}, or a list of them where `n_cmpl` asked for several."""
    answer = parse(raw, "the answer")
    several = asked.get("n_cmpl", 1) > 1
    answers = objects({"answers": answer}, "answers", "the answer") if several else [an_object(answer, "the answer")]
    must(len(answers) == asked.get("n_cmpl", 1), f"{len(answers)} answers, {asked.get('n_cmpl')} were asked for")
    for each in answers:
        check_last(each, asked)
    found = [{"text": each.get("content"), "final": each} for each in answers]
    return found if several else found[0]


def check_error(error):
    """{code, message, type}; llama.cpp's code is the HTTP status."""
    an_object(error, "the error")
    must(count(error, "code", "the error") in range(400, 600), f"the error's code is no HTTP status: {error['code']}")
    name(error, "message", "the error")
    name(error, "type", "the error")
    return error


def check_tokenize(raw, asked):
    tokens = items(parse_object(raw, "the answer"), "tokens", "the answer")
    if asked.get("with_pieces"):
        tokens = [count(an_object(token, "a token"), "id", "a token") for token in tokens if check_piece(token)]
    must(all(type(token) is int and token >= 0 for token in tokens), f"a token is no number: {tokens}")
    must(tokens or not asked["content"], "a text of no tokens")
    return tokens


def check_piece(token):
    """A piece is text, or a list of bytes where it is not UTF-8."""
    piece = the(an_object(token, "a token"), "piece", "a token")
    must(isinstance(piece, (str, list)), f"a piece must be text or bytes: {piece!r}")
    return True


def check_detokenize(raw, _asked=None):
    return text(parse_object(raw, "the answer"), "content", "the answer")


def check_template(raw, _asked=None):
    return name(parse_object(raw, "the answer"), "prompt", "the answer")


def check_props(raw, _asked=None):
    """Returns n_ctx, which Zed, llama.vim and llama.vscode read here."""
    answer = parse_object(raw, "the answer")
    context = count(member(answer, "default_generation_settings", "the answer"), "n_ctx", "default_generation_settings")
    must(context > 0, "n_ctx is 0")
    must(count(answer, "total_slots", "the answer") > 0, "no slots")
    text(answer, "chat_template", "the answer")
    must(not text(answer, "model_path", "the answer").startswith("/"),
         f"`model_path` tells a folder of the node: {answer['model_path']}")
    for key in ("vision", "audio"):
        flag(member(answer, "modalities", "the answer"), key, "modalities")
    return context


def check_slots(raw, _asked=None):
    """The safe form: whether a slot works, never on what."""
    slots = parse(raw, "the answer")
    must(isinstance(slots, list), "/slots is a list")
    for slot in objects({"slots": slots}, "slots", "/slots"):
        count(slot, "id", "a slot")
        count(slot, "n_ctx", "a slot")
        flag(slot, "is_processing", "a slot")
        told = {"prompt", "generated", "next_token", "params"} & set(slot)
        must(not told, f"a slot tells what others work on: {told}")
    return slots


def check_health(raw, _asked=None):
    equals(parse_object(raw, "the answer"), "status", "ok", "the answer")
