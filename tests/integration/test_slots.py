"""What engines keep of prompts: a conversation's turns reuse what its slot holds, also after its model had to go and came
back; a line that is typed goes on in its slot; limits hold, and nothing is left where it is turned off."""

import json
import os
import pathlib
import stat
import struct
import sys
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import gguf_make
import gguf_patch
import mesh
from mesh import FAST, MODELS, Mesh, wait_until

CONTEXT = 4096
EMBEDDING = 128  # of the demo models
ENGINE = {"context": CONTEXT, "cache-ram": "64M"}
ENDLESS_INFILL = {"ignore_eos": True, "n_predict": mesh.ENDLESS["max_tokens"]}
FIM_TOKENS = "<|fim_suffix|><|fim_middle|>"  # at most so many tokens where a model has none of these
PREAMBLE = " ".join(f"rule {i}: be brief;" for i in range(120))  # the same for all, as an agent's instructions are


class Conversation:
    def __init__(self, cluster, topic):
        self.cluster, self.topic = cluster, topic
        self.messages = [{"role": "system", "content": PREAMBLE}]
        self.held = 0  # tokens that its last turn left in the engine

    def turn(self):
        """Asks once more; returns tokens of the prompt, and how many of them were reused."""
        question = " ".join(f"{self.topic}-{len(self.messages)}-{i}" for i in range(40))
        self.messages.append({"role": "user", "content": question})
        body = {"model": FAST, "messages": self.messages, "max_tokens": 4, "temperature": 0, "ignore_eos": True}
        answer = self.cluster.post("/v1/chat/completions", json.dumps(body))
        assert answer.status == 200, answer.body
        self.messages.append({"role": "assistant", "content": answer.content()})
        usage = answer.json()["usage"]
        return usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


class Typist:
    """Completes at a cursor which goes on by a letter each time; before the line and behind it stands the same."""

    def __init__(self, cluster, way, topic):
        self.cluster, self.way = cluster, way
        self.before = " ".join(f"{topic} {i} is set;" for i in range(80))
        self.after = " ".join(f"{topic} {i} is read;" for i in range(12))
        answer = cluster.post("/tokenize", json.dumps({"model": FAST, "content": self.after})).json()
        self.behind = len(answer["tokens"])  # what comes behind the line is computed again, wherever it is

    def type(self, line):
        """Returns tokens of the prompt, and how many of them were reused."""
        path, body = getattr(self, self.way)(line)
        answer = self.cluster.post(path, json.dumps({"model": FAST, "temperature": 0, **body}))
        assert answer.status == 200, answer.body
        told = answer.json()
        if "timings" in told:
            return told["timings"]["prompt_n"] + told["timings"]["cache_n"], told["timings"]["cache_n"]
        return told["usage"]["prompt_tokens"], told["usage"]["prompt_tokens_details"]["cached_tokens"]

    def type_on(self, line):
        """A letter that is not the line's first."""
        prompt, cached = self.type(line)
        most = self.behind + len(line) + len(FIM_TOKENS)
        print(f"# {self.way}: {prompt} tokens, {prompt - cached} computed of at most {most}")
        assert prompt - cached <= most < prompt / 2, (self.way, prompt, cached, most)

    def begin(self, line):
        """A completion that goes on until another keystroke."""
        path, body = getattr(self, self.way)(line)
        connection = self.cluster.connection()
        connection.request("POST", path, json.dumps({"model": FAST, "stream": True, **body, **ENDLESS_INFILL}))
        answer = connection.getresponse()
        assert answer.status == 200 and answer.readline(), answer.status

    def infill(self, line):
        return "/infill", {"input_prefix": self.before, "prompt": line, "input_suffix": self.after, "n_predict": 2}

    def suffix(self, line):
        return "/v1/completions", {"prompt": self.before + line, "suffix": self.after, "max_tokens": 2}

    def tokens(self, line):
        """As clients write it that know a model's family."""
        prompt = f"<|fim_prefix|>{self.before}{line}<|fim_suffix|>{self.after}<|fim_middle|>"
        return "/v1/completions", {"prompt": prompt, "max_tokens": 2}


def order(cluster, *words):
    done = cluster.owner("models", *words)
    assert done.returncode == 0, done.stderr


def unload(cluster, node):
    order(cluster, "unload", FAST, "--node", node.name)
    wait_until("the model is let go", lambda: node.model(FAST)["state"] == "available")


