// openai: chat.completions.
import assert from "node:assert/strict";
import { bed, engineRequests, openai, until } from "./bed.mjs";
import { test } from "./cases.mjs";

const user = (content) => [{ role: "user", content }];
const real = { model: "mesh-ask", messages: user(bed.question), temperature: 0 };
const scripted = (content, more = {}) => ({ model: "mesh-scripted", messages: user(content), ...more });
const create = (body, options) => openai().chat.completions.create(body, options);
const readFile = {
    type: "function",
    function: {
        name: "read_file",
        description: "Reads a file",
        parameters: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
    },
};
const last = () => engineRequests().at(-1);

async function collect(body) {
    const chunks = [];
    for await (const chunk of await create({ ...body, stream: true })) chunks.push(chunk);
    return chunks;
}
const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");

async function fails(promise, status) {
    const error = await promise.then(() => assert.fail("it did not fail"), (reason) => reason);
    if (error instanceof assert.AssertionError) throw error;
    assert.equal(error.status, status, error.message);
    return error;
}

test("openai chat: a whole answer is the engine's own", async () => {
    const answer = await create(real);
    assert.equal(answer.object, "chat.completion");
    assert.equal(answer.choices[0].message.role, "assistant");
    assert.equal(answer.choices[0].message.content, bed.answer);
    assert.equal(answer.choices[0].finish_reason, "stop");
});

test("openai chat: the pieces of a stream make the whole answer", async () => {
    const chunks = await collect(real);
    assert.ok(chunks.filter((chunk) => chunk.choices[0]?.delta?.content).length > 1);
    assert.equal(textOf(chunks), bed.answer);
});

test("openai chat: every chunk has id, object, created, model and index", async () => {
    const chunks = await collect(real);
    for (const chunk of chunks) {
        assert.equal(chunk.id, chunks[0].id);
        assert.equal(chunk.object, "chat.completion.chunk");
        assert.ok(Number.isInteger(chunk.created));
        assert.equal(typeof chunk.model, "string");
        for (const choice of chunk.choices) assert.equal(choice.index, 0);
    }
});

test("openai chat: the first chunk brings the role", async () => {
    assert.equal((await collect(real))[0].choices[0].delta.role, "assistant");
});

test("openai chat: exactly one chunk has a finish reason, and it is the last choice", async () => {
    const reasons = (await collect(real)).flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason));
    assert.deepEqual(reasons.filter(Boolean), ["stop"]);
    assert.equal(reasons.at(-1), "stop");
});

test("openai chat: usage comes in a last chunk without choices when asked", async () => {
    const chunks = await collect({ ...real, stream_options: { include_usage: true } });
    const end = chunks.at(-1);
    assert.deepEqual(end.choices, []);
    assert.equal(end.usage.total_tokens, end.usage.prompt_tokens + end.usage.completion_tokens);
    assert.ok(end.usage.completion_tokens > 1);
});

test("openai chat: no usage chunk when not asked", async () => {
    const chunks = await collect(real);
    assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
});

test("openai chat: a whole answer has its usage with cached tokens", async () => {
    await create(real);
    const { usage } = await create(real);
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert.ok(usage.prompt_tokens_details.cached_tokens > 0);
    assert.ok(usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens);
});

test("openai chat: max_completion_tokens cuts the answer with the reason length", async () => {
    const answer = await create({ ...real, max_completion_tokens: 3 });
    assert.equal(answer.choices[0].finish_reason, "length");
    assert.equal(answer.usage.completion_tokens, 3);
});

test("openai chat: max_tokens cuts the answer too", async () => {
    assert.equal((await create({ ...real, max_tokens: 2 })).usage.completion_tokens, 2);
});

test("openai chat: max_completion_tokens wins over max_tokens", async () => {
    const answer = await create({ ...real, max_tokens: 50, max_completion_tokens: 4 });
    assert.equal(answer.usage.completion_tokens, 4);
});

test("openai chat: stop ends before the word", async () => {
    const word = bed.answer.split(" ")[2];
    const answer = await create({ ...real, stop: [word] });
    assert.ok(!answer.choices[0].message.content.includes(word));
    assert.equal(answer.choices[0].finish_reason, "stop");
});

test("openai chat: n gives so many choices", async () => {
    const answer = await create({ ...real, n: 3, max_tokens: 3 });
    assert.deepEqual(answer.choices.map((choice) => choice.index).sort(), [0, 1, 2]);
});

