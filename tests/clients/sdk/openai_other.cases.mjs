// openai: completions, embeddings, models, transcriptions; and endpoints that the SDK has no method for.
import assert from "node:assert/strict";
import { bed, engineRequests, OpenAI, openai } from "./bed.mjs";
import { test } from "./cases.mjs";

const last = () => engineRequests().at(-1);
const fails = (promise, status) =>
    promise.then(
        () => assert.fail("it did not fail"),
        (error) => {
            assert.equal(error.status, status, error.message);
            return error;
        },
    );

test("openai completions: text goes on where the prompt ends", async () => {
    const body = { model: "mesh-code", prompt: "int main", max_tokens: 6, temperature: 0 };
    const answer = await openai().completions.create(body);
    assert.equal(answer.object, "text_completion");
    assert.equal(answer.choices[0].finish_reason, "length");
    assert.equal(answer.usage.completion_tokens, 6);
    const pieces = [];
    for await (const chunk of await openai().completions.create({ ...body, stream: true }))
        pieces.push(chunk.choices[0]?.text ?? "");
    assert.equal(pieces.join(""), answer.choices[0].text);
});

test("openai completions: streamed usage when asked", async () => {
    let usage;
    const body = { model: "mesh-code", prompt: "int", max_tokens: 3, stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await openai().completions.create(body)) usage = chunk.usage ?? usage;
    assert.equal(usage.completion_tokens, 3);
});

test("openai completions: a suffix reaches a model with FIM tokens", async () => {
    const { data, response } = await openai()
        .completions.create({ prompt: "int add(int a, int b) {", suffix: "}", max_tokens: 8, model: "mesh-autocomplete" })
        .withResponse();
    assert.equal(response.headers.get("x-modemesh-model"), "demo-infiller");
    assert.equal(typeof data.choices[0].text, "string");
    assert.ok(data.usage.completion_tokens > 0);
});

test("openai completions: a suffix for a mode without FIM goes to autocomplete", async () => {
    const { response } = await openai()
        .completions.create({ prompt: "int x", suffix: ";", max_tokens: 2, model: "mesh-ask" })
        .withResponse();
    assert.equal(response.headers.get("x-modemesh-mode"), "autocomplete");
});

test("openai completions: a suffix for a named model without FIM is refused", async () => {
    const error = await fails(openai().completions.create({ prompt: "a", suffix: "b", model: "modemesh-demo-fast" }), 400);
    assert.match(error.message, /fill in the middle/);
});

test("openai fim: Mistral's shape is answered", async () => {
    const answer = await openai().post("/fim/completions", {
        body: { model: "mesh-autocomplete", prompt: "int a", suffix: ";", max_tokens: 4 },
    });
    assert.equal(typeof answer.choices[0].message.content, "string");
});

test("openai embeddings: base64, which the SDK asks for by itself", async () => {
    const answer = await openai().embeddings.create({ model: "mesh-embed", input: ["one", "two"] });
    assert.deepEqual(answer.data.map((entry) => entry.index), [0, 1]);
    assert.equal(answer.data[0].embedding.length, 128);
    assert.ok(answer.data[0].embedding.every(Number.isFinite));
    assert.ok(answer.usage.prompt_tokens > 0);
});

test("openai embeddings: base64 and float say the same", async () => {
    const body = { model: "mesh-embed", input: "the same text" };
    const [a, b] = [
        await openai().embeddings.create(body),
        await openai().embeddings.create({ ...body, encoding_format: "float" }),
    ];
    const apart = a.data[0].embedding.map((value, i) => Math.abs(value - b.data[0].embedding[i]));
    assert.ok(Math.max(...apart) < 1e-6);
});

test("openai embeddings: explicit base64 is a string of float32", async () => {
    const answer = await openai().embeddings.create({ model: "mesh-embed", input: "x", encoding_format: "base64" });
    assert.equal(Buffer.from(answer.data[0].embedding, "base64").length, 128 * 4);
});

test("openai embeddings: without a model the mode embed answers", async () => {
    const answer = await openai().post("/embeddings", { body: { input: "x" } });
    assert.equal(answer.model, "demo-embedder");
});

test("openai embeddings: a model that chats only is refused", async () => {
    const error = await fails(openai().embeddings.create({ model: "mesh-code", input: "x" }), 400);
    assert.match(error.message, /embeddings/);
});

test("openai embeddings: bad input names the field", async () => {
    const error = await fails(openai().embeddings.create({ model: "mesh-embed", input: 7 }), 400);
    assert.equal(error.param, "input");
});

test("openai rerank: results are sorted by their score", async () => {
    const { results } = await openai().post("/rerank", {
        body: { model: "mesh-rerank", query: "mesh", documents: ["a mesh", "a cat", "no"], top_n: 2 },
    });
    assert.equal(results.length, 2);
    assert.ok(results[0].relevance_score >= results[1].relevance_score);
});

test("openai transcriptions: refused where no model hears", async () => {
    const file = await OpenAI.toFile(Buffer.from("RIFF0000WAVE"), "a.wav");
    const error = await fails(openai().audio.transcriptions.create({ model: "mesh-ask", file }), 400);
    assert.match(error.message, /audio/);
});