def states(node):
    return sorted((node.state / "slots").glob("*/*"))


def turns_reuse_what_was_computed():
    """More conversations than slots, with the same instructions: each finds all of its own again, but for what the template
    makes anew of the last answer."""
    with Mesh() as cluster:
        cluster.add_node("halo1", [FAST], slots=2, engine=ENGINE)
        talks = [Conversation(cluster, topic) for topic in ("apple", "birch", "cedar", "daisy")]
        before = {talk: talk.turn()[0] for talk in talks}
        for _ in range(3):
            for talk in talks:
                prompt, cached = talk.turn()
                print(f"# {talk.topic}: {prompt} tokens, {cached} reused of {before[talk]}")
                assert before[talk] - 8 <= cached < prompt, (talk.topic, prompt, cached, before[talk])
                before[talk] = prompt


def add_typing_node(cluster, slots):
    node = cluster.add_node("halo1", [FAST], slots=slots, engine=ENGINE, start=False)
    gguf_patch.add_fim(MODELS / f"{FAST}.gguf", node.models / f"{FAST}.gguf")
    node.start()
    node.wait_resident(FAST)
    return node


def slots_used(node):
    """How many have ever had a task."""
    return sum("id_task" in slot for slot in node.engine(FAST).slots())


def a_line_goes_on_where_its_last_letter_was():
    with Mesh() as cluster:
        add_typing_node(cluster, slots=4)
        for way in ("infill", "suffix", "tokens"):
            typist, line = Typist(cluster, way, f"{way}'s"), "let mut a"
            typist.type(line[:1])
            for end in range(2, len(line)):
                typist.type_on(line[:end])


def a_line_whose_letters_come_quickly_takes_no_others_slot():
    """Each keystroke ends the completion of the one before it, which leaves its slot to the next."""
    with Mesh() as cluster:
        node = add_typing_node(cluster, slots=4)
        typist, line = Typist(cluster, "infill", "apple"), "let mut a"
        for end in range(1, len(line)):
            typist.begin(line[:end])
        typist.type_on(line)
        assert slots_used(node) == 1


def two_files_and_a_chat_go_on_beside_each_other():
    with Mesh() as cluster:
        node = add_typing_node(cluster, slots=4)
        typists = [Typist(cluster, "infill", topic) for topic in ("apple", "birch")]
        talk, line = Conversation(cluster, "cedar"), "let mut a"
        for typist in typists:
            typist.type(line[:1])
        before, _ = talk.turn()
        for end in range(2, len(line)):
            for typist in typists:
                typist.type_on(line[:end])
        _, cached = talk.turn()
        assert before - 8 <= cached, (before, cached)
        assert slots_used(node) == 3, "each has its own"


def a_model_that_comes_back_goes_on():
    with Mesh() as cluster:
        node = cluster.add_node("halo1", [FAST], slots=2, engine=ENGINE)
        talk = Conversation(cluster, "apple")
        talk.turn()
        before, _ = talk.turn()
        unload(cluster, node)
        assert {stat.S_IMODE(path.stat().st_mode) for path in states(node)} == {0o600}
        assert stat.S_IMODE((node.state / "slots").stat().st_mode) == 0o700
        prompt, cached = talk.turn()
        print(f"# {prompt} tokens, {cached} reused of {before} after the model was away")
        assert before - 8 <= cached < prompt
        assert not states(node), "a state that was restored is gone"


def a_node_that_starts_again_goes_on():
    with Mesh() as cluster:
        node = cluster.add_node("halo1", [FAST], slots=2, engine=ENGINE)
        talk = Conversation(cluster, "apple")
        before, _ = talk.turn()
        assert node.daemon.stop() == 0
        assert len(states(node)) == 1
        node.wait_state("offline")
        node.start()
        node.wait_resident(FAST)
        prompt, cached = talk.turn()
        assert before - 8 <= cached < prompt, (before, prompt, cached)


def other_settings_meet_no_older_state():
    with Mesh() as cluster:
        node = cluster.add_node("halo1", [FAST], slots=2, engine=ENGINE)
        talk = Conversation(cluster, "apple")
        talk.turn()
        unload(cluster, node)
        assert len(states(node)) == 1
        order(cluster, "load", FAST, "--node", node.name, "--kv", "q8_0")
        node.wait_resident(FAST)
        _, cached = talk.turn()
        assert cached == 0, cached
        assert len(states(node)) == 1, "it waits for the settings that it is of"


