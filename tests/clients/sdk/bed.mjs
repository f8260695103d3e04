// What test_sdks.py has started, and the SDKs' clients for it. The bed's file is JSON:
// {url, key, other_key, script_log, …}; see test_sdks.py.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODEMESH_SDK}/`);
export const bed = JSON.parse(readFileSync(process.env.MODEMESH_BED, "utf8"));
export const { OpenAI } = require("openai");
export const Anthropic = require("@anthropic-ai/sdk");
export const { Ollama } = require("ollama");

export const openai = (options = {}) => new OpenAI({ baseURL: `${bed.url}/v1`, apiKey: bed.key, maxRetries: 0, ...options });
export const anthropic = (options = {}) =>
    new Anthropic.Anthropic({ baseURL: bed.url, authToken: bed.key, apiKey: null, maxRetries: 0, ...options });
export const ollama = (options = {}) =>
    new Ollama({ host: bed.url, headers: { Authorization: `Bearer ${bed.key}` }, ...options });

// What reached the scripted engine: [{id, path, body, rule, ending?}], see tests/lib/scripted_engine.py.
export function engineRequests() {
    const found = new Map();
    let text = "";
    try {
        text = readFileSync(bed.script_log, "utf8");
    } catch {
        return [];
    }
    for (const line of text.split("\n").slice(0, -1)) {
        const entry = JSON.parse(line);
        found.set(entry.id, { ...found.get(entry.id), ...entry });
    }
    return [...found.values()];
}

// The first true value of probe(); fails with what was waited for.
export async function until(what, probe, ms = 60_000) {
    const end = Date.now() + ms;
    for (;;) {
        const value = await probe();
        if (value) return value;
        if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
        await new Promise((done) => setTimeout(done, 20));
    }
}
