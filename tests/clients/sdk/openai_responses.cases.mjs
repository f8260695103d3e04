// openai: responses.
import assert from "node:assert/strict";
import { bed, engineRequests, openai, until } from "./bed.mjs";
import { test } from "./cases.mjs";

const last = () => engineRequests().at(-1);
const create = (body, options) => openai().responses.create({ model: "mesh-scripted", ...body }, options);
const readFile = {
    type: "function",
    name: "read_file",
    description: "Reads a file",
    strict: false,
    parameters: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
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

test("responses: a whole answer of the real engine", async () => {
    const answer = await create({ model: "mesh-ask", input: bed.question, temperature: 0 });
    assert.equal(answer.object, "response");
    assert.equal(answer.status, "completed");
    assert.equal(answer.output_text, bed.answer);
    assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
});

test("responses: the whole event sequence of a text", async () => {
    const types = (await collect({ input: "say pong" })).map((event) => event.type);
    const once = types.filter((type, i) => type !== types[i - 1]);
    assert.deepEqual(once, [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]);
});

test("responses: sequence numbers count from one event to the next", async () => {
    const numbers = (await collect({ input: "say pong" })).map((event) => event.sequence_number);
    assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i));
});

test("responses: the deltas make the done text and the completed output", async () => {
    const events = await collect({ model: "mesh-ask", input: bed.question, temperature: 0 });
    const text = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join("");
    assert.equal(text, bed.answer);
    assert.equal(events.find((event) => event.type === "response.output_text.done").text, text);
    const { response } = events.at(-1);
    assert.equal(response.output[0].content[0].text, text);
    assert.ok(response.usage.input_tokens > 0);
});

test("responses: the SDK's stream helper ends with the final response", async () => {
    const stream = openai().responses.stream({ model: "mesh-scripted", input: "say pong" });
    assert.equal((await stream.finalResponse()).output_text, "pong it is");
});

test("responses: a function call streams its arguments and is an output item", async () => {
    const events = await collect({ input: "read notes.txt", tools: [readFile] });
    const pieces = events.filter((event) => event.type === "response.function_call_arguments.delta");
    assert.ok(pieces.length > 1);
    const done = events.find((event) => event.type === "response.function_call_arguments.done");
    assert.equal(pieces.map((event) => event.delta).join(""), done.arguments);
    const call = events.at(-1).response.output.find((item) => item.type === "function_call");
    assert.equal(call.name, "read_file");
    assert.equal(JSON.parse(call.arguments).path, "notes.txt");
    assert.ok(call.call_id);
});

test("responses: parallel calls are items of their own", async () => {
    const answer = await create({ input: "read both", tools: [readFile], parallel_tool_calls: true });
    const calls = answer.output.filter((item) => item.type === "function_call");
    assert.deepEqual(calls.map((call) => JSON.parse(call.arguments).path), ["a.txt", "b.txt"]);
    assert.notEqual(calls[0].call_id, calls[1].call_id);
});

test("responses: the result of a call goes back as an item", async () => {
    const first = await create({ input: "read notes.txt", tools: [readFile] });
    const call = first.output.find((item) => item.type === "function_call");
    const answer = await create({
        input: [{ role: "user", content: "read notes.txt" }, ...first.output, { type: "function_call_output", call_id: call.call_id, output: "hidden" }],
        tools: [readFile],
    });
    assert.equal(answer.output_text, "the file says hidden");
    assert.equal(last().body.messages.at(-1).tool_call_id, call.call_id);
});

test("responses: previous_response_id continues what was stored", async () => {
    const first = await create({ input: "say remember" });
    const second = await create({ input: "say next", previous_response_id: first.id });
    assert.equal(second.previous_response_id, first.id);
    const said = last().body.messages.map((message) => message.content);
    assert.deepEqual(said, ["say remember", "remember it is", "say next"]);
});

test("responses: an unknown previous_response_id is a clear error", async () => {
    const error = await fails(create({ input: "x", previous_response_id: "resp_nothing" }), 400);
    assert.equal(error.param, "previous_response_id");
    assert.equal(error.code, "previous_response_not_found");
});

test("responses: store false is not kept", async () => {
    const { id } = await create({ input: "say x", store: false });
    await fails(openai().responses.retrieve(id), 404);
});

test("responses: what is stored can be read, listed and deleted", async () => {
    const { id } = await create({ input: "say x" });
    assert.equal((await openai().responses.retrieve(id)).output_text, "x it is");
    const items = [];
    for await (const item of openai().responses.inputItems.list(id)) items.push(item);
    assert.equal(items.length, 1);
    await openai().responses.delete(id);
    await fails(openai().responses.retrieve(id), 404);
});

test("responses: another key cannot read it", async () => {
    const { id } = await create({ model: "mesh-ask", input: "x", max_output_tokens: 1 });
    await fails(openai({ apiKey: bed.narrow_key }).responses.retrieve(id), 404);
});