test("openai models: modes and models are listed with their context", async () => {
    const models = [];
    for await (const model of openai().models.list()) models.push(model);
    const ids = models.map((model) => model.id);
    for (const id of ["mesh-ask", "mesh-code", "mesh-auto", "modemesh-demo-fast"]) assert.ok(ids.includes(id), id);
    const ask = models.find((model) => model.id === "mesh-ask");
    for (const key of ["context_length", "max_model_len", "max_input_tokens"]) assert.ok(ask[key] > 0, key);
    assert.equal(ask.meta.n_ctx, ask.context_length);
    assert.equal(ask.object, "model");
    assert.ok(Number.isInteger(ask.created));
    assert.equal(typeof ask.owned_by, "string");
});

test("openai models: no id holds what clients take for something else", async () => {
    for await (const { id } of openai().models.list())
        if (id.startsWith("mesh-")) assert.doesNotMatch(id, /o1|o3|o4|gpt|claude|deepseek-r/);
});

test("openai models: one model is found by its id", async () => {
    assert.equal((await openai().models.retrieve("mesh-code")).id, "mesh-code");
    await fails(openai().models.retrieve("nothing"), 404);
});

test("openai models: a key sees what it may use", async () => {
    const ids = [];
    for await (const model of openai({ apiKey: bed.narrow_key }).models.list()) ids.push(model.id);
    assert.ok(ids.includes("mesh-ask") && !ids.includes("mesh-code"), ids.join());
});

test("openai retry: the SDK waits as Retry-After says and succeeds", async () => {
    const before = engineRequests().length;
    const client = openai({ maxRetries: 3 });
    const answer = await client.chat.completions.create({
        model: "mesh-scripted",
        messages: [{ role: "user", content: "busy then say fine" }],
    });
    assert.equal(answer.choices[0].message.content, "fine at last");
    assert.equal(engineRequests().length - before, 2);
});

test("openai bodies: what is no JSON is a 400 with its place", async () => {
    const response = await fetch(`${bed.loopback}/v1/chat/completions`, { method: "POST", body: '{"model": nope}' });
    assert.equal(response.status, 400);
    assert.match((await response.json()).error.message, /line 1, column/);
});

test("openai bodies: a key that stands twice is a 400", async () => {
    const body = '{"model":"mesh-ask","model":"mesh-code","messages":[{"role":"user","content":"x"}]}';
    const response = await fetch(`${bed.loopback}/v1/chat/completions`, { method: "POST", body });
    assert.equal(response.status, 400);
    assert.match((await response.json()).error.message, /twice/);
});

test("openai paths: unknown ones are answered at once with 404", async () => {
    const response = await fetch(`${bed.loopback}/v1/nothing`, { method: "POST", body: "{}" });
    assert.equal(response.status, 404);
    assert.equal((await response.json()).error.code, "not_found");
    assert.equal((await fetch(`${bed.loopback}/api/hello`, { method: "HEAD" })).status, 404);
});

test("openai health: GET /health needs no key", async () => {
    const response = await fetch(`${bed.url}/health`);
    assert.equal(response.status, 200);
    assert.equal((await response.json()).status, "ok");
});

test("llama.cpp: infill, tokenize, detokenize, apply-template and props", async () => {
    const post = async (path, body) =>
        (await fetch(`${bed.loopback}${path}`, { method: "POST", body: JSON.stringify(body) })).json();
    const infill = await post("/infill", { input_prefix: "int a", input_suffix: ";", n_predict: 4 });
    assert.equal(typeof infill.content, "string");
    assert.equal(infill.stop, true);
    assert.ok(infill.timings.predicted_n > 0);
    const { tokens } = await post("/tokenize", { content: "hello world", model: "mesh-code" });
    assert.ok(tokens.length > 1);
    assert.match((await post("/detokenize", { tokens, model: "mesh-code" })).content, /hello world/);
    const { prompt } = await post("/apply-template", { model: "mesh-ask", messages: [{ role: "user", content: "hi" }] });
    assert.match(prompt, /hi/);
    const props = await (await fetch(`${bed.loopback}/props?model=mesh-ask`)).json();
    assert.ok(props.default_generation_settings.n_ctx > 0);
    assert.ok(props.total_slots > 0);
});

test("llama.cpp: a warm-up with n_predict 0 succeeds, and response_fields are heeded", async () => {
    const answer = await (
        await fetch(`${bed.loopback}/infill`, {
            method: "POST",
            body: JSON.stringify({
                id_slot: 0,
                input_prefix: "int a",
                input_suffix: ";",
                n_predict: 0,
                samplers: [],
                cache_prompt: true,
                t_max_prompt_ms: 1,
                response_fields: ["content", "timings/prompt_n"],
            }),
        })
    ).json();
    assert.deepEqual(Object.keys(answer).sort(), ["content", "timings/prompt_n"]);
});

test("llama.cpp: /slots shows no prompts", async () => {
    const slots = await (await fetch(`${bed.loopback}/slots?model=mesh-ask`)).json();
    assert.ok(slots.length > 0);
    for (const slot of slots) {
        assert.equal(typeof slot.is_processing, "boolean");
        assert.equal(slot.prompt, undefined);
    }
});
