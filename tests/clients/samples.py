"""Good answers of each API, made by hand for test_validators.py: what the validators must let pass.

Each function returns (asked, value): the request, and the answer as JSON (a list of events where it streams)."""

SCHEMA = {"type": "object"}
TOOLS = [{"type": "function", "function": {"name": word, "parameters": SCHEMA}} for word in ("read", "write")]
FLAT_TOOLS = [{"type": "function", "name": word, "parameters": SCHEMA} for word in ("read", "write")]
ANTHROPIC_TOOLS = [{"name": word, "input_schema": SCHEMA} for word in ("read", "write")]
TIME = "2026-11-21T10:00:00Z"
MODEL = "mesh-code"


# --- OpenAI chat


def chunk(*choices, kind="chat.completion.chunk", **more):
    return {"id": "chatcmpl-1", "object": kind, "created": 1795266655, "model": MODEL, "choices": list(choices), **more}


def delta(finish=None, index=0, logprobs=None, **said):
    return {"index": index, "delta": said, "logprobs": logprobs, "finish_reason": finish}


def usage(prompt=9, completion=4):
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 2}}


def piece(index, arguments, id=None, name=None):
    opened = {"id": id, "type": "function"} if id else {}
    return {"index": index, **opened, "function": {**({"name": name} if name else {}), "arguments": arguments}}


def chat_text():
    asked = {"messages": [], "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 4,
             "stop": ["END"]}
    return asked, [
        chunk(delta(role="assistant", content="")),
        chunk(delta(reasoning_content="Think")),
        chunk(delta(content="")),
        chunk(delta(reasoning_content=" hard.")),
        chunk(delta(content="Hel")),
        chunk(delta(content="lo")),
        chunk(delta(finish="stop")),
        chunk(usage=usage()),
    ]


def chat_tools():
    return {"messages": [], "stream": True, "tools": TOOLS}, [
        chunk(delta(role="assistant", content=None)),
        chunk(delta(content="I look.")),
        chunk(delta(tool_calls=[piece(0, "", "call_1", "read")])),
        chunk(delta(tool_calls=[piece(0, '{"path":')])),
        chunk(delta(tool_calls=[piece(0, '"a"}')])),
        chunk(delta(tool_calls=[piece(1, '{"path":"b"}', "call_2", "write")])),
        chunk(delta(finish="tool_calls")),
    ]


def logprob(word):
    token = {"token": word, "logprob": -0.5, "bytes": list(word.encode())}
    return {**token, "top_logprobs": [dict(token)]}


def chat_two():
    """Two choices with logprobs, as JSON."""
    asked = {"messages": [], "stream": True, "n": 2, "logprobs": True, "top_logprobs": 1,
             "response_format": {"type": "json_object"}}
    start = [chunk(delta(index=i, role="assistant", content="")) for i in (0, 1)]
    said = [chunk(delta(index=i, content="{}", logprobs={"content": [logprob("{}")]})) for i in (0, 1)]
    return asked, start + said + [chunk(delta("stop", index=i)) for i in (0, 1)]


def chat_whole():
    message = {"role": "assistant", "content": "Hello", "reasoning_content": "Think hard."}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {"messages": [], "stop": "END"}, chunk(choice, kind="chat.completion", usage=usage())


def chat_whole_tools():
    call = {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": '{"path":"a"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    asked = {"messages": [], "tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "read"}},
             "parallel_tool_calls": False}
    return asked, chunk(choice, kind="chat.completion", usage=usage())


OPENAI_ERROR = {"message": "the node went away", "type": "server_error", "param": None, "code": "node_lost"}


def chat_failed():
    return chat_text()[0], [*chat_text()[1][:6], {"error": OPENAI_ERROR}]


# --- OpenAI completions


def said(text, finish=None, index=0, logprobs=None):
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}


def completions():
    asked = {"prompt": "a", "stream": True, "stream_options": {"include_usage": True}, "stop": "END"}
    answer = [said("Hel"), said("lo"), said("", "stop")]
    return asked, [*(chunk(choice, kind="text_completion") for choice in answer),
                   chunk(kind="text_completion", usage=usage())]


