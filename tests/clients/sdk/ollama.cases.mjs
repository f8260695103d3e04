// ollama.
import assert from "node:assert/strict";
import { bed, engineRequests, ollama, until } from "./bed.mjs";
import { test } from "./cases.mjs";

const last = () => engineRequests().at(-1);
const user = (content) => [{ role: "user", content }];
const chat = (body) => ollama().chat({ model: "mesh-scripted", ...body });
const readFile = {
    type: "function",
    function: { name: "read_file", description: "Reads a file", parameters: { type: "object", properties: { path: { type: "string" } }, required: ["path"] } },
};
async function collect(body) {
    const parts = [];
    for await (const part of await chat({ ...body, stream: true })) parts.push(part);
    return parts;
}
const real = { model: "mesh-ask", messages: user(bed.question), options: { temperature: 0 } };

test("ollama chat: a whole answer of the real engine", async () => {
    const answer = await chat(real);
    assert.equal(answer.message.role, "assistant");
    assert.equal(answer.message.content, bed.answer);
    assert.equal(answer.done, true);
    assert.equal(answer.done_reason, "stop");
});

test("ollama chat: the lines of a stream make the whole answer", async () => {
    const parts = await collect(real);
    assert.equal(parts.map((part) => part.message.content).join(""), bed.answer);
    assert.ok(parts.slice(0, -1).every((part) => part.done === false));
    assert.equal(parts.at(-1).done, true);
});

