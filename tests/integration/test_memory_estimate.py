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
from mesh import CODER, FAST, MODELS, THINKER

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


def measured(path, *run):
    """MiB of each kind of buffer."""
    log = engine_log(path, *run)
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
        said, (model, cell) = measured(path, *run), estimated(path, *run)
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


if __name__ == "__main__":
    mesh.run(demo_models_take_what_is_estimated, a_larger_model_takes_what_is_estimated)
