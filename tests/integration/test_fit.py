"""`modemesh fit`: the real binary on the demo models, on made ones and on a file of 100 GB, with no daemon anywhere."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import gguf_make
import gguf_patch
import mesh
from mesh import CODER, FAST, MODELS, THINKER

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BINARY = pathlib.Path(os.environ.get("MODEMESH_BIN", "."), "modemesh")
TOP_KEYS = ["memory_bytes", "memory_given", "usable_bytes", "slots", "kv", "models", "together", "problems"]
MODEL_KEYS = ["name", "path", "architecture", "quantisation", "basis", "at_most", "context_trained", "weights_bytes",
              "projector_bytes", "fits_context", "largest_context", "contexts"]
CELL_KEYS = ["context", "beyond_trained", "cache_bytes", "state_bytes", "compute_bytes", "total_bytes", "margin_bytes",
             "fits"]
SMALL = "43M"  # of memory: 40.3 MiB for models
SET_KEYS = ["models", "total_bytes", "left_bytes", "largest_context"]
# About 100 GB at F16, with a vocabulary as large models have it.
LARGE = {"layers": 56, "embedding": 8192, "heads": 64, "kv_heads": 8, "head": 128, "feed_forward": 28672,
         "vocabulary": 128256, "context": 131072}

# 33 GB with 64 layers of 8 key-value heads, and 92 GB with 94 of 4: 256 and 188 KiB of cache a token.
PAIR = {"dense": {"layers": 64, "embedding": 5120, "heads": 64, "kv_heads": 8, "head": 128, "feed_forward": 24000,
                  "vocabulary": 151936, "context": 131072, "type": "Q8_0"},
        "mixture": {"layers": 94, "embedding": 4096, "heads": 64, "kv_heads": 4, "head": 128, "feed_forward": 1536,
                    "vocabulary": 151936, "context": 262144, "type": "Q8_0", "experts": 44, "experts_used": 8}}


def env(path=None):
    """Without settings of ours, and with no tool of an engine on PATH but what is in the folder `path`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MODEMESH_")}
    return {**kept, "PATH": f"{path}:/usr/bin:/bin" if path else "/nonexistent", "LC_ALL": "C.UTF-8"}


def fit(*words, cwd=None, path=None):
    return subprocess.run([BINARY, "fit", *words], env=env(path), cwd=cwd, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=mesh.DEADLINE_S)


def fit_json(*words, **options):
    done = fit(*words, "--json", **options)
    assert done.returncode == 0 and done.stderr == "", done
    return json.loads(done.stdout)


def assert_refused(done, status, *words):
    assert done.returncode == status and done.stdout == "", done
    assert done.stderr.startswith("modemesh: ") and done.stderr.count("\n") == 1, done
    for word in words:
        assert word in done.stderr, (word, done)


def scratch():
    return tempfile.TemporaryDirectory(prefix="fit-")


def the_table_is_what_people_write_by_hand():
    done = fit(MODELS, "--memory", "96G")
    assert done.returncode == 0 and done.stderr == "", done
    lines = done.stdout.splitlines()
    assert lines[0] == "In 96.0 GiB, 1 slot, cache in f16:", lines
    assert re.sub(r"\s+", " ", lines[1]).strip() == "MODEL QUANT WEIGHTS +8k +32k +128k AT 128k FITS MAX CONTEXT NOTE"
    rows = {line.split()[0]: re.sub(r"\s+", " ", line).strip() for line in lines[2:5]}
    assert set(rows) == {FAST, CODER, THINKER}, rows
    # Cache of 4 layers with 2 · 32 elements each way: 1 KiB a token; the rest is to compute in.
    assert rows[FAST] == (f"{FAST} Q8_0 969.2 KiB 19.5 MiB 67.5 MiB 259.5 MiB 260.5 MiB yes 32768 "
                          "trained for 32768 tokens"), rows
    assert "Together, with a context of 32k each:" in lines, lines
    names = ", ".join((CODER, FAST, THINKER))
    assert re.search(rf"^{names}\s+205\.4 MiB\s+95\.8 GiB\s+32768$", done.stdout, re.MULTILINE), done
    assert lines[-1] == "What fits leaves at least 4.6 GiB free.", lines


def memory_of_this_host_is_the_default():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    answer = fit_json(MODELS / f"{FAST}.gguf")
    assert answer["memory_bytes"] == total and answer["memory_given"] is False, answer
    assert "this host's memory" in fit(MODELS / f"{FAST}.gguf").stdout


