// The list of cases; each file of cases adds its own.
export const cases = [];

// `name` is what the table of rules calls the case (tests/clients/rules.py): unique, and never renamed silently.
export function test(name, run) {
    if (cases.some((known) => known.name === name)) throw new Error(`two cases are called "${name}"`);
    cases.push({ name, run });
}
