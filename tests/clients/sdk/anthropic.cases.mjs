// @anthropic-ai/sdk.
import assert from "node:assert/strict";
import { anthropic, bed, engineRequests, until } from "./bed.mjs";
import { test } from "./cases.mjs";

const last = () => engineRequests().at(-1);
const user = (content) => [{ role: "user", content }];
const create = (body, options) => anthropic().messages.create({ model: "mesh-scripted", max_tokens: 100, ...body }, options);
const readFile = {
    name: "read_file",
    description: "Reads a file",
    input_schema: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
};
async function collect(body) {
    const events = [];
    for await (const event of await create({ ...body, stream: true })) events.push(event);
    return events;
}
const fails = (promise, status) =>
    promise.then(
        () => assert.fail("it did not fail"),
        (error) => {
            assert.equal(error.status, status, error.message);
            return error;
        },
    );
const real = { model: "mesh-ask", messages: user(bed.question), temperature: 0 };

test("anthropic: a whole answer of the real engine", async () => {
    const answer = await create(real);
    assert.equal(answer.type, "message");
    assert.equal(answer.role, "assistant");
    assert.equal(answer.content[0].text, bed.answer);
    assert.equal(answer.stop_reason, "end_turn");
    assert.ok(answer.usage.output_tokens > 0);
});

test("anthropic: the events of a text come in order", async () => {
    const types = (await collect({ messages: user("say pong") })).map((event) => event.type);
    assert.deepEqual(types.filter((type, i) => type !== types[i - 1] && type !== "ping"), [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]);
});

test("anthropic: the pieces of a stream make the whole answer", async () => {
    const stream = anthropic().messages.stream({ max_tokens: 200, ...real });
    const pieces = [];
    stream.on("text", (piece) => pieces.push(piece));
    const message = await stream.finalMessage();
    assert.equal(message.content[0].text, bed.answer);
    assert.equal(pieces.join(""), bed.answer);
    assert.ok(pieces.length > 1);
});

test("anthropic: the last delta brings stop reason and usage", async () => {
    const events = await collect({ messages: user("usage") });
    const end = events.find((event) => event.type === "message_delta");
    assert.equal(end.delta.stop_reason, "end_turn");
    assert.equal(end.usage.output_tokens, 7);
});

test("anthropic: cached tokens are counted apart", async () => {
    const { usage } = await create({ messages: user("usage") });
    assert.equal(usage.input_tokens, 40);
    assert.equal(usage.cache_read_input_tokens, 60);
    assert.equal(usage.output_tokens, 7);
});

test("anthropic: max_tokens is a stop reason", async () => {
    const answer = await create({ ...real, max_tokens: 3 });
    assert.equal(answer.stop_reason, "max_tokens");
    assert.equal(answer.usage.output_tokens, 3);
});

test("anthropic: max_tokens is needed", async () => {
    const error = await fails(create({ messages: user("x"), max_tokens: undefined }), 400);
    assert.match(error.message, /max_tokens/);
});

test("anthropic: stop_sequences end the answer", async () => {
    const word = bed.answer.split(" ")[2];
    const answer = await create({ ...real, stop_sequences: [word] });
    assert.ok(!answer.content[0].text.includes(word));
});

test("anthropic: a tool is used with its input", async () => {
    const answer = await create({ messages: user("read notes.txt"), tools: [readFile] });
    assert.equal(answer.stop_reason, "tool_use");
    assert.deepEqual(answer.content.map((block) => block.type), ["text", "tool_use"]);
    const call = answer.content[1];
    assert.equal(call.name, "read_file");
    assert.deepEqual(call.input, { path: "notes.txt", lines: [1, 2], note: 'ünïcode "quoted" \\ back' });
});

test("anthropic: a streamed tool input comes in pieces of JSON", async () => {
    const events = await collect({ messages: user("read notes.txt"), tools: [readFile] });
    const pieces = events.filter((event) => event.delta?.type === "input_json_delta").map((event) => event.delta.partial_json);
    assert.ok(pieces.length > 1);
    assert.equal(JSON.parse(pieces.join("")).path, "notes.txt");
});

test("anthropic: parallel tool blocks do not overlap", async () => {
    const open = new Set();
    const names = [];
    for (const event of await collect({ messages: user("read both"), tools: [readFile] })) {
        if (event.type === "content_block_start") {
            assert.equal(open.size, 0);
            open.add(event.index);
            names.push(event.content_block.id);
        }
        if (event.type === "content_block_delta") assert.ok(open.has(event.index));
        if (event.type === "content_block_stop") open.delete(event.index);
    }
    assert.equal(names.length, 2);
    assert.notEqual(names[0], names[1]);
});

test("anthropic: a tool without input has an empty object", async () => {
    const answer = await create({ messages: user("read nothing"), tools: [readFile] });
    assert.deepEqual(answer.content.find((block) => block.type === "tool_use").input, {});
});

