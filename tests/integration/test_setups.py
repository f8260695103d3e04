"""The setups in configs/, planned against recorded hardware: the shipped files as they are, and the best placement of
each written out by hand; nodes on that hardware then load it. What a file says of its numbers is what the plan says."""

import dataclasses
import hashlib
import json
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
import published_models
from mesh import REPO, wait_until
from ollama_standin import OllamaStandin
from setups import CONFIGS, SetupMesh

GPT_120B, GPT_20B = "gpt-oss-120b-mxfp4", "gpt-oss-20b-mxfp4"
CODER_Q4, CODER_Q8 = "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M", "Qwen3-Coder-30B-A3B-Instruct-Q8_0"
THINKER_30B, GLM_AIR = "Qwen3-30B-A3B-Thinking-2507-Q4_K_M", "GLM-4.5-Air-Q4_K_M"
QWEN_235B_Q2, QWEN_235B_Q3 = "Qwen3-235B-A22B-Thinking-2507-Q2_K", "Qwen3-235B-A22B-Thinking-2507-Q3_K_M"
FIM_7B, FIM_1B, EMBED = "Qwen2.5-Coder-7B-Q8_0", "Qwen2.5-Coder-1.5B-Q8_0", "Qwen3-Embedding-0.6B-Q8_0"
README = REPO / "README.md"
K = 1024
GIB = 1 << 30


@dataclasses.dataclass
class Setup:
    hardware: str      # of each node, in tests/lib/hardware/
    disks: dict        # {node: models on its disk}; its file is NODE.yaml, or node.yaml where it is the only one
    placed: dict       # {(node, model): (context, slots)}, all that is to be loaded
    served: dict       # {mode: (node, model)}, of all its copies
    lost_permille: int  # all of it time: modes that share a machine slow each other, in proportion to their weights

    def file(self, node):
        return "node.yaml" if len(self.disks) == 1 else f"{node}.yaml"


