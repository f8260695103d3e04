"""The setups of configs/ as meshes of real daemons: the shipped files as they are, on recorded hardware, with sparse
files in the place of the models and an engine that answers by a script. What a test changes are folders, ports and how
a node finds its coordinator."""

import json
import re

import published_models
from mesh import REPO, Mesh, wait_until

CONFIGS = REPO / "configs"
HARDWARE = REPO / "tests" / "lib" / "hardware"
NVML, NVML_STANDIN = "libnvidia-ml.so.1", "libnvml_standin.so"


def node_name(config):
    """What the node of that file calls itself."""
    return re.search(r"^name: (\S+)$", (CONFIGS / config).read_text(), re.MULTILINE)[1]


class SetupMesh(Mesh):
    """Use as a context manager. `coordinator`: its config below configs/; `hardware`: of the nodes, by its name in
    tests/lib/hardware/; `engines`: in the place of those that the nodes' files name."""

    def __init__(self, coordinator, hardware, engines=None):
        super().__init__()
        self.config = CONFIGS / coordinator
        (self.folder / "lib").mkdir()
        (self.folder / "lib" / NVML).symlink_to(self.bin / NVML_STANDIN)
        self.recorded = {
            "LD_LIBRARY_PATH": str(self.folder / "lib"), "MODEMESH_NVML_ANSWERS": str(HARDWARE / hardware / "nvml"),
            "MODEMESH_NODE_HOST_ROOT": str(HARDWARE / hardware), "MODEMESH_NODE_ENGINE_BACKEND": "fake",
            "MODEMESH_LLAMA_SERVER": "fake:", **({"MODEMESH_NODE_ENGINES": engines} if engines else {})}

    def env(self):
        return {**super().env(), **self.recorded}

    def start_node(self, config, models):
        """Starts the node that the shipped file is for, with these models in its folder."""
        name = node_name(config)
        folder = self.folder / f"{name}.models"
        folder.mkdir()
        for model in models:
            published_models.make_sparse(folder, model)
        return self.spawn(name, "modemesh-node", "--config", CONFIGS / config, "--state", self.folder / name,
                          "--models", folder, "--no-mdns", "--join", self.state / "local.token",
                          "--coordinator", self.link)

    def plan(self):
        done = self.owner("plan", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def node(self, name):
        """What the coordinator tells of it, {} where it tells nothing."""
        return next((node for node in self.status()["nodes"] if node["name"] == name), {})

    def models(self, node):
        """{name: what the coordinator tells of it}"""
        return {model["name"]: model for model in self.node(node).get("models", [])}

    def wait_models(self, node, names):
        wait_until(lambda: f"{node} tells its memory and {names}, now {self.node(node)}",
                   lambda: self.models(node).keys() >= set(names) and self.node(node)["memory"]["limit_bytes"] > 0)
