"""The header of a GGUF file: what a language model is, how long its file must be, and how much memory it takes.

The reader trusts no length in the file: everything is bounded by the size of the file and by the limits below, and each fault is a
GgufFault with a sentence. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_KEYS = 4096
MOST_TENSORS = 65_536
MOST_STRINGS = 4_000_000
"""Maximum strings in all arrays; the vocabulary of Gemma 3 has 262 144."""
MOST_BYTES = 512 << 20
"""Maximum length of the header; that of Gemma 3 has 6 MB."""
_NAME_BYTES = 65_535
_TEXT_BYTES = 4096
"""Longer texts, such as chat templates, are skipped."""
_KEPT_ITEMS = 1024
"""Longer arrays of numbers are skipped; those with one number per layer are kept."""
_DIMENSIONS = 4
_ALIGNMENT = 32
_F16_BYTES = 2

_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Types of values of a fixed size: number in the file -> format of `struct`."""
_STRING, _ARRAY = 8, 9

_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36), 10: (256, 84), 11: (256, 110),
    12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50),
    20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Types of tensors: number in the file -> values per block, and bytes per block. Of other types only the start is checked."""

Value = bool | int | float | str | tuple[int | float | bool, ...]


class GgufFault(Exception):
    """A file that is no GGUF file, or a damaged one; the message completes "The file is …"."""


@dataclass(frozen=True, slots=True)
class Gguf:
    """The header of one file."""

    version: int
    values: Mapping[str, Value]
    """The metadata, without long texts, arrays of texts and long arrays."""
    tensors: int
    file_bytes: int
    """Size of the file."""
    needed_bytes: int
    """Size that the file must have for its tensors; a lower bound if it has tensors of an unknown type."""

    @property
    def architecture(self) -> str:
        """The name by which llama.cpp selects its code, such as `gemma3`; empty if the file has none."""
        found = self.values.get("general.architecture", "")
        return found if isinstance(found, str) else ""

    def cache_bytes(self, tokens: int) -> int:
        """Return the memory for a context of `tokens` tokens, in bytes, with 16 bits per value.

        An upper bound: in layers with a sliding window llama.cpp keeps fewer tokens. 0 if the header does not describe the attention.
        """
        layers = self._number("block_count")
        heads = self.values.get(f"{self.architecture}.attention.head_count_kv", self._number("attention.head_count"))
        width = self._number("embedding_length") // max(1, self._number("attention.head_count"))
        per_head = sum(self._number(f"attention.{part}_length") or width for part in ("key", "value"))
        kept = sum(map(_count, heads)) if isinstance(heads, tuple) else layers * _count(heads)
        return _F16_BYTES * tokens * kept * per_head

    def _number(self, name: str) -> int:
        return _count(self.values.get(f"{self.architecture}.{name}", 0))


def read_gguf(path: Path) -> Gguf:
    """Read the header of a file. Raises GgufFault, and OSError if the file cannot be read."""
    with path.open("rb") as file:
        return _Reader(file, os.fstat(file.fileno()).st_size).read()


def _count(value: Value) -> int:
    """Return a value as a count that is sane: between 0 and 2^31."""
    return value if isinstance(value, int) and 0 <= value < 1 << 31 else 0


class _Reader:
    """Reads one header, once, from its start."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._at = 0
        self._strings = 0

    def read(self) -> Gguf:
        if self._size == 0:
            raise GgufFault("empty")
        if self._bytes(min(len(MAGIC), self._size)) != MAGIC:
            raise GgufFault("not a GGUF file")
        version = self._one("I")
        if version not in VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            raise GgufFault(
                "in big-endian byte order" if swapped in VERSIONS else f"of version {version} of GGUF, and 2 and 3 are supported"
            )
        tensors, keys = self._one("Q"), self._one("Q")
        if keys > MOST_KEYS or tensors > MOST_TENSORS:
            raise GgufFault(f"damaged: its header announces {keys} keys and {tensors} tensors")
        values: dict[str, Value] = {}
        for _ in range(keys):
            name = self._name()
            if (value := self._value(self._one("I"))) is not None:
                values[name] = value
        ends = [self._tensor() for _ in range(tensors)]
        alignment = values.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise GgufFault(f"damaged: its alignment is {alignment!r}")
        start = -(-self._at // alignment) * alignment
        return Gguf(version, values, tensors, self._size, start + max(ends) if ends else self._at)

    def _tensor(self) -> int:
        """Return where a tensor ends, in bytes from the start of the tensors."""
        self._name()
        if (dimensions := self._one("I")) > _DIMENSIONS:
            raise GgufFault(f"damaged: a tensor has {dimensions} dimensions")
        count = 1
        for size in (self._one("Q") for _ in range(dimensions)):
            count *= size
        kind, offset = self._one("I"), self._one("Q")
        per_block, block_bytes = _BLOCKS.get(kind, (1, 0))
        return int(offset + -(-count // per_block) * block_bytes)

    def _value(self, kind: int) -> Value | None:
        """Read a value; None for one that is skipped."""
        if kind in _FIXED:
            number: bool | int | float = self._one(_FIXED[kind])
            return number
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            raise GgufFault(f"damaged: its header has a value of the unknown type {kind}")
        item, count = self._one("I"), self._one("Q")
        if item == _STRING:
            self._skip_strings(count)
            return None
        if item not in _FIXED:
            raise GgufFault(f"damaged: its header has an array of the unknown type {item}")
        length = count * struct.calcsize(_FIXED[item])
        if count > _KEPT_ITEMS:
            self._skip(length)
            return None
        return struct.unpack(f"<{count}{_FIXED[item]}", self._bytes(length))

    def _text(self) -> str | None:
        if (length := self._one("Q")) > _TEXT_BYTES:
            self._skip(length)
            return None
        return self._bytes(length).decode("utf-8", "replace")

    def _name(self) -> str:
        if (length := self._one("Q")) > _NAME_BYTES:
            raise GgufFault(f"damaged: a name in its header has {length} bytes")
        return self._bytes(length).decode("utf-8", "replace")

    def _skip_strings(self, count: int) -> None:
        self._strings += count
        if self._strings > MOST_STRINGS:
            raise GgufFault(f"damaged: its header announces {self._strings} texts")
        for _ in range(count):
            self._skip(self._one("Q"))

    def _one(self, kind: str) -> Any:
        (value,) = struct.unpack(f"<{kind}", self._bytes(struct.calcsize(kind)))
        return value

    def _bytes(self, length: int) -> bytes:
        self._advance(length)
        found = self._file.read(length)
        if len(found) < length:
            raise GgufFault("incomplete: it ends within its header")
        return found

    def _skip(self, length: int) -> None:
        self._advance(length)
        self._file.seek(length, os.SEEK_CUR)

    def _advance(self, length: int) -> None:
        self._at += length
        if self._at > self._size:
            raise GgufFault("incomplete: it ends within its header")
        if self._at > MOST_BYTES:
            raise GgufFault(f"damaged: its header is longer than {MOST_BYTES >> 20} MiB")
