"""The validators themselves: every good sample passes, and one with one rule broken fails in the words of that rule.
A rule that no mutant breaks is a rule that cannot fail: the last case names it by its line."""

import ast
import copy
import json
import pathlib
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

import mesh
import samples
from validators import (Broken, anthropic_messages, answer, errors, llama_cpp, models, ollama, openai_chat,
                        openai_completions, openai_embeddings, openai_rerank, openai_responses, pace, rules)

VALIDATORS = HERE / "validators"
RULES = {name for name in vars(rules) if callable(getattr(rules, name)) and name != "Broken"}


# --- how an API writes its answers


def sse_done(events):
    return sse_bare(events) + b"data: [DONE]\n\n"


def sse_bare(events):
    return b"".join(b"data: " + as_json(event) + b"\n\n" for event in events)


def sse_named(events):
    return b"".join(f"event: {type_of(event)}\ndata: ".encode() + as_json(event) + b"\n\n" for event in events)


def type_of(event):
    return event.get("type") if isinstance(event, dict) else "none"


def ndjson(lines):
    return b"".join(as_json(line) + b"\n" for line in lines)


def as_json(value):
    return json.dumps(value).encode()


def failing(check):
    return lambda raw, asked: check(raw, asked, failed=True)


def queued(raw, asked):
    return openai_responses.check_state(raw, asked, "queued")


# Of each function in samples: how it is written, and who checks it.
CASES = {
    "chat_text": (sse_done, openai_chat.check_stream),
    "chat_tools": (sse_done, openai_chat.check_stream),
    "chat_two": (sse_done, openai_chat.check_stream),
    "chat_failed": (sse_bare, failing(openai_chat.check_stream)),
    "chat_whole": (as_json, openai_chat.check_whole),
    "chat_whole_tools": (as_json, openai_chat.check_whole),
    "completions": (sse_done, openai_completions.check_stream),
    "completions_failed": (sse_done, failing(openai_completions.check_stream)),
    "completions_whole": (as_json, openai_completions.check_whole),
    "embeddings": (as_json, openai_embeddings.check_whole),
    "embeddings_base64": (as_json, openai_embeddings.check_whole),
    "rerank": (as_json, openai_rerank.check_whole),
    "responses": (sse_named, openai_responses.check_stream),
    "responses_reasoning_text": (sse_named, openai_responses.check_stream),
    "responses_parallel": (sse_named, openai_responses.check_stream),
    "responses_failed": (sse_named, failing(openai_responses.check_stream)),
    "responses_whole": (as_json, openai_responses.check_whole),
    "responses_state": (as_json, queued),
    "anthropic_text": (sse_named, anthropic_messages.check_stream),
    "anthropic_tools": (sse_named, anthropic_messages.check_stream),
    "anthropic_failed": (sse_named, failing(anthropic_messages.check_stream)),
    "anthropic_whole": (as_json, anthropic_messages.check_whole),
    "anthropic_count": (as_json, anthropic_messages.check_count),
    "ollama_chat": (ndjson, ollama.check_stream),
    "ollama_generate": (ndjson, ollama.check_stream),
    "ollama_failed": (ndjson, failing(ollama.check_stream)),
    "ollama_whole": (as_json, ollama.check_whole),
    "ollama_embed": (as_json, ollama.check_embed),
    "ollama_embeddings": (as_json, ollama.check_embeddings),
    "ollama_tags": (as_json, ollama.check_tags),
    "ollama_ps": (as_json, ollama.check_ps),
    "ollama_show": (as_json, ollama.check_show),
    "ollama_version": (as_json, ollama.check_version),
    "llama_stream": (sse_bare, llama_cpp.check_stream),
    "llama_failed": (sse_bare, failing(llama_cpp.check_stream)),
    "llama_whole": (as_json, llama_cpp.check_whole),
    "llama_fields": (as_json, llama_cpp.check_whole),
    "llama_several": (as_json, llama_cpp.check_whole),
    "llama_tokenize": (as_json, llama_cpp.check_tokenize),
    "llama_pieces": (as_json, llama_cpp.check_tokenize),
    "llama_detokenize": (as_json, llama_cpp.check_detokenize),
    "llama_template": (as_json, llama_cpp.check_template),
    "llama_props": (as_json, llama_cpp.check_props),
    "llama_slots": (as_json, llama_cpp.check_slots),
    "llama_health": (as_json, llama_cpp.check_health),
    "models_openai": (as_json, models.check_openai),
    "models_anthropic": (as_json, models.check_anthropic),
    "models_litellm": (as_json, models.check_litellm),
    "models_lmstudio": (as_json, models.check_lmstudio),
}


# --- one change to a sample: a function of (asked, value)


def put(*path_and_new):
    """Sets what the path leads to; in a list, an index past the end appends."""
    *path, last, new = path_and_new

    def edit(_asked, value):
        for step in path:
            value = value[step]
        value[last] = new
    return edit


def drop(*path):
    def edit(_asked, value):
        for step in path[:-1]:
            value = value[step]
        del value[path[-1]]
    return edit


def insert(at, new):
    return lambda _asked, value: value.insert(at, new)


def again(at):
    """The event comes twice."""
    return lambda _asked, value: value.insert(at, copy.deepcopy(value[at]))


def swap(one, other):
    def edit(_asked, value):
        value[one], value[other] = value[other], value[one]
    return edit


def ask(**more):
    """The same answer to another request."""
    return lambda asked, _value: asked.update(more)


def cut(end):
    """The stream ends early."""
    def edit(_asked, value):
        del value[end:]
    return edit


def both(*edits):
    def edit(asked, value):
        for each in edits:
            each(asked, value)
    return edit


def sequence(edit):
    """A change to the events of a response, which are numbered anew so that only that rule is broken."""
    def edited(asked, value):
        edit(asked, value)
        for i, event in enumerate(value):
            event["sequence_number"] = i
    return edited