test("ollama chat: the last line counts tokens and times", async () => {
    const end = (await collect(real)).at(-1);
    assert.ok(end.eval_count > 1);
    assert.ok(end.prompt_eval_count >= 1);
    for (const key of ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"])
        assert.ok(Number.isInteger(end[key]), key);
});

test("ollama chat: model and time are on every line", async () => {
    for (const part of await collect({ messages: user("say pong") })) {
        assert.equal(part.model, "mesh-scripted");
        assert.ok(!Number.isNaN(new Date(part.created_at).getTime()));
    }
});

test("ollama chat: num_predict cuts with the reason length", async () => {
    const answer = await chat({ ...real, options: { temperature: 0, num_predict: 3 } });
    assert.equal(answer.done_reason, "length");
    assert.equal(answer.eval_count, 3);
});

test("ollama chat: num_ctx never reaches the engine", async () => {
    await chat({ messages: user("say x"), options: { num_ctx: 131072 } });
    assert.equal(last().body.num_ctx, undefined);
    assert.equal(last().body.options, undefined);
});

test("ollama chat: options become the engine's fields", async () => {
    await chat({ messages: user("say x"), options: { temperature: 0.25, top_k: 7, top_p: 0.5, seed: 9, stop: ["END"], repeat_penalty: 1.25 } });
    const { body } = last();
    assert.equal(body.temperature, 0.25);
    assert.equal(body.top_k, 7);
    assert.equal(body.seed, 9);
    assert.deepEqual(body.stop, ["END"]);
    assert.equal(body.repeat_penalty, 1.25);
});

test("ollama chat: a tool call has an object as its arguments", async () => {
    const answer = await chat({ messages: user("read notes.txt"), tools: [readFile] });
    assert.equal(answer.message.tool_calls[0].function.name, "read_file");
    assert.equal(answer.message.tool_calls[0].function.arguments.path, "notes.txt");
});

test("ollama chat: streamed tool calls come whole", async () => {
    const calls = (await collect({ messages: user("read both"), tools: [readFile] })).flatMap((part) => part.message.tool_calls ?? []);
    assert.deepEqual(calls.map((call) => call.function.arguments.path), ["a.txt", "b.txt"]);
});

test("ollama chat: a tool's result goes back", async () => {
    const answer = await chat({
        messages: [
            ...user("read notes.txt"),
            { role: "assistant", content: "", tool_calls: [{ function: { name: "read_file", arguments: { path: "notes.txt" } } }] },
            { role: "tool", content: "hidden", tool_name: "read_file" },
        ],
        tools: [readFile],
    });
    assert.equal(answer.message.content, "the file says hidden");
});

test("ollama chat: thinking is apart from the content", async () => {
    const answer = await chat({ messages: user("think about cats"), think: true });
    assert.equal(answer.message.thinking, "first cats then more");
    assert.equal(answer.message.content, "thought of cats");
});

test("ollama chat: format json schema is kept", async () => {
    const answer = await chat({ ...real, options: { num_predict: 300 }, format: { type: "object", properties: { d: { enum: [1, 2] } }, required: ["d"] } });
    assert.ok([1, 2].includes(JSON.parse(answer.message.content).d));
});

test("ollama chat: an image is refused where the model has no eyes", async () => {
    const image = Buffer.from("iVBORw0KGgoAAAANSUhEUg==", "base64");
    await assert.rejects(chat({ ...real, messages: [{ role: "user", content: "what?", images: [image] }] }), /image/);
});

test("ollama chat: abort frees the engine's slot", async () => {
    const stream = await chat({ messages: user("endless"), stream: true });
    for await (const part of stream) if (part.message.content) break;
    stream.abort();
    await until("the engine saw it", () => last().ending === "aborted");
});

test("ollama chat: an error in the middle is thrown", async () => {
    await assert.rejects(collect({ messages: user("break") }), /the engine stumbled/);
});

test("ollama chat: an unknown model is an error in its shape", async () => {
    const response = await fetch(`${bed.loopback}/api/chat`, { method: "POST", body: JSON.stringify({ model: "nothing", messages: user("x") }) });
    assert.equal(response.status, 404);
    assert.deepEqual(Object.keys(await response.json()), ["error"]);
});

test("ollama chat: no blank lines in a stream", async () => {
    const response = await fetch(`${bed.loopback}/api/chat`, { method: "POST", body: JSON.stringify({ model: "mesh-scripted", messages: user("say x") }) });
    const lines = (await response.text()).split("\n");
    assert.equal(lines.pop(), "");
    assert.ok(lines.length > 1);
    for (const line of lines) assert.ok(JSON.parse(line).model);
});

test("ollama generate: a prompt is answered", async () => {
    const answer = await ollama().generate({ model: "mesh-ask", prompt: bed.question, options: { temperature: 0 } });
    assert.equal(answer.response, bed.answer);
    assert.equal(answer.done, true);
});

test("ollama generate: streamed", async () => {
    const pieces = [];
    for await (const part of await ollama().generate({ model: "mesh-ask", prompt: bed.question, options: { temperature: 0 }, stream: true }))
        pieces.push(part.response);
    assert.equal(pieces.join(""), bed.answer);
});

test("ollama generate: a suffix reaches a model with FIM tokens", async () => {
    const answer = await ollama().generate({ model: "mesh-autocomplete", prompt: "int a", suffix: ";", options: { num_predict: 4 } });
    assert.equal(typeof answer.response, "string");
    assert.ok(answer.eval_count > 0);
});

test("ollama generate: raw goes on where the prompt ends", async () => {
    const answer = await ollama().generate({ model: "mesh-code", prompt: "int main", raw: true, options: { num_predict: 5, temperature: 0 } });
    assert.equal(answer.eval_count, 5);
});

test("ollama generate: an empty prompt loads and says so", async () => {
    const answer = await ollama().generate({ model: "mesh-ask", prompt: "" });
    assert.equal(answer.done, true);
    assert.equal(answer.done_reason, "load");
});

test("ollama embed: one and many", async () => {
    const one = await ollama().embed({ model: "mesh-embed", input: "x" });
    const two = await ollama().embed({ model: "mesh-embed", input: ["x", "y"] });
    assert.equal(one.embeddings.length, 1);
    assert.equal(two.embeddings.length, 2);
    assert.equal(two.embeddings[0].length, 128);
    assert.ok(two.prompt_eval_count > 0);
});

test("ollama embeddings: the older endpoint", async () => {
    const { embedding } = await ollama().embeddings({ model: "mesh-embed", prompt: "x" });
    assert.equal(embedding.length, 128);
});

test("ollama tags: what strict readers need of every model", async () => {
    const { models } = await ollama().list();
    assert.ok(models.some((model) => model.name.startsWith("mesh-ask")));
    for (const model of models) {
        assert.ok(model.name && model.digest && Number.isInteger(model.size));
        assert.ok(!Number.isNaN(new Date(model.modified_at).getTime()));
        for (const key of ["format", "family", "parameter_size", "quantization_level"]) assert.equal(typeof model.details[key], "string", key);
    }
});

test("ollama show: capabilities and context length", async () => {
    const shown = await ollama().show({ model: "mesh-scripted" });
    const architecture = shown.model_info["general.architecture"];
    assert.ok(shown.model_info[`${architecture}.context_length`] > 0);
    assert.ok(shown.capabilities.includes("completion"));
    assert.ok(shown.capabilities.includes("tools"));
    assert.match(shown.parameters, /num_ctx +\d+/);
});

test("ollama show: name instead of model, and .Suffix where FIM works", async () => {
    const response = await fetch(`${bed.loopback}/api/show`, { method: "POST", body: JSON.stringify({ name: "mesh-autocomplete" }) });
    const shown = await response.json();
    assert.match(shown.template, /\.Suffix/);
    assert.ok(shown.capabilities.includes("insert"));
});

test("ollama ps: what is resident", async () => {
    const { models } = await ollama().ps();
    assert.ok(models.length > 0);
    assert.ok(models.every((model) => model.name && model.size > 0));
});

test("ollama version: new enough for its clients", async () => {
    const { version } = await ollama().version();
    const [major, minor, patch] = version.split(".").map(Number);
    assert.ok(major > 0 || minor > 13 || (minor === 13 && patch >= 4), version);
});

test("ollama pull and delete: refused clearly", async () => {
    await assert.rejects(ollama().pull({ model: "x" }), /mesh/);
    await assert.rejects(ollama().delete({ model: "x" }), /mesh/);
});
