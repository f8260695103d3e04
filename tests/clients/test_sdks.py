"""The official SDKs (openai, @anthropic-ai/sdk, ollama) against a real mesh over TLS; the cases are in sdk/.

Needs MODEMESH_SDK, the folder into which sdk/package-lock.json was installed, and root: the mesh listens on an address
that is no loopback address, in a network namespace that holds nothing else. Prints the TAP of sdk/run.mjs. Words are
names of files of cases; none means all.
"""

import json
import os
import subprocess
import sys

from everything import HERE, Everything, in_a_namespace
from mesh import FAST, chat, questions
from sdk import MISSING, find_node


def describe(mesh):
    """What the cases are told (sdk/bed.mjs). The answer is the engine's own word, past the coordinator."""
    question = questions()[0]
    answer = mesh.nodes_with["talker"].engine(FAST).ask(chat("ask", question, temperature=0)).content
    return {"url": mesh.url(), "loopback": f"http://{mesh.http}", "key": mesh.api_key, "narrow_key": mesh.narrow_key,
            "slow_key": mesh.slow_key, "script_log": str(mesh.script.folder / "log.jsonl"),
            "script_folder": str(mesh.script.folder), "question": question, "answer": answer}


def main():
    node = find_node()
    if not node:
        print(f"1..0 # SKIP {MISSING}")
        return 0
    if not in_a_namespace():
        print("1..0 # SKIP no network namespace can be made: this needs root")
        return 0
    with Everything() as mesh:
        bed = mesh.folder / "bed.json"
        bed.write_text(json.dumps(describe(mesh)))
        env = {**os.environ, "MODEMESH_BED": str(bed), "NODE_EXTRA_CA_CERTS": str(mesh.ca)}
        return subprocess.run([node, HERE / "sdk" / "run.mjs", *sys.argv[1:]], env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
