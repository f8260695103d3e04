"""Makes models of the llama architecture with random weights, of any shape and size, that a real llama-server loads and
serves: what they say is noise, what they cost in memory and time is real. As a program:

    gguf_make.py TO.gguf [layers=4] [embedding=256] [heads=4] [kv_heads=2] [head=64] [feed_forward=1024]
                 [vocabulary=1024] [context=32768] [experts=0] [experts_used=1] [type=F16] [tied=0] [seed=0]

or, with size=500M, as many layers as come nearest to that size. With many experts, of which one is used, a large model
answers as quickly as a small one.
"""

import math
import random
import struct
import sys

import gguf_patch

ALIGNMENT = gguf_patch.ALIGNMENT
TYPE_INT32, TYPE_FLOAT32, TYPE_BOOL = 5, 6, 7
TOKEN_NORMAL, TOKEN_CONTROL = 1, 3
# name → (ggml_type, general.file_type of a model that is mostly that, elements of a block, its bytes)
TYPES = {"F32": (0, 0, 1, 4), "F16": (1, 1, 1, 2), "Q8_0": (8, 7, 32, 34)}
SPARSE_TYPES = {"Q5_0": (6, 8, 32, 22), "Q2_K": (10, 10, 256, 84), "Q3_K": (11, 12, 256, 110),
                "Q4_K": (12, 15, 256, 144), "Q5_K": (13, 17, 256, 176), "Q6_K": (14, 18, 256, 210),
                "MXFP4": (39, 38, 32, 17)}
ALL_TYPES = TYPES | SPARSE_TYPES  # of those in SPARSE_TYPES no weights are made
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PATTERN_BLOCKS = 65521  # prime, so that the rows of a matrix differ although the pattern comes again
TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
DEFAULTS = {"layers": 4, "embedding": 256, "heads": 4, "kv_heads": 2, "head": 64, "feed_forward": 1024,
            "vocabulary": 1024, "context": 32768, "experts": 0, "experts_used": 1, "type": "F16", "tied": 0, "seed": 0}
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def byte_tokens():
    """The 256 letters that stand for the bytes in vocabularies after GPT-2."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {byte: chr(byte) for byte in shown} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}
    return [letters[byte] for byte in range(256)]


def vocabulary(size):
    """`size` tokens: the bytes, one merge, words that no text becomes, and the control tokens at the end."""
    tokens = byte_tokens() + ["Ġt"]
    words = size - len(tokens) - len(CONTROL_TOKENS)
    if words < 0:
        raise ValueError(f"a vocabulary has at least {size - words} tokens")
    return tokens + [f"w{i}" for i in range(words)] + list(CONTROL_TOKENS)


def array_of(kind, values, pack):
    return struct.pack("<IIQ", gguf_patch.TYPE_ARRAY, kind, len(values)) + b"".join(map(pack, values))


def tokenizer_keys(size):
    tokens = vocabulary(size)
    types = [TOKEN_NORMAL] * (size - len(CONTROL_TOKENS)) + [TOKEN_CONTROL] * len(CONTROL_TOKENS)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": array_of(gguf_patch.TYPE_STRING, tokens, gguf_patch.raw_text),
        "tokenizer.ggml.token_type": array_of(TYPE_INT32, types, struct.Struct("<i").pack),
        "tokenizer.ggml.merges": array_of(gguf_patch.TYPE_STRING, ["Ġ t"], gguf_patch.raw_text),
        "tokenizer.ggml.bos_token_id": size - 3,
        "tokenizer.ggml.eos_token_id": size - 1,
        "tokenizer.ggml.add_bos_token": struct.pack("<I?", TYPE_BOOL, False),
        "tokenizer.chat_template": TEMPLATE,
    }


def shape_keys(shape):
    keys = {"llama.expert_count": shape["experts"], "llama.expert_used_count": shape["experts_used"]}
    return (keys if shape["experts"] else {}) | {
        "llama.context_length": shape["context"],
        "llama.embedding_length": shape["embedding"],
        "llama.block_count": shape["layers"],
        "llama.feed_forward_length": shape["feed_forward"],
        "llama.attention.head_count": shape["heads"],
        "llama.attention.head_count_kv": shape["kv_heads"],
        "llama.attention.key_length": shape["head"],
        "llama.attention.value_length": shape["head"],
        "llama.rope.dimension_count": shape["head"],
        "llama.rope.freq_base": struct.pack("<If", TYPE_FLOAT32, 10000.0),
        "llama.attention.layer_norm_rms_epsilon": struct.pack("<If", TYPE_FLOAT32, 1e-5),
        "llama.vocab_size": shape["vocabulary"],
    }


def keys_of(shape, name):
    general = {"general.architecture": "llama", "general.name": name, "general.quantization_version": 2,
               "general.file_type": TYPES[shape["type"]][1]}
    return general | shape_keys(shape) | tokenizer_keys(shape["vocabulary"])


def layer_tensors(shape, layer):
    """Yields (name, dimensions, type); dimensions as in the file, the length of a row first."""
    embedding, forward, kind = shape["embedding"], shape["feed_forward"], shape["type"]
    queries, keys = shape["heads"] * shape["head"], shape["kv_heads"] * shape["head"]
    suffix, experts = ("_exps", (shape["experts"],)) if shape["experts"] else ("", ())
    for name, dimensions in (("attn_q", (embedding, queries)), ("attn_k", (embedding, keys)),
                             ("attn_v", (embedding, keys)), ("attn_output", (queries, embedding)),
                             ("ffn_gate" + suffix, (embedding, forward, *experts)),
                             ("ffn_up" + suffix, (embedding, forward, *experts)),
                             ("ffn_down" + suffix, (forward, embedding, *experts))):
        yield f"blk.{layer}.{name}.weight", dimensions, kind
    if experts:
        yield f"blk.{layer}.ffn_gate_inp.weight", (embedding, *experts), "F32"
    yield f"blk.{layer}.attn_norm.weight", (embedding,), "F32"
    yield f"blk.{layer}.ffn_norm.weight", (embedding,), "F32"


def tensors_of(shape):
    yield "token_embd.weight", (shape["embedding"], shape["vocabulary"]), shape["type"]
    for layer in range(shape["layers"]):
        yield from layer_tensors(shape, layer)
    yield "output_norm.weight", (shape["embedding"],), "F32"
    if not shape["tied"]:
        yield "output.weight", (shape["embedding"], shape["vocabulary"]), shape["type"]


def bytes_of(dimensions, kind):
    _, _, block, block_bytes = ALL_TYPES[kind]
    if dimensions[0] % block:
        raise ValueError(f"a row of {dimensions[0]} elements is not whole blocks of {block}")
    return math.prod(dimensions) // block * block_bytes


def padded(length):
    return length + -length % ALIGNMENT


def tensor_info(name, dimensions, kind, offset):
    return (gguf_patch.raw_text(name) + struct.pack("<I", len(dimensions))
            + b"".join(struct.pack("<Q", dimension) for dimension in dimensions)
            + struct.pack("<IQ", ALL_TYPES[kind][0], offset))


def weights(kind, seed):
    """PATTERN_BLOCKS blocks of small numbers: finite, and small enough to stay so through the layers."""
    noise = random.Random(seed)
    if kind == "Q8_0":
        scale = struct.pack("<e", 0.0005)
        data = noise.randbytes(32 * PATTERN_BLOCKS)
        return b"".join(scale + data[at : at + 32] for at in range(0, len(data), 32))
    form = "<e" if kind == "F16" else "<f"
    return b"".join(struct.pack(form, noise.gauss(0, 0.03)) for _ in range(PATTERN_BLOCKS))


class Pattern:
    """An endless row of weights of one type, handed out piece by piece."""

    REPEATS = 64  # bytes are copied in large pieces

    def __init__(self, kind, seed):
        pattern = weights(kind, seed)
        self.period, self.data, self.at = len(pattern), memoryview(pattern * self.REPEATS), 0

    def write(self, out, length):
        while length > 0:
            piece = self.data[self.at : self.at + length]
            out.write(piece)
            length -= len(piece)
            self.at = (self.at + len(piece)) % self.period


def write_data(out, tensors, patterns):
    for _, dimensions, kind in tensors:
        length = bytes_of(dimensions, kind)
        if len(dimensions) == 1:
            out.write(struct.pack("<f", 1.0) * dimensions[0])  # a norm's weights
        else:
            patterns[kind].write(out, length)
        out.write(bytes(padded(length) - length))


def header(keys, tensors):
    """The bytes before the tensors' data, and the size of that data with its padding."""
    infos, offset = b"", 0
    for tensor_name, dimensions, kind in tensors:
        infos += tensor_info(tensor_name, dimensions, kind, offset)
        offset += padded(bytes_of(dimensions, kind))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for key, value in keys.items():
        head += gguf_patch.raw_text(key) + (value if isinstance(value, bytes) else gguf_patch.raw_value(value))
    head += infos
    return head + gguf_patch.padding(len(head)), offset


