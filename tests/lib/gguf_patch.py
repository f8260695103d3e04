"""Copies of a GGUF file with other metadata, so that tests get models that the demo does not have.

The tensors stay byte for byte: their offsets count from the end of the metadata. As a program:

    gguf_patch.py FROM.gguf TO.gguf KEY=VALUE …

where a VALUE in digits becomes a uint32 and any other a string.
"""

import pathlib
import struct
import sys

TYPE_UINT32, TYPE_STRING, TYPE_ARRAY = 4, 8, 9
FIXED_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
ALIGNMENT = 32  # of the tensors' data, where general.alignment says nothing
FIM_KEYS = ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.fim_mid_token_id")


class Cursor:
    """Walks through the metadata of a file's bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise ValueError("the file ends within its metadata")
        self.at += count
        return piece

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def text(self):
        return self.take(self.number("Q")).decode()

    def skip_value(self, kind):
        if kind == TYPE_STRING:
            self.take(self.number("Q"))
        elif kind == TYPE_ARRAY:
            kind, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip_value(kind)
        else:
            self.take(FIXED_BYTES[kind])

    def pair(self):
        """Returns a key and the raw bytes of its type and value."""
        key, begin = self.text(), self.at
        self.skip_value(self.number("I"))
        return key, self.data[begin : self.at]

    def tensor(self):
        self.text()
        self.take(8 * self.number("I"))
        self.take(4 + 8)


def raw_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def raw_value(value):
    """The type and the bytes of an int (as uint32) or a str."""
    if isinstance(value, int):
        return struct.pack("<II", TYPE_UINT32, value)
    return struct.pack("<I", TYPE_STRING) + raw_text(value)


def padding(length):
    return b"\0" * (-length % ALIGNMENT)


def patch(source, target, changes):
    """Writes to `target` a copy of the GGUF file `source` with the keys of `changes` added or replaced; a value of None
    removes its key."""
    data = pathlib.Path(source).read_bytes()
    cursor = Cursor(data)
    magic, version = cursor.take(4), cursor.number("I")
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"{source} is no GGUF file of version 2 or 3")
    tensor_count, key_count = cursor.number("Q"), cursor.number("Q")
    pairs = dict(cursor.pair() for _ in range(key_count))
    if "general.alignment" in pairs:
        raise ValueError(f"{source} has an alignment of its own")
    tensors_begin = cursor.at
    for _ in range(tensor_count):
        cursor.tensor()
    tensors = data[tensors_begin : cursor.at]
    tensor_data = data[cursor.at + len(padding(cursor.at)) :]
    for key, value in changes.items():
        if value is None:
            pairs.pop(key, None)
        else:
            pairs[key] = raw_value(value)
    head = magic + struct.pack("<IQQ", version, tensor_count, len(pairs))
    head += b"".join(raw_text(key) + raw for key, raw in pairs.items()) + tensors
    pathlib.Path(target).write_bytes(head + padding(len(head)) + tensor_data)


def tokens(path):
    """The vocabulary of a GGUF file, as a list in which a token's place is its id."""
    cursor = Cursor(pathlib.Path(path).read_bytes())
    cursor.take(8)
    _, key_count = cursor.number("Q"), cursor.number("Q")
    for _ in range(key_count):
        key, raw = cursor.pair()
        if key == "tokenizer.ggml.tokens":
            value = Cursor(raw)
            value.take(4 + 4)
            return [value.text() for _ in range(value.number("Q"))]
    raise ValueError(f"{path} has no vocabulary")


def add_fim(source, target, chosen=None):
    """Writes a copy of `source` that offers to fill in the middle: its first three control characters (or the three
    tokens of `chosen`) become the marks of prefix, suffix and middle."""
    marks = chosen or tokens(source)[1:4]
    ids = [tokens(source).index(mark) for mark in marks]
    patch(source, target, dict(zip(FIM_KEYS, ids)))


def main(argv):
    source, target, *words = argv
    changes = {}
    for word in words:
        key, _, value = word.partition("=")
        changes[key] = int(value) if value.isdigit() else value
    patch(source, target, changes)


if __name__ == "__main__":
    main(sys.argv[1:])