def json_has_a_stable_shape():
    answer = fit_json(MODELS, "--memory", "2G", "--context", "4k,32k", "--slots", "2", "--kv", "q8_0")
    assert list(answer) == TOP_KEYS, answer
    assert (answer["memory_bytes"], answer["usable_bytes"], answer["slots"]) == (2 * GIB, 1920 * MIB, 2), answer
    assert [model["name"] for model in answer["models"]] == [CODER, FAST, THINKER], answer
    for model in answer["models"]:
        assert list(model) == MODEL_KEYS, model
        assert pathlib.Path(model["path"]).samefile(MODELS / f"{model['name']}.gguf"), model
        assert (model["basis"], model["at_most"], model["context_trained"]) == ("header", False, 32768), model
        assert [cell["context"] for cell in model["contexts"]] == [4096, 32768], model
        for cell in model["contexts"]:
            assert list(cell) == CELL_KEYS and cell["fits"] is True, cell
            # 512 elements a token in blocks of 32 elements and 34 bytes, for two slots
            assert cell["cache_bytes"] == 2 * cell["context"] * 512 // 32 * 34, cell
            assert cell["total_bytes"] == model["weights_bytes"] + sum(
                cell[part] for part in ("cache_bytes", "state_bytes", "compute_bytes")), cell
    together = answer["together"]
    assert together["context"] == 32768 and together["too_many_models"] is False, together
    assert [list(found) for found in together["sets"]] == [SET_KEYS], together
    assert together["sets"][0]["models"] == [CODER, FAST, THINKER], together
    assert together["sets"][0]["total_bytes"] + together["sets"][0]["left_bytes"] == 2 * GIB, together


def raw_is_one_model_a_line():
    lines = fit(MODELS, "--context", "8k", "--raw", "--memory", "8G").stdout.splitlines()
    head = "name quantisation weights_bytes context_8192_bytes total_bytes fits largest_context note"
    assert lines[0] == head, lines
    assert [line.split()[0] for line in lines[1:]] == [CODER, FAST, THINKER], lines
    assert [line.split()[5] for line in lines[1:]] == ["yes"] * 3, lines


def what_does_not_fit_says_what_would():
    """Weights and buffers are small here, so that the cache decides: 1 KiB a token and 1 KiB of mask."""
    path = MODELS / f"{FAST}.gguf"
    answer = fit_json(path, "--memory", SMALL, "--context", "8k,16k,32k")
    model = answer["models"][0]
    assert [cell["fits"] for cell in model["contexts"]] == [True, True, False], model
    largest = model["largest_context"]
    assert 16384 < largest < 32768 and largest % 256 == 0 and model["fits_context"] == 16384, model
    fitting = fit_json(path, "--memory", SMALL, "--context", f"{largest},{largest + 256}")["models"][0]
    assert [cell["fits"] for cell in fitting["contexts"]] == [True, False], fitting
    assert " to 16k " in fit(path, "--memory", SMALL, "--context", "8k,16k,32k").stdout


def combinations_are_told_with_what_is_left():
    memory = "160M"  # 150 MiB for models: two of three, 68 MiB each with 32k
    sets = fit_json(MODELS, "--memory", memory)["together"]["sets"]
    assert sorted(found["models"] for found in sets) == [[CODER, FAST], [CODER, THINKER], [FAST, THINKER]], sets
    assert all(found["largest_context"] >= 32768 for found in sets), sets
    sets = fit_json(MODELS, "--memory", memory, "--together", "8k")["together"]["sets"]
    assert [found["models"] for found in sets] == [[CODER, FAST, THINKER]], sets
    assert 8192 <= sets[0]["largest_context"] < 32768, sets
    twice = fit_json(MODELS / f"{FAST}.gguf", MODELS / f"{FAST}.gguf", "--memory", memory)["together"]["sets"]
    assert [found["models"] for found in twice] == [[FAST, FAST]], twice


def the_current_folder_is_the_default():
    with scratch() as folder:
        pathlib.Path(folder, "coder").mkdir()
        shutil.copy(MODELS / f"{CODER}.gguf", pathlib.Path(folder, "coder", "model.gguf"))
        answer = fit_json(cwd=folder)
        assert [model["name"] for model in answer["models"]] == ["coder"], answer
        pathlib.Path(folder, "cut.gguf").write_bytes((MODELS / f"{FAST}.gguf").read_bytes()[:5000])
        done = fit(cwd=folder)
        assert done.returncode == 0 and "coder" in done.stdout, done
        assert done.stderr.startswith("passed over: ") and "cut.gguf" in done.stderr, done


