// Pictures and sound, through every API that has them, to an engine that says it sees and hears.
import assert from "node:assert/strict";
import { anthropic, bed, engineRequests, ollama, OpenAI, openai } from "./bed.mjs";
import { test } from "./cases.mjs";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
const url = `data:image/png;base64,${PNG}`;
const model = "mesh-scripted";
const last = () => engineRequests().at(-1).body;
const seen = () => last().messages.at(-1).content.filter((part) => part.type === "image_url").map((part) => part.image_url.url);

test("media: openai chat passes a picture on", async () => {
    await openai().chat.completions.create({
        model,
        messages: [{ role: "user", content: [{ type: "text", text: "what?" }, { type: "image_url", image_url: { url, detail: "low" } }] }],
    });
    assert.deepEqual(seen(), [url]);
});

test("media: openai responses pass a picture on", async () => {
    await openai().responses.create({
        model,
        input: [{ role: "user", content: [{ type: "input_text", text: "what?" }, { type: "input_image", image_url: url, detail: "auto" }] }],
    });
    assert.deepEqual(seen(), [url]);
});

test("media: anthropic passes a picture on", async () => {
    const source = { type: "base64", media_type: "image/png", data: PNG };
    await anthropic().messages.create({
        model,
        max_tokens: 10,
        messages: [{ role: "user", content: [{ type: "image", source }, { type: "text", text: "what?" }] }],
    });
    assert.deepEqual(seen(), [url]);
});

test("media: ollama passes a picture on", async () => {
    await ollama().chat({ model, messages: [{ role: "user", content: "what?", images: [Buffer.from(PNG, "base64")] }] });
    assert.deepEqual(seen(), [url]);
});

test("media: a picture behind an address is refused in every API", async () => {
    const far = "https://example.org/cat.png";
    const asked = engineRequests().length;
    const asks = [
        () => openai().chat.completions.create({ model, messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: far } }] }] }),
        () => openai().responses.create({ model, input: [{ role: "user", content: [{ type: "input_image", image_url: far, detail: "auto" }] }] }),
        () => anthropic().messages.create({ model, max_tokens: 5, messages: [{ role: "user", content: [{ type: "image", source: { type: "url", url: far } }] }] }),
    ];
    for (const ask of asks)
        await assert.rejects(ask, (error) => error.status === 400 && /data:|base64/.test(error.message));
    assert.equal(engineRequests().length, asked);
});

test("media: a transcription where an engine hears", async () => {
    const file = await OpenAI.toFile(Buffer.from("RIFF\x04\0\0\0WAVE"), "speech.wav");
    const { text } = await openai().audio.transcriptions.create({ model: "mesh-transcribe", file, language: "en" });
    assert.equal(typeof text, "string");
    const plain = await openai().audio.transcriptions.create({ model: "mesh-transcribe", file, response_format: "text" });
    assert.equal(String(plain).trim(), text.trim());
});

test("media: a transcription finds its mode by itself", async () => {
    const form = new FormData();
    form.append("file", new Blob(["RIFF\x04\0\0\0WAVE"]), "speech.wav");
    const response = await fetch(`${bed.loopback}/v1/audio/transcriptions`, { method: "POST", body: form });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("x-modemesh-mode"), "transcribe");
});
