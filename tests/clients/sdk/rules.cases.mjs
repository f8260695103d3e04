// What clients need that the SDKs do not show of themselves: bytes on the wire, and one rule for all APIs.
import assert from "node:assert/strict";
import { anthropic, bed, engineRequests, ollama, openai } from "./bed.mjs";
import { test } from "./cases.mjs";

const QUICK_MS = 1000;
const last = () => engineRequests().at(-1);
const user = (content, more = {}) => [{ role: "user", content, ...more }];
const post = (path, body, headers = {}) =>
    fetch(`${bed.loopback}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({ model: "mesh-scripted", ...body }),
    });

async function answerOf(path, body, headers) {
    const response = await post(path, body, headers);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text);
}

async function streamOf(path, body, headers) {
    const response = await post(path, { stream: true, ...body }, headers);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return text;
}

// The events of a stream of server-sent events: [{name, data}].
const eventsOf = (text) =>
    text.split("\n\n").slice(0, -1).map((block) => {
        const lines = block.split("\n");
        const value = (key) => lines.find((line) => line.startsWith(`${key}: `))?.slice(key.length + 2);
        return { name: value("event"), data: JSON.parse(value("data")) };
    });

// --- what is accepted

const schema = { type: "object", properties: { path: { type: "string" } } };
const flat = { type: "function", name: "read_file", description: "Reads", parameters: schema };
const nested = { type: "function", function: { name: "read_file", description: "Reads", parameters: schema } };
const x_new = { deep: [1, "two", null] };

test("rules: unknown fields are accepted at every level of a chat", async () => {
    const answer = await answerOf("/v1/chat/completions", {
        x_new,
        messages: [
            { role: "system", content: "rules", x_new },
            ...user([{ type: "text", text: "before", x_new }], { x_new }),
            { role: "assistant", content: null, x_new, tool_calls: [{ id: "c1", type: "function", x_new, function: { name: "read_file", arguments: "{}", x_new } }] },
            { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "x", x_new }], x_new },
            ...user("say x", { x_new }),
        ],
        tools: [{ ...nested, x_new, function: { ...nested.function, x_new } }],
        stream_options: { x_new },
    });
    assert.equal(answer.choices[0].message.role, "assistant");
    assert.equal(last().body.messages.length, 5);
});

test("rules: unknown fields are accepted at every level of a response", async () => {
    const answer = await answerOf("/v1/responses", {
        x_new,
        client_metadata: { a: "b" },
        input: [
            { type: "message", role: "developer", content: [{ type: "input_text", text: "rules", x_new }], x_new },
            { type: "function_call", call_id: "c1", name: "read_file", arguments: "{}", x_new },
            { type: "function_call_output", call_id: "c1", output: "x", x_new },
            { role: "user", content: "say x", x_new },
        ],
        tools: [{ ...flat, x_new }],
        reasoning: { effort: "low", x_new },
        text: { verbosity: "low", x_new },
        stream_options: { x_new },
    });
    assert.equal(answer.status, "completed");
});

test("rules: unknown fields are accepted at every level of a message", async () => {
    const answer = await answerOf("/v1/messages", {
        x_new,
        max_tokens: 50,
        system: [{ type: "text", text: "rules", x_new }],
        messages: [
            ...user([{ type: "text", text: "before", x_new }], { x_new }),
            { role: "assistant", content: [{ type: "tool_use", id: "t1", name: "read_file", input: {}, x_new }], x_new },
            ...user([{ type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "x", x_new }], x_new }]),
            ...user("say x"),
        ],
        tools: [{ name: "read_file", input_schema: schema, x_new }],
        thinking: { type: "adaptive", x_new },
        output_config: { effort: "low", x_new },
    });
    assert.equal(answer.stop_reason, "end_turn");
});

test("rules: unknown fields are accepted at every level of Ollama's chat", async () => {
    const answer = await answerOf("/api/chat", {
        x_new,
        stream: false,
        truncate: false,
        shift: false,
        think: false,
        messages: [...user("before", { x_new }), { role: "assistant", content: "", tool_calls: [{ x_new, function: { name: "read_file", arguments: {}, x_new } }], x_new }, ...user("say x")],
        tools: [{ ...nested, x_new, function: { ...nested.function, x_new } }],
        options: { x_new, num_gpu: 99 },
    });
    assert.equal(answer.message.content, "x it is");
});

test("rules: a tool of an unknown type is left out wherever it stands", async () => {
    const strange = { type: "image_generation_v9", name: "paint" };
    const space = { type: "namespace", name: "files", description: "d", tools: [strange, { ...flat, name: "stat" }] };
    const sent = () => last().body.tools.map((tool) => tool.function.name);
    await answerOf("/v1/chat/completions", { messages: user("say x"), tools: [strange, nested, space] });
    assert.deepEqual(sent(), ["read_file", "files__stat"]);
    await answerOf("/v1/responses", { input: "say x", tools: [strange, flat, space] });
    assert.deepEqual(sent(), ["read_file", "files__stat"]);
    await answerOf("/v1/messages", { max_tokens: 50, messages: user("say x"), tools: [strange, { name: "read_file", input_schema: schema }] });
    assert.deepEqual(sent(), ["read_file"]);
    await answerOf("/api/chat", { stream: false, messages: user("say x"), tools: [strange, nested] });
    assert.deepEqual(sent(), ["read_file"]);
});

test("rules: instructions in the middle of a response's items stay in their place", async () => {
    await answerOf("/v1/responses", {
        input: [
            { role: "user", content: "first" },
            { role: "assistant", content: "yes" },
            { role: "developer", content: "mid rule" },
            { role: "user", content: "say x" },
        ],
    });
    const { messages } = last().body;
    assert.deepEqual(messages.map((message) => message.role), ["user", "assistant", "user"]);
    assert.match(messages[2].content, /^mid rule[^]*say x$/);
});

test("rules: a result that is no text is taken", async () => {
    const answer = await answerOf("/v1/responses", {
        input: [
            { role: "user", content: "look" },
            { type: "function_call", call_id: "c1", name: "read_file", arguments: "{}" },
            { type: "function_call_output", call_id: "c1", output: [{ type: "input_text", text: "inside" }, { type: "other", x: 1 }] },
        ],
        tools: [flat],
    });
    assert.match(answer.output[0].content[0].text, /the file says inside/);
});

test("rules: a mode that is asked for is not changed by what a prompt says", async () => {
    const markers = [
        "# Current Mode\n<slug>code</slug>",
        '<user_input mode="plan">x</user_input>',
        "# Plan Mode - System Reminder",
        "Plan mode is active",
        "You are in Ask mode",
        '<context name="planMode">',
    ];
    for (const [model, mode] of [["mesh-code", "code"], ["mesh-ask", "ask"]]) {
        const { response } = await openai().chat.completions
            .create({ model, max_tokens: 1, messages: [{ role: "system", content: markers.join("\n") }, ...user(markers.join("\n"))] })
            .withResponse();
        assert.equal(response.headers.get("x-modemesh-mode"), mode);
    }
});

// --- what is found without a key, and at once

const lists = {
    "/v1/models": (found) => found.data.length,
    "/models": (found) => found.data.length,
    "/v1/model/info": (found) => found.data.some((entry) => entry.model_name === "mesh-ask" && entry.model_info.max_input_tokens > 0),
    "/model/info": (found) => found.data.length,
    "/api/v0/models": (found) => found.data.length,
    "/api/tags": (found) => found.models.length,
    "/api/ps": (found) => found.models.length,
    "/api/version": (found) => found.version,
    "/props": (found) => found.total_slots,
    "/props?model=mesh-code": (found) => found.model_alias === "mesh-code",
    "/slots": (found) => found.length,
};

test("rules: what clients look for on this machine needs no key", async () => {
    for (const [path, holds] of Object.entries(lists)) {
        const response = await fetch(`${bed.loopback}${path}`);
        assert.equal(response.status, 200, path);
        assert.ok(holds(await response.json()), path);
    }
    assert.equal((await post("/api/show", {})).status, 200);
});

test("rules: the same from elsewhere needs one", async () => {
    for (const path of ["/v1/models", "/api/tags", "/props"]) {
        assert.equal((await fetch(`${bed.url}${path}`)).status, 401, path);
        assert.equal((await fetch(`${bed.url}${path}`, { headers: { "x-api-key": bed.key } })).status, 200, path);
    }
});

test("rules: HEAD and paths that are not there are answered at once", async () => {
    const asked = [
        ["HEAD", "/", 200], ["HEAD", "/health", 200], ["HEAD", "/v1/models", 200], ["HEAD", "/api/version", 200],
        ["HEAD", "/api/hello", 404], ["GET", "/v1/nothing", 404], ["POST", "/nothing", 404], ["GET", "/api/nothing", 404],
    ];
    for (const [method, path, status] of asked) {
        const begin = performance.now();
        const response = await fetch(`${bed.loopback}${path}`, { method });
        const text = await response.text();
        assert.equal(response.status, status, path);
        assert.ok(method !== "HEAD" || text === "", path);
        assert.ok(performance.now() - begin < QUICK_MS, path);
    }
});

test("rules: names that begin with claude are for its clients only", async () => {
    const ids = [];
    for await (const { id } of openai().models.list()) ids.push(id);
    assert.ok(ids.includes("mesh-ask") && ids.every((id) => !id.startsWith("claude")), ids.join());
    const theirs = [];
    for await (const { id } of anthropic().models.list()) theirs.push(id);
    assert.ok(theirs.includes("claude-mesh-ask") && theirs.includes("claude-mesh-auto"), theirs.join());
});

test("rules: Anthropic's clients get models by pages", async () => {
    const first = await anthropic().models.list({ limit: 2 });
    assert.equal(first.data.length, 2);
    assert.equal(first.has_more, true);
    assert.equal(first.last_id, first.data[1].id);
    const { data } = await first.getNextPage();
    assert.ok(data.length > 0 && data.every(({ id }) => id !== first.data[0].id && id !== first.last_id));
});

test("rules: modes have plain names", async () => {
    const ids = [];
    for await (const { id, modemesh } of openai().models.list()) if (modemesh.kind === "mode") ids.push(id);
    assert.ok(ids.length > 5);
    for (const id of ids) assert.match(id, /^mesh-[a-z0-9-]+$/);
});

test("rules: autocomplete is listed once by a name that tells the model's family", async () => {
    const ids = [];
    for await (const { id } of openai().models.list()) if (id.startsWith("mesh-autocomplete-")) ids.push(id);
    assert.deepEqual(ids, ["mesh-autocomplete-demo-infiller"]);
});

test("rules: autocomplete answers to a name that tells the model's family", async () => {
    const { response } = await openai()
        .completions.create({ model: "mesh-autocomplete-demo-infiller", prompt: "int a", suffix: ";", max_tokens: 2 })
        .withResponse();
    assert.equal(response.headers.get("x-modemesh-model"), "demo-infiller");
});

// --- how streams go

test("rules: a chat's stream ends with its usage and then [DONE]", async () => {
    const text = await streamOf("/v1/chat/completions", { messages: user("say x"), stream_options: { include_usage: true } });
    const blocks = text.split("\n\n");
    assert.equal(blocks.pop(), "");
    assert.equal(blocks.pop(), "data: [DONE]");
    const [finish, usage] = blocks.slice(-2).map((block) => JSON.parse(block.replace(/^data: /, "")));
    assert.equal(finish.choices[0].finish_reason, "stop");
    assert.deepEqual(usage.choices, []);
    assert.ok(usage.usage.total_tokens > 0);
});

test("rules: every event of a message is named in a line of its own", async () => {
    const events = eventsOf(await streamOf("/v1/messages", { max_tokens: 50, messages: user("think about cats") }));
    assert.ok(events.length > 6);
    for (const { name, data } of events) assert.equal(name, data.type);
});

// For each item of a response the kinds of its events, one after another.
async function itemsOf(body) {
    const items = new Map();
    for (const { data } of eventsOf(await streamOf("/v1/responses", body))) {
        if (data.output_index === undefined) continue;
        const kinds = items.get(data.output_index) ?? [];
        if (kinds.at(-1) !== data.type) kinds.push(data.type);
        items.set(data.output_index, kinds);
    }
    return [...items.values()].map((kinds) => kinds.map((kind) => kind.replace("response.", "")));
}
const message = ["output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done", "output_item.done"];
const call = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"];

test("rules: each item of a response has its events in order", async () => {
    assert.deepEqual(await itemsOf({ input: "say x" }), [message]);
    assert.deepEqual(await itemsOf({ input: "read notes.txt", tools: [flat] }), [message, call]);
    assert.deepEqual(await itemsOf({ input: "read both", tools: [flat] }), [call, call]);
    const [thoughts] = await itemsOf({ input: "think about cats" });
    assert.deepEqual([thoughts[0], thoughts.at(-1)], ["output_item.added", "output_item.done"]);
});

test("rules: the kinds of a message's blocks are streamed each in its own deltas", async () => {
    const kinds = async (content, more) => {
        const events = eventsOf(await streamOf("/v1/messages", { max_tokens: 50, messages: user(content), ...more }));
        const deltas = events.filter(({ name }) => name === "content_block_delta").map(({ data }) => data.delta.type);
        return deltas.filter((kind, i) => kind !== deltas[i - 1]);
    };
    const tools = [{ name: "read_file", input_schema: schema }];
    assert.deepEqual(await kinds("think about cats"), ["thinking_delta", "signature_delta", "text_delta"]);
    assert.deepEqual(await kinds("read notes.txt", { tools }), ["text_delta", "input_json_delta"]);
});

// --- how they end that cannot end well

const streamed = {
    message: (content) => anthropic().messages.stream({ model: "mesh-scripted", max_tokens: 50, messages: user(content) }).finalMessage(),
    response: (content) => openai().responses.stream({ model: "mesh-scripted", input: content }).finalResponse(),
    ollama: async (content) => {
        let end;
        for await (const part of await ollama().chat({ model: "mesh-scripted", messages: user(content), stream: true })) end = part;
        assert.ok(end.done, "it ended without its last line");
    },
};

test("rules: a message without a stop reason is an error", async () => {
    await assert.rejects(streamed.message("no finish"));
});

test("rules: a response without an end is an error", async () => {
    const events = eventsOf(await streamOf("/v1/responses", { input: "no finish" }));
    assert.equal(events.at(-1).name, "response.failed");
});

test("rules: Ollama's answer without a reason is an error", async () => {
    await assert.rejects(streamed.ollama("no finish"), /engine/);
});

test("rules: an answer that is not streamed has a reason too, or is an error", async () => {
    for (const [path, body] of [
        ["/v1/chat/completions", { messages: user("no finish") }],
        ["/v1/responses", { input: "no finish" }],
        ["/v1/messages", { max_tokens: 50, messages: user("no finish") }],
        ["/api/chat", { stream: false, messages: user("no finish") }],
    ])
        assert.equal((await post(path, body)).status, 502, path);
});

test("rules: a message whose engine is lost ends with an error event", async () => {
    const events = eventsOf(await streamOf("/v1/messages", { max_tokens: 50, messages: user("cut") }));
    assert.equal(events.at(-1).name, "error");
    assert.equal(events.at(-1).data.type, "error");
    assert.equal(typeof events.at(-1).data.error.message, "string");
});

test("rules: a response whose engine is lost ends as failed", async () => {
    const events = eventsOf(await streamOf("/v1/responses", { input: "cut" }));
    assert.equal(events.at(-1).name, "response.failed");
    assert.equal(events.at(-1).data.response.status, "failed");
});

test("rules: a chat whose engine is lost ends with an error and no [DONE]", async () => {
    const text = await streamOf("/v1/chat/completions", { messages: user("cut") });
    const end = text.trimEnd().split("\n\n").at(-1);
    const { error } = JSON.parse(end.replace(/^data: /, ""));
    assert.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"]);
});

test("rules: Ollama's answer whose engine is lost ends with an error line", async () => {
    const lines = (await streamOf("/api/chat", { messages: user("cut") })).trimEnd().split("\n");
    assert.deepEqual(Object.keys(JSON.parse(lines.at(-1))), ["error"]);
});

test("rules: a limit is told before a stream begins", async () => {
    let response;
    for (let i = 0; i < 3 && response?.status !== 429; i++) {
        response = await fetch(`${bed.url}/v1/chat/completions`, {
            method: "POST",
            headers: { Authorization: `Bearer ${bed.slow_key}` },
            body: JSON.stringify({ model: "mesh-scripted", stream: true, messages: user("say x") }),
        });
        await response.text();
    }
    assert.equal(response.status, 429);
    assert.match(response.headers.get("retry-after"), /^[1-9]\d*$/);
    assert.match(response.headers.get("content-type"), /^application\/json/);
});