test("responses: background runs without a client and is fetched later", async () => {
    const begun = await create({ input: "say later", background: true });
    assert.ok(["queued", "in_progress"].includes(begun.status), begun.status);
    const done = await until("it is completed", async () => {
        const now = await openai().responses.retrieve(begun.id);
        return now.status === "completed" && now;
    });
    assert.equal(done.output_text, "later it is");
});

test("responses: a background stream goes on after starting_after", async () => {
    const events = [];
    for await (const event of await create({ input: "slowly", background: true, stream: true })) {
        events.push(event);
        if (event.type === "response.output_text.delta") break;
    }
    const { id } = events[0].response;
    const rest = [];
    const again = await openai().responses.retrieve(id, { stream: true, starting_after: events.at(-1).sequence_number });
    for await (const event of again) rest.push(event);
    assert.equal(rest[0].sequence_number, events.at(-1).sequence_number + 1);
    assert.equal(rest.at(-1).type, "response.completed");
    assert.equal(rest.at(-1).response.output_text ?? rest.at(-1).response.output[0].content[0].text, "one two three four five");
});

test("responses: cancel ends a background answer and frees the slot", async () => {
    const begun = await create({ input: "endless", background: true });
    await until("it runs", () => last().path === "/v1/chat/completions" && last().ending === undefined);
    assert.equal((await openai().responses.cancel(begun.id)).status, "cancelled");
    await until("the engine saw it", () => last().ending === "aborted");
});

test("responses: max_output_tokens ends as incomplete", async () => {
    const answer = await create({ model: "mesh-ask", input: bed.question, max_output_tokens: 3 });
    assert.equal(answer.status, "incomplete");
    assert.equal(answer.incomplete_details.reason, "max_output_tokens");
});

test("responses: an empty input succeeds", async () => {
    const answer = await create({ model: "mesh-ask", input: "", max_output_tokens: 1 });
    assert.equal(answer.object, "response");
});

test("responses: instructions, developer items and session fields are taken", async () => {
    await create({
        instructions: "be brief",
        input: [
            { type: "message", role: "developer", content: [{ type: "input_text", text: "a rule" }] },
            { type: "message", role: "user", content: [{ type: "input_text", text: "say x" }] },
        ],
        include: ["reasoning.encrypted_content"],
        reasoning: { effort: "medium", summary: "auto" },
        prompt_cache_key: "k",
        store: false,
        parallel_tool_calls: false,
    });
    assert.equal(last().body.messages[0].role, "system");
    assert.match(last().body.messages[0].content, /be brief\n+a rule/);
});

test("responses: hosted tools are skipped, namespaces are flattened", async () => {
    const { response } = await openai()
        .responses.create({
            model: "mesh-scripted",
            input: "say x",
            tools: [readFile, { type: "web_search" }, { type: "namespace", name: "files", description: "d", tools: [{ ...readFile, name: "stat" }] }],
        })
        .withResponse();
    assert.match(response.headers.get("x-modemesh-skipped"), /web_search/);
    assert.equal(last().body.tools.length, 2);
});

test("responses: a JSON schema is kept", async () => {
    const answer = await create({
        model: "mesh-ask",
        input: "pick",
        max_output_tokens: 300,
        text: {
            format: {
                type: "json_schema",
                name: "pick",
                strict: true,
                schema: { type: "object", properties: { d: { enum: [1, 2] } }, required: ["d"], additionalProperties: false },
            },
        },
    });
    assert.ok([1, 2].includes(JSON.parse(answer.output_text).d));
});

test("responses: reasoning is an item before the message", async () => {
    const answer = await create({ input: "think about cats" });
    assert.deepEqual(answer.output.map((item) => item.type), ["reasoning", "message"]);
});

test("responses: an error in the middle is response.failed", async () => {
    const events = [];
    try {
        for await (const event of await create({ input: "break", stream: true })) events.push(event);
    } catch {
        // some versions of the SDK throw it
    }
    const end = events.at(-1);
    assert.equal(end.type, "response.failed");
    assert.match(end.response.error.message, /the engine stumbled/);
});

test("responses: context overflow has its code", async () => {
    const error = await fails(create({ input: "too long" }), 400);
    assert.equal(error.code, "context_length_exceeded");
});

test("responses: an aborted stream frees the engine's slot", async () => {
    const stream = await create({ input: "endless", stream: true });
    for await (const event of stream) if (event.type === "response.output_text.delta") break;
    stream.controller.abort();
    await until("the engine saw it", () => last().ending === "aborted");
});

test("responses: a websocket is refused with 426", async () => {
    const { status } = await new Promise((resolve, reject) => {
        import("node:http").then(({ request }) => {
            const asked = request(`${bed.loopback}/v1/responses`, {
                headers: { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eDEyMzQ1Njc4OTAxMjM0NQ==" },
            });
            asked.on("response", (response) => resolve({ status: response.statusCode }));
            asked.on("error", reject);
            asked.end();
        });
    });
    assert.equal(status, 426);
});