test("openai chat: n in a stream keeps the choices apart", async () => {
    const chunks = await collect({ ...real, n: 2, max_tokens: 4 });
    for (const index of [0, 1]) {
        const own = chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.index === index);
        assert.equal(own.map((choice) => choice.finish_reason).filter(Boolean).length, 1);
        assert.ok(own.some((choice) => choice.delta.content));
    }
});

test("openai chat: the same seed gives the same answer", async () => {
    const body = { ...real, temperature: 1.5, seed: 42, max_tokens: 12 };
    const [one, two] = [await create(body), await create(body)];
    assert.equal(one.choices[0].message.content, two.choices[0].message.content);
});

test("openai chat: logprobs tell each token", async () => {
    const answer = await create({ ...real, max_tokens: 4, logprobs: true, top_logprobs: 2 });
    const { content } = answer.choices[0].logprobs;
    assert.equal(content.length, 4);
    assert.equal(content[0].top_logprobs.length, 2);
    assert.ok(content[0].logprob <= 0);
});

test("openai chat: logprobs come in streams", async () => {
    const chunks = await collect({ ...real, max_tokens: 4, logprobs: true });
    const tokens = chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.content ?? []);
    assert.equal(tokens.length, 4);
});

test("openai chat: response_format json_schema gives JSON of that schema", async () => {
    const schema = {
        type: "object",
        properties: { n: { type: "integer", minimum: 0, maximum: 9 }, word: { enum: ["red", "blue"] } },
        required: ["n", "word"],
        additionalProperties: false,
    };
    const answer = await create({
        ...real,
        max_tokens: 100,
        response_format: { type: "json_schema", json_schema: { name: "pick", schema, strict: true } },
    });
    const value = JSON.parse(answer.choices[0].message.content);
    assert.ok(Number.isInteger(value.n) && ["red", "blue"].includes(value.word));
});

test("openai chat: the SDK's own parse helper reads a structured answer", async () => {
    const answer = await openai().chat.completions.parse({
        ...real,
        max_tokens: 300,
        response_format: {
            type: "json_schema",
            json_schema: {
                name: "digit",
                strict: true,
                schema: { type: "object", properties: { d: { enum: [1, 2] } }, required: ["d"], additionalProperties: false },
            },
        },
    });
    assert.ok([1, 2].includes(answer.choices[0].message.parsed.d));
});

test("openai chat: a tool call comes whole with the text before it", async () => {
    const answer = await create(scripted("read notes.txt", { tools: [readFile] }));
    const [choice] = answer.choices;
    assert.equal(choice.finish_reason, "tool_calls");
    assert.equal(choice.message.content, "I look.");
    assert.equal(choice.message.tool_calls[0].id, "call_read_1");
    assert.deepEqual(JSON.parse(choice.message.tool_calls[0].function.arguments), {
        path: "notes.txt",
        lines: [1, 2],
        note: 'ünïcode "quoted" \\ back',
    });
});

test("openai chat: a streamed tool call has id and name first and then its arguments in pieces", async () => {
    const deltas = (await collect(scripted("read notes.txt", { tools: [readFile] })))
        .flatMap((chunk) => chunk.choices[0]?.delta?.tool_calls ?? []);
    assert.equal(deltas[0].id, "call_read_1");
    assert.equal(deltas[0].function.name, "read_file");
    assert.ok(deltas.length > 2);
    assert.ok(deltas.every((delta) => delta.index === 0));
    assert.ok(deltas.slice(1).every((delta) => !delta.id && !delta.function.name));
    assert.equal(JSON.parse(deltas.map((delta) => delta.function.arguments ?? "").join("")).path, "notes.txt");
});

test("openai chat: parallel calls keep their indexes", async () => {
    const deltas = (await collect(scripted("read both", { tools: [readFile], parallel_tool_calls: true })))
        .flatMap((chunk) => chunk.choices[0]?.delta?.tool_calls ?? []);
    const joined = [0, 1].map((index) =>
        deltas.filter((delta) => delta.index === index).map((delta) => delta.function?.arguments ?? "").join(""));
    assert.deepEqual(joined.map((text) => JSON.parse(text).path), ["a.txt", "b.txt"]);
    assert.equal(last().body.parallel_tool_calls, true);
});

test("openai chat: the SDK's tool runner works to the end", async () => {
    const runner = openai().chat.completions.runTools({
        ...scripted("read notes.txt"),
        tools: [{ ...readFile, function: { ...readFile.function, parse: JSON.parse, function: () => "secretword" } }],
    });
    assert.equal(await runner.finalContent(), "the file says secretword");
});