test("anthropic: a tool's result goes back", async () => {
    const messages = user("read notes.txt");
    const first = await create({ messages, tools: [readFile] });
    const { id } = first.content.find((block) => block.type === "tool_use");
    const answer = await create({
        messages: [...messages, { role: "assistant", content: first.content }, { role: "user", content: [{ type: "tool_result", tool_use_id: id, content: [{ type: "text", text: "hidden" }] }] }],
        tools: [readFile],
    });
    assert.equal(answer.content[0].text, "the file says hidden");
    assert.equal(last().body.messages.at(-1).tool_call_id, id);
});

test("anthropic: a result as a string, with an error, with a reference", async () => {
    const call = { type: "tool_use", id: "toolu_1", name: "read_file", input: {} };
    for (const result of [
        { content: "inside" },
        { content: "inside", is_error: true },
        { content: [{ type: "text", text: "inside" }, { type: "tool_reference", tool_name: "other" }] },
    ]) {
        const answer = await create({
            messages: [...user("x"), { role: "assistant", content: [call] }, { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", ...result }] }],
            tools: [readFile],
        });
        assert.match(answer.content[0].text, /the file says/);
    }
});

test("anthropic: tool_choice any becomes required", async () => {
    await create({ messages: user("say x"), tools: [readFile], tool_choice: { type: "any", disable_parallel_tool_use: true } });
    assert.equal(last().body.tool_choice, "required");
    assert.equal(last().body.parallel_tool_calls, false);
});

test("anthropic: server tools are skipped and named", async () => {
    const { response } = await anthropic()
        .messages.create({ model: "mesh-scripted", max_tokens: 10, messages: user("say x"), tools: [readFile, { type: "web_search_20250305", name: "web_search" }] })
        .withResponse();
    assert.match(response.headers.get("x-modemesh-skipped"), /web_search/);
    assert.equal(last().body.tools.length, 1);
});

test("anthropic: system blocks are one message, without the billing block", async () => {
    await create({
        system: [
            { type: "text", text: "x-anthropic-billing-header: cc_version=1; cch=abc;" },
            { type: "text", text: "be kind", cache_control: { type: "ephemeral" } },
            { type: "text", text: "be brief" },
        ],
        messages: user("say x"),
    });
    assert.deepEqual(last().body.messages[0], { role: "system", content: "be kind\nbe brief" });
});

test("anthropic: a system message in the middle stays in its place", async () => {
    await create({
        messages: [...user("first"), { role: "system", content: [{ type: "text", text: "mid rule" }] }, { role: "assistant", content: "ok" }, ...user("say x")],
    });
    const { messages } = last().body;
    assert.ok(messages.every((message) => message.role !== "system"));
    assert.match(messages[0].content, /first[^]*mid rule/);
});

test("anthropic: strings and arrays of one text are the same", async () => {
    await create({ messages: user("say x") });
    const one = last().body.messages;
    await create({ messages: user([{ type: "text", text: "say x", cache_control: { type: "ephemeral" } }]) });
    assert.deepEqual(last().body.messages, one);
});

test("anthropic: thinking is a block before the text", async () => {
    const answer = await create({ messages: user("think about cats"), thinking: { type: "adaptive" } });
    assert.deepEqual(answer.content.map((block) => block.type), ["thinking", "text"]);
    assert.equal(answer.content[0].thinking, "first cats then more");
});

test("anthropic: streamed thinking ends with a signature", async () => {
    const events = await collect({ messages: user("think about cats"), thinking: { type: "enabled", budget_tokens: 1024 }, max_tokens: 2000 });
    const deltas = events.filter((event) => event.type === "content_block_delta" && event.index === 0).map((event) => event.delta.type);
    assert.equal(deltas[0], "thinking_delta");
    assert.equal(deltas.at(-1), "signature_delta");
});

test("anthropic: thinking in the history goes back as reasoning", async () => {
    await create({
        messages: [
            ...user("a"),
            { role: "assistant", content: [{ type: "thinking", thinking: "why", signature: "s" }, { type: "text", text: "b" }] },
            ...user("say x"),
        ],
    });
    assert.equal(last().body.messages[1].reasoning_content, "why");
});

test("anthropic: an image is refused where the model has no eyes", async () => {
    const source = { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" };
    const error = await fails(create({ ...real, messages: user([{ type: "image", source }, { type: "text", text: "what?" }]) }), 400);
    assert.equal(error.error.type, "error");
    assert.equal(error.error.error.type, "invalid_request_error");
    assert.match(error.message, /image/);
});

test("anthropic: fields of newer clients are accepted", async () => {
    const answer = await anthropic().post("/v1/messages?beta=true", {
        body: {
            model: "mesh-scripted",
            max_tokens: 50,
            messages: user("say x"),
            metadata: { user_id: '{"session_id":"abc","device_id":"d"}' },
            context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] },
            output_config: { effort: "medium" },
            thinking: { type: "adaptive" },
            service_tier: "auto",
            tools: [{ ...readFile, defer_loading: true, input_schema: { $schema: "https://json-schema.org/draft/2020-12/schema", ...readFile.input_schema } }],
        },
        headers: { "anthropic-beta": "a-2025-01-01,b-2025-02-02" },
    });
    assert.equal(answer.content[0].text, "x it is");
});

test("anthropic: count_tokens is what the request then costs", async () => {
    const body = { model: "mesh-ask", system: "be kind", messages: [...user("one two"), { role: "assistant", content: "three" }, ...user("four?")] };
    const { input_tokens } = await anthropic().messages.countTokens(body);
    const { usage } = await create({ ...body, max_tokens: 1 });
    assert.equal(input_tokens, usage.input_tokens + usage.cache_read_input_tokens);
});

test("anthropic: models are listed in its own shape, with names that its clients keep", async () => {
    const models = [];
    for await (const model of anthropic().models.list({ limit: 1000 })) models.push(model);
    const ask = models.find((model) => model.id === "claude-mesh-ask");
    assert.equal(ask.type, "model");
    assert.equal(typeof ask.display_name, "string");
    assert.ok(!Number.isNaN(Date.parse(ask.created_at)));
    assert.equal((await anthropic().models.retrieve("claude-mesh-ask")).id, "claude-mesh-ask");
});

test("anthropic: pages of models add up", async () => {
    const all = [], paged = [];
    for await (const model of anthropic().models.list({ limit: 1000 })) all.push(model.id);
    for await (const model of anthropic().models.list({ limit: 2 })) paged.push(model.id);
    assert.deepEqual(paged, all);
});

test("anthropic: context overflow reads as its clients parse it", async () => {
    const error = await fails(create({ messages: user("too long") }), 400);
    assert.match(error.message, /prompt is too long: 5000 tokens > 4096 maximum/);
});

test("anthropic: an unknown model is not_found_error", async () => {
    const error = await fails(create({ model: "claude-nothing", messages: user("x") }), 404);
    assert.equal(error.error.error.type, "not_found_error");
});

test("anthropic: a wrong key is authentication_error", async () => {
    const error = await fails(anthropic({ authToken: "mm_wrong" }).messages.create({ ...real, max_tokens: 1 }), 401);
    assert.equal(error.error.error.type, "authentication_error");
});

test("anthropic: x-api-key is a key too", async () => {
    const client = anthropic({ authToken: null, apiKey: null, defaultHeaders: { "x-api-key": bed.key } });
    assert.ok(await client.messages.create({ ...real, max_tokens: 1 }));
});

test("anthropic: both versions of the API are accepted", async () => {
    for (const version of ["2023-06-01", "2026-10-21"])
        assert.ok(await create({ messages: user("say x") }, { headers: { "anthropic-version": version } }));
});

test("anthropic: 429 is rate_limit_error with Retry-After", async () => {
    const slow = anthropic({ authToken: bed.slow_key });
    let error;
    for (let i = 0; i < 4 && !error; i++)
        error = await slow.messages.create({ model: "mesh-scripted", max_tokens: 5, messages: user("say x") }).then(() => null, (reason) => reason);
    assert.equal(error.status, 429);
    assert.equal(error.error.error.type, "rate_limit_error");
    assert.match(error.headers.get("retry-after"), /^\d+$/);
});

test("anthropic: an error in the middle of a stream is thrown", async () => {
    const texts = [];
    await assert.rejects(async () => {
        for await (const event of await create({ messages: user("break"), stream: true })) texts.push(event.delta?.text ?? "");
    }, /the engine stumbled/);
    assert.equal(texts.join(""), "before the break");
});

test("anthropic: an aborted stream frees the engine's slot", async () => {
    const stream = await create({ messages: user("endless"), stream: true, max_tokens: 100000 });
    for await (const event of stream) if (event.type === "content_block_delta") break;
    stream.controller.abort();
    await until("the engine saw it", () => last().ending === "aborted");
});

test("anthropic: the SDK's retry waits and succeeds", async () => {
    const client = anthropic({ maxRetries: 3 });
    const answer = await client.messages.create({ model: "mesh-scripted", max_tokens: 20, messages: user("busy then say well") });
    assert.equal(answer.content[0].text, "well at last");
});

test("anthropic: the request's id is in the header that the SDK reads", async () => {
    const { request_id } = await anthropic().messages.create({ ...real, max_tokens: 1 }).withResponse();
    assert.match(request_id, /^req_/);
});

test("anthropic: output_config with a schema gives JSON", async () => {
    const schema = { type: "object", properties: { d: { enum: [1, 2] } }, required: ["d"], additionalProperties: false };
    const answer = await create({ ...real, max_tokens: 300, output_config: { format: { type: "json_schema", schema } } });
    assert.ok([1, 2].includes(JSON.parse(answer.content[0].text).d));
});