SETUPS = {
    # The 235B leaves no room for anything else, and the first choice of all three modes goes before the second of all.
    "workstation-96g/reasoning": Setup(
        "workstation-96g", {"workstation": [QWEN_235B_Q2, GPT_120B]},
        {("workstation", QWEN_235B_Q2): (30 * K, 3)},
        {mode: ("workstation", QWEN_235B_Q2) for mode in ("ask", "code", "architect")}, 26),
    # Three agents share one engine of the coder: its weights are there once.
    "workstation-96g/agents": Setup(
        "workstation-96g", {"workstation": [GPT_120B, CODER_Q4, FIM_1B]},
        {("workstation", GPT_120B): (32 * K, 2), ("workstation", CODER_Q4): (48 * K, 3),
         ("workstation", FIM_1B): (8 * K, 1)},
        {"ask": ("workstation", GPT_120B), "architect": ("workstation", GPT_120B), "code": ("workstation", CODER_Q4),
         "autocomplete": ("workstation", FIM_1B)}, 31),
    "workstation-96g/throughput": Setup(
        "workstation-96g", {"workstation": [CODER_Q4, GPT_20B, FIM_7B, EMBED]},
        {("workstation", CODER_Q4): (24 * K, 24), ("workstation", GPT_20B): (16 * K, 16),
         ("workstation", FIM_7B): (8 * K, 4), ("workstation", EMBED): (8 * K, 4)},
        {"ask": ("workstation", GPT_20B), "code": ("workstation", CODER_Q4), "autocomplete": ("workstation", FIM_7B),
         "embed": ("workstation", EMBED)}, 24),
    "workstation-96g/context": Setup(
        "workstation-96g", {"workstation": [CODER_Q8, THINKER_30B, FIM_1B]},
        {("workstation", CODER_Q8): (256 * K, 2), ("workstation", THINKER_30B): (256 * K, 1),
         ("workstation", FIM_1B): (8 * K, 1)},
        {"ask": ("workstation", CODER_Q8), "code": ("workstation", CODER_Q8),
         "architect": ("workstation", THINKER_30B), "autocomplete": ("workstation", FIM_1B)}, 28),
    "strix-halo/ask-code": Setup(
        "strix-halo", {"halo": [GPT_120B, CODER_Q8]},
        {("halo", GPT_120B): (128 * K, 1), ("halo", CODER_Q8): (128 * K, 1)},
        {"ask": ("halo", GPT_120B), "code": ("halo", CODER_Q8)}, 22),
    "strix-halo/autocomplete": Setup(
        "strix-halo", {"halo": [GPT_120B, CODER_Q4, FIM_7B, EMBED]},
        {("halo", GPT_120B): (64 * K, 1), ("halo", CODER_Q4): (64 * K, 1), ("halo", FIM_7B): (8 * K, 2),
         ("halo", EMBED): (8 * K, 1)},
        {"ask": ("halo", GPT_120B), "code": ("halo", CODER_Q4), "autocomplete": ("halo", FIM_7B),
         "embed": ("halo", EMBED)}, 26),
    # gpt-oss-120b does not fit beside GLM-4.5-Air and the coder, and is the second choice.
    "strix-halo/architect": Setup(
        "strix-halo", {"halo": [GLM_AIR, GPT_120B, CODER_Q4]},
        {("halo", GLM_AIR): (64 * K, 1), ("halo", CODER_Q4): (64 * K, 2)},
        {"ask": ("halo", CODER_Q4), "code": ("halo", CODER_Q4), "architect": ("halo", GLM_AIR)}, 25),
    # One engine, although three modes want one each.
    "strix-halo/three-agents": Setup(
        "strix-halo", {"halo": [CODER_Q8]}, {("halo", CODER_Q8): (128 * K, 3)},
        {mode: ("halo", CODER_Q8) for mode in ("ask", "code", "debug")}, 24),
    # Only the machine without a desktop has room for the 235B, and then for nothing else.
    "two-strix-halos": Setup(
        "strix-halo", {"speed": [GPT_120B, CODER_Q4, FIM_7B, EMBED], "reasoning": [QWEN_235B_Q3, GPT_120B]},
        {("speed", GPT_120B): (64 * K, 1), ("speed", CODER_Q4): (64 * K, 2), ("speed", FIM_7B): (8 * K, 2),
         ("speed", EMBED): (8 * K, 1), ("reasoning", QWEN_235B_Q3): (48 * K, 2)},
        {"ask": ("speed", GPT_120B), "code": ("speed", CODER_Q4), "autocomplete": ("speed", FIM_7B),
         "embed": ("speed", EMBED), "architect": ("reasoning", QWEN_235B_Q3), "debug": ("reasoning", QWEN_235B_Q3)},
        20),
}


def start(cluster, name, nodes):
    """The setup's nodes, with the models on their disks that their files have settings for."""
    setup = SETUPS[name]
    for node in nodes:
        cluster.start_node(f"{name}/{setup.file(node)}", setup.disks[node])
    for node in nodes:
        cluster.wait_models(node, setup.disks[node])


def placed(plan):
    return {(model["node"], model["model"]): (model["context"], model["slots"]) for model in plan["models"]
            if model["action"] in ("load", "keep")}


def served(plan):
    """{mode: (node, model)}; the copies of a mode are not apart in any of the setups."""
    return {mode["mode"]: (mode["node"], mode["model"]) for mode in plan["modes"]}


def gib(size):
    return round(size / GIB, 1)


def row(model, slots, context, weights, total):
    weights, total = gib(weights), gib(total)
    return f"#   {model:37}{slots:3} x {context:6}{weights:7} +{total - weights:5.1f} = {total:5} GiB"


def table(cluster, plan, node):
    """What the head of a node's file says."""
    memory = next(it for it in plan["nodes"] if it["node"] == node)
    own = cluster.models(node)
    for it in sorted((it for it in plan["models"] if it["node"] == node), key=lambda it: -it["memory_bytes"]):
        yield row(it["model"], it["slots"], it["context"], own[it["model"]]["file_bytes"], it["memory_bytes"])
    yield f"#   {'left':64}{gib(memory['free_bytes']):6} of {gib(memory['capacity_bytes'])} GiB"