test("openai chat: tool_choice reaches the engine", async () => {
    for (const tool_choice of ["auto", "none", "required"]) {
        await create(scripted("say x", { tools: [readFile], tool_choice }));
        assert.equal(last().body.tool_choice, tool_choice);
    }
});

test("openai chat: unknown fields reach the engine", async () => {
    await create(scripted("say x", { min_p: 0.25, some_new_field: { deep: [1, "two"] } }));
    assert.equal(last().body.min_p, 0.25);
    assert.deepEqual(last().body.some_new_field, { deep: [1, "two"] });
});

test("openai chat: hosted tools are skipped and named", async () => {
    const { response } = await openai().chat.completions
        .create(scripted("say x", { tools: [readFile, { type: "web_search" }] })).withResponse();
    assert.match(response.headers.get("x-modemesh-skipped"), /web_search/);
    assert.deepEqual(last().body.tools.map((tool) => tool.type), ["function"]);
});

test("openai chat: developer and later system messages are accepted in place", async () => {
    await create({
        model: "mesh-scripted",
        messages: [
            { role: "developer", content: "rules" },
            { role: "user", content: "first" },
            { role: "assistant", content: "yes" },
            { role: "system", content: "later rule" },
            { role: "user", content: "say x" },
        ],
    });
    const { messages } = last().body;
    assert.deepEqual(messages[0], { role: "system", content: "rules" });
    assert.ok(messages.slice(1).every((message) => message.role !== "system"));
    const place = messages.findIndex((message) => JSON.stringify(message).includes("later rule"));
    assert.ok(place > messages.findIndex((message) => message.content === "yes"));
});

test("openai chat: content may be an array of texts or null", async () => {
    const answer = await create({
        model: "mesh-scripted",
        messages: [
            { role: "user", content: [{ type: "text", text: "read" }] },
            { role: "assistant", content: null, tool_calls: [{ id: "c1", type: "function", function: { name: "read_file", arguments: "{}" } }] },
            { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "inside" }] },
        ],
        tools: [readFile],
    });
    assert.equal(answer.choices[0].message.content, "the file says inside");
});

test("openai chat: reasoning comes before the text, whole", async () => {
    const { message } = (await create(scripted("think about cats"))).choices[0];
    assert.equal(message.reasoning_content, "first cats then more");
    assert.equal(message.content, "thought of cats");
});

test("openai chat: reasoning comes before the text, streamed", async () => {
    const kinds = (await collect(scripted("think about cats")))
        .map((chunk) => chunk.choices[0]?.delta ?? {})
        .map((delta) => (delta.reasoning_content ? "r" : delta.content ? "t" : ""))
        .join("");
    assert.match(kinds, /^r+t+$/);
});

test("openai chat: reasoning_content in the history is accepted", async () => {
    await create({
        model: "mesh-scripted",
        messages: [...user("a"), { role: "assistant", content: "b", reasoning_content: "why" }, ...user("say x")],
    });
    assert.equal(last().body.messages[1].reasoning_content, "why");
});

test("openai chat: an image is refused where the model has no eyes", async () => {
    const image_url = { url: "data:image/png;base64,iVBORw0KGgo=" };
    const error = await fails(create({ ...real, messages: user([{ type: "text", text: "what?" }, { type: "image_url", image_url }]) }), 400);
    assert.match(error.message, /image/);
});

test("openai chat: audio is refused clearly", async () => {
    const input_audio = { data: "UklGRg==", format: "wav" };
    const error = await fails(create({ ...real, messages: user([{ type: "input_audio", input_audio }]) }), 400);
    assert.match(error.message, /audio/);
});

test("openai chat: context overflow has the text that makes agents compact", async () => {
    const error = await fails(create(scripted("too long")), 400);
    assert.equal(error.code, "context_length_exceeded");
    assert.equal(error.param, "messages");
    assert.equal(error.type, "invalid_request_error");
    assert.match(error.message,
        /request \(5000 tokens\) exceeds the available context size \(4096 tokens\): prompt is too long, maximum context length is 4096 tokens/);
});

test("openai chat: the real engine's context overflow reads the same", async () => {
    const error = await fails(create({ ...real, messages: user("many words ".repeat(3000)) }), 400);
    assert.equal(error.code, "context_length_exceeded");
    assert.match(error.message, /prompt is too long, maximum context length is \d+ tokens/);
    assert.doesNotMatch(error.message, /rate limit|per minute/i);
});

test("openai chat: an unknown model is 404 model_not_found and lists what there is", async () => {
    const error = await fails(create({ ...real, model: "gpt-nothing" }), 404);
    assert.equal(error.code, "model_not_found");
    assert.match(error.message, /mesh-ask/);
});

