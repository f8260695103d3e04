"""Models that people run, as sparse GGUF files: the hyper-parameters, tensors and size of the published files, and no
weights. What a plan or `modemesh fit` makes of them is what it makes of the real ones. As a program:

    published_models.py FOLDER [NAME …]

What is in MODELS is public: the hyper-parameters are those that llama.cpp prints of the files (llama_model_loader),
size and number of parameters are the columns `size` and `params` that llama-bench prints for `source` (GiB, 10⁹), or
what `source` names. The shape is checked against the number of parameters. Which tensor of a mixed quantisation has
which type is not published; here they are of one type, but from the last layer on some of another, so that their sum is
the published one.
"""

import math
import pathlib
import sys

import gguf_make
import gguf_patch

FIM_TOKENS = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
GIB = 1 << 30
SUPER_BLOCK = 256
NARROW = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}  # what llama-quantize takes for rows that are not whole super-blocks
PRECISION = 0.005  # a file has its vocabulary too, and published numbers are rounded


class Model:
    """`low`, `high`: types of the layers' tensors; `rest`: of the output, with MXFP4 of all but the experts too."""

    def __init__(self, architecture, size, parameters, low, high=None, rest=None, source=None, **shape):
        self.architecture, self.size, self.parameters, self.source = architecture, size, parameters, source
        self.low, self.high, self.rest, self.shape = low, high or low, rest or high or low, shape


QWEN3_MOE = {"heads": 32, "kv_heads": 4, "head": 128, "experts": 128, "experts_used": 8, "vocabulary": 151936,
             "context": 262144}
QWEN3_30B = QWEN3_MOE | {"layers": 48, "embedding": 2048, "expert_forward": 768}
QWEN3_235B = QWEN3_MOE | {"layers": 94, "embedding": 4096, "heads": 64, "expert_forward": 1536, "feed_forward": 12288}
GPT_OSS = {"embedding": 2880, "heads": 64, "kv_heads": 8, "head": 64, "expert_forward": 2880, "experts_used": 4,
           "window": 128, "vocabulary": 201088, "context": 131072}
QWEN2_CODER = {"layers": 28, "head": 128, "context": 32768}

MODELS = {
    "gpt-oss-120b-mxfp4": Model(
        "gpt-oss", 59.02, 116.83, "MXFP4", rest="Q8_0", layers=36, experts=128, **GPT_OSS,
        source="gpt-oss 120B MXFP4 MoE"),
    "gpt-oss-20b-mxfp4": Model(
        "gpt-oss", 11.27, 20.91, "MXFP4", rest="Q8_0", layers=24, experts=32, **GPT_OSS,
        source="gpt-oss 20B MXFP4 MoE"),
    "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M": Model(
        "qwen3moe", 17.28, 30.53, "Q4_K", "Q6_K", feed_forward=5472, **QWEN3_30B,
        source="qwen3moe 30B.A3B Q4_K - Medium"),
    "Qwen3-Coder-30B-A3B-Instruct-Q8_0": Model(
        "qwen3moe", 30.25, 30.53, "Q8_0", feed_forward=5472, **QWEN3_30B, source="qwen3moe 30B.A3B Q8_0"),
    "Qwen3-30B-A3B-Thinking-2507-Q4_K_M": Model(
        "qwen3moe", 17.28, 30.53, "Q4_K", "Q6_K", feed_forward=6144, **QWEN3_30B,
        source="qwen3moe 30B.A3B Q4_K - Medium"),
    "Qwen3-235B-A22B-Thinking-2507-Q2_K": Model(
        "qwen3moe", 79.80, 235.09, "Q2_K", "Q4_K", rest="Q6_K", **QWEN3_235B,
        source="qwen3moe 235B.A22B Q2_K - Medium"),
    "Qwen3-235B-A22B-Thinking-2507-Q3_K_M": Model(
        "qwen3moe", 96.59, 235.09, "Q3_K", "Q4_K", rest="Q6_K", **QWEN3_235B,
        source="qwen3moe 235B.A22B Q3_K - Medium"),
    "GLM-4.5-Air-Q4_K_M": Model(
        "glm4moe", 67.96, 110.47, "Q4_K", "Q6_K", layers=47, extra_layers=1, dense_layers=1, embedding=4096, heads=96,
        kv_heads=8, head=128, feed_forward=10944, expert_forward=1408, experts=128, experts_used=8, experts_shared=1,
        vocabulary=151552, context=131072, source="glm4moe 106B.A12B Q4_K - Medium"),
    "Qwen2.5-Coder-7B-Q8_0": Model(
        "qwen2", 7.54, 7.62, "Q8_0", embedding=3584, heads=28, kv_heads=4, feed_forward=18944, vocabulary=152064,
        **QWEN2_CODER, source="qwen2 7B Q8_0"),
    "Qwen2.5-Coder-1.5B-Q8_0": Model(
        "qwen2", 1_646_573_056 / GIB, 1.54, "Q8_0", embedding=1536, heads=12, kv_heads=2, feed_forward=8960,
        vocabulary=151936, tied=True, **QWEN2_CODER,
        source="ggml-org/Qwen2.5-Coder-1.5B-Q8_0-GGUF: the file's size; 1.54 B parameters on the model's card"),
    "Qwen3-Embedding-0.6B-Q8_0": Model(
        "qwen3", 604.15 / 1024, 0.596, "Q8_0", layers=28, embedding=1024, heads=16, kv_heads=8, head=128,
        feed_forward=3072, vocabulary=151669, context=32768, tied=True, pooling=3,
        source="qwen3 0.6B Q8_0, whose tensors it has; 595,776,512 parameters on the model's card"),
}


