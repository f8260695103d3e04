// Uses the mesh as an editor does, through the official SDK, and prints what came of it as JSON:
//
//     MODEMESH_SDK=FOLDER OPENAI_BASE_URL=… OPENAI_API_KEY=… node editor.mjs MODEL QUESTION
//
// FOLDER is where `npm ci` has installed tests/clients/sdk/package-lock.json.
import { createRequire } from "node:module";

const { OpenAI } = createRequire(`${process.env.MODEMESH_SDK}/`)("openai");
const [model, question] = process.argv.slice(2);
const client = new OpenAI({ maxRetries: 0 });
const body = { model, messages: [{ role: "user", content: question }], temperature: 0 };

async function listed() {
    const names = [];
    for await (const entry of client.models.list()) names.push(entry.id);
    return names;
}

async function answered() {
    const answer = await client.chat.completions.create(body);
    return answer.choices[0].message.content;
}

async function streamed() {
    const pieces = [];
    for await (const chunk of await client.chat.completions.create({ ...body, stream: true }))
        pieces.push(chunk.choices[0]?.delta?.content ?? "");
    return pieces.filter(Boolean);
}

try {
    console.log(JSON.stringify({ models: await listed(), answer: await answered(), pieces: await streamed() }));
} catch (error) {
    console.log(JSON.stringify({ error: error.constructor.name, status: error.status }));
}