test("openai chat: no messages is a 400 that names the field", async () => {
    const error = await fails(create({ model: "mesh-ask", messages: [] }), 400);
    assert.equal(error.param, "messages");
});

test("openai chat: a wrong key is 401", async () => {
    await fails(openai({ apiKey: "mm_wrong" }).chat.completions.create(real), 401);
});

test("openai chat: a key's scope holds", async () => {
    const narrow = openai({ apiKey: bed.narrow_key });
    assert.ok(await narrow.chat.completions.create({ ...real, max_tokens: 2 }));
    await fails(narrow.chat.completions.create({ ...real, model: "mesh-code" }), 403);
});

test("openai chat: x-api-key is a key too", async () => {
    const client = openai({ apiKey: "none", defaultHeaders: { Authorization: null, "x-api-key": bed.key } });
    assert.ok(await client.chat.completions.create({ ...real, max_tokens: 2 }));
});

test("openai chat: 429 has an integer Retry-After", async () => {
    const slow = openai({ apiKey: bed.slow_key });
    let error;
    for (let i = 0; i < 4 && !error; i++)
        error = await slow.chat.completions.create(scripted("say x")).then(() => null, (reason) => reason);
    assert.equal(error.status, 429);
    assert.match(error.headers.get("retry-after"), /^\d+$/);
});

test("openai chat: an aborted stream frees the engine's slot", async () => {
    const stream = await create(scripted("endless", { stream: true }));
    for await (const chunk of stream) if (chunk.choices[0]?.delta?.content) break;
    stream.controller.abort();
    await until("the engine saw it", () => last().ending === "aborted");
});

test("openai chat: an error in the middle of a stream is thrown", async () => {
    const pieces = [];
    await assert.rejects(async () => {
        for await (const chunk of await create(scripted("break", { stream: true })))
            pieces.push(chunk.choices[0]?.delta?.content ?? "");
    }, /the engine stumbled/);
    assert.equal(pieces.join(""), "before the break");
});

test("openai chat: a stream whose engine is lost does not look complete", async () => {
    await assert.rejects(collect(scripted("cut")));
});

test("openai chat: an answer without a finish reason is an error, never a silent end", async () => {
    await assert.rejects(collect(scripted("no finish")));
});

test("openai chat: usage counts cached tokens as the engine said", async () => {
    const { usage } = await create(scripted("usage"));
    assert.equal(usage.prompt_tokens, 100);
    assert.equal(usage.completion_tokens, 7);
    assert.equal(usage.prompt_tokens_details.cached_tokens, 60);
});

test("openai chat: the headers tell mode, model and node", async () => {
    const { response } = await openai().chat.completions.create({ ...real, max_tokens: 2 }).withResponse();
    assert.equal(response.headers.get("x-modemesh-mode"), "ask");
    assert.equal(response.headers.get("x-modemesh-model"), "modemesh-demo-fast");
    assert.equal(response.headers.get("x-modemesh-node"), "talker");
    assert.match(response.headers.get("x-request-id"), /^req_/);
});

test("openai chat: the header X-Modemesh-Mode overrides the model", async () => {
    const { response } = await openai().chat.completions
        .create({ ...real, max_tokens: 2 }, { headers: { "X-Modemesh-Mode": "code" } }).withResponse();
    assert.equal(response.headers.get("x-modemesh-mode"), "code");
});

test("openai chat: modes answer under every spelling", async () => {
    for (const model of ["mesh-ask", "ask", "mesh-ask:latest", "mesh-ask[1m]", "claude-mesh-ask"])
        assert.ok(await create({ ...real, model, max_tokens: 1 }));
});

test("openai chat: slot and context size from clients are left out", async () => {
    await create(scripted("say x", { id_slot: 0, num_ctx: 131072 }));
    assert.equal(last().body.id_slot, undefined);
    assert.equal(last().body.num_ctx, undefined);
});

test("openai chat: flat tools as Cursor sends them are taken", async () => {
    const answer = await create(scripted("read notes.txt", { tools: [{ type: "function", ...readFile.function }] }));
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
});

test("openai chat: a Responses-shaped body is answered as a chat", async () => {
    const answer = await create({ model: "mesh-scripted", input: [{ role: "user", content: [{ type: "input_text", text: "say x" }] }] });
    assert.equal(answer.choices[0].message.content, "x it is");
});

test("openai chat: the path works without /v1 too", async () => {
    const client = openai({ baseURL: bed.url });
    assert.ok(await client.chat.completions.create({ ...real, max_tokens: 1 }));
});