def check_head(path, rows):
    text = (CONFIGS / path).read_text()
    for line in rows:
        assert f"{line}\n" in text, f"{path} does not say\n{line}\n{text}"


def check_readme(plan, name):
    line = next(line for line in README.read_text().splitlines() if f"](configs/{name})" in line)
    for node in plan["nodes"]:
        assert f"{gib(node['free_bytes'])} of {gib(node['capacity_bytes'])}" in line, (line, node)


def check_losses(plan, lost_permille):
    for mode in plan["modes"]:
        less = {key: lost for key, lost in mode["lost"].items() if lost and key != "time"}
        assert mode["choice"] == 1 and mode["context"] == mode["wanted_context"] and not less, mode
    assert plan["exact"] and plan["lost_permille"] == lost_permille, plan


def check_nodes(cluster, plan):
    """What nodes would load by themselves when a request comes is what the plan loads, in as much memory; it fits. Each
    model has the alias that its node's file gives it, the second choices too."""
    for model in plan["models"]:
        own = cluster.models(model["node"])[model["model"]]
        assert own["context"] == model["context"] and own["memory_bytes"] == model["memory_bytes"], (model, own)
    for node in plan["nodes"]:
        assert all(model["aliases"] for model in cluster.models(node["node"]).values()), cluster.models(node["node"])
        assert node["planned_bytes"] + node["free_bytes"] == node["capacity_bytes"], node
        total = sum(model["memory_bytes"] for model in plan["models"] if model["node"] == node["node"])
        assert total == node["planned_bytes"] and not node["spare_bytes"], node


def check_it_is_so(cluster, plan):
    """The nodes, who are the authority on their memory, load what was planned, and then it is the plan to leave it."""
    done = cluster.owner("plan", "--apply")  # refused where the coordinator has begun with it by itself
    wanted = {(model["node"], model["model"]) for model in plan["models"]}

    def resident():
        return {(node, model) for node in {node for node, _ in wanted} for model, it in cluster.models(node).items()
                if it["state"] == "resident"}
    wait_until(lambda: f"{wanted} are loaded, now {resident()}: {done}", lambda: resident() == wanted)
    again = cluster.plan()
    assert again["loads"] == again["unloads"] == 0 and placed(again) == placed(plan), again
    for node in cluster.status()["nodes"]:
        assert 0 < node["memory"]["used_bytes"] <= node["memory"]["limit_bytes"], node


def check(name):
    setup = SETUPS[name]
    with SetupMesh(f"{name}/coordinator.yaml", setup.hardware) as cluster:
        start(cluster, name, setup.disks)
        plan = cluster.plan()
        assert placed(plan) == setup.placed and served(plan) == setup.served and not plan["notes"], plan
        check_losses(plan, setup.lost_permille)
        check_nodes(cluster, plan)
        for node in setup.disks:
            check_head(f"{name}/{setup.file(node)}", table(cluster, plan, node))
        check_readme(plan, name)
        check_it_is_so(cluster, plan)


def case_of(name):
    def case():
        check(name)
    case.__name__ = f"{name.replace('/', '_').replace('-', '_')}_is_planned_as_it_should_be"
    return case


def the_speed_machine_stands_in_for_the_other():
    with SetupMesh("two-strix-halos/coordinator.yaml", "strix-halo") as cluster:
        start(cluster, "two-strix-halos", ["speed"])
        plan = cluster.plan()
        own = SETUPS["two-strix-halos"]
        assert served(plan) == own.served | {"architect": ("speed", GPT_120B), "debug": ("speed", GPT_120B)}, plan
        here = {place: run for place, run in own.placed.items() if place[0] == "speed"}
        assert placed(plan) == here | {("speed", GPT_120B): (64 * K, 3)}, plan
        for mode in plan["modes"]:  # one step down the list
            assert mode["lost"]["model"] == (120 if mode["mode"] in ("architect", "debug") else 0), mode
        check_it_is_so(cluster, plan)


# --- a Mac, whose Ollama is not the mesh's own