def write_adapter(path, seed):
    """A LoRA for the first layer of the model, with random weights."""
    tensors = [("blk.0.attn_q.weight.lora_a", (EMBEDDING, 2), "F32"),
               ("blk.0.attn_q.weight.lora_b", (2, EMBEDDING), "F32")]
    keys = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora",
            "adapter.lora.alpha": struct.pack("<If", gguf_make.TYPE_FLOAT32, 2.0)}
    with open(path, "wb") as out:
        out.write(gguf_make.header(keys, tensors)[0])
        gguf_make.write_data(out, tensors, {"F32": gguf_make.Pattern("F32", seed)})


def another_adapter_of_the_same_name_meets_no_older_state():
    with Mesh() as cluster:
        adapter = cluster.folder / "adapter.gguf"
        write_adapter(adapter, seed=1)
        node = cluster.add_node("halo1", [FAST], slots=2, engine=ENGINE, words=("--lora", str(adapter)))
        talk = Conversation(cluster, "apple")
        before, _ = talk.turn()
        unload(cluster, node)
        _, cached = talk.turn()
        assert before - 8 <= cached, (before, cached)
        unload(cluster, node)
        assert len(states(node)) == 1
        write_adapter(adapter, seed=2)
        _, cached = talk.turn()
        assert cached == 0, cached


def other_variables_meet_no_older_state():
    """Those that the node inherits are the engine's too."""
    with Mesh() as cluster:
        node = cluster.add_node("halo1", [FAST], slots=2, engine=ENGINE)
        talk = Conversation(cluster, "apple")
        talk.turn()
        assert node.daemon.stop() == 0
        assert len(states(node)) == 1
        node.wait_state("offline")
        with mock.patch.dict(os.environ, LLAMA_ARG_ROPE_FREQ_SCALE="0.5"):
            node.start()
        node.wait_resident(FAST)
        _, cached = talk.turn()
        assert cached == 0, cached
        assert len(states(node)) == 1, "it waits for the variables that it is of"


def limits_hold():
    with Mesh() as cluster:
        node = cluster.add_node("halo1", [FAST], slots=2, engine={**ENGINE, "slot-cache": "16K"})
        Conversation(cluster, "apple").turn()
        unload(cluster, node)
        assert not states(node)


def nothing_is_kept_where_it_is_turned_off():
    with Mesh() as cluster:
        node = cluster.add_node("halo1", [FAST], slots=2, engine=ENGINE)
        talk = Conversation(cluster, "apple")
        talk.turn()
        assert node.daemon.stop() == 0
        assert len(states(node)) == 1
        node.wait_state("offline")
        config = json.loads(node.config.read_text())
        config["engine"]["slot-cache"] = 0
        node.config.write_text(json.dumps(config))
        node.start()
        node.wait_resident(FAST)
        assert not (node.state / "slots").exists()
        assert "--slot-save-path" not in mesh.words_of(node.engine(FAST).pid)
        talk.turn()
        unload(cluster, node)
        assert not (node.state / "slots").exists()


def room_for_prompts_is_counted():
    """What the engine may keep is in what the model counts, and is what the engine was told."""
    with Mesh() as cluster:
        none = cluster.add_node("without", [FAST], slots=2, engine={"cache-ram": 0})
        some = cluster.add_node("with", [FAST], slots=2, engine={"cache-ram": "64M"})
        wait_until("what the engines say counts",
                   lambda: some.model(FAST)["memory_bytes"] - none.model(FAST)["memory_bytes"] == 64 << 20)
        environ = mesh.read_proc(some.engine(FAST).pid, "environ").split(b"\0")
        assert b"LLAMA_ARG_CACHE_RAM=64" in environ
        assert "--slot-prompt-similarity" in mesh.words_of(some.engine(FAST).pid)
        assert "--slot-prompt-similarity" not in mesh.words_of(none.engine(FAST).pid)


if __name__ == "__main__":
    mesh.run(turns_reuse_what_was_computed, a_line_goes_on_where_its_last_letter_was,
             a_line_whose_letters_come_quickly_takes_no_others_slot, two_files_and_a_chat_go_on_beside_each_other,
             a_model_that_comes_back_goes_on, a_node_that_starts_again_goes_on, other_settings_meet_no_older_state,
             another_adapter_of_the_same_name_meets_no_older_state, other_variables_meet_no_older_state, limits_hold,
             nothing_is_kept_where_it_is_turned_off, room_for_prompts_is_counted)
