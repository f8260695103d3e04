"""A mesh that can do all that clients ask for, over TLS, with the real engine but for one node whose words are written.

    ask, code        demo models that chat
    autocomplete     a demo model with FIM tokens (gguf_patch)
    embed, rerank    demo models whose engine was told to make embeddings, to rank
    scripted         answers by the rules of tests/clients/sdk/script.json (tests/lib/scripted_engine.py), says that it
                     sees and hears
    transcribe       the same

It listens on loopback without a key and on ADDRESS with TLS and API keys, so it needs a network namespace of its own:
in_a_namespace() makes one and runs the program in it again.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from gguf_patch import add_fim  # noqa: E402
from mesh import CODER, FAST, MODELS, Mesh  # noqa: E402
from scripted_engine import Script, add_node  # noqa: E402

ADDRESS, PORT = "10.77.0.1", 8420
MODES = {"ask": [FAST], "code": [CODER], "autocomplete": ["demo-infiller"], "embed": ["demo-embedder"],
         "rerank": ["demo-ranker"], "scripted": ["scripted"], "transcribe": ["scripted"]}
INSIDE = "MODEMESH_IN_NAMESPACE"
# A loopback interface that has another address too: what listens there is no loopback listener.
ENTER = f'ip link set lo up && ip addr add {ADDRESS}/32 dev lo && exec "$@"'


def in_a_namespace():
    """False where none can be made; else it does not return outside of one."""
    if os.environ.get(INSIDE):
        return True
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        return False
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
        return False
    words = ["unshare", "--net", "sh", "-c", ENTER, "sh", sys.executable, "-B", *sys.argv]
    os.execvpe(words[0], words, {**os.environ, INSIDE: "yes"})


class Everything(Mesh):
    """`key` may use all, `narrow_key` the mode ask only, `slow_key` once a minute."""

    def __init__(self, script=None):
        super().__init__(MODES)
        self.rules = json.loads((HERE / "sdk" / "script.json").read_text()) if script is None else script

    def __enter__(self):
        super().__enter__()
        try:
            self.furnish()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def start_coordinator(self, *words):
        super().start_coordinator("--http", f"{ADDRESS}:{PORT}", *words)

    def furnish(self):
        self.ca = self.folder / "ca.pem"
        assert self.owner("tls", "show", "--write", str(self.ca)).returncode == 0
        self.api_key = self.make_key("all")
        self.narrow_key = self.make_key("narrow", "--modes", "ask")
        self.slow_key = self.make_key("slow", "--requests-per-minute", "1")
        self.script = Script(self.folder / "script", *self.rules, props={"modalities": {"vision": True, "audio": True}})
        self.scripted = add_node(self, self.script, "writer", [FAST], start=False)
        self.give(self.scripted, "scripted", MODELS / f"{FAST}.gguf")
        infiller = self.folder / "infiller.gguf"
        add_fim(MODELS / f"{CODER}.gguf", infiller)
        self.nodes_with = {
            "talker": self.add_node("talker", [FAST, CODER], slots=4),
            "infiller": self.add_engine("infiller", "demo-infiller", infiller),
            "embedder": self.add_engine("embedder", "demo-embedder", MODELS / f"{FAST}.gguf", "--embeddings",
                                        "--pooling", "mean"),
            "ranker": self.add_engine("ranker", "demo-ranker", MODELS / f"{FAST}.gguf", "--reranking"),
        }
        self.scripted.start()
        self.scripted.wait_resident("scripted")

    def make_key(self, name, *scope):
        done = self.owner("keys", "create", name, *scope)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def give(self, node, name, path):
        """Puts the file among the node's models, to be resident."""
        for old in node.models.glob("*.gguf"):
            old.unlink()
        shutil.copy(path, node.models / f"{name}.gguf")
        config = json.loads(node.config.read_text())
        config["resident"] = [name]
        node.config.write_text(json.dumps(config))

    def add_engine(self, node_name, name, path, *words):
        """A node with this one model; `words` go to its engine."""
        node = self.add_node(node_name, [], words=words, start=False)
        self.give(node, name, path)
        node.start()
        node.wait_resident(name)
        return node

    def url(self):
        return f"https://{ADDRESS}:{PORT}"