def unfinished(_asked, value):
    """An answer as it would stand in the middle of a stream."""
    value["done"] = False
    for key in samples.OLLAMA_COUNTS:
        del value[key]


def reasoning_then_call(value):
    """Puts a call behind the reasoning of responses_reasoning_text."""
    call = samples.call_events(1)
    value[8:9] = samples.number(call)
    value[-1]["response"]["output"].append(call[-1][1]["item"])
    for i, event in enumerate(value):
        event["sequence_number"] = i


CHUNK, DELTA = samples.chunk, samples.delta
FIRST = (0, "choices", 0)
TOOL_CALL = ("choices", 0, "delta", "tool_calls", 0)
TOKEN = (2, "choices", 0, "logprobs", "content", 0)
WHOLE = ("choices", 0, "message")
PING = {"type": "ping"}
BYE_ITEM = samples.message_item("completed", "Bye")
BYE = {"type": "output_text", "text": "Bye", "annotations": []}

# For each sample: the words of the rule, and the change that breaks it.
MUTANTS = {
    "chat_text": [
        ("id, model or created", put(1, "id", "chatcmpl-2")),
        ("id, model or created", put(3, "model", "other")),
        ("`created` must be a time", put(0, "created", 0)),
        ("`object` must be 'chat.completion.chunk'", put(0, "object", "chat.completion")),
        ("first delta of a choice", drop(*FIRST, "delta", "role")),
        ("a role after the first delta", put(1, "choices", 0, "delta", "role", "assistant")),
        ("index 1 of 1 choices", put(1, "choices", 0, "index", 1)),
        ("reasoning after content", swap(1, 4)),
        ("`reasoning_content` must be a string", put(1, "choices", 0, "delta", "reasoning_content", 7)),
        ("`content` must be a string or null", put(4, "choices", 0, "delta", "content", 7)),
        ("`finish_reason` must be one of", put(6, "choices", 0, "finish_reason", "eos")),
        ("a choice has no finish_reason", both(ask(stream_options=None), cut(6))),
        ("0 tool calls end with tool_calls", put(6, "choices", 0, "finish_reason", "tool_calls")),
        ("a delta after the finish_reason", again(6)),
        ("the usage chunk comes before", swap(6, 7)),
        ("a chunk after the usage chunk", again(7)),
        ("no usage chunk came", drop(7)),
        ("no usage was asked for", ask(stream_options=None)),
        ("usage in a chunk that has choices", put(6, "usage", samples.usage())),
        ("the total is not the sum", put(7, "usage", "total_tokens", 99)),
        ("`cached_tokens` is more than the whole", put(7, "usage", "prompt_tokens_details", "cached_tokens", 10)),
        ("`reasoning_tokens` is more", put(7, "usage", "completion_tokens_details", "reasoning_tokens", 5)),
        ("more than the 3 asked for", ask(max_tokens=3)),
        ("more than the 2 asked for", ask(max_completion_tokens=2)),
        ("the stop word 'lo' is in the text", ask(stop="lo")),
        ("logprobs that nobody asked for", put(4, "choices", 0, "logprobs", {"content": []})),
        ("the stream has an error", put(6, {"error": samples.OPENAI_ERROR})),
        ("tool_choice is required, but no tool", ask(tool_choice="required", tools=samples.TOOLS)),
    ],
    "chat_tools": [
        ("content after tool calls", insert(3, CHUNK(DELTA(content="!")))),
        ("reasoning after content or tool calls", insert(3, CHUNK(DELTA(reasoning_content="!")))),
        ("tool call index 2 after 1 calls", put(5, *TOOL_CALL, "index", 2)),
        ("tool call index 0 after 2 calls", insert(6, CHUNK(DELTA(tool_calls=[samples.piece(0, "")])))),
        ("id or name again", put(3, *TOOL_CALL, "id", "call_1")),
        ("id or name again", put(3, *TOOL_CALL, "function", "name", "read")),
        ("`id` must not be empty", put(2, *TOOL_CALL, "id", "")),
        ("`type` must be 'function'", put(2, *TOOL_CALL, "type", "tool")),
        ("two calls have one id", put(5, *TOOL_CALL, "id", "call_1")),
        ("which is no tool of the request", put(2, *TOOL_CALL, "function", "name", "delete")),
        ("the arguments of `read` is not JSON", drop(4)),
        ("must be an object", put(5, *TOOL_CALL, "function", "arguments", "[1]")),
        ("2 tool calls end with stop", put(6, "choices", 0, "finish_reason", "stop")),
        ("tool_choice is none: no call", ask(tool_choice="none")),
        ("tool_choice is write: no call of `read`",
         ask(tool_choice={"type": "function", "function": {"name": "write"}})),
        ("forbids parallel calls", ask(parallel_tool_calls=False)),
    ],
    "chat_two": [
        ("a choice has no chunk", both(drop(4), drop(2), drop(0), drop(1))),
        ("a logprob is more than 0", put(*TOKEN, "logprob", 1)),
        ("a logprob's byte is 256", put(*TOKEN, "bytes", [256])),
        ("2 top logprobs, 1 were asked for", put(*TOKEN, "top_logprobs", [{"token": "a"}, {"token": "b"}])),
        ("has no `content`", put(2, "choices", 0, "logprobs", {})),
        ("the text asked for as JSON", put(2, "choices", 0, "delta", "content", "{")),
    ],
    "chat_failed": [
        ("must end with its error event", drop(-1)),
        ("must end with its error event", swap(4, 6)),
        ("must not say how it finished", insert(6, CHUNK(DELTA("stop")))),
        ("`type` must not be empty", put(6, "error", "type", "")),
        ("`param` must be a string or null", put(6, "error", "param", 7)),
        ("has no `code`", drop(6, "error", "code")),
    ],
    "chat_whole": [
        ("`object` must be 'chat.completion'", put("object", "chat.completion.chunk")),
        ("must have choices 0 to 1", ask(n=2)),
        ("`role` must be 'assistant'", put(*WHOLE, "role", "user")),
        ("`content` must be a string", put(*WHOLE, "content", None)),
        ("has no `usage`", drop("usage")),
        ("the stop word 'ell'", ask(stop=["ell"])),
    ],
    "chat_whole_tools": [
        ("1 tool calls end with stop", put("choices", 0, "finish_reason", "stop")),
        ("`type` must be 'function'", put(*WHOLE, "tool_calls", 0, "type", None)),
        ("is not JSON", put(*WHOLE, "tool_calls", 0, "function", "arguments", "{")),
        ("`arguments` must be a string", put(*WHOLE, "tool_calls", 0, "function", "arguments", {"path": "a"})),
    ],
    "completions": [
        ("`object` must be 'text_completion'", put(0, "object", "chat.completion.chunk")),
        ("text after the finish_reason", again(2)),
        ("a choice has no finish_reason", both(ask(stream_options=None), cut(2))),
        ("`finish_reason` must be one of", put(2, "choices", 0, "finish_reason", "tool_calls")),
        ("a chunk after the usage chunk", again(3)),
        ("no usage was asked for", ask(stream_options={})),
        ("the usage chunk comes before", swap(2, 3)),
        ("no usage chunk came", drop(3)),
        ("usage in a chunk that has choices", put(2, "usage", samples.usage())),
        ("the stop word 'Hel'", ask(stop="Hel")),
        ("logprobs that nobody asked for", put(0, "choices", 0, "logprobs", {})),
        ("the stream has an error", put(2, {"error": samples.OPENAI_ERROR})),
        ("index 1 of 1 choices", put(1, "choices", 0, "index", 1)),
    ],
    "completions_failed": [
        ("must end with its error event", drop(-1)),
        ("`message` must not be empty", put(1, "error", "message", "")),
        ("must not say how it finished", put(0, "choices", 0, "finish_reason", "stop")),
    ],
    "completions_whole": [
        ("must have choices 0 to 0", ask(prompt="a")),
        ("must have choices 0 to 0", ask(prompt=[1, 2])),
        ("lists of logprobs have different lengths", put("choices", 0, "logprobs", "text_offset", [])),
        ("a logprob is more than 0", put("choices", 0, "logprobs", "token_logprobs", [1])),
        ("`token` must not be empty", put("choices", 1, "logprobs", "content", 0, "token", "")),
        ("`finish_reason` must be one of", put("choices", 1, "finish_reason", None)),
        ("more than the 2 asked for", ask(max_tokens=1)),
    ],
    "embeddings": [
        ("must have the indexes 0 to 1", put("data", 1, "index", 0)),
        ("must have the indexes 0 to 0", ask(input="a")),
        ("must have the indexes 0 to 0", ask(input=[1, 2])),
        ("different lengths", put("data", 1, "embedding", [1.0])),
        ("3 dimensions were asked for", ask(dimensions=3)),
        ("empty or all zeros", put("data", 1, "embedding", [0.0, 0.0])),
        ("a finite number", put("data", 1, "embedding", [0.0, "1"])),
        ("the total is not the sum", put("usage", "total_tokens", 3)),
        ("`embedding` must be a list", put("data", 0, "embedding", "mpkZP83MTD8=")),
    ],
    "embeddings_base64": [
        ("is not base64", put("data", 0, "embedding", "****")),
        ("is not base64", put("data", 0, "embedding", [0.6, 0.8])),
        ("is not base64", put("data", 0, "embedding", "mpkZP80=")),
    ],
    "rerank": [
        ("2 results, 3 were asked for", ask(top_n=None)),
        ("not of the documents", put("results", 0, "index", 3)),
        ("not of the documents", put("results", 0, "index", 0)),
        ("the best must come first", put("results", 0, "relevance_score", -0.5)),
    ],
    "responses": [
        ("`sequence_number` must be 3", put(3, "sequence_number", 4)),
        ("the first event is response.in_progress", sequence(drop(0))),
        ("a second response.created", sequence(again(0))),
        ("before response.in_progress", sequence(drop(1))),
        ("after the response ended", sequence(again(-1))),
        ("no response.completed", sequence(drop(-1))),
        ("response.completed before response.in_progress",
         sequence(lambda _asked, value: value.__delitem__(slice(1, 21)))),
        ("response.output_item.done a second time", sequence(again(15))),
        ("`status` must be one of queued, in_progress", put(0, "response", "status", "completed")),
        ("is not what there is so far", put(0, "response", "output", [samples.message_item("completed", "a")])),
        ("`id` must be 'resp_1'", put(8, "response", "id", "resp_2")),
        ("starts resp_", put(0, "response", "id", "x")),
        ("`previous_response_id` must be 'resp_0'", put(0, "response", "previous_response_id", None)),
        ("`output_index` must be 1", put(9, "output_index", 0)),
        ("an item's id again", put(9, "item", "id", "rs_1")),
        ("before the item before it is done", sequence(drop(7))),
        ("`item_id` must be 'msg_1'", put(11, "item_id", "rs_1")),
        ("of output_index 2, but 2 items were added", put(11, "output_index", 2)),
        ("`content_index` must be 0", put(11, "content_index", 1)),
        ("`summary_index` must be 0", put(3, "summary_index", 1)),
        ("of output_index 1, but 1 items were added", sequence(drop(9))),
        ("no part of its kind is open", sequence(drop(10))),
        ("before the part before it is done", sequence(again(10))),
        ("`text` must be 'Hello'", put(13, "text", "Hell")),
        ("`text` must be ''", put(10, "part", "text", "Hel")),
        ("`text` must be 'Hello'", put(14, "part", "text", "Hell")),
        ("`type` must be 'output_text'", put(14, "part", "type", "refusal")),
        ("`type` must be 'output_text'", put(10, "part", "type", "refusal")),
        ("after the text is done", sequence(lambda _asked, value: value.insert(14, copy.deepcopy(value[12])))),
        ("before its text is done", sequence(drop(13))),
        ("but no such part is open", sequence(again(14))),
        ("a part is not done", sequence(drop(14))),
        ("`summary` must be a list", put(15, "item", "summary", 7)),
        ("`content` is not what was streamed", put(15, "item", "content", [BYE])),
        ("`status` must be one of completed, incomplete", put(15, "item", "status", "in_progress")),
        ("`id` must be 'msg_1'", put(15, "item", "id", "msg_2")),
        ("in an item of type message", sequence(insert(11, {
            "type": "response.function_call_arguments.delta", "item_id": "msg_1", "output_index": 1, "delta": ""}))),
        ("has `arguments` already", put(16, "item", "arguments", "{")),
        ("after the arguments is done", sequence(again(19))),
        ("what it is called with is not done", sequence(drop(19))),
        ("`arguments` must be", put(19, "arguments", "{}")),
        ("`name` must be 'read'", put(19, "name", "write")),
        ("`name` must be 'read'", put(20, "item", "name", "write")),
        ("`arguments` must be", put(20, "item", "arguments", "{}")),
        ("has `content` already", put(9, "item", "content", [BYE])),
        ("must be in_progress", put(9, "item", "status", "completed")),
        ("`type` must be one of message", put(9, "item", "type", "web_search_call")),
        ("but an output item is not done", sequence(drop(20))),
        ("`output` must be", put(21, "response", "output", [])),
        ("`status` must be 'completed'", put(21, "response", "status", "in_progress")),
        ("`error` must be None", put(21, "response", "error", {})),
        ("`incomplete_details` must be None", put(21, "response", "incomplete_details", {})),
        ("has no `usage`", drop(21, "response", "usage")),
        ("the total is not the sum", put(21, "response", "usage", "total_tokens", 99)),
        ("`cached_tokens` is more", put(21, "response", "usage", "input_tokens_details", "cached_tokens", 99)),
        ("`reasoning_tokens` is more", put(21, "response", "usage", "output_tokens_details", "reasoning_tokens", 5)),
        ("more than the 3 asked for", ask(max_output_tokens=3)),
        ("is no event that", put(12, "type", "response.output_text.more")),
        ("is no event that", sequence(insert(11, {"type": "response.audio.delta"}))),
        ("which is no tool of the request", ask(tools=[])),
        ("tool_choice is none: no call", ask(tool_choice="none")),
        ("tool_choice is write: no call", ask(tool_choice={"type": "function", "name": "write"})),
        ("after its item is done", sequence(lambda _asked, value: value.insert(16, copy.deepcopy(value[12])))),
        ("is no event that", put(10, "type", "response.content_part.more")),
        ("is not what there is so far", sequence(insert(8, {
            "type": "response.in_progress", "response": samples.response("in_progress", [BYE_ITEM])}))),
    ],
    "responses_parallel": [
        ("before the item before it is done", put(4, "item", samples.message_item("in_progress"))),
        ("`item_id` must be 'fc_1'", put(6, "output_index", 0)),
        ("in an item of type custom_tool_call", both(put(8, "output_index", 1), put(8, "item_id", "ctc_1"))),
        ("`input` must be 'any text'", put(10, "input", "other text")),
        ("which is no tool", ask(tools=samples.FLAT_TOOLS)),
    ],
    "responses_reasoning_text": [
        ("`reason` must be one of", put(-1, "response", "incomplete_details", {"reason": "tired"})),
        ("`incomplete_details` must be an object", put(-1, "response", "incomplete_details", None)),
        ("ended with response.failed", both(put(-1, "type", "response.failed"),
                                            put(-1, "response", samples.responses_failed()[1][-1]["response"]))),
        ("no part of its kind is open", put(4, "type", "response.output_text.delta")),
        ("`type` must be 'reasoning_text'", put(3, "part", "type", "summary_text")),
        ("tool_choice is none", both(ask(tool_choice="none", tools=samples.FLAT_TOOLS), sequence(insert(8, {})),
                                     lambda asked, value: reasoning_then_call(value))),
    ],
    "responses_failed": [
        ("the response ended with response.incomplete", both(
            put(-1, "type", "response.incomplete"),
            put(-1, "response", samples.response("incomplete", usage=samples.token_usage(),
                                                 incomplete_details={"reason": "max_output_tokens"})),
            sequence(lambda asked, value: value.__delitem__(slice(2, 5))))),
        ("`error` must be an object", put(-1, "response", "error", None)),
        ("`code` must not be empty", put(-1, "response", "error", "code", "")),
        ("has no `message`", drop(-1, "response", "error", "message")),
    ],
    "responses_whole": [
        ("the response failed", put("status", "failed")),
        ("`status` must be one of", put("status", "in_progress")),
        ("a completed response has no output", put("output", [])),
        ("reasoning after the message", lambda asked, value: value["output"].append(samples.reasoning_item("Think"))),
        ("`call_id` must not be empty", put("output", 1, "call_id", "")),
        ("which is no tool", put("output", 1, "name", "web_search")),
        ("has no `top_p`", drop("top_p")),
        ("`annotations`", drop("output", 0, "content", 0, "annotations")),
        ("`type` must be one of output_text", put("output", 0, "content", 0, "type", "text")),
        ("`created_at` must be a time", put("created_at", 0)),
    ],
    "responses_state": [
        ("`text` must be a string", put("output", [samples.reasoning_item(7)])),
        ("`status` must be 'queued'", put("status", "in_progress"))],
    "anthropic_text": [
        ("the first event is ping", swap(0, 1)),
        ("a second message_start", again(0)),
        ("`role` must be 'assistant'", put(0, "message", "role", "user")),
        ("`content` must be []", put(0, "message", "content", [{"type": "text", "text": ""}])),
        ("`stop_reason` must be None", put(0, "message", "stop_reason", "end_turn")),
        ("has no `usage`", drop(0, "message", "usage")),
        ("`cache_read_input_tokens` must be a whole number", put(0, "message", "usage", "cache_read_input_tokens", -1)),
        ("the stop sequence 'lo' is in the text", ask(stop_sequences=["END", "lo"])),
        ("no input tokens", put(0, "message", "usage", {"input_tokens": 0, "output_tokens": 0})),
        ("`index` must be 0", put(2, "index", 1)),
        ("`index` must be 1", put(7, "index", 0)),
        ("`index` must be 1", put(9, "index", 0)),
        ("before the block before it stopped", drop(5)),
        ("but no block is open", drop(2)),
        ("content_block_stop, but no block is open", again(5)),
        ("`text` must be ''", put(6, "content_block", "text", "Hel")),
        ("text_delta in a block of type thinking", put(3, "delta", {"type": "text_delta", "text": "a"})),
        ("thinking_delta after the signature", swap(3, 4)),
        ("`type` must be one of text_delta", put(7, "delta", "type", "citations_delta")),
        ("`type` must be one of text, thinking", put(6, "content_block", "type", "image")),
        ("message_delta, but a block is open", drop(9)),
        ("a second message_delta", again(10)),
        ("content_block_start after message_delta", insert(11, {
            "type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}})),
        ("message_stop before message_delta", drop(10)),
        ("no message_stop", drop(11)),
        ("ping after message_stop", insert(12, PING)),
        ("thinking after text", insert(10, {
            "type": "content_block_start", "index": 2, "content_block": {"type": "thinking", "thinking": ""}})),
        ("an event of type completion", insert(2, {"type": "completion"})),
        ("`stop_reason` must be one of", put(10, "delta", "stop_reason", "stop")),
        ("was not asked for", put(10, "delta", "stop_sequence", "STOP")),
        ("with stop_reason end_turn", put(10, "delta", "stop_reason", "end_turn")),
        ("has no `output_tokens`", drop(10, "usage", "output_tokens")),
        ("3 were asked for", ask(max_tokens=3)),
        ("the stream has an error", insert(2, samples.anthropic_failed()[1][-1])),
        ("tool_choice is required", ask(tool_choice={"type": "any"}, tools=samples.ANTHROPIC_TOOLS)),
    ],
    "anthropic_tools": [
        ("the joined partial_json of `read` is not JSON", drop(3)),
        ("`input` must be {}", put(1, "content_block", "input", {"path": "a"})),
        ("letters, digits, _ and - only", put(1, "content_block", "id", "call.1")),
        ("two calls have one id", put(5, "content_block", "id", "toolu_1")),
        ("which is no tool", put(5, "content_block", "name", "delete")),
        ("2 tool calls end with end_turn", put(7, "delta", "stop_reason", "end_turn")),
        ("tool_choice is write", ask(tool_choice={"type": "tool", "name": "write"})),
        ("forbids parallel calls", ask(tool_choice={"type": "auto", "disable_parallel_tool_use": True})),
        ("tool_choice is none", ask(tool_choice={"type": "none"})),
    ],
    "anthropic_failed": [
        ("must end with one `event: error`", drop(-1)),
        ("an event of type error", again(-1)),
        ("must not say why it stopped", lambda asked, value: value.__setitem__(
            slice(9, 9), [samples.anthropic_text()[1][9], samples.message_end("end_turn")[0]])),
        ("`message` must not be empty", put(-1, "error", "message", "")),
    ],
    "anthropic_whole": [
        ("`type` must be 'message'", put("type", "completion")),
        ("`input` must be an object", put("content", 2, "input", '{"path": "a"}')),
        ("thinking after text", lambda asked, value: value["content"].reverse()),
        ("tool calls end with end_turn", put("stop_reason", "end_turn")),
        ("with stop_reason tool_use", put("stop_sequence", "END")),
    ],
    "anthropic_count": [("a request of no tokens", put("input_tokens", 0))],
    "ollama_chat": [
        ("no line has done:true", drop(3)),
        ("a line after the one with done:true", again(3)),
        ("counts in a line that is not the last", put(1, "eval_count", 1)),
        ("the model changes", put(1, "model", "other")),
        ("must be an RFC 3339 time", put(1, "created_at", "now")),
        ("must be an RFC 3339 time", put(1, "created_at", "2026-11-21T10:00:00")),
        ("thinking after content", swap(0, 1)),
        ("`thinking` must be a string", put(0, "message", "thinking", True)),
        ("`role` must be 'assistant'", put(1, "message", "role", "user")),
        ("`arguments` must be an object", put(2, "message", "tool_calls", 0, "function", "arguments", "{}")),
        ("which is no tool", put(2, "message", "tool_calls", 0, "function", "name", "delete")),
        ("done_reason must be one of", put(3, "done_reason", "tool_calls")),
        ("has no `eval_count`", drop(3, "eval_count")),
        ("more than num_predict, 3", ask(options={"num_predict": 3})),
        ("the stream has an error", insert(2, {"error": "x"})),
        ("`done` must be true or false", put(1, "done", "no")),
    ],
    "ollama_generate": [
        ("has no `response`", drop(1, "response")),
        ("must be an object", put(1, 7)),
    ],
    "ollama_failed": [
        ("has no `error`", drop(-1)),
        ("must not say done:true", put(0, samples.ollama_whole()[1])),
    ],
    "ollama_whole": [("counts in a line that is not the last", put("done", False)),
                     ("no line has done:true", unfinished)],
    "ollama_embed": [
        ("2 embeddings of 1 inputs", ask(input="a")),
        ("different lengths", put("embeddings", 0, [1])),
        ("has no `prompt_eval_count`", drop("prompt_eval_count")),
    ],
    "ollama_embeddings": [("empty or all zeros", put("embedding", []))],
    "ollama_tags": [
        ("a model is listed twice", put("models", 1, "name", samples.MODEL)),
        ("a model of no bytes", put("models", 0, "size", 0)),
        ("`size` must be a whole number", put("models", 0, "size", "1 GB")),
        ("`families` must be a list or null", put("models", 0, "details", "families", "llama")),
        ("has no `quantization_level`", drop("models", 0, "details", "quantization_level")),
        ("`digest` must not be empty", put("models", 0, "digest", "")),
        ("must be an RFC 3339 time", put("models", 0, "modified_at", "now")),
    ],
    "ollama_ps": [("has no `expires_at`", drop("models", 0, "expires_at")),
                  ("`size_vram`", drop("models", 0, "size_vram"))],
    "ollama_show": [
        ("has no `llama.context_length`", drop("model_info", "llama.context_length")),
        ("`llama.context_length` is 0", put("model_info", "llama.context_length", 0)),
        ("`parameters` has no num_ctx", put("parameters", "stop \"x\"")),
        ("`.Suffix` in the template and `insert` go together", put("template", "{{ .Prompt }}")),
        ("`.Suffix` in the template and `insert` go together", put("capabilities", ["completion"])),
        ("`capabilities` must be some of", put("capabilities", ["chat"])),
        ("`capabilities` must be some of", put("capabilities", [])),
        ("has no `modelfile`", drop("modelfile")),
    ],
    "ollama_version": [
        ("is older than 0.13.4", put("version", "0.13.3")),
        ("a version is three numbers", put("version", "v0.30.0")),
    ],
    "llama_stream": [
        ("`stop` must be False", put(1, "stop", True)),
        ("`stop` must be True", drop(2)),
        ("the stream has an error", put(2, samples.llama_failed()[1][1])),
        ("`stop_type` must be one of", put(2, "stop_type", "stop")),
        ("stopping_word '' with stop_type word", put(2, "stopping_word", "")),
        ("more tokens than n_predict, 3", ask(n_predict=3)),
        ("timings: prompt_ms is less than 0", put(2, "timings", "prompt_ms", -1)),
        ("the stream has an error", insert(1, samples.llama_failed()[1][1])),
        ("has no `timings`", drop(2, "timings")),
    ],
    "llama_failed": [
        ("has no `error`", drop(-1)),
        ("is no HTTP status", put(1, "error", "code", 200)),
    ],
    "llama_whole": [("`stop` must be True", put("stop", False)), ("has no `content`", drop("content"))],
    "llama_fields": [("that response_fields does not name", put("stop", True))],
    "llama_several": [("2 answers, 3 were asked for", ask(n_cmpl=3)), ("must be an object", ask(n_cmpl=1))],
    "llama_tokenize": [
        ("a text of no tokens", put("tokens", [])),
        ("a token is no number", put("tokens", ["a"])),
    ],
    "llama_pieces": [("a piece must be text or bytes", put("tokens", 0, "piece", 7))],
    "llama_detokenize": [("`content` must be a string", put("content", None))],
    "llama_template": [("`prompt` must not be empty", put("prompt", ""))],
    "llama_props": [
        ("n_ctx is 0", put("default_generation_settings", "n_ctx", 0)),
        ("no slots", put("total_slots", 0)),
        ("tells a folder of the node", put("model_path", "/home/user/coder.gguf")),
    ],
    "llama_slots": [
        ("tells what others work on: {'prompt'}", put(0, "prompt", "secret")),
    ],
    "llama_health": [("`status` must be 'ok'", put("status", "error"))],
    "models_openai": [
        ("a model is listed twice", put("data", 1, "id", samples.MODEL)),
        ("a mode's name is made of", put("data", 1, "id", "mesh-Code")),
        ("`max_model_len` must be 32768", put("data", 0, "max_model_len", 4096)),
        ("`context_length` is 0", put("data", 0, "context_length", 0)),
        ("`max_tokens` is not within", put("data", 0, "max_tokens", 65536)),
        ("`n_ctx` must be 32768", put("data", 0, "meta", "n_ctx", 4096)),
        ("n_ctx_train is 0", put("data", 0, "meta", "n_ctx_train", 0)),
        ("`created` must be a time", put("data", 0, "created", 0)),
        ("must be an RFC 3339 time", put("data", 0, "created_at", "2026")),
        ("`type` must be 'model'", put("data", 0, "type", "llm")),
        ("`object` must be 'list'", put("object", "page")),
    ],
    "models_anthropic": [
        ("no claude-mesh-…", both(drop("data", 1), put("last_id", samples.MODEL))),
        ("first and last are", put("last_id", "x")),
        ("has no `has_more`", drop("has_more")),
    ],
    "models_litellm": [
        ("`max_input_tokens` is 0", put("data", 0, "model_info", "max_input_tokens", 0)),
        ("`max_tokens` is 0", put("data", 0, "model_info", "max_tokens", 0)),
        ("`supports_vision` must be", put("data", 0, "model_info", "supports_vision", None)),
    ],
    "models_lmstudio": [
        ("a model's type is 'chat'", put("data", 0, "type", "chat")),
        ("a model's state is 'up'", put("data", 0, "state", "up")),
        ("`max_context_length` is 0", put("data", 0, "max_context_length", 0)),
    ],
}


# --- what is broken below JSON: bytes, headers, pace. Each is (words, call).

GOOD_SSE = samples.chat_text()
ERROR_HEADERS = {"Content-Type": "application/json; charset=utf-8", "Retry-After": "3"}
OVERFLOW = ("request (40000 tokens) exceeds the available context size (32768 tokens): prompt is too long, "
            "maximum context length is 32768 tokens")
STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


def chat_bytes(old, new):
    raw = sse_done(GOOD_SSE[1])
    assert old in raw, old
    return lambda: openai_chat.check_stream(raw.replace(old, new, 1), GOOD_SSE[0])


def named_bytes(old, new):
    asked, events = samples.anthropic_text()
    return lambda: anthropic_messages.check_stream(sse_named(events).replace(old, new, 1), asked)


def line_bytes(old, new):
    asked, lines = samples.ollama_generate()
    return lambda: ollama.check_stream(ndjson(lines).replace(old, new, 1), asked)


def refusal(family, status, value, headers=ERROR_HEADERS, check=errors.check, **more):
    return lambda: check(family, status, headers, as_json(value), **more)


def openai_refusal(message=OVERFLOW, **more):
    return {"error": {"message": message, "type": "invalid_request_error", "param": "messages",
                      "code": "context_length_exceeded", **more}}


def anthropic_refusal(kind="invalid_request_error", message="prompt is too long: 40000 tokens > 32768 maximum"):
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def overflow(family, value, status=400):
    return refusal(family, status, value, check=errors.check_overflow)


def answered(api, asked, value, status=200, **headers):
    raw = CASES[value][0](getattr(samples, value)()[1])
    return lambda: answer.check(api, asked, status, headers, raw)


def chat_answer(**headers):
    return answered("openai_chat", samples.chat_text()[0], "chat_text", **{**STREAM_HEADERS, **headers})


GOOD_CALLS = [
    refusal("openai", 429, openai_refusal()),
    refusal("anthropic", 404, anthropic_refusal("not_found_error")),
    refusal("ollama", 404, {"error": "not here"}),
    refusal("llama_cpp", 501, {"error": {"code": 501, "message": "no", "type": "not_supported_error"}}),
    overflow("openai", openai_refusal()),
    overflow("anthropic", anthropic_refusal()),
    overflow("ollama", {"error": OVERFLOW}),
    chat_answer(),
    answered("ollama", samples.ollama_generate()[0], "ollama_generate",
             **{"Content-Type": "application/x-ndjson", "Cache-Control": "no-cache"}),
    answered("openai_embeddings", samples.embeddings()[0], "embeddings", **{"Content-Type": "application/json"}),
    lambda: models.check_safe_names(["mesh-ask", "mesh-complete-qwen-coder"]),
    lambda: pace.check([(0.0, b"data: {}\n\n"), (9.0, b": x\n\n"), (15.0, b'{"done":false}\n')]),
    lambda: ollama.check_tags(b'{"models":[]}'),
]

BROKEN_CALLS = [
    ("a comment starts with `: ping`", chat_bytes(b"data:", b": ping - 10:00\n\ndata:")),
    ("a comment keeps no client waiting", chat_bytes(b"data:", b":\n\ndata:")),
    ("carriage return", chat_bytes(b"\n\n", b"\r\n\r\n")),
    ("does not end with a blank line", chat_bytes(b"[DONE]\n\n", b"[DONE]\n")),
    ("neither `event: …` nor `data: …`", chat_bytes(b"data: ", b"id: 7\ndata: ")),
    ("neither `event: …` nor `data: …`", chat_bytes(b"data: ", b"data:")),
    ("two `data:` lines", chat_bytes(b"\n\n", b"\n")),
    ("an API that has no event names", chat_bytes(b"data: ", b"event: chunk\ndata: ")),
    ("the last event is not [DONE]", chat_bytes(b"data: [DONE]\n\n", b"")),
    ("[DONE] stands where it must not", chat_bytes(b"data: [DONE]\n\n", b"data: [DONE]\n\ndata: [DONE]\n\n")),
    ("is not JSON in UTF-8", chat_bytes(b'{"id"', b'"id"')),
    ("must be an object", chat_bytes(b"data: {", b"data: []\n\ndata: {")),
    ("has a key twice", chat_bytes(b'{"id"', b'{"id": "chatcmpl-1", "id"')),
    ("NaN is not JSON", chat_bytes(b'"created": 1795266655', b'"created": NaN')),
    ("the stream is empty", lambda: openai_chat.check_stream(b"", {})),
    ("is not JSON in UTF-8", lambda: openai_chat.check_whole(b'{"a": "\xff"}', {})),
    ("[DONE] in an API that has none", lambda: llama_cpp.check_stream(sse_done(samples.llama_stream()[1]), {})),
    ("no `event:` line", named_bytes(b"event: ping\n", b"")),
    ("carries data of type 'ping'", named_bytes(b"event: ping\n", b"event: pong\n")),
    ("must be the one first line", named_bytes(b"event: ping\n", b"event: ping\nevent: ping\n")),
    ("has no `data:` line", named_bytes(b'data: {"type": "ping"}\n', b"")),
    ("[DONE] in an API that ends with an event of its own",
     named_bytes(b"event: ping\n", b"data: [DONE]\n\nevent: ping\n")),
    ("the stream is empty", lambda: ollama.check_stream(b"", {})),
    ("a blank line in NDJSON", line_bytes(b"\n", b"\n\n")),
    ("does not end with a line feed", line_bytes(ndjson(samples.ollama_generate()[1]), b"{}")),
    ("one JSON value", lambda: ollama.check_whole(ndjson(samples.ollama_generate()[1]), {"prompt": "a"})),
    ("the status is 404, not 400", refusal("openai", 404, openai_refusal(), asked_status=400)),
    ("200 is no refusal", refusal("openai", 200, openai_refusal())),
    ("content type is 'text/plain'", refusal("openai", 400, openai_refusal(), {"Content-Type": "text/plain"})),
    ("Retry-After in whole seconds", refusal("openai", 503, openai_refusal(), {"Content-Type": "application/json"})),
    ("Retry-After in whole seconds", refusal("openai", 429, openai_refusal(), {**ERROR_HEADERS, "Retry-After": "1.5"})),
    ("`error` must be an object", refusal("openai", 400, {"error": "no"})),
    ("`type` must be 'not_found_error'", refusal("anthropic", 404, anthropic_refusal())),
    ("`request_id` must not be empty",
     refusal("anthropic", 404, {**anthropic_refusal("not_found_error"), "request_id": ""})),
    ("`type` must be 'error'", refusal("anthropic", 404, {**anthropic_refusal(), "type": "x"})),
    ("/slots is a list", lambda: llama_cpp.check_slots(b"{}")),
    ("must be an object", refusal("ollama", 404, ["no"])),
    ("has no `error`", refusal("llama_cpp", 404, {"message": "no"})),
    ("is not JSON", line_bytes(b"{", b"")),
    ("`error` must be a string", refusal("ollama", 404, openai_refusal())),
    ("`code` must be 404", refusal("llama_cpp", 404, {"error": {"code": 400, "message": "no", "type": "x"}})),
    ("the status is 413, not 400", overflow("openai", openai_refusal(), 413)),
    ("`per minute` in the text", overflow("openai", openai_refusal(OVERFLOW + " per minute"))),
    ("not the words that clients look for", overflow("openai", openai_refusal("too long"))),
    ("do not exceed", overflow("openai", openai_refusal(OVERFLOW.replace("40000", "30000")))),
    ("must be context_length_exceeded", overflow("openai", openai_refusal(code=None))),
    ("must be invalid_request_error", overflow("openai", openai_refusal(type="server_error"))),
    ("`param` must be 'messages'", overflow("openai", openai_refusal(param=None))),
    ("not the words that clients look for", overflow("anthropic", anthropic_refusal(message=OVERFLOW))),
    ("the status is 500", chat_answer(status=500)),
    ("the content type is 'application/json'", chat_answer(**{"Content-Type": "application/json"})),
    ("Cache-Control", chat_answer(**{"Cache-Control": "private"})),
    ("Content-Length", chat_answer(**{"Content-Length": "7"})),
    ("compressed", chat_answer(**{"Content-Encoding": "gzip"})),
    ("the content type is 'text/plain'", answered(
        "openai_chat", samples.chat_whole()[0], "chat_whole", **{"Content-Type": "text/plain"})),
    ("a meaning into the name mesh-gpt-5", lambda: models.check_safe_names(["mesh-gpt-5"])),
    ("no event came at all", lambda: pace.check([(0.0, b": wait\n\n")])),
    ("the opening event came 3.0 s", lambda: pace.check([(3.0, b"data: {}\n\n")])),
    ("16.0 s without an event",
     lambda: pace.check([(0.0, b"data: {}\n\n"), (8.0, b": x\n\n"), (16.0, b"data: {}\n\n")])),
]


# --- running them


def verdict(call):
    """The Broken that a call raises, or None; anything else is the validator's own fault."""
    try:
        call()
    except Broken as broken:
        return broken
    return None


def check_of(case, edit=None):
    """A call that checks the sample, changed by `edit`."""
    asked, value = copy.deepcopy(getattr(samples, case)())
    if edit:
        edit(asked, value)
    write, check = CASES[case]
    return lambda: check(write(value), asked)


def every_good_sample_passes():
    for case in CASES:
        broken = verdict(check_of(case))
        assert broken is None, f"{case}: {broken}"
    for i, call in enumerate(GOOD_CALLS):
        broken = verdict(call)
        assert broken is None, f"call {i}: {broken}"


def every_sample_has_mutants():
    assert set(MUTANTS) == set(CASES), set(MUTANTS) ^ set(CASES)


def every_broken_rule_is_named():
    wrong = [(where, words, str(broken)) for where, words, broken in mutant_verdicts() if words not in str(broken)]
    assert not wrong, "\n".join(f"{where}: wanted {words!r}, got {got}" for where, words, got in wrong)


def mutant_verdicts():
    for case, mutants in MUTANTS.items():
        for i, (words, edit) in enumerate(mutants):
            yield f"{case} {i}", words, verdict(check_of(case, edit))
    for i, (words, call) in enumerate(BROKEN_CALLS):
        yield f"call {i}", words, verdict(call)


def type_mutants(case):
    """Each member of the sample in turn missing, and of another type."""
    for path in paths(getattr(samples, case)()[1]):
        yield drop(*path)
        for other in (None, 7, "seven", [7], {"seven": 7}, True, -1.5):
            yield put(*path, other)


def paths(value, path=()):
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from paths(item, (*path, key))


def a_wrong_type_never_crashes_a_validator():
    """It passes, where the member is nobody's need, or it is Broken: nothing else is raised."""
    crashes = {f"{case}: {crash(check_of(case, edit))}" for case in CASES for edit in type_mutants(case)
               if crash(check_of(case, edit))}
    assert not crashes, "\n".join(sorted(crashes))


def crash(call):
    """Where a call raises what is not Broken, or None."""
    try:
        verdict(call)
    except Exception as error:  # whatever it is
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{pathlib.Path(frame.filename).name}:{frame.lineno} {error!r}"
    return None


def rule_lines():
    """Each call of a function of rules.py in a validator, and each must() in rules.py: {(file, line): last line}."""
    found = {}
    for path in VALIDATORS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and getattr(node.func, "id", None)
            if called == "must" if path.name == "rules.py" else called in RULES:
                found[path.name, node.lineno] = node.end_lineno
    return found


def type_verdicts():
    for case in CASES:
        for edit in type_mutants(case):
            yield verdict(check_of(case, edit))


def other_bodies():
    """Bodies that are nothing of what was asked for."""
    for case, (_, check) in CASES.items():
        for raw in (b"[]", b"{}", b"{", b"data: {}\n\n", b"event: x\ndata: {}\n\n"):
            yield verdict(lambda: check(raw, samples_asked(case)))


def samples_asked(case):
    return getattr(samples, case)()[0]


def lines_broken(broken):
    """Where a Broken came through."""
    return {(pathlib.Path(frame.filename).name, frame.lineno) for frame in traceback.extract_tb(broken.__traceback__)}


def no_rule_is_one_that_cannot_fail():
    lines = rule_lines()
    hit = set()
    for broken in (*(broken for _, _, broken in mutant_verdicts()), *type_verdicts(), *other_bodies()):
        hit |= lines_broken(broken) if broken else set()
    never = [f"{name}:{line}" for (name, line), end in sorted(lines.items())
             if not any((name, at) in hit for at in range(line, end + 1))]
    assert len(lines) > 200 and not never, never


if __name__ == "__main__":
    TESTS = (every_good_sample_passes, every_sample_has_mutants, every_broken_rule_is_named,
             a_wrong_type_never_crashes_a_validator, no_rule_is_one_that_cannot_fail)
    print(f"1..{len(TESTS)}")
    sys.exit(not all([mesh.run_one(number, test) for number, test in enumerate(TESTS, 1)]))
