"""What `modemesh fit` estimates against what the real engine says that it takes."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import gguf_make
import mesh
from mesh import CODER, FAST, MODELS, Mesh, THINKER, wait_until

MIB = 1 << 20
BUFFER = re.compile(r"\s(\S+)\s+(model|KV|RS|compute|output) buffer size =\s*([\d.]+) MiB")
LOADED = re.compile(r"no_alloc\s+= 0")  # behind it the engine no longer only rehearses
# context, slots, cache type
RUNS = ((512, 1, "f16"), (4096, 1, "f16"), (32768, 1, "f16"), (2048, 4, "f16"), (8192, 2, "q8_0"), (4096, 2, "q5_1"),
        (16384, 1, "q4_0"), (1024, 8, "bf16"))


def engine_log(path, context, slots, kind):
    """What the engine prints until it has loaded the model."""
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        engine = subprocess.Popen(
            [os.environ["MODEMESH_LLAMA_SERVER"], "--model", path, "--host", f"{folder}/e.sock", "-lv", "9",
             "--no-warmup", "--threads", "1", "--parallel", str(slots), "--ctx-size", str(context * slots),
             "--cache-type-k", kind, "--cache-type-v", kind, "--flash-attn", "on"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        late = threading.Timer(mesh.DEADLINE_S, engine.kill)
        late.start()
        lines = []
        for line in engine.stdout:
            lines.append(line)
            if "model loaded" in line:
                engine.send_signal(signal.SIGTERM)
        late.cancel()
        engine.wait()
        assert any("model loaded" in line for line in lines), "".join(lines[-mesh.LOG_TAIL_LINES:])
    return "".join(lines)


def buffers(log):
    """MiB of each kind of buffer that the last load in a log has taken."""
    begin = max((match.start() for match in LOADED.finditer(log)), default=0)
    sums = {}
    for _, kind, mib in BUFFER.findall(log[begin:]):
        sums[kind] = sums.get(kind, 0) + float(mib)
    return sums


def estimated(path, context, slots, kind):
    done = subprocess.run(
        [pathlib.Path(os.environ["MODEMESH_BIN"], "modemesh"), "fit", path, "--context", str(context),
         "--slots", str(slots), "--kv", kind, "--json"], capture_output=True, text=True, timeout=mesh.DEADLINE_S)
    assert done.returncode == 0, done
    model = json.loads(done.stdout)["models"][0]
    return model, model["contexts"][0]


def compare(path):
    for run in RUNS:
        said, (model, cell) = buffers(engine_log(path, *run)), estimated(path, *run)
        total = sum(said.values())
        where = f"{path.name} {run}: engine {said}, estimate {cell}"
        print(f"# {path.stem} context {run[0]}, {run[1]} slots, {run[2]}: engine {total:.2f} MiB, "
              f"estimate {cell['total_bytes'] / MIB:.2f}; cache {said['KV']:.2f}, {cell['cache_bytes'] / MIB:.2f}")
        assert abs(cell["total_bytes"] / MIB - total) <= 0.05 * total + 1, where
        assert abs(cell["cache_bytes"] / MIB - said["KV"]) <= 0.001 * said["KV"], where
        assert abs(model["weights_bytes"] / MIB - said["model"]) <= 0.01, where
        assert model["basis"] == "header" and not model["at_most"], model


def demo_models_take_what_is_estimated():
    for name in (FAST, CODER, THINKER):
        compare(MODELS / f"{name}.gguf")


def a_larger_model_takes_what_is_estimated():
    with tempfile.TemporaryDirectory(prefix="made-") as folder:
        path = pathlib.Path(folder, "made.gguf")
        gguf_make.make(path, layers=8, embedding=512, heads=16, kv_heads=4, head=64, feed_forward=2048, type="Q8_0")
        compare(path)


def counted(node, name):
    return node.model(name).get("memory_bytes", 0)


def counted_at_loads(node, name):
    """What each load of the model counted before its engine had said anything, in all lives of the node."""
    return [int(size) for size in re.findall(rf"model loading .*model={name} .*memory_bytes=(\d+)", node.daemon.text())]


def what_an_engine_takes_counts_for_the_next_load():
    """The large vocabulary is what an estimate for engines of unknown age gets wrong."""
    with Mesh({"ask": ["one"]}) as cluster:
        node = cluster.add_node("halo1", [], engine={"cache-ram": 0}, start=False)
        for seed, name in enumerate(("one", "other")):
            gguf_make.make(node.models / f"{name}.gguf", name, vocabulary=32000, seed=seed)
        node.start(words=("--log-level", "debug"))
        wait_until("both models are there", lambda: counted(node, "one") and counted(node, "other"))
        estimate = counted(node, "one")
        assert counted(node, "other") == estimate
        assert cluster.ask("one", "hello", max_tokens=1).status == 200

        wait_until(lambda: f"the engine's word counts, not {estimate}",
                   lambda: counted(node, "one") not in (0, estimate))
        taken = counted(node, "one")
        said = sum(buffers(node.daemon.text()).values())
        print(f"# estimate {estimate / MIB:.2f} MiB, counted {taken / MIB:.2f}, engine {said:.2f}")
        assert abs(taken / MIB - said) <= 1, (taken, said)
        wait_until("the other's estimate is of such an engine",
                   lambda: abs(counted(node, "other") - taken) <= 0.05 * taken + MIB)

        node.engine("one").kill()
        wait_until("it is loaded again", lambda: len(counted_at_loads(node, "one")) == 2)
        node.wait_resident("one")
        assert counted_at_loads(node, "one") == [estimate, taken]

        assert node.daemon.stop() == 0
        node.wait_state("offline")
        node.start()
        node.wait_state("up")
        wait_until("its models are there", lambda: node.model("one").get("state") == "available")
        assert counted(node, "one") == taken
        assert cluster.ask("one", "hello", max_tokens=1).status == 200
        assert counted_at_loads(node, "one") == [estimate, taken, taken]
        assert counted(node, "one") == taken


if __name__ == "__main__":
    mesh.run(demo_models_take_what_is_estimated, a_larger_model_takes_what_is_estimated,
             what_an_engine_takes_counts_for_the_next_load)
