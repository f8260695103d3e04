// Runs the cases of this folder's *.cases.mjs one after another and prints TAP:
//
//     MODEMESH_SDK=FOLDER MODEMESH_BED=FILE node run.mjs [FILE…]
//
// FOLDER is where `npm ci` has installed this folder's package-lock.json; the bed is what test_sdks.py has started
// (bed.mjs). MODEMESH_ONLY is a regular expression that names the cases to run.
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { cases } from "./cases.mjs";

const CASE_LIMIT_MS = 120_000; // a case that hangs is a case that failed

const here = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here).filter((name) => name.endsWith(".cases.mjs")).sort();
for (const file of files)
    if (wanted.length === 0 || wanted.includes(basename(file))) await import(pathToFileURL(join(here, file)));

const only = new RegExp(process.env.MODEMESH_ONLY ?? "");
const chosen = cases.filter(({ name }) => only.test(name));
let failures = chosen.length === 0 ? 1 : 0;

async function limited(run) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no end after ${CASE_LIMIT_MS} ms`)), CASE_LIMIT_MS);
    });
    try {
        await Promise.race([run(), late]);
    } finally {
        clearTimeout(timer);
    }
}

console.log(`1..${chosen.length}`);
for (const [index, { name, run }] of chosen.entries()) {
    try {
        await limited(run);
        console.log(`ok ${index + 1} - ${name}`);
    } catch (error) {
        failures++;
        for (const line of inspect(error, { depth: 6 }).split("\n")) console.log(`# ${line}`);
        console.log(`not ok ${index + 1} - ${name}`);
    }
}
process.exit(failures ? 1 : 0);
