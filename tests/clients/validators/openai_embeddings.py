"""OpenAI /v1/embeddings, as floats and as base64 (openai-js asks for base64 unless told otherwise)."""

import base64
import binascii
import math
import struct

from . import openai
from .rules import Broken, equals, items, must, name, number, objects, parse_object, the


def check_whole(raw, asked):
    """Returns the vectors, in the order of the input."""
    answer = parse_object(raw, "the answer")
    equals(answer, "object", "list", "the answer")
    name(answer, "model", "the answer")
    openai.check_usage(answer, asked, "the answer", prompt=False)
    entries = objects(answer, "data", "the answer")
    wanted = inputs(asked.get("input"))
    must([entry.get("index") for entry in entries] == list(range(wanted)),
         f"`data` must have the indexes 0 to {wanted - 1}")
    for entry in entries:
        equals(entry, "object", "embedding", "an embedding")
    vectors = [vector(entry, asked.get("encoding_format") or "float") for entry in entries]
    check_vectors(vectors, asked.get("dimensions"))
    return vectors


def inputs(value):
    """How many texts: a list of numbers is one text in tokens."""
    return len(value) if isinstance(value, list) and not (value and isinstance(value[0], int)) else 1


def vector(entry, form):
    if form == "float":
        return items(entry, "embedding", "an embedding")
    try:
        packed = base64.b64decode(the(entry, "embedding", "an embedding"), validate=True)
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    except (binascii.Error, TypeError, ValueError, struct.error) as why:
        raise Broken(f"the embedding is not base64 of 32-bit floats: {why}") from None


def check_vectors(vectors, dimensions=None):
    must(all(isinstance(values, list) for values in vectors), "an embedding is no list")
    sizes = {len(values) for values in vectors}
    must(len(sizes) <= 1, f"the embeddings have different lengths: {sizes}")
    must(dimensions is None or sizes <= {dimensions}, f"{dimensions} dimensions were asked for, not {sizes}")
    for values in vectors:
        length = math.sqrt(sum(number(value, "a part of an embedding") ** 2 for value in values))
        must(length > 0, "an embedding is empty or all zeros")