MAC_CONTEXT = 32 * K
MAC_MEMORY = "224G"
MAC_LARGEST = 44800  # tokens that each of the four can have, as its file says
# Names in Ollama, and the published files that they are.
MAC_MODELS = {"hf.co/unsloth/Qwen3-235B-A22B-Thinking-2507-GGUF:Q3_K_M": QWEN_235B_Q3, "gpt-oss:120b": GPT_120B,
              "qwen3-coder:30b-a3b-q8_0": CODER_Q8, "gpt-oss:20b": GPT_20B}
MAC_MODES = {"ask": "gpt-oss:20b", "code": "qwen3-coder:30b-a3b-q8_0", "debug": "gpt-oss:120b",
             "architect": "hf.co/unsloth/Qwen3-235B-A22B-Thinking-2507-GGUF:Q3_K_M"}


def ollama_model(name):
    model = published_models.MODELS[name]
    return {"size": int(model.size * GIB), "digest": hashlib.sha256(name.encode()).hexdigest(),
            "family": model.architecture, "parameter_size": f"{model.parameters}B",
            "quantization_level": name.rpartition("-")[2], "parameters": int(model.parameters * 1e9),
            "trained": model.shape["context"], "num_ctx": None, "capabilities": ["completion", "tools"]}


def load_for_ever(ollama, name):
    body = json.dumps({"model": name, "keep_alive": -1}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{ollama.url}/api/generate", body), timeout=60) as answer:
        assert answer.status == 200


def mac_256g_keeps_its_four_tiers():
    with OllamaStandin(models={name: ollama_model(file) for name, file in MAC_MODELS.items()}) as ollama, \
            SetupMesh("mac-256g/coordinator.yaml", "none", engines=ollama.url) as cluster:
        ollama.default_context, ollama.memory_bytes = MAC_CONTEXT, 224 * GIB
        for name in MAC_MODELS:
            load_for_ever(ollama, name)
        cluster.start_node("mac-256g/node.yaml", [])
        wait_until(lambda: f"all are taken up, now {cluster.models('mac')}",
                   lambda: [it["state"] for it in cluster.models("mac").values()] == ["resident"] * len(MAC_MODELS))
        plan = cluster.plan()
        assert {model["model"]: (model["action"], model["context"]) for model in plan["models"]} == {
            name: ("keep", MAC_CONTEXT) for name in MAC_MODELS}, plan
        assert served(plan) == {mode: ("mac", name) for mode, name in MAC_MODES.items()}, plan
        check_losses(plan, 27)
        assert [ollama.loads(name) for name in MAC_MODELS] == [1] * len(MAC_MODELS)


def fit(cluster, context):
    """What `modemesh fit` says of the Mac's models."""
    files = [cluster.folder / f"{name}.gguf" for name in MAC_MODELS.values()]
    done = cluster.cli("fit", *files, "--memory", MAC_MEMORY, "--context", str(context), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows_of(fitted):
    for model in fitted["models"]:
        run = model["contexts"][0]
        yield row(model["name"], 1, run["context"], model["weights_bytes"], run["total_bytes"])
    together, = fitted["together"]["sets"]
    free, margin = together["left_bytes"], fitted["memory_bytes"] - fitted["usable_bytes"]
    words = f"left, {gib(margin)} of it as the margin"
    yield f"#   {words:64}{gib(free):6} of {gib(fitted['memory_bytes'])} GiB"


def what_the_mac_is_told_to_hold_fits():
    with SetupMesh("mac-256g/coordinator.yaml", "none") as cluster:
        for name in MAC_MODELS.values():
            published_models.make_sparse(cluster.folder, name)
        fitted = fit(cluster, MAC_CONTEXT)
        together, = fitted["together"]["sets"]
        assert set(together["models"]) == set(MAC_MODELS.values()) and together["largest_context"] == MAC_LARGEST
        check_head("mac-256g/node.yaml", rows_of(fitted))
        assert all(len(together["models"]) < len(MAC_MODELS) for together in fit(cluster, 64 * K)["together"]["sets"])


if __name__ == "__main__":
    mesh.run(*map(case_of, SETUPS), the_speed_machine_stands_in_for_the_other, mac_256g_keeps_its_four_tiers,
             what_the_mac_is_told_to_hold_fits)