def shape_of(given):
    if unknown := given.keys() - DEFAULTS.keys():
        raise TypeError(f"a model has no {', '.join(unknown)}")
    return DEFAULTS | given


def tensor_bytes(shape):
    return sum(bytes_of(dimensions, kind) for _, dimensions, kind in tensors_of(shape))


def make(path, name="made", **given):
    """Writes the model and returns its tensors' size in bytes. The keywords are those of DEFAULTS."""
    shape = shape_of(given)
    with open(path, "wb") as out:
        out.write(header(keys_of(shape, name), list(tensors_of(shape)))[0])
        write_data(out, tensors_of(shape), {kind: Pattern(kind, shape["seed"]) for kind in ("F32", shape["type"])})
    return tensor_bytes(shape)


def make_sparse(path, name="made", **given):
    """As make(), but the tensors' data is a hole in the file, which costs no disk. Returns the header's size too."""
    shape = shape_of(given)
    return tensor_bytes(shape), write_sparse(path, keys_of(shape, name), list(tensors_of(shape)))


def write_sparse(path, keys, tensors):
    """Writes the header and a hole for the tensors' data; returns the header's size."""
    head, data_bytes = header(keys, tensors)
    with open(path, "wb") as out:
        out.write(head)
        out.truncate(len(head) + data_bytes)
    return len(head)


def layers_for(size, **given):
    """The number of layers, at least 1, with which the tensors come nearest to `size` bytes."""
    shape = DEFAULTS | given | {"layers": 0}
    fixed = sum(bytes_of(dimensions, kind) for _, dimensions, kind in tensors_of(shape))
    layer = sum(bytes_of(dimensions, kind) for _, dimensions, kind in layer_tensors(shape, 0))
    return max(1, round((size - fixed) / layer))


def parse_size(text):
    return int(float(text[:-1]) * UNITS[text[-1]]) if text[-1] in UNITS else int(text)


def main(path, *words):
    given = dict(word.split("=", 1) for word in words)
    size = given.pop("size", None)
    shape = {key: value if key == "type" else int(value) for key, value in given.items()}
    if size is not None:
        shape["layers"] = layers_for(parse_size(size), **shape)
    print(make(path, **shape), "bytes of tensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