# --- tensors: (name, dimensions, type); dimensions as in the file, the length of a row first


def attention(shape, biases, norms):
    embedding, head = shape["embedding"], shape["head"]
    queries, keys = shape["heads"] * head, shape["kv_heads"] * head
    yield "attn_norm.weight", (embedding,), "F32"
    for name, rows in (("attn_q", queries), ("attn_k", keys), ("attn_v", keys)):
        yield f"{name}.weight", (embedding, rows), "attention"
        if biases:
            yield f"{name}.bias", (rows,), "F32"
    yield "attn_output.weight", (queries, embedding), "attention"
    if norms:
        yield "attn_q_norm.weight", (head,), "F32"
        yield "attn_k_norm.weight", (head,), "F32"


def feed_forward(embedding, forward, suffix="", experts=()):
    yield f"ffn_gate{suffix}.weight", (embedding, forward, *experts), "forward"
    yield f"ffn_up{suffix}.weight", (embedding, forward, *experts), "forward"
    yield f"ffn_down{suffix}.weight", (forward, embedding, *experts), "forward"


def experts(shape):
    yield "ffn_gate_inp.weight", (shape["embedding"], shape["experts"]), "F32"
    yield from feed_forward(shape["embedding"], shape["expert_forward"], "_exps", (shape["experts"],))


def qwen_layer(shape, _):
    yield from attention(shape, biases=not shape["qk_norms"], norms=shape["qk_norms"])
    yield "ffn_norm.weight", (shape["embedding"],), "F32"
    if shape["experts"]:
        yield from experts(shape)
    else:
        yield from feed_forward(shape["embedding"], shape["feed_forward"])


def gpt_oss_layer(shape, _):
    embedding, count, forward = shape["embedding"], shape["experts"], shape["expert_forward"]
    yield from attention(shape, biases=True, norms=False)
    yield "attn_output.bias", (embedding,), "F32"
    yield "attn_sinks.weight", (shape["heads"],), "F32"
    yield "post_attention_norm.weight", (embedding,), "F32"
    yield from experts(shape)
    yield "ffn_gate_inp.bias", (count,), "F32"
    for name, rows in (("gate", forward), ("up", forward), ("down", embedding)):
        yield f"ffn_{name}_exps.bias", (rows, count), "F32"


def glm_layer(shape, layer):
    embedding = shape["embedding"]
    yield from attention(shape, biases=True, norms=False)
    yield "post_attention_norm.weight", (embedding,), "F32"
    if layer < shape["dense_layers"]:
        yield from feed_forward(embedding, shape["feed_forward"])
    else:
        yield from experts(shape)
        yield "exp_probs_b.bias", (shape["experts"],), "F32"
        yield from feed_forward(embedding, shape["expert_forward"] * shape["experts_shared"], "_shexp")
    if layer >= shape["layers"] - shape["extra_layers"]:
        yield "nextn.eh_proj.weight", (2 * embedding, embedding), "attention"
        yield "nextn.embed_tokens.weight", (embedding, shape["vocabulary"]), "attention"
        yield "nextn.shared_head_head.weight", (embedding, shape["vocabulary"]), "attention"
        for name in ("enorm", "hnorm", "shared_head_norm"):
            yield f"nextn.{name}.weight", (embedding,), "F32"


LAYERS = {"qwen2": qwen_layer, "qwen3": qwen_layer, "qwen3moe": qwen_layer, "gpt-oss": gpt_oss_layer,
          "glm4moe": glm_layer}