def completions_whole():
    logprobs = {"tokens": ["Hello"], "token_logprobs": [-0.5], "top_logprobs": [None], "text_offset": [0]}
    choices = [said("Hello", "stop", 0, logprobs), said("Hello", "length", 1, {"content": [logprob("Hello")]})]
    asked = {"prompt": ["a", "b"], "logprobs": 1, "stop": ["END"]}
    return asked, chunk(*choices, kind="text_completion", usage=usage())


def completions_failed():
    return {"prompt": "a", "stream": True}, [chunk(said("Hel"), kind="text_completion"), {"error": OPENAI_ERROR}]


# --- OpenAI embeddings and rerank


def embeddings(form="float"):
    vectors = {"float": [[0.6, 0.8], [1.0, 0.0]], "base64": ["mpkZP83MTD8=", "AACAPwAAAAA="]}[form]
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    asked = {"input": ["a", "b"], "encoding_format": form, "dimensions": 2}
    return asked, {"object": "list", "data": data, "model": MODEL, "usage": {"prompt_tokens": 2, "total_tokens": 2}}


def embeddings_base64():
    return embeddings("base64")


def rerank():
    results = [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": -0.1}]
    return {"query": "q", "documents": ["a", "b", "c"], "top_n": 2}, {
        "model": MODEL, "results": results, "usage": {"prompt_tokens": 6, "total_tokens": 6}}


# --- OpenAI responses


def response(status, output=(), **more):
    always = {"error": None, "incomplete_details": None, "instructions": None, "metadata": {},
              "parallel_tool_calls": True,
              "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0}
    return {"id": "resp_1", "object": "response", "created_at": 1795266655, "status": status, "model": MODEL,
            "output": list(output), "previous_response_id": "resp_0", **always, **more}


def part(text):
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(status, *texts):
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status,
            "content": [part(t) for t in texts]}


def reasoning_item(*texts, key="summary", kind="summary_text"):
    return {"id": "rs_1", "type": "reasoning", "summary": [], key: [{"type": kind, "text": text} for text in texts]}


def call_item(status, arguments):
    return {"id": "fc_1", "type": "function_call", "status": status, "call_id": "call_1", "name": "read",
            "arguments": arguments}


def token_usage():
    return {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 3}, "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 13}


def number(events):
    return [{"type": f"response.{kind}", "sequence_number": i, **rest} for i, (kind, rest) in enumerate(events)]


def reasoning_events(index, key, kind, stem, by):
    """A reasoning item of one part: `stem` names the events of the part and of its text."""
    at = {"item_id": "rs_1", "output_index": index}
    inner = {**at, by: 0}
    part_stem = "content_part" if by == "content_index" else "reasoning_summary_part"
    return [
        ("output_item.added", {"output_index": index, "item": reasoning_item(key=key)}),
        (f"{part_stem}.added", {**inner, "part": {"type": kind, "text": ""}}),
        (f"{stem}.delta", {**inner, "delta": "Think"}),
        (f"{stem}.done", {**inner, "text": "Think"}),
        (f"{part_stem}.done", {**inner, "part": {"type": kind, "text": "Think"}}),
        ("output_item.done", {"output_index": index, "item": reasoning_item("Think", key=key, kind=kind)}),
    ]


def message_events(index):
    at = {"item_id": "msg_1", "output_index": index, "content_index": 0}
    return [
        ("output_item.added", {"output_index": index, "item": message_item("in_progress")}),
        ("content_part.added", {**at, "part": part("")}),
        ("output_text.delta", {**at, "delta": "Hel", "logprobs": []}),
        ("output_text.delta", {**at, "delta": "lo", "logprobs": []}),
        ("output_text.done", {**at, "text": "Hello", "logprobs": []}),
        ("content_part.done", {**at, "part": part("Hello")}),
        ("output_item.done", {"output_index": index, "item": message_item("completed", "Hello")}),
    ]


def call_events(index):
    at = {"item_id": "fc_1", "output_index": index}
    return [
        ("output_item.added", {"output_index": index, "item": call_item("in_progress", "")}),
        ("function_call_arguments.delta", {**at, "delta": '{"path":'}),
        ("function_call_arguments.delta", {**at, "delta": '"a"}'}),
        ("function_call_arguments.done", {**at, "name": "read", "arguments": '{"path":"a"}'}),
        ("output_item.done", {"output_index": index, "item": call_item("completed", '{"path":"a"}')}),
    ]


OPENING = [("created", {"response": response("in_progress")}), ("in_progress", {"response": response("in_progress")})]


def responses():
    summary = reasoning_events(0, "summary", "summary_text", "reasoning_summary_text", "summary_index")
    output = [reasoning_item("Think"), message_item("completed", "Hello"), call_item("completed", '{"path":"a"}')]
    asked = {"input": "a", "stream": True, "tools": FLAT_TOOLS, "previous_response_id": "resp_0",
             "max_output_tokens": 4}
    end = response("completed", output, usage=token_usage())
    heartbeat = ("in_progress", {"response": response("in_progress")})
    return asked, number([*OPENING, *summary, heartbeat, *message_events(1), *call_events(2),
                          ("completed", {"response": end})])


def responses_parallel():
    """A call of a function and one of a custom tool, which grow side by side, and a large answer's sign of life."""
    custom = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_2", "name": "patch"}
    one, other = {"item_id": "fc_1", "output_index": 0}, {"item_id": "ctc_1", "output_index": 1}
    output = [call_item("completed", "{}"), {**custom, "status": "completed", "input": "any text"}]
    events = [
        ("output_item.added", {"output_index": 0, "item": call_item("in_progress", "")}),
        ("output_item.added", {"output_index": 1, "item": {**custom, "status": "in_progress", "input": ""}}),
        ("function_call_arguments.delta", {**one, "delta": "{"}),
        ("custom_tool_call_input.delta", {**other, "delta": "any text"}),
        ("function_call_arguments.delta", {**one, "delta": "}"}),
        ("function_call_arguments.done", {**one, "arguments": "{}"}),
        ("output_item.done", {"output_index": 0, "item": output[0]}),
        ("custom_tool_call_input.done", {**other, "input": "any text"}),
        ("output_item.done", {"output_index": 1, "item": output[1]}),
        ("completed", {"response": response("completed", output, usage=token_usage())}),
    ]
    asked = {"input": "a", "stream": True, "tools": [*FLAT_TOOLS, {"type": "custom", "name": "patch"}]}
    found = number([*OPENING, *events])
    found.insert(2, {"type": "keepalive"})
    return asked, [{**event, "sequence_number": i} for i, event in enumerate(found)]


def responses_reasoning_text():
    """The other form of reasoning, cut at the token limit."""
    thought = reasoning_events(0, "content", "reasoning_text", "reasoning_text", "content_index")
    output = [reasoning_item("Think", key="content", kind="reasoning_text")]
    end = response("incomplete", output, usage=token_usage(), incomplete_details={"reason": "max_output_tokens"})
    return {"input": "a", "stream": True}, number([*OPENING, *thought, ("incomplete", {"response": end})])


def responses_failed():
    end = response("failed", error={"code": "server_error", "message": "the node went away"})
    return {"input": "a", "stream": True}, number([*OPENING, *message_events(0)[:3], ("failed", {"response": end})])


def responses_whole():
    namespace = {"type": "namespace", "name": "files", "tools": FLAT_TOOLS}
    output = [message_item("completed", "Hello"), call_item("completed", '{"path":"a"}')]
    return {"input": "a", "tools": [namespace, {"type": "web_search"}]}, response("completed", output,
                                                                                  usage=token_usage())


def responses_state():
    return {"input": "a", "background": True}, response("queued")


# --- Anthropic


def message(content=(), stop=None, written=1):
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": list(content),
            "stop_reason": stop, "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": written, "cache_read_input_tokens": 3}}