def a_size_is_enough():
    answer = fit_json("--params", "32b", "--quant", "Q4_K_M", "--params", "8b", "--memory", "64G")
    large, small = answer["models"]
    assert (large["name"], large["basis"], large["at_most"], large["path"]) == ("32b", "size", True, ""), large
    assert 18 * GIB < large["weights_bytes"] < 19 * GIB, large
    assert large["contexts"][2]["cache_bytes"] == 32 * GIB, large  # 32b at 128k and f16
    assert small["quantisation"] == "Q4_K_M" and answer["together"]["sets"][0]["models"] == ["32b", "8b"], answer
    text = fit("--params", "235b-a22b", "--quant", "Q3_K_M", "--memory", "96G").stdout
    assert "235b-a22b" in text and " no " in text and "context at most" in text, text
    beside = fit_json(MODELS / f"{FAST}.gguf", "--params", "8b")
    assert [model["name"] for model in beside["models"]] == [FAST, "8b"], beside


def two_that_fit_until_they_are_used():
    """33 and 92 GB on 128 GB: both while they are empty, not with 65,536 tokens each, and what is between."""
    with scratch() as folder:
        for name, shape in PAIR.items():
            gguf_make.make_sparse(pathlib.Path(folder, f"{name}.gguf"), **shape)

        def sets(context):
            return fit_json(folder, "--memory", "128G", "--together", str(context))["together"]["sets"]

        dense, mixture = fit_json(folder, "--memory", "128G", "--context", "64k")["models"]
        assert 32e9 < dense["weights_bytes"] < 34e9 and 91e9 < mixture["weights_bytes"] < 93e9, (dense, mixture)
        assert [model["contexts"][0]["cache_bytes"] for model in (dense, mixture)] == [16 * GIB, 47 * GIB // 4]
        assert all(model["contexts"][0]["fits"] for model in (dense, mixture)), (dense, mixture)
        assert [found["models"] for found in sets("64k")] == [["dense"], ["mixture"]], sets("64k")
        (both,) = sets(256)
        joint = both["largest_context"]
        assert both["models"] == ["dense", "mixture"] and 8192 < joint < 16384, both
        assert [len(found["models"]) for found in sets(joint)] == [2], joint
        assert [len(found["models"]) for found in sets(joint + 256)] == [1, 1], joint
        text = fit(folder, "--memory", "128G", "--together", "8k").stdout
        assert re.search(rf"^dense, mixture\s.*\s{joint}$", text, re.MULTILINE), text


def a_large_one_takes_the_place_of_two():
    """70 GB on 96 GB, where three others of 20, 32 and 33 GB fit together: beside it there is room for one."""
    words = ("--memory", "96G", "--together", "8k", "--params", "66b", "--quant", "Q8_0", "--params", "24b", "--quant",
             "Q6_K", "--params", "30b-a3b", "--quant", "Q8_0", "--params", "31b")
    answer = fit_json(*words)
    assert 69e9 < answer["models"][0]["weights_bytes"] < 71e9, answer
    sets = [found["models"] for found in answer["together"]["sets"]]
    assert sets == [["24b", "30b-a3b", "31b"], ["66b", "24b"]], sets


def errors_name_the_value_and_the_way_out():
    fast = MODELS / f"{FAST}.gguf"
    with scratch() as folder:
        assert_refused(fit(cwd=folder), 1, "no model below", "--params 32b")
        assert_refused(fit("absent.gguf", cwd=folder), 1, "absent.gguf", "--params 32b")
        text = pathlib.Path(folder, "text.gguf")
        text.write_text("hello, this is no model, whatever its name says")
        assert_refused(fit(text), 1, "text.gguf")
    assert_refused(fit(fast, "--context", "8kk"), 2, "--context", "8kk", "8k, 1M or 40960")
    assert_refused(fit(fast, "--memory", "96"), 2, "--memory", "96G")
    assert_refused(fit(fast, "--memory", "lots"), 2, "--memory", "lots", "96GiB")
    assert_refused(fit(fast, "--kv", "q8"), 2, "--kv", "q8_0", "iq4_nl")
    assert_refused(fit(fast, "--slots", "none"), 2, "--slots", "none")
    assert_refused(fit("--params", "large"), 2, "--params", "large", "235b-a22b")
    assert_refused(fit("--params", "8b", "--quant", "Q4KM"), 2, "--quant", "Q4_K_M")
    assert_refused(fit(fast, "--quant", "Q4_K_M"), 2, "--params")
    assert_refused(fit(fast, "--projector", fast), 2, "--projector", "no projector")
    assert_refused(fit(fast, "--json", "--raw"), 2, "--json", "--raw")


def a_context_beyond_the_trained_one_is_told():
    path = MODELS / f"{FAST}.gguf"
    cells = fit_json(path, "--context", "32k,64k")["models"][0]["contexts"]
    assert [cell["beyond_trained"] for cell in cells] == [False, True], cells
    assert "trained for 32768 tokens" in fit(path, "--context", "64k").stdout
    assert "trained for" not in fit(path, "--context", "32k").stdout


def a_projector_counts_where_it_is_given():
    with scratch() as folder:
        model, projector = pathlib.Path(folder, "x.gguf"), pathlib.Path(folder, "mmproj-x.gguf")
        shutil.copy(MODELS / f"{FAST}.gguf", model)
        gguf_patch.patch(model, projector, {"general.architecture": "clip", "general.type": "mmproj"})
        without, given = fit_json(folder), fit_json(folder, "--projector", projector)
        assert len(without["models"]) == 1 and without["models"][0]["projector_bytes"] == 0, without
        added = given["models"][0]["projector_bytes"]
        assert added == given["models"][0]["weights_bytes"], given
        assert given["models"][0]["contexts"][0]["total_bytes"] == (
            without["models"][0]["contexts"][0]["total_bytes"] + added), given
        assert_refused(fit(projector), 2, "projector", "--projector")


def an_unknown_architecture_is_a_bound_or_the_engines_word():
    with scratch() as folder:
        path = pathlib.Path(folder, "new.gguf")
        gguf_patch.patch(MODELS / f"{FAST}.gguf", path, {
            "general.architecture": "nextgen9", "nextgen9.block_count": 4, "nextgen9.embedding_length": 128,
            "nextgen9.feed_forward_length": 384, "nextgen9.attention.head_count": 4,
            "nextgen9.attention.head_count_kv": 2, "nextgen9.context_length": 32768})
        bound = fit_json(path)["models"][0]
        assert (bound["basis"], bound["at_most"]) == ("bound", True), bound
        assert 'at most: the architecture "nextgen9" is not known' in fit(path).stdout
        known = fit_json(MODELS / f"{FAST}.gguf")["models"][0]
        for cell, other in zip(bound["contexts"], known["contexts"]):
            assert cell["total_bytes"] >= other["total_bytes"], (cell, other)
        tool = pathlib.Path(folder, "llama-fit-params")
        tool.write_text('#!/bin/sh\nwhile [ "$1" != --ctx-size ]; do shift; done\n'
                        'echo "CUDA0 40 $(($2 / 1024)) 9 "\necho "Host 2 0 1 "\n')
        tool.chmod(0o755)
        told = fit_json(path, path=folder)["models"][0]
        assert (told["basis"], told["at_most"], told["weights_bytes"]) == ("llama-fit-params", False, 44 * MIB), told
        for cell in told["contexts"]:
            said = (41 + 3 + cell["context"] // 1024 + 1 + 10 + 2) * MIB
            assert said <= cell["total_bytes"] <= said + 192 * MIB, (cell, said)
        assert "as llama-fit-params says" in fit(path, path=folder).stdout
        tool.write_text("#!/bin/sh\nexit 1\n")
        assert fit_json(path, path=folder)["models"][0] == bound


def read_by(*words):
    """Bytes that the command read by system calls, and its output."""
    child = subprocess.Popen([BINARY, "fit", *words, "--json"], env=env(), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE)
    out = child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is still there to be asked
    counters = dict(line.split(": ") for line in pathlib.Path(f"/proc/{child.pid}/io").read_text().splitlines())
    assert child.wait() == 0, out
    return int(counters["rchar"]), json.loads(out)


def of_100_gb_only_the_header_is_read():
    with scratch() as folder:
        path = pathlib.Path(folder, "large.gguf")
        tensor_bytes, header_bytes = gguf_make.make_sparse(path, **LARGE)
        assert path.stat().st_size > 100e9 and path.stat().st_blocks * 512 < 16 * MIB, path.stat()
        without, _ = read_by("--params", "8b")
        read, answer = read_by(path)
        model = answer["models"][0]
        assert model["weights_bytes"] == tensor_bytes and model["context_trained"] == 131072, model
        assert model["contexts"][2]["cache_bytes"] == 131072 * LARGE["layers"] * 2 * 8 * 128 * 2, model
        print(f"# a header of {header_bytes} bytes, {read - without} read of a file of {path.stat().st_size}")
        assert read - without <= header_bytes + 256 * KIB, (read, without, header_bytes)


if __name__ == "__main__":
    mesh.run(
        the_table_is_what_people_write_by_hand,
        memory_of_this_host_is_the_default,
        json_has_a_stable_shape,
        raw_is_one_model_a_line,
        what_does_not_fit_says_what_would,
        combinations_are_told_with_what_is_left,
        the_current_folder_is_the_default,
        a_size_is_enough,
        two_that_fit_until_they_are_used,
        a_large_one_takes_the_place_of_two,
        errors_name_the_value_and_the_way_out,
        a_context_beyond_the_trained_one_is_told,
        a_projector_counts_where_it_is_given,
        an_unknown_architecture_is_a_bound_or_the_engines_word,
        of_100_gb_only_the_header_is_read,
    )