DEFAULTS = {"experts": 0, "feed_forward": 0, "extra_layers": 0, "dense_layers": 0, "tied": False, "pooling": None,
            "window": 0}


def shape_of(model):
    shape = DEFAULTS | {"qk_norms": model.architecture.startswith("qwen3")} | model.shape
    return shape | {"feed_forward": shape["feed_forward"] or shape["expert_forward"]}


def type_of(model, kind, row, wished):
    if kind == "F32":
        return kind
    if kind == "attention" and model.low == "MXFP4":
        return model.rest
    return NARROW.get(wished, wished) if row % SUPER_BLOCK else wished


def tensors_of(model, wished):
    """With this type where the model's types are mixed."""
    shape = shape_of(model)
    embedding, tokens = shape["embedding"], shape["vocabulary"]
    yield "token_embd.weight", (embedding, tokens), model.rest if model.low == "MXFP4" else model.low
    for layer in range(shape["layers"]):
        for name, dimensions, kind in LAYERS[model.architecture](shape, layer):
            yield f"blk.{layer}.{name}", dimensions, type_of(model, kind, dimensions[0], wished)
    yield "output_norm.weight", (embedding,), "F32"
    if not shape["tied"]:
        yield "output.weight", (embedding, tokens), model.rest


def parameters_of(tensors):
    return sum(math.prod(dimensions) for _, dimensions, _ in tensors)


def bytes_of(tensors):
    return sum(gguf_make.bytes_of(dimensions, kind) for _, dimensions, kind in tensors)


def nearest_tensors(model):
    """All in the type `low`, but from the last layer on those in `high` with which the published size is not passed."""
    tensors, missing = list(tensors_of(model, model.low)), model.size * GIB
    missing -= bytes_of(tensors)
    for index, tensor in reversed(list(enumerate(tensors_of(model, model.high)))):
        more = bytes_of([tensor]) - bytes_of([tensors[index]])
        if 0 < more <= missing:
            tensors[index], missing = tensor, missing - more
    return tensors


# --- keys


def tokens_of(count):
    """So many tokens; the last ones are those that Qwen's models complete code with, which no other has to look at."""
    words = [f"w{i}" for i in range(count - len(FIM_TOKENS))] + list(FIM_TOKENS)
    return gguf_make.array_of(gguf_patch.TYPE_STRING, words, gguf_patch.raw_text)


def hyper_parameters(shape):
    yield "context_length", shape["context"]
    yield "embedding_length", shape["embedding"]
    yield "block_count", shape["layers"]
    yield "feed_forward_length", shape["feed_forward"]
    yield "attention.head_count", shape["heads"]
    yield "attention.head_count_kv", shape["kv_heads"]
    if shape["heads"] * shape["head"] != shape["embedding"]:
        yield "attention.key_length", shape["head"]
        yield "attention.value_length", shape["head"]
    if shape["experts"]:
        yield "expert_count", shape["experts"]
        yield "expert_used_count", shape["experts_used"]
        yield "expert_feed_forward_length", shape["expert_forward"]
    for key, name in (("attention.sliding_window", "window"), ("nextn_predict_layers", "extra_layers"),
                      ("leading_dense_block_count", "dense_layers"), ("expert_shared_count", "experts_shared"),
                      ("pooling_type", "pooling")):
        if shape.get(name):
            yield key, shape[name]


def keys_of(model, name):
    shape = shape_of(model)
    keys = {"general.architecture": model.architecture, "general.name": name, "general.quantization_version": 2,
            "general.file_type": gguf_make.ALL_TYPES[model.low][1]}
    keys |= {f"{model.architecture}.{key}": value for key, value in hyper_parameters(shape)}
    template = {} if shape["pooling"] else {"tokenizer.chat_template": gguf_make.TEMPLATE}
    return keys | {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": tokens_of(shape["vocabulary"])} | template


def make_sparse(folder, name):
    """Writes the model NAME as NAME.gguf into the folder; refuses a shape that is not the published model's."""
    model = MODELS[name]
    tensors = nearest_tensors(model)
    parameters, size = parameters_of(tensors) / 1e9, bytes_of(tensors) / GIB
    if abs(parameters / model.parameters - 1) > PRECISION or abs(size / model.size - 1) > PRECISION:
        raise ValueError(f"{name}: {parameters:.3f} B parameters in {size:.2f} GiB here, published are "
                         f"{model.parameters} in {model.size}")
    gguf_make.write_sparse(folder / f"{name}.gguf", keys_of(model, name), tensors)


def main(folder, *names):
    for name in names or MODELS:
        make_sparse(pathlib.Path(folder), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