def block(index, start, *deltas):
    return [{"type": "content_block_start", "index": index, "content_block": start},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index}]


def message_end(reason, **more):
    return [{"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None, **more},
             "usage": {"output_tokens": 4}}, {"type": "message_stop"}]


def anthropic_text():
    asked = {"messages": [], "stream": True, "max_tokens": 4, "stop_sequences": ["END"]}
    return asked, [
        {"type": "message_start", "message": message()},
        {"type": "ping"},
        *block(0, {"type": "thinking", "thinking": "", "signature": ""},
               {"type": "thinking_delta", "thinking": "Think"}, {"type": "signature_delta", "signature": "c2ln"}),
        *block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hel"},
               {"type": "text_delta", "text": "lo"}),
        *message_end("stop_sequence", stop_sequence="END"),
    ]


def anthropic_tools():
    asked = {"messages": [], "stream": True, "max_tokens": 9, "tools": ANTHROPIC_TOOLS, "tool_choice": {"type": "any"}}
    return asked, [
        {"type": "message_start", "message": message()},
        *block(0, {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}},
               {"type": "input_json_delta", "partial_json": '{"path":'},
               {"type": "input_json_delta", "partial_json": '"a"}'}),
        *block(1, {"type": "tool_use", "id": "toolu_2", "name": "write", "input": {}}),
        *message_end("tool_use"),
    ]


def anthropic_failed():
    error = {"type": "error", "error": {"type": "api_error", "message": "the node went away"}}
    return anthropic_text()[0], [*anthropic_text()[1][:9], error]


def anthropic_whole():
    content = [{"type": "thinking", "thinking": "Think", "signature": "c2ln"}, {"type": "text", "text": "Hello"},
               {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a"}}]
    asked = {"messages": [], "max_tokens": 9, "tools": ANTHROPIC_TOOLS,
             "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    return asked, message(content, "tool_use", 4)


def anthropic_count():
    return {"messages": []}, {"input_tokens": 9}


# --- Ollama

OLLAMA_COUNTS = {"total_duration": 9, "load_duration": 1, "prompt_eval_count": 9, "prompt_eval_duration": 4,
                 "eval_count": 4, "eval_duration": 4}
DETAILS = {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "939K",
           "quantization_level": "Q8_0"}
LISTED = {"name": MODEL, "model": MODEL, "size": 1001216, "digest": "0" * 64, "details": DETAILS}


def line(done=False, **said):
    return {"model": MODEL, "created_at": TIME, **said, "done": done}


def ollama_chat():
    call = {"function": {"name": "read", "arguments": {"path": "a"}}}
    asked = {"messages": [], "tools": TOOLS, "options": {"num_predict": 4}}
    return asked, [
        line(message={"role": "assistant", "content": "", "thinking": "Think"}),
        line(message={"role": "assistant", "content": "Hello"}),
        line(message={"role": "assistant", "content": "", "tool_calls": [call]}),
        line(True, message={"role": "assistant", "content": ""}, done_reason="stop", **OLLAMA_COUNTS),
    ]


def ollama_generate():
    return {"prompt": "a"}, [line(response="Hel"), line(response="lo"),
                             line(True, response="", done_reason="length", **OLLAMA_COUNTS)]


def ollama_failed():
    return {"prompt": "a"}, [line(response="Hel"), {"error": "the node went away"}]


def ollama_whole():
    return {"prompt": "a", "stream": False}, line(True, response="Hello", done_reason="stop", **OLLAMA_COUNTS)


def ollama_embed():
    counts = {key: OLLAMA_COUNTS[key] for key in ("total_duration", "load_duration", "prompt_eval_count")}
    return {"input": ["a", "b"]}, {"model": MODEL, "embeddings": [[0.6, 0.8], [1, 0]], **counts}


def ollama_embeddings():
    return {"prompt": "a"}, {"embedding": [0.6, 0.8]}


def ollama_tags():
    return {}, {"models": [{**LISTED, "modified_at": TIME}, {**LISTED, "name": "mesh-ask", "modified_at": TIME}]}


def ollama_ps():
    return {}, {"models": [{**LISTED, "expires_at": "2318-11-21T10:00:00.123456789+02:00", "size_vram": 0}]}


def ollama_show():
    info = {"general.architecture": "llama", "llama.context_length": 32768}
    return {"model": MODEL}, {
        "modelfile": "", "parameters": "num_ctx                        32768", "template": "{{ .Prompt }}{{ .Suffix }}",
        "details": DETAILS, "model_info": info, "capabilities": ["completion", "tools", "insert"]}


def ollama_version():
    return {}, {"version": "0.30.0"}


# --- llama.cpp


def llama_final():
    return {"content": "", "stop": True, "stop_type": "word", "stopping_word": "END", "model": MODEL,
            "tokens_predicted": 4,
            "tokens_evaluated": 9, "truncated": False,
            "timings": {"prompt_n": 9, "prompt_ms": 1.5, "predicted_n": 4, "predicted_ms": 1.5}}


def llama_stream():
    return {"prompt": "a", "stream": True, "n_predict": 4}, [
        {"content": "Hel", "stop": False}, {"content": "lo", "stop": False}, llama_final()]


def llama_failed():
    error = {"code": 500, "message": "the node went away", "type": "server_error"}
    return {"prompt": "a", "stream": True}, [{"content": "Hel", "stop": False}, {"error": error}]


def llama_whole():
    return {"prompt": "a"}, {**llama_final(), "content": "Hello"}


def llama_fields():
    return {"prompt": "a", "response_fields": ["content", "timings/prompt_n", "nothing"]}, {
        "content": "Hello", "timings/prompt_n": 9}


def llama_several():
    return {"prompt": "a", "n_cmpl": 2}, [llama_final(), llama_final()]


def llama_tokenize():
    return {"content": "Hello"}, {"tokens": [1, 2]}


def llama_pieces():
    return {"content": "Hello", "with_pieces": True}, {"tokens": [{"id": 1, "piece": "Hel"}, {"id": 2, "piece": [195]}]}


def llama_detokenize():
    return {"tokens": [1]}, {"content": "Hello"}


def llama_template():
    return {"messages": []}, {"prompt": "Hello"}


def llama_props():
    return {}, {"default_generation_settings": {"n_ctx": 32768}, "total_slots": 2, "model_path": "coder.gguf",
                "chat_template": "", "modalities": {"vision": False, "audio": False}}


def llama_slots():
    return {}, [{"id": 0, "n_ctx": 32768, "is_processing": False}]


def llama_health():
    return {}, {"status": "ok"}


# --- lists of models


def models_openai():
    entry = {"id": MODEL, "object": "model", "type": "model", "created": 1795266655, "owned_by": "modemesh",
             "display_name": "code", "created_at": TIME, "context_length": 32768, "max_model_len": 32768,
             "max_input_tokens": 32768, "max_tokens": 8192, "meta": {"n_ctx": 32768, "n_ctx_train": 32768}}
    return {}, {"object": "list", "data": [entry, {**entry, "id": "coder.gguf"}]}


def models_anthropic():
    data = [{"type": "model", "id": word, "display_name": "code", "created_at": TIME}
            for word in (MODEL, f"claude-{MODEL}")]
    return {}, {"data": data, "has_more": False, "first_id": MODEL, "last_id": f"claude-{MODEL}"}


def models_litellm():
    info = {"max_tokens": 8192, "max_input_tokens": 32768, "supports_vision": False, "supports_function_calling": True}
    return {}, {"data": [{"model_name": MODEL, "litellm_params": {"model": MODEL}, "model_info": info}]}


def models_lmstudio():
    return {}, {"data": [{"id": MODEL, "object": "model", "type": "llm", "state": "loaded",
                          "max_context_length": 32768}]}
